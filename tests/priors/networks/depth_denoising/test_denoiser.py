"""What surrounds the network: holes filled, units kept, masks heard, other runtimes agreeing."""

from argparse import Namespace

import numpy as np
import pytest
import torch
from nsr.priors.networks.common.export import export_network
from nsr.priors.networks.depth_denoising.denoiser import Denoiser, fill_holes, local_mean, max_filter
from nsr.priors.networks.depth_denoising.filters import bilateral_filter, median_filter
from nsr.priors.networks.depth_denoising.networks import UNet
from nsr.priors.networks.depth_denoising.task import make_task
from scipy import ndimage


@pytest.fixture
def denoiser():
    torch.manual_seed(1)
    return Denoiser(UNet(5, 5, 4)).eval()


def options(**changes):
    return Namespace(**{"network": "unet", "width": 4, "drop": 0.0, "infrared": True, "hole_mask": True, **changes})


def test_known_values_stay_and_holes_are_filled_from_around():
    values = torch.rand(2, 1, 48, 64) + 1
    known = (torch.rand(2, 1, 48, 64) > 0.3).float()
    known[:, :, 10:40, 20:50] = 0
    filled = fill_holes(values * known, known)
    assert torch.allclose(filled[known > 0], values[known > 0])
    assert filled.min() >= 1 and filled.max() <= 2
    constant = fill_holes(3 * known, known)
    assert torch.allclose(constant, torch.full_like(constant, 3.0), atol=1e-5)
    assert torch.equal(fill_holes(torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)), torch.zeros(1, 1, 16, 16))


def test_neighbourhoods():
    maps = torch.rand(1, 1, 40, 50)
    expected = ndimage.maximum_filter(maps[0, 0].numpy(), 9, mode="constant", cval=-np.inf)
    assert np.allclose(max_filter(maps, 9)[0, 0], expected)
    inside = ndimage.uniform_filter(maps[0, 0].double().numpy(), 31)[15:-15, 15:-15]
    assert np.allclose(local_mean(maps)[0, 0, 15:-15, 15:-15], inside, atol=1e-5)
    assert torch.allclose(local_mean(torch.full((1, 1, 40, 50), 7.0)), torch.tensor(7.0), atol=1e-5)


@pytest.mark.parametrize("distance", [0.3, 1.0, 4.0])
def test_an_untrained_network_hardly_changes_a_clean_plane(denoiser, distance):
    row, column = torch.meshgrid(torch.arange(64.0), torch.arange(80.0), indexing="ij")
    plane = distance / (1 + 0.001 * column - 0.0005 * row)
    out = denoiser(plane[None, None], torch.zeros(1, 1, 64, 80))
    assert ((out - plane).abs() / plane).max() < 0.01


def test_holes_come_out_filled(denoiser):
    depth = torch.full((1, 1, 64, 64), 1.5)
    depth[:, :, 20:40, 10:30] = 0
    out = denoiser(depth, torch.rand(1, 1, 64, 64))
    assert (out - 1.5).abs().max() < 0.02
    nothing = denoiser(torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32))
    assert torch.isfinite(nothing).all() and nothing.max() < 20.01


def test_without_infrared_it_is_not_looked_at():
    depth = torch.rand(1, 1, 32, 32) + 1
    for infrared, equal in ((True, False), (False, True)):
        torch.manual_seed(0)
        network = make_task(options(infrared=infrared)).network.eval()
        torch.nn.init.normal_(network.network.head[-1].weight)
        a, b = (network(depth, torch.rand(1, 1, 32, 32)) for _ in range(2))
        assert torch.equal(a, b) is equal


def test_the_hole_mask_can_be_hidden():
    depth = torch.rand(1, 1, 32, 32) + 1
    depth[..., 5:9, 5:9] = 0
    outputs = []
    for shown in (True, False):
        torch.manual_seed(0)
        network = make_task(options(hole_mask=shown)).network.eval()
        torch.nn.init.normal_(network.network.head[-1].weight)
        outputs.append(network(depth, torch.zeros(1, 1, 32, 32)))
    assert not torch.equal(*outputs)


@pytest.mark.parametrize("network", ["unet", "gan"])
def test_an_invalid_pixel_has_no_gradient(network):
    task = make_task(options(network=network))
    predicted = (torch.rand(2, 1, 16, 16) + 1).requires_grad_()
    mask = (torch.rand(2, 1, 16, 16) > 0.5).float()
    depth = torch.where(mask > 0, torch.rand(2, 1, 16, 16) + 1, torch.nan)  # whatever is there
    loss = task.reconstruction(predicted, {"depth": depth, "mask": mask})
    expected = 100 * (predicted - depth).abs()[mask > 0].mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert (predicted.grad[mask == 0] == 0).all() and (predicted.grad[mask > 0] != 0).all()


@pytest.mark.parametrize(("tile", "overlap"), [(0, 0), (64, 32)])
def test_frames_of_any_size_are_predicted(tile, overlap):
    task = make_task(options())
    task.network.eval()
    task.tile, task.overlap = tile, overlap
    depth = 1 + 0.002 * torch.arange(117.0).expand(1, 75, 117)
    with torch.no_grad():
        out = task.predict({"noisy": depth, "infrared": torch.zeros(1, 75, 117)})["depth"]
    assert out.shape == depth.shape and (out - depth).abs().max() < 0.03


def test_other_runtimes_compute_the_same(denoiser, tmp_path):
    torch.nn.init.normal_(denoiser.network.head[-1].weight, std=0.5)
    inputs = {"depth": torch.rand(1, 1, 32, 48) + 0.5, "infrared": torch.rand(1, 1, 32, 48)}
    other = {"depth": torch.rand(2, 1, 64, 80) + 0.5, "infrared": torch.rand(2, 1, 64, 80)}
    other["depth"][:, :, 10:30, 10:60] = 0
    with torch.no_grad():
        expected = denoiser(*other.values())
        script = torch.jit.load(str(export_network(denoiser, tmp_path / "d.ts", inputs, "denoised")))
        assert (script(*other.values()) - expected).abs().max() < 1e-4
    pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = export_network(denoiser, tmp_path / "d.onnx", inputs, "denoised")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (depth,) = session.run(["denoised"], {name: maps.numpy() for name, maps in other.items()})
    assert np.abs(depth - expected.numpy()).max() < 1e-4


def test_the_median_is_of_what_is_measured():
    depth = torch.rand(1, 20, 30) + 1
    assert np.allclose(
        median_filter(depth)[0, 2:-2, 2:-2], ndimage.median_filter(depth[0].numpy(), 5)[2:-2, 2:-2], atol=1e-6
    )
    depth[:, 5:8, 5:8] = 0
    filtered = median_filter(depth)
    assert (filtered[:, 5:8, 5:8] == 0).all() and filtered[depth > 0].min() >= 1


def test_the_bilateral_filter_smooths_and_keeps_edges_and_holes():
    generator = torch.Generator().manual_seed(0)
    depth = torch.ones(1, 40, 40)
    depth[:, :, 20:] = 2.0
    noisy = depth + 0.005 * torch.randn(1, 40, 40, generator=generator)
    noisy[:, 3, 3] = 0
    smooth = bilateral_filter(noisy)
    there = noisy > 0
    assert (smooth - depth)[there].square().mean() < 0.2 * (noisy - depth)[there].square().mean()
    assert smooth[0, 3, 3] == 0
