"""Runs that begin with, end with, or never leave the volume renderer."""

import dataclasses

import pytest
import torch

from nsr.config.reader import dump_config
from nsr.errors import CheckpointError, ConfigError
from nsr.fields.initialisation import fit_distance
from nsr.rendering.image import render_view
from nsr.training.checkpoints import load_checkpoint
from nsr.training.run import load_run
from nsr.training.run_folder import create_run_folder
from nsr.training.trainer import Trainer, train

CPU = torch.device("cpu")


@pytest.fixture
def staged_config(hull_config):
    """``hull_config`` with a short volume stage; what surface and volume find never agrees."""
    hull_config.train.renderer = "staged"
    hull_config.volume = dataclasses.replace(
        hull_config.volume, samples=8, coarse_samples=12, num_pixels=64, latest=0.5, agreement=1e-6
    )
    return hull_config


@pytest.fixture
def full_scene(sphere_scene, monkeypatch):
    """The sphere scene without masks; the start on a sphere, which has tests of its own, is a short fit."""

    def fit(field, radius):
        surface = radius * torch.nn.functional.normalize(torch.randn(500, 3), dim=1)
        fit_distance(field, lambda x: x.norm(dim=1) - radius, surface, steps=40, batch=512)

    monkeypatch.setattr("nsr.training.start.initialise_sphere", fit)
    return dataclasses.replace(sphere_scene, masks=[torch.ones_like(mask) for mask in sphere_scene.masks])


def comparable(path):
    return {
        key: value for key, value in load_checkpoint(path).items() if key not in ("train_seconds", "peak_memory_mb")
    }


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def masked_error(trainer, scene, masks=None):
    """Mean absolute colour error over the masks, as the surface renderer shows the views; colours in [0, 1]."""
    errors = []
    for view in scene.train_views:
        mask = (masks or scene.masks)[view]
        seen = render_view(trainer.renderer, trainer.cameras, view, *mask.shape)
        errors.append((seen.rgb - scene.images[view].float() / 255)[mask].abs().mean())
    return float(torch.stack(errors).mean())


@pytest.mark.parametrize("renderer", ["surface", "volume", "staged"])
def test_each_renderer_learns_the_sphere(staged_config, sphere_scene, renderer):
    staged_config.train.renderer, staged_config.train.steps = renderer, 150
    trainer = Trainer(staged_config, sphere_scene, CPU)
    before = masked_error(trainer, sphere_scene)
    while not trainer.clock.finished:
        losses = trainer.step()
    assert all(torch.isfinite(value) for value in losses.values())
    assert masked_error(trainer, sphere_scene) < 0.6 * before
    directions = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    assert (trainer.renderer.sdf.value(directions * 0.52) < 0).float().mean() > 0.9
    assert (trainer.renderer.value(directions * 0.68) > 0).float().mean() > 0.9


def test_the_latest_end_of_the_stage_holds(staged_config, sphere_scene, caplog):
    staged_config.train.steps = 10
    trainer = Trainer(staged_config, sphere_scene, CPU)
    caplog.set_level("INFO", "nsr")
    rays, volumetric = [], []
    for _ in range(10):
        trainer.step()
        rays.append(trainer.num_pixels)
        volumetric.append(trainer.stages.volumetric)
    assert volumetric == [True] * 5 + [False] * 5
    assert rays == [64] * 5 + [128] * 5
    assert "from 50 % of the run on the surface renderer trains" in caplog.text


def test_the_stage_ends_when_the_renderers_agree_and_no_earlier_than_allowed(staged_config, sphere_scene):
    staged_config.train.steps, staged_config.volume.agreement, staged_config.volume.earliest = 20, 1e6, 0.3
    staged_config.volume.plateau = 1.0
    trainer = Trainer(staged_config, sphere_scene, CPU)
    for step in range(8):
        trainer.step()
        assert trainer.stages.volumetric == (step < 6)
    assert trainer.stages.ratio > 0


