"""Where relative paths on the command line count from."""

from __future__ import annotations

from pathlib import Path

import nsr
from nsr.errors import ConfigError

_PACKAGE = Path(nsr.__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]  # the repository, where the package is used from one


def project_root() -> Path | None:
    """The repository that the package runs from; None for an installed package."""
    return _CHECKOUT if (_CHECKOUT / "confs").is_dir() and (_CHECKOUT / "pyproject.toml").is_file() else None


def find_conf(name: str) -> Path:
    """A conf file, so that one path works from the repository's root, from ``code/`` and from anywhere else.

    It is looked for from the current folder, the repository's root and its ``code/``, and among the confs that are
    installed with the package (``confs/default.conf``).

    Raises:
        ConfigError: it is in none of them.
    """
    root = project_root()
    places = [Path.cwd(), *([root, root / "code"] if root else []), _PACKAGE]
    candidates = [(place / Path(name).expanduser()).resolve() for place in places]
    for path in candidates:
        if path.is_file():
            return path
    looked = ", ".join(str(path) for path in dict.fromkeys(candidates))
    raise ConfigError(f"no conf {name}: looked for {looked}")


def output_folder(name: str) -> Path:
    """A folder to write to: relative names count from the repository's root when called inside the repository (so
    that runs land in one place from the root and from ``code/``), else from the current folder; names that begin
    with a dot always count from the current folder."""
    path = Path(name).expanduser()
    root = project_root()
    inside = root is not None and Path.cwd().resolve().is_relative_to(root)
    base = root if inside and not name.startswith(".") else Path.cwd()
    return (base / path).resolve()
