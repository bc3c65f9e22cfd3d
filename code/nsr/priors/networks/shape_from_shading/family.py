"""``nsr prior ... shape-from-shading``: flags and data."""

from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from nsr.errors import NsrError
from nsr.priors.networks.common.family import Family
from nsr.priors.networks.common.options import check_at_least

if TYPE_CHECKING:
    from nsr.priors.networks.common.samples import Sample, SampleDataset
    from nsr.priors.networks.shape_from_shading.generate import Recipe
    from nsr.priors.networks.shape_from_shading.task import ReliefTask

INPUT_CHOICES = ("shading", "pattern", "low")
PARTS = ("encoder", "decoder")


class ShapeFromShading(Family):
    name = "shape-from-shading"
    help = "fine relief from a shading image, a pattern image and the smooth depth that the pattern gives"
    defaults = {
        "num": 240,
        "val": 0.04,
        "epoch": 7,
        "batch": 4,
        "lr": 3e-3,
        "drop": 0.0,
        "clip": 10.0,
        "width": 16,
    }
    network_flags = ("width", "inputs")

    def add_arguments(self, parser: ArgumentParser, command: str) -> None:
        if command == "train":
            parser.add_argument("--inputs", type=_inputs, default=list(INPUT_CHOICES), metavar="A,B,...",
                                help=f"what the network sees (default: {','.join(INPUT_CHOICES)})")  # fmt: skip
            parser.add_argument("--freeze", choices=PARTS, help="leave this half of the network as it is")
            parser.add_argument("--absent", type=float, default=0.1,
                                help="part of the patches without pattern (default: %(default)s)")  # fmt: skip
        if command == "test":
            parser.add_argument("--ply", action="store_true", help="write point clouds: predicted, true, low")
            parser.add_argument("--bmp", action="store_true", help="write predicted depth as packed bitmaps")
            parser.add_argument("--samples", action="store_true", help="write the frames in the published layout")
            parser.add_argument("--confidence", type=int, default=0, metavar="PASSES",
                                help="predict a confidence, with dropout passes if any (default: none)")  # fmt: skip
        if command in ("train", "test"):
            _add_recipe(parser)

    def datasets(self, options: Namespace) -> tuple[SampleDataset, SampleDataset | None]:
        from nsr.priors.networks.common.patches import PatchDataset
        from nsr.priors.networks.common.samples import InMemory, Subset
        from nsr.priors.networks.common.splits import split_by_scene
        from nsr.priors.networks.shape_from_shading.encoding import Encoded
        from nsr.priors.networks.shape_from_shading.network import MULTIPLE

        frames = Encoded(self._frames(options, for_test=False), _recipe(options).rig, tuple(options.inputs))
        if not options.streaming:
            frames = InMemory(frames)
        sides = split_by_scene(frames.scenes, options.val, options.seed)
        train, validation = (
            PatchDataset(Subset(frames, side), options.patch, options.stride, multiple=MULTIPLE) if side else None
            for side in sides
        )
        return train, validation

    def test_dataset(self, options: Namespace) -> SampleDataset:
        return self._frames(options, for_test=True)

    def task(self, options: Namespace) -> ReliefTask:
        from nsr.priors.networks.shape_from_shading.task import ReliefTask

        if not 0 <= options.absent <= 1:
            raise NsrError(f"--absent is {options.absent:g}; it is a part, from 0 to 1")
        return ReliefTask(
            _recipe(options).rig,
            tuple(options.inputs),
            options.width,
            options.drop,
            frozen=options.freeze,
            absent=options.absent,
        )

    def prepare_test(self, task: ReliefTask, options: Namespace) -> None:
        check_at_least(options, 0, "confidence")
        task.passes, task.rig = options.confidence, _recipe(options).rig

    def write_results(self, prediction: dict, sample: Sample, folder: Path, options: Namespace) -> None:
        from nsr.priors.networks.shape_from_shading.depth_files import write_packed_depth
        from nsr.priors.networks.shape_from_shading.folder import write_relief_sample
        from nsr.priors.networks.shape_from_shading.point_cloud import write_point_cloud

        rig, name = _recipe(options).rig, sample["name"]
        mask = sample["mask"][0].numpy() > 0
        depths = {"pred": prediction["depth"], "gt": sample.get("depth"), "low": sample["low"]}
        if options.ply:
            for kind, depth in depths.items():
                if depth is not None:
                    write_point_cloud(folder / f"ply_{kind}-{name}.ply", depth[0].numpy(), mask, rig, normals=True)
        if options.samples:
            write_relief_sample(sample, folder / "samples")
        if options.bmp:
            write_packed_depth(folder / f"pred-{name}.bmp", prediction["depth"][0].numpy())

    def export(self, task: ReliefTask, path: Path, options: Namespace) -> Path:
        import torch

        from nsr.priors.networks.common.export import export_network

        return export_network(task.network, path, {"maps": torch.zeros(1, len(task.inputs), 64, 64)}, "residual")

    def _frames(self, options: Namespace, *, for_test: bool) -> SampleDataset:
        """The first ``--num`` frames of ``--data``."""
        from nsr.priors.networks.common.options import SYNTHETIC
        from nsr.priors.networks.common.photometric import CAT, LIGHTS
        from nsr.priors.networks.common.real_data import data_folder
        from nsr.priors.networks.shape_from_shading.folder import FIRST_TEST, MAPS, ReliefFolder, sample_numbers
        from nsr.priors.networks.shape_from_shading.generate import SyntheticReliefs
        from nsr.priors.networks.shape_from_shading.photometric_stereo import PhotometricFolder

        recipe = _recipe(options)
        if options.data == SYNTHETIC:
            return SyntheticReliefs(options.num, recipe, options.seed)
        folder = data_folder(options.data, CAT)
        if (folder / LIGHTS).is_file():
            return PhotometricFolder(folder, recipe.rig, recipe.pitch)
        numbers = sample_numbers(folder)
        tests = [number for number in numbers if number >= FIRST_TEST]
        trains = [number for number in numbers if number < FIRST_TEST]
        chosen = (tests or numbers) if for_test else (trains or numbers)
        inputs = ("shading", *["pattern"] * (folder / MAPS["pattern"]).is_dir()) if for_test else tuple(options.inputs)
        return ReliefFolder(folder, chosen[: options.num], inputs, need_depth=not for_test)


