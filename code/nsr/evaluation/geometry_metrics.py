"""How far a reconstructed surface is from the true one."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import trimesh

from nsr.errors import NsrError
from nsr.meshing.point_to_surface import SurfaceIndex
from nsr.meshing.visibility import SEEN_BY, surface_viewer, views_that_see
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene


@dataclass
class GeometryErrors:
    """Errors between two surfaces; lengths in units of the normalised frame unless their names say otherwise.

    ``accuracy`` is the mean distance from the reconstruction's points to the true surface, ``completeness`` the mean
    from true points to the reconstruction, ``chamfer`` the mean of the two; ``chamfer_standard_error`` is what the
    sampling leaves uncertain in it.  ``precision``, ``recall`` and ``fscore`` count distances below
    ``fscore_threshold``.  ``normal_degrees`` is the mean angle between the normals of the two faces that a point and
    its closest point lie on, over both directions, and ``normal_consistency`` the mean of the absolute cosine
    (Mescheder et al. 2019), which does not ask which way a surface faces.
    """

    accuracy: float
    completeness: float
    chamfer: float
    chamfer_standard_error: float
    normal_degrees: float
    precision: float
    recall: float
    fscore: float
    fscore_threshold: float
    normal_consistency: float

    def in_units(self, footprint: float, world_scale: float) -> dict[str, float]:
        """All fields, with the Chamfer distance also in pixel footprints and world units, and the footprint itself."""
        return asdict(self) | {
            "chamfer_pixels": self.chamfer / footprint,
            "accuracy_pixels": self.accuracy / footprint,
            "completeness_pixels": self.completeness / footprint,
            "chamfer_world": self.chamfer * world_scale,
            "pixel_footprint": footprint,
        }


def compare_surfaces(
    reconstruction: trimesh.Trimesh,
    truth: trimesh.Trimesh,
    threshold: float,
    *,
    cameras: Cameras | None = None,
    views: list[int] | None = None,
    sizes: list[tuple[int, int]] | None = None,
    samples: int = 100_000,
    seed: int = 0,
) -> GeometryErrors:
    """Point-to-surface errors of a reconstruction, both ways.

    Points are drawn on each surface uniformly by area.  With cameras, only those that at least two of ``views`` see
    count: a true point is hidden by the true surface, a reconstructed one by the reconstruction, so that neither
    what no photograph shows (an underside, a hollow's inner wall) nor what the engine filled in there is judged, while
    anything reconstructed in plain sight is.  Closest points are searched on the whole of the other surface.

    Args:
        reconstruction, truth: in the same frame as the cameras.
        threshold: of the F-score, usually one pixel footprint.
        cameras, views, sizes: all cameras, the training views among them, and (H, W) of every view.
        samples: points per surface before the hidden ones are left out.
        seed: of the sampling.

    Raises:
        NsrError: a mesh has no faces, or no point of one is seen by two views.
    """
    viewpoint = None if cameras is None else (cameras, views, sizes)
    forward, forward_cosines = _directed(reconstruction, truth, samples, seed, viewpoint, "reconstruction")
    backward, backward_cosines = _directed(truth, reconstruction, samples, seed + 1, viewpoint, "true surface")
    precision, recall = float((forward < threshold).mean()), float((backward < threshold).mean())
    return GeometryErrors(
        accuracy=float(forward.mean()),
        completeness=float(backward.mean()),
        chamfer=float(forward.mean() + backward.mean()) / 2,
        chamfer_standard_error=float(np.hypot(_standard_error(forward), _standard_error(backward))) / 2,
        normal_degrees=float(sum(np.degrees(np.arccos(c)).mean() for c in (forward_cosines, backward_cosines))) / 2,
        precision=precision,
        recall=recall,
        fscore=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        fscore_threshold=float(threshold),
        normal_consistency=float(np.abs(forward_cosines).mean() + np.abs(backward_cosines).mean()) / 2,
    )


def pixel_footprint(scene: Scene, surface: trimesh.Trimesh, *, samples: int = 20_000, seed: int = 0) -> float:
    """What one pixel spans on the object: the median of depth / focal length over foreground training pixels.

    Args:
        scene: its training cameras and masks.
        surface: the true surface, or failing that the reconstructed one, in the normalised frame; it gives the depth
            (along the optical axis).
        samples: foreground pixels that are looked at, spread evenly over the training views.

    Returns:
        Units of the normalised frame per pixel.

    Raises:
        NsrError: the cameras see nothing of the surface inside the masks.
    """
    viewer = surface_viewer(surface)
    generator = np.random.default_rng(seed)
    each = -(-samples // max(len(scene.train_views), 1))
    found = []
    for view in scene.train_views:
        mask = scene.masks[view].numpy()
        pixels = np.argwhere(mask)[:, ::-1].copy()
        if len(pixels) > each:
            pixels = pixels[generator.choice(len(pixels), each, replace=False)]
        depth = viewer.depth(scene.cameras, view, pixels, mask.shape)
        focal = scene.cameras.intrinsics[view]
        found.append(depth[depth > 0] / np.sqrt(focal[0, 0].item() * focal[1, 1].item()))
    found = np.concatenate(found) if found else np.empty(0)
    if not len(found):
        raise NsrError(
            f"{scene.name}: no training view sees the surface inside its mask; do mesh and cameras share a frame?"
        )
    return float(np.median(found))


def _directed(source, target, samples, seed, viewpoint, name) -> tuple[np.ndarray, np.ndarray]:
    """Distances and cosines between normals from seen points of ``source`` to ``target``."""
    index = SurfaceIndex(target)
    if len(source.faces) == 0:
        raise NsrError(f"the {name} has no faces")
    points, faces = trimesh.sample.sample_surface(source, samples, seed=seed)
    order = np.argsort(faces, kind="stable")  # neighbours follow each other: the searches run twice as fast
    points, faces = points[order], faces[order]
    if viewpoint is not None:
        seen = views_that_see(surface_viewer(source), points, *viewpoint) >= SEEN_BY
        if not seen.any():
            raise NsrError(
                f"no point of the {name} is seen by {SEEN_BY} training views; do mesh and cameras share a frame?"
            )
        points, faces = points[seen], faces[seen]
    distance, closest = index.query(points)
    cosine = np.einsum("ij,ij->i", source.face_normals[faces], target.face_normals[closest])
    return distance, cosine.clip(-1, 1)


def _standard_error(values: np.ndarray) -> float:
    return float(values.std() / np.sqrt(len(values)))
