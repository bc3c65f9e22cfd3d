"""Priors in a run: off they change nothing; on, each term pulls to what it is told, and no bad view spoils it."""

import logging
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nsr.config.schema import Config, PriorsConfig, PriorTermConfig
from nsr.errors import ConfigError, PriorError
from nsr.priors.bundle_file import DepthConvention, DirectionConvention
from nsr.priors.conversion import harmonics_at, rotate_harmonics
from nsr.rendering.surface import SeenSurface
from nsr.scenes.cameras import Cameras
from nsr.training.camera_optimisation import TrainableCameras
from nsr.training.losses import LossInputs
from nsr.training.pixel_sampler import PixelSampler
from nsr.training.prior_terms import TERMS, PriorTerms
from nsr.training.run_folder import create_run_folder
from nsr.training.trainer import Trainer

CPU = torch.device("cpu")
LIGHT = np.zeros((9, 3), dtype=np.float32)
LIGHT[0], LIGHT[1:4] = 3.0, [[0.8, 0.5, 0.2], [1.2, 1.0, 0.7], [0.3, 0.6, 0.9]]


@pytest.fixture
def with_priors(sphere_scene, write_sphere_bundle, sphere_maps, tmp_path):
    """``make(names, options, views, **changes)``: a section of those terms, and exact bundles with ``changes`` (which
    may be functions of the view) for ``views``, else for all training views."""

    def make(names, options=None, views=None, **changes):
        for view in sphere_scene.train_views if views is None else views:
            normal = torch.from_numpy(sphere_maps(view).normal).reshape(-1, 3)
            shading = (harmonics_at(normal).numpy() @ LIGHT).reshape(*sphere_maps(view).mask.shape, 3)
            mask = sphere_maps(view).mask.astype(np.float32)
            light = {"sh": LIGHT, "shading": shading, "shading_confidence": mask} if "shading" in names else {}
            told = {name: change(view) if callable(change) else change for name, change in changes.items()}
            write_sphere_bundle(tmp_path / "priors", view, **{**light, **told})
        terms = {name: PriorTermConfig(weight=1.0) for name in names}
        return PriorsConfig(**{"folder": str(tmp_path / "priors"), "rays": 64, **terms, **(options or {})})

    return make


def test_without_a_weight_nothing_is_read_and_nothing_changes(hull_config, sphere_scene, with_priors):
    """Bit for bit: the section's other keys, and bundles on the disk, have no say."""
    states = []
    for section in (PriorsConfig(), with_priors([], {"neighbours": 3, "angular": True, "huber": 0.5})):
        hull_config.priors = section
        trainer = Trainer(hull_config, sphere_scene, CPU)
        losses = [trainer.step() for _ in range(3)]
        assert trainer.priors is None and not [name for name in losses[0] if name.startswith("prior")]
        states.append((losses, list(trainer.renderer.parameters()), torch.get_rng_state()))
    (first, parameters, state), (second, others, other_state) = states
    assert all(torch.equal(a[name], b[name]) for a, b in zip(first, second) for name in a)
    assert all(torch.equal(a, b) for a, b in zip(parameters, others)) and torch.equal(state, other_state)


def test_a_weight_that_has_not_begun_changes_nothing_but_the_log(hull_config, sphere_scene, with_priors):
    """At the start of a warm-up the weight is 0, and the first step is that of a run without."""
    plain = Trainer(hull_config, sphere_scene, CPU)
    plain.step()
    hull_config.priors = with_priors(["depth", "normal", "surface", "free_space"])
    for name in ("depth", "normal", "surface", "free_space"):
        getattr(hull_config.priors, name).warm_up = 0.5
    waiting = Trainer(hull_config, sphere_scene, CPU)
    losses = waiting.step()
    assert losses["prior_depth"] == losses["prior_surface"] == 0
    assert all(torch.equal(a, b) for a, b in zip(plain.renderer.parameters(), waiting.renderer.parameters()))


