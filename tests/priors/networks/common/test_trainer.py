"""The trainer: flags that do what they say, exact continuation, frozen parts, no half-written files."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from nsr.errors import NsrError
from nsr.priors.networks.common.progress import Progress, rate_factor
from nsr.priors.networks.common.splits import split_by_scene
from nsr.priors.networks.common.task import Descent, Stage, enter_stage
from nsr.state_file import read_state

HERE = Path(__file__).parent
CODE = HERE.parents[3] / "code"


def table(run):
    with (run / "training.csv").open() as file:
        return list(csv.DictReader(file))


def weights(path):
    return read_state(path)["modules"]["network"]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_training_learns_and_leaves_what_the_documents_promise(nsr, tmp_path, capsys):
    assert nsr("train", "--verbose", 2, "--epoch", 6, "--keep", 2) == 0
    run = tmp_path / "toy" / "default"
    rows = table(run)
    assert [int(row["epoch"]) for row in rows] == list(range(1, 7))
    assert float(rows[-1]["val_squared"]) < 0.5 * float(rows[0]["val_squared"])
    assert float(rows[-1]["lr"]) < 0.3 * max(float(row["lr"]) for row in rows)
    assert sorted(path.name for path in run.glob("*.pt")) == ["best.pt", "epoch_0005.pt", "epoch_0006.pt", "final.pt"]
    assert (run / "loss.png").stat().st_size > 1000 and list((run / "logs").iterdir())
    told = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("epoch ") for line in told) == 6
    state = read_state(run / "final.pt")
    assert state["family"] == "toy" and state["options"]["width"] == 4 and len(state["history"]) == 6


def test_loss_terms_reach_tensorboard_by_name(nsr, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert nsr("train", "--verbose", 0, "--epoch", 2) == 0
    events = EventAccumulator(str(tmp_path / "toy" / "default" / "logs"))
    events.Reload()
    assert {"training/squared", "training/lr", "validation/squared"} <= set(events.Tags()["scalars"])


def test_verbose_0_is_silent_and_1_draws_a_bar(nsr, capsys):
    assert nsr("train", "--verbose", 0, "--epoch", 1) == 0
    silent = capsys.readouterr()
    assert silent.out == "" and silent.err == ""
    assert nsr("train", "--verbose", 1, "--epoch", 1, "--name", "other") == 0
    assert "left" in capsys.readouterr().err


def test_a_killed_run_goes_on_exactly(nsr, tmp_path):
    assert nsr("train", "--verbose", 0, "--name", "whole") == 0
    script = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
import toy_family
from nsr.cli import main, prior
family = toy_family.ToyFamily()
family.task = toy_family.Killed
prior.families = lambda: {{"toy": family}}
flags = ["--output", {str(tmp_path)!r}, "--gpu", "ignore", "--verbose", "0", "--name", "cut"]
main.main(["prior", "train", "toy", *flags])
"""
    environment = {**os.environ, "PYTHONPATH": str(CODE)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, timeout=120).returncode == -9
    whole, cut = tmp_path / "toy" / "whole", tmp_path / "toy" / "cut"
    assert 1 <= read_state(cut / "final.pt")["epoch"] <= 3
    assert nsr("train", "--verbose", 0, "--name", "cut", "--retrain") == 0
    assert equal(weights(whole / "final.pt"), weights(cut / "final.pt"))
    strip = [{name: value for name, value in row.items() if name != "seconds"} for row in table(whole)]
    assert strip == [{name: value for name, value in row.items() if name != "seconds"} for row in table(cut)]


def test_streaming_and_workers_give_the_same_run(nsr, tmp_path):
    for name, flags in (("memory", []), ("stream", ["--streaming"]), ("workers", ["--streaming", "--workers", 1])):
        assert nsr("train", "--verbose", 0, "--epoch", 1, "--name", name, *flags) == 0
    runs = [weights(tmp_path / "toy" / name / "final.pt") for name in ("memory", "stream", "workers")]
    assert equal(runs[0], runs[1]) and equal(runs[0], runs[2])