def test_the_stage_goes_on_while_the_error_falls(staged_config, sphere_scene):
    """With measurements given: they agree all along, and the error falls by half, by 40 %, then by 4 %."""
    staged_config.volume.agreement, staged_config.volume.latest = 1.1, 1.0
    stages = Trainer(staged_config, sphere_scene, CPU).stages
    stages.ratio = 1.0
    for progress, error, volumetric in ((0.1, 0.4, True), (0.2, 0.2, True), (0.3, 0.12, True), (0.4, 0.115, False)):
        stages.error = error
        stages.set_progress(progress)
        assert stages.volumetric == volumetric
    assert stages.fall == pytest.approx(1 - 0.115 / 0.12)


def test_agreement_is_the_ratio_of_colour_errors(staged_config, sphere_scene):
    """Against renders of both on the same rays, one by one."""
    staged_config.train.steps = 100
    trainer = Trainer(staged_config, sphere_scene, CPU)
    batch = trainer.sampler.draw(64)
    origins, directions = trainer.cameras.rays(batch.views, batch.pixels)
    rendering = trainer.stages.volume(origins, directions, batch.mask, torch.zeros(2, 3))
    trainer.stages.observe(0, trainer.renderer, origins, directions, batch, rendering)
    volume_error = surface_error = 0.0
    for row, ray in enumerate(rendering.surface.tolist()):
        volume_error += (rendering.rgb[row] - batch.rgb[ray]).abs().sum().item()
        trace = trainer.renderer.tracer.trace(trainer.renderer.sdf.value, origins[[ray]], directions[[ray]])
        colour = torch.full((1, 3), -1.0)
        if trace.hit:
            colour = trainer.renderer.shade(
                origins[[ray]] + trace.depth[:, None] * directions[[ray]], directions[[ray]]
            )
        surface_error += (colour[0] - batch.rgb[ray]).abs().sum().item()
    assert trainer.stages.ratio == pytest.approx(surface_error / volume_error, rel=1e-3)
    before = trainer.stages.ratio
    trainer.stages.observe(7, trainer.renderer, origins, directions, batch, rendering)
    assert trainer.stages.ratio == before  # not every step is looked at


@pytest.mark.parametrize("at", [6, 15, 20], ids=["in the volume stage", "at its end", "after it"])
def test_halves_make_a_whole_in_either_stage(staged_config, sphere_scene, tmp_path, at):
    whole, first, second = (create_run_folder(tmp_path / name) for name in ("whole", "first", "second"))
    trainer = Trainer(staged_config, sphere_scene, CPU)
    for _ in range(24):
        last_whole = trainer.step()
    expected = comparable(trainer.save(whole))

    half = Trainer(staged_config, sphere_scene, CPU)
    for _ in range(at):
        half.step()
    saved = half.save(first)
    torch.rand(7)
    continued = Trainer(staged_config, sphere_scene, CPU, resume=saved)
    assert continued.stages.volumetric == (at <= 15)
    for _ in range(24 - at):
        last = continued.step()
    assert same(last, last_whole)
    assert same(comparable(continued.save(second)), expected)


def test_a_run_is_continued_only_with_the_stages_that_it_has(staged_config, sphere_scene, tmp_path):
    trainer = Trainer(staged_config, sphere_scene, CPU)
    trainer.step()
    saved = trainer.save(create_run_folder(tmp_path))
    staged_config.train.renderer = "surface"
    with pytest.raises(CheckpointError, match="train.renderer"):
        Trainer(staged_config, sphere_scene, CPU, resume=saved)


def test_an_unknown_renderer_is_refused_by_name(hull_config, sphere_scene):
    hull_config.train.renderer = "raster"
    with pytest.raises(ConfigError, match="train.renderer is 'raster'; known are surface, volume, staged"):
        Trainer(hull_config, sphere_scene, CPU)


