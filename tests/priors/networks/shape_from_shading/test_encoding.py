from dataclasses import replace

import numpy as np
import pytest
import torch

from nsr.errors import NsrError
from nsr.priors.networks.shape_from_shading.encoding import (
    FACING,
    FLOOR,
    INPUTS,
    SCALE,
    Encoded,
    encode,
    first_order_relief,
)
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
    assert middle == pytest.approx((np.log(facing + FLOOR) - np.log(FACING)) / SCALE["low"], abs=2e-3)


def test_a_shallow_wave_towards_the_lamp_is_found_from_its_shading():
    """One of 24 pixels and 0.02 mm, in closed form: slope times tan(slant) is the contrast; damping takes an eighth."""
    rig = Rig(focal=(1000.0, 1000.0), lamp=(0.5, 0.0, 0.0))
    u = np.arange(240)
    depth = np.broadcast_to(0.02 * np.sin(2 * np.pi * u / 24), (60, 240))
    slope = 0.02 / 1000 * 2 * np.pi / 24 * np.cos(2 * np.pi * u / 24) * 1000 / 1.0
    contrast = np.broadcast_to(slope * 0.5 / 1.0, (60, 240))
    found = first_order_relief(contrast, rig, distance=1.0)
    damping = 1 / (1 + (24 / 64) ** 2)
    assert np.abs(found - damping * depth)[:, 70:-70].max() < 0.05 * 0.02


def test_what_is_shown_of_the_shading_correlates_with_what_is_asked_for():
    correlations = []
    for number in range(6):
        sample = Encoded(SyntheticReliefs(6, replace(RECIPE, size=128), seed=2), RECIPE.rig)[number]
        valid = sample["mask"][0] > 0
        shown, wanted = sample["inputs"][0][valid], sample["residual"][0][valid]
        correlations.append(np.corrcoef(shown, wanted)[0, 1])
    assert np.mean(correlations) > 0.6


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
