"""``nsr prior ... depth-super-resolution``: its flags, data and results."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from nsr.errors import NsrError
from nsr.priors.networks.common.family import COMMANDS, PREPARE, Family
from nsr.priors.networks.common.options import REAL, SYNTHETIC

if TYPE_CHECKING:
    from nsr.priors.networks.common.samples import Sample, SampleDataset
    from nsr.priors.networks.depth_super_resolution.task import SuperResolutionTask

DEGRADATIONS = ("area", "interval", "nearest")
FORMATS = ("pfm", "png")


class DepthSuperResolutionFamily(Family):
    name = "depth-super-resolution"
    help = "a depth map with 2 to 16 times the pixels along each side"
    defaults = {"num": 80, "val": 0.1, "epoch": 5, "patch": 128, "stride": 64, "batch": 4, "width": 16, "drop": 0.0}
    commands = (*COMMANDS, PREPARE)
    network_flags = ("width", "network", "factor", "degradation", "fuse_input")

    def add_arguments(self, parser: ArgumentParser, command: str) -> None:
        if command == "train":
            parser.add_argument(
                "--network",
                choices=("vdsr", "srcnn"),
                default="vdsr",
                help="the unit that synthesises a view (default: %(default)s)",
            )
            parser.add_argument(
                "--factor",
                type=int,
                choices=(2, 4, 8, 16),
                default=8,
                help="the largest enlargement of a side (default: %(default)s)",
            )
            parser.add_argument(
                "--fuse-input",
                action=BooleanOptionalAction,
                default=True,
                help="the fusion sees the enlarged input too (default: it does)",
            )
            _add_degradation(parser, "area", 0.0, 0.0)
        if command == "test":
            parser.add_argument(
                "--factor",
                type=int,
                choices=(2, 4, 8, 16),
                help="enlargement, at most the network's (default: the network's)",
            )
            parser.add_argument(
                "--enlarge",
                action="store_true",
                help="the maps of --data are to be enlarged, not decimated and compared",
            )
            parser.add_argument("--refine", action="store_true", help="sharpen the result's edges by local statistics")
            parser.add_argument(
                "--format",
                choices=FORMATS,
                default="pfm",
                help="of the maps written, in millimetres: float or 16 bits (default: %(default)s)",
            )
            _add_degradation(parser, None, None, None)
        if command == PREPARE:
            parser.add_argument(
                "--levels",
                type=int,
                default=5,
                help="of the pyramid, each half the size of the one before (default: %(default)s)",
            )
            parser.add_argument(
                "--degradation", choices=DEGRADATIONS, default="area", help="how levels are made (default: %(default)s)"
            )
            parser.add_argument(
                "--val", type=float, default=0.2, help="part of the scans that validates (default: %(default)s)"
            )
            parser.add_argument("--seed", type=int, default=0, help="of that choice (default: %(default)s)")
        if command in ("train", "test", PREPARE):
            parser.add_argument(
                "--depth-unit",
                choices=("mm", "m"),
                default="mm",
                help="of the values in a folder's files (default: %(default)s)",
            )

    def prepare(self, options: Namespace) -> str:
        """A pyramid of every map and an index that splits by scan; see ``pyramid_files.build_pyramid``."""
        from nsr.priors.networks.depth_super_resolution.pyramid_files import build_pyramid

        count = build_pyramid(
            options.source, options.destination, options.levels, options.degradation, options.val, options.seed,
            options.depth_unit,
        )  # fmt: skip
        return f"{options.destination}: {count} maps at {options.levels} sizes; train with --data {options.destination}"

    def datasets(self, options: Namespace) -> tuple[SampleDataset, SampleDataset | None]:
        from nsr.priors.networks.common.patches import PatchDataset
        from nsr.priors.networks.common.samples import InMemory, Subset
        from nsr.priors.networks.common.splits import split_by_scene
        from nsr.priors.networks.depth_super_resolution.pyramid_files import TRAIN, VALIDATION, has_index, read_index

        def held(frames: SampleDataset) -> SampleDataset:
            return frames if options.streaming else InMemory(frames)

        if has_index(options.data):
            sides = [held(read_index(options.data, side, options.num)) for side in (TRAIN, VALIDATION)]
        else:
            frames = held(_frames(options))
            sides = [Subset(frames, part) for part in split_by_scene(frames.scenes, options.val, options.seed)]
        patches = [
            PatchDataset(side, options.patch, options.stride, multiple=options.factor) if len(side) else None
            for side in sides
        ]
        return patches[0], patches[1]

    def test_dataset(self, options: Namespace) -> SampleDataset:
        from nsr.priors.networks.depth_super_resolution.pyramid_files import VALIDATION, has_index, read_index

        if has_index(options.data):
            return read_index(options.data, VALIDATION, options.num)
        return _frames(options)

    def task(self, options: Namespace) -> SuperResolutionTask:
        from nsr.priors.networks.depth_super_resolution.decimation import Degradation
        from nsr.priors.networks.depth_super_resolution.network import DepthSuperResolution
        from nsr.priors.networks.depth_super_resolution.task import SuperResolutionTask

        degradation = Degradation(options.degradation, options.blur, options.noise)
        network = DepthSuperResolution(
            options.factor, options.network, options.width, degradation.phase, options.fuse_input, options.drop
        )
        return SuperResolutionTask(network, degradation)

    def prepare_test(self, task: SuperResolutionTask, options: Namespace) -> None:
        """Take over what ``nsr prior test`` asks for beyond the checkpoint."""
        from dataclasses import replace

        given = {
            flag: getattr(options, name)
            for flag, name in (("kind", "degradation"), ("blur", "blur"), ("noise", "noise"))
            if getattr(options, name) is not None
        }
        degradation = replace(task.degradation, **given)
        if degradation.phase != task.network.phase:
            raise NsrError(
                f"--degradation {degradation.kind}: this network was trained on {task.degradation.kind} "
                "decimation, whose pixels lie elsewhere; train one with this flag"
            )
        task.degradation = degradation
        if options.factor is not None:
            task.network.require_factor(options.factor)
            task.factor = options.factor
        task.enlarge, task.refine = options.enlarge, options.refine

    def results_name(self, task: SuperResolutionTask, options: Namespace) -> str:
        return f"{super().results_name(task, options)}_x{task.factor}"

    def write_results(self, prediction: dict, sample: Sample, folder: Path, options: Namespace) -> None:
        """Write the result as ``depth/<scene>_<name>.pfm`` (or ``.png``), millimetres, 0 where the input has none."""
        from nsr.priors.networks.depth_super_resolution.depth_files import write_depth

        name = f"{sample['scene']}_{sample['name']}"
        write_depth(folder / "depth" / f"{name}.{options.format}", prediction["depth"], prediction["mask"])

    def export(self, task: SuperResolutionTask, path: Path, options: Namespace) -> Path:
        """ONNX or TorchScript of the network at its largest factor, from ``low`` without holes to ``depth``, metres."""
        import torch

        from nsr.priors.networks.common.export import export_network
        from nsr.priors.networks.depth_super_resolution.network import FusedOnly

        return export_network(FusedOnly(task.network), path, {"low": torch.ones(1, 1, 16, 24)}, "depth")


def _add_degradation(parser: ArgumentParser, kind: str | None, blur: float | None, noise: float | None) -> None:
    as_trained = " (default: as trained)" if kind is None else " (default: %(default)s)"
    parser.add_argument(
        "--degradation",
        choices=DEGRADATIONS,
        default=kind,
        help="how low-resolution maps are made: the mean of a block, its first pixel or its middle one" + as_trained,
    )
    parser.add_argument(
        "--blur",
        type=float,
        default=blur,
        help="Gaussian before that, its deviation in low-resolution pixels" + as_trained,
    )
    parser.add_argument(
        "--noise",
        type=float,
        default=noise,
        help="Gaussian noise on low-resolution depth, its deviation in millimetres" + as_trained,
    )


def _frames(options: Namespace) -> SampleDataset:
    """Whole frames of ``--data``."""
    from nsr.priors.networks.depth_super_resolution.depth_files import DepthFiles, find_depth_files
    from nsr.priors.networks.depth_super_resolution.real_depth import RealDepth

    if options.data == SYNTHETIC:
        from nsr.priors.networks.common.procedural.solids import RenderedSolids

        return RenderedSolids(options.num, options.seed)
    if options.data == REAL:
        return RealDepth(options.num)
    return DepthFiles(find_depth_files(options.data)[: options.num], options.depth_unit)


FAMILY = DepthSuperResolutionFamily()