def test_the_log_has_the_same_columns_in_both_stages(staged_config, sphere_scene, tmp_path):
    staged_config.train.steps, staged_config.loss.smoothness_weight = 80, 0.01
    run = create_run_folder(tmp_path)
    train(staged_config, sphere_scene, run, CPU, progress=False)
    lines = (run / "logs" / "losses.csv").read_text().splitlines()
    assert len(lines) == 5 and len({line.count(",") for line in lines}) == 1


def test_a_staged_run_is_evaluated_as_any_other(staged_config, sphere_scene, tmp_path):
    run = create_run_folder(tmp_path)
    dump_config(staged_config, run / "runconf.conf")
    trainer = Trainer(staged_config, sphere_scene, CPU)
    for _ in range(3):
        trainer.step()
    trainer.save(run)
    x = torch.rand(50, 3) * 2 - 1
    trainer.renderer.set_progress(3 / 15)
    torch.testing.assert_close(load_run(run).renderer.value(x), trainer.renderer.value(x), atol=1e-6, rtol=0)


def test_only_full_masks_build_a_background(staged_config, sphere_scene, full_scene, caplog):
    caplog.set_level("INFO", "nsr")
    masked = Trainer(staged_config, sphere_scene, CPU)
    assert masked.renderer.background is None and "no masks are used" not in caplog.text
    without = Trainer(staged_config, full_scene, CPU)
    assert without.renderer.background is not None and "no masks are used" in caplog.text
    assert without.hull is None and without.renderer.bounds is None
    assert {term.name for term in without.volume_terms} == {"rgb", "eikonal"}
    staged_config.train.use_masks = False
    ignored = Trainer(staged_config, sphere_scene, CPU)
    assert ignored.renderer.background is not None
    assert not all(mask.all() for mask in sphere_scene.masks)  # the scene keeps its masks


def test_one_view_that_the_object_fills_is_not_a_scene_without_masks(hull_config, sphere_scene):
    sphere_scene.masks[0] = torch.ones_like(sphere_scene.masks[0])
    assert Trainer(hull_config, sphere_scene, CPU).renderer.background is None


def test_without_masks_the_object_is_told_from_what_is_behind_it(hull_config, full_scene, sphere_scene, tmp_path):
    hull_config.train.steps, hull_config.volume.num_pixels = 120, 128
    hull_config.train.renderer = "volume"
    hull_config.model.background.samples = 8
    hull_config.model.implicit_network.bias = 0.45
    run = create_run_folder(tmp_path)
    dump_config(hull_config, run / "runconf.conf")
    trainer = Trainer(hull_config, full_scene, CPU)
    while not trainer.clock.finished:
        trainer.step()
    trainer.save(run)
    loaded = load_run(run)
    inside, total = 0.0, 0.0
    for view in full_scene.train_views:
        mask = sphere_scene.masks[view]
        seen = render_view(loaded.renderer, loaded.cameras, view, *mask.shape)
        inside, total = inside + (seen.hit & mask).sum().item(), total + (seen.hit | mask).sum().item()
        # The photographs are dark grey (40) behind the sphere.
        behind = ~seen.hit & ~mask
        assert (seen.rgb[behind] - 40 / 255).abs().mean() < 0.1
    assert inside / total > 0.85


@pytest.mark.parametrize("carving", [0.0, 1.0])
def test_a_run_without_masks_continues_bit_for_bit(hull_config, full_scene, tmp_path, carving):
    hull_config.volume.carving = carving
    trainer = Trainer(hull_config, full_scene, CPU)
    for _ in range(3):
        trainer.step()
    saved = trainer.save(create_run_folder(tmp_path / "a"))
    trainer.step()
    whole = comparable(trainer.save(create_run_folder(tmp_path / "b")))
    continued = Trainer(hull_config, full_scene, CPU, resume=saved)
    continued.step()
    assert same(comparable(continued.save(create_run_folder(tmp_path / "c"))), whole)


