"""Few of many views."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nsr.config.reader import load_config
from nsr.errors import ConfigError, SceneError
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.synthetic import SyntheticSpec, make_scene
from nsr.scenes.synthetic.layouts import layout_cameras
from nsr.scenes.view_selection import spread_views


def test_on_a_ring_they_are_even():
    cameras = layout_cameras("ring", 16, 8, 8, 30.0, 3.0, 20.0)
    assert spread_views(cameras, range(16), 4) == [0, 4, 8, 12]
    assert spread_views(cameras, range(16), 2) == [0, 8]
    assert spread_views(cameras, [3, 5, 9], 3) == [3, 5, 9]
    assert spread_views(cameras, [5, 6, 13], 2) == [5, 13]


@pytest.mark.parametrize("seed", range(4))
def test_rounding_does_not_choose(seed):
    cameras = layout_cameras("ring", 16, 8, 8, 30.0, 3.0, 20.0)
    noise = torch.randn(cameras.poses.shape, generator=torch.Generator().manual_seed(seed)) * 1e-6
    rounded = replace(cameras, poses=cameras.poses + noise)
    assert spread_views(rounded, range(16), 3) == spread_views(cameras, range(16), 3) == [0, 4, 8]


def test_views_of_one_camera_are_different_views():
    cameras = layout_cameras("ring", 4, 8, 8, 30.0, 3.0, 20.0)
    twice = replace(cameras, poses=cameras.poses[[0, 0, 2, 2]], intrinsics=cameras.intrinsics)
    assert spread_views(twice, range(4), 2) == [0, 2]
    assert spread_views(twice, range(4), 3) == [0, 1, 2]
    assert spread_views(twice, range(4), 4) == [0, 1, 2, 3]


def test_on_a_sphere_every_side_is_seen():
    cameras = layout_cameras("sphere", 32, 8, 8, 30.0, 3.0, 0.0)
    directions = cameras.poses[spread_views(cameras, range(32), 6), :3, 3].numpy() / 3
    around = layout_cameras("sphere", 400, 8, 8, 30.0, 1.0, 0.0).poses[:, :3, 3].numpy()
    assert (around @ directions.T).max(1).min() > np.cos(np.radians(75))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few") / "ball"
    make_scene(folder, SyntheticSpec(shape="sphere", views=9, height=12, width=12, texture="flat", layout="ring"))
    return folder


def test_a_scene_trains_on_so_many_and_keeps_its_held_out_views(folder):
    every = load_scene(folder, heldout_every=4, heldout_offset=1)
    few = load_scene(folder, heldout_every=4, heldout_offset=1, train_views=3)
    assert every.train_views == [0, 2, 3, 4, 6, 7, 8] and len(few) == 9
    assert few.train_views == spread_views(every.cameras, every.train_views, 3) and few.heldout_views == [1, 5]
    with pytest.raises(SceneError, match="dataset.train_views is 8, but the scene has 7 training views"):
        load_scene(folder, heldout_every=4, heldout_offset=1, train_views=8)


def test_the_conf_says_how_many(tmp_path):
    conf = tmp_path / "few.conf"
    conf.write_text("dataset { train_views = 3 }\n")
    assert load_config(conf).dataset.train_views == 3
    conf.write_text("dataset { train_views = -1 }\n")
    with pytest.raises(ConfigError, match="dataset.train_views = -1: it must be at least 0"):
        load_config(conf)
