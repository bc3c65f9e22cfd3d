import pytest
import torch

from nsr.errors import NsrError
from nsr.priors.networks.depth_super_resolution.interpolation import upsample
from nsr.priors.networks.depth_super_resolution.network import DepthSuperResolution
from nsr.priors.networks.depth_super_resolution.units import srcnn, vdsr


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def scrambled(network):
    """With last layers that do something, as after training."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return network.double()


def inner(values, border):
    return values[..., border:-border, border:-border]


def test_full_width_units_have_the_published_parameter_counts():
    assert count(srcnn()) == 57_281
    assert count(vdsr()) == 296_064


@pytest.mark.parametrize(("unit", "parameters"), [("srcnn", 57_281), ("vdsr", 296_064)])
@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_a_network_is_four_units_a_stage_and_one_that_fuses(unit, parameters, factor):
    stages = {2: 1, 4: 2, 8: 3, 16: 4}[factor]
    assert count(DepthSuperResolution(factor, unit)) == (4 * stages + 1) * parameters


@pytest.mark.parametrize("phase", [0.0, 0.5])
def test_training_starts_from_bicubic_interpolation(phase):
    low = 1 + torch.rand(1, 1, 12, 10)
    network = DepthSuperResolution(4, "vdsr", 8, phase)
    outputs = network(low)
    assert torch.equal(outputs["x2"], upsample(low, 2, phase))
    assert torch.equal(outputs["fused"], outputs["x4"])


def test_any_size_and_every_smaller_factor():
    network = DepthSuperResolution(16, "srcnn", 4)
    for factor, names in ((2, ["x2"]), (4, ["x2", "x4"]), (8, ["x2", "x4", "x8"]), (16, ["x2", "x4", "x8", "x16"])):
        outputs = network(torch.rand(2, 1, 7, 5), factor)
        assert list(outputs) == [*names, "fused"]
        for name in names:
            assert outputs[name].shape == (2, 1, 7 * int(name[1:]), 5 * int(name[1:]))
        assert outputs["fused"].shape == (2, 1, 7 * factor, 5 * factor)


def test_fusing_every_stage_gives_what_a_smaller_factor_would():
    network = scrambled(DepthSuperResolution(8, "vdsr", 4, phase=0.5))
    low = torch.rand(1, 1, 6, 7, dtype=torch.float64)
    outputs = network(low, fuse_every_stage=True)
    assert list(outputs) == ["x2", "fused_x2", "x4", "fused_x4", "x8", "fused"]
    for factor in (2, 4):
        torch.testing.assert_close(outputs[f"fused_x{factor}"], network(low, factor)["fused"])
    assert torch.equal(outputs["fused"], network(low)["fused"])


def test_a_scene_moved_away_moves_the_result():
    low = torch.rand(1, 1, 9, 9, dtype=torch.float64)
    for unit in ("srcnn", "vdsr"):
        network = scrambled(DepthSuperResolution(4, unit, 6))
        torch.testing.assert_close(network(low + 3)["fused"], network(low)["fused"] + 3)


def test_vdsr_scales_with_the_scene_and_keeps_planes():
    network = scrambled(DepthSuperResolution(2, "vdsr", 6))
    low = torch.rand(1, 1, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(network(2.5 * low)["fused"], 2.5 * network(low)["fused"])
    rows = torch.arange(120, dtype=torch.float64)
    fine = 1 + 0.01 * rows[:, None] + 0.02 * rows[None]
    result = network(fine[None, None, ::2, ::2])
    assert inner(result["fused"] - fine, 48).abs().max() < 1e-12  # what sees no border


def test_fusion_sees_the_input_only_where_asked():
    low = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    with_input = scrambled(DepthSuperResolution(2, "vdsr", 4, fuse_input=True))
    without = DepthSuperResolution(2, "vdsr", 4, fuse_input=False).double()
    without.load_state_dict(with_input.state_dict())
    first, second = with_input(low), without(low)
    assert torch.equal(first["x2"], second["x2"])
    assert not torch.allclose(first["fused"], second["fused"])


@pytest.mark.parametrize("options", [{"factor": 3}, {"unit": "edsr"}, {"width": 5}, {"width": 0}])
def test_impossible_networks_are_refused(options):
    with pytest.raises(NsrError):
        DepthSuperResolution(**options)


def test_a_factor_beyond_the_stages_is_refused():
    with pytest.raises(NsrError, match="2, 4, not by 8"):
        DepthSuperResolution(4, width=4)(torch.rand(1, 1, 4, 4), 8)
