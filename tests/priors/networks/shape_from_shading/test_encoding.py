from dataclasses import replace

import numpy as np
import pytest
import torch

from nsr.errors import NsrError
from nsr.priors.networks.shape_from_shading.encoding import CONTRAST, FACING, FLOOR, INPUTS, Encoded, encode
from nsr.priors.networks.shape_from_shading.generate import Recipe, SyntheticReliefs, make_sample
from nsr.priors.networks.shape_from_shading.rig import Rig

RECIPE = Recipe(size=96)


def test_channels_follow_the_switch():
    sample = make_sample(RECIPE, 0, 0)
    every = encode(sample, RECIPE.rig)
    assert every.shape == (3, 96, 96)
    for chosen in (("shading",), ("shading", "low"), ("pattern", "low")):
        some = encode(sample, RECIPE.rig, chosen)
        assert torch.equal(some, every[[INPUTS.index(name) for name in chosen]])


def test_gain_is_left_out_and_so_is_everything_invalid():
    sample = make_sample(replace(RECIPE, cut=1.0), 0, 3)
    encoded, mask = encode(sample, RECIPE.rig), sample["mask"][0] > 0
    darker = {**sample, "shading": 0.5 * sample["shading"], "pattern": 0.7 * sample["pattern"]}
    assert (encode(darker, RECIPE.rig) - encoded).abs().max() < 1e-4
    assert (~mask).sum() > 500 and (encoded[:, ~mask] == 0).all()
    spoilt = {name: torch.where(mask, sample[name], 0.9) for name in ("shading", "pattern", "low")}
    assert torch.equal(encode({**sample, **spoilt}, RECIPE.rig), encoded)


def test_no_ground_truth_is_read():
    sample = make_sample(RECIPE, 0, 1)
    measured = {name: sample[name] for name in ("shading", "pattern", "low", "mask", "name", "scene")}
    assert torch.equal(encode(measured, RECIPE.rig), encode(sample, RECIPE.rig))


@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.3])
def test_the_low_channel_is_the_shading_of_a_tilted_plane(slope):
    """z = 1 + slope x has the normal (slope, 0, -1) over its length; the lamp is seen from (0, 0, 1)."""
    rig = Rig()
    plane = 1 / (1 - slope * rig.rays(65, 65)[..., 0])
    low = torch.from_numpy(plane[None]).float()
    sample = {"low": low, "mask": torch.ones_like(low), "name": "0", "scene": "plane"}
    normal, towards = np.array([slope, 0, -1]), np.array(rig.lamp) - [0, 0, 1]
    facing = normal @ towards / np.linalg.norm(normal) / np.linalg.norm(towards)
    middle = float(encode(sample, rig, ("low",))[0, 32, 32])
    assert middle == pytest.approx((np.log(facing + FLOOR) - np.log(FACING)) / CONTRAST["low"], abs=2e-3)


def test_a_pattern_may_be_missing_and_a_photograph_under_the_lamp_may_not():
    sample = make_sample(RECIPE, 0, 0)
    without = encode({name: value for name, value in sample.items() if name != "pattern"}, RECIPE.rig)
    assert (without[1] == 0).all() and without[0].abs().max() > 0
    with pytest.raises(NsrError, match="relief-00000/00000: there is no shading"):
        encode({name: value for name, value in sample.items() if name != "shading"}, RECIPE.rig)


def test_a_dataset_gets_its_inputs_and_its_residual_in_millimetres():
    frames = SyntheticReliefs(2, replace(RECIPE, cut=1.0))
    sample = Encoded(frames, RECIPE.rig, ("shading", "low"))[1]
    assert torch.equal(sample["inputs"], encode(frames[1], RECIPE.rig, ("shading", "low")))
    restored = sample["low"] + sample["residual"] / 1000
    assert ((restored - sample["depth"]) * sample["mask"]).abs().max() < 1e-6
    assert (sample["residual"] * (1 - sample["mask"]) == 0).all()
