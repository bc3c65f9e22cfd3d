"""The ablation script: it goes on where it was stopped, and its table is right."""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nsr.evaluation.ablation import COLUMNS, Job, read_results, run_all, table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ablation():
    spec = importlib.util.spec_from_file_location("ablation", ROOT / "benchmarks" / "ablation.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["ablation"] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["ablation"]


@pytest.fixture
def arguments(tmp_path):
    conf = tmp_path / "a.conf"
    conf.write_text("train { steps = 5 }\n")
    return argparse.Namespace(
        scenes=["data/one", "data/two"], setting=[["heavy", "loss.mask_weight=400"]], ingredients=False,
        set=["train.num_pixels=64"], seeds=[0, 1], steps=None, minutes=3.0, conf=str(conf), resolution=64, select=False,
    )  # fmt: skip


def metrics(job, genus=0):
    """Figures that tell their run."""
    scene, heavy = job.scene.endswith("two"), job.setting == "heavy"
    return {
        "geometry": {"chamfer_pixels": 1 + scene + 0.1 * job.seed + 10 * heavy},
        "heldout": {"psnr": 20 + job.seed, "iou": 0.9},
        "topology": {"components": 1, "boundary_edges": 0, "genus": genus, "true_genus": 1, "true_components": 1},
        "train_seconds": 180.0,
    }


def test_a_stopped_ablation_goes_on(ablation, arguments, tmp_path):
    jobs, results = ablation.make_jobs(arguments), tmp_path / "results.jsonl"
    assert len(jobs) == 8 == len({job.key() for job in jobs})
    done = []

    def run(job):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(job)
        return metrics(job)

    with pytest.raises(KeyboardInterrupt):
        run_all(jobs, results, run)
    with results.open("a") as file:
        file.write('{"key": "cut sho')
    more = []
    finished, failures = run_all(jobs, results, lambda job: more.append(job) or metrics(job))
    assert done + more == jobs and not failures
    assert finished == {job.key(): metrics(job) for job in jobs}
    assert read_results(results) == finished
    run_all(jobs, results, lambda job: pytest.fail("it ran again"))
    Path(arguments.conf).write_text("train { steps = 6 }\n")
    assert not {job.key() for job in ablation.make_jobs(arguments)} & set(finished)


def test_workers_run_side_by_side_and_each_run_once(ablation, arguments, tmp_path):
    jobs, results = ablation.make_jobs(arguments), tmp_path / "results.jsonl"
    both = threading.Barrier(2, timeout=60)  # breaks unless two runs are under way at once
    done = []

    def run(job):
        both.wait()
        done.append(job)
        return metrics(job)

    finished, failures = run_all(jobs, results, run, workers=2)
    assert not failures and sorted(done, key=Job.name) == sorted(jobs, key=Job.name)
    assert finished == {job.key(): metrics(job) for job in jobs} == read_results(results)


def test_failures_are_told_and_tried_again(ablation, arguments, tmp_path):
    jobs, results = ablation.make_jobs(arguments), tmp_path / "results.jsonl"

    def run(job):
        if job.setting == "heavy":
            raise subprocess.CalledProcessError(2, "nsr", stderr="loading\nnsr: error: it diverged\n")
        return metrics(job)

    finished, failures = run_all(jobs, results, run)
    assert len(finished) == 4
    assert failures[0] == "one, heavy, seed 0: nsr: error: it diverged" and len(failures) == 4
    lines = list(table(jobs, finished, "held-out"))
    assert lines[3] == "| one | heavy | 0 | - | - | - | - | - | - | - | - |"
    assert len(run_all(jobs, results, metrics)[0]) == 8


def test_the_table_holds_means_and_spreads_over_seeds(ablation, arguments):
    jobs = ablation.make_jobs(arguments)
    lines = list(table(jobs, {job.key(): metrics(job) for job in jobs}, "held-out"))
    assert len(lines) == 2 + 2 * 2 + 2
    spread = statistics.stdev([0, 0.1])
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0][3:6] == ["Chamfer px", "held-out PSNR dB", "held-out IoU"]
    assert cells[2][:4] == ["one", "as the conf", "2", f"1.050 ± {spread:.3f}"]
    assert cells[2][4] == f"20.50 ± {statistics.stdev([20, 21]):.2f}" and cells[2][8:10] == ["0.0 ± 0.0", "-1.0 ± 0.0"]
    assert cells[5][:4] == ["two", "heavy", "2", f"12.050 ± {spread:.3f}"]
    assert cells[6][:4] == ["**all**", "as the conf", "2", f"1.550 ± {spread:.3f}"]
    assert {len(row) for row in cells} == {len(COLUMNS) + 3}


def test_unknown_figures_are_no_zeros(ablation, arguments):
    arguments.seeds = [0]
    jobs = ablation.make_jobs(arguments)
    finished = {job.key(): metrics(job) | {"geometry": None} if "two" in job.scene else metrics(job) for job in jobs}
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(jobs, finished, "held-out")]
    assert [row[3] for row in cells[2:]] == ["1.000", "11.000", "-", "-", "-", "-"]


def test_selection_reaches_every_run_and_ingredients_are_conf_keys(ablation, arguments):
    from nsr.config.reader import load_config

    arguments.select, arguments.ingredients = True, True
    jobs = ablation.make_jobs(arguments)
    assert {job.setting for job in jobs} == {ablation.BASELINE, *ablation.INGREDIENTS, "heavy"}
    for job in jobs:
        config = load_config(ROOT / "confs" / "default.conf", list(job.overrides))
        assert config.dataset.selection and config.train.num_pixels == 64
        same = load_config(ROOT / "confs" / "default.conf", ["dataset.selection=true", "train.num_pixels=64"])
        assert (config == same) == (job.setting == ablation.BASELINE), job.setting


def test_it_says_what_is_wrong_with_a_run(tmp_path):
    """As a process, with a scene that is not there."""
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "ablation.py", "--scenes", "nowhere", "--steps", "2", "--conf",
         ROOT / "confs" / "default.conf", "--results", tmp_path / "r.jsonl", "--table", tmp_path / "t.md"],
        capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT / "code"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "nowhere, as the conf, seed 0: nsr: error: no scene nowhere" in (tmp_path / "t.md").read_text()
    assert not (tmp_path / "r.jsonl").exists()


def test_lines_hold_what_is_needed_to_read_them_alone(ablation, arguments, tmp_path):
    [job, *_] = ablation.make_jobs(arguments)
    run_all([job], tmp_path / "r.jsonl", metrics)
    entry = json.loads((tmp_path / "r.jsonl").read_text())
    assert (entry["scene"], entry["setting"], entry["seed"]) == ("one", "as the conf", 0)
    assert entry["length"] == ["--minutes", "3.0"]
