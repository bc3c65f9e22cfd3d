"""Patches of pictures: compiled and plain bodies against each other, and against finite differences."""

import pytest
import torch

from nsr.errors import NsrError
from nsr.ops.image_patches import patch_correlation, picture_samples

LEAST_VARIANCE = 4.0  # squared grey levels


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-4), (torch.float64, 1e-12)])
def test_bodies_correlate_alike_in_value_and_gradient(native, monkeypatch, channels, dtype, tolerance, patch_pairs):
    values, frames, homographies, *rest = patch_pairs(channels, dtype)
    weights = torch.randn(len(homographies), generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    results = []
    for choice in ("torch", "native"):
        monkeypatch.setenv("NSR_BACKEND", choice)
        leaf = homographies.clone().requires_grad_()
        alike, whole = patch_correlation(values, frames, leaf, *rest)
        (alike * weights).nansum().backward()
        results.append((alike.detach(), whole, leaf.grad))
    (wanted, whole, gradient), (got, whole_too, gradient_too) = results
    assert torch.equal(whole, whole_too) and 20 < whole.sum() < len(whole) - 20
    assert (got - wanted).abs().max() <= tolerance
    seen = whole & gradient.isfinite().all((1, 2))
    scale = gradient[seen].abs().amax(0)  # entries of the last column are of other units
    assert ((gradient_too - gradient)[seen].abs() <= 20 * tolerance * scale).all()
    assert not gradient_too[~whole].any() and not got[~whole].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_correlations_slopes_are_those_of_finite_differences(body, channels, patch_pairs):
    values, frames, homographies, *rest = patch_pairs(channels, torch.float64, count=60)
    centres, reference, patch, sources, *settings = rest
    whole = patch_correlation(values, frames, homographies, *rest)[1]
    # About the patches' centres, so that a step in any entry moves samples by as much, and over no pixel's border.
    chosen = whole.nonzero().squeeze(1)
    assert len(chosen) > 10
    shift = torch.eye(3, dtype=torch.float64).repeat(len(chosen), 1, 1)
    shift[:, :2, 2] = centres[patch[chosen]]

    def correlation(moved):
        warps = moved @ torch.linalg.inv(shift)
        pairs = patch[chosen], sources[chosen]
        return patch_correlation(values, frames, warps, centres, reference, *pairs, *settings)[0]

    inputs = (homographies[chosen] @ shift).detach().requires_grad_()
    assert torch.autograd.gradcheck(correlation, (inputs,), eps=1e-8, atol=1e-5, rtol=1e-4)


def test_a_patch_is_found_where_it_was_taken(body, smooth_pictures):
    """Moved by whole pixels it correlates by 1, and no move of a tenth of a pixel does as well."""
    values, frames = smooth_pictures(1, holes=False)
    centres = torch.tensor([[30.0, 25.0], [41.0, 32.0]], dtype=torch.float64)
    v, u = torch.meshgrid(torch.arange(-2, 3), torch.arange(-2, 3), indexing="ij")
    offsets = torch.stack([u, v], -1).view(1, -1, 2)
    view = torch.tensor([0, 0])
    reference, _ = picture_samples(values, frames, view, view, centres.unsqueeze(1) + offsets)
    shift = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1)
    shift[:, :2, 2] = torch.tensor([3.0, -4.0])
    shift.requires_grad_()
    start = centres - torch.tensor([3.0, -4.0])
    alike, whole = patch_correlation(
        values, frames, shift, start, reference, torch.tensor([0, 1]), view, 1.0, 0, LEAST_VARIANCE
    )
    assert whole.all()
    torch.testing.assert_close(alike, torch.ones_like(alike))
    alike.sum().backward()
    assert shift.grad.abs().max() < 1e-8
    for move in ([0.1, 0.0], [-0.1, 0.0], [0.0, 0.1], [0.0, -0.1]):
        moved = shift.detach().clone()
        moved[:, :2, 2] += torch.tensor(move)
        pair = torch.tensor([0, 1]), view
        assert (patch_correlation(values, frames, moved, start, reference, *pair, 1.0, 0, LEAST_VARIANCE)[0] < 1).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-11)])
def test_bodies_sample_alike_in_value_and_gradient(native, monkeypatch, channels, dtype, tolerance, smooth_pictures):
    values, frames = smooth_pictures(channels)
    generator = torch.Generator().manual_seed(3)
    pixels = (torch.rand(90, 7, 2, generator=generator, dtype=torch.float64) * 90 - 5).to(dtype)
    pixels[0, 0], pixels[1, 0], pixels[2, 0] = torch.nan, 1e30, -1e30
    views, levels = torch.arange(90) % 3, torch.arange(90) % 2
    weights = torch.randn(90, 7, channels, generator=generator, dtype=torch.float64).to(dtype)
    results = []
    for choice in ("torch", "native"):
        monkeypatch.setenv("NSR_BACKEND", choice)
        leaf = pixels.clone().requires_grad_()
        shown, inside = picture_samples(values, frames, views, levels, leaf)
        (shown * weights).sum().backward()
        results.append((shown.detach(), inside, leaf.grad))
    (wanted, inside, gradient), (got, inside_too, gradient_too) = results
    assert torch.equal(inside, inside_too) and 100 < inside.sum() < inside.numel() - 100
    assert not got[~inside].any() and not wanted[~inside].any()
    assert (got - wanted).abs().max() <= tolerance * 255
    assert (gradient_too - gradient).abs().max() <= tolerance * gradient.abs().max()


