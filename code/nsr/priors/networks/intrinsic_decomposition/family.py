"""The family on the command line: ``nsr prior train|test|export intrinsic-decomposition``."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from nsr.errors import NsrError
from nsr.priors.networks.common.family import Family
from nsr.priors.networks.common.options import REAL, SYNTHETIC, check_at_least
from nsr.priors.networks.intrinsic_decomposition.methods import METHODS

if TYPE_CHECKING:
    from nsr.priors.networks.common.samples import Sample, SampleDataset
    from nsr.priors.networks.intrinsic_decomposition.task import IntrinsicTask

_METHOD_HELP = "; ".join(f"{name}: {method.title}" for name, method in METHODS.items())


class IntrinsicDecomposition(Family):
    name = "intrinsic-decomposition"
    help = "normals, albedo, light and shading residue of one picture"
    defaults = {
        "num": 1000,
        "val": 0.03,
        "patch": 64,
        "stride": 64,
        "epoch": 100,
        "seconds": 600.0,
        "batch": 16,
        "lr": 1e-3,
        "drop": 0.0,
        "width": 32,
    }
    network_flags = ("width", "method", "discriminator_width")

    def add_arguments(self, parser: ArgumentParser, command: str) -> None:
        if command == "train":
            _add_training(parser)
        if command in ("train", "test"):
            parser.add_argument(
                "--size",
                type=int,
                default=64,
                help="side of rendered pictures, and short side that others are scaled down to (default: %(default)s)",
            )
        if command == "test":
            parser.add_argument("--light", metavar="FILE", help="relight with the 27 coefficients of a text")
            parser.add_argument(
                "--labels", metavar="FOLDER", help="write predictions there as pseudo-labels, with their table"
            )

    def datasets(self, options: Namespace) -> tuple[SampleDataset, SampleDataset | None]:
        from nsr.priors.networks.common.samples import Subset
        from nsr.priors.networks.common.splits import split_by_scene
        from nsr.priors.networks.intrinsic_decomposition.faces import FaceFolder
        from nsr.priors.networks.intrinsic_decomposition.synthetic.dataset import LIGHTS_PER_SCENE, SyntheticPictures

        check_at_least(options, 1, "size")
        if options.data == SYNTHETIC:
            dataset = SyntheticPictures(options.num * LIGHTS_PER_SCENE, options.size, options.seed)
        elif options.data == REAL:
            raise NsrError("--data real has no labels to train on; give a FOLDER of the original format, or --mix")
        else:
            dataset = FaceFolder(options.data, options.size, first=options.num)
        train, held_out = split_by_scene(dataset.scenes, options.val, options.seed)
        training = Subset(dataset, train)
        if options.mix:
            training = _joined(training, FaceFolder(options.mix, options.size, synthetic=False))
        validation = Subset(dataset, held_out) if held_out else None
        return _in_patches(training, options), validation and _in_patches(validation, options)

    def test_dataset(self, options: Namespace) -> SampleDataset:
        from nsr.priors.networks.common.photometric import CAT, LIGHTS
        from nsr.priors.networks.common.real_data import data_folder
        from nsr.priors.networks.intrinsic_decomposition.photographs import PhotographFolder
        from nsr.priors.networks.intrinsic_decomposition.photometric import PhotometricStereo
        from nsr.priors.networks.intrinsic_decomposition.synthetic.dataset import SyntheticPictures

        if options.data == SYNTHETIC:
            return SyntheticPictures(options.num, options.size, options.seed)
        folder = data_folder(options.data, CAT)
        if (folder / LIGHTS).is_file():
            return PhotometricStereo(folder, options.size, options.num)
        return PhotographFolder(folder, options.size, options.num)

    def task(self, options: Namespace) -> IntrinsicTask:
        from nsr.priors.networks.intrinsic_decomposition.task import IntrinsicTask

        check_at_least(options, 2, "width")
        check_at_least(options, 1, "discriminator_width")
        check_at_least(options, 0, "wt_decay")
        return IntrinsicTask(
            options.method,
            options.width,
            options.drop,
            options.discriminator_width,
            options.patch,
            _weights(options.weight),
            options.wt_decay,
            backbone_given=bool(options.backbone or options.sfsnet_weights) or options.finetune is not None,
        )

    def prepare_test(self, task: IntrinsicTask, options: Namespace) -> None:
        from nsr.priors.networks.intrinsic_decomposition.faces import read_light

        check_at_least(options, 0, "size")
        if options.light:
            read_light(Path(options.light))  # what is wrong with it is said before anything is written

    def write_results(self, prediction: dict, sample: Sample, folder: Path, options: Namespace) -> None:
        from nsr.priors.networks.intrinsic_decomposition.faces import read_light
        from nsr.priors.networks.intrinsic_decomposition.results import write_decomposition, write_pseudo_label

        light = read_light(Path(options.light)) if options.light else None
        write_decomposition(prediction, sample, folder, light)
        if options.labels:
            write_pseudo_label(prediction, sample, Path(options.labels))

    def initialise(self, task: IntrinsicTask, options: Namespace) -> None:
        from nsr.priors.networks.intrinsic_decomposition.weights import backbone_of_checkpoint, import_sfsnet

        given = options.backbone or options.sfsnet_weights
        if not given:
            return
        if options.backbone and options.sfsnet_weights:
            raise NsrError("--backbone and --sfsnet-weights: give one of them")
        if not METHODS[options.method].from_backbone:
            raise NsrError(f"--method {options.method} trains from scratch: leave out --backbone and --sfsnet-weights")
        if options.backbone:
            backbone_of_checkpoint(Path(given), self, task.network.backbone)
        else:
            import_sfsnet(Path(given), task.network.backbone)
        task.network.adopt_backbone()

    def export(self, task: IntrinsicTask, path: Path, options: Namespace) -> Path:
        import torch

        from nsr.priors.networks.common.export import export_network
        from nsr.priors.networks.intrinsic_decomposition.network import StackedMaps

        example = {"picture": torch.rand(1, 3, 64, 64)}
        return export_network(StackedMaps(task.network), path, example, "maps")


def _add_training(parser: ArgumentParser) -> None:
    """The flags of the method and of what it starts from."""
    own = parser.add_argument_group("the method")
    own.add_argument("--method", choices=METHODS, default="3", help=f"{_METHOD_HELP} (default: %(default)s)")
    own.add_argument(
        "--backbone", metavar="FILE", help="a trained checkpoint whose SfSNet to start from, instead of its stage"
    )
    own.add_argument(
        "--sfsnet-weights", metavar="FILE", help="published SfSNet weights to start from; they need --width 128"
    )
    own.add_argument(
        "--mix", metavar="FOLDER", help="pseudo-labelled pictures to train on as well (see --labels of test)"
    )
    own.add_argument(
        "--weight",
        action="append",
        default=[],
        metavar="TERM=FACTOR",
        help="scale a term of the losses (albedo, reconstruction, adversarial, ...); can be given again",
    )
    own.add_argument("--wt-decay", type=float, default=0.0, help="weight decay (default: %(default)s)")
    own.add_argument("--discriminator-width", type=int, default=16, help="64 is the original (default: %(default)s)")
    own.add_argument("--details", help="a note on the run, kept in its checkpoints")


def _joined(first: SampleDataset, second: SampleDataset) -> SampleDataset:
    """Two datasets as one."""
    from torch.utils.data import ConcatDataset

    both = ConcatDataset([first, second])
    both.scenes = [*first.scenes, *second.scenes]
    return both


def _in_patches(dataset: SampleDataset, options: Namespace) -> SampleDataset:
    """Patches of pictures that are larger than ``--patch``."""
    from nsr.priors.networks.common.patches import PatchDataset

    if options.size == options.patch:
        return dataset
    return PatchDataset(dataset, options.patch, options.stride)


def _weights(texts: list[str]) -> dict[str, float]:
    """``TERM=FACTOR`` texts as numbers."""
    weights = {}
    for text in texts:
        term, _, factor = text.partition("=")
        try:
            weights[term] = float(factor)
            if not math.isfinite(weights[term]):
                raise ValueError(f"{factor} is no factor")
        except ValueError as error:
            raise NsrError(f"--weight {text}: write a term and a number, as in albedo=0.5") from error
    return weights


FAMILY = IntrinsicDecomposition()
