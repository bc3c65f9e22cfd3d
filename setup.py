"""What pyproject.toml cannot say: packages outside ``code/nsr``, and the compiled operators.

The confs, the operators' sources and the trained networks live beside the code and travel inside the package as
``nsr/confs``, ``nsr/csrc`` and ``nsr/trained_models``.  The operators are compiled where a compiler and torch are
found, with CUDA where torch has it and nvcc is there; torch is looked for but never imported, so that an isolated
build needs nothing but setuptools. NSR_CUDA_ARCHITECTURES (such as "80 90") builds for CUDA whatever torch is, and for
those architectures only. Where something is missing the installation goes on without: the operators are then compiled
at their first use, or run as plain PyTorch.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
CSRC = ROOT / "csrc"
sys.path.insert(0, str(ROOT / "code"))

from nsr.ops import native_build  # noqa: E402  (needs the path above)


def find_tools():
    """The toolchain, with CUDA where it is of use, or None; says what is missing."""
    wanted = os.environ.get("NSR_CUDA_ARCHITECTURES", "").replace(",", " ").split()
    try:
        if wanted or native_build.torch_has_cuda(native_build.find_torch()):
            try:
                return native_build.find_toolchain(True, tuple(wanted) or native_build.CUDA_ARCHITECTURES)
            except native_build.BuildError as error:
                print(f"nsr: operators are compiled without CUDA: {error}")
        return native_build.find_toolchain(False)
    except native_build.BuildError as error:
        print(f"nsr: operators are not compiled now: {error}")
        return None


class BuildOperators(build_ext):
    """All operators in one library that torch loads; not a module that Python could import."""

    def get_ext_filename(self, fullname):
        *packages, _ = fullname.split(".")
        return "/".join([*packages, native_build.library_name(CSRC, TOOLS.kind)])

    def build_extension(self, extension):
        target = Path(self.get_ext_fullpath(extension.name)).resolve()
        try:
            native_build.build_library(CSRC, TOOLS, target)
        except native_build.BuildError as error:
            print(error.log)
            raise


TOOLS = find_tools()

setup(
    packages=[*find_packages("code", include=["nsr", "nsr.*"]), "nsr.confs", "nsr.csrc", "nsr.trained_models"],
    package_dir={"": "code", "nsr.confs": "confs", "nsr.csrc": "csrc", "nsr.trained_models": "trained_models"},
    package_data={
        "nsr.confs": ["*.conf", "**/*.conf"],
        "nsr.csrc": ["**/*.h", "**/*.cpp", "**/*.cu"],
        "nsr.trained_models": ["*.md", "**/*.md", "**/*.pt"],
    },
    # Optional: an operator that does not compile must not keep the rest from being installed.
    ext_modules=[Extension("nsr._native", sources=[], optional=True)] if TOOLS else [],
    cmdclass={"build_ext": BuildOperators},
)