def test_weights_rise_and_fall(sphere_scene, with_priors):
    config = with_priors(["depth", "normal"])
    config.depth = PriorTermConfig(weight=3.0, warm_up=0.2, decay=2.0)
    by_name = {term.name: term.weight for term in PriorTerms(Config(priors=config), sphere_scene, CPU).terms}
    expected = {0.0: 0.0, 0.1: 1.5 * math.exp(-0.2), 0.2: 3 * math.exp(-0.4), 1.0: 3 * math.exp(-2)}
    for progress, weight in expected.items():
        assert by_name["prior_depth"](progress) == pytest.approx(weight)
        assert by_name["prior_normal"](progress) == 1.0


class Ball:
    """What a step sees of a ball, in closed form and differentiable in its centre and radius ``[4]``."""

    def __init__(self, ball, points):
        self.centre, self.radius = ball[:3], ball[3]
        self.free_sdf = (points - self.centre).norm(dim=1) - self.radius

    def seen_surface(self, origins, directions):
        offsets = origins - self.centre
        along = (offsets * directions).sum(1)
        root = along**2 - offsets.square().sum(1) + self.radius**2
        rays = (root > 1e-3).nonzero().squeeze(1)
        depth = -along[rays] - root[rays].sqrt()
        normals = (offsets[rays] + depth.unsqueeze(1) * directions[rays]) / self.radius
        return SeenSurface(rays, depth, normals)


@pytest.mark.parametrize("few, share", [(0, 1.0), (7, 1.0), (20, 1.0), (2, (2 / 7) ** 2), (1, (1 / 7) ** 2)])
def test_many_views_leave_priors_less_say(few, share, sphere_scene, with_priors):
    """The scene has seven training views."""
    config = with_priors(["depth", "normal"], {"few_views": few})
    terms = PriorTerms(Config(priors=config), sphere_scene, CPU).terms
    assert [term.weight(0.3) for term in terms] == pytest.approx([share] * 2)


@pytest.fixture
def term_of(sphere_scene, with_priors):
    """``term(name, **changes)``: the term's value as a function of a ball, on one batch of pixels, in double."""

    def make(name, options=None, views=None, **changes):
        terms = PriorTerms(Config(priors=with_priors([name], options, views, **changes)), sphere_scene, CPU)
        [term] = terms.terms
        torch.manual_seed(1)
        batch = PixelSampler(sphere_scene, CPU, 0.3).draw(300)
        origins, directions = sphere_scene.cameras.rays(batch.views, batch.pixels)
        prior = terms.draw(batch, origins.double(), directions.double(), 5, 0.5)
        doubles = {
            entry.name: value.double()
            for entry in fields(prior.samples)
            if (value := getattr(prior.samples, entry.name)) is not None and value.is_floating_point()
        }
        prior = replace(prior, samples=replace(prior.samples, **doubles))
        points = torch.cat([torch.zeros(5, 3, dtype=torch.float64), prior.points])
        return lambda ball: term.function(LossInputs(Ball(ball, points), batch, 50.0, prior=prior))

    return make


def ball(radius, x=0.0, y=0.0, z=0.0):
    return torch.tensor([x, y, z, radius], dtype=torch.float64)


AFFINE = {"depth_convention": DepthConvention("affine")}
TOLD = {  # a term, the options and the bundles that it is tried with
    "depth": ("depth", {}, {}),
    "surface": ("surface", {}, {}),
    # Held constant, scale and shift leave the gradient alone only where they minimise the very error: a squared one.
    "affine depth": ("depth_affine", {"huber": 10.0}, AFFINE),
    "normal": ("normal", {}, {}),
    "angle of normals": ("normal", {"angular": True}, {}),
    "shading": ("shading", {}, {}),
}


@pytest.mark.parametrize("case", TOLD)
def test_a_term_is_least_on_the_truth_and_pulls_towards_it(case, term_of):
    name, options, changes = TOLD[case]
    value = term_of(name, options, **changes)
    truth = value(ball(0.6)).item()
    for wrong in (ball(0.6, 0.05), ball(0.6, 0, -0.06), ball(0.6, 0, 0, 0.05)):
        assert truth < 0.2 * value(wrong).item()
        wrong.requires_grad_()
        value(wrong).backward()
        assert (wrong.grad[:3] * wrong[:3].detach()).sum() > 0


