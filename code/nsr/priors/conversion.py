"""Between the conventions that a stored bundle may have and the engine's own: the one place where this is done.

The engine's: ray lengths and unit normals in the normalised frame, linear colours, spherical harmonics of normals in
the normalised frame (``nsr.priors.bundle``).  ``scale_mat`` takes the normalised frame to world coordinates.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch

from nsr.errors import PriorError
from nsr.fields.spherical_harmonics import SphericalHarmonics
from nsr.priors.bundle import METRIC, PriorBundle
from nsr.priors.bundle_file import (
    METRES,
    BundleHeader,
    DepthConvention,
    DirectionConvention,
    StoredBundle,
    confidence_of,
)
from nsr.scenes.cameras import Cameras
from nsr.scenes.depth_map import pixels_at_depth_one
from nsr.scenes.resize import resize_intrinsics
from nsr.scenes.scene import Scene
from nsr.scenes.synthetic.layouts import fibonacci_sphere

LEAST_OVERLAP = 0.1  # share of a view's pixels that its bundle must show
_OPENGL = np.diag([1.0, -1.0, -1.0])  # OpenGL's camera axes to OpenCV's, and back


@dataclass(frozen=True)
class ViewFrame:
    """The camera of one view, and where its normalised frame lies in the world.

    Attributes:
        intrinsics: ``[3, 3]`` float64, skew kept; pose: ``[4, 4]`` float64, camera (OpenCV) to normalised frame.
        scale_mat: ``[4, 4]`` float64 similarity, normalised to world.
        size: height and width in pixels.
    """

    intrinsics: np.ndarray
    pose: np.ndarray
    scale_mat: np.ndarray
    size: tuple[int, int]

    @classmethod
    def of_scene(cls, scene: Scene, view: int) -> ViewFrame:
        """The frame of the scene's view with this index."""
        cameras = scene.cameras
        intrinsics, pose = (matrices[view].double().cpu().numpy() for matrices in (cameras.intrinsics, cameras.poses))
        return cls(intrinsics, pose, scene.scale_mat, tuple(scene.masks[view].shape))

    @property
    def scale(self) -> float:
        """World units per unit of the normalised frame."""
        return float(np.cbrt(abs(np.linalg.det(self.scale_mat[:3, :3]))))

    def at_depth_one(self) -> np.ndarray:
        """``[H, W, 3]``: where pixels' rays are at depth 1, in the camera's frame."""
        return pixels_at_depth_one(self.intrinsics, self.size)

    def ray_per_depth(self) -> np.ndarray:
        """``[H, W]``: length of a pixel's ray per unit of depth along the optical axis; at least 1."""
        return np.linalg.norm(self.at_depth_one(), axis=-1)

    def points(self, length: np.ndarray) -> np.ndarray:
        """``[H, W, 3]`` in the normalised frame, this far along pixels' rays; ``length [H, W]``."""
        along = self.at_depth_one()
        along *= (length / np.linalg.norm(along, axis=-1))[..., None]
        return self.pose[:3, 3] + along @ self.pose[:3, :3].T

    def rotation(self, convention: DirectionConvention) -> np.ndarray:
        """``[3, 3]``: directions in the frame and axes of ``convention`` to the normalised frame."""
        if convention.frame == "world":
            return (self.scale_mat[:3, :3] / self.scale).T
        return self.pose[:3, :3] @ (_OPENGL if convention.axes == "opengl" else np.eye(3))


