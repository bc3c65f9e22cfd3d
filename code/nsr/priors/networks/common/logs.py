"""What a training says while it runs: a bar or lines, a CSV, a picture of the losses, TensorBoard scalars."""

from __future__ import annotations

import csv
from pathlib import Path

from tqdm import tqdm

from nsr.atomic import whole_file
from nsr.priors.networks.common.chart import write_curves
from nsr.priors.networks.common.progress import Progress
from nsr.priors.networks.common.run_folder import CURVE, LOGS, TABLE

BAR, LINES = 1, 2  # values of --verbose
_NOT_DRAWN = ("epoch", "step", "stage", "seconds", "lr")


class TrainingLog:
    """Context manager around a training.

    Args:
        run: the run's folder.
        progress: of the training; the bar shows it.
        rows: of the epochs before a continuation; the log goes on after them.
        verbose: 0 nothing, 1 a bar with the time left, 2 a line an epoch.
    """

    def __init__(self, run: Path, progress: Progress, rows: list[dict], verbose: int):
        self.run, self.progress, self.rows, self.verbose = run, progress, list(rows), verbose
        self.board = None  # opened by the first epoch: a run that fails before it leaves no folder
        self.bar = tqdm(
            total=1000,
            initial=self._position(),
            disable=verbose != BAR,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {elapsed} spent, {remaining} left  {postfix}",
        )

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()
        if self.board:
            self.board.close()

    def step(self) -> None:
        """Move the bar."""
        self.bar.update(self._position() - self.bar.n)

    def epoch(self, row: dict) -> None:
        """Log one epoch's figures everywhere; the CSV is written whole, so that a continued run has no row twice."""
        from torch.utils.tensorboard import SummaryWriter

        self.board = self.board or SummaryWriter(str(self.run / LOGS), purge_step=row["epoch"])
        self.rows.append(row)
        for name, value in row.items():
            if isinstance(value, (int, float)):
                tag = f"validation/{name.removeprefix('val_')}" if name.startswith("val_") else f"training/{name}"
                self.board.add_scalar(tag, value, row["epoch"])
        write_table(self.run / TABLE, self.rows)
        curves = {name: [float(entry.get(name, 0.0)) for entry in self.rows] for name in row if name not in _NOT_DRAWN}
        write_curves(self.run / CURVE, [entry["epoch"] for entry in self.rows], curves)
        told = "  ".join(f"{name} {value:.4g}" for name, value in row.items() if isinstance(value, (int, float)))
        if self.verbose == LINES:
            print(told, flush=True)
        self.bar.set_postfix_str(told, refresh=False)

    def _position(self) -> int:
        return round(1000 * self.progress.value)


def write_table(path: Path, rows: list[dict]) -> None:
    """Rows as a CSV with every column that any row has, in the order met; the file appears whole or not at all."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with whole_file(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
