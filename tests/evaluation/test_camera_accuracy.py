"""Camera errors against closed forms."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from nsr.evaluation.camera_accuracy import compare_cameras, evaluate_cameras, write_camera_errors
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.perturb import perturb_cameras, write_perturbed_cameras


def poses_of(rotations, centres):
    poses = np.tile(np.eye(4), (len(centres), 1, 1))
    poses[:, :3, :3] = rotations.as_matrix()
    poses[:, :3, 3] = centres
    return poses


@pytest.fixture
def true_poses():
    generator = np.random.default_rng(0)
    return poses_of(Rotation.random(12, random_state=1), generator.normal(size=(12, 3)))


def moved(poses, rotation, scale, shift):
    """The poses seen from another frame."""
    matrix = rotation.as_matrix()
    result = poses.copy()
    result[:, :3, :3] = matrix @ poses[:, :3, :3]
    result[:, :3, 3] = scale * poses[:, :3, 3] @ matrix.T + shift
    return result


def test_a_similarity_is_taken_out_exactly(true_poses):
    rotation = Rotation.from_rotvec([0.4, -1.0, 2.0])
    accuracy = compare_cameras(moved(true_poses, rotation, 3.0, [5, -2, 1]), true_poses)
    assert accuracy.rotation_degrees.max() < 1e-7
    assert accuracy.centre_distances.max() < 1e-7
    assert accuracy.similarity.scale == pytest.approx(1 / 3)
    np.testing.assert_allclose(accuracy.similarity.rotation, rotation.inv().as_matrix(), atol=1e-9)


def test_one_bad_camera_does_not_spoil_the_others(true_poses):
    estimated = moved(true_poses, Rotation.from_rotvec([0.1, 0, 0]), 0.5, [1, 1, 1])
    estimated[3, :3, 3] += [1, 0, 0]
    accuracy = compare_cameras(estimated, true_poses)
    others = np.arange(12) != 3
    assert accuracy.centre_distances[others].max() < 1e-5
    assert accuracy.centre_distances[3] == pytest.approx(2, rel=1e-4)


def test_scale_and_shift_minimise_the_sum_of_distances(true_poses):
    generator = np.random.default_rng(3)
    estimated = true_poses.copy()
    estimated[:, :3, 3] += 0.2 * generator.standard_t(2, size=(12, 3))
    accuracy = compare_cameras(estimated, true_poses)

    def total(parameters):
        return np.linalg.norm(
            parameters[0] * estimated[:, :3, 3] + parameters[1:] - true_poses[:, :3, 3], axis=-1
        ).sum()

    best = minimize(total, [1, 0, 0, 0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 9000})
    assert accuracy.centre_distances.sum() == pytest.approx(best.fun, rel=1e-5)


@pytest.mark.parametrize("degrees", [1e-6, 0.5, 179.0])
def test_the_angle_of_a_single_turned_camera(true_poses, degrees):
    many = np.concatenate([true_poses] * 50)  # so that the alignment stays at the identity
    turned = many.copy()
    turned[0, :3, :3] = turned[0, :3, :3] @ Rotation.from_rotvec([0, np.radians(degrees), 0]).as_matrix()
    assert compare_cameras(turned, many).rotation_degrees[0] == pytest.approx(degrees, rel=0.01)


def test_a_scene_with_rough_cameras(sphere_scene_folder, sphere_scene, tmp_path):
    write_perturbed_cameras(sphere_scene_folder, 2.0, 0.05, seed=1)
    rough = load_scene(sphere_scene_folder, cam_file="cameras_linear_init.npz")
    expected = perturb_cameras(sphere_scene.cameras, 2.0, 0.05, seed=1)
    torch.testing.assert_close(rough.cameras.poses, expected.poses, atol=1e-5, rtol=0)
    accuracy = evaluate_cameras(rough.cameras.poses.numpy(), rough)
    assert len(accuracy.rotation_degrees) == len(rough.train_views) == 7
    assert 0.5 < accuracy.rotation_degrees.mean() < 2.5
    world_move = 0.05 * 3.0 * sphere_scene.scale
    assert 0.3 * world_move < accuracy.centre_distances.mean() <= 1.2 * world_move
    exact = evaluate_cameras(sphere_scene.cameras.poses.numpy(), sphere_scene)
    assert exact.rotation_degrees.max() < 1e-3 and exact.centre_distances.max() < 1e-4
    write_camera_errors(tmp_path / "cameras.csv", accuracy, exact, rough.train_views)
    lines = (tmp_path / "cameras.csv").read_text().split()
    assert lines[0] == "view,rotation_degrees,centre_distance,given_rotation_degrees,given_centre_distance"
    assert len(lines) == 8
    first = [float(entry) for entry in lines[1].split(",")]
    assert first == [
        rough.train_views[0], exact.rotation_degrees[0], exact.centre_distances[0], accuracy.rotation_degrees[0],
        accuracy.centre_distances[0],
    ]  # fmt: skip
    figures = accuracy.figures()
    assert figures["centre_distance_median"] == np.median(accuracy.centre_distances)
    assert figures["rotation_degrees_mean"] == accuracy.rotation_degrees.mean()
