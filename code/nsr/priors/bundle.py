"""``PriorBundle``: what is known of one view beyond its photograph, in the engine's own convention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

METRIC, AFFINE = "metric", "affine"


@dataclass(frozen=True)
class PriorBundle:
    """Maps of one view, each with a confidence in [0, 1]; where that is 0 the map has no value and holds 0.

    Attributes:
        view: the view's name; scene: the scene's.
        depth: ``[H, W]`` float32 or None.  Metric: the length of the pixel's ray, in units of the normalised frame.
            Affine: known up to one scale and one shift of the view.
        depth_kind: ``metric`` or ``affine``.
        affine_measure: what an affine depth is affine to: ``z`` (along the optical axis) or ``ray``.
        normal: ``[H, W, 3]`` float32, unit, outward, normalised frame; or None.
        normal_frame, light_frame: what they were told in: ``camera``, with which they turn where it is trained, or
            ``world``.
        albedo: ``[H, W, 3]`` float32, linear, up to a scale of the view; or None.
        shading: ``[H, W, 3]`` float32, linear, up to a scale of the view; or None.
        harmonics: ``[9, 3]`` float32 or None: the shading that a unit normal n of the normalised frame gets is the
            sum of ``harmonics[k] * Y_k(n)`` over the orthonormal real spherical harmonics in the order
            (l, m) = (0, 0), (1, -1), (1, 0), (1, 1), (2, -2) ... (2, 2); linear.
        depth_confidence, normal_confidence, albedo_confidence, shading_confidence: ``[H, W]`` float32; None with
            their maps (that of the shading is there without a map where harmonics are).
    """

    view: str
    scene: str
    depth: np.ndarray | None = None
    depth_confidence: np.ndarray | None = None
    depth_kind: str = METRIC
    affine_measure: str = "z"
    normal: np.ndarray | None = None
    normal_confidence: np.ndarray | None = None
    normal_frame: str = "world"
    albedo: np.ndarray | None = None
    albedo_confidence: np.ndarray | None = None
    shading: np.ndarray | None = None
    shading_confidence: np.ndarray | None = None
    harmonics: np.ndarray | None = None
    light_frame: str = "world"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        maps = (self.depth_confidence, self.normal_confidence, self.albedo_confidence, self.shading_confidence)
        return next(values.shape for values in maps if values is not None)
