"""A run whose radiance field tells albedo, light and residue apart."""

import pytest
import torch

from nsr.config.reader import dump_config
from nsr.errors import ConfigError
from nsr.fields.shading import Decomposition
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


def test_a_residue_needs_the_mode(hull_config, sphere_scene):
    hull_config.loss.residue_weight = 0.1
    with pytest.raises(ConfigError, match="loss.residue_weight needs model.rendering_network.mode = shading"):
        Trainer(hull_config, sphere_scene, CPU)