def test_without_masks_the_surface_renderer_ends_the_run_on_masks_of_its_own(
    hull_config, full_scene, sphere_scene, tmp_path, caplog
):
    caplog.set_level("INFO", "nsr")
    hull_config.train.steps, hull_config.volume.num_pixels, hull_config.volume.latest = 120, 128, 0.75
    hull_config.model.background.samples = 8
    hull_config.model.implicit_network.bias = 0.45
    hull_config.train.pixels_anywhere, hull_config.train.mixed_width = 0.5, 1.5
    trainer = Trainer(hull_config, full_scene, CPU)
    saved = {}
    for step in (90, 91):  # right before the switch, and right after it
        while trainer.clock.step < step:
            trainer.step()
        saved[step] = trainer.save(create_run_folder(tmp_path / f"{step}"))
    assert not trainer.stages.volumetric and "silhouettes of what has formed serve as masks" in caplog.text
    ends = []
    for step in (None, *saved):  # one after the other: they share the random numbers
        caplog.clear()
        one = Trainer(hull_config, full_scene, CPU, resume=saved[step]) if step else trainer
        assert ("no masks are used: the volume renderer trains" in caplog.text) == (step == 90)
        assert ("no masks are used: silhouettes of what has formed" in caplog.text) == (step == 91)
        while not one.clock.finished:
            losses = one.step()
        assert losses["mask"] >= 0 and losses["rgb"] > 0
        ends.append(comparable(one.save(create_run_folder(tmp_path / "b"))))
    assert same(ends[0], ends[1]) and same(ends[0], ends[2])
    both, found = 0.0, 0.0
    for view in full_scene.train_views:
        mask = trainer.scene.masks[view]
        both, found = both + (mask & sphere_scene.masks[view]).sum().item(), found + mask.sum().item()
    assert found > 0 and both / found > 0.9
    assert all(mask.all() for mask in full_scene.masks)  # the scene itself is left alone
    batch = trainer.sampler.draw(5000)  # whether pixels beside a found mask show the object is not known
    assert (batch.colour_weight == 1).all() and not batch.mask.all()
    for view, (u, v), inside in zip(batch.views.tolist(), batch.pixels.long().tolist(), batch.mask.tolist()):
        if not inside:
            assert not trainer.scene.masks[view][max(v - 2, 0) : v + 3, u].any()


def test_the_sdf_waits_for_colours(staged_config, full_scene):
    """Its rates rise from 0 over the warm-up; those of colours and background are the schedule's from the start."""
    staged_config.train.steps, staged_config.volume.warm_up = 10, 0.5
    trainer = Trainer(staged_config, full_scene, CPU)
    fields = {name: getattr(trainer.renderer, name) for name in ("sdf", "radiance", "background")}
    moved = {name: [] for name in fields}
    for _ in range(8):
        before = {name: [p.detach().clone() for p in field.parameters()] for name, field in fields.items()}
        trainer.step()
        for name, field in fields.items():
            steps = [(p.detach() - old).abs().max() for p, old in zip(field.parameters(), before[name])]
            moved[name].append(float(max(steps)))
    assert moved["sdf"][0] == 0 and min(moved["radiance"][0], moved["background"][0]) > 0
    rates = {group["waits"]: group["lr"] for group in trainer.optimisers[0].param_groups}
    assert rates[True] == rates[False] > 0  # once it is over
    assert moved["sdf"][1] > 0


@pytest.mark.parametrize("renderer", ["surface", "volume"])
def test_groups_of_the_optimisers_hold_every_parameter_once(staged_config, sphere_scene, renderer):
    staged_config.train.renderer = renderer
    for updates in ("all", "touched"):
        staged_config.train.table_updates = updates
        trainer = Trainer(staged_config, sphere_scene, CPU)
        held = [p for one in trainer.optimisers for group in one.param_groups for p in group["params"]]
        wanted = list(trainer.renderer.parameters())
        wanted += list(trainer.stages.volume.density.parameters()) if renderer == "volume" else []
        assert sorted(map(id, held)) == sorted(map(id, wanted))


