import numpy as np
import pytest
import torch
import trimesh

from nsr.meshing.visibility import EmbreeViewer, PointViewer, project, surface_viewer, views_that_see
from nsr.scenes.synthetic.ray_casting import embree_is_installed

SIZE = (48, 64)
TRUTH = trimesh.creation.icosphere(5, 0.6)


@pytest.fixture(scope="module", params=["embree", "points"])
def viewer(request):
    if request.param == "points":
        return PointViewer(TRUTH)
    if not embree_is_installed():
        pytest.skip("embreex is not installed")
    return EmbreeViewer(TRUTH)


def test_a_sphere_is_seen_up_to_its_limb(viewer, sphere_scene):
    """A point of a sphere about the origin is seen from c exactly where its normal p / r has (c - p) . p > 0."""
    points = trimesh.sample.sample_surface(TRUTH, 4000, seed=0)[0]
    for view in (0, 3):
        cosine = ((sphere_scene.cameras.centres[view].numpy() - points) * points).sum(axis=1)
        clear = np.abs(cosine) > 0.12 * 3 * 0.6  # off the limb by more than a coarse pixel
        seen = viewer.in_sight(sphere_scene.cameras, view, points, SIZE)
        assert (seen[clear] == (cosine[clear] > 0)).all()


def test_silhouette_is_the_mask(viewer, sphere_scene):
    for view in range(3):
        mask = sphere_scene.masks[view].numpy()
        found = viewer.silhouette(sphere_scene.cameras, view, SIZE)
        outline = 0.005 if isinstance(viewer, EmbreeViewer) else 0.02
        assert np.count_nonzero(found ^ mask) <= outline * np.count_nonzero(mask)


def test_depth_is_along_the_optical_axis(viewer, sphere_scene, sphere_truth):
    pixels = np.array([[31, 24], [36, 20], [25, 27], [0, 0]])
    depth = viewer.depth(sphere_scene.cameras, 2, pixels, SIZE)
    assert depth[3] == 0
    origins, directions = sphere_truth.cameras.rays(torch.full((3,), 2), torch.tensor(pixels[:3]).double())
    along = -(origins * directions).sum(-1)
    along -= (along**2 - 9 + 0.36).sqrt()
    expected = (along * (directions @ sphere_truth.cameras.poses[2, :3, 2])).numpy()
    assert depth[:3] == pytest.approx(expected, abs=1e-3 if isinstance(viewer, EmbreeViewer) else 5e-3)


def test_points_outside_the_frame_or_behind_the_camera_are_not_seen(sphere_scene):
    viewer = surface_viewer(TRUTH)
    cameras = sphere_scene.cameras
    behind = (cameras.centres[0] * 2).numpy()[None]
    beside = (cameras.centres[0] + cameras.poses[0, :3, 2] + 3 * cameras.poses[0, :3, 0]).numpy()[None]
    assert project(cameras, 0, behind, SIZE)[1][0] < 0
    assert project(cameras, 0, beside, SIZE)[1][0] > 0
    assert not viewer.in_sight(cameras, 0, np.concatenate([behind, beside]), SIZE).any()


def test_counts_add_up_over_views(sphere_scene):
    points = trimesh.sample.sample_surface(TRUTH, 500, seed=0)[0]
    viewer = surface_viewer(TRUTH)
    sizes = [SIZE] * 8
    each = sum(viewer.in_sight(sphere_scene.cameras, view, points, SIZE).astype(int) for view in (1, 2, 6))
    assert (views_that_see(viewer, points, sphere_scene.cameras, [1, 2, 6], sizes) == each).all()
