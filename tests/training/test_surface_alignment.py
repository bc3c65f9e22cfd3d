"""Cameras adjusted to an exact surface: a patterned ball that a stand-in for the renderer knows."""

import logging

import pytest
import torch

from nsr.evaluation.camera_accuracy import compare_cameras
from nsr.rendering.ray_tracing import Trace
from nsr.scenes.cameras import Cameras
from nsr.scenes.perturb import perturb_cameras
from nsr.scenes.scene import Scene
from nsr.training.camera_optimisation import TrainableCameras
from nsr.training.surface_alignment import SurfaceAlignment
from nsr.training.trainer import Trainer

SIZE, RADIUS, VIEWS = 160, 0.6, 9
HELD_OUT = [4]
TRAINED = [view for view in range(VIEWS) if view not in HELD_OUT]


class Ball:
    """Meets rays with a ball as ``SurfaceRenderer`` does with its surface."""

    def trace(self, origins, directions, object_mask=None):
        along = (origins * directions).sum(1)
        inside = along**2 - origins.square().sum(1) + RADIUS**2
        depth = -along - inside.clamp_min(0).sqrt()
        return Trace(depth, (inside > 0) & (depth > 0), torch.zeros_like(depth))

    def intersect(self, origins, directions):
        trace = self.trace(origins, directions)
        rays = trace.hit.nonzero().squeeze(1)
        points = origins[rays] + trace.depth[rays].unsqueeze(1) * directions[rays]
        return rays, points, points / RADIUS


@pytest.fixture(scope="module")
def ball():
    """Nine views 20 degrees apart of a ball with a pattern of irrational waves; one is held out and has no picture."""
    poses = torch.eye(4, dtype=torch.float64).repeat(VIEWS, 1, 1)
    for view in range(VIEWS):
        angle = torch.tensor(0.35 * view, dtype=torch.float64)
        outward = torch.stack([angle.cos(), angle.sin(), 0.4 * (2.1 * angle).sin()])
        outward = outward / outward.norm()
        up = torch.tensor([0, 0, 1.0], dtype=torch.float64)
        right = torch.nn.functional.normalize(torch.linalg.cross(-outward, up), dim=0)
        poses[view, :3, :3] = torch.stack([right, torch.linalg.cross(-outward, right), -outward], dim=1)
        poses[view, :3, 3] = 3 * outward
    half = (SIZE - 1) / 2
    intrinsics = torch.tensor([[330.0, 0, half], [0, 330, half], [0, 0, 1]], dtype=torch.float64)
    cameras = Cameras(intrinsics.repeat(VIEWS, 1, 1), poses)
    v, u = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    pixels = torch.stack([u, v], -1).view(-1, 2).double()
    generator = torch.Generator().manual_seed(0)
    waves, phases = 35 * torch.randn(3, 24, generator=generator).double(), 6 * torch.rand(24, generator=generator)
    images, masks = [], []
    for view in range(VIEWS):
        origins, directions = cameras.rays(torch.full((SIZE * SIZE,), view), pixels)
        trace = Ball().trace(origins, directions)
        points = origins + trace.depth.unsqueeze(1) * directions
        grey = (128 + 350 * torch.sin(points @ waves + phases).mean(1)).clamp(1, 255)
        grey = torch.where(trace.hit, (0.6 + 0.05 * view) * grey, 250.0)
        images.append(grey.round().to(torch.uint8).view(SIZE, SIZE, 1).expand(-1, -1, 3).contiguous())
        masks.append(trace.hit.view(SIZE, SIZE))
    for view in HELD_OUT:
        images[view] = masks[view] = None
    return Scene("ball", images, masks, cameras, torch.eye(4).numpy(), TRAINED, HELD_OUT)


def errors(cameras, true):
    return compare_cameras(cameras.poses.double().numpy(), true.poses.double().numpy())


