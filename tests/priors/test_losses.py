"""Every error and fit against a closed form, and every gradient against finite differences."""

import math

import numpy as np
import pytest
import torch

from nsr.priors import losses

torch.manual_seed(0)
VIEW = torch.tensor([0] * 12 + [1] * 15 + [2] * 3)
COUNT = len(VIEW)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(seed):
    return torch.nn.functional.normalize(random(COUNT, 3, seed=seed) - 0.4, dim=1)


DIFFERENTIABLE = {
    "huber": lambda x: losses.huber(x[:, 0], 0.3),
    "bounded": lambda x: losses.bounded(x[:, 0], 0.2),
    "normal_difference": lambda x: losses.normal_difference(x, unit(1)),
    "normal_angle": lambda x: losses.normal_angle(x, unit(1)),
    "behind_surface": lambda x: losses.behind_surface(x[:, 0]),
    "log_difference": lambda x: losses.log_difference(
        x.abs() + 0.1, random(COUNT, 3, seed=2), random(COUNT, seed=3), VIEW, 3
    ),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_are_those_of_finite_differences(name):
    function = DIFFERENTIABLE[name]
    at = (random(COUNT, 3, seed=5) * 2 - 1).requires_grad_()
    weights = random(COUNT, seed=6)
    (weights * function(at)).sum().backward()
    step = 1e-6
    for row, column in [(0, 0), (3, 0), (7, 1), (14, 2), (20, 0), (29, 1)]:
        moved = torch.zeros_like(at)
        moved[row, column] = step
        with torch.no_grad():
            difference = (weights * (function(at + moved) - function(at - moved))).sum() / (2 * step)
        assert at.grad[row, column].item() == pytest.approx(difference.item(), rel=1e-5, abs=1e-8)


def test_hubers_function():
    error = torch.tensor([-0.3, -0.05, 0.0, 0.1, 0.4], dtype=torch.float64)
    expected = torch.tensor([0.3 - 0.05, 0.05**2 / 0.2, 0, 0.05, 0.35], dtype=torch.float64)
    torch.testing.assert_close(losses.huber(error, 0.1), expected)


def test_differences_of_normals_at_known_angles():
    angles = torch.tensor([0.0, 0.3, math.pi / 2, 3.0], dtype=torch.float64)
    normals = torch.stack([angles.cos(), angles.sin(), torch.zeros_like(angles)], dim=1)
    prior = torch.tensor([[1.0, 0, 0]], dtype=torch.float64).expand(4, 3)
    torch.testing.assert_close(losses.normal_angle(normals, prior), angles, atol=2e-6, rtol=0)
    expected = (angles.cos() - 1).abs() + angles.sin().abs() + 1 - angles.cos()
    torch.testing.assert_close(losses.normal_difference(normals, prior), expected)


def test_the_angles_gradient_is_finite_where_normals_are_parallel():
    normals = torch.tensor([[0.0, 0, 1], [0, 0, -1]], requires_grad=True)
    losses.normal_angle(normals, torch.tensor([[0.0, 0, 1], [0, 0, 1]])).sum().backward()
    assert torch.isfinite(normals.grad).all()


def test_scale_and_shift_are_recovered():
    """Of each view by itself, to 1e-6, and of a view with too few rays not at all."""
    prior = random(COUNT, seed=1) * 3
    scale, shift = torch.tensor([0.7, 2.5, 1.0]).double(), torch.tensor([-0.4, 3.0, 0.0]).double()
    target = scale[VIEW] * prior + shift[VIEW]
    found = losses.affine_fit(prior, target, random(COUNT, seed=2), VIEW, 4)
    torch.testing.assert_close(found[0][:2], scale[:2], atol=1e-6, rtol=0)
    torch.testing.assert_close(found[1][:2], shift[:2], atol=1e-6, rtol=0)
    assert found[2].tolist() == [True, True, False, False]


def test_the_fit_is_weighted_least_squares():
    prior, target, weights = random(COUNT, seed=1), random(COUNT, seed=2), random(COUNT, seed=3)
    scale, shift, _ = losses.affine_fit(prior, target, weights, VIEW, 3)
    for view in range(3):
        of_view = (VIEW == view).numpy()
        root = np.sqrt(weights.numpy()[of_view])
        design = np.stack([prior.numpy()[of_view], np.ones(of_view.sum())], axis=1)
        solution = np.linalg.lstsq(design * root[:, None], target.numpy()[of_view] * root, rcond=None)[0]
        assert (scale[view].item(), shift[view].item()) == pytest.approx(tuple(solution), abs=1e-9)


def test_what_cannot_be_fitted_says_so():
    prior, weights = random(COUNT, seed=1), torch.ones(COUNT, dtype=torch.float64)
    assert not losses.affine_fit(prior, -prior, weights, VIEW, 3)[2].any()  # nearer where the prior says farther
    flat = losses.affine_fit(torch.full_like(prior, 0.7), prior, weights, VIEW, 3)
    assert not flat[2].any() and all(values.isfinite().all() for values in flat[:2])
    assert not losses.affine_fit(prior, prior, 0 * weights, VIEW, 3)[2].any()


def test_a_prior_known_up_to_a_colour_of_each_view_asks_nothing_of_that_colour():
    prior, weights = random(COUNT, 3, seed=1) + 0.1, random(COUNT, seed=2)
    colour = random(3, 3, seed=3) + 0.5
    error = losses.log_difference(colour[VIEW] * prior, prior, weights, VIEW, 3)
    torch.testing.assert_close(error, torch.zeros(COUNT, dtype=torch.float64), atol=1e-12, rtol=0)
    twice = colour[VIEW] * prior
    twice[0] *= 2  # one pixel of view 0 is twice as bright as its prior says
    error = losses.log_difference(twice, prior, weights, VIEW, 3)
    share = weights[0] / weights[VIEW == 0].sum()
    assert error[0].item() == pytest.approx(3 * math.log(2) * (1 - share))
    assert error[1].item() == pytest.approx(3 * math.log(2) * share)
    assert error[VIEW > 0].max() < 1e-12


def test_a_prior_far_from_the_surface_hardly_pulls():
    distance = torch.tensor([0.0, 0.001, 0.05, 5.0], requires_grad=True)
    losses.bounded(distance, 0.05).sum().backward()
    assert distance.grad[1] > 0.95 and distance.grad[2].item() == pytest.approx(0.25) and distance.grad[3] < 1e-3
