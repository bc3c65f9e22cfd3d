"""Networks run over the views of a scene, one after the other, and what they give written as prior bundles.

The one place that knows both the networks and the bundles.  What goes from one network to the next is a bundle of the
view in the networks' own conventions: z-depth in metres and normals in the camera's frame, at the size that the network
gave.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from nsr.atomic import whole_folder
from nsr.cli.prior_consistency import colours_changed, normals_turned, other_looks
from nsr.errors import PriorError
from nsr.priors.bundle import METRIC
from nsr.priors.bundle_file import (
    BundleHeader,
    ColourConvention,
    DepthConvention,
    DirectionConvention,
    StoredBundle,
    check_bundle,
    read_bundle,
    write_bundle,
)
from nsr.priors.conversion import ViewFrame, harmonics_at, to_engine, to_stored
from nsr.priors.identity import check_identity, view_header
from nsr.priors.importing.import_bundles import merged
from nsr.priors.loading import check_view
from nsr.priors.networks.common.task import Task
from nsr.priors.pictures import write_bundle_picture
from nsr.scenes.depth_map import normals_of_points, pixels_at_depth_one
from nsr.scenes.idr_folder import view_names
from nsr.scenes.resize import resize_intrinsics, resize_mask, resize_picture
from nsr.scenes.scene import Scene

_CAMERA = DirectionConvention("camera", "opencv")
_LINEAR = ColourConvention("linear")
_HOLE = 0.3  # confidence on the object where the sensor measured nothing: as much as measured depths as wrong have
_DISAGREEMENT = 0.003  # of the depth, between two ways to enlarge it, at which it is believed by a factor e less
_MOVED = 0.01  # of the depth, by which a network moved a measured one, likewise
_TURNED = 20.0  # degrees that normals turn by when the picture is mirrored and darkened, likewise
_CHANGED = 0.2  # of logarithms, by which an albedo changes then, and of the reconstructed picture's error; likewise
_CREASE = 0.2  # of the pitch of a grid of lines, over which the depth between them is smoothed
_DENSE = 0.5  # of the object's pixels: a depth that knows fewer is of a grid of lines
_STEP = 0.02  # of the depth, from a pixel to the next, beyond which it is an edge, and has no normal

logger = logging.getLogger("nsr")


@dataclass(frozen=True)
class ChainView:
    """A view of the scene, as networks see it.

    Attributes:
        frame: of the view; image: ``[H, W, 3]`` uint8; mask: ``[H, W]`` bool.
        header: of a bundle of the view, for maps of its size, without conventions.
        given: what the network before gave, or what the chain began with; None where there is nothing.
    """

    frame: ViewFrame
    image: np.ndarray
    mask: np.ndarray
    header: BundleHeader
    metres_per_scene_unit: float | None
    given: StoredBundle | None = None

    @property
    def name(self) -> str:
        return self.header.view

    def header_of(self, size: tuple[int, int], **entries) -> BundleHeader:
        """A header of the view's, for maps of ``size`` (height, width)."""
        return dataclasses.replace(self.header, height=size[0], width=size[1], **entries)

    def intrinsics(self) -> np.ndarray:
        """``[3, 3]`` of what is given."""
        header = self.given.header
        if header.intrinsics is not None:
            return np.array(header.intrinsics)
        return resize_intrinsics(self.frame.intrinsics, self.frame.size, (header.height, header.width))

    def depth(self, family: str) -> tuple[np.ndarray, np.ndarray]:
        """The given z-depth in metres and its confidence ``[h, w]``, 0 where there is none.

        Raises:
            PriorError: there is no metric depth, or no telling what a metre is in the scene.
        """
        given = self.given
        if given is None or "depth" not in given.arrays or given.header.depth.kind != METRIC:
            raise PriorError(
                f"view {self.name}: {family} needs a metric depth; import a sensor's with nsr prior import and name "
                "its folder with --input"
            )
        if self.metres_per_scene_unit is None:
            raise PriorError(f"{family} works in metres; say what a world unit of the scene is: --scene_unit mm, or m")
        size = (given.header.height, given.header.width)
        own = dataclasses.replace(self.frame, intrinsics=self.intrinsics(), size=size)
        bundle = to_engine(given, own, f"view {self.name}")
        stated = given.header.depth.metres_per_scene_unit
        if stated is not None and not math.isclose(stated, self.metres_per_scene_unit, rel_tol=0.01):
            raise PriorError(
                f"view {self.name}: by its bundle a world unit of the scene is {stated:g} m, by --scene_unit "
                f"{self.metres_per_scene_unit:g} m; give the right one, or import the depth anew"
            )
        metres = DepthConvention(METRIC, "m", "z", self.metres_per_scene_unit)
        stored = to_stored(bundle, own, self.header_of(size, depth=metres))
        return stored.arrays["depth"], stored.arrays["depth_confidence"]

    def picture(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Image in [0, 1] ``[h, w, 3]`` and mask ``[h, w]`` at a size of the same shape."""
        if size[0] > self.mask.shape[0]:
            image = cv2.resize(self.image, size[::-1], interpolation=cv2.INTER_LINEAR)
            mask = cv2.resize(self.mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0
        else:
            image, mask = resize_picture(self.image, size), resize_mask(self.mask, size)
        return image.astype(np.float32) / 255, mask

    def with_depth(
        self, depth: np.ndarray, confidence: np.ndarray, source: str, normals: bool, intrinsics: np.ndarray
    ) -> StoredBundle:
        """A bundle of a z-depth in metres, with the normals of the surface that it is, or without."""
        confidence = np.where(depth > 0, confidence, 0).astype(np.float32)
        arrays = {"depth": depth.astype(np.float32), "depth_confidence": confidence}
        if normals:
            arrays["normal"], smooth = depth_normals(depth, intrinsics)
            arrays["normal_confidence"] = confidence * smooth
        header = self.header_of(
            depth.shape,
            depth=DepthConvention(METRIC, "m", "z", self.metres_per_scene_unit),
            normal=_CAMERA if normals else None,
            intrinsics=intrinsics.tolist(),
            source=source,
        )
        return StoredBundle(header, arrays)


def depth_normals(depth: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals ``[H, W, 3]`` float32 of a z-depth, towards the camera, in its frame (OpenCV); and where the depth
    is smooth enough to have any, ``[H, W]`` bool."""
    normal = normals_of_points(pixels_at_depth_one(intrinsics, depth.shape) * depth[..., None])
    known = cv2.erode((depth > 0).astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
    steps = np.maximum(*(np.abs(step) for step in np.gradient(depth)))
    smooth = known & normal.any(axis=-1) & (steps < _STEP * depth)
    return np.where(smooth[..., None], normal, 0.0).astype(np.float32), smooth


def _denoise(task: Task, view: ChainView) -> StoredBundle:
    noisy, _ = view.depth("depth-denoising")
    image, mask = view.picture(noisy.shape)
    sample = {"noisy": _map(noisy), "infrared": _map(image.mean(axis=-1))}
    depth = _predict(task, sample, view)["depth"][0]
    measured = noisy > 0
    moved = np.abs(depth - noisy) / np.maximum(_MOVED * noisy, 1e-9)
    confidence = np.where(measured, np.exp(-np.where(measured, moved, 0.0)), _HOLE * mask)
    return view.with_depth(depth, confidence, "depth denoising", False, view.intrinsics())


def _super_resolve(task: Task, view: ChainView) -> StoredBundle:
    low, trust = view.depth("depth-super-resolution")
    wanted = 2 ** round(math.log2(view.frame.size[0] / low.shape[0]))
    if wanted < 2:
        raise PriorError(
            f"view {view.name}: the depth is {low.shape[1]} x {low.shape[0]}, as large as the picture already; "
            "depth-super-resolution is for smaller ones"
        )
    task.factor, task.enlarge = min(wanted, task.network.factor), True
    found = _predict(task, {"depth": _map(low), "mask": _map(trust > 0)}, view)
    depth, enlarged = found["depth"][0], found["bicubic"][0]
    factor = depth.shape[0] / low.shape[0]
    confidence = np.exp(-np.abs(depth - enlarged) / np.maximum(_DISAGREEMENT * depth, 1e-9)) * found["mask"][0]
    intrinsics = resize_intrinsics(view.intrinsics(), low.shape, depth.shape)
    trust = cv2.resize(trust, depth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return view.with_depth(depth, confidence * trust, f"depth super-resolution x{factor:g}", True, intrinsics)


def _recover_relief(task: Task, view: ChainView) -> StoredBundle:
    low, trust = view.depth("shape-from-shading")
    image, mask = view.picture(low.shape)
    if (low[mask] > 0).mean() < _DENSE:
        low, trust = _between_lines(low, mask)
    intrinsics = view.intrinsics()
    task.rig = dataclasses.replace(
        task.rig, focal=(intrinsics[0, 0], intrinsics[1, 1]), centre=(intrinsics[0, 2], intrinsics[1, 2])
    )
    sample = {"shading": _map(image.mean(axis=-1)), "low": _map(low), "mask": _map(trust > 0)}
    found = _predict(task, sample, view)
    sure = found["confidence"][0] if "confidence" in found else 1.0
    return view.with_depth(found["depth"][0], trust * sure, "shape from shading", True, intrinsics)


def _between_lines(depth: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smooth depth that a grid of lines gives, and its confidence: 0 where it does not reach.

    Linear between the lines, and then without the creases: a mean over a fifth of their pitch, to which what it took
    away is given once more, so that the object's own curvature stays.  In the squares of a grid of pitch p, half of the
    pixels are nearer to a line than (1 - sqrt(1 / 2)) p / 2.
    """
    from nsr.priors.networks.shape_from_shading.rig import blurred
    from nsr.scenes.synthetic.sensors.structured_light import interpolated_depth

    between = interpolated_depth(np.where(mask, depth, 0), mask)
    unknown = between * (depth <= 0) > 0
    from_line = cv2.distanceTransform((depth <= 0).astype(np.uint8), cv2.DIST_L2, 5)[unknown]
    pitch = np.median(from_line) * 2 / (1 - math.sqrt(0.5)) if unknown.any() else 1.0
    known, width = between > 0, _CREASE * pitch
    smooth = blurred(between, width, known)
    smooth = smooth + blurred(np.where(known, between - smooth, 0), width, known)
    return np.where(known, smooth, 0).astype(np.float32), known.astype(np.float32)


def _decompose(task: Task, view: ChainView) -> StoredBundle:
    height, width = view.mask.shape
    image, mask = view.picture((height, width))
    image = np.where(mask[..., None], image, 0).astype(np.float32)

    def predict(image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        channels_first = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0)))
        found = _predict(task, {"image": channels_first, "mask": _map(mask)}, view)
        return {name: np.moveaxis(values, 0, -1) for name, values in found.items() if values.shape[1:] == mask.shape}

    found, others = predict(image, mask), other_looks(predict, image, mask)
    turned = normals_turned(found["normal"], [other["normal"] for other in others])
    changed = colours_changed(found["albedo"], [other["albedo"] for other in others], mask)
    error = np.abs(found["reconstruction"] - image).mean(axis=-1)
    doubts = {"normal": turned / _TURNED, "albedo": (error + changed) / _CHANGED, "shading": changed / _CHANGED}
    normal = found["normal"] / np.maximum(np.linalg.norm(found["normal"], axis=-1, keepdims=True), 1e-9)
    # Whatever basis the network's light refers to, what it gives to directions says what it is in ours.
    known = mask & found["normal"].any(axis=-1)
    basis = harmonics_at(torch.from_numpy(normal[known].astype(np.float64))).numpy()
    light = np.linalg.lstsq(basis, found["harmonic_shading"][known].astype(np.float64), rcond=1e-4)[0]
    arrays = {"normal": normal, "albedo": found["albedo"], "shading": found["shading"], "sh": light}
    arrays |= {f"{name}_confidence": known * np.exp(-doubt) for name, doubt in doubts.items()}
    header = view.header_of(
        (height, width), normal=_CAMERA, albedo=_LINEAR, shading=_LINEAR, sh=_CAMERA, source="intrinsic decomposition"
    )
    return StoredBundle(header, {name: np.asarray(v, np.float32) for name, v in arrays.items()})


#: The families that can run over a scene, and how each is fed and heard.
STEPS: dict[str, Callable[[Task, ChainView], StoredBundle]] = {
    "depth-denoising": _denoise,
    "depth-super-resolution": _super_resolve,
    "shape-from-shading": _recover_relief,
    "intrinsic-decomposition": _decompose,
}


def run_chain(
    scene: Scene,
    tasks: Sequence[tuple[str, Task]],
    output: str | Path,
    given: str | Path | None = None,
    metres_per_scene_unit: float | None = None,
) -> tuple[list[str], list[str]]:
    """Run networks over the views of a scene and write a bundle, and a picture, for each.

    Args:
        scene: with its folder; tasks: name of the family and its trained task, in the order of the chain.
        output: folder of the bundles, which appear together; one that is there for a view is replaced.
        given: folder of bundles whose depths the first network reads, another one than ``output``.
        metres_per_scene_unit: what a world unit of the scene is; needed by networks that work in metres.

    Returns:
        names of the views with a bundle now, and of those that were left out: nothing is given of them, or, as a
        warning says, what is given or came out cannot be of them.

    Raises:
        PriorError: no view could be done, the output is what is given, or the disk refuses; nothing is written then.
    """
    names = view_names(scene.folder)
    if given is not None and Path(given).resolve() == Path(output).resolve():
        raise PriorError(
            f"{given}: the bundles would take the place of those that they are made from; name another folder to write "
            "to"
        )
    if given is not None and not Path(given).is_dir():
        raise PriorError(f"{given}: there is no such folder of bundles; 'nsr prior import' makes one")
    written, left_out, failures = [], [], []
    try:
        with whole_folder(output, replace=True) as partial:
            for index, name in enumerate(names):
                path = None if given is None else Path(given) / f"{name}.npz"
                if path is not None and not path.exists():
                    left_out.append(name)
                    continue
                try:
                    _run_view(scene, index, name, tasks, partial, path, metres_per_scene_unit)
                except PriorError as error:
                    failures.append(str(error))
                    left_out.append(name)
                else:
                    written.append(name)
            if not written:
                nothing = f"{given}: holds no bundle of any view of {scene.name}"
                raise PriorError(failures[0] if failures else nothing)
    except OSError as error:
        raise PriorError(f"{output}: the bundles cannot be written ({error.strerror or error})") from error
    for failure in failures:
        logger.warning("left out: %s", failure)
    return written, left_out


def _run_view(
    scene: Scene,
    index: int,
    name: str,
    tasks: Sequence[tuple[str, Task]],
    output: Path,
    given: Path | None,
    metres_per_scene_unit: float | None,
) -> None:
    """Run the networks over one view, from the bundle ``given`` where there is one, and write what they give."""
    frame = ViewFrame.of_scene(scene, index)
    mask, image = scene.masks[index].cpu().numpy(), scene.images[index].cpu().numpy()
    stored = None if given is None else read_bundle(given)
    if stored is not None:
        check_identity(stored.header, scene, index, name, str(given))
    view = ChainView(frame, image, mask, view_header(scene, index, name, frame.size), metres_per_scene_unit, stored)
    for family, task in tasks:
        view = dataclasses.replace(view, given=_beside(view, STEPS[family](task, view)))
    source = f"{scene.name}, view {name}"
    check_bundle(view.given, source)
    bundle = to_engine(view.given, frame, source)
    check_view(bundle, frame, mask, source)
    write_bundle(output, view.given)
    write_bundle_picture(output, bundle, frame)


def _beside(view: ChainView, new: StoredBundle) -> StoredBundle:
    """A depth takes the place of what was given; a decomposition stands beside it, at the view's own size."""
    if view.given is None or "depth" in new.arrays:
        return new
    bundle = to_engine(view.given, view.frame, f"view {view.name}")
    old = to_stored(bundle, view.frame, dataclasses.replace(view.given.header, intrinsics=None))
    return merged(old, new, Path(f"view {view.name}"))


@torch.no_grad()
def _predict(task: Task, sample: dict, view: ChainView) -> dict[str, np.ndarray]:
    """The maps of a prediction, on the CPU."""
    task.train(False)
    everywhere = torch.ones_like(next(iter(sample.values()))[:1])
    sample = {"mask": everywhere, **sample, "name": view.name, "scene": view.header.scene}
    on_device = {name: v.to(task.device) if isinstance(v, torch.Tensor) else v for name, v in sample.items()}
    return {name: values.cpu().float().numpy() for name, values in task.predict(on_device).items()}


def _map(values: np.ndarray) -> torch.Tensor:
    """``[H, W]`` as ``[1, H, W]`` float32."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))[None]
