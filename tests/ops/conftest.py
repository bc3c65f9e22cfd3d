"""What the tests of the compiled operators share."""

import subprocess
from pathlib import Path

import pytest
import torch

from nsr.ops import backend, native_build


@pytest.fixture(scope="session")
def native():
    """The compiled operators; a machine that cannot compile them skips, one that fails to does not."""
    try:
        native_build.find_toolchain(cuda=False)
    except native_build.BuildError as error:
        pytest.skip(f"nothing can be compiled here: {error}")
    resolution = backend.resolve()
    assert resolution.library is not None, resolution.steps
    return torch.ops.nsr


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory, native):
    """A function that compiles a program of this folder with address and undefined-behaviour sanitizers."""

    def build(name):
        program = tmp_path_factory.mktemp("programs") / Path(name).stem
        tools = native_build.find_toolchain(cuda=False)
        flags = ["-std=c++20", "-O1", "-g1", "-ffp-contract=off", "-Wno-psabi", "-Wno-ignored-attributes"]
        sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-static-libasan", "-static-libubsan"]
        command = [tools.compiler, *flags, *sanitizers, str(Path(__file__).with_name(name)), "-o", str(program)]
        done = subprocess.run(command, capture_output=True, text=True)
        if "cannot find" in done.stderr:
            pytest.skip("this compiler has no sanitizers")
        assert done.returncode == 0, done.stderr
        return program

    return build
