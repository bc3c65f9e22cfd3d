"""The visual hull of the sphere scene."""

import numpy as np
import pytest
import torch

from nsr.errors import SceneError
from nsr.scenes.cameras import Cameras
from nsr.scenes.silhouettes import Silhouettes
from nsr.scenes.visual_hull import VisualHull

RESOLUTION = 64


def masks_of(truth, views=range(8)):
    return [torch.from_numpy(truth.render(view)[1]) for view in views]


@pytest.fixture(scope="module")
def hull(sphere_truth):
    return VisualHull.carve(masks_of(sphere_truth), sphere_truth.cameras.to(torch.float32), RESOLUTION)


def shell(radius, count=2000):
    generator = torch.Generator().manual_seed(0)
    return radius * torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)


def test_it_holds_the_object(hull, sphere_truth):
    pixel = 3.0 / 70  # one pixel at the object
    assert (hull.value(shell(sphere_truth.radius - pixel)) < 0).all()
    assert (hull.value(torch.rand(1000, 3) * 0.4 - 0.2) < 0).all()
    assert hull.resolution == RESOLUTION


def test_it_is_as_small_as_the_cones_make_it(hull, sphere_truth):
    """Against the hull of the analytic cones: a point is outside where any camera sees it outside the sphere's rim."""
    points = torch.rand(40000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    points = points[points.norm(dim=1) < 0.95].double()
    beyond = torch.full((len(points),), -np.inf, dtype=torch.float64)
    half_angle = np.arcsin(sphere_truth.radius / 3)
    for centre in sphere_truth.cameras.centres:
        along = torch.nn.functional.normalize(-centre, dim=0)
        to_point = points - centre
        angle = torch.arccos((to_point @ along) / to_point.norm(dim=1)) - half_angle
        beyond = torch.maximum(beyond, to_point.norm(dim=1) * torch.sin(angle))
    value = hull.value(points.float()).double()
    pixel = 3.0 / 70
    clear = beyond.abs() > pixel
    assert clear.sum() > 10000
    assert ((value > 0) == (beyond > 0))[clear].all()
    near = beyond.abs() < 0.15
    assert (value - beyond)[near].abs().mean() < 0.5 * pixel


def test_surface_points_lie_on_it(hull):
    points = hull.surface_points()
    assert len(points) > 500
    assert hull.value(points).abs().quantile(0.95) < 0.01
    radius = points.norm(dim=1)
    assert (radius > 0.5).all() and radius.median() == pytest.approx(0.63, abs=0.05)


def test_a_frame_that_cuts_the_object_does_not_cut_the_hull(sphere_truth):
    """One view sees only the left half of its picture: the half that it does not see stays as the others have it."""
    masks, cameras = masks_of(sphere_truth), sphere_truth.cameras.to(torch.float32)
    whole = VisualHull.carve(masks, cameras, RESOLUTION)
    masks[2] = masks[2][:, :32]
    cut = VisualHull.carve(masks, cameras, RESOLUTION)
    assert masks[2][:, -1].any()
    pixel = 3.0 / 70
    assert (cut.value(shell(sphere_truth.radius - pixel)) < 0).all()
    without = VisualHull.carve(
        [mask for view, mask in enumerate(masks) if view != 2], cameras.select([0, 1, 3, 4, 5, 6, 7]), RESOLUTION
    )
    inside = [int((hull.grid < 0).sum()) for hull in (whole, cut, without)]
    assert inside[0] <= inside[1] <= inside[2]


def test_what_few_cameras_see_is_no_object(sphere_truth):
    """A ball that only one frame in eight holds cannot be known to be there, whatever that one says."""
    cameras = sphere_truth.cameras.to(torch.float32)
    masks = [mask.fill_(True) for mask in masks_of(sphere_truth)]
    hull = VisualHull.carve(masks, cameras, RESOLUTION, seen_by=0.25)
    axis = torch.linspace(-1, 1, RESOLUTION)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 3)
    seen = torch.zeros(len(points))
    for view in range(8):
        pixels, depth = cameras.project(torch.full((len(points),), view), points)
        seen += (pixels > -0.5).all(1) & (pixels[:, 0] < 63.5) & (pixels[:, 1] < 47.5) & (depth > 0)
    expected = (seen >= 2) & (points.norm(dim=1) < 1)
    assert torch.equal(hull.grid.view(-1) < 0, expected)


def test_masks_that_contradict_each_other_leave_nothing(sphere_truth):
    cameras = sphere_truth.cameras.to(torch.float32)
    masks = masks_of(sphere_truth)
    masks[4] = torch.zeros_like(masks[4])
    masks[4][0, 0] = True
    with pytest.raises(SceneError, match="the visual hull is empty: .*inverted"):
        VisualHull.carve(masks, cameras, 32)
    away = Cameras(cameras.intrinsics, cameras.poses.clone())
    away.poses[:, :3, :3] = away.poses[:, :3, :3] @ torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    with pytest.raises(SceneError, match="camera convention"):
        VisualHull.carve(masks_of(sphere_truth), away, 32)


def spoilt(sphere_truth, *wrong):
    """Masks of the eight views; those of ``wrong`` show the left half of the object only."""
    masks = masks_of(sphere_truth)
    for view in wrong:
        masks[view][:, 31:] = False
    return masks


def volume(hull):
    return int((hull.grid < 0).sum())


