"""What a run does: its steps, logs, checkpoints, length and errors."""

import csv

import pytest
import torch

import nsr
from nsr.config.schema import Config
from nsr.errors import CheckpointError, ConfigError, NsrError
from nsr.training import clock as clock_module
from nsr.training.checkpoints import load_checkpoint
from nsr.training.run import load_run
from nsr.training.run_folder import checkpoint_path, create_run_folder
from nsr.training.trainer import Trainer, train

CPU = torch.device("cpu")


def checkpoints_of(run):
    return sorted(path.stem for path in (run / "checkpoints").iterdir())


def test_a_run_leaves_checkpoints_pictures_and_logs(tiny_config, sphere_scene, tmp_path):
    run = create_run_folder(tmp_path)
    tiny_config.train.steps, tiny_config.train.checkpoint_freq, tiny_config.train.plot_freq = 40, 0.25, 0.5
    last = train(tiny_config, sphere_scene, run, CPU, progress=False)
    assert last == checkpoint_path(run, 40)
    assert checkpoints_of(run) == ["10", "20", "30", "40", "latest"]
    assert len(list((run / "plots").glob("render_*.png"))) == 2
    with open(run / "logs" / "losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40"]
    terms = {"rgb", "eikonal", "mask"} | ({"silhouette"} if tiny_config.loss.silhouette_weight else set())
    assert set(rows[0]) == terms | {"step", "total", "psnr", "rays_per_second"}
    assert float(rows[0]["total"]) == pytest.approx(sum(float(rows[0][name]) for name in terms), rel=1e-4)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "logs"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/total")] == [20, 40]
    assert events.Scalars("loss/mask")[1].value == pytest.approx(float(rows[1]["mask"]), rel=1e-4)


def test_a_checkpoint_is_the_trained_renderer(hull_config, sphere_scene, tmp_path):
    from nsr.config.reader import dump_config

    run = create_run_folder(tmp_path)
    dump_config(hull_config, run / "runconf.conf")
    hull_config.train.steps = 6
    trainer = Trainer(hull_config, sphere_scene, CPU)
    for _ in range(2):
        trainer.step()
    trainer.save(run)
    loaded = load_run(run)
    x = torch.rand(100, 3) * 2 - 1
    trainer.renderer.set_progress(2 / 3)  # two steps of the three in which levels open
    assert torch.equal(loaded.renderer.value(x), trainer.renderer.value(x))
    trainer.renderer.set_progress(1.0)
    assert not torch.equal(loaded.renderer.sdf.encoding(x), trainer.renderer.sdf.encoding(x))
    assert loaded.step == 2 and loaded.train_seconds > 0 and loaded.peak_memory_mb > 10
    torch.testing.assert_close(loaded.cameras.poses, sphere_scene.cameras.poses.float())


def test_rates_follow_the_schedule(hull_config, sphere_config, sphere_scene):
    rates = {}
    for name, config in (("cosine", hull_config), ("milestones", sphere_config)):
        config.train.steps = 10
        trainer = Trainer(config, sphere_scene, CPU)
        rates[name] = []
        for _ in range(10):
            trainer.step()
            rates[name].append([group["lr"] for group in trainer.optimisers[0].param_groups])
    networks, tables = zip(*rates["cosine"])
    assert networks[0] == 2e-3 and tables[0] == 1e-2
    assert all(a > b for a, b in zip(networks, networks[1:]))
    assert tables[5] == pytest.approx(1e-2 * 0.525)
    assert [rate for rate, in rates["milestones"]] == [1e-3] * 4 + [5e-4] * 6


def test_tables_have_the_tables_rate_and_every_parameter_is_trained_once(hull_config, sphere_scene):
    trainer = Trainer(hull_config, sphere_scene, CPU)
    groups = trainer.optimisers[0].param_groups
    ids = [[id(parameter) for parameter in group["params"]] for group in groups]
    tables = [trainer.renderer.sdf.encoding.table, trainer.renderer.radiance.position_encoding.table]
    assert ids[1] == [id(table) for table in tables]
    assert sorted(ids[0] + ids[1]) == sorted(id(parameter) for parameter in trainer.renderer.parameters())


