"""Runs whose cameras have moved, on a sphere: the drift goes, held-out cameras follow, meshes come back."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from nsr.config.schema import Config
from nsr.errors import ConfigError
from nsr.evaluation import held_out_cameras
from nsr.evaluation.camera_alignment import align_run
from nsr.evaluation.evaluate import evaluate_run
from nsr.evaluation.held_out_cameras import frozen, refine_view
from nsr.rendering.model import build_renderer
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.cameras import Cameras
from nsr.scenes.perturb import perturb_cameras
from nsr.scenes.similarity import Similarity, align_poses
from nsr.training.pixel_sampler import PixelSampler

DRIFT = Similarity(Rotation.from_rotvec([0.05, -0.08, 0.02]).as_matrix(), 0.9, np.array([0.03, 0.05, -0.04]))


def drifted(scene):
    """Exact training cameras in a frame that has drifted; the held-out ones as given."""
    poses = scene.cameras.poses.clone()
    poses[scene.train_views] = torch.from_numpy(DRIFT.poses(poses.double().numpy()))[scene.train_views].to(poses)
    return Cameras(scene.cameras.intrinsics, poses)


def test_held_out_cameras_are_carried_along(sphere_scene):
    run = SimpleNamespace(cameras=drifted(sphere_scene))
    alignment = align_run(run, sphere_scene)
    expected = DRIFT.poses(sphere_scene.cameras.poses.double().numpy())
    np.testing.assert_allclose(alignment.cameras.poses.numpy(), expected, atol=1e-5)
    assert alignment.held_out == "carried" and "carried along" in alignment.format()
    assert alignment.refined.rotation_degrees.max() < 1e-3
    np.testing.assert_allclose(alignment.to_world, sphere_scene.scale_mat @ DRIFT.inverse().matrix(), atol=1e-4)
    assert torch.equal(run.cameras.poses, drifted(sphere_scene).poses)  # the run itself is left alone


def test_cameras_that_did_not_move_stay(sphere_scene):
    alignment = align_run(SimpleNamespace(cameras=sphere_scene.cameras), sphere_scene)
    assert alignment.held_out is None and alignment.cameras is sphere_scene.cameras


def test_unknown_ways_are_named(sphere_scene):
    with pytest.raises(ConfigError, match="carried or refined, not 'guessed'"):
        align_run(SimpleNamespace(cameras=drifted(sphere_scene)), sphere_scene, "guessed")


def test_the_mesh_is_moved_before_it_is_written_and_measured(sphere_run, sphere_scene, tmp_path):
    """A sphere of .62 in the drifted frame is one of .62 / .9 about the drift's own origin."""
    sphere_run.cameras, sphere_run.config.train.train_cameras = drifted(sphere_scene), True
    metrics = evaluate_run(
        sphere_run, sphere_scene, tmp_path, resolution=32, splits=(), report=False, align_cameras=True
    )
    vertices = sphere_scene.to_normalised(trimesh.load(tmp_path / metrics["files"]["ply"], process=False).vertices)
    centre = DRIFT.inverse().translation
    np.testing.assert_allclose(np.linalg.norm(vertices - centre, axis=1), 0.62 / 0.9, atol=2e-3)
    aligned = trimesh.creation.icosphere(4, 0.62 / 0.9)
    aligned.apply_translation(centre)
    truth = 0.6 - np.linalg.norm(aligned.vertices, axis=1)  # signed distances to the true sphere
    assert metrics["geometry"]["accuracy"] == pytest.approx(np.abs(truth).mean(), rel=0.15)
    assert metrics["cameras"]["refined"]["rotation_degrees_mean"] < 1e-3
    assert metrics["files"]["cameras"] == "cameras.csv" and (tmp_path / "cameras.csv").is_file()


def test_one_view_is_refined_against_fields_that_stay(sphere_scene, monkeypatch):
    """A sphere's outline tells where a camera stands, up to turns about the line of sight and round the sphere."""
    torch.manual_seed(0)
    config = Config()
    config.model.feature_vector_size = 0
    config.model.implicit_network.dims = config.model.rendering_network.dims = [16]
    config.model.implicit_network.skip_in = []
    config.loss.alpha, config.train.pixels_anywhere = 200.0, 0.5
    renderer = build_renderer(config.model)
    renderer = SurfaceRenderer(_Sphere(), renderer.radiance, renderer.tracer)
    view = sphere_scene.heldout_views[0]
    config.train.mixed_width = 1.0
    sampled = []

    def sampler(*given, **options):
        sampled.append(options)
        return PixelSampler(*given, **options)

    monkeypatch.setattr(held_out_cameras, "PixelSampler", sampler)
    rough = perturb_cameras(sphere_scene.cameras, 0.7, 0.0, seed=4).to(torch.float32)
    refined = refine_view(renderer, config, sphere_scene, rough, view)

    def off_centre(camera):
        """Where the sphere's centre is seen, in pixels from where it should be."""
        first = torch.zeros(1, dtype=torch.int64)
        true = sphere_scene.cameras.select([view]).to(torch.float32)
        origin = torch.zeros(1, 3)
        return float((camera.project(first, origin)[0] - true.project(first, origin)[0]).norm())

    assert sampled == [{"tolerance": 0.0, "mixed_width": 1.0}]
    assert off_centre(refined) < 0.4 * off_centre(rough.select([view]))
    assert all(parameter.requires_grad for parameter in renderer.parameters())
    with frozen(renderer):
        assert not any(parameter.requires_grad for parameter in renderer.parameters())


class _Sphere(torch.nn.Module):
    """The exact distance, with what the renderer asks of a field."""

    def value(self, x):
        return x.norm(dim=-1) - 0.6

    def surface_geometry(self, x, surface, directions):
        gradient = torch.nn.functional.normalize(x, dim=-1)
        still = torch.zeros(len(surface), 3)
        return SimpleNamespace(
            sdf=self.value(x), gradient=gradient, feature=x[surface][:, :0], gradient_along=still,
            feature_along=still[:, :0],
        )  # fmt: skip


def test_similarity_of_the_drift_is_found(sphere_scene):
    given = sphere_scene.cameras.poses.double().numpy()
    np.testing.assert_allclose(align_poses(given, DRIFT.poses(given)).matrix(), DRIFT.matrix(), atol=1e-6)
