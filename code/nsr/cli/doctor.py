"""``nsr doctor``: what this machine has, for a person and for a bug report."""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import platform
import sys

import nsr
from nsr.cli.locations import find_conf, project_root
from nsr.cli.train import DEFAULT_CONF
from nsr.errors import NsrError

_REQUIRED = (
    "torch", "numpy", "scipy", "scikit-image", "pillow", "trimesh", "opencv-python-headless", "pyhocon", "plotly",
    "tqdm", "tensorboard",
)
_OPTIONAL = {
    "embreex": "fast ray casting for scenes from triangle meshes",
    "rtree": "point-to-surface distances on large meshes",
    "fast_simplification": "decimated meshes",
    "xatlas": "textured meshes",
    "viser": "the live viewer",
    "imageio_ffmpeg": "MP4 of an appearance swap",
    "pycolmap": "cameras from photographs alone",
}


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "doctor",
        help="what this machine has",
        description="Print python, torch, devices, packages and where confs and data are looked for. "
        "Exit code 0 when everything needed is here, 1 when something is missing.",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 1 when a required package or the default conf is missing."""
    missing = 0
    print(f"nsr {nsr.__version__}, python {platform.python_version()} ({sys.executable})")
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors")
    print("needed:")
    for package in _REQUIRED:
        version = _version(package)
        missing += version is None
        print(f"  {package:24} {version or 'MISSING: pip install ' + package}")
    print("optional:")
    for package, purpose in _OPTIONAL.items():
        print(f"  {package:24} {_version(package) or 'not installed'} ({purpose})")
    print("devices:")
    for line in _devices() if _version("torch") else ["unknown without torch"]:
        print(f"  {line}")
    print("operators:")
    operator_lines, broken = _operators() if _version("torch") else (["unknown without torch"], False)
    missing += broken
    for line in operator_lines:
        print(f"  {line}")
    try:
        conf = str(find_conf(DEFAULT_CONF))
    except NsrError as error:
        conf, missing = f"MISSING: {error}", missing + 1
    print(f"default conf: {conf}")
    root = project_root()
    data = os.environ.get("NSR_DATA") or (f"not set (looked for here and in {root / 'data' if root else 'data'})")
    print(f"data root NSR_DATA: {data}")
    return 1 if missing else 0


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _operators() -> tuple[list[str], bool]:
    """Which body of the operators runs on each device, why not another, and whether NSR_BACKEND asks in vain."""
    import torch

    from nsr.ops import backend

    logging.getLogger("nsr").setLevel(logging.ERROR)  # what the search for operators logs is printed below
    lines, broken = [], False
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        try:
            compiled = [name for name in backend.OPERATORS if backend.runs_native(name, torch.device(device))]
            body = f"compiled ({', '.join(compiled)})" if compiled else "plain PyTorch"
        except NsrError as error:
            body, broken = f"NONE: {error}", True
        lines.append(f"{device}: {body}")
    lines += [f"  {step}" for step in backend.resolve().steps]
    forced = os.environ.get("NSR_BACKEND")
    lines.append(f"NSR_BACKEND: {forced or 'not set (torch, native or tcnn would force one)'}")
    return lines, broken


def _devices() -> list[str]:
    import torch

    lines = [f"cpu: {torch.get_num_threads()} threads"]
    if not torch.cuda.is_available():
        return [*lines, "cuda: none that torch sees" + ("" if torch.version.cuda else " (this torch is built without)")]
    for index in range(torch.cuda.device_count()):
        free, total = (value / 2**30 for value in torch.cuda.mem_get_info(index))
        lines.append(f"cuda {index}: {torch.cuda.get_device_name(index)}, {free:.1f} of {total:.1f} GiB free")
    return lines