def test_a_run_of_minutes_ends_with_the_clock(sphere_config, sphere_scene, tmp_path, monkeypatch):
    class Time:
        now = 1000.0

        @classmethod
        def monotonic(cls):
            return cls.now

    monkeypatch.setattr(clock_module, "time", Time)
    monkeypatch.setattr(nsr, "STARTED", Time.now)
    sphere_config.train.minutes, sphere_config.train.steps = 0.5, 10**9
    trainer = Trainer(sphere_config, sphere_scene, CPU)
    progress = []
    step = trainer.step

    def step_of_a_second():
        progress.append(trainer.clock.progress)
        Time.now += 1.0
        return step()

    monkeypatch.setattr(trainer, "step", step_of_a_second)
    run = create_run_folder(tmp_path)
    trainer.run(run, progress=False)
    assert trainer.clock.finished and 5 < trainer.clock.step < 100
    assert progress == sorted(progress) and progress[0] < 0.1 and 0.8 < progress[-1] < 1
    state = load_checkpoint(checkpoint_path(run))
    assert 30 <= state["train_seconds"] < 32
    assert trainer.optimisers[0].param_groups[0]["lr"] == 5e-4  # milestones follow the clock


def test_cameras_stay_until_their_time(sphere_config, sphere_scene):
    train = sphere_config.train
    train.train_cameras, train.learning_rate_cam, train.cameras_from, train.steps = True, 1e-3, 0.5, 8
    trainer = Trainer(sphere_config, sphere_scene, CPU)
    before = trainer.cameras.poses.clone()
    for step in range(8):
        assert torch.equal(trainer.cameras.poses, before) == (step <= 4)
        trainer.step()


def test_poses_are_trained_where_that_is_asked_and_held_out_ones_stay_put(sphere_config, sphere_scene):
    sphere_config.train.train_cameras, sphere_config.train.learning_rate_cam = True, 1e-3
    trainer = Trainer(sphere_config, sphere_scene, CPU)
    before = trainer.cameras.poses.clone()
    for _ in range(5):
        trainer.step()
    after = trainer.cameras.poses
    moved = (after - before).abs().amax((1, 2))
    assert (moved[sphere_scene.train_views] > 1e-4).all()
    assert torch.equal(after[4], before[4])
    rotations = after[:, :3, :3]
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), torch.eye(3).expand(8, 3, 3), atol=1e-5, rtol=0)
    assert torch.equal(trainer.cameras.intrinsics, trainer.given_cameras.intrinsics)


def test_poses_stay_as_given_where_they_are_not_trained(sphere_config, sphere_scene):
    trainer = Trainer(sphere_config, sphere_scene, CPU)
    trainer.step()
    assert torch.equal(trainer.cameras.poses, sphere_scene.cameras.poses.float())


def test_a_step_whose_rays_hit_nothing_goes_on(tiny_config, sphere_scene):
    trainer = Trainer(tiny_config, sphere_scene, CPU)
    with torch.no_grad():
        last = getattr(trainer.renderer.sdf, f"lin{trainer.renderer.sdf.layer_count - 1}")
        last.bias[0] += 3
    losses = trainer.step()
    assert losses["rgb"] == 0 and losses["mask"] > 0
    assert all(parameter.isfinite().all() for parameter in trainer.renderer.parameters())


