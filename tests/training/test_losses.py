"""Loss terms against IDR's formulas, written out in numpy on fixed tensors."""

import numpy as np
import pytest
import torch

from nsr.config.schema import Config
from nsr.errors import ConfigError
from nsr.rendering.surface import SurfaceRendering
from nsr.training.losses import LossInputs, make_loss_terms
from nsr.training.pixel_sampler import PixelBatch

RAYS, FREE = 40, 15


def make_inputs(alpha=50.0, hits=True):
    generator = torch.Generator().manual_seed(0)
    rand = lambda *shape: torch.rand(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    hit = (rand(RAYS) < 0.6) & hits
    mask = rand(RAYS) < 0.7
    surface = (hit & mask).nonzero().squeeze(1)
    rendering = SurfaceRendering(
        hit=hit,
        surface=surface,
        rgb=(rand(len(surface), 3) * 2 - 1).requires_grad_(),
        points=rand(RAYS, 3),
        sdf=(rand(RAYS) * 0.4 - 0.2).requires_grad_(),
        gradients=(rand(RAYS + FREE, 3) * 2 - 1).requires_grad_(),
        free_sdf=(rand(FREE) - 0.5).requires_grad_(),
    )
    batch = PixelBatch(torch.zeros(RAYS, dtype=torch.int64), rand(RAYS, 2), rand(RAYS, 3) * 2 - 1, mask, rand(RAYS))
    bound = torch.where(rand(FREE) < 0.5, rand(FREE) * 0.5, torch.full((FREE,), -np.inf, dtype=torch.float64))
    return LossInputs(rendering, batch, alpha, bound)


def terms_of(**options):
    config = Config()
    for name, value in options.items():
        setattr(config.loss, name, value)
    return {term.name: term for term in make_loss_terms(config)}


@pytest.mark.parametrize("alpha", [50.0, 1600.0])
@pytest.mark.parametrize("hits", [True, False])
def test_idrs_three_terms(alpha, hits):
    inputs = make_inputs(alpha, hits)
    rendering, batch = inputs.rendering, inputs.batch
    hit, mask = rendering.hit.numpy(), batch.mask.numpy()
    rgb, sdf, gradients = (t.detach().numpy() for t in (rendering.rgb, rendering.sdf, rendering.gradients))
    photographed, weights = batch.rgb.numpy(), batch.colour_weight.numpy()

    colour, mask_loss, row = 0.0, 0.0, 0
    for ray in range(RAYS):
        if hit[ray] and mask[ray]:
            colour += weights[ray] * np.abs(rgb[row] - photographed[ray]).sum()
            row += 1
        else:
            # Binary cross entropy of sigmoid(-alpha s): log(1 + exp(+-alpha s)), written without overflow.
            mask_loss += np.logaddexp(0, alpha * sdf[ray] if mask[ray] else -alpha * sdf[ray]) / alpha
    terms = terms_of()
    assert set(terms) == {"rgb", "eikonal", "mask"}
    assert terms["rgb"].function(inputs).item() == pytest.approx(colour / RAYS)
    assert terms["mask"].function(inputs).item() == pytest.approx(mask_loss / RAYS)
    expected = np.mean([(np.sqrt((g**2).sum()) - 1) ** 2 for g in gradients])
    assert terms["eikonal"].function(inputs).item() == pytest.approx(expected)
    assert [terms[name].weight(0.3) for name in ("rgb", "eikonal", "mask")] == [1.0, 0.1, 100.0]


def test_the_relative_colour_loss():
    inputs = make_inputs()
    rendering, batch = inputs.rendering, inputs.batch
    predicted = (rendering.rgb.detach().numpy() + 1) / 2
    target = (batch.rgb[rendering.surface].numpy() + 1) / 2
    loss = terms_of(rgb_loss="mape")["rgb"].function(inputs)
    weights = batch.colour_weight[rendering.surface].numpy()[:, None]
    assert loss.item() == pytest.approx((weights * np.abs(predicted - target) / (predicted + 0.01)).sum() / RAYS)
    loss.backward()  # the denominator is a constant
    expected = weights * np.sign(predicted - target) / (predicted + 0.01) / RAYS / 2
    np.testing.assert_allclose(rendering.rgb.grad.numpy(), expected)


def test_the_relative_colour_loss_pulls_colours_below_black_back():
    inputs = make_inputs()
    rendering, batch = inputs.rendering, inputs.batch
    rendering.rgb = torch.full_like(rendering.rgb, -1.2).requires_grad_()
    loss = terms_of(rgb_loss="mape")["rgb"].function(inputs)
    loss.backward()
    assert loss > 0 and (rendering.rgb.grad[batch.colour_weight[rendering.surface] > 0] < 0).all()


def test_the_silhouette_loss_counts_only_points_below_what_the_masks_prove():
    inputs = make_inputs()
    loss = terms_of(silhouette_weight=0.7)["silhouette"]
    bound, sdf = inputs.free_bound.numpy(), inputs.rendering.free_sdf.detach().numpy()
    assert loss.weight(0.0) == 0.7
    assert loss.function(inputs).item() == pytest.approx(np.where(bound > sdf, bound - sdf, 0).mean())
    loss.function(inputs).backward()
    assert ((inputs.rendering.free_sdf.grad.numpy() < 0) == (bound > sdf)).all()


def test_where_every_ray_is_right_the_mask_loss_is_zero_and_differentiable():
    inputs = make_inputs()
    inputs.rendering.hit[:] = True
    inputs.batch.mask[:] = True
    loss = terms_of()["mask"].function(inputs)
    loss.backward()
    assert loss == 0 and (inputs.rendering.sdf.grad == 0).all()


def test_terms_without_a_weight_are_left_out():
    assert set(terms_of(mask_weight=0.0, eikonal_weight=0.0, silhouette_weight=2.0)) == {"rgb", "silhouette"}


def test_an_unknown_colour_loss_is_refused():
    with pytest.raises(ConfigError, match="rgb_loss is 'l3'; known are l1, mape"):
        terms_of(rgb_loss="l3")


def test_the_masks_weight_moves_from_its_start_to_its_end():
    weight = terms_of(mask_weight=50.0, mask_final=4.0)["mask"].weight
    assert weight(0.0) == 50 and weight(1.0) == pytest.approx(200) and weight(0.5) == pytest.approx(125)
    assert all(weight(step / 10) < weight((step + 1) / 10) for step in range(10))
    steady = terms_of(mask_weight=50.0)["mask"].weight
    assert {steady(step / 10) for step in range(11)} == {50.0}
