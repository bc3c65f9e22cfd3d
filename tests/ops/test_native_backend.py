"""Finding, building and forcing the compiled operators: in processes of their own, with caches of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nsr.errors import NsrError
from nsr.ops import backend, native_build
from nsr.ops.grid_layout import GridLayout
from nsr.ops.hash_encode import hash_encode

ROOT = Path(__file__).resolve().parents[2]
RESOLVE = "from nsr.ops import backend; r = backend.resolve(); print(r.library); print(*r.steps, sep='\\n')"


def python(code, cache, **environment):
    """Run code in a new process with a cache folder of its own."""
    variables = os.environ | {"PYTHONPATH": str(ROOT / "code"), "XDG_CACHE_HOME": str(cache)} | environment
    variables.pop("NSR_BACKEND", None)
    variables |= {name: value for name, value in environment.items() if name == "NSR_BACKEND"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables)


def fake_compiler(folder, script):
    """A g++ that does as the shell script says."""
    folder.mkdir(exist_ok=True)
    path = folder / "g++"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def no_prebuilt():
    if list((ROOT / "code" / "nsr").glob("_native.*.so")):
        pytest.skip("this installation brought a compiled library, which comes before the cache")


def test_nothing_is_looked_for_at_import(tmp_path):
    code = "import nsr.ops.hash_encode as h; from nsr.ops import backend; print(backend.resolve.cache_info().currsize)"
    done = python(code, tmp_path, NSR_BACKEND="native")
    assert done.stdout.strip() == "0" and not list(tmp_path.iterdir())


def test_without_a_compiler_pytorch_runs_and_says_why(tmp_path, no_prebuilt):
    done = python(RESOLVE, tmp_path, PATH=str(tmp_path), CXX="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("None") and "no C++ compiler" in done.stdout
    assert done.stderr.count("compiled operators are not used") == 1


def test_a_build_that_fails_is_told_once_and_not_repeated(tmp_path, no_prebuilt):
    log = tmp_path / "calls"
    script = (
        f'[ "$1" = --version ] && echo "g++ 1.0" && exit; echo call >> {log}; echo "x.h:1: error: broken" >&2; exit 1'
    )
    compiler = fake_compiler(tmp_path / "bin", script)
    first = python(RESOLVE, tmp_path / "cache", CXX=compiler)
    calls = log.read_text()
    second = python(RESOLVE, tmp_path / "cache", CXX=compiler)
    assert "x.h:1: error: broken" in first.stdout and first.stdout.startswith("None")
    assert "delete" in second.stdout and log.read_text() == calls
    left = {path.suffix for path in (tmp_path / "cache" / "nsr").iterdir()}
    assert left == {".failed", ".lock"}, "no half-built file stays"

    # Another version of the compiler is another chance.
    fake_compiler(tmp_path / "bin", script.replace("1.0", "2.0"))
    python(RESOLVE, tmp_path / "cache", CXX=compiler)
    assert log.read_text() != calls


def test_two_processes_build_once(tmp_path, native, no_prebuilt):
    """A compiler that copies a library made before, slowly, and counts: the second process waits for the first."""
    library = backend.resolve().library
    log = tmp_path / "links"
    script = (
        '[ "$1" = --version ] && echo "g++ 1.0" && exit\n'
        'for last; do :; done\n'
        f'case " $* " in *" -shared "*) echo link >> {log}; sleep 1; cp {library} "$last";; *) : > "$last";; esac'
    )
    compiler = fake_compiler(tmp_path / "bin", script)
    variables = os.environ | {
        "PYTHONPATH": str(ROOT / "code"), "XDG_CACHE_HOME": str(tmp_path / "cache"), "CXX": compiler
    }
    processes = [
        subprocess.Popen([sys.executable, "-c", RESOLVE], env=variables, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert all(str(tmp_path / "cache") in output.splitlines()[0] for output in outputs)
    assert log.read_text().splitlines() == ["link"]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, no_prebuilt):
    (tmp_path / "nsr").write_text("a file in the way")
    done = python(RESOLVE, tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("None") and "none could be built" in done.stdout


def test_a_damaged_library_is_no_crash(tmp_path, no_prebuilt):
    name = native_build.library_name(ROOT / "csrc", "cpu")
    (tmp_path / "nsr").mkdir()
    (tmp_path / "nsr" / name).write_bytes(b"not a library")
    done = python(RESOLVE, tmp_path)
    assert done.returncode == 0 and "does not load" in done.stdout


def test_a_forced_backend_that_is_missing_is_an_error(tmp_path, no_prebuilt):
    code = (
        "import torch; from nsr.ops.hash_encode import *; layout = GridLayout(2, 2, 5, 2, 8);"
        "hash_encode(torch.rand(3, 3), torch.rand(layout.entries, 2), layout)"
    )
    done = python(code, tmp_path, PATH=str(tmp_path), CXX="", NSR_BACKEND="native")
    assert done.returncode != 0 and "NsrError: NSR_BACKEND=native, but" in done.stderr
    assert "no C++ compiler" in done.stderr


@pytest.mark.parametrize(("value", "message"), [("cuda", "choose among"), ("tcnn", "tinycudann is not installed")])
def test_a_backend_that_cannot_be_forced(monkeypatch, value, message):
    monkeypatch.setenv("NSR_BACKEND", value)
    layout = GridLayout(2, 2, 5, 2, 8)
    if value == "tcnn" and backend.importlib.util.find_spec("tinycudann"):
        pytest.skip("tinycudann is installed here")
    with pytest.raises(NsrError, match=message):
        hash_encode(torch.rand(3, 3), torch.rand(layout.entries, 2), layout)


def test_what_is_not_compiled_runs_in_pytorch_unless_forced(monkeypatch, native):
    layout = GridLayout(2, 3, 5, 2, 8)
    arguments = (torch.rand(3, 3), torch.rand(layout.entries, 3), layout)
    monkeypatch.delenv("NSR_BACKEND", raising=False)
    assert hash_encode(*arguments)[0].shape == (3, 6)
    monkeypatch.setenv("NSR_BACKEND", "native")
    with pytest.raises(NsrError, match="3 features"):
        hash_encode(*arguments)


def test_the_key_follows_the_sources(tmp_path):
    (tmp_path / "op").mkdir()
    source = tmp_path / "op" / "op.cpp"
    source.write_text("int one() { return 1; }")
    before = native_build.library_name(tmp_path, "cpu")
    source.write_text("int one() { return 2; }")
    assert native_build.library_name(tmp_path, "cpu") != before
    assert native_build.library_name(tmp_path, "cuda") != native_build.library_name(tmp_path, "cpu")


def test_torch_is_found_in_an_isolated_build(monkeypatch):
    """As in pip's build isolation, torch cannot be imported, but it is installed."""
    expected = native_build.find_torch()
    monkeypatch.setattr(native_build.importlib.util, "find_spec", lambda name: None)
    assert native_build.find_torch().samefile(expected)


def test_a_torch_that_is_too_old_is_refused(monkeypatch, tmp_path):
    for part in ("include/torch/csrc/stable/library.h", "version.py"):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / part).write_text("__version__ = '2.9.1'")
    (tmp_path / "lib").mkdir()
    monkeypatch.setattr(native_build, "_package_folders", lambda name: [str(tmp_path)])
    with pytest.raises(native_build.BuildError, match="2.10"):
        native_build.find_torch()
