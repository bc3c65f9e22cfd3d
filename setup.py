"""What pyproject.toml cannot say: packages outside ``code/nsr``, and the compiled operators.

The confs and the operators' sources live beside the code and travel inside the package as ``nsr/confs`` and
``nsr/csrc``.  The operators are compiled where a compiler and torch are found, with CUDA where nvcc is; torch is looked
for by path and never imported, so that an isolated build needs nothing but setuptools.  Where something is missing the
installation goes on without: the operators are then compiled at their first use, or run as plain PyTorch.
"""

import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
CSRC = ROOT / "csrc"
sys.path.insert(0, str(ROOT / "code"))

from nsr.ops import native_build  # noqa: E402  (needs the path above)


def find_tools():
    """The toolchain, with CUDA if possible, or None; says what is missing."""
    for cuda in (True, False):
        try:
            return native_build.find_toolchain(cuda)
        except native_build.BuildError as error:
            print(f"nsr: no operators compiled {'with CUDA' if cuda else 'for the CPU'}: {error}")
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
    packages=[*find_packages("code", include=["nsr", "nsr.*"]), "nsr.confs", "nsr.csrc"],
    package_dir={"": "code", "nsr.confs": "confs", "nsr.csrc": "csrc"},
    package_data={"nsr.confs": ["*.conf", "**/*.conf"], "nsr.csrc": ["**/*.h", "**/*.cpp", "**/*.cu"]},
    # Optional: an operator that does not compile must not keep the rest from being installed.
    ext_modules=[Extension("nsr._native", sources=[], optional=True)] if TOOLS else [],
    cmdclass={"build_ext": BuildOperators},
)