@pytest.mark.parametrize("share", ["loss", "parameter"])
def test_a_training_that_diverges_says_so_and_spoils_no_checkpoint(sphere_config, sphere_scene, tmp_path, share):
    run = create_run_folder(tmp_path)
    trainer = Trainer(sphere_config, sphere_scene, CPU)
    trainer.save(run)
    step = trainer.step

    def spoiled():
        losses = step()
        if trainer.clock.step == 20 and share == "loss":
            losses["mask"] = torch.tensor(float("nan"))
        if trainer.clock.step == 25 and share == "parameter":
            with torch.no_grad():
                trainer.renderer.sdf.lin0.bias[0] = float("inf")
            trainer.clock.step = sphere_config.train.steps
        return losses

    trainer.step = spoiled
    with pytest.raises(NsrError, match="the training diverged: .* is not finite at step .*lower train.learning_rate"):
        trainer.run(run, progress=False)
    assert checkpoints_of(run) == ["0", "latest"]
    assert load_checkpoint(checkpoint_path(run))["step"] == 0


def test_what_cannot_be_trained_is_refused(sphere_scene, hull_config, sphere_config):
    sphere_scene.train_views = []
    with pytest.raises(ConfigError, match="sphere: every view is held out; .*heldout_every"):
        Trainer(sphere_config, sphere_scene, CPU)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("train", "schedule", "linear", "train.schedule is 'linear'; known are milestones, cosine"),
        ("train", "table_updates", "some", "train.table_updates is 'some'; known are all, touched"),
        ("train", "init", "cube", "train.init is 'cube'; known are sphere, hull"),
        ("train", "steps", 0, "train.steps is 0; it must be at least 1"),
        ("loss", "rgb_loss", "l9", "loss.rgb_loss is 'l9'"),
    ],
)
def test_values_that_name_nothing_are_refused(sphere_scene, section, key, value, message):
    config = Config()
    setattr(getattr(config, section), key, value)
    with pytest.raises(ConfigError, match=message):
        Trainer(config, sphere_scene, CPU)


def test_checkpoints_of_another_model_or_scene_are_refused(hull_config, sphere_config, sphere_scene, tmp_path):
    run = create_run_folder(tmp_path)
    path = Trainer(sphere_config, sphere_scene, CPU).save(run)
    with pytest.raises(CheckpointError, match=r"0\.pt: the checkpoint is of another model .* \d+ entries do not fit"):
        Trainer(hull_config, sphere_scene, CPU, path)
    sphere_config.train.train_cameras = True
    with pytest.raises(CheckpointError, match="cameras were trained in one of the two runs and not in the other"):
        Trainer(sphere_config, sphere_scene, CPU, path)
    path = Trainer(sphere_config, sphere_scene, CPU).save(run)
    for views in (sphere_scene.images, sphere_scene.masks):
        views.pop()
    sphere_scene.cameras = sphere_scene.cameras.select(list(range(7)))
    sphere_scene.train_views = [0, 1, 2, 3, 5, 6]
    with pytest.raises(CheckpointError, match="its cameras are of 8 views, sphere has 7"):
        Trainer(sphere_config, sphere_scene, CPU, path)


def test_a_set_up_longer_than_the_run_is_an_error(sphere_config, sphere_scene, tmp_path, monkeypatch):
    trainer = Trainer(sphere_config, sphere_scene, CPU)
    trainer.clock.seconds = 1e-6
    run = create_run_folder(tmp_path)
    with pytest.raises(NsrError, match="--minutes"):
        trainer.run(run, progress=False)
    assert not list((run / "checkpoints").iterdir())


def test_a_run_whose_time_is_up_as_it_begins_takes_a_step(sphere_config, sphere_scene, tmp_path, monkeypatch):
    trainer = Trainer(sphere_config, sphere_scene, CPU)
    trainer.clock.seconds = 1e-6
    monkeypatch.setattr(trainer.clock, "start", lambda: None)
    checkpoint = trainer.run(create_run_folder(tmp_path), progress=False)
    assert trainer.clock.step == 1 and load_checkpoint(checkpoint)["step"] == 1


def test_mixed_pixels_are_weighed_as_the_conf_says(hull_config, sphere_scene):
    hull_config.train.mixed_width = 1.5
    weights = Trainer(hull_config, sphere_scene, CPU).sampler.draw(4000).colour_weight
    assert 0.01 < float((weights < 1).float().mean()) < 0.5
