"""data/download_data.sh, as a real process: arguments, checksums, archives that are none, resuming."""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "data" / "download_data.sh"


@pytest.fixture
def download(tmp_path):
    """Call the script with ``tmp_path/data`` as the place of scenes; python3 is the one that runs the tests."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (binaries / "python3").chmod(0o755)
    environment = {
        **os.environ,
        "NSR_DATA": str(tmp_path / "data"),
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "code"),
    }

    def call(*arguments):
        return subprocess.run(
            ["bash", SCRIPT, *map(str, arguments)], env=environment, cwd=tmp_path, capture_output=True, text=True
        )

    return call


@pytest.fixture
def archive(sphere_scene_folder, tmp_path):
    """Two scans, one of which has lost its masks."""
    path = tmp_path / "IDR data.zip"
    broken = shutil.copytree(sphere_scene_folder, tmp_path / "broken")
    shutil.rmtree(broken / "mask")
    with zipfile.ZipFile(path, "w") as target:
        for folder, name in ((sphere_scene_folder, "scan24"), (broken, "scan37")):
            for file in sorted(folder.rglob("*")):
                target.write(file, Path("DTU") / name / file.relative_to(folder))
    return path


@pytest.fixture
def empty_archive(tmp_path):
    """An archive that opens and holds no scan, which is found out last of all."""
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as target:
        target.writestr("readme.txt", "no scans" * 1000)
    return tmp_path / "empty.zip"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_good_scans_are_unpacked_and_the_sum_is_pinned(download, archive, tmp_path):
    result = download(archive)
    assert result.returncode == 1  # one scan is left out
    assert "scan24: ok" in result.stdout and "1 scans are new" in result.stdout
    assert f"no checksum is known for it; {sha256(archive)} is remembered" in result.stdout
    assert re.search(r"scan37: left out: error: .*mask", result.stderr)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["DTU", "checksums.sha256"]
    assert [path.name for path in (tmp_path / "data" / "DTU").iterdir()] == ["scan24"]
    again = download(archive)
    assert "scan24: there already" in again.stdout and "no checksum is known" not in again.stdout
    with zipfile.ZipFile(archive, "a") as target:
        target.writestr("more.txt", "x")
    changed = download(archive)
    assert changed.returncode == 2 and "at its first download it was" in changed.stderr


def test_a_given_sum_must_fit(download, empty_archive, tmp_path):
    wrong = download("--sha256", "0" * 64, empty_archive)
    assert wrong.returncode == 2 and "and not 0000" in wrong.stderr
    assert not (tmp_path / "data").exists()
    right = download("--sha256", sha256(empty_archive).upper(), empty_archive)
    assert "no scan (a folder with cameras.npz)" in right.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage:"),
        (["none.zip"], "there is no file none.zip"),
        (["a.zip", "b.zip"], "one archive at a time"),
        (["--url"], "--url needs an address"),
        (["--sha256", "12"], "64 hexadecimal digits"),
        (["--fast"], "unknown option --fast"),
    ],
)
def test_wrong_arguments(download, arguments, message, tmp_path):
    result = download(*arguments)
    assert result.returncode == 2 and message in result.stderr
    assert not (tmp_path / "data").exists()
    assert download("--help").returncode == 0


def test_archives_that_are_none_leave_nothing(download, empty_archive, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>quota exceeded</html>")
    result = download(tmp_path / "a.zip")
    assert result.returncode == 2 and "cannot be unpacked" in result.stderr
    assert list((tmp_path / "data").iterdir()) == []
    result = download(empty_archive)
    assert result.returncode == 2 and "no scan (a folder with cameras.npz)" in result.stderr


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves files from a byte on, as servers do that a download can be resumed from."""

    asked: list = []

    def do_GET(self):
        content = (Path(self.directory) / self.path[1:]).read_bytes() if self.path != "/gone.zip" else None
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        self.asked.append(start)
        if content is None:
            self.send_error(404)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:])

    def log_message(self, *_):
        pass


@pytest.mark.skipif(shutil.which("curl") is None, reason="fetching needs curl")
def test_a_download_goes_on_where_it_stopped(download, empty_archive, tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(empty_archive, served / "x.zip")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(served)))
    Ranges.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        gone = download("--url", f"{address}/gone.zip")
        assert gone.returncode == 2 and "cannot be fetched; run again to go on" in gone.stderr
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "DTU.zip.part").write_bytes(empty_archive.read_bytes()[:100])
        result = download("--url", f"{address}/x.zip")
    finally:
        server.shutdown()
        server.server_close()
    assert Ranges.asked[-1] == 100
    assert "no scan (a folder with cameras.npz)" in result.stderr
    assert sha256(tmp_path / "data" / "DTU.zip") == sha256(empty_archive)
