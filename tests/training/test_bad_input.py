"""What a person's scene may be like: training finishes, says what it distrusts, and loses in proportion.

The scene is an exact ball of radius 0.6 in 8 views; how far the learnt surface is from it is read off the SDF.
"""

import dataclasses
import logging

import cv2
import numpy as np
import pytest
import torch

from nsr.scenes.cameras import Cameras
from nsr.scenes.check import check_loaded
from nsr.training.trainer import Trainer

RADIUS = 0.6
FOOTPRINT = 3.0 / 70


@pytest.fixture
def reconstruct(hull_config, caplog):
    """Train the scene; gives the mean distance of the surface from the true one, in pixels, and all that was said."""
    hull_config.train.steps, hull_config.train.weigh_views = 40, True

    def train(scene, **changes):
        report = check_loaded(scene)
        assert report.ok, report.errors
        for name, value in changes.items():
            setattr(hull_config.train, name, value)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "nsr"):
            trainer = Trainer(hull_config, scene, torch.device("cpu"))
        for _ in range(hull_config.train.steps):
            losses = trainer.step()
        assert all(torch.isfinite(value) for value in losses.values())
        generator = torch.Generator().manual_seed(0)
        points = RADIUS * torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator), dim=1)
        with torch.no_grad():
            error = float(trainer.renderer.value(points).abs().mean()) / FOOTPRINT
        return error, "\n".join([*report.warnings, *report.information, *caplog.messages])

    return train


@pytest.fixture
def clean(reconstruct, sphere_scene):
    error, said = reconstruct(sphere_scene)
    assert said == ""
    return error


def with_mask(scene, view, change):
    mask = scene.masks[view].clone()
    scene.masks[view] = change(mask)
    return scene


def half(mask):
    mask[:, 31:] = False
    return mask


@pytest.mark.parametrize(
    "spoil, said",
    [
        (half, "view 3 disagrees"),
        (torch.zeros_like, "view 3 is empty"),
        (torch.ones_like, "view 3 is full"),
        (torch.logical_not, "view 3 seems inverted"),
        (lambda mask: torch.roll(mask, (9, 14), (0, 1)), "view 3 disagrees"),
    ],
    ids=["half", "empty", "full", "inverted", "shifted"],
)
def test_a_wrong_mask(sphere_scene, reconstruct, clean, spoil, said):
    error, log = reconstruct(with_mask(sphere_scene, 3, spoil))
    assert said in log
    assert error < clean + 0.4


def test_a_wrong_mask_that_nobody_weighs_costs_more(sphere_scene, reconstruct, clean):
    weighed, _ = reconstruct(with_mask(sphere_scene, 3, half))
    believed, _ = reconstruct(sphere_scene, weigh_views=False)
    assert believed > 2 * weighed


def test_masks_cut_by_the_frame(sphere_scene, reconstruct, clean):
    sphere_scene.images = [image[:, 12:44].contiguous() for image in sphere_scene.images]
    sphere_scene.masks = [mask[:, 12:44].contiguous() for mask in sphere_scene.masks]
    sphere_scene.cameras.intrinsics[:, 0, 2] -= 12
    assert sum(bool(mask[:, [0, -1]].any()) for mask in sphere_scene.masks) >= 4
    error, log = reconstruct(sphere_scene)
    assert "frame cuts the object" in log and "disagree" not in log
    assert error < clean + 0.8


def noisy(scene):
    """The pictures with texture down to the pixel, as photographs have."""
    generator = np.random.default_rng(0)
    for view, image in enumerate(scene.images):
        noise = generator.integers(0, 100, image.shape, dtype=np.uint8)
        scene.images[view] = torch.from_numpy(cv2.GaussianBlur(image.numpy() // 2 + noise, (0, 0), 0.5))
    return scene


def test_a_blurred_view(sphere_scene, reconstruct):
    clean, _ = reconstruct(noisy(sphere_scene))
    sphere_scene.images[3] = torch.from_numpy(cv2.GaussianBlur(sphere_scene.images[3].numpy(), (0, 0), 3))
    error, log = reconstruct(sphere_scene)
    assert "view 3 may be blurred" in log and "view 3 is blurred" in log
    assert error < clean + 0.4


def test_an_overexposed_view(sphere_scene, reconstruct, clean):
    image = sphere_scene.images[6]
    sphere_scene.images[6] = torch.where((image > 60).any(-1, keepdim=True), torch.full_like(image, 255), image)
    error, log = reconstruct(sphere_scene)
    assert "view 6 may be overexposed" in log and "view 6 is overexposed" in log
    assert error < clean + 0.4


def test_three_views_only(sphere_scene, reconstruct, clean):
    scene = dataclasses.replace(
        sphere_scene,
        images=[sphere_scene.images[view] for view in (0, 3, 6)],
        masks=[sphere_scene.masks[view] for view in (0, 3, 6)],
        cameras=sphere_scene.cameras.select([0, 3, 6]),
        train_views=[0, 1, 2],
        heldout_views=[],
    )
    error, log = reconstruct(scene)
    assert "3 views are few" in log
    assert error < clean + 3


def test_duplicate_views(sphere_scene, reconstruct, clean):
    for pictures in (sphere_scene.images, sphere_scene.masks):
        pictures[1] = pictures[0].clone()
    for matrices in (sphere_scene.cameras.intrinsics, sphere_scene.cameras.poses):
        matrices[1] = matrices[0]
    error, log = reconstruct(sphere_scene)
    assert "views 0, 1 have the same image" in log and "views 0, 1 have the same camera" in log
    assert error < clean + 0.6


def test_a_camera_inside_the_sphere(sphere_truth, sphere_scene, reconstruct, clean):
    """View 3 stands at 0.85, just before the ball, of which it sees a part."""
    cameras = Cameras(sphere_truth.cameras.intrinsics, sphere_truth.cameras.poses.clone())
    cameras.poses[3, :3, 3] *= 0.85 / 3
    image, mask = dataclasses.replace(sphere_truth, cameras=cameras).render(3)
    sphere_scene.images[3], sphere_scene.masks[3] = torch.from_numpy(image), torch.from_numpy(mask)
    sphere_scene.cameras.poses[3, :3, 3] *= 0.85 / 3
    error, log = reconstruct(sphere_scene)
    assert "view 3 is inside the unit sphere" in log
    assert error < clean + 0.4
