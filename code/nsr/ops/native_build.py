"""Compiling ``csrc`` into one shared library, with g++ alone or with nvcc.

Used twice: by ``setup.py``, and at run time where no library came with the installation.  It therefore needs nothing
but the standard library, and finds torch's headers by path.  The operators use torch's stable ABI, so that one
library serves every torch from 2.10 on, with or without CUDA.

An operator is a folder of ``csrc``: its ``*_cpu.cpp`` are compiled once per instruction set (the macro NSR_ISA names
it; ``*_wide_cpu.cpp`` for AVX-512 too), its other ``*.cpp`` once, and its ``*.cu`` by nvcc where there is one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MINIMUM_TORCH = (2, 10)
CUDA_ARCHITECTURES = ("75", "80", "86", "89", "90", "100", "120")

_INSTRUCTION_SETS = {"generic": []}
_WIDE_INSTRUCTION_SETS = {}
if platform.machine() in ("x86_64", "AMD64"):
    _INSTRUCTION_SETS |= {"v3": ["-march=x86-64-v3"]}
    _WIDE_INSTRUCTION_SETS |= {"v4": ["-march=x86-64-v4"]}

# No fused multiply-adds on the host: where a point lies among cells must not depend on the instruction set.
_COMMON = ["-std=c++20", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"]
_CPU_BODY = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi", "-Wno-ignored-attributes"]
_TORCH_TARGET = "-DTORCH_TARGET_VERSION=0x020a000000000000ULL"


class BuildError(Exception):
    """The library cannot be built; the message says why in one line, ``log`` holds what the compiler said."""

    def __init__(self, message: str, log: str = ""):
        super().__init__(message)
        self.log = log


@dataclass(frozen=True)
class Toolchain:
    """What a library is built with.

    Attributes:
        torch: torch's package folder.
        compiler: a C++20 compiler that takes g++'s flags.
        nvcc: or None, for a library without CUDA.
        architectures: CUDA architectures, e.g. ``("90",)``; the last is embedded as PTX too, for newer devices.
    """

    torch: Path
    compiler: str
    nvcc: str | None = None
    architectures: tuple[str, ...] = CUDA_ARCHITECTURES

    @property
    def kind(self) -> str:
        return "cuda" if self.nvcc else "cpu"


def find_toolchain(cuda: bool, architectures: tuple[str, ...] = CUDA_ARCHITECTURES) -> Toolchain:
    """The tools of this machine.

    Args:
        cuda: whether to build for CUDA too.

    Raises:
        BuildError: something is missing; the message names it.
    """
    if platform.system() != "Linux":
        raise BuildError(f"compiled operators are built on Linux only, this is {platform.system()}")
    torch = find_torch()
    compiler = shutil.which(os.environ.get("CXX", "")) or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise BuildError("there is no C++ compiler (g++ is not on PATH)")
    nvcc = find_nvcc() if cuda else None
    if cuda and nvcc is None:
        raise BuildError("there is no CUDA compiler (nvcc is not on PATH, in CUDA_HOME or in /usr/local/cuda)")
    return Toolchain(torch, compiler, nvcc, architectures if cuda else ())


def find_torch() -> Path:
    """Torch's package folder, without importing it.

    Raises:
        BuildError: there is none, or it is too old.
    """
    places = _package_folders("torch")
    if not places:
        # An isolated build hides what is installed; a Python that ignores the build's environment sees it.
        code = "import importlib.util as u; s = u.find_spec('torch'); print(*s.submodule_search_locations if s else ())"
        done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
        places = done.stdout.split("\n")[:1] if done.stdout.strip() else []
    for folder in map(Path, places):
        if (folder / "include/torch/csrc/stable/library.h").is_file() and (folder / "lib").is_dir():
            found = re.search(r"__version__ = '(\d+)\.(\d+)", (folder / "version.py").read_text())
            if found and tuple(map(int, found.groups())) >= MINIMUM_TORCH:
                return folder
    raise BuildError(f"there is no torch >= {'.'.join(map(str, MINIMUM_TORCH))} whose headers could be used")


def torch_has_cuda(torch: Path) -> bool:
    """Whether the torch in a package folder was built with CUDA."""
    return re.search(r"^cuda.*= '", (torch / "version.py").read_text(), re.MULTILINE) is not None


def _package_folders(name: str) -> list[str]:
    spec = importlib.util.find_spec(name)
    return list(spec.submodule_search_locations or []) if spec else []


def find_nvcc() -> str | None:
    """nvcc of CUDA_HOME, of PATH or of the usual place."""
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    for candidate in [*(f"{home}/bin/nvcc" for home in homes), "nvcc", "/usr/local/cuda/bin/nvcc"]:
        if found := shutil.which(candidate):
            return found
    return None


def source_files(csrc: Path) -> list[Path]:
    """Everything of ``csrc`` that a library is made of, sorted."""
    return sorted(path for path in csrc.rglob("*") if path.suffix in {".h", ".cpp", ".cu"})


def source_key(csrc: Path) -> str:
    """Twelve hexadecimal digits that change with the sources and with how they are compiled."""
    digest = hashlib.sha256()
    for path in [*source_files(csrc), Path(__file__)]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def library_name(csrc: Path, kind: str) -> str:
    """File name of the library of these sources; ``kind`` is ``cpu`` or ``cuda``."""
    return f"_native.{source_key(csrc)}.{kind}.so"


def compile_commands(csrc: Path, tools: Toolchain, objects: Path) -> list[list[str]]:
    """One command for each object file, which it writes into ``objects``."""
    commands = []
    defines = ["-DNSR_WITH_CUDA"] if tools.nvcc else []
    for source in source_files(csrc):
        stem = f"{source.parent.name}.{source.stem}"
        if source.suffix == ".cu" and tools.nvcc:
            commands.append([*nvcc_command(tools), "-c", str(source), "-o", str(objects / f"{stem}.cu.o")])
        elif source.stem.endswith("_cpu") and source.suffix == ".cpp":
            wide = _WIDE_INSTRUCTION_SETS if source.stem.endswith("_wide_cpu") else {}
            for name, flags in (_INSTRUCTION_SETS | wide).items():
                command = [tools.compiler, *_COMMON, *_CPU_BODY, *flags, f"-DNSR_ISA=isa_{name}"]
                commands.append([*command, "-c", str(source), "-o", str(objects / f"{stem}.{name}.o")])
        elif source.suffix == ".cpp":
            headers = ["-isystem", str(tools.torch / "include")]
            command = [tools.compiler, *_COMMON, "-O2", _TORCH_TARGET, *defines, *headers]
            commands.append([*command, "-c", str(source), "-o", str(objects / f"{stem}.o")])
    return commands


def nvcc_command(tools: Toolchain) -> list[str]:
    """nvcc and its flags, without input and output."""
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in tools.architectures]
    newest = tools.architectures[-1]
    targets.append(f"-gencode=arch=compute_{newest},code=compute_{newest}")
    host = ["-Xcompiler", "-fPIC,-fvisibility=hidden,-ffp-contract=off", "-ccbin", tools.compiler]
    return [tools.nvcc, "-std=c++17", "-O3", "--threads", "0", *targets, *host]


def link_command(tools: Toolchain, objects: list[str], target: Path) -> list[str]:
    """The command that makes ``target`` of object files."""
    # --no-as-needed keeps libtorch itself, which brings libtorch_cuda, and its stream, where there is one.
    options = ["-Xlinker", "--no-as-needed", "-Xlinker", "-s", "-L", str(tools.torch / "lib"), "-ltorch", "-ltorch_cpu"]
    # nvcc adds CUDA's own runtime, statically, and knows where it is.
    linker = [tools.nvcc, "-ccbin", tools.compiler] if tools.nvcc else [tools.compiler]
    return [*linker, "-shared", *objects, *options, "-o", str(target)]


def build_library(csrc: Path, tools: Toolchain, target: Path) -> None:
    """Compile and link ``target``; it appears whole or not at all.

    Raises:
        BuildError: a compiler failed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as folder:
        commands = compile_commands(csrc, tools, Path(folder))
        with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
            list(pool.map(_run, commands))
        linked = Path(folder) / target.name
        _run(link_command(tools, [command[-1] for command in commands], linked))
        os.replace(linked, target)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise BuildError(f"{command[0]} does not start: {error}") from error
    if done.returncode != 0:
        log = done.stdout + done.stderr
        reason = next((line for line in log.splitlines() if "error" in line), log.strip().splitlines()[-1:] or "")
        raise BuildError(f"{Path(command[0]).name} failed: {reason}", " ".join(command) + "\n" + log)
