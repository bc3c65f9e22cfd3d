"""What a family of networks is to the command line, and the list of all."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from nsr.errors import NsrError

if TYPE_CHECKING:  # torch takes seconds to import, and "nsr --help" lists the families
    from nsr.priors.networks.common.samples import SampleDataset
    from nsr.priors.networks.common.task import Task

COMMANDS = ("train", "test", "export")
PREPARE = "prepare"


class Family(ABC):
    """One family of networks: its flags, its data, its task.

    A family is a package beside this one with a module ``family`` that holds an instance as ``FAMILY``.  That module
    imports torch inside its functions only.

    Attributes:
        name: on the command line.
        help: one line.
        defaults: of the shared flags of ``nsr prior train``, by name.
        commands: of ``nsr prior`` that the family has; ``prepare`` is for those with data to turn into another form.
        network_flags: the flags that decide the network; a checkpoint is only continued with the same.
    """

    name: str
    help: str
    defaults: dict[str, object] = {}
    commands: tuple[str, ...] = COMMANDS
    network_flags: tuple[str, ...] = ("width",)

    def add_arguments(self, parser: ArgumentParser, command: str) -> None:
        """Add the family's own flags for one of its commands."""

    @abstractmethod
    def datasets(self, options: Namespace) -> tuple[SampleDataset, SampleDataset | None]:
        """What is trained on, and what validates: other scenes, or None where ``options.val`` is 0."""

    @abstractmethod
    def test_dataset(self, options: Namespace) -> SampleDataset:
        """Whole frames that ``nsr prior test`` predicts."""

    @abstractmethod
    def task(self, options: Namespace) -> Task:
        """A fresh task, of the flags of ``nsr prior train``."""

    def initialise(self, task: Task, options: Namespace) -> None:
        """Start a new run's task from other weights than random ones; by default nothing.

        Not called where a checkpoint of the family is gone on with or fine-tuned.
        """

    def prepare_test(self, task: Task, options: Namespace) -> None:
        """Tell a loaded task what the own flags of ``nsr prior test`` ask of it; by default nothing.

        Raises:
            NsrError: the checkpoint cannot do what they ask for.
        """

    def results_name(self, task: Task, options: Namespace) -> str:
        """What tells the results of one test from those of another, after ``test_`` in their folder's name."""
        return Path(options.data).name

    def write_results(self, prediction: dict, sample: dict, folder: Path, options: Namespace) -> dict | None:
        """Write a tested frame's predictions in the family's own formats; by default nothing.

        Returns:
            figures of the frame for the table, or None.
        """

    def finish_test(self, names: list[str], folder: Path, options: Namespace) -> None:
        """Make something of all that ``write_results`` has written, given the frames' names; by default nothing."""

    def prepare(self, options: Namespace) -> str:
        """Turn the raw data in ``options.source`` into what training reads, in ``options.destination``.

        Returns:
            what was written, in one line.

        Raises:
            NsrError: the data cannot be used; nothing is written then.
        """
        raise NsrError(f"{self.name} reads its data as they are")

    def export(self, task: Task, path: Path, options: Namespace) -> Path:
        """Write the network in another format.

        Raises:
            NsrError: the family has none.
        """
        raise NsrError(f"{self.name} has no format to export to")


def families() -> dict[str, Family]:
    """Every family by its name, in alphabetical order."""
    import nsr.priors.networks as room

    found = {}
    for module in sorted(pkgutil.iter_modules(room.__path__), key=lambda module: module.name):
        name = f"{room.__name__}.{module.name}.family"
        if module.ispkg and module.name != "common" and importlib.util.find_spec(name):
            family = importlib.import_module(name).FAMILY
            found[family.name] = family
    return found


def family_named(name: str) -> Family:
    """The family of that name.

    Raises:
        NsrError: there is none; the message lists those that there are.
    """
    known = families()
    if name not in known:
        raise NsrError(f"{name!r} is no family of networks; there are: {', '.join(known)}")
    return known[name]