@pytest.mark.parametrize("name", ["depth", "surface"])
def test_metric_depths_know_the_size(name, term_of):
    value = term_of(name)
    for radius, sign in ((0.55, -1), (0.65, 1)):
        wrong = ball(radius).requires_grad_()
        value(wrong).backward()
        assert wrong.grad[3] * sign > 0


@pytest.mark.parametrize("case", [*TOLD, "free space"])
def test_a_terms_gradient_is_that_of_finite_differences(case, term_of):
    name, options, changes = TOLD.get(case, ("free_space", {}, {}))
    value = term_of(name, options, **changes)
    at = ball(0.64, 0.03, -0.02, 0.04).requires_grad_()
    value(at).backward()
    assert at.grad.abs().max() > 1e-4
    for parameter in range(4):
        step = torch.zeros(4, dtype=torch.float64)
        step[parameter] = 1e-6
        with torch.no_grad():
            difference = (value(at + step) - value(at - step)) / 2e-6
        assert at.grad[parameter].item() == pytest.approx(difference.item(), rel=1e-4, abs=1e-7)


def test_space_before_the_prior_is_free_and_no_more_is_asked(term_of):
    value = term_of("free_space", {"clearance": 0.02})
    assert value(ball(0.6)) == 0 and value(ball(0.5)) == 0
    large = ball(0.75).requires_grad_()
    value(large).backward()
    assert large.grad[3] > 0


def test_affine_depths_may_have_any_scale_and_shift_of_a_view(term_of, sphere_maps):
    """And along the optical axis: the same numbers as ray lengths are another surface."""

    def stretched(view):
        return (0.3 + view) * sphere_maps(view).z - 2.0

    def on_object(view):
        return sphere_maps(view).mask.astype(np.float32)

    value = term_of("depth_affine", depth=stretched, depth_confidence=on_object, **AFFINE)
    assert value(ball(0.6)) < 1e-5 and value(ball(0.6, 0.05)) > 1e-3


def test_metric_and_affine_depths_keep_to_their_own_terms(term_of):
    assert term_of("depth")(ball(0.5)) > 0.01
    with pytest.raises(ValueError, match="not enough values"):  # no such term is made
        term_of("depth", **AFFINE)


def test_values_below_the_gate_have_no_say(term_of, sphere_maps):
    def half(view):
        return (0.5 * sphere_maps(view).mask).astype(np.float32)

    values = []
    for gate in (0.0, 0.6):
        term = PriorTermConfig(weight=1.0, gate=gate)
        values.append(term_of("depth", {"depth": term}, depth_confidence=half)(ball(0.5)).item())
    full = term_of("depth")(ball(0.5)).item()
    assert values == [pytest.approx(full / 2, rel=1e-3), 0]


# --- in a run ------------------------------------------------------------------------------------------------------

ALL = ["depth", "normal", "surface", "free_space", "shading"]


@pytest.mark.parametrize("renderer", ["surface", "volume", "staged"])
def test_every_renderer_trains_with_all_terms(renderer, hull_config, sphere_scene, with_priors):
    hull_config.train.renderer, hull_config.train.num_pixels = renderer, 64
    hull_config.volume.num_pixels = 64
    hull_config.priors = with_priors(ALL)
    trainer = Trainer(hull_config, sphere_scene, CPU)
    losses = [trainer.step() for _ in range(3)][-1]
    assert {f"prior_{name}" for name in ALL} <= losses.keys()
    for name in ("depth", "normal", "surface", "shading"):
        assert losses[f"prior_{name}"] > 0, name
    assert torch.isfinite(losses["total"]) and losses["total"] == pytest.approx(
        sum(float(value) for name, value in losses.items() if name not in ("total", "psnr")), rel=1e-4
    )


