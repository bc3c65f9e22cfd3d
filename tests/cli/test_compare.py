"""Runs compared from the command line: folders as training and evaluation leave them."""

import json
import re
import shutil
import subprocess

import pytest
from torch.utils.tensorboard import SummaryWriter

from nsr.cli import main as cli
from nsr.scenes.cameras import Cameras
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.camera_file import write_camera_file

CONF = """train {{ expname = {name}, learning_rate = {rate} }}
dataset {{ data_dir = "{scene}", scan_id = -1 }}
model.implicit_network.encoding.name = {encoding}
"""
VIEWS = "view,split,psnr,ssim,iou,hull_iou,lpips\n0,train,{0},0.9,0.99,0.98,nan\n4,heldout,{1},0.8,0.97,0.96,nan\n"


def make_run(folder, scene, *, encoding="PositionalEncoding", psnr=20.0, chamfer=0.5, rate=1e-3, step=100):
    """A run folder without weights: conf, a checkpoint's name, a log, an evaluation."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / f"{step}.pt").write_bytes(b"")
    conf = CONF.format(name=folder.parent.name, scene=scene, encoding=encoding, rate=rate)
    (folder / "runconf.conf").write_text(conf)
    with SummaryWriter(str(folder / "logs")) as writer:
        for index in range(1, 6):
            writer.add_scalar("loss/rgb", 1 / index, 20 * index, walltime=1e9 + 30 * index)
            writer.add_scalar("train/psnr", psnr - 5 + index, 20 * index, walltime=1e9 + 30 * index)
    evaluation = folder / "evaluation"
    evaluation.mkdir()
    figures = {"psnr": psnr, "ssim": 0.9, "iou": 0.95}
    metrics = {
        "train": {**figures, "psnr": psnr + 2},
        "heldout": figures,
        "geometry": {"chamfer_pixels": chamfer, "chamfer_world": 2 * chamfer, "normal_degrees": 7.5},
        "train_seconds": 90.0,
        "peak_memory_mb": 700.0,
        "step": step,
        "files": {"views": "views.csv"},
    }
    (evaluation / "metrics.json").write_text(json.dumps(metrics))
    (evaluation / "views.csv").write_text(VIEWS.format(psnr + 2, psnr))
    return folder


@pytest.fixture
def runs(tmp_path, sphere_scene_folder):
    first = make_run(tmp_path / "exps" / "first_mug" / "2026_01_01_00_00_00", sphere_scene_folder)
    second = make_run(
        tmp_path / "exps" / "second_mug" / "2026_01_02_00_00_00", sphere_scene_folder, encoding="MultiResHash",
        psnr=23.456, chamfer=0.25, rate=2e-3,
    )  # fmt: skip
    return first, second


def compare(*arguments):
    return cli.main(["compare", *map(str, arguments)])


def table_rows(printed):
    return {cells[0]: cells[1:] for line in printed.splitlines() if len(cells := re.split(r"  +", line)) > 5}


def test_the_table_and_the_page(runs, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert compare(*(run.parent for run in runs), "--output", page) == 0
    printed = capsys.readouterr().out
    rows = table_rows(printed)
    assert rows["first_mug"] == ["sphere", "PositionalEncoding", "100", "1.5", "700", "20.00", "0.900", "0.9500",
                                 "0.500", "1", "7.5"]  # fmt: skip
    assert rows["second_mug"][5:] == ["23.46", "0.900", "0.9500", "0.250", "0.5", "7.5"]
    assert str(page) in printed and "differ" not in printed
    text = page.read_text()
    assert "train.learning_rate" in text and "model.implicit_network.encoding.name" in text
    own = re.sub(r"<script[^>]*>.*?</script>", "", text, flags=re.S)
    assert "train.expname" not in own and "train.steps" not in own  # what says nothing, and what is alike
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", own)


def test_the_page_draws_itself_in_a_browser(runs, tmp_path, chromium):
    page = tmp_path / "page.html"
    assert compare(*runs, "--output", page) == 0
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
        "--disable-sync --no-first-run --virtual-time-budget=4000"
    ).split()
    dumped = subprocess.run(
        [chromium, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        check=True, timeout=120, capture_output=True, text=True,
    ).stdout  # fmt: skip
    drawn = re.sub(r"<script[^>]*>.*?</script>", "", dumped, flags=re.S)
    assert drawn.count('class="scatterlayer') >= 3  # two tags' curves and the views
    for words in ("loss/rgb", "train/psnr", "over minutes", "first_mug", "second_mug"):
        assert words in drawn


def test_one_line_for_each_thing_that_is_missing_or_old(runs, tmp_path, capsys):
    first, second = runs
    shutil.rmtree(first / "logs")
    shutil.rmtree(first / "evaluation")
    (second / "checkpoints" / "300.pt").write_bytes(b"")
    assert compare(first, second, "--output", tmp_path / "page.html") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("no TensorBoard log" in line and line.startswith("first_mug: ") for line in lines) == 1
    assert sum("not evaluated: nsr eval" in line for line in lines) == 1
    assert sum("evaluated at step 100, its newest checkpoint is of step 300" in line for line in lines) == 1


def test_scenes_whose_spheres_differ_are_told(runs, tmp_path, sphere_scene_folder, capsys):
    scene = load_scene(sphere_scene_folder)
    other = shutil.copytree(sphere_scene_folder, tmp_path / "wider")
    scale = scene.scale_mat.copy()
    scale[:3, :3] *= 2
    poses = scene.cameras.poses.clone()
    poses[:, :3, 3] /= 2
    write_camera_file(other / "cameras.npz", Cameras(scene.cameras.intrinsics, poses), scale)
    third = make_run(tmp_path / "exps" / "third" / "2026_01_03_00_00_00", other)
    assert compare(runs[0], third, "--output", tmp_path / "page.html") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("different scenes (sphere, wider)" in line for line in lines) == 1
    (line,) = [line for line in lines if "unit spheres differ" in line]
    assert "first_mug 2.5, third 5" in line


def test_two_runs_of_one_experiment_are_told_apart(runs, tmp_path, sphere_scene_folder, capsys):
    twin = make_run(runs[0].parent / "2026_01_05_00_00_00", sphere_scene_folder)
    assert compare(runs[0], twin, "--output", tmp_path / "page.html") == 0
    rows = table_rows(capsys.readouterr().out)
    assert {"first_mug/2026_01_01_00_00_00", "first_mug/2026_01_05_00_00_00"} <= rows.keys()


def test_errors_are_one_line(runs, tmp_path, capsys):
    broken = make_run(tmp_path / "exps" / "broken" / "2026_01_04_00_00_00", tmp_path)
    (broken / "evaluation" / "metrics.json").write_text("{")
    page = tmp_path / "page.html"
    for arguments, message in (
        ([runs[0], tmp_path / "nowhere"], "no such run folder"),
        ([runs[0], runs[0].parent], "named more than once"),
        ([runs[0], broken], "metrics.json: the metrics cannot be read"),
        ([runs[0], "--output", tmp_path], "is a folder"),
        ([runs[0], "--output", "/dev/null/page.html"], "cannot be written"),
    ):
        assert compare(*arguments, *([] if "--output" in arguments else ["--output", page])) == 2
        error = capsys.readouterr().err
        assert message in error and len(error.splitlines()) == 1
    assert not page.exists()
