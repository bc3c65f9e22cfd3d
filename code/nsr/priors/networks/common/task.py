"""What a family is to the trainer: modules, losses, predictions, figures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nsr.errors import NsrError
from nsr.priors.networks.common.samples import Sample


@dataclass(frozen=True)
class Stage:
    """A part of a training.

    Attributes:
        share: of the run; those of all stages add up to 1.  The learning rate starts anew in each.
        trainable: prefixes of names in ``Task.modules`` ("network.decoder", "discriminator"); everything else is
            frozen, batch statistics included.
    """

    name: str
    share: float
    trainable: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """One picture of a result.

    Attributes:
        picture: ``[H, W]`` values, or ``[H, W, 3]`` in [0, 1].
        limits: of the values that the colours span; symmetric about 0 is drawn as a deviation.
        unit: of the values.
    """

    title: str
    picture: np.ndarray
    limits: tuple[float, float] = (0.0, 1.0)
    unit: str = ""


class Descent:
    """An optimiser over the trainable parameters of one module.

    Args:
        optimiser: of those parameters; its rates are those that schedules scale.
        clip: the largest norm of a gradient; 0 leaves it.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, clip: float):
        self.optimiser, self.clip = optimiser, clip
        self.base_rates = [group["lr"] for group in optimiser.param_groups]

    @property
    def rate(self) -> float:
        """The learning rate now, of the first group."""
        return self.optimiser.param_groups[0]["lr"]

    def scale_rates(self, factor: float) -> None:
        for group, base in zip(self.optimiser.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor

    def step(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Step down the sum of the losses; returns each as a number.

        Raises:
            NsrError: a loss, or the norm of a gradient that is to be clipped, is not finite; nothing is changed.
        """
        figures = {name: float(value.detach()) for name, value in losses.items()}
        require_finite(figures)
        self.optimiser.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        if self.clip > 0:
            parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
            require_finite({"gradient": float(nn.utils.clip_grad_norm_(parameters, self.clip))})
        self.optimiser.step()
        return figures


def require_finite(figures: dict[str, float]) -> None:
    """Refuse to go on with losses that are not numbers any more.

    Raises:
        NsrError: one is not finite; the message names it.
    """
    for name, value in figures.items():
        if not np.isfinite(value):
            raise NsrError(f"the training diverged: the loss {name} is {value}; lower --lr or give --clip 1")


class Task(ABC):
    """A family's network with what it learns from and what it is measured by.

    Attributes:
        network: what is trained, tested and exported.
    """

    network: nn.Module

    def modules(self) -> dict[str, nn.Module]:
        """Everything that is trained and kept in checkpoints, by name; an adversary is a second one."""
        return {"network": self.network}

    def stages(self) -> list[Stage]:
        """The parts of a training, in order."""
        return [Stage("train", 1.0, tuple(self.modules()))]

    def begin(self, stage: Stage) -> None:
        """A stage begins: change what it starts from, such as a part copied from another; by default nothing.

        Called once a stage, not where a run is resumed within it.
        """

    def enter(self, stage: Stage) -> None:
        """A stage is entered, anew or resumed: take note of what ``losses`` depends on; by default nothing."""

    def optimiser(self, name: str, parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        """The optimiser of one of the modules."""
        return torch.optim.Adam(parameters, lr=rate)

    @abstractmethod
    def losses(self, batch: Sample) -> dict[str, Tensor]:
        """Loss terms of a batch by name, weighted, each a scalar; invalid pixels have no part in them."""

    def step(self, batch: Sample, descents: dict[str, Descent]) -> dict[str, float]:
        """One step of training; returns the figures to log.

        Args:
            descents: by the module's name; a module of which the present stage trains nothing has none.
        """
        return descents["network"].step(self.losses(batch))

    @abstractmethod
    def predict(self, sample: Sample) -> dict[str, Tensor]:
        """Maps ``[C, H, W]`` of a whole frame, of any size, by name; no ground truth is read."""

    @abstractmethod
    def measure(self, prediction: dict[str, Tensor], sample: Sample) -> dict[str, float]:
        """Figures of a prediction against the sample's ground truth, with their unit in the name."""

    @abstractmethod
    def panels(self, prediction: dict[str, Tensor], sample: Sample) -> list[Panel]:
        """Pictures of a prediction, its input, its ground truth and its error."""

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> Task:
        for module in self.modules().values():
            module.to(device)
        return self

    def train(self, training: bool = True) -> Task:
        for module in self.modules().values():
            module.train(training)
        return self


def named_parameters(task: Task) -> Iterator[tuple[str, str, nn.Parameter]]:
    """The module's name, the parameter's full name and the parameter, of all."""
    for module_name, module in task.modules().items():
        for name, parameter in module.named_parameters():
            yield module_name, f"{module_name}.{name}", parameter


def enter_stage(task: Task, stage: Stage) -> dict[str, list[nn.Parameter]]:
    """Freeze all but what a stage trains, and put the rest into training mode.

    Returns:
        the trainable parameters by the name of their module, which are those with any.

    Raises:
        NsrError: a prefix names nothing.
    """
    task.enter(stage)
    names = [name for _, name, _ in named_parameters(task)]
    for prefix in stage.trainable:
        if not any(_under(name, prefix) for name in names):
            raise NsrError(f"the stage {stage.name!r} trains {prefix!r}, which the network does not have")
    trainable: dict[str, list[nn.Parameter]] = {}
    for module_name, name, parameter in named_parameters(task):
        parameter.requires_grad_(any(_under(name, prefix) for prefix in stage.trainable))
        if parameter.requires_grad:
            trainable.setdefault(module_name, []).append(parameter)
    for module_name, root in task.modules().items():
        for name, module in root.named_modules(prefix=module_name):
            module.training = any(_under(name, prefix) or _under(prefix, name) for prefix in stage.trainable)
    return trainable


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")