@pytest.mark.parametrize("name", ["depth", "surface"])
def test_a_run_moves_its_surface_to_the_priors(name, hull_config, sphere_scene, sphere_maps, with_priors):
    """Of a ball of radius 0.5 in pictures of one of radius 0.6."""

    def smaller(view):
        frame = sphere_maps(view).frame
        views = torch.full((sphere_maps(view).mask.size,), view)
        v, u = np.mgrid[: frame.size[0], : frame.size[1]]
        pixels = torch.from_numpy(np.stack([u.ravel(), v.ravel()], axis=1)).float()
        seen = Ball(ball(0.5), torch.zeros(1, 3)).seen_surface(*sphere_scene.cameras.rays(views, pixels))
        depth = torch.zeros(len(pixels), dtype=torch.float64)
        depth[seen.rays] = 2.5 * seen.depth
        return depth.view(frame.size).numpy()

    hull_config.priors = with_priors([name], depth=smaller, depth_convention=DepthConvention("metric", "scene", "ray"))
    trainer = Trainer(hull_config, sphere_scene, CPU)
    trainer.terms = [term for term in trainer.terms if term.name.startswith("prior")]
    at = torch.nn.functional.normalize(torch.randn(200, 3), dim=1) * 0.5
    before = trainer.renderer.sdf.value(at).mean().item()
    for _ in range(15):
        trainer.step()
    trainer.renderer.set_progress(1.0)
    assert before < -0.05 and trainer.renderer.sdf.value(at).mean().item() > 0.4 * before


def test_albedo_learns_the_ratios_that_it_is_told(hull_config, sphere_scene, sphere_maps, with_priors):
    """In another colour in each view, which is no affair of the object's."""

    def painted(view):
        exact = sphere_maps(view)
        stripes = 0.5 + 0.3 * np.sign(exact.normal[..., 2:])
        return (stripes * np.random.default_rng(view).uniform(0.3, 1.0, 3)).astype(np.float32)

    def on_object(view):
        return sphere_maps(view).mask.astype(np.float32)

    hull_config.priors = with_priors(["albedo"], albedo=painted, albedo_confidence=on_object)
    with pytest.raises(ConfigError, match="priors.albedo needs .*mode = shading.* the mode is idr"):
        Trainer(hull_config, sphere_scene, CPU)
    hull_config.model.rendering_network.mode, hull_config.train.steps = "shading", 100
    trainer = Trainer(hull_config, sphere_scene, CPU)
    trainer.terms = [term for term in trainer.terms if term.name.startswith("prior")]
    errors = [trainer.step()["prior_albedo"].item() for _ in range(55)]
    assert errors[0] > 0.1 and np.mean(errors[-5:]) < 0.7 * np.mean(errors[:5])


def test_a_field_with_a_light_of_its_own_is_told_the_shading(hull_config, sphere_scene, with_priors):
    """The light learns; and the normals, lit by the prior's, are told besides."""
    hull_config.priors = with_priors(["shading"])
    hull_config.model.rendering_network.mode = "shading"
    trainer = Trainer(hull_config, sphere_scene, CPU)
    trainer.terms = [term for term in trainer.terms if term.name.startswith("prior")]
    before = trainer.renderer.radiance.harmonics.detach().clone()
    errors = [trainer.step()["prior_shading"].item() for _ in range(15)]
    assert np.mean(errors[-3:]) < np.mean(errors[:3])
    assert not torch.equal(trainer.renderer.radiance.harmonics, before)


def test_a_resumed_run_goes_on_bit_for_bit(hull_config, sphere_scene, with_priors, tmp_path):
    hull_config.priors = with_priors(ALL)
    trainer = Trainer(hull_config, sphere_scene, CPU)
    for _ in range(2):
        trainer.step()
    checkpoint = trainer.save(create_run_folder(tmp_path / "run"))
    straight = [trainer.step() for _ in range(2)]
    resumed = Trainer(hull_config, sphere_scene, CPU, resume=checkpoint)
    again = [resumed.step() for _ in range(2)]
    assert all(torch.equal(one[name], other[name]) for one, other in zip(straight, again) for name in one)


