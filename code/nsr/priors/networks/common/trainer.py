"""The training loop of every family."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from nsr.errors import CheckpointError, NsrError
from nsr.priors.networks.common.checkpoints import (
    load_modules,
    plain_options,
    read_checkpoint,
    require_same_network,
)
from nsr.priors.networks.common.family import Family
from nsr.priors.networks.common.logs import TrainingLog
from nsr.priors.networks.common.options import check_train_options
from nsr.priors.networks.common.progress import Progress, rate_factor
from nsr.priors.networks.common.run_folder import BEST, FINAL, find_checkpoint, keep_newest, numbered, run_folder
from nsr.priors.networks.common.samples import InMemory, SampleDataset, to_device
from nsr.priors.networks.common.task import Descent, Task, enter_stage, require_finite
from nsr.seeding import seed_everything
from nsr.state_file import write_state

_EPOCH_SEEDS = 1_000_003  # apart, so that the epochs of neighbouring seeds do not share random numbers


def train_family(family: Family, options: Namespace, device: torch.device | str = "cpu") -> Path:
    """Train as the flags of ``nsr prior train`` say.

    Returns:
        the run's folder.

    Raises:
        NsrError: a flag, the data or a checkpoint cannot be used, or a loss is not finite.
    """
    run = run_folder(options.output, family.name, options.name)
    check_train_options(options)
    start, rows = None, []
    if options.retrain:
        if not (run / FINAL).is_file():
            raise CheckpointError(f"{run}: there is no run to go on with; leave --retrain out to begin one")
        start = run / FINAL
    elif options.finetune is not None:
        start = find_checkpoint(options.output, family.name, options.finetune or options.name)
    elif (run / FINAL).exists():
        raise CheckpointError(f"{run}: there is a run already; give --retrain to go on with it, or another --name")
    state = read_checkpoint(start, family) if start else None
    if state:
        require_same_network(state, options, family, start)
    seed_everything(options.seed)
    train, validation = family.datasets(options)
    task = family.task(options)
    if state:
        load_modules(task, state, start)
    else:
        family.initialise(task, options)
    trainer = Trainer(family, task.to(device), train, validation, options)
    if options.retrain:
        trainer.restore(state)
        rows = state["history"]
    trainer.run(run, rows)
    return run


class Trainer:
    """Everything a training holds.

    Every epoch seeds all random numbers from the seed and its own number: a run that was killed goes on from its last
    whole epoch as if nothing had happened.

    Args:
        family, task: what is trained, on its device.
        train, validation: datasets of samples of one size; ``validation`` may be None.
        options: the flags of ``nsr prior train``.
    """

    def __init__(
        self, family: Family, task: Task, train: SampleDataset, validation: SampleDataset | None, options: Namespace
    ):
        self.family, self.task, self.options = family, task, options
        if not options.streaming:
            train, validation = InMemory(train), InMemory(validation) if validation else None
        self.order = torch.Generator()
        self.train_loader = self._loader(train, shuffle=True)
        self.validation_loader = self._loader(validation, shuffle=False) if validation else None
        self.stages = task.stages()
        steps = options.epoch * len(self.train_loader)
        self.progress = Progress(steps, options.seconds, self.stages)
        self.epoch = 0
        self.best = float("inf")
        self.stage = -1
        self.descents: dict[str, Descent] = {}

    def run(self, run: Path, rows: list[dict]) -> None:
        """Train to the end, from after the epochs of ``rows`` on."""
        self.progress.start(rows[-1]["seconds"] if rows else 0.0)
        with TrainingLog(run, self.progress, rows, self.options.verbose) as log:
            while self.epoch < self.options.epoch and not self.progress.finished:
                self.epoch += 1
                row = self._train_epoch(log)
                row |= {f"val_{name}": value for name, value in self._validate().items()}
                log.epoch(row)
                self._save(run, log.rows, row.get("val_loss", row["loss"]))
        if not self.epoch:
            raise NsrError(f"--seconds {self.options.seconds:g} is over before the first step; give more")

    def restore(self, state: dict) -> None:
        """Take over where a checkpoint ended."""
        self._enter(state["stage"], resumed=True)
        self.epoch, self.best, self.progress.step = state["epoch"], state["best"], state["step"]
        for name, descent in self.descents.items():
            descent.optimiser.load_state_dict(state["optimisers"][name])

    def _loader(self, dataset: SampleDataset, shuffle: bool) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size=self.options.batch,
            shuffle=shuffle,
            generator=self.order,
            num_workers=self.options.workers,
            drop_last=shuffle and len(dataset) >= self.options.batch,
        )

    def _enter(self, stage: int, resumed: bool = False) -> None:
        """Freeze what a stage does not train; a new stage has new optimisers, and losses of its own to be best in."""
        if stage != self.stage and not resumed:
            self.task.begin(self.stages[stage])
        trainable = enter_stage(self.task, self.stages[stage])
        if stage != self.stage:
            self.stage, self.best = stage, float("inf")
            self.descents = {
                name: Descent(self.task.optimiser(name, parameters, self.options.lr), self.options.clip)
                for name, parameters in trainable.items()
            }

    def _train_epoch(self, log: TrainingLog) -> dict:
        options, progress = self.options, self.progress
        seed = options.seed * _EPOCH_SEEDS + self.epoch
        seed_everything(seed)
        self.order.manual_seed(seed)
        self._enter(progress.stage())
        sums: dict[str, float] = {}
        count = 0
        for batch in self.train_loader:
            if progress.stage() != self.stage:
                self._enter(progress.stage())
            factor = rate_factor(progress.within_stage(), options.schedule, options.warmup)
            for descent in self.descents.values():
                descent.scale_rates(factor)
            figures = self.task.step(to_device(batch, self.task.device), self.descents)
            for name, value in figures.items():
                sums[name] = sums.get(name, 0.0) + value
            count += 1
            progress.step += 1
            log.step()
            if progress.finished:
                break
        means = {name: value / count for name, value in sums.items()}
        rate = next(iter(self.descents.values())).rate
        return {
            "epoch": self.epoch,
            "step": progress.step,
            "stage": self.stages[self.stage].name,
            "seconds": round(progress.spent, 2),
            "lr": rate,
            "loss": sum(means.values()),
            **means,
        }

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Mean loss terms over the validation samples, and their sum as ``loss``; nothing without such samples.

        Raises:
            NsrError: one is not finite; the epoch is not saved.
        """
        if self.validation_loader is None:
            return {}
        self.task.train(False)
        sums: dict[str, float] = {}
        for batch in self.validation_loader:
            for name, value in self.task.losses(to_device(batch, self.task.device)).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch["name"])
        means = {name: value / len(self.validation_loader.dataset) for name, value in sums.items()}
        require_finite(means)
        return {"loss": sum(means.values()), **means}

    def _save(self, run: Path, rows: list[dict], score: float) -> None:
        is_best = score <= self.best
        self.best = min(score, self.best)
        state = {
            "family": self.family.name,
            "options": plain_options(self.options),
            "modules": {name: module.state_dict() for name, module in self.task.modules().items()},
            "optimisers": {name: descent.optimiser.state_dict() for name, descent in self.descents.items()},
            "stage": self.stage,
            "epoch": self.epoch,
            "step": self.progress.step,
            "best": self.best,
            "history": rows,
        }
        write_state(numbered(run, self.epoch), state)
        keep_newest(run, self.options.keep)
        if is_best:
            write_state(run / BEST, {**state, "optimisers": {}})  # what is tested and shipped: half the size
        write_state(run / FINAL, state)

