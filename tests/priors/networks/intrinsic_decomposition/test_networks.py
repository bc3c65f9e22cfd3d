"""Backbone, skip network, methods and discriminators: sizes, shapes, what each method makes of its parts."""

import pytest
import torch
from nsr.priors.networks.intrinsic_decomposition.backbone import (
    Generator,
    LightEstimator,
    ResidualStack,
    ResidueHead,
    SfSNet,
    Stem,
)
from nsr.priors.networks.intrinsic_decomposition.discriminators import (
    ConvolutionalDiscriminator,
    PatchDiscriminator,
    discriminator_loss,
    least_squares,
)
from nsr.priors.networks.intrinsic_decomposition.illumination import shade
from nsr.priors.networks.intrinsic_decomposition.methods import METHODS
from nsr.priors.networks.intrinsic_decomposition.network import IntrinsicNetwork


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def network(method, width=8, seed=0):
    torch.manual_seed(seed)
    return IntrinsicNetwork(METHODS[method], width).eval()


def with_residue(model):
    """The model with a residue head that says something."""
    torch.nn.init.normal_(model.residue_head.layers[-1].weight, std=0.3)
    return model


@pytest.mark.parametrize(
    ("module", "count"),
    [
        (Stem(128), 231_296),
        (ResidualStack(128), 1_478_656),
        (Generator(128), 90_883),
        (LightEstimator(128), 53_019),
        (ResidueHead(128), 95_171),
        (SfSNet(128), 3_423_393),
        (ConvolutionalDiscriminator(64, 5), 11_164_416),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else "",
)
def test_full_width_is_the_original(module, count):
    assert parameters(module) == count


def test_third_method_has_five_million_parameters_at_full_width():
    assert parameters(IntrinsicNetwork(METHODS["3"], 128)) == 3_423_393 + 1_478_656 + 95_171


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(32, 32), (37, 50)])
def test_any_picture_size_gives_maps_of_that_size_and_unit_normals(method, size):
    result = network(method)(torch.rand(2, 3, *size))
    for name in ("normal", "albedo", "shading", "reconstruction"):
        assert result[name].shape == (2, 3, *size), name
    torch.testing.assert_close(result["normal"].norm(dim=1), torch.ones(2, *size))
    torch.testing.assert_close(result["reconstruction"], result["albedo"] * result["shading"])
    assert ("light" in result) == (method != "2")


@pytest.mark.parametrize("method", ["3", "4", "5", "6", "7"])
def test_residue_methods_start_as_their_backbone(method):
    result = network(method)(torch.rand(1, 3, 32, 32))
    torch.testing.assert_close(result["shading"], result["harmonic_shading"])
    torch.testing.assert_close(result["reconstruction"], result["harmonic_reconstruction"])


@pytest.mark.parametrize("method", ["3", "5", "6", "7"])
def test_residue_is_added_to_the_harmonics_shading(method):
    model = with_residue(network(method))
    result = model(torch.rand(1, 3, 32, 32))
    assert (result["shading"] - result["harmonic_shading"]).abs().max() > 1e-2
    torch.testing.assert_close(result["harmonic_shading"], shade(result["normal"], result["light"]))
    torch.testing.assert_close(result["albedo"], result["harmonic_albedo"])


def test_fourth_method_reconstructs_with_the_albedo_that_gave_the_residue_away():
    result = with_residue(network("4"))(torch.rand(1, 3, 32, 32))
    residue = result["shading"] - result["harmonic_shading"]
    assert residue.abs().max() > 1e-2
    torch.testing.assert_close(result["albedo"], result["harmonic_albedo"] - residue)
    torch.testing.assert_close(result["reconstruction"], result["albedo"] * result["shading"])


def test_second_albedo_stack_adopts_the_backbones_and_leaves_the_light_alone():
    model = network("3")
    picture = torch.rand(1, 3, 32, 32)
    before = model(picture)
    model.adopt_backbone()
    after = model(picture)
    assert torch.equal(before["light"], after["light"])
    assert not torch.equal(before["albedo"], after["albedo"])
    features, _, albedo_features = model.backbone.features(picture)
    assert torch.equal(model.own_albedo_stack(features), albedo_features)


def test_latent_shading_has_no_light_and_no_convolution_with_a_bias():
    model = network("2")
    convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    assert convolutions and all(module.bias is None for module in convolutions)
    assert not [name for name, _ in model.named_parameters() if "light" in name]


def test_dropout_is_in_the_features():
    torch.manual_seed(0)
    picture = torch.rand(2, 3, 32, 32)
    for method in ("sfsnet", "skip-net"):
        plain, dropping = (IntrinsicNetwork(METHODS[method], 8, drop) for drop in (0.0, 0.5))
        assert torch.equal(plain(picture)["albedo"], plain(picture)["albedo"])
        assert not torch.equal(dropping(picture)["albedo"], dropping(picture)["albedo"])


def test_convolutional_discriminator_says_one_number_a_sample_at_its_size():
    assert ConvolutionalDiscriminator(4, 4)(torch.rand(3, 3, 64, 64)).shape == (3, 1, 1, 1)
    assert ConvolutionalDiscriminator(4, 5)(torch.rand(3, 3, 128, 128)).shape == (3, 1, 1, 1)


def test_patch_discriminator_takes_three_channels_and_scores_patches():
    scores = PatchDiscriminator(4)(torch.rand(2, 3, 64, 64))
    assert scores.shape[:2] == (2, 1) and scores.shape[2] > 1


def test_labels_of_a_mixed_batch_meet_their_own_sample_only():
    scores = torch.tensor([0.9, 0.2, 0.8]).view(3, 1, 1, 1)
    labels = torch.tensor([1.0, 0.0, 1.0])
    expected = (0.1**2 + 0.2**2 + 0.2**2) / 3
    assert least_squares(scores, labels).item() == pytest.approx(expected)
    assert least_squares(scores.expand(3, 1, 4, 4), labels).item() == pytest.approx(expected)
    assert least_squares(scores, 1.0).item() == pytest.approx((0.1**2 + 0.8**2 + 0.2**2) / 3)


def test_discriminator_loss_leaves_the_generator_alone():
    discriminator = PatchDiscriminator(4)
    generated = torch.rand(2, 3, 32, 32, requires_grad=True)
    discriminator_loss(discriminator, torch.rand(2, 3, 32, 32), generated).backward()
    assert generated.grad is None
    assert all(parameter.grad is not None for parameter in discriminator.parameters())