@pytest.mark.parametrize("name", ["depth", "surface"])
def test_cameras_that_are_trained_hear_the_priors(name, hull_config, sphere_scene, with_priors):
    hull_config.priors, hull_config.train.train_cameras = with_priors([name]), True
    trainer = Trainer(hull_config, sphere_scene, CPU)
    trainer.terms = [term for term in trainer.terms if term.name.startswith("prior")]
    before = trainer.cameras.poses.clone()
    trainer.step()
    assert (trainer.cameras.poses - before)[sphere_scene.train_views].abs().amax() > 0


def turned_scene(scene, degrees):
    """The scene, and one whose cameras have all turned about one axis through the centre, as a frame that drifts does;
    and that rotation."""
    axis = np.array([0, 0.6, 0.8])
    rotation = torch.from_numpy(Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix())
    motion = torch.eye(4, dtype=torch.float64)
    motion[:3, :3] = rotation
    poses = (motion @ scene.cameras.poses.double()).float()
    return TrainableCameras(Cameras(scene.cameras.intrinsics, poses)), rotation.float()


@pytest.mark.parametrize("frame", ["camera", "world"])
def test_normals_and_light_turn_with_the_camera_that_they_were_told_in(frame, sphere_scene, sphere_maps, with_priors):
    def told(view):
        normal = sphere_maps(view).normal
        return normal @ sphere_maps(view).frame.pose[:3, :3] if frame == "camera" else normal

    def light(view):
        rotation = sphere_maps(view).frame.pose[:3, :3]
        return rotate_harmonics(LIGHT, rotation.T) if frame == "camera" else LIGHT

    convention = DirectionConvention(frame)
    config = with_priors(
        ["normal", "shading"], normal=told, sh=light, normal_convention=convention, sh_convention=convention
    )
    terms = PriorTerms(Config(priors=config), sphere_scene, CPU)
    trained, rotation = turned_scene(sphere_scene, 10.0)
    torch.manual_seed(0)
    batch = PixelSampler(sphere_scene, CPU, 0.3).draw(200)
    origins, directions = trained.rays(batch.views, batch.pixels)
    prior = terms.draw(batch, origins, directions, 0, 0.5, trained)
    still = terms.draw(batch, origins, directions, 0, 0.5)
    expected = still.samples.normal @ rotation.T if frame == "camera" else still.samples.normal
    torch.testing.assert_close(prior.samples.normal, expected, atol=2e-3, rtol=0)
    # The object has turned with the frame: its normals and its light are the priors' where these turn, too.
    inputs = LossInputs(Ball(ball(0.6).float(), prior.points), batch, 50.0, prior=prior)
    values = {term.name: term.function(inputs) for term in terms.terms}
    if frame == "camera":
        assert values["prior_normal"] < 0.01 and values["prior_shading"] < 0.01
        values["prior_normal"].backward()
        assert trained.vectors.weight.grad.coalesce().values()[:, :4].abs().max() > 0
    else:
        assert values["prior_normal"] > 0.1 and values["prior_shading"] > 0.02


def test_rays_that_miss_still_learn(hull_config, sphere_scene, with_priors):
    """From a field without any surface, towards the prior's points."""
    hull_config.priors = with_priors(["depth", "surface"])
    trainer = Trainer(hull_config, sphere_scene, CPU)
    trainer.terms = [term for term in trainer.terms if term.name.startswith("prior")]
    with torch.no_grad():
        last = getattr(trainer.renderer.sdf, f"lin{trainer.renderer.sdf.layer_count - 1}")
        last.bias[0] += 1
    at = torch.nn.functional.normalize(torch.randn(200, 3), dim=1) * 0.6
    before = trainer.renderer.sdf.value(at).mean().item()
    losses = [trainer.step() for _ in range(10)]
    assert losses[0]["prior_depth"] == 0 and losses[0]["prior_surface"] > 0
    assert trainer.renderer.sdf.value(at).mean().item() < before - 0.01