def test_second_derivatives_are_refused(body, patch_pairs):
    values, frames, homographies, *rest = patch_pairs(1, torch.float64)
    leaf = homographies.requires_grad_()
    (first,) = torch.autograd.grad(patch_correlation(values, frames, leaf, *rest)[0][2:].sum(), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiable once"):
        first[2:].sum().backward()


def test_nothing_to_compare_is_no_error(body, patch_pairs):
    values, frames, homographies, centres, reference, patch, sources, *settings = patch_pairs(1, torch.float32)
    nothing = homographies[:0].requires_grad_()
    alike, whole = patch_correlation(
        values, frames, nothing, centres, reference, patch[:0], sources[:0], *settings
    )
    assert alike.shape == whole.shape == (0,)
    alike.sum().backward()
    shown, inside = picture_samples(values, frames, patch[:0], patch[:0], torch.zeros(0, 4, 2))
    assert shown.shape == (0, 4, 1) and inside.shape == (0, 4)


def test_the_operator_takes_what_is_not_contiguous(body, patch_pairs):
    values, frames, homographies, *rest = patch_pairs(3, torch.float32)
    wanted, _ = patch_correlation(values, frames, homographies, *rest)
    turned = homographies.transpose(1, 2).contiguous().transpose(1, 2)
    got, _ = patch_correlation(values.T.contiguous().T, frames, turned, *rest)
    assert torch.equal(got, wanted)


def test_shapes_that_do_not_fit_are_named(patch_pairs):
    values, frames, homographies, centres, reference, patch, sources, *settings = patch_pairs(1, torch.float32)
    with pytest.raises(ValueError, match=r"a patch and a source for each"):
        patch_correlation(values, frames, homographies, centres, reference, patch[1:], sources, *settings)
    with pytest.raises(ValueError, match=r"square patches"):
        patch_correlation(values, frames, homographies, centres, reference[:, 1:], patch, sources, *settings)
    with pytest.raises(ValueError, match=r"square patches"):
        patch_correlation(values, frames, homographies, centres, reference.expand(-1, -1, 3), patch, sources, *settings)
    with pytest.raises(ValueError, match=r"level is 3"):
        patch_correlation(values, frames, homographies, centres, reference, patch, sources, 2.0, 3, 4.0)
    with pytest.raises(ValueError, match=r"int64"):
        patch_correlation(values, frames, homographies, centres, reference, patch.int(), sources, *settings)
    with pytest.raises(ValueError, match=r"uint8"):
        picture_samples(values.float(), frames, patch, patch, torch.zeros(len(patch), 1, 2))
    with pytest.raises(ValueError, match=r"pixels must be \[Q, P, 2\]"):
        picture_samples(values, frames, patch, patch, torch.zeros(3, 2))


def test_what_is_not_compiled_is_an_error_where_it_is_demanded(native, monkeypatch, patch_pairs):
    monkeypatch.setenv("NSR_BACKEND", "native")
    values, frames, homographies, *rest = patch_pairs(1, torch.float16)
    with pytest.raises(NsrError, match="float16"):
        patch_correlation(values, frames, homographies, *rest)


def test_indices_and_frames_beyond_the_pictures_are_outside(native, patch_pairs):
    """At the operator itself: whatever the tables say, nothing beyond a buffer is read."""
    values, frames, homographies, centres, reference, patch, sources, *settings = patch_pairs(1, torch.float32)
    wild = torch.tensor([-1, 1000, 2**62, -(2**62)])
    middle = torch.full((4, 1, 2), 12.0)
    fine = torch.zeros(4, dtype=torch.int64)
    for views, levels in ((wild, fine), (fine, wild)):
        assert not native.picture_samples(values, frames, views, levels, middle, True)[1].any()
    far = frames.clone()
    far[..., 0] = values.shape[1] - 5
    assert not native.picture_samples(values, far, fine, fine, middle, False)[1].any()
    for start in (-(2**40), 2**63 - 1, 2**63 - 100, -(2**63)):
        far[..., 0] = start
        assert not native.picture_samples(values, far, fine, fine, middle, False)[1].any()
    for axis in (1, 2):
        for length in (2**62, 2**40, -(2**40), 1, 0):
            far = frames.clone()
            far[..., axis] = length
            assert not native.picture_samples(values, far, fine, fine, middle * 0.5, False)[1].any()
    spacing, level, least = settings
    for bad_patch, bad_source in ((wild, fine), (fine, wild)):
        whole = native.patch_correlation(
            values, frames, homographies[2:6].contiguous(), centres, reference, bad_patch, bad_source,
            5, spacing, level, least, True,
        )[1]  # fmt: skip
        assert not whole.any()
    with pytest.raises(RuntimeError, match="reference"):
        native.patch_correlation(
            values, frames, homographies, centres, reference, patch, sources, 6, spacing, level, least, False
        )