@pytest.mark.parametrize(
    "flags", [("--lr", 0.001), ("--drop", 0.5), ("--batch", 2), ("--seed", 5), ("--num", 6), ("--val", 0.5),
              ("--schedule", "step"), ("--warmup", 0.5), ("--clip", 0.01), ("--patch", 32), ("--stride", 8)],
    ids=lambda flags: flags[0],
)  # fmt: skip
def test_every_flag_changes_the_run(nsr, tmp_path, flags):
    assert nsr("train", "--verbose", 0, "--epoch", 2, "--name", "plain") == 0
    assert nsr("train", "--verbose", 0, "--epoch", 2, "--name", "flagged", *flags) == 0
    assert not equal(*(weights(tmp_path / "toy" / name / "final.pt") for name in ("plain", "flagged")))


def test_fine_tuning_starts_from_the_best(nsr, tmp_path):
    assert nsr("train", "--verbose", 0, "--name", "base") == 0
    base = weights(tmp_path / "toy" / "base" / "best.pt")
    assert nsr("train", "--verbose", 0, "--name", "tuned", "--finetune", "base", "--epoch", 1, "--lr", 1e-9) == 0
    tuned = weights(tmp_path / "toy" / "tuned" / "final.pt")
    assert torch.allclose(base["decoder.weight"], tuned["decoder.weight"], atol=1e-6)
    assert [row["epoch"] for row in table(tmp_path / "toy" / "tuned")] == ["1"]


def test_seconds_bound_a_run_and_the_rate_still_falls(nsr, tmp_path):
    assert nsr("train", "--verbose", 0, "--epoch", 100000, "--seconds", 1.5) == 0
    rows = table(tmp_path / "toy" / "default")
    assert float(rows[-1]["seconds"]) < 10
    assert float(rows[-1]["lr"]) < 0.05 * 0.01 * 4


def test_stages_freeze_parameters_and_batch_statistics(toy, toy_family, nsr, tmp_path):
    from argparse import Namespace

    task = toy_family.task(Namespace(width=4, drop=0.5, staged=True))
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    trainable = enter_stage(task, task.stages()[0])
    assert (
        len(trainable["network"]) == 2 and not task.network.encoder[1].training and not task.network.encoder[2].training
    )
    descents = {"network": Descent(torch.optim.Adam(trainable["network"], lr=0.1), 0)}
    sample = toy.ToyFrames(1, 0)[0]
    batch = {name: value[None] for name, value in sample.items() if isinstance(value, torch.Tensor)}
    task.step(batch, descents)
    after = task.network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith("encoder"))
    assert not torch.equal(after["decoder.weight"], before["decoder.weight"])
    enter_stage(task, task.stages()[1])
    assert task.network.encoder[1].training and all(value.requires_grad for value in task.network.parameters())
    with pytest.raises(NsrError, match="trains 'network.head', which the network does not have"):
        enter_stage(task, Stage("x", 1.0, ("network.head",)))

    assert nsr("train", "--verbose", 0, "--staged") == 0
    rows = table(tmp_path / "toy" / "default")
    assert [row["stage"] for row in rows] == ["decoder", "decoder", "all", "all"]


def test_a_staged_run_goes_on_exactly(nsr, tmp_path):
    assert nsr("train", "--verbose", 0, "--staged", "--name", "whole") == 0
    run = tmp_path / "toy" / "whole"
    final = weights(run / "final.pt")
    for epoch in (2, 3):  # at the end of a stage, and within one
        (run / f"epoch_000{epoch}.pt").replace(run / "final.pt")
        assert nsr("train", "--verbose", 0, "--staged", "--name", "whole", "--retrain") == 0
        assert equal(final, weights(run / "final.pt"))


def test_progress_follows_steps_stages_and_the_clock():
    stages = [Stage("a", 0.25, ("network",)), Stage("b", 0.75, ("network",))]
    progress = Progress(100, 0, stages)
    found = []
    for step in (0, 24, 25, 62, 100):
        progress.step = step
        found.append((progress.stage(), round(progress.within_stage(), 2), progress.finished))
    assert found == [(0, 0.0, False), (0, 0.96, False), (1, 0.0, False), (1, 0.49, False), (1, 1.0, True)]
    by_clock = Progress(10**9, 10.0, stages)
    by_clock.start(spent=5.0)
    assert by_clock.value == pytest.approx(0.5, abs=0.01) and by_clock.stage() == 1
    with pytest.raises(NsrError, match="add up to 0.5"):
        Progress(1, 0, [Stage("a", 0.5, ("network",))])


