"""None, each and all of the priors, compared."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nsr.cli import main as cli
from nsr.errors import PriorError
from nsr.evaluation.prior_ablation import NONE, PriorAblation, against_none, run_prior_ablation


@pytest.fixture
def ablation(tmp_path):
    confs = {}
    for name, steps in (("base", 5), ("depth", 6), ("all", 7)):
        confs[name] = str(tmp_path / f"{name}.conf")
        Path(confs[name]).write_text(f"train {{ steps = {steps} }}\n")
    for scene in ("one", "two"):
        for folder in ("exact", "wrong"):
            (tmp_path / scene / folder).mkdir(parents=True)
            np.savez(tmp_path / scene / folder / "000.npz", depth=np.ones((2, 2)))
    scenes = [str(tmp_path / "one"), str(tmp_path / "two")]
    priors = {"depth": confs["depth"], "all": confs["all"]}
    return PriorAblation(scenes, ["exact"], confs["base"], priors, [0, 1], ("--steps", "9"), views=3, resolution=64)


def metrics(job):
    chamfer = {NONE: 2.0, "depth": 1.0, "all": 0.5}[job.setting.split(",")[0]] * (1 + job.seed)
    geometry = {"chamfer_pixels": chamfer, "normal_degrees": 10 * chamfer}
    return {"geometry": geometry, "heldout": {"psnr": 20, "iou": 0.9}, "train_seconds": 3.0, "step": 9}


def test_runs_differ_in_priors_alone(ablation):
    jobs = ablation.jobs()
    assert len(jobs) == 2 * 2 * 3 == len({job.key() for job in jobs})
    assert all("dataset.train_views=3" in job.overrides for job in jobs)
    assert {"priors.folder=exact" in job.overrides for job in jobs if job.setting == NONE} == {False}
    assert all("priors.folder=exact" in job.overrides for job in jobs if job.setting != NONE)
    assert [job.seed for job in jobs] == 6 * [0] + 6 * [1]


def test_what_is_measured_tells_runs_apart(ablation):
    without = replace(ablation, rendering=False).jobs()
    assert not any(job.rendering for job in without)
    assert not {job.key() for job in without} & {job.key() for job in ablation.jobs()}


def test_several_bundles_are_told_apart_and_none_runs_once(ablation, tmp_path):
    both = replace(ablation, bundles=["exact", "wrong"], scenes=ablation.scenes[:1], seeds=[0])
    assert [job.setting for job in both.jobs()] == [NONE, "depth, exact", "all, exact", "depth, wrong", "all, wrong"]
    assert len({job.key() for job in both.jobs()}) == 5
    keys = {job.setting: job.key() for job in both.jobs()}
    np.savez(tmp_path / "one" / "wrong" / "001.npz", depth=np.ones((2, 2)))  # the bundles change: so do their runs
    changed = {job.setting for job in both.jobs() if job.key() != keys[job.setting]}
    assert changed == {"depth, wrong", "all, wrong"}


def test_folders_of_one_name_are_told_apart_by_where_they_lie(ablation, tmp_path):
    for place in ("left", "right"):
        (tmp_path / place / "priors").mkdir(parents=True)
        np.savez(tmp_path / place / "priors" / "000.npz", depth=np.ones((2, 2)))
    folders = [str(tmp_path / place / "priors") for place in ("left", "right")]
    jobs = replace(ablation, bundles=folders, scenes=ablation.scenes[:1], seeds=[0]).jobs()
    assert [job.setting for job in jobs][1:4:2] == ["depth, left/priors", "depth, right/priors"]


def test_table_csv_and_page(ablation, tmp_path):
    lines, failures = run_prior_ablation(ablation, tmp_path / "out", metrics)
    assert not failures and lines == (tmp_path / "out" / "table.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert cells[0][3:6] == ["Chamfer px", "Chamfer change %", "normals deg"]
    assert cells[3][:5] == ["one", "depth", "2", "1.500 ± 0.707", "-50.0 ± 0.0"]
    assert cells[-1][:3] == ["**all**", "all", "2"] and cells[-1][4] == "-75.0 ± 0.0"
    with (tmp_path / "out" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and rows[-1]["setting"] == "all" and float(rows[-1]["Chamfer px"]) == 1.0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Priors off and on" in page and "-75.0 ± 0.0" in page and page.count('class="plot"') == 2


def test_it_goes_on_where_it_was_stopped(ablation, tmp_path):
    done = []

    def run(job):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(job)
        return metrics(job)

    with pytest.raises(KeyboardInterrupt):
        run_prior_ablation(ablation, tmp_path / "out", run)
    more = []
    run_prior_ablation(ablation, tmp_path / "out", lambda job: more.append(job) or metrics(job))
    assert done + more == ablation.jobs()


def test_changes_are_of_the_same_scene_and_seed(ablation):
    jobs = ablation.jobs()
    finished = {job.key(): metrics(job) for job in jobs if (job.setting, job.seed) != (NONE, 1)}
    compared = against_none(jobs, finished)
    for job in jobs:
        if job.setting != NONE:
            change = compared[job.key()]["against_none"]["chamfer"]
            assert change is None if job.seed else change == pytest.approx({"depth": -50, "all": -75}[job.setting])


def test_missing_bundles_are_named_before_anything_trains(ablation, tmp_path):
    with pytest.raises(PriorError, match="nowhere: there are no prior bundles"):
        run_prior_ablation(replace(ablation, bundles=["nowhere"]), tmp_path / "out", metrics)
    assert not (tmp_path / "out").exists()


def test_the_command_writes_bundles_and_refuses_what_is_not_there(tmp_path, capsys):
    from nsr.scenes.synthetic import SyntheticSpec, make_scene

    scene = tmp_path / "ball"
    make_scene(scene, SyntheticSpec(shape="sphere", views=2, height=16, width=16, texture="flat", layout="ring"))
    assert cli.main(["prior", "exact", str(scene), str(scene / "exact"), "--corrupt", "0.1"]) == 0
    assert len(list((scene / "exact").glob("*.npz"))) == 2
    capsys.readouterr()
    conf = tmp_path / "p.conf"
    conf.write_text("train { steps = 2 }\n")
    command = ["prior", "ablate", str(scene), "--bundles", "gone", "--priors", str(conf)]
    assert cli.main([*command, "--output", str(tmp_path / "out")]) == 2
    assert "there are no prior bundles" in capsys.readouterr().err