def _add_recipe(parser: ArgumentParser) -> None:
    """Flags of the rig, and of the frames that are made before it."""
    parser.add_argument("--focal", type=float, nargs=2, default=[2960.7, 2989.1], metavar=("FX", "FY"),
                        help="focal lengths, pixels (default: 2960.7 2989.1)")  # fmt: skip
    parser.add_argument("--centre", type=float, nargs=2, metavar=("U", "V"),
                        help="principal point, pixels (default: the middle of the frame)")  # fmt: skip
    parser.add_argument("--lamp", type=float, nargs=3, default=[0.52, -0.62, 0.0], metavar=("X", "Y", "Z"),
                        help="place of the lamp in the camera's frame, metres (default: 0.52 -0.62 0)")  # fmt: skip
    parser.add_argument("--frame", type=int, default=256, help="size of made frames, pixels (default: %(default)s)")
    parser.add_argument("--kinds", type=lambda text: text.split(","), metavar="A,B,...",
                        help="of relief: waves, rough, ridges, bumps (default: all)")  # fmt: skip
    parser.add_argument("--wavelength", type=float, nargs=2, default=[3.0, 12.0], metavar=("MIN", "MAX"),
                        help="of the relief, mm (default: 3 12)")  # fmt: skip
    parser.add_argument("--steepness", type=float, nargs=2, default=[0.02, 0.1], metavar=("MIN", "MAX"),
                        help="amplitude over wavelength (default: 0.02 0.1)")  # fmt: skip
    parser.add_argument("--pitch", type=float, default=24.0, help="of the grid, pixels (default: %(default)s)")
    parser.add_argument("--texture", type=float, default=1.0, help="factor on its contrast (default: %(default)s)")
    parser.add_argument("--noise", type=float, default=0.01, help="of photographs, of 1 (default: %(default)s)")
    parser.add_argument("--no-shadows", action="store_true", help="light passes through the relief")


def _recipe(options: Namespace) -> Recipe:
    """The recipe that the flags ask for.

    Raises:
        NsrError: a flag is out of its range.
    """
    from nsr.priors.networks.shape_from_shading.generate import Recipe
    from nsr.priors.networks.shape_from_shading.relief import KINDS
    from nsr.priors.networks.shape_from_shading.rig import Rig

    unknown = set(options.kinds or ()) - KINDS.keys()
    if unknown:
        raise NsrError(f"--kinds: there is no relief {', '.join(sorted(unknown))}; there are: {', '.join(KINDS)}")
    check_at_least(options, 8, "pitch", "frame")
    check_at_least(options, 0, "texture", "noise")
    for name in ("focal", "centre", "lamp", "wavelength", "steepness"):
        if not all(math.isfinite(value) for value in getattr(options, name) or ()):
            raise NsrError(f"--{name}: give finite numbers")
    for name in ("wavelength", "steepness"):
        low, high = getattr(options, name)
        if not 0 < low <= high:
            raise NsrError(f"--{name} {low:g} {high:g}: give two numbers above 0, the smaller first")
    if not min(options.focal) > 0:
        raise NsrError(f"--focal {options.focal[0]:g} {options.focal[1]:g}: give two numbers above 0")
    plain = Recipe()
    centre = tuple(options.centre) if options.centre else None
    return Recipe(
        size=options.frame,
        rig=Rig(focal=tuple(options.focal), centre=centre, lamp=tuple(options.lamp)),
        kinds=tuple(options.kinds or plain.kinds),
        wavelength=tuple(length / 1000 for length in options.wavelength),
        steepness=tuple(options.steepness),
        pitch=options.pitch,
        texture=options.texture * plain.texture,
        patches=options.texture * plain.patches,
        noise=options.noise,
        shadows=not options.no_shadows,
    )


def _inputs(text: str) -> list[str]:
    """``--inputs``, in the order in which the network takes them."""
    chosen = text.split(",")
    if "shading" not in chosen and "pattern" not in chosen or not set(chosen) <= set(INPUT_CHOICES):
        raise ArgumentTypeError(f"{text!r} is not a list of {', '.join(INPUT_CHOICES)} with a photograph among them")
    return [name for name in INPUT_CHOICES if name in chosen]


FAMILY = ShapeFromShading()