def test_a_vote_passes_over_a_wrong_mask(sphere_truth):
    cameras = sphere_truth.cameras.to(torch.float32)
    pixel = 3.0 / 70
    ball = shell(sphere_truth.radius - pixel)
    veto = VisualHull.carve(spoilt(sphere_truth, 3), cameras, RESOLUTION)
    assert (veto.value(ball) > 0).float().mean() > 0.2
    vote = VisualHull.carve(spoilt(sphere_truth, 3), cameras, RESOLUTION, tolerance=0.13)
    assert (vote.value(ball) < 0).all()
    two_wrong = VisualHull.carve(spoilt(sphere_truth, 2, 3), cameras, RESOLUTION, tolerance=0.13)
    assert (two_wrong.value(ball) > 0).any()
    assert (VisualHull.carve(spoilt(sphere_truth, 2, 3), cameras, RESOLUTION, tolerance=0.26).value(ball) < 0).all()


def test_what_a_vote_says_is_the_ranked_distance(sphere_truth):
    """Against a sort of all views' distances, where views see different numbers of points."""
    cameras = sphere_truth.cameras.to(torch.float32)
    masks = masks_of(sphere_truth)
    masks[5] = masks[5][:, :30]
    silhouettes = Silhouettes(masks, cameras)
    hull = VisualHull.carve(masks, cameras, 24, tolerance=0.27, seen_by=0.0)
    axis = torch.linspace(-1, 1, 24)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 3)
    points = points[points.norm(dim=1) < 0.9]
    distances = torch.full((8, len(points)), -2.0)
    seen = torch.zeros(len(points))
    for view in range(8):
        distance, inside = silhouettes.distance(view, points)
        distances[view] = torch.where(inside, distance, distances[view])
        seen += inside
    rank = (0.27 * seen + 1e-6).long()
    assert set(rank.tolist()) == {1, 2}
    expected = distances.sort(dim=0, descending=True).values.gather(0, rank.unsqueeze(0)).squeeze(0)
    expected = torch.maximum(expected, points.norm(dim=1) - 1)
    torch.testing.assert_close(hull.value(points), expected, atol=1e-5, rtol=0)


def test_a_single_view_is_believed_beyond_the_noise_of_outlines(sphere_truth):
    cameras = sphere_truth.cameras.to(torch.float32)
    masks = spoilt(sphere_truth, 3)
    volumes = [
        volume(VisualHull.carve(masks, cameras, RESOLUTION, tolerance=0.13, outline_noise=noise))
        for noise in (0.0, 0.02, 0.1, 1.0)
    ]
    assert volumes[0] == volume(VisualHull.carve(masks, cameras, RESOLUTION))
    assert volumes[0] < volumes[1] < volumes[2] < volumes[3]
    assert volumes[3] == volume(VisualHull.carve(masks, cameras, RESOLUTION, tolerance=0.13))


def test_views_that_prove_nothing_do_not_count(sphere_truth):
    cameras = sphere_truth.cameras.to(torch.float32)
    others = [0, 1, 2, 4, 5, 6, 7]
    masks = spoilt(sphere_truth, 3)
    slacks = [0.0] * 8
    slacks[3] = float("inf")
    without = VisualHull.carve([masks[view] for view in others], cameras.select(others), RESOLUTION)
    assert torch.equal(VisualHull.carve(masks, cameras, RESOLUTION, slacks=slacks).grid, without.grid)
    slacks[3] = 0.2
    some = volume(VisualHull.carve(masks, cameras, RESOLUTION, slacks=slacks))
    assert volume(VisualHull.carve(masks, cameras, RESOLUTION)) < some < volume(without)


def test_rough_cameras_leave_a_margin(sphere_truth):
    exact = sphere_truth.cameras.to(torch.float32)
    generator = torch.Generator().manual_seed(0)
    rough = Cameras(exact.intrinsics, exact.poses.clone())
    rough.poses[:, :3, 3] += 0.06 * torch.randn(8, 3, generator=generator)
    ball = shell(sphere_truth.radius - 3.0 / 70)
    assert (VisualHull.carve(masks_of(sphere_truth), rough, RESOLUTION).value(ball) > 0).any()
    assert (VisualHull.carve(masks_of(sphere_truth), rough, RESOLUTION, camera_noise=0.12).value(ball) < 0).all()


@pytest.mark.parametrize("options", [{}, {"tolerance": 0.13}])
def test_it_never_proves_more_than_is_true(sphere_truth, options):
    """At grid points and between them, whichever masks are wrong, as long as no more are than tolerated."""
    cameras = sphere_truth.cameras.to(torch.float32)
    hull = VisualHull.carve(spoilt(sphere_truth, *([3] if options else [])), cameras, RESOLUTION, **options)
    points = torch.rand(20000, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    points = points[points.norm(dim=1) < 1]
    value, distance = hull.value(points), points.norm(dim=1) - sphere_truth.radius
    outside = value > 0
    pixel = 3.6 / 70  # at the far side: a mask is off by up to half of one
    assert (value - distance)[outside].max() < 0.5 * pixel + 1 / RESOLUTION
    assert (value / distance)[outside & (distance > 0.2)].median() > 0.6


def test_normals_point_outward(hull):
    points = hull.surface_points()
    normals = hull.normals(points)
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(len(points)))
    assert (normals * torch.nn.functional.normalize(points, dim=1)).sum(1).median() > 0.95
