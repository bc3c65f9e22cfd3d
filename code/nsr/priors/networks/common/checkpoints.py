"""Checkpoints of a family: written by the trainer, checked before anything is made of them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from nsr.errors import CheckpointError
from nsr.priors.networks.common.family import Family
from nsr.priors.networks.common.task import Task
from nsr.state_file import read_state


def plain_options(options: Namespace) -> dict[str, object]:
    """The flags that a checkpoint keeps: numbers, texts and lists of them."""
    return {
        name: list(value) if isinstance(value, (list, tuple)) else value
        for name, value in vars(options).items()
        if isinstance(value, (str, int, float, bool, type(None), list, tuple))
    }


def read_checkpoint(path: Path, family: Family) -> dict:
    """A checkpoint's state, on the CPU.

    Raises:
        CheckpointError: it cannot be read, or is of another family.
    """
    state = read_state(Path(path))
    of = state.get("family")
    if of != family.name:
        what = f"of {of}" if of else "no checkpoint of a network"
        raise CheckpointError(f"{path}: this checkpoint is {what}; {family.name} needs one of its own")
    return state


def task_from_checkpoint(path: Path, family: Family, device: torch.device | str = "cpu") -> Task:
    """The task that a checkpoint was trained as, in evaluation mode.

    Raises:
        CheckpointError: it cannot be read, is of another family, or does not fit the network that its flags give.
    """
    state = read_checkpoint(path, family)
    task = family.task(Namespace(**state["options"]))
    load_modules(task, state, path)
    return task.to(device).train(False)


def require_same_network(state: dict, options: Namespace, family: Family, path: Path) -> None:
    """Refuse to go on with a checkpoint of another network than the flags ask for.

    Raises:
        CheckpointError: a flag of the network differs.
    """
    for flag in family.network_flags:
        held, wanted = state["options"].get(flag), plain_options(options).get(flag)
        if held != wanted:
            given = "" if held in (None, False) else f" {held}"
            raise CheckpointError(
                f"{path}: was trained with --{flag.replace('_', '-')}{given}, not {wanted}; give the same"
            )


def load_modules(task: Task, state: dict, path: Path) -> None:
    """Put a checkpoint's weights into a task's modules.

    Raises:
        CheckpointError: names or shapes differ; the message says which.
    """
    for name, module in task.modules().items():
        held = state["modules"].get(name, {})
        require_same_weights(held, module.state_dict(), f"{path}: the weights do not fit the {name} of this family")
        module.load_state_dict(held)


def require_same_weights(held: Mapping[str, Tensor], own: Mapping[str, Tensor], message: str) -> None:
    """Refuse ``held`` weights whose names or shapes are not those of a network's ``own``.

    Raises:
        CheckpointError: ``message``, and what differs: counted, with the first few named.
    """
    differences = {
        "lacks": own.keys() - held.keys(),
        "has besides": held.keys() - own.keys(),
        "has in another shape": [name for name in own.keys() & held.keys() if own[name].shape != held[name].shape],
    }
    told = "; ".join(
        f"{what} {len(names)} ({', '.join(sorted(names)[:3])}{', ...' * (len(names) > 3)})"
        for what, names in differences.items()
        if names
    )
    if told:
        raise CheckpointError(f"{message}: it {told}")
