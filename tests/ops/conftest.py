"""What the tests of the compiled operators share."""

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
