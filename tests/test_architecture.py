"""The shape of the house: imports run one way, files stay readable, scripts stay thin."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "code" / "nsr"

# A room may import from rooms of a lower floor and from itself.
FLOORS = [
    {"errors", "atomic"},
    {"config", "schedules", "seeding", "state_file"},
    {"ops", "scenes"},
    {"fields"},
    {"rendering"},
    {"meshing"},
    {"priors"},  # bundles and losses
    {"training"},
    {"evaluation"},
    {"viewer", "priors.networks"},
    {"cli"},
    {"__main__"},
]
NETWORKS = "priors.networks"  # a room of its own: no part of the engine imports it, and it imports no part that renders
BESIDE_NETWORKS = {"errors", "atomic", "config", "schedules", "seeding", "state_file", "scenes", "evaluation"}
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__")


def room_named(parts):
    """The room of a module, from its name's parts below ``nsr``."""
    return NETWORKS if ".".join(parts[:2]) == NETWORKS else parts[0]


def room_of(path):
    return room_named(path.relative_to(PACKAGE).with_suffix("").parts)


def imported_rooms(source):
    """The rooms of ``nsr`` that a module's text imports, at the top or inside functions."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide where they lead"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in names]
    return {room_named(name[1:]) for name in parts if name[0] == "nsr" and len(name) > 1}


def test_every_room_has_its_floor():
    assert {room_of(path) for path in MODULES} <= FLOOR.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    room = room_of(path)
    wrong = {other for other in imported_rooms(path.read_text()) if other != room and FLOOR[other] >= FLOOR[room]}
    assert not wrong, f"{room} may not import {wrong}"
    if room == NETWORKS:
        assert imported_rooms(path.read_text()) <= BESIDE_NETWORKS | {NETWORKS}


def test_the_import_reader_sees_every_form():
    source = (
        "import nsr.ops.a\nfrom nsr.fields import b\nfrom nsr import cli\ndef f():\n    from nsr.config.c import d\n"
    )
    assert imported_rooms(source) == {"ops", "fields", "cli", "config"}
    assert imported_rooms("from nsr.priors.networks import common\nimport nsr.priors.bundle") == {NETWORKS, "priors"}


@pytest.mark.parametrize("folder", ["code", "tests", "benchmarks", "scripts"])
def test_no_file_is_longer_than_600_lines(folder):
    long = {}
    for path in (ROOT / folder).rglob("*"):
        if path.suffix in {".py", ".sh", ".ps1"}:
            lines = len(path.read_text().splitlines())
            if lines > 600:
                long[str(path.relative_to(ROOT))] = lines
    assert not long


@pytest.mark.parametrize("folder", ["code", "confs", "csrc", "tests", "benchmarks", "scripts"])
def test_no_line_is_longer_than_120_columns(folder):
    long = []
    for path in (ROOT / folder).rglob("*"):
        if path.suffix in {".py", ".sh", ".ps1", ".conf", ".h", ".cpp", ".cu"}:
            lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
            long += [f"{path.relative_to(ROOT)}:{number}" for number, line in lines if len(line) > 120]
    assert not long


def test_idr_scripts_only_hand_over_to_the_package():
    scripts = sorted(path for name in ("training", "evaluation") for path in (ROOT / "code" / name).rglob("*.py"))
    assert [path.name for path in scripts] == ["eval.py", "eval_disentanglement.py", "exp_runner.py"]
    for path in scripts:
        body = ast.parse(path.read_text()).body
        assert not [node for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