def to_engine(stored: StoredBundle, frame: ViewFrame, source: str) -> PriorBundle:
    """A checked bundle in the engine's convention, at the pixels of its view.

    Maps of another size than the view, or of other intrinsics at the same camera centre and orientation, are sampled
    at the nearest pixel; what they do not show has confidence 0.

    Raises:
        PriorError: the maps do not show what the view shows, or the normals face away from the camera, which is what
            a wrong frame or wrong axes look like; one line that begins with ``source``.
    """
    header, arrays = stored.header, stored.arrays
    theirs = _intrinsics(header, frame, source)
    rows, columns, shown = _nearest_pixels(theirs, (header.height, header.width), frame, source)

    def sampled(values: np.ndarray) -> np.ndarray:
        return values[rows, columns]

    maps: dict[str, np.ndarray] = {}
    for name in ("depth", "normal", "albedo", "shading"):
        if name in arrays:
            confidence = sampled(confidence_of(stored, name)) * shown
            values = sampled(_along_axis(arrays[name], header, theirs) if name == "depth" else arrays[name])
            values = values.astype(np.float64)
            maps[f"{name}_confidence"] = confidence.astype(np.float32)
            maps[name] = np.where(confidence.reshape(confidence.shape + (1,) * (values.ndim - 2)) > 0, values, 0.0)
    if "depth" in maps and header.depth.kind == METRIC:
        maps["depth"] = maps["depth"] * _normalised_units(header.depth, frame) * frame.ray_per_depth()
    if "normal" in maps:
        normal = maps["normal"] @ frame.rotation(header.normal).T
        maps["normal"] = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
        _check_facing(maps["normal"], maps["normal_confidence"], frame, source)
    for name in ("albedo", "shading"):
        if name in maps and getattr(header, name).space == "srgb":
            maps[name] = linear_of_srgb(maps[name])
    if "sh" in arrays:
        maps["harmonics"] = rotate_harmonics(arrays["sh"], frame.rotation(header.sh))
        if "shading_confidence" not in maps:
            given = arrays.get("shading_confidence")
            maps["shading_confidence"] = (shown if given is None else sampled(given) * shown).astype(np.float32)
    told = {"depth_kind": header.depth.kind, "affine_measure": header.depth.measure} if "depth" in maps else {}
    told |= {"normal_frame": header.normal.frame} if "normal" in maps else {}
    told |= {"light_frame": header.sh.frame} if "harmonics" in maps else {}
    return PriorBundle(header.view, header.scene, **{name: v.astype(np.float32) for name, v in maps.items()}, **told)


def to_stored(bundle: PriorBundle, frame: ViewFrame, header: BundleHeader) -> StoredBundle:
    """The inverse of ``to_engine``: ``bundle`` in the conventions that ``header`` states, at its view's pixels.

    Args:
        header: its size, and its intrinsics where it has some, must be the view's; what the bundle holds and the
            header has no convention for is left out.
    """
    arrays: dict[str, np.ndarray] = {}
    for name in ("depth", "normal", "albedo", "shading"):
        values, convention = getattr(bundle, name), getattr(header, name)
        if values is not None and convention is not None:
            arrays[name] = values.astype(np.float64)
            arrays[f"{name}_confidence"] = getattr(bundle, f"{name}_confidence")
    if "depth" in arrays and header.depth.kind == METRIC:
        along = frame.ray_per_depth() if header.depth.measure == "z" else 1.0
        arrays["depth"] = arrays["depth"] / (_normalised_units(header.depth, frame) * along)
    if "normal" in arrays:
        arrays["normal"] = arrays["normal"] @ frame.rotation(header.normal)
    for name in ("albedo", "shading"):
        if name in arrays and getattr(header, name).space == "srgb":
            arrays[name] = srgb_of_linear(arrays[name])
    if bundle.harmonics is not None and header.sh is not None:
        arrays["sh"] = rotate_harmonics(bundle.harmonics, frame.rotation(header.sh).T)
    return StoredBundle(
        replace(header, height=frame.size[0], width=frame.size[1]),
        {name: values.astype(np.float32) for name, values in arrays.items()},
    )


def metric_points(bundle: PriorBundle, cameras: Cameras, view: int) -> np.ndarray:
    """``[H, W, 3]`` float32: where a bundle's metric depth lies in the normalised frame; without meaning where it has
    no value.  ``cameras`` are of all views, ``view`` is the bundle's index among them."""
    v, u = np.mgrid[: bundle.size[0], : bundle.size[1]]
    pixels = torch.from_numpy(np.stack([u.ravel(), v.ravel()], axis=1)).to(torch.float32)
    origins, directions = cameras.to("cpu", torch.float32).rays(torch.full((len(pixels),), view), pixels)
    points = origins + torch.from_numpy(bundle.depth).view(-1, 1) * directions
    return points.view(*bundle.size, 3).numpy()


