"""Which body of an operator runs: the compiled one, or plain PyTorch.

A compiled library is looked for once, at the first use of an operator, in this order: one that came with the
installation, else one that is built now into the user's cache folder (some seconds, once per version of the sources).
Why a step did not serve is logged, and told by ``nsr doctor``.  The environment variable NSR_BACKEND forces a body:

- ``torch``: plain PyTorch.
- ``native``: the compiled operators; an error where they are missing.
- ``tcnn``: tinycudann for the encodings that can use it; an error where it is missing.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from nsr.errors import NsrError
from nsr.ops import native_build
from nsr.ops.native_build import BuildError

_LOGGER = logging.getLogger("nsr")
_PACKAGE = Path(__file__).resolve().parents[1]
CHOICES = ("torch", "native", "tcnn")
OPERATORS = (
    "hash_encode", "field_value", "sphere_trace", "filter_bank_layer", "filter_bank_layer_gradient", "table_adam",
    "picture_samples", "patch_correlation",
)  # fmt: skip
_said: set[str] = set()


@dataclass
class Resolution:
    """How the search for compiled operators went.

    Attributes:
        library: the loaded library, or None.
        steps: one line for each step that did not serve, in order, and one for the step that did.
    """

    library: Path | None = None
    steps: list[str] = field(default_factory=list)


def forced() -> str | None:
    """The value of NSR_BACKEND, or None.

    Raises:
        NsrError: it is not one of ``CHOICES``.
    """
    choice = os.environ.get("NSR_BACKEND") or None
    if choice is not None and choice not in CHOICES:
        raise NsrError(f"NSR_BACKEND={choice}: choose among {', '.join(CHOICES)}, or unset it")
    return choice


def say_once(message: str) -> None:
    """Log which body runs in place of a faster one: once per process and message."""
    if message not in _said:
        _said.add(message)
        _LOGGER.warning(message)


def tcnn_available() -> bool:
    """Whether tinycudann can be used: it is installed, and torch sees a CUDA device.

    Raises:
        NsrError: NSR_BACKEND=tcnn, and it cannot.
    """
    reason = None
    if importlib.util.find_spec("tinycudann") is None:
        reason = "tinycudann is not installed"
    elif not torch.cuda.is_available():
        reason = "torch sees no CUDA device"
    if reason and forced() == "tcnn":
        raise NsrError(f"NSR_BACKEND=tcnn, but {reason}; install it, or unset NSR_BACKEND")
    return reason is None


def runs_native(operator: str, device: torch.device, limits: str | None = None) -> bool:
    """Whether the compiled body of an operator runs for tensors on a device.

    Args:
        operator: its name in ``torch.ops.nsr``.
        limits: why the compiled body does not serve these arguments, or None where it does.

    Raises:
        NsrError: NSR_BACKEND forces a body that is not here.
    """
    choice = forced()
    if choice == "torch":
        return False
    if choice == "tcnn":
        tcnn_available()
    found = limits is None and resolve().library is not None and _has_kernel(operator, device.type)
    if choice == "native" and not found:
        reasons = limits or "; ".join(resolve().steps)
        raise NsrError(f"NSR_BACKEND=native, but there is no compiled {operator} for {device.type}: {reasons}")
    return found


@functools.cache
def _has_kernel(operator: str, device_type: str) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"nsr::{operator}", device_type.upper())


@functools.cache
def resolve() -> Resolution:
    """Find, or build, and load the compiled operators: once per process."""
    resolution = Resolution()
    sources = find_sources()
    # A library with CUDA serves the CPU as well; one without is better than none.
    kinds = ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",)
    for kind in kinds:
        for step in (_prebuilt, _cached):
            path = step(sources, kind, resolution.steps)
            if path is not None and _load(path, resolution):
                return resolution
    resolution.steps.append("plain PyTorch runs instead, which is slower")
    _LOGGER.warning("compiled operators are not used: %s", "; ".join(resolution.steps))
    return resolution


def find_sources() -> Path | None:
    """The folder ``csrc``: inside an installed package, or beside ``code`` in a checkout."""
    for folder in (_PACKAGE / "csrc", _PACKAGE.parents[1] / "csrc"):
        if any(folder.glob("*/*.cpp")):
            return folder
    return None


def cache_folder() -> Path:
    """Where libraries built at run time are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nsr"


def _load(path: Path, resolution: Resolution) -> bool:
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        resolution.steps.append(f"{path.name} does not load: {str(error).splitlines()[0]}")
        return False
    resolution.library = path
    resolution.steps.append(f"compiled operators from {path}")
    _LOGGER.info("compiled operators from %s", path)
    return True


def _prebuilt(sources: Path | None, kind: str, steps: list[str]) -> Path | None:
    present = [path for path in _PACKAGE.glob("_native.*.so") if path.name.split(".")[-2] in (kind, "cuda")]
    if not present:
        steps.append(f"no library for {kind} came with the installation")
        return None
    if sources is None:
        return present[0]
    fitting = [path for path in present if path.name.split(".")[1] == native_build.source_key(sources)]
    if not fitting:
        steps.append(f"{present[0].name} was built from other sources than are here")
        return None
    return fitting[0]


def _cached(sources: Path | None, kind: str, steps: list[str]) -> Path | None:
    """The library in the cache folder, built if it must be."""
    if sources is None:
        steps.append("there are no sources to build one from")
        return None
    try:
        tools = native_build.find_toolchain(kind == "cuda", _architectures() if kind == "cuda" else ())
        suffix = "_".join([*tools.architectures, kind])
        target = cache_folder() / native_build.library_name(sources, suffix)
        if not target.is_file():
            with _lock(target.with_suffix(".lock")):
                if not target.is_file():
                    _build(sources, tools, target)
        return target
    except (BuildError, OSError) as error:
        steps.append(f"none could be built: {error}")
        return None


def _build(sources: Path, tools: native_build.Toolchain, target: Path) -> None:
    """Build into the cache; a failure is kept too, so that it does not cost the same seconds again."""
    version = subprocess.run([tools.compiler, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
    failed = target.with_suffix(".failed")
    if failed.is_file() and failed.read_text().partition("\n")[0] == version:
        raise BuildError(f"an earlier build failed and would again; delete {failed} to have it tried")
    _LOGGER.info("compiling the operators into %s, once", target)
    try:
        native_build.build_library(sources, tools, target)
    except BuildError as error:
        failed.write_text(f"{version}\n{error}\n{error.log}\n")
        raise BuildError(f"{error} (all of it in {failed})") from error


def _architectures() -> tuple[str, ...]:
    """Those of the devices here, oldest first."""
    capabilities = {torch.cuda.get_device_capability(index) for index in range(torch.cuda.device_count())}
    return tuple(f"{major}{minor}" for major, minor in sorted(capabilities))


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One process at a time; the system releases the lock of one that dies."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