def test_colours_depend_on_directions_from_their_time_on(staged_config, full_scene, tmp_path):
    staged_config.train.steps, staged_config.volume.directions_from = 4, 0.5
    trainer = Trainer(staged_config, full_scene, CPU)

    def spread(renderer):
        """How much the colours of one point and of one ray into the background differ with the direction."""
        points, far = torch.tensor([[0.1, 0.2, 0.5]] * 6), torch.tensor([[0.0, 0.0, 2.0]] * 6)
        directions = torch.cat([torch.eye(3), -torch.eye(3)])
        with torch.no_grad():
            colours = renderer.shade(points, directions)
            _, behind = renderer.background(far, directions)
        return float(colours.std(0).max()), float(behind.std(0).max())

    trainer.step()
    assert max(spread(trainer.renderer)) < 1e-6
    run = create_run_folder(tmp_path)
    dump_config(staged_config, run / "runconf.conf")
    trainer.save(run)
    assert max(spread(load_run(run).renderer)) < 1e-6
    while not trainer.clock.finished:
        trainer.step()
    assert min(spread(trainer.renderer)) > 1e-3


def test_the_volume_stage_sees_no_reflected_directions(staged_config, sphere_scene, tmp_path):
    staged_config.train.steps = 4
    network = staged_config.model.rendering_network
    network.mode, network.weight_norm = "reflection", False
    trainer = Trainer(staged_config, sphere_scene, CPU)

    def tells_normals_apart(renderer):
        """Whether colours that are shown nothing but reflected directions differ."""
        points, directions = torch.zeros(6, 3), torch.eye(3)[[2] * 6]
        normals = torch.cat([torch.eye(3), -torch.eye(3)])
        field = renderer.radiance
        with torch.no_grad():
            field.lin0.weight[:, -(3 + field.feature_size) : -field.feature_size or None] = 0
            colours = field(points, directions, normals, torch.zeros(6, field.feature_size))
        return bool(colours.std(0).max() > 1e-4)

    run = create_run_folder(tmp_path)
    dump_config(staged_config, run / "runconf.conf")
    for in_volume in (True, False):
        while trainer.stages.volumetric != in_volume or trainer.clock.step == 0:
            trainer.step()
        trainer.save(run)
        assert tells_normals_apart(load_run(run).renderer) != in_volume


def test_the_sphere_less_its_margin_holds_the_object(staged_config, full_scene):
    """Without masks the SDF of free points is asked to be at least their distance to the smaller sphere."""
    staged_config.volume.margin = 0.9  # of a field that starts as a larger sphere
    trainer = Trainer(staged_config, full_scene, CPU)
    points, bound = trainer._free_points(4000)
    proven = points.norm(dim=1) - 0.1
    assert (proven > 0).any() and (proven < 0).any()
    torch.testing.assert_close(bound[proven > 0], proven[proven > 0])
    assert (bound[proven <= 0] == -torch.inf).all()
    with torch.no_grad():
        short = (proven - trainer.renderer.sdf.value(points)).clamp_min(0)
    expected = torch.where(proven > 0, short, 0).mean()
    loss = float(trainer.step()["silhouette"])
    assert loss == pytest.approx(float(expected), rel=0.2) and loss > 0.1
    staged_config.volume.margin = 0.0
    assert "silhouette" not in Trainer(staged_config, full_scene, CPU).step()


def test_pixels_that_are_distrusted_are_no_more_drawn_on_masks_that_were_found(staged_config, full_scene):
    """Four photographs of the scene are one and the same, so that each is used in a quarter of its pixels."""
    for view in (1, 2, 3):
        full_scene.images[view] = full_scene.images[0].clone()
    staged_config.train.weigh_views = True
    trainer = Trainer(staged_config, full_scene, CPU)
    assert set(trainer.excluded) >= {0, 1, 2, 3}
    trainer._use_masks([torch.ones_like(mask) for mask in full_scene.masks])
    batch = trainer.sampler.draw(4000)
    places = zip(batch.views.tolist(), batch.pixels.long().tolist())
    drawn = [trainer.excluded[view][v, u] for view, (u, v) in places if view in trainer.excluded]
    assert len(drawn) > 100 and not any(drawn)