def rotate_harmonics(coefficients: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """``[9, C]`` coefficients of a function of directions d, for the same function of ``rotation @ d``.

    Exact: bands are closed under rotation, so the values at enough directions determine the result.
    """
    directions = fibonacci_sphere(64, elevation=0.0)
    before = harmonics_at(torch.from_numpy(directions)).numpy()
    after = harmonics_at(torch.from_numpy(directions @ rotation.T)).numpy()
    return np.linalg.lstsq(after, before @ coefficients, rcond=None)[0]


def harmonics_at(normals: torch.Tensor) -> torch.Tensor:
    """``[N, 9]`` orthonormal real spherical harmonics at unit ``normals [N, 3]``; differentiable."""
    return _harmonics(normals.device, normals.dtype)(normals)[:, 3:]


@functools.lru_cache(maxsize=4)
def _harmonics(device: torch.device, dtype: torch.dtype) -> SphericalHarmonics:
    return SphericalHarmonics(degree=3).to(device, dtype)


def linear_of_srgb(values: np.ndarray) -> np.ndarray:
    """Linear intensities of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0.04045) + 0.055) / 1.055) ** 2.4)


def srgb_of_linear(values: np.ndarray) -> np.ndarray:
    """The inverse of ``linear_of_srgb``."""
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * np.maximum(values, 0.0031308) ** (1 / 2.4) - 0.055)


def _normalised_units(convention: DepthConvention, frame: ViewFrame) -> float:
    """Units of the normalised frame per unit of a metric depth."""
    world = METRES[convention.unit] / convention.metres_per_scene_unit if convention.unit in METRES else 1.0
    return world / frame.scale


def _along_axis(depth: np.ndarray, header: BundleHeader, intrinsics: np.ndarray) -> np.ndarray:
    """A metric depth along the optical axis, at the maps' own pixels: unlike a ray's length, it is the same for a
    pixel beside.  An affine depth stays what it is."""
    if header.depth.kind == METRIC and header.depth.measure == "ray":
        return depth / np.linalg.norm(pixels_at_depth_one(intrinsics, depth.shape), axis=-1)
    return depth


def _intrinsics(header: BundleHeader, frame: ViewFrame, source: str) -> np.ndarray:
    """``[3, 3]`` of the maps: as stated, else the view's, at their size."""
    if header.intrinsics is not None:
        return np.asarray(header.intrinsics, dtype=np.float64)
    size, (height, width) = (header.height, header.width), frame.size
    # One pixel of rounding on the shorter side is what a downsized picture may differ by.
    if abs(header.width * height - header.height * width) > max(width, height, *size):
        raise PriorError(
            f"{source}: the maps are {header.width} x {header.height} (width x height) but the view is {width} x "
            f"{height}, of another shape; give the maps the view's size, or state their intrinsics"
        )
    return resize_intrinsics(frame.intrinsics, frame.size, size)


def _nearest_pixels(
    intrinsics: np.ndarray, size: tuple[int, int], frame: ViewFrame, source: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every pixel of the view, row and column of the nearest pixel of maps of these intrinsics and size (height,
    width), and whether they show it."""
    there = frame.at_depth_one() @ intrinsics.T
    # What lies far outside need not fit into a whole number.
    columns, rows = (np.round(there[..., axis].clip(-1e9, 1e9)).astype(np.int64) for axis in range(2))
    shown = (columns >= 0) & (rows >= 0) & (columns < size[1]) & (rows < size[0])
    if shown.mean() < LEAST_OVERLAP:
        raise PriorError(
            f"{source}: by their intrinsics the maps show {shown.mean():.0%} of the view; they are of another camera"
        )
    return rows.clip(0, size[0] - 1), columns.clip(0, size[1] - 1), shown


def _check_facing(normal: np.ndarray, confidence: np.ndarray, frame: ViewFrame, source: str) -> None:
    toward = (normal * (frame.at_depth_one() @ frame.pose[:3, :3].T)).sum(-1)
    known = confidence > 0
    if known.any() and (toward[known] > 0).mean() > 0.5:
        raise PriorError(
            f"{source}: {(toward[known] > 0).mean():.0%} of the normals face away from the camera; the header's frame "
            "or axes (camera or world, opencv or opengl) must be wrong"
        )
