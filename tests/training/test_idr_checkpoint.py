"""Files in IDR's format, written by networks built here layer by layer as its paper and confs describe them."""

import math
from pathlib import Path

import pytest
import torch

from nsr.config.reader import load_config
from nsr.errors import CheckpointError
from nsr.training.idr_checkpoint import is_idr_checkpoint, load_idr_run
from nsr.training.run_folder import find_checkpoint, find_run

ROOT = Path(__file__).parents[2]


def waves(x, octaves):
    return torch.cat([x] + [wave(x * 2.0**k) for k in range(octaves) for wave in (torch.sin, torch.cos)], dim=1)


class PublishedNetwork(torch.nn.Module):
    """IDR's two networks at a smaller width, in the names and with the inputs of its published models."""

    def __init__(self, width, feature):
        super().__init__()
        norm = torch.nn.utils.weight_norm
        self.implicit_network, self.rendering_network = torch.nn.Module(), torch.nn.Module()
        for layer in range(9):
            inputs = 39 if layer == 0 else width
            outputs = {3: width - 39, 8: 1 + feature}.get(layer, width)
            setattr(self.implicit_network, f"lin{layer}", norm(torch.nn.Linear(inputs, outputs)))
        for layer in range(5):
            inputs = 3 + 27 + 3 + feature if layer == 0 else width
            setattr(self.rendering_network, f"lin{layer}", norm(torch.nn.Linear(inputs, 3 if layer == 4 else width)))

    def surface(self, x):
        encoded = hidden = waves(x, 6)
        for layer in range(9):
            if layer == 4:
                hidden = torch.cat([hidden, encoded], dim=1) / math.sqrt(2)
            hidden = getattr(self.implicit_network, f"lin{layer}")(hidden)
            if layer < 8:
                hidden = torch.nn.functional.softplus(hidden, beta=100)
        return hidden

    def colour(self, x, towards_camera):
        x = x.requires_grad_(True)
        out = self.surface(x)
        (normal,) = torch.autograd.grad(out[:, 0].sum(), x)
        hidden = torch.cat([x, waves(towards_camera, 4), normal, out[:, 1:]], dim=1)
        for layer in range(5):
            hidden = getattr(self.rendering_network, f"lin{layer}")(hidden)
            if layer < 4:
                hidden = torch.relu(hidden)
        return torch.tanh(hidden).detach()


@pytest.fixture
def config():
    width = {"model.feature_vector_size": 8, "model.implicit_network.dims": [64] * 8,
             "model.rendering_network.dims": [64] * 4}  # fmt: skip
    return load_config(ROOT / "confs" / "idr.conf", width)


@pytest.fixture
def cameras(sphere_truth):
    return sphere_truth.cameras.to(torch.float32)


def write_run(folder, network, epoch=2000, vectors=None, **options):
    checkpoints = folder / "checkpoints"
    (checkpoints / "ModelParameters").mkdir(parents=True)
    path = checkpoints / "ModelParameters" / f"{epoch}.pth"
    torch.save({"epoch": epoch, "model_state_dict": network.state_dict()}, path, **options)
    if vectors is not None:
        (checkpoints / "CamParameters").mkdir()
        state = {"epoch": epoch, "pose_vecs_state_dict": {"weight": vectors}}
        torch.save(state, checkpoints / "CamParameters" / f"{epoch}.pth", **options)
    return path


@pytest.mark.parametrize("zipped", [True, False], ids=["today's torch", "the torch of its time"])
def test_the_loaded_networks_compute_the_same(tmp_path, config, cameras, zipped):
    torch.manual_seed(0)
    network = PublishedNetwork(64, 8)
    folder = tmp_path / "dtu_fixed_cameras_65" / "2020"
    write_run(folder, network, _use_new_zipfile_serialization=zipped)
    path = find_checkpoint(find_run(folder.parent), "2000")
    assert is_idr_checkpoint(path)
    run = load_idr_run(folder, path, config, cameras)
    assert (run.step, run.train_seconds, run.peak_memory_mb) == (2000, None, None)
    x = torch.rand(200, 3) * 2 - 1
    sdf, gradient, feature = run.renderer.sdf.geometry(x)
    torch.testing.assert_close(torch.cat([sdf[:, None], feature], dim=1), network.surface(x), atol=2e-5, rtol=1e-4)
    ray = torch.nn.functional.normalize(torch.randn(200, 3), dim=1)
    ours = run.renderer.radiance(x, ray, gradient, feature)
    torch.testing.assert_close(ours, network.colour(x, -ray), atol=2e-4, rtol=1e-3)
    assert (network.colour(x, ray) - ours).abs().max() > 0.01  # the direction's sign matters
    torch.testing.assert_close(run.cameras.poses, cameras.poses)


def test_the_newest_is_found_and_ours_are_found_as_before(tmp_path):
    for epoch in (100, 2000, 900):
        path = tmp_path / "exp_65" / "2020" / "checkpoints" / "ModelParameters" / f"{epoch}.pth"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    run = find_run(tmp_path / "exp_65", "2020")
    assert find_checkpoint(run).stem == "2000" and find_checkpoint(run, 900).stem == "900"
    with pytest.raises(CheckpointError, match="no checkpoint 5; there are: 100, 900, 2000"):
        find_checkpoint(run, 5)


def test_refined_cameras_come_with_it(tmp_path, config, cameras):
    half = math.sqrt(0.5)
    vectors = torch.tensor([[half, 0, 0, half, 1.0, 2.0, 3.0]]).repeat(8, 1)  # a quarter turn about z
    vectors[5] = torch.tensor([2.0, 0, 0, 0, 0, 0, -3.0])  # any length
    path = write_run(tmp_path / "2020", PublishedNetwork(64, 8), vectors=vectors)
    read = load_idr_run(tmp_path / "2020", path, config, cameras).cameras
    expected = torch.tensor([[0.0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
    torch.testing.assert_close(read.poses[0], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(read.poses[5, :3, :3], torch.eye(3))
    torch.testing.assert_close(read.intrinsics, cameras.intrinsics)


def test_what_does_not_fit_is_reported_by_name_and_shape(tmp_path, config, cameras):
    path = write_run(tmp_path / "a", PublishedNetwork(48, 8))
    with pytest.raises(
        CheckpointError, match=r"of another shape: .*implicit_network.lin0.weight_g is 48 x 1, the conf's 64 x 1"
    ):
        load_idr_run(tmp_path, path, config, cameras)
    network = PublishedNetwork(64, 8)
    del network.rendering_network.lin4
    network.extra = torch.nn.Linear(2, 2)
    path = write_run(tmp_path / "b", network)
    with pytest.raises(CheckpointError) as failure:
        load_idr_run(tmp_path, path, config, cameras)
    assert "3 missing: rendering_network.lin4." in str(failure.value)
    assert "2 not in the conf's model: extra." in str(failure.value)
    path = write_run(tmp_path / "c", PublishedNetwork(64, 8), vectors=torch.zeros(5, 7))
    with pytest.raises(CheckpointError, match="a table of 5 x 7; the scene's 8 views need one of 8 x 7"):
        load_idr_run(tmp_path, path, config, cameras)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_files_that_are_no_checkpoint(tmp_path, config, cameras, content):
    path = tmp_path / "ModelParameters" / "2000.pth"
    path.parent.mkdir()
    if content is None:
        torch.save({"epoch": 3, "weights": torch.zeros(2)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="2000.pth"):
        load_idr_run(tmp_path, path, config, cameras)
