"""Every convention against exact maps of a sphere, and back again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nsr.errors import PriorError
from nsr.priors.bundle import PriorBundle
from nsr.priors.bundle_file import (
    BundleHeader,
    ColourConvention,
    DepthConvention,
    DirectionConvention,
    StoredBundle,
)
from nsr.priors.conversion import (
    ViewFrame,
    harmonics_at,
    linear_of_srgb,
    rotate_harmonics,
    srgb_of_linear,
    to_engine,
    to_stored,
)
from nsr.scenes.resize import resize_intrinsics

# How depths of the normalised frame are told in other units; the sphere's world has 2.5 units in one of those.
UNITS = {
    "scene": (DepthConvention("metric", "scene"), 2.5),
    "mm, world in metres": (DepthConvention("metric", "mm", metres_per_scene_unit=1.0), 2500.0),
    "m, world in millimetres": (DepthConvention("metric", "m", metres_per_scene_unit=0.001), 0.0025),
}


def turned(frame, seed=3):
    """The frame with a ``scale_mat`` that turns, too: the world's axes are not the normalised frame's."""
    scale_mat = frame.scale_mat.copy()
    scale_mat[:3, :3] = 2.5 * Rotation.random(random_state=seed).as_matrix()
    return replace(frame, scale_mat=scale_mat)


def header_of(frame, **conventions):
    return BundleHeader("sphere", "000", frame.size[1], frame.size[0], **conventions)


@pytest.mark.parametrize("measure", ["z", "ray"])
@pytest.mark.parametrize("unit", UNITS)
def test_depths_of_every_unit_become_ray_lengths(unit, measure, sphere_maps):
    exact = sphere_maps(2)
    convention, factor = UNITS[unit]
    depth = factor * (exact.z if measure == "z" else exact.ray)
    header = header_of(exact.frame, depth=replace(convention, measure=measure))
    bundle = to_engine(StoredBundle(header, {"depth": depth}), exact.frame, "here")
    np.testing.assert_allclose(bundle.depth, exact.ray, rtol=1e-6)
    assert np.array_equal(bundle.depth_confidence, exact.mask)
    assert bundle.depth.dtype == np.float32 and bundle.depth_kind == "metric" and bundle.size == (48, 64)


def test_affine_depths_keep_their_values_and_their_measure(sphere_maps):
    exact = sphere_maps(1)
    header = header_of(exact.frame, depth=DepthConvention("affine", measure="ray"))
    bundle = to_engine(StoredBundle(header, {"depth": 1 - exact.z}), exact.frame, "here")
    np.testing.assert_allclose(bundle.depth, 1 - exact.z, rtol=1e-6)
    assert (bundle.depth_kind, bundle.affine_measure) == ("affine", "ray")


@pytest.mark.parametrize("frame_name", ["opencv", "opengl", "world"])
def test_normals_of_every_frame_become_those_of_the_normalised_frame(frame_name, sphere_maps):
    exact = sphere_maps(5)
    frame = turned(exact.frame)
    if frame_name == "world":
        theirs = exact.normal @ (frame.scale_mat[:3, :3] / 2.5).T
        convention = DirectionConvention("world")
    else:
        theirs = exact.normal @ frame.pose[:3, :3]  # into the camera's frame
        theirs = theirs * ([1, -1, -1] if frame_name == "opengl" else [1, 1, 1])
        convention = DirectionConvention("camera", frame_name)
    bundle = to_engine(StoredBundle(header_of(frame, normal=convention), {"normal": theirs}), frame, "here")
    np.testing.assert_allclose(bundle.normal, exact.normal, atol=1e-6)


@pytest.mark.parametrize("axes", ["opencv", "opengl"])
@pytest.mark.parametrize("frame_name", ["camera", "world"])
@pytest.mark.parametrize("measure", ["z", "ray"])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("space", ["linear", "srgb"])
def test_there_and_back(unit, measure, frame_name, axes, space, sphere_maps):
    exact = sphere_maps(3)
    frame = turned(exact.frame)
    random = np.random.default_rng(1)
    confidence = (random.random(frame.size) * exact.mask).astype(np.float32)
    seen = confidence[..., None] > 0
    bundle = PriorBundle(
        "000", "sphere",
        depth=np.where(confidence > 0, exact.ray, 0).astype(np.float32), depth_confidence=confidence,
        normal=np.where(seen, exact.normal, 0).astype(np.float32), normal_confidence=confidence,
        albedo=np.where(seen, random.random((*frame.size, 3)), 0).astype(np.float32), albedo_confidence=confidence,
        shading=np.where(seen, random.random((*frame.size, 3)), 0).astype(np.float32), shading_confidence=confidence,
        harmonics=random.normal(size=(9, 3)).astype(np.float32),
    )  # fmt: skip
    header = header_of(
        frame,
        depth=replace(UNITS[unit][0], measure=measure),
        normal=DirectionConvention(frame_name, axes),
        sh=DirectionConvention(frame_name, axes),
        albedo=ColourConvention(space),
        shading=ColourConvention(space),
    )
    again = to_engine(to_stored(bundle, frame, header), frame, "here")
    for name in ("depth", "normal", "albedo", "shading", "harmonics"):
        np.testing.assert_allclose(getattr(again, name), getattr(bundle, name), atol=2e-6, rtol=1e-5, err_msg=name)
        if name != "harmonics":
            assert np.array_equal(getattr(again, f"{name}_confidence"), confidence)


def test_turned_harmonics_shade_turned_normals_alike():
    """Against the definition, at normals that had no part in finding the coefficients."""
    coefficients = np.random.default_rng(0).normal(size=(9, 3))
    rotation = Rotation.random(random_state=1).as_matrix()
    normals = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=1)
    before = harmonics_at(normals).numpy() @ coefficients
    after = harmonics_at(normals @ torch.from_numpy(rotation).T).numpy() @ rotate_harmonics(coefficients, rotation)
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_the_harmonics_are_orthonormal_and_in_the_order_that_is_stated():
    x, y, z = torch.nn.functional.normalize(torch.randn(20, 3, dtype=torch.float64), dim=1).unbind(1)
    basis = harmonics_at(torch.stack([x, y, z], dim=1))
    expected = {0: 0.28209479 * torch.ones_like(x), 1: 0.48860251 * y, 2: 0.48860251 * z, 3: 0.48860251 * x}
    expected |= {4: 1.09254843 * x * y, 6: 0.31539157 * (3 * z**2 - 1), 8: 0.54627422 * (x**2 - y**2)}
    for index, values in expected.items():
        torch.testing.assert_close(basis[:, index], values, atol=1e-6, rtol=0)


def test_srgb_at_its_published_points():
    assert linear_of_srgb(np.array([0.0, 0.04045, 0.5, 1.0])) == pytest.approx([0, 0.0031308, 0.2140411, 1], abs=1e-6)
    values = np.linspace(0, 1, 101)
    np.testing.assert_allclose(srgb_of_linear(linear_of_srgb(values)), values, atol=1e-6)


def test_maps_of_half_the_size_show_the_same(sphere_maps):
    exact = sphere_maps(4)
    intrinsics = resize_intrinsics(exact.frame.intrinsics, (48, 64), (24, 32))
    small = replace(exact.frame, size=(24, 32), intrinsics=intrinsics)
    z = np.full((24, 32), 3.0)  # a plane across the optical axis has this depth wherever its pixels lie
    header = header_of(small, depth=DepthConvention("metric", "scene"))
    bundle = to_engine(StoredBundle(header, {"depth": z}), exact.frame, "here")
    np.testing.assert_allclose(bundle.depth, 3 / 2.5 * exact.frame.ray_per_depth(), rtol=1e-6)


def test_a_ray_length_is_that_of_its_own_pixel(sphere_maps):
    """A pixel of a map of a sixth of the size stands for others, whose rays to the same plane are longer or shorter."""
    frame = sphere_maps(4).frame
    small = replace(frame, size=(8, 10), intrinsics=resize_intrinsics(frame.intrinsics, frame.size, (8, 10)))
    header = BundleHeader("sphere", "000", 10, 8, depth=DepthConvention("metric", "scene", "ray"))
    bundle = to_engine(StoredBundle(header, {"depth": 3 * small.ray_per_depth()}), frame, "here")
    np.testing.assert_allclose(bundle.depth, 3 / 2.5 * frame.ray_per_depth(), rtol=1e-6)


def test_points_lie_on_the_rays(sphere_maps):
    exact = sphere_maps(2)
    points = exact.frame.points(exact.ray)[exact.mask]
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 0.6, rtol=1e-6)
    np.testing.assert_allclose(points / 0.6, exact.normal[exact.mask], atol=1e-6)


def test_maps_of_a_wider_camera_are_looked_up_by_their_intrinsics(sphere_maps):
    """A map that holds its own pixel coordinates as depth says where each pixel was found."""
    exact = sphere_maps(0)
    theirs = np.array([[35.0, 0.0, 40.0], [0.0, 36.0, 30.0], [0, 0, 1]])
    v, u = np.mgrid[:60, :80]
    header = BundleHeader(
        "sphere", "000", 80, 60, depth=DepthConvention("metric", "scene"), intrinsics=theirs.tolist()
    )
    bundle = to_engine(StoredBundle(header, {"depth": 1 + 100.0 * v + u}), exact.frame, "here")
    found = np.round(bundle.depth * 2.5 / exact.frame.ray_per_depth() - 1)
    v, u = np.mgrid[:48, :64]
    in_camera = np.linalg.inv(exact.frame.intrinsics) @ np.stack([u.ravel(), v.ravel(), np.ones(u.size)])
    there = theirs @ in_camera
    inside = (there[0] > -0.5) & (there[0] < 79.5) & (there[1] > -0.5) & (there[1] < 59.5)
    expected = np.where(inside, 100 * np.round(there[1]) + np.round(there[0]), -1).reshape(48, 64)
    assert np.array_equal(found, expected)
    assert np.array_equal(bundle.depth_confidence > 0, inside.reshape(48, 64))


def test_a_map_of_another_shape_is_refused(sphere_maps):
    frame = sphere_maps(0).frame
    header = BundleHeader("sphere", "000", 48, 48, depth=DepthConvention("metric", "scene"))
    with pytest.raises(PriorError, match="here: the maps are 48 x 48 .* but the view is 64 x 48"):
        to_engine(StoredBundle(header, {"depth": np.ones((48, 48))}), frame, "here")
    shifted = frame.intrinsics + [[0, 0, 60], [0, 0, 0], [0, 0, 0]]
    header = replace(header, intrinsics=shifted.tolist())
    with pytest.raises(PriorError, match="show 0% of the view; they are of another camera"):
        to_engine(StoredBundle(header, {"depth": np.ones((48, 48))}), frame, "here")


def test_normals_in_the_wrong_axes_are_found_out(sphere_maps):
    exact = sphere_maps(0)
    header = header_of(exact.frame, normal=DirectionConvention("camera", "opengl"))
    in_opencv = exact.normal @ exact.frame.pose[:3, :3]
    with pytest.raises(PriorError, match="face away from the camera; the header's frame or axes"):
        to_engine(StoredBundle(header, {"normal": in_opencv}), exact.frame, "here")


def test_a_frame_is_the_scenes_own(sphere_scene, sphere_maps):
    frame, exact = ViewFrame.of_scene(sphere_scene, 2), sphere_maps(2).frame
    np.testing.assert_allclose(frame.intrinsics, exact.intrinsics, atol=1e-4)
    np.testing.assert_allclose(frame.pose, exact.pose, atol=1e-6)
    assert frame.size == exact.size and frame.scale == pytest.approx(2.5)
