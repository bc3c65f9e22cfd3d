from dataclasses import replace

import numpy as np
import pytest
import torch

from nsr.priors.networks.shape_from_shading.generate import Recipe, SyntheticReliefs, make_sample

SMALL = Recipe(size=96)
MAPS = {"depth": 1, "low": 1, "normal": 3, "albedo": 1, "shading": 1, "pattern": 1, "mask": 1}


def test_a_sample_has_its_maps_in_their_units():
    sample = make_sample(SMALL, 0, 7)
    assert {name: sample[name].shape for name in MAPS} == {name: (count, 96, 96) for name, count in MAPS.items()}
    assert all(sample[name].dtype == torch.float32 and sample[name].isfinite().all() for name in MAPS)
    assert (sample["name"], sample["scene"]) == ("00007", "relief-00007")
    valid = sample["mask"][0] > 0
    assert sample["depth"][0][valid].min() > 0.8 and sample["depth"][0][valid].max() < 1.2
    assert (sample["normal"].norm(dim=0) - 1).abs().max() < 1e-5
    assert sample["normal"][2].max() < 0
    for name in ("shading", "pattern"):
        grey = sample[name] * 255
        assert grey.min() >= 0 and grey.max() <= 255 and (grey - grey.round()).abs().max() < 1e-4


def test_it_depends_on_its_seed_and_number_alone():
    dataset = SyntheticReliefs(3, SMALL, seed=5, first=10)
    assert len(dataset) == 3 and dataset.scenes == ["relief-00010", "relief-00011", "relief-00012"]
    for name in MAPS:
        assert torch.equal(dataset[2][name], make_sample(SMALL, 5, 12)[name])
    assert not torch.equal(dataset[0]["depth"], dataset[1]["depth"])
    assert not torch.equal(dataset[0]["depth"], make_sample(SMALL, 6, 10)["depth"])
    with pytest.raises(IndexError):
        dataset[3]


def test_the_low_resolution_depth_misses_the_relief_and_nothing_else():
    recipe = replace(SMALL, size=192, cut=0.0, decoding_noise=0.0)
    for number in range(3):
        sample = make_sample(recipe, 0, number)
        residual = (sample["depth"] - sample["low"])[0].double()
        assert 1e-4 < residual.std() < 3e-3
        coarse = torch.nn.functional.avg_pool2d(residual[None], 48)
        assert coarse.abs().max() < residual.std()


def test_shadows_only_take_light_away():
    plain = replace(SMALL, noise=0.0, gamma=(1.0, 1.0), cut=0.0, steepness=(0.15, 0.15))
    with_shadows, without = (make_sample(replace(plain, shadows=on), 0, 1)["shading"] for on in (True, False))
    difference = with_shadows - without
    assert difference.max() <= 0
    assert difference.min() < -0.05


@pytest.mark.parametrize(("field", "value", "map_name"), [("texture", 0.4, "albedo"), ("noise", 0.1, "shading")])
def test_a_parameter_does_what_it_says(field, value, map_name):
    def roughness(recipe):
        picture = make_sample(recipe, 0, 2)[map_name]
        return float((picture[..., 1:] - picture[..., :-1]).abs().mean())

    assert roughness(replace(SMALL, cut=0.0, **{field: value})) > 2 * roughness(replace(SMALL, cut=0.0, **{field: 0.0}))


def test_lines_of_the_pattern_have_the_pitch_that_is_asked_for():
    flat = replace(SMALL, tilt=0, curvature=0, steepness=(1e-4, 1e-4))
    recipe = replace(flat, pitch=16.0, cut=0.0, texture=0, patches=0, noise=0)
    brightness = make_sample(recipe, 0, 0)["pattern"][0].numpy().mean(axis=0)
    spectrum = np.abs(np.fft.rfft(brightness - brightness.mean()))
    assert spectrum.argmax() == 96 / 16
