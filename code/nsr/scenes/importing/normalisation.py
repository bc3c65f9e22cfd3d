"""The unit sphere: which part of a source's world the object is in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nsr.errors import SceneError

MARGIN = 1.1  # of the sphere's radius over the object's
MASK_SIZE = 240  # of the longer side of the masks that are looked at
GRID = 48  # points along each axis of the grid that is carved
GROWTH = 1.6  # of the grid, while the object reaches its border
ROUNDS = 8
RIDGE = 1e-6  # keeps the point nearest to parallel rays finite


@dataclass
class Sphere:
    """Centre ``[3]`` and radius in the source's world."""

    centre: np.ndarray
    radius: float

    @property
    def scale_mat(self) -> np.ndarray:
        """``[4, 4]`` similarity from the normalised frame to the world."""
        matrix = np.diag([self.radius, self.radius, self.radius, 1.0])
        matrix[:3, 3] = self.centre
        return matrix


def normalised_poses(poses: np.ndarray, sphere: Sphere) -> np.ndarray:
    """Camera-to-world poses ``[V, 4, 4]`` in the frame in which ``sphere`` is the unit sphere."""
    poses = poses.copy()
    poses[:, :3, 3] = (poses[:, :3, 3] - sphere.centre) / sphere.radius
    return poses


def sphere_by_hand(centre, radius: float) -> Sphere:
    """The sphere that a person gives, without a margin.

    Raises:
        SceneError: not three finite numbers and a radius above zero.
    """
    centre = np.asarray(centre, dtype=np.float64)
    if centre.shape != (3,) or not np.isfinite(centre).all() or not (np.isfinite(radius) and radius > 0):
        raise SceneError(f"centre {centre.tolist()} and radius {radius}: give three numbers and one above zero")
    return Sphere(centre, float(radius))


def sphere_of_box(low, high) -> Sphere:
    """The sphere round a box that holds the object, with the usual margin.

    Raises:
        SceneError: the corners are not finite, or the low one is not below the high one.
    """
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if not (np.isfinite([low, high]).all() and (low < high).all()):
        raise SceneError(
            f"the box from {low.tolist()} to {high.tolist()} is empty: give its low corner, then its high one"
        )
    return Sphere((low + high) / 2, float(np.linalg.norm(high - low)) / 2 * MARGIN)


def sphere_from_points(positions: np.ndarray, errors: np.ndarray, poses: np.ndarray) -> Sphere:
    """The sphere round the sparse points near to where the cameras look.

    Points nearer to that focus than 0.6 of the median camera are taken; of those, what lies far from the middle of
    the others is dropped, three times over.

    Args:
        positions: ``[P, 3]``; errors: ``[P]`` in pixels or NaN; poses: ``[V, 4, 4]`` camera to world.

    Raises:
        SceneError: there are too few points to tell.
    """
    focus = nearest_point(poses[:, :3, 3], poses[:, :3, 2])
    distance = float(np.median(np.linalg.norm(poses[:, :3, 3] - focus, axis=1)))
    good = np.isfinite(positions).all(axis=1)
    if np.isfinite(errors).any():
        good &= ~(errors > 3 * np.nanmedian(errors))
    near = positions[good & (np.linalg.norm(positions - focus, axis=1) < 0.6 * distance)]
    if len(near) < 10:
        raise SceneError(
            f"only {len(near)} of {len(positions)} sparse points lie where the cameras look: they do not tell where "
            "the object is; give --center and --radius"
        )
    for _ in range(3):
        away = np.linalg.norm(near - np.median(near, axis=0), axis=1)
        near = near[away <= 3 * np.median(away)]
    low, high = np.percentile(near, [1, 99], axis=0)
    centre = (low + high) / 2
    radius = float(np.percentile(np.linalg.norm(near - centre, axis=1), 99)) * MARGIN
    if not radius > 0:
        raise SceneError("all sparse points are one point; give --center and --radius")
    return Sphere(centre, radius)


