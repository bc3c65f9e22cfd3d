"""Sparse points on and off a sphere, and which of them have a say."""

import copy

import numpy as np
import pytest
import torch

from nsr.errors import SceneError
from nsr.scenes.sparse_points import SPARSE_POINTS_FILE, SparsePoints, write_sparse_points
from nsr.training.sparse_surface import REACH, SparseSurface
from nsr.training.trainer import Trainer

RADIUS = 0.6
CPU = torch.device("cpu")


def to_world(scene, points):
    return np.asarray(points) @ scene.scale_mat[:3, :3].T + scene.scale_mat[:3, 3]


def points_of(scene, positions, tracks, errors=None):
    errors = [0.5] * len(tracks) if errors is None else errors
    return SparsePoints.from_tracks(to_world(scene, positions), errors, tracks)


def on_the_ball(count=300):
    normals = torch.nn.functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    return (RADIUS * normals).double().numpy()


def test_points_are_kept_by_their_training_views_and_masks(sphere_scene):
    positions = [[0.3, 0.2, 0.1], [0.3, 0.2, 0.1], [0, 0, 0.1], [0, 0, 0.95], [0, 0, 3.0]]
    #             seen by two      one but the held-out one  three    off the masks    outside the sphere
    tracks = [[0, 2], [1, 4], [0, 4, 5, 7], [0, 1, 2, 3], [0, 1]]
    surface = SparseSurface(sphere_scene, points_of(sphere_scene, positions, tracks))
    torch.testing.assert_close(surface.positions.double(), torch.tensor(positions)[[0, 2]].double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(surface.weights, torch.tensor([1 / 2, 2 / 3]) / 2)


def test_weights_fall_with_the_error_and_unknown_errors_are_typical(sphere_scene):
    points = points_of(sphere_scene, np.zeros((4, 3)), [[0, 1]] * 4, [1.0, 2.0, 6.0, np.nan])
    expected = 0.5 / (1 + torch.tensor([0.25, 1.0, 9.0, 1.0]))
    torch.testing.assert_close(SparseSurface(sphere_scene, points).weights, expected)


def test_the_loss_is_zero_on_the_surface_and_pulls_towards_it(sphere_scene):
    points = points_of(sphere_scene, on_the_ball(), [[0, 1, 2]] * 300)
    surface = SparseSurface(sphere_scene, points)
    radius = torch.tensor(0.62, requires_grad=True)
    loss = surface(lambda x: x.norm(dim=1) - radius)
    loss.backward()
    assert loss.item() == pytest.approx(0.02 / (1 + 0.02 / REACH), rel=1e-3) and radius.grad > 0
    assert surface(lambda x: x.norm(dim=1) - RADIUS) < 1e-6


def test_a_stray_point_pulls_less_than_those_near_the_surface(sphere_scene):
    slopes = []
    for distance in (0.0, 0.01, 0.3):
        surface = SparseSurface(sphere_scene, points_of(sphere_scene, [[0.1, 0, 0]], [[0, 1]]))
        value = torch.tensor(distance, requires_grad=True)
        surface(lambda x, value=value: value.expand(len(x))).backward()
        slopes.append(value.grad.item())
    assert slopes[1] > 0.5 and slopes[2] < 0.03


def test_points_are_drawn_by_their_weight(sphere_scene):
    positions = [[0.1, 0, 0], [-0.1, 0, 0]]
    surface = SparseSurface(sphere_scene, points_of(sphere_scene, positions, [[0, 1]] * 2, [1.0, 3.0]))
    drawn = []
    torch.manual_seed(0)
    for _ in range(40):
        surface(lambda x: (drawn.append((x[:, 0] > 0).float().mean()), x[:, 0])[1])
    share = torch.stack(drawn).mean().item()
    assert share == pytest.approx((surface.weights[0] / surface.weights.sum()).item(), abs=0.02) and share > 0.6


def test_scenes_without_points_have_none_and_damage_is_named(sphere_scene, tmp_path):
    scene = copy.copy(sphere_scene)
    scene.folder = tmp_path
    assert SparseSurface.of_scene(scene) is None
    write_sparse_points(tmp_path / SPARSE_POINTS_FILE, points_of(scene, [[0, 0, 0.95]], [[0, 1]]))
    assert SparseSurface.of_scene(scene) is None
    (tmp_path / SPARSE_POINTS_FILE).write_bytes(b"no points")
    with pytest.raises(SceneError, match=SPARSE_POINTS_FILE):
        SparseSurface.of_scene(scene)
    scene.folder = None
    assert SparseSurface.of_scene(scene) is None


def test_a_run_moves_its_surface_to_the_points(hull_config, sphere_scene, tmp_path):
    """And reads no point that held-out views alone have placed."""
    scene = copy.copy(sphere_scene)
    scene.folder = tmp_path
    inner = on_the_ball() * (0.5 / RADIUS)
    write_sparse_points(tmp_path / SPARSE_POINTS_FILE, points_of(scene, inner, [[0, 1, 2]] * 300))
    hull_config.loss.sparse_points_weight = 1.0
    trainer = Trainer(hull_config, scene, CPU)
    trainer.terms = [term for term in trainer.terms if term.name == "sparse_points"]
    at = trainer.sparse_surface.positions
    before = trainer.renderer.sdf.value(at).abs().mean().item()
    losses = [trainer.step() for _ in range(10)]
    assert losses[0]["sparse_points"] > 0
    trainer.renderer.set_progress(0.1)
    assert trainer.renderer.sdf.value(at).abs().mean().item() < 0.7 * before


def test_a_run_without_points_has_no_such_term(hull_config, sphere_scene):
    hull_config.loss.sparse_points_weight = 1.0
    assert "sparse_points" not in [term.name for term in Trainer(hull_config, sphere_scene, CPU).terms]