def test_a_view_without_priors_and_a_bad_one_train_on(hull_config, sphere_scene, with_priors, tmp_path, caplog):
    hull_config.priors = with_priors(["depth", "normal", "surface"])
    (tmp_path / "priors" / "002.npz").unlink()
    (tmp_path / "priors" / "005.npz").write_bytes(b"half a bundle")
    with caplog.at_level(logging.WARNING, logger="nsr"):
        trainer = Trainer(hull_config, sphere_scene, CPU)
    lines = [record.getMessage() for record in caplog.records]
    assert [line for line in lines if "view 005 goes without its priors" in line and "cannot be read" in line]
    assert [line for line in lines if "1 of 7 training views, which train without: 002" in line]
    assert torch.isfinite(trainer.step()["total"])


def test_held_out_views_are_not_looked_at(sphere_scene, with_priors, tmp_path):
    config = with_priors(["depth"])
    (tmp_path / "priors" / "004.npz").write_bytes(b"must not be read")
    terms = PriorTerms(Config(priors=config), sphere_scene, CPU)
    samples = terms.priors.sample(torch.tensor([4]), torch.tensor([[31.0, 24.0]]))
    assert samples.depth_confidence.item() == 0


def test_a_weight_without_anything_to_compare_is_named(sphere_scene, with_priors, caplog):
    config = with_priors(["depth_affine", "normal"], normal=None)
    with caplog.at_level(logging.WARNING, logger="nsr"):
        assert PriorTerms(Config(priors=config), sphere_scene, CPU).terms == []
    lines = [record.getMessage() for record in caplog.records]
    names = ("depth_affine", "normal")
    assert lines == [f"priors.{name} has a weight, but no bundle has what it is about" for name in names]


def test_a_scene_without_priors_is_an_error_that_names_the_folder(hull_config, sphere_scene, tmp_path):
    hull_config.priors = PriorsConfig(folder=str(tmp_path / "none"), depth=PriorTermConfig(weight=1.0))
    with pytest.raises(PriorError, match="none: there is no such folder of priors"):
        Trainer(hull_config, sphere_scene, CPU)


def test_neighbours_lower_what_they_contradict(sphere_scene, sphere_maps, with_priors):
    def wrong_in_one(view):
        return 2.5 * (sphere_maps(view).z - 0.3 * (view == 1) * sphere_maps(view).mask)

    pixels = torch.tensor([[31.0, 24.0]])
    for neighbours, low in ((0, False), (4, True)):
        config = Config(priors=with_priors(["depth"], {"neighbours": neighbours}, depth=wrong_in_one))
        terms = PriorTerms(config, sphere_scene, CPU)
        wrong, right = (terms.priors.sample(torch.tensor([view]), pixels).depth_confidence.item() for view in (1, 2))
        assert (wrong < 0.3) == low and right > (0.5 if low else 0.99)


def test_a_views_own_maps_lower_what_they_contradict(sphere_scene, sphere_maps, with_priors):
    def dented(view):
        dent = np.zeros(sphere_maps(view).mask.shape)
        dent[22:26, 29:33] = np.random.default_rng(0).uniform(0.2, 0.4, (4, 4))
        return 2.5 * (sphere_maps(view).z + (view == 1) * dent * sphere_maps(view).mask)

    pixels = torch.tensor([[31.0, 24.0]])
    for within, low in ((False, False), (True, True)):
        options = {"within_view": within, "depth_tolerance": 0.05}
        terms = PriorTerms(Config(priors=with_priors(["depth"], options, depth=dented)), sphere_scene, CPU)
        wrong, right = (terms.priors.sample(torch.tensor([view]), pixels).depth_confidence.item() for view in (1, 2))
        assert (wrong < 0.3) == low and right > 0.99


def test_terms_are_those_of_the_schema():
    assert {entry.name for entry in fields(PriorsConfig) if entry.type == "PriorTermConfig"} == set(TERMS)
