"""The toy family, reached through the ``nsr`` command."""

import importlib.util
import sys
from pathlib import Path

import pytest
from nsr.cli import main as cli
from nsr.cli import prior

TOY = Path(__file__).with_name("toy_family.py")


@pytest.fixture(scope="session")
def toy():
    """The module of the toy family."""
    spec = importlib.util.spec_from_file_location("toy_family", TOY)
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy_family"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def toy_family(toy):
    return toy.ToyFamily()


@pytest.fixture
def nsr(toy_family, tmp_path, monkeypatch):
    """``nsr prior COMMAND toy ... --output <tmp_path>``; returns the exit code."""
    monkeypatch.setattr(prior, "families", lambda: {"toy": toy_family})

    def run(command, *arguments):
        return cli.main(["prior", command, "toy", "--output", str(tmp_path), "--gpu", "ignore", *map(str, arguments)])

    return run
