"""What a run says while it runs: a progress bar, TensorBoard scalars and a CSV."""

from __future__ import annotations

import csv
import time
from pathlib import Path

from tqdm import tqdm

from nsr.training.clock import Clock
from nsr.training.loss_curve import LOSS_TAG
from nsr.training.run_folder import LOG_FOLDER

CSV_FILE = "losses.csv"


class RunLog:
    """Context manager around the loop; ``write`` takes the figures of one step.

    Args:
        run_folder: logs go to its ``logs/``.
        clock: of the run; the bar shows its progress, and tqdm the time left.
        bar: show the progress bar.
    """

    def __init__(self, run_folder: Path, clock: Clock, bar: bool):
        from torch.utils.tensorboard import SummaryWriter

        folder = run_folder / LOG_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self.clock = clock
        self.board = SummaryWriter(str(folder))
        self.file = (folder / CSV_FILE).open("w", newline="")
        self.table: csv.DictWriter | None = None
        self.last = (time.monotonic(), clock.step)
        total = round(clock.seconds) if clock.seconds else clock.steps
        self.bar = tqdm(
            total=total,
            initial=self._position(),
            disable=not bar,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {elapsed} spent, {remaining} left  {postfix}",
        )

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()
        self.board.close()
        self.file.close()

    def write(self, figures: dict[str, float], rays_per_step: int) -> None:
        """Log weighted loss terms, their ``total`` and ``psnr`` (of the batch) at the clock's step."""
        now, step = time.monotonic(), self.clock.step
        rays_per_second = rays_per_step * (step - self.last[1]) / max(now - self.last[0], 1e-9)
        self.last = (now, step)
        for name, value in figures.items():
            tag = LOSS_TAG if name == "total" else f"train/{name}" if name == "psnr" else f"loss/{name}"
            self.board.add_scalar(tag, value, step)
        self.board.add_scalar("train/rays_per_second", rays_per_second, step)
        row = {"step": step, **figures, "rays_per_second": round(rays_per_second)}
        if self.table is None:
            self.table = csv.DictWriter(self.file, list(row))
            self.table.writeheader()
        self.table.writerow(row)
        self.file.flush()
        terms = "  ".join(f"{name} {value:.3g}" for name, value in figures.items() if name not in ("total", "psnr"))
        self.bar.set_postfix_str(
            f"step {step}  {terms}  PSNR {figures['psnr']:.1f}  {rays_per_second / 1000:.0f}k rays/s", refresh=False
        )
        self.bar.update(self._position() - self.bar.n)

    def _position(self) -> int:
        return int(min(self.clock.elapsed, self.clock.seconds)) if self.clock.seconds else self.clock.step