def test_rates():
    assert rate_factor(0.5, "cosine", 0) == pytest.approx(0.505)
    assert rate_factor(1.0, "cosine", 0) == pytest.approx(0.01)
    assert [rate_factor(at, "step", 0) for at in (0.4, 0.6, 0.8, 0.95)] == pytest.approx([1, 0.1, 0.01, 0.001])
    assert rate_factor(0.05, "step", 0.1) == pytest.approx(0.5) and rate_factor(0, "step", 0.1) == pytest.approx(0.01)


def test_the_clip_bounds_the_step():
    weight = torch.nn.Parameter(torch.zeros(2))
    descent = Descent(torch.optim.SGD([weight], lr=1.0), clip=0.5)
    descent.step({"steep": (weight * torch.tensor([30.0, 40.0])).sum()})
    assert torch.allclose(weight.detach(), torch.tensor([-0.3, -0.4]))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--batch", 0], "--batch is 0; it must be at least 1"),
        (["--lr", 0], "--lr is 0.0; it must be above 0"),
        (["--lr", "inf"], "--lr is inf; it must be above 0 and finite"),
        (["--width", 0], "--width is 0; it must be at least 1"),
        (["--seed", -1], "--seed is -1; it must be at least 0"),
        (["--workers", -1], "--workers is -1"),
        (["--clip", "nan"], "--clip is nan"),
        (["--seconds", "nan"], "--seconds is nan"),
        (["--seconds", 1e-9], "--seconds 1e-09 is over before the first step"),
        (["--warmup", 2], "--warmup is 2.0; it is a part of the run"),
        (["--name", "../elsewhere"], "--name '../elsewhere': a run is named as a folder is"),
        (["--name", ""], "--name '': a run is named as a folder is"),
        (["--name", "shipped"], "--name 'shipped': a run is named as a folder is"),
        (["--drop", 1], "--drop is 1.0"),
        (["--val", 1], "--val is 1.0; it is the part of the scenes"),
        (["--num", 2], "leaves none to train on"),
        (["--patch", 64], "a patch of 64 pixels does not fit into 32"),
        (["--stride", 17], "--stride 17 leaves gaps"),
        (["--retrain"], "there is no run to go on with"),
        (["--finetune"], "there is no such run of toy"),
        (["--finetune", "shipped"], "no checkpoint of toy comes with this installation"),
    ],
)
def test_bad_flags_are_told_in_one_line(nsr, tmp_path, capsys, flags, told):
    assert nsr("train", "--verbose", 0, *flags) == 2
    errors = capsys.readouterr().err
    assert told in errors and errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_run_is_neither_overwritten_nor_continued_as_another_network(nsr, tmp_path, capsys):
    assert nsr("train", "--verbose", 0, "--epoch", 1) == 0
    before = weights(tmp_path / "toy" / "default" / "final.pt")
    assert nsr("train", "--verbose", 0) == 2
    assert "there is a run already; give --retrain" in capsys.readouterr().err
    assert nsr("train", "--verbose", 0, "--retrain", "--width", 8) == 2
    assert "was trained with --width 4, not 8; give the same" in capsys.readouterr().err
    assert equal(before, weights(tmp_path / "toy" / "default" / "final.pt"))


def test_a_loss_that_is_not_finite_stops_the_run(nsr, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TOY_POISON", "0")
    assert nsr("train", "--verbose", 0, "--val", 0) == 2
    errors = capsys.readouterr().err
    assert "the training diverged: the loss squared is nan; lower --lr" in errors and errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_validation_that_is_not_finite_stops_the_run(nsr, tmp_path, monkeypatch, capsys):
    (held_out, *_) = split_by_scene([f"scene{index // 2}" for index in range(8)], 0.3, 0)[1]
    monkeypatch.setenv("TOY_POISON", str(held_out))
    assert nsr("train", "--verbose", 0) == 2
    assert "the training diverged: the loss squared is nan" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.pt"))


def test_a_gradient_that_is_not_finite_changes_nothing():
    weight = torch.nn.Parameter(torch.zeros(1))
    descent = Descent(torch.optim.SGD([weight], lr=1.0), clip=1.0)
    with pytest.raises(NsrError, match="the loss gradient is inf"):
        descent.step({"root": weight.sqrt().sum()})  # 0, of infinite slope
    assert weight.item() == 0
