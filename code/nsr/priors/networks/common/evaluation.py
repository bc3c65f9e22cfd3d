"""Testing a family's network on whole frames: figures, pictures, time."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from nsr.atomic import replaced_folder
from nsr.errors import NsrError
from nsr.priors.networks.common.checkpoints import task_from_checkpoint
from nsr.priors.networks.common.family import Family
from nsr.priors.networks.common.logs import write_table
from nsr.priors.networks.common.options import SHIPPED, check_test_options
from nsr.priors.networks.common.panels import write_panels
from nsr.priors.networks.common.run_folder import find_checkpoint, run_folder, shipped_files
from nsr.priors.networks.common.samples import Sample, SampleDataset, to_device
from nsr.priors.networks.common.task import Task

METRICS = "metrics.csv"
MEAN = "mean"


def test_family(
    family: Family, options: Namespace, device: torch.device | str = "cpu"
) -> tuple[Path, dict[str, float]]:
    """Test as the flags of ``nsr prior test`` say.

    Writes ``metrics.csv`` (a row a frame and their mean), ``panels_NNN.png`` of the first frames and what the family
    itself writes, in place of what an earlier test left in the folder.

    Returns:
        the folder with the results, and the mean figures.

    Raises:
        NsrError: a checkpoint or the data cannot be used.
    """
    check_test_options(options)
    path = find_checkpoint(options.output, family.name, options.name, options.checkpoint)
    task = task_from_checkpoint(path, family, device)
    family.prepare_test(task, options)
    dataset = family.test_dataset(options)
    folder = _results_folder(family, options, path) / f"test_{family.results_name(task, options)}"
    with replaced_folder(folder) as partial:
        means = _test_frames(family, task, dataset, partial, options)
    return folder, means


def _test_frames(
    family: Family, task: Task, dataset: SampleDataset, folder: Path, options: Namespace
) -> dict[str, float]:
    """Write the results of all frames into ``folder``; returns the mean figures."""
    rows = []
    for index in tqdm(range(len(dataset)), desc="frames", unit="frame", disable=options.verbose != 1):
        sample = dataset[index]
        prediction, figures = evaluate(task, sample)
        rows.append({"scene": sample["scene"], "name": sample["name"], **figures})
        if index < options.panels:
            write_panels(folder / f"panels_{index:03d}.png", task.panels(prediction, sample), columns=3)
        rows[-1] |= family.write_results(prediction, sample, folder, options) or {}
        if options.verbose == 2:
            print("  ".join(_told(name, value) for name, value in rows[-1].items()), flush=True)
    means = mean_figures(rows)
    write_table(folder / METRICS, [*rows, {"scene": MEAN, "name": "", **means}])
    family.finish_test([row["name"] for row in rows], folder, options)
    return means


def evaluate(task: Task, sample: Sample) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Predict one frame; returns the maps on the CPU and the figures, the time it took among them.

    Raises:
        NsrError: the network gives values that are not finite.
    """
    on_device = to_device(sample, task.device)
    started = time.perf_counter()
    with torch.inference_mode():
        prediction = to_device(task.predict(on_device), "cpu")  # waits for the device
    spent = (time.perf_counter() - started) * 1000
    for name, values in prediction.items():
        if not torch.isfinite(values).all():
            raise NsrError(
                f"{sample['scene']}/{sample['name']}: the {name} that the network gives is not finite; its training "
                "diverged, or the checkpoint is damaged: take another with --checkpoint"
            )
    return prediction, {**task.measure(prediction, sample), "milliseconds": spent}


def evaluate_all(task: Task, dataset: SampleDataset) -> list[dict[str, float]]:
    """The figures of every frame of a dataset."""
    return [evaluate(task, dataset[index])[1] for index in range(len(dataset))]


def mean_figures(rows: list[dict]) -> dict[str, float]:
    """The mean of every number over the rows that have it; what is not finite is left out."""
    names = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, (int, float)))
    means = {}
    for name in names:
        values = [row[name] for row in rows if name in row and np.isfinite(row[name])]
        means[name] = float(np.mean(values)) if values else float("nan")
    return means


def _results_folder(family: Family, options: Namespace, checkpoint: Path) -> Path:
    """Of the run that is tested, or ``shipped`` beside the runs."""
    inside_a_run = checkpoint.resolve().parent.parent == run_folder(options.output, family.name, "").resolve()
    ships = checkpoint in shipped_files(family.name)
    name = checkpoint.parent.name if inside_a_run else SHIPPED if ships else checkpoint.stem
    return run_folder(options.output, family.name, name)


def _told(name: str, value: object) -> str:
    return f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
