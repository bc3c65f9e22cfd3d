"""A run whose radiance field tells albedo, light and residue apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nsr.config.reader import dump_config
from nsr.config.schema import PriorsConfig, PriorTermConfig
from nsr.errors import ConfigError
from nsr.fields.shading import Decomposition
from nsr.training.prior_terms import PriorTerms
from nsr.training.run import load_run
from nsr.training.trainer import Trainer, train

CPU = torch.device("cpu")


@pytest.fixture
def shading_config(hull_config):
    hull_config.model.rendering_network.mode = "shading"
    hull_config.loss.residue_weight = 0.05
    return hull_config


def test_a_run_learns_its_light_and_comes_back(shading_config, sphere_scene, tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    dump_config(shading_config, folder / "runconf.conf")
    shading_config.train.steps = 8
    train(shading_config, sphere_scene, folder, CPU, progress=False)
    radiance = load_run(folder).renderer.radiance
    assert radiance.harmonics[0].min() > 1 and radiance.harmonics[1:].abs().max() > 1e-3


def test_the_residue_costs_its_mean_square(shading_config, sphere_scene):
    trainer = Trainer(shading_config, sphere_scene, CPU)
    losses = trainer.step()
    [term] = [term for term in trainer.terms if term.name == "residue"]
    assert term.weight(0.4) == 0.05 and 0 < losses["residue"] < 0.05

    class Inputs:
        class rendering:
            decomposition = Decomposition(torch.ones(2, 3), torch.ones(2, 3), torch.tensor([[1.0, 2, 0], [0, -1, 0]]))

    assert term.function(Inputs) == pytest.approx(1.0)


@pytest.mark.parametrize("key", ["loss.residue_weight", "priors.albedo.weight"])
def test_what_needs_the_parts_needs_the_mode(key, hull_config, sphere_scene):
    if key.startswith("loss"):
        hull_config.loss.residue_weight = 0.1
    else:
        hull_config.priors.albedo.weight = 0.1
    with pytest.raises(ConfigError, match=f"{key} needs model.rendering_network.mode = shading"):
        Trainer(hull_config, sphere_scene, CPU)


@pytest.fixture
def with_albedo(shading_config, sphere_scene, sphere_maps, write_sphere_bundle, tmp_path):
    """The conf with a prior albedo: brown above, blue below, each view in a colour of its own."""
    for view in sphere_scene.train_views:
        exact = sphere_maps(view)
        above = (exact.normal[..., 2:] > 0) & exact.mask[..., None]
        albedo = np.where(above, [0.6, 0.4, 0.2], [0.2, 0.3, 0.6]) * (0.5 + 0.1 * view)
        confidence = exact.mask.astype(np.float32)
        write_sphere_bundle(tmp_path / "priors", view, albedo=albedo.astype(np.float32), albedo_confidence=confidence)
    shading_config.priors = PriorsConfig(folder=str(tmp_path / "priors"), albedo=PriorTermConfig(weight=30.0))
    return shading_config


def test_an_albedo_is_compared_up_to_a_colour_of_the_view(with_albedo, sphere_scene):
    trainer = Trainer(with_albedo, sphere_scene, CPU)
    [term] = [term for term in trainer.terms if term.name == "prior_albedo"]
    seen = []
    function = term.function
    term.function = lambda inputs: seen.append(inputs) or function(inputs)
    first = trainer.step()["prior_albedo"]
    inputs = seen[0]
    samples, rays = inputs.prior.samples, inputs.rendering.surface
    factor = torch.rand(len(sphere_scene), 3) + 0.5
    told = (samples.albedo[rays] * factor[inputs.batch.views[rays]]).clamp_min(0.03).requires_grad_()
    parts = replace(inputs.rendering.decomposition, albedo=told)
    fitting = replace(inputs, rendering=replace(inputs.rendering, decomposition=parts))
    assert function(fitting) < 1e-3 < 0.1 * first / 30
    wrong = (told.detach() * (1 + 0.2 * torch.rand_like(told))).double().requires_grad_()
    parts = replace(parts, albedo=wrong)
    off = replace(inputs, rendering=replace(inputs.rendering, decomposition=parts))
    function(off).backward()
    step = 1e-6 * torch.randn_like(wrong)
    values = []
    for sign in (1, -1):
        moved = replace(parts, albedo=wrong.detach() + sign * step)
        values.append(function(replace(inputs, rendering=replace(inputs.rendering, decomposition=moved))))
    difference = (values[0] - values[1]) / 2
    assert (wrong.grad * step).sum().item() == pytest.approx(difference.item(), rel=1e-3, abs=1e-10)


def test_an_albedo_prior_teaches_the_field_and_not_the_volume_renderer(with_albedo, sphere_scene):
    with_albedo.train.steps, with_albedo.train.levels_open = 80, 0.1
    trainer = Trainer(with_albedo, sphere_scene, CPU)
    assert "prior_albedo" not in {term.name for term in trainer.volume_terms}
    terms = PriorTerms(with_albedo.priors, sphere_scene, CPU)
    assert [term.name for term in terms.terms] == ["prior_albedo"] and not terms.volume_terms
    values = [trainer.step()["prior_albedo"].item() for _ in range(with_albedo.train.steps)]
    assert sum(values[-10:]) < 0.85 * sum(values[:10])
