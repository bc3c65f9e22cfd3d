"""Held-out views are looked at by nothing before evaluation."""

import pytest
import torch

from nsr.training.plots import draw_plots
from nsr.training.start import assess_and_carve
from nsr.training.trainer import Trainer

CPU = torch.device("cpu")


def poison(scene):
    """Spoil all that a held-out view has: its picture, its mask, its size and its camera."""
    for view in scene.heldout_views:
        scene.images[view] = torch.full((7, 5, 3), 255, dtype=torch.uint8)
        scene.masks[view] = torch.ones(7, 5, dtype=torch.bool)
        scene.cameras.intrinsics[view] = float("nan")
        scene.cameras.poses[view] = float("nan")
    return scene


@pytest.fixture
def scenes(sphere_scene):
    import copy

    assert sphere_scene.heldout_views == [4]
    return sphere_scene, poison(copy.deepcopy(sphere_scene))


def test_hulls_batches_and_whole_runs_are_the_same_to_the_bit(scenes, tiny_config, tmp_path):
    tiny_config.train.weigh_views = True  # which looks at more than a run without it
    tiny_config.photometric.weight, tiny_config.photometric.patch_size = 0.5, 3
    hulls, batches, states, pictures = [], [], [], []
    for number, scene in enumerate(scenes):
        _, hull = assess_and_carve(tiny_config, scene, CPU)
        hulls.append(torch.zeros(1) if hull is None else hull.grid)
        trainer = Trainer(tiny_config, scene, CPU)
        batches.append(trainer.sampler.draw(2000))
        for _ in range(8):
            trainer.step()
        states.append(trainer.renderer.state_dict())
        draw_plots(tmp_path / str(number), trainer)
        pictures.append([path.read_bytes() for path in sorted((tmp_path / str(number) / "plots").glob("*.p*"))])
    assert torch.equal(*hulls)
    assert not (batches[0].views == 4).any()
    for name in ("views", "pixels", "rgb", "mask"):
        assert torch.equal(getattr(batches[0], name), getattr(batches[1], name))
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    assert len(pictures[0]) == 4 and pictures[0] == pictures[1]
