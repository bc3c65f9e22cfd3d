"""A continued run is the run that was never interrupted, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import nsr
from nsr.config.reader import dump_config
from nsr.training.checkpoints import load_checkpoint
from nsr.training.run_folder import checkpoint_path, create_run_folder, find_run, list_runs
from nsr.training.trainer import Trainer

CPU = torch.device("cpu")


def steps(trainer, count):
    for _ in range(count):
        losses = trainer.step()
    return losses


def same(a, b):
    """Whether two nested states of a trainer are equal to the bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def comparable(path):
    measured = ("train_seconds", "prepared_seconds", "peak_memory_mb")
    return {key: value for key, value in load_checkpoint(path).items() if key not in measured}


@pytest.mark.parametrize("updates", ["all", "touched"])
@pytest.mark.parametrize("cameras", [False, True], ids=["given", "trained"])
def test_halves_make_a_whole(tiny_config, sphere_scene, tmp_path, cameras, updates):
    tiny_config.train.train_cameras, tiny_config.train.table_updates = cameras, updates
    tiny_config.photometric.weight, tiny_config.photometric.start, tiny_config.photometric.patch_size = 0.5, 0.2, 3
    whole, first, second = (create_run_folder(tmp_path / name) for name in ("whole", "first", "second"))
    trainer = Trainer(tiny_config, sphere_scene, CPU)
    last_whole = steps(trainer, 30)
    expected = comparable(trainer.save(whole))

    half = Trainer(tiny_config, sphere_scene, CPU)
    steps(half, 15)
    saved = half.save(first)
    torch.manual_seed(12345)  # another process's random state
    torch.rand(7)
    continued = Trainer(tiny_config, sphere_scene, CPU, resume=saved)
    assert continued.clock.step == 15
    last = steps(continued, 15)
    assert same(last, last_whole)
    assert same(comparable(continued.save(second)), expected)


def test_a_checkpoint_read_and_written_is_the_same(tiny_config, sphere_scene, tmp_path):
    trainer = Trainer(tiny_config, sphere_scene, CPU)
    steps(trainer, 4)
    a, b = create_run_folder(tmp_path / "a"), create_run_folder(tmp_path / "b")
    path = trainer.save(a)
    assert same(comparable(Trainer(tiny_config, sphere_scene, CPU, resume=path).save(b)), comparable(path))


def test_seeds_decide(tiny_config, sphere_scene):
    states = []
    for seed in (0, 0, 1):
        tiny_config.train.seed = seed
        torch.rand(3)
        trainer = Trainer(tiny_config, sphere_scene, CPU)
        steps(trainer, 3)
        states.append({name: value.clone() for name, value in trainer.renderer.state_dict().items()})
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def command(folder, tmp_path, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "nsr.cli.main", "train", str(folder), "--conf", "own.conf", "--gpu", "ignore",
         *arguments],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(nsr.__file__).parents[1])},
    )  # fmt: skip


def test_ctrl_c_saves_and_another_process_goes_on_to_the_same_end(sphere_config, sphere_scene_folder, tmp_path):
    sphere_config.train.steps = 120
    dump_config(sphere_config, tmp_path / "own.conf")
    process = command(sphere_scene_folder, tmp_path, "--exps_folder", "a")
    try:
        deadline = time.monotonic() + 60
        log = []
        while not log and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
            log = [path for path in (tmp_path / "a").rglob("losses.csv") if path.stat().st_size]
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[0]
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert "Traceback" not in output
    run = find_run(tmp_path / "a")
    stopped = load_checkpoint(checkpoint_path(run))["step"]
    assert 20 <= stopped < 120
    assert f"nsr: stopped at step {stopped}; continue with --is_continue" in output

    process = command(sphere_scene_folder, tmp_path, "--exps_folder", "a", "--is_continue")
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    runs = list_runs(run.parent)
    assert len(runs) == 2
    whole = command(sphere_scene_folder, tmp_path, "--exps_folder", "b")
    assert whole.communicate(timeout=120) and whole.returncode == 0
    ends = [checkpoint_path(folder, 120) for folder in (runs[1], find_run(tmp_path / "b"))]
    assert same(comparable(ends[0]), comparable(ends[1]))
