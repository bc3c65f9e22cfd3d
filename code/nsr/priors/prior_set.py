"""``PriorSet``: the priors of a run's training views, looked up pixel by pixel."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from nsr.priors.bundle import AFFINE, METRIC, PriorBundle
from nsr.priors.conversion import harmonics_at
from nsr.scenes.scene import Scene

KINDS = {"depth": 1, "normal": 3, "albedo": 3, "shading": 3}  # and their channels
_FAR = 100.0


@dataclass
class PriorSamples:
    """What is known of N pixels; a confidence of 0 says that a value means nothing.

    Attributes:
        depth: ``[N]``: the length of the pixel's ray in the normalised frame, or, where ``affine``, any depth that is
            affine to ``measure_per_length`` times that length; of order 1.
        depth_confidence: ``[N]``; affine: ``[N]`` bool; measure_per_length: ``[N]``.
        normal, albedo, shading: ``[N, 3]``, as of ``PriorBundle``, with ``..._confidence [N]``.
        harmonics: ``[N, 9, 3]``, of the pixel's view; has_light: ``[N]`` bool, whether that has any.
        light_turn: ``[N, 3, 3]``, by which the light has turned with its camera: its shading of a normal n is that of
            ``light_turn^T n``; None where cameras are as they were given.

    What the set was not asked to hold is None.
    """

    depth: torch.Tensor | None = None
    depth_confidence: torch.Tensor | None = None
    affine: torch.Tensor | None = None
    measure_per_length: torch.Tensor | None = None
    normal: torch.Tensor | None = None
    normal_confidence: torch.Tensor | None = None
    albedo: torch.Tensor | None = None
    albedo_confidence: torch.Tensor | None = None
    shading: torch.Tensor | None = None
    shading_confidence: torch.Tensor | None = None
    harmonics: torch.Tensor | None = None
    has_light: torch.Tensor | None = None
    light_turn: torch.Tensor | None = None


@dataclass
class PriorBatch:
    """The priors of a step's N rays.

    Attributes:
        origins, directions: ``[N, 3]`` of the rays; samples: what is known of their pixels.
        points: ``[P, 3]`` that the step evaluates with its free points: of ``surface`` first, of ``free_space`` after.
        point_weights: ``[P]`` by which the SDF there counts in the mean over its term's points.
        start: place of ``points`` among the free points.
    """

    origins: torch.Tensor
    directions: torch.Tensor
    samples: PriorSamples
    points: torch.Tensor
    point_weights: torch.Tensor
    start: int


class PriorSet:
    """Maps of all training views, one after the other; a pixel without value is found at their end.

    Memory a pixel is 6 bytes for depths and 8 for each other kind: depths are float32, all else half floats.

    Args:
        scene: whose training views it is about, with the cameras as the bundles were read with.
        bundles: by index of the view, each of its view's size; others have no priors.
        kinds: which of depth, normal, albedo, shading to hold.
        device: where they are looked up.

    Attributes:
        kinds: those that any bundle has a value of.
        has_metric_depth, has_affine_depth: whether any bundle has such a depth.
    """

    def __init__(
        self, scene: Scene, bundles: dict[int, PriorBundle], kinds: Collection[str], device: torch.device | str = "cpu"
    ):
        views = sorted(bundles)
        sizes = [bundles[view].size for view in views]
        pixels = np.cumsum([0] + [height * width for height, width in sizes])
        self._nowhere = int(pixels[-1])
        starts, widths = torch.zeros(len(scene), dtype=torch.int64), torch.zeros(len(scene), dtype=torch.int64)
        present = torch.zeros(len(scene), dtype=torch.bool)
        starts[views], present[views] = torch.from_numpy(pixels[:-1]), True
        widths[views] = torch.tensor([width for _, width in sizes])
        self._starts, self._widths, self._present = (values.to(device) for values in (starts, widths, present))
        self._values, self._confidences = {}, {}
        for kind in kinds:
            maps = [_map_of(bundles[view], kind) for view in views]
            self._confidences[kind] = self._flat([trust for _, trust in maps], sizes, 1, torch.float16).to(device)
            dtype = torch.float32 if kind == "depth" else torch.float16
            self._values[kind] = self._flat([values for values, _ in maps], sizes, KINDS[kind], dtype).to(device)
        self.kinds = {kind for kind in kinds if bool(self._confidences[kind].any())}
        affine, metric, normals_turn, light_turns = torch.zeros(4, len(scene), dtype=torch.bool)
        along_axis = torch.zeros(len(scene), dtype=torch.bool)
        light, has_light = torch.zeros(len(scene), 9, 3), torch.zeros(len(scene), dtype=torch.bool)
        for view, bundle in bundles.items():
            affine[view] = bundle.depth is not None and bundle.depth_kind == AFFINE
            metric[view] = bundle.depth is not None and bundle.depth_kind == METRIC
            along_axis[view] = bundle.affine_measure == "z"
            normals_turn[view], light_turns[view] = bundle.normal_frame == "camera", bundle.light_frame == "camera"
            if bundle.harmonics is not None:
                light[view], has_light[view] = torch.from_numpy(bundle.harmonics), True
        self.has_affine_depth, self.has_metric_depth = bool(affine.any()), bool(metric.any())
        self._affine, self._along_axis = affine.to(device), (affine & along_axis).to(device)
        self._light, self._has_light = light.to(device), has_light.to(device)
        self._normals_turn, self._light_turns = normals_turn.to(device), light_turns.to(device)
        self._given_rotations = scene.cameras.poses[:, :3, :3].to(device, torch.float32)
        self._to_camera = torch.linalg.inv(scene.cameras.intrinsics.double()).to(device, torch.float32)

    def sample(self, views: torch.Tensor, pixels: torch.Tensor, poses: torch.Tensor | None = None) -> PriorSamples:
        """What is known of pixels.

        Args:
            views: ``[N]`` int64, indices of the scene's views; pixels: ``[N, 2]`` whole (u, v).
            poses: ``[N, 4, 4]`` of the views' cameras as they are now, with which normals and light turn that were told
                in the camera's frame, differentiable in them; None: as they were given.
        """
        u, v = pixels.long().unbind(1)
        flat = torch.where(self._present[views], self._starts[views] + v * self._widths[views] + u, self._nowhere)
        found: dict[str, torch.Tensor] = {}
        for kind, values in self._values.items():
            found[kind] = values[flat].float()
            found[f"{kind}_confidence"] = self._confidences[kind][flat].float().squeeze(1)
        if "depth" in found:
            found["depth"] = found["depth"].squeeze(1)
            found["affine"] = self._affine[views]
            in_camera = self._to_camera[views] @ torch.cat([pixels, torch.ones_like(pixels[:, :1])], 1).unsqueeze(2)
            per_length = 1 / in_camera.squeeze(2).norm(dim=1)
            found["measure_per_length"] = torch.where(self._along_axis[views], per_length, 1.0)
        if "shading" in found:
            found["harmonics"], found["has_light"] = self._light[views], self._has_light[views]
        if poses is not None:
            turn = poses[:, :3, :3] @ self._given_rotations[views].transpose(1, 2)
            still = torch.eye(3, dtype=turn.dtype, device=turn.device)
            if "normal" in found:
                of_normals = torch.where(self._normals_turn[views, None, None], turn, still)
                found["normal"] = (of_normals @ found["normal"].unsqueeze(2)).squeeze(2)
            if "shading" in found:
                found["light_turn"] = torch.where(self._light_turns[views, None, None], turn, still)
        return PriorSamples(**found)

    @staticmethod
    def _flat(
        maps: list[np.ndarray | None], sizes: list[tuple[int, int]], channels: int, dtype: torch.dtype
    ) -> torch.Tensor:
        """``[pixels + 1, channels]``; zeros where a map is None, and in the last row."""
        shapes = [(height * width, channels) for height, width in sizes]
        rows = [
            torch.zeros(shape, dtype=dtype) if values is None else torch.from_numpy(values).reshape(shape).to(dtype)
            for values, shape in zip(maps, shapes)
        ]
        return torch.cat([*rows, torch.zeros(1, channels, dtype=dtype)])


def _map_of(bundle: PriorBundle, kind: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """A map and its confidence; the shading of light and normals where the bundle has no map of it."""
    values, confidence = getattr(bundle, kind), getattr(bundle, f"{kind}_confidence")
    if kind == "depth" and values is not None and bundle.depth_kind == AFFINE:
        return _of_order_one(values, confidence > 0), confidence
    if kind != "shading" or values is not None:
        return values, confidence
    if bundle.harmonics is None or bundle.normal is None:
        return None, None
    basis = harmonics_at(torch.from_numpy(bundle.normal).reshape(-1, 3)).numpy()
    return (basis @ bundle.harmonics).reshape(bundle.normal.shape), confidence * bundle.normal_confidence


def _of_order_one(depth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """An affine depth about 0 and of median deviation 1, so that no unit or offset costs its fit the digits of single
    floats; a slip counts as ``_FAR`` such deviations at most."""
    if not known.any():
        return depth
    offset = depth - np.median(depth[known]).astype(np.float64)
    deviation = np.median(np.abs(offset[known])) or np.abs(offset[known]).mean() or 1.0
    return np.where(known, (offset / deviation).clip(-_FAR, _FAR), 0).astype(np.float32)