def sphere_from_masks(
    masks: list[np.ndarray], intrinsics: np.ndarray, poses: np.ndarray, agreement: float = 0.9
) -> Sphere:
    """The sphere round what the masks leave: a coarse visual hull, looked for from where the masks' middles meet.

    Works from three views up.  A view whose frame cuts the object does not know what is outside the frame; a view that
    has the object whole knows that it is not there.

    Args:
        masks: per view ``[H, W]`` bool; intrinsics: ``[V, 3, 3]``; poses: ``[V, 4, 4]`` camera to world, all of any
            scale and place.
        agreement: a point is the object's when at least this fraction of the views that see it have it in their masks;
            below 1, one wrong mask in ten does no harm.

    Raises:
        SceneError: fewer than three views, an empty or a full mask, or masks and cameras that contradict each other.
    """
    if len(masks) < 3:
        raise SceneError(f"{len(masks)} views are too few to find the object from its masks: 3 are needed")
    for view, mask in enumerate(masks):
        if mask.all() or not mask.any():
            raise SceneError(
                f"view {view}: a mask that is {'full' if mask.any() else 'empty'} does not say where it is"
            )
    if np.ptp(poses[:, :3, 3], axis=0).max() == 0:
        raise SceneError("all cameras stand in one point: masks from there do not tell how far the object is")
    small, scales = zip(*map(_small, masks), strict=True)
    middles = np.array([np.argwhere(mask).mean(axis=0)[::-1] for mask in masks])
    rays = np.stack([np.linalg.solve(k, [*uv, 1.0]) for k, uv in zip(intrinsics, middles, strict=True)])
    directions = (poses[:, :3, :3] @ rays[..., None])[..., 0]
    centre = nearest_point(poses[:, :3, 3], directions)
    depths = np.linalg.norm(poses[:, :3, 3] - centre, axis=1)
    focal = (intrinsics[:, 0, 0] + intrinsics[:, 1, 1]) / 2
    extents = [np.ptp(np.argwhere(mask), axis=0).max() / 2 + 1 for mask in masks]
    half = float(np.median(extents / focal * depths)) * 2
    if not (np.isfinite(half) and half > 0):
        raise SceneError("masks and cameras put the object nowhere; check the cameras, or give --center and --radius")
    grown = False
    for _ in range(ROUNDS):
        points, kept, best = _carve(centre, half, small, scales, intrinsics, poses, agreement)
        if not kept.any():
            raise SceneError(
                f"masks and cameras contradict each other: no point lies in more than {best:.0%} of the masks that see "
                f"it, and {agreement:.0%} are asked for; check masks and camera convention, or lower --agreement"
            )
        inside = points[kept]
        low, high = inside.min(axis=0), inside.max(axis=0)
        reaches_border = ((low <= centre - half * 0.97) | (high >= centre + half * 0.97)).any()
        centre = (low + high) / 2
        extent = float(np.linalg.norm(inside - centre, axis=1).max())
        if not reaches_border:
            cell = 2 * half / (GRID - 1)
            if cell < extent / 12:
                return Sphere(centre, (extent + cell / 2) * MARGIN)
            half = extent * 1.3  # look again with finer cells
        elif grown and half > 4 * float(np.median(depths)):
            break
        else:
            half, grown = half * GROWTH, True
    return Sphere(centre, extent * MARGIN)


def nearest_point(origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The point ``[3]`` with least squared distance to rays ``[V, 3]``; for parallel rays, the one nearest to them
    and, along them, to a place before the cameras."""
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    middle = origins.mean(axis=0)
    reach = max(float(np.linalg.norm(origins - middle, axis=1).max()), 1e-12)
    anchor = middle + directions.mean(axis=0) * reach
    matrix = across.sum(axis=0) + RIDGE * np.eye(3)
    return np.linalg.solve(matrix, (across @ origins[..., None]).sum(axis=0)[:, 0] + RIDGE * anchor)


def _small(mask: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """A mask at ``MASK_SIZE``, True wherever any of it was, and its scale along u and v."""
    height, width = mask.shape
    scale = min(1.0, MASK_SIZE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 1e-6
    return small, (size[0] / width, size[1] / height)


def _carve(centre, half, masks, scales, intrinsics, poses, agreement):
    """Grid points of a cube, which of them the masks allow, and the best share of masks that any point has."""
    axis = np.linspace(-half, half, GRID)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3) + centre
    seen = np.zeros(len(points), dtype=np.int32)
    inside = np.zeros(len(points), dtype=np.int32)
    for mask, scale, matrix, pose in zip(masks, scales, intrinsics, poses, strict=True):
        in_camera = (points - pose[:3, 3]) @ pose[:3, :3]
        front = in_camera[:, 2] > 1e-9
        pixels = in_camera @ matrix.T / np.where(front, in_camera[:, 2], 1.0)[:, None]
        u = np.floor((pixels[:, 0] + 0.5) * scale[0])
        v = np.floor((pixels[:, 1] + 0.5) * scale[1])
        visible = front & (u >= 0) & (v >= 0) & (u < mask.shape[1]) & (v < mask.shape[0])
        border = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
        seen += visible if border else 1
        inside[visible] += mask[v[visible].astype(int), u[visible].astype(int)]
    enough = seen >= min(max(2, round(len(masks) / 4)), len(masks))
    share = np.where(enough, inside / np.maximum(seen, 1), 0.0)
    return points, share >= min(agreement, 1.0) - 1e-9, float(share.max())