def test_places_are_found_where_true_cameras_see_them(ball):
    cameras = ball.cameras.select(TRAINED).to(torch.float32)
    tracks = SurfaceAlignment(ball).find_tracks(Ball(), cameras)
    assert tracks.count > 200 and len(tracks.views) > 3 * tracks.count
    first = torch.from_numpy(tracks.pixels[: tracks.count]).float()
    rays, points, _ = Ball().intersect(*cameras.rays(torch.from_numpy(tracks.views[: tracks.count]), first))
    assert len(rays) == tracks.count
    projected, _ = cameras.project(torch.from_numpy(tracks.views), points[torch.from_numpy(tracks.points)])
    distance = (projected - torch.from_numpy(tracks.pixels)).norm(dim=1)
    assert distance.median() < 0.05 and distance.max() < 1


def test_cameras_come_back(ball):
    true = ball.cameras.select(TRAINED)
    rough = perturb_cameras(true, 0.25, 0.0025, seed=0).to(torch.float32)
    align, given = SurfaceAlignment(ball), errors(rough, true)
    after = errors(align(Ball(), align(Ball(), rough)), true)
    assert after.rotation_degrees.mean() < 0.2 * given.rotation_degrees.mean()
    assert after.centre_distances.mean() < 0.2 * given.centre_distances.mean()


def test_without_texture_cameras_stay(ball, caplog):
    plain = [None if image is None else torch.full_like(image, 120) for image in ball.images]
    scene = Scene("plain", plain, ball.masks, ball.cameras, ball.scale_mat, TRAINED, HELD_OUT)
    cameras = ball.cameras.select(TRAINED).to(torch.float32)
    with caplog.at_level(logging.WARNING, logger="nsr"):
        assert SurfaceAlignment(scene)(Ball(), cameras) is cameras
    assert "too few" in caplog.text


@pytest.mark.parametrize("parameters", ["quaternion", "se3"])
def test_cameras_are_placed(ball, parameters):
    start = ball.cameras.to(torch.float32)
    trained = TrainableCameras(start, parameters)
    moved = perturb_cameras(start, 1.0, 0.01, seed=1)
    trained.place([1, 5], moved.poses[[1, 5]])
    torch.testing.assert_close(trained.current().poses[[1, 5]], moved.poses[[1, 5]], atol=1e-5, rtol=0)
    torch.testing.assert_close(trained.current().poses[[0, 2]], start.poses[[0, 2]], atol=1e-5, rtol=0)


def test_a_run_aligns_at_its_times_and_goes_on_where_it_stopped(hull_config, sphere_scene, tmp_path, monkeypatch):
    train = hull_config.train
    train.train_cameras, train.camera_parameters, train.steps, train.surface_alignment = True, "se3", 8, [0.25, 0.5]
    train.cameras_from, calls = 1.0, []

    def moved(self, renderer, cameras):
        calls.append(len(cameras))
        return perturb_cameras(cameras, 0.1, 0.001, seed=len(calls))

    monkeypatch.setattr(SurfaceAlignment, "__call__", moved)
    trainer = Trainer(hull_config, sphere_scene, torch.device("cpu"))
    before = trainer.cameras.poses.clone()
    counts = []
    for _ in range(5):
        trainer.step()
        counts.append(len(calls))
    assert counts == [0, 0, 1, 1, 2] and set(calls) == {len(sphere_scene.train_views)}
    after = trainer.cameras.poses
    assert (after - before)[sphere_scene.train_views].abs().amax((1, 2)).min() > 1e-4
    assert torch.equal(after[sphere_scene.heldout_views], before[sphere_scene.heldout_views])
    (tmp_path / "checkpoints").mkdir()
    resumed = Trainer(hull_config, sphere_scene, torch.device("cpu"), trainer.save(tmp_path))
    torch.testing.assert_close(resumed.cameras.poses, after, atol=1e-6, rtol=0)
    for _ in range(3):
        resumed.step()
    assert len(calls) == 2
