"""End to end in small: photographs of a sphere become that sphere."""

import numpy as np
import pytest
import torch

from nsr.config.reader import dump_config
from nsr.meshing.extraction import extract_mesh
from nsr.rendering.image import render_view
from nsr.training.run import load_run
from nsr.training.run_folder import create_run_folder
from nsr.training.trainer import train


@pytest.mark.parametrize("start", ["hull", "sphere"])
def test_a_sphere_is_reconstructed(start, hull_config, sphere_scene, sphere_truth, tmp_path):
    config = hull_config
    config.train.steps, config.train.num_pixels, config.train.init = 250, 512, start
    config.train.hull_resolution, config.train.hull_fit_steps, config.loss.mask_weight = 64, 100, 100.0
    if start == "sphere":
        config.model.implicit_network.bias = 0.45  # not the answer
        config.loss.silhouette_weight, config.model.ray_tracer.hull_margin = 0.0, 0.0
    run = create_run_folder(tmp_path)
    dump_config(config, run / "runconf.conf")
    train(config, sphere_scene, run, torch.device("cpu"), progress=False)
    renderer = load_run(run).renderer
    footprint = 3.0 / 70  # of a pixel on the object

    view = render_view(renderer, sphere_scene.cameras, 4, *sphere_truth.size)  # held out
    photograph, mask = sphere_truth.render(4)
    hit = view.hit.numpy()
    assert (hit & mask).sum() / (hit | mask).sum() > 0.95
    both = hit & mask
    error = (view.rgb.numpy() - photograph / 255)[both]
    assert -10 * np.log10((error**2).mean()) > 18  # one grey for all scores 12
    mesh = extract_mesh(renderer.value, 48)
    radius = np.linalg.norm(mesh.sample(4000), axis=1)
    assert abs(radius - sphere_truth.radius).mean() < footprint
    assert np.quantile(abs(radius - sphere_truth.radius), 0.95) < 1.5 * footprint
