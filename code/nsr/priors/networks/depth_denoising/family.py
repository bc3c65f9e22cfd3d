"""``nsr prior ... depth-denoising``: its flags, data and results."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from nsr.errors import NsrError
from nsr.priors.networks.common.family import COMMANDS, PREPARE, Family
from nsr.priors.networks.common.options import REAL, SYNTHETIC, check_at_least

if TYPE_CHECKING:
    from nsr.priors.networks.common.samples import Sample, SampleDataset
    from nsr.priors.networks.depth_denoising.task import DenoisingTask

NETWORK_NAMES = ("unet", "conv", "autoencoder", "gan")


class DepthDenoisingFamily(Family):
    name = "depth-denoising"
    help = "the noise and holes of a stereo camera's depth taken out, with the help of its infrared picture"
    defaults = {
        "num": 120,
        "val": 0.1,
        "epoch": 13,
        "patch": 64,
        "stride": 64,
        "batch": 16,
        "width": 12,
        "drop": 0.0,
        "lr": 1.5e-3,
    }
    commands = (*COMMANDS, PREPARE)
    network_flags = ("network", "width", "infrared", "hole_mask")

    def add_arguments(self, parser: ArgumentParser, command: str) -> None:
        if command == "train":
            parser.add_argument(
                "--network", choices=NETWORK_NAMES, default="unet", help="which network (default: %(default)s)"
            )
            parser.add_argument(
                "--infrared", action=BooleanOptionalAction, default=True, help="use the infrared picture (default: yes)"
            )
            parser.add_argument(
                "--hole-mask",
                action=BooleanOptionalAction,
                default=True,
                help="show the network its holes (default: yes)",
            )
            parser.add_argument(
                "--fill-holes",
                action=BooleanOptionalAction,
                default=True,
                help="learn what is in holes, or leave them out (default: learn it)",
            )
        if command in ("train", "test"):
            parser.add_argument(
                "--erode", type=int, default=0, help="pixels about holes that become holes too (default: %(default)s)"
            )
            parser.add_argument(
                "--background",
                type=float,
                default=0.0,
                metavar="METRES",
                help="beyond which depth is taken out (default: all is kept)",
            )
        if command == "test":
            parser.add_argument("--tile", type=int, default=0, help="size of tiles, pixels (default: whole frames)")
            parser.add_argument("--overlap", type=int, default=32, help="of tiles, pixels (default: %(default)s)")
            parser.add_argument(
                "--section", type=_four_numbers, metavar="X0,Y0,X1,Y1", help="a profile of every frame along a line"
            )
            parser.add_argument(
                "--plane", type=_four_numbers, metavar="X,Y,W,H", help="how far a flat part of every frame is from flat"
            )
            parser.add_argument(
                "--replay",
                metavar="FILE.mp4",
                help="a film of all frames: infrared, noisy and denoised beside each other",
            )

    def datasets(self, options: Namespace) -> tuple[SampleDataset, SampleDataset | None]:
        from nsr.priors.networks.common.patches import PatchDataset
        from nsr.priors.networks.common.samples import InMemory, Subset
        from nsr.priors.networks.common.splits import split_by_scene
        from nsr.priors.networks.depth_denoising.networks import MULTIPLE

        frames = self._frames(options, options.fill_holes, needs_truth=True)
        parts = split_by_scene(frames.scenes, options.val, options.seed)
        if not options.streaming:
            frames = InMemory(frames)
        train, validation = (
            PatchDataset(Subset(frames, part), options.patch, options.stride, multiple=MULTIPLE) if part else None
            for part in parts
        )
        return train, validation

    def test_dataset(self, options: Namespace) -> SampleDataset:
        return self._frames(options, fill_holes=True, needs_truth=False)

    def task(self, options: Namespace) -> DenoisingTask:
        from nsr.priors.networks.depth_denoising.task import make_task

        return make_task(options)

    def prepare_test(self, task: DenoisingTask, options: Namespace) -> None:
        check_at_least(options, 0, "tile", "overlap")
        if options.replay and Path(options.replay).suffix != ".mp4":
            raise NsrError(f"--replay {options.replay}: a film's name ends in .mp4")
        task.tile, task.overlap = options.tile, options.overlap if options.tile else 0

    def write_results(self, prediction: dict, sample: Sample, folder: Path, options: Namespace) -> dict:
        from nsr.priors.networks.depth_denoising.results import write_frame

        return write_frame(prediction["depth"], sample, folder, options.section, options.plane, bool(options.replay))

    def finish_test(self, names: list[str], folder: Path, options: Namespace) -> None:
        from nsr.priors.networks.depth_denoising.results import write_replay

        if options.replay:
            write_replay(folder, names, Path(options.replay))

    def export(self, task: DenoisingTask, path: Path, options: Namespace) -> Path:
        """ONNX or TorchScript of the whole way from noisy depth and infrared to depth; sizes are multiples of 16."""
        import torch

        from nsr.priors.networks.common.export import export_network

        depth = torch.rand(1, 1, 96, 128) + 0.5
        return export_network(task.network, path, {"depth": depth, "infrared": torch.rand(1, 1, 96, 128)}, "denoised")

    def prepare(self, options: Namespace) -> str:
        from nsr.priors.networks.depth_denoising.folders import convert_raw

        return f"{options.destination}: {convert_raw(options.source, options.destination)} frames written"

    def _frames(self, options: Namespace, fill_holes: bool, needs_truth: bool) -> SampleDataset:
        from nsr.priors.networks.depth_denoising.folders import FolderFrames, LivingRoom, Prepared
        from nsr.priors.networks.depth_denoising.simulated import SimulatedFrames

        check_at_least(options, 0, "erode", "background")
        if options.data == SYNTHETIC:
            frames = SimulatedFrames(options.num, options.seed)
        elif options.data == REAL:
            frames = LivingRoom(options.num, options.seed)
        else:
            frames = FolderFrames(options.data, options.num, needs_truth)
        return Prepared(frames, fill_holes, options.erode, options.background)


def _four_numbers(text: str) -> tuple[int, int, int, int]:
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise ArgumentTypeError(f"{text!r} is not four whole numbers with commas between")
    return tuple(int(part) for part in parts)


FAMILY = DepthDenoisingFamily()
