"""Rendered solids against their own equations."""

import numpy as np
import pytest
import torch

from nsr.priors.networks.common.patches import PatchDataset
from nsr.priors.networks.common.procedural.intersections import (
    meet_box,
    meet_cylinder,
    meet_relief,
    meet_sphere,
    meet_torus,
)
from nsr.priors.networks.common.procedural.solids import RenderedSolids, render_solids

ORIGIN = np.array([0.3, -1.7, -2.5])
WAVES = np.array([[0.03, 2.0, 1.0, 0.4], [0.02, -1.0, 4.0, 2.0]])
HALF = np.array([0.4, 0.7, 0.3])


def cylinder(p):
    return np.maximum(np.hypot(p[:, 0], p[:, 2]) - 0.5, np.abs(p[:, 1]) - 0.6)


def torus(p):
    return np.hypot(np.hypot(p[:, 0], p[:, 2]) - 0.8, p[:, 1]) - 0.25


def relief(p):
    waves = sum(a * np.sin(p[:, 0] * x + p[:, 2] * z + phase) for a, x, z, phase in WAVES)
    return 0.2 - waves - p[:, 1]


SOLIDS = {
    "sphere": (lambda o, d: meet_sphere(o, d, 0.7), lambda p: np.linalg.norm(p, axis=1) - 0.7),
    "box": (lambda o, d: meet_box(o, d, HALF), lambda p: (np.abs(p) - HALF).max(1)),
    "cylinder": (lambda o, d: meet_cylinder(o, d, 0.5, 0.6), cylinder),
    "torus": (lambda o, d: meet_torus(o, d, 0.8, 0.25), torus),
    "relief": (lambda o, d: meet_relief(o, d, 0.2, WAVES), relief),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_rays_meet_the_surface_first_and_see_its_normal(name):
    meet, implicit = SOLIDS[name]
    random = np.random.default_rng(1)
    directions = random.uniform(-1, 1, (4000, 3)) * 0.9 - ORIGIN  # towards the solid, of any length
    distance, normal = meet(ORIGIN, directions)
    met = np.isfinite(distance)
    assert 0.1 < met.mean() <= 1
    points = ORIGIN + distance[met, None] * directions[met]
    assert np.abs(implicit(points)).max() < 1e-4
    assert np.allclose(np.linalg.norm(normal[met], axis=1), 1, atol=1e-4)
    # what lies before the surface is outside, and a ray that is said to miss stays outside
    shares = np.linspace(0.01, 0.995, 60)
    for share in shares:
        assert implicit(ORIGIN + share * points - share * ORIGIN).min() > -1e-4
    missing = directions[~met]
    for share in np.linspace(0, 3, 200):
        if len(missing):
            assert implicit(ORIGIN + share * missing).min() > -4e-3  # the torus is searched: a graze may be missed
    # the normal is the gradient of the equation, but on the edges of box and cylinder, where there is none
    step = 1e-5
    gradient = np.stack([implicit(points + step * e) - implicit(points - step * e) for e in np.eye(3)], 1) / (2 * step)
    length = np.linalg.norm(gradient, axis=1, keepdims=True)
    agree = np.abs((gradient / length * normal[met]).sum(1) - 1) < 1e-3
    assert agree.mean() > 0.995


def test_a_frame_is_coherent():
    frame = render_solids(np.random.default_rng([2, 5]), (120, 160))
    there = frame.depth > 0
    assert there.mean() > 0.5 and frame.depth[there].min() > 0.2 and frame.depth.max() < 6
    assert np.allclose(np.linalg.norm(frame.normal, axis=0)[there], 1, atol=1e-4)
    assert 0 <= frame.albedo.min() and frame.albedo.max() <= 1
    # normals are those of the surface that the depths make, where it is smooth
    row, column = np.indices(there.shape)
    ray = np.stack(
        [(column - frame.centre[0]) / frame.focal, (row - frame.centre[1]) / frame.focal, np.ones(there.shape)]
    )
    points = frame.depth.astype(np.float64) * ray
    across, down = points[:, 1:-1, 2:] - points[:, 1:-1, :-2], points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    expected = np.cross(down, across, axis=0)
    expected /= np.linalg.norm(expected, axis=0)
    agree = (expected * frame.normal[:, 1:-1, 1:-1]).sum(0)
    assert np.median(agree) > 0.9999 and (agree > 0.99).mean() > 0.8
    facing = -(frame.normal * ray).sum(0) / np.linalg.norm(ray, axis=0)
    assert np.allclose(facing[there], frame.facing[there], atol=1e-5) and facing[there].min() > 0


def test_frames_are_samples_and_seeds_decide():
    frames = RenderedSolids(3, seed=4, size=(64, 96))
    sample = frames[1]
    assert {name: tuple(value.shape) for name, value in sample.items() if isinstance(value, torch.Tensor)} == {
        "depth": (1, 64, 96), "normal": (3, 64, 96), "albedo": (3, 64, 96), "mask": (1, 64, 96)
    }  # fmt: skip
    assert all(value.dtype == torch.float32 for value in sample.values() if isinstance(value, torch.Tensor))
    assert torch.equal(sample["depth"], RenderedSolids(2, seed=4, size=(64, 96))[1]["depth"])
    assert not torch.equal(sample["depth"], frames[2]["depth"])
    assert not torch.equal(sample["depth"], RenderedSolids(2, seed=5, size=(64, 96))[1]["depth"])
    assert len(set(frames.scenes)) == 3 and len(PatchDataset(frames, 32, 32)) == 18
