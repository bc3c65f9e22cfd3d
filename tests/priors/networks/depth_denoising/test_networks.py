"""The networks are the originals at full width, and take any multiple of 16."""

import pytest
import torch
from nsr.priors.networks.depth_denoising.networks import FULL_WIDTHS, NETWORKS, Discriminator


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def convolution(size, before, after):
    return size * size * before * after + after


def test_the_unet_has_the_originals_parameters():
    widths = [64, 128, 256, 512, 1024]
    expected = 0
    for before, after in zip([2, *widths], widths):
        expected += convolution(3, before, after) + convolution(3, after, after)
    for after in widths[:-1]:
        expected += convolution(2, 2 * after, after) + convolution(3, 2 * after, after) + convolution(3, after, after)
    expected += convolution(3, 64, 2) + convolution(1, 2, 2)
    assert parameters(NETWORKS["unet"](2, 2, 64)) == expected
    assert round(expected / 1e6, 1) == 31.0


def test_the_conventional_network_has_the_originals_parameters():
    chain = [2, 64, 32, 16, 4, 4, 16, 32, 64, 2]
    expected = sum(convolution(5, before, after) for before, after in zip(chain, chain[1:]))
    assert parameters(NETWORKS["conv"](2, 2, 64)) == expected == 138_234


def test_the_generator_has_the_levels_of_the_original():
    network = NETWORKS["gan"](2, 2, FULL_WIDTHS["gan"])
    assert [block[0].out_channels for block in network.down] == [32, 64, 128, 256]
    assert all(block[0].kernel_size == (4, 4) and block[0].stride == (2, 2) for block in network.down)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(32, 48), (80, 64)])
def test_sizes_come_back(name, size):
    assert NETWORKS[name](5, 3, 4)(torch.rand(2, 5, *size)).shape == (2, 3, *size)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_learns(name):
    torch.manual_seed(0)
    network = NETWORKS[name](2, 2, 8)
    (network(torch.rand(2, 2, 64, 64)) - 1).square().sum().backward()
    still = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert not still


def test_the_discriminator_judges_patches():
    verdict = Discriminator(2, 8)(torch.rand(3, 2, 64, 64))
    assert verdict.shape == (3, 1, 8, 8)


def test_dropout_drops():
    network = NETWORKS["unet"](2, 2, 4, drop=0.5)
    maps = torch.rand(1, 2, 32, 32)
    assert not torch.equal(network(maps), network(maps))
    network.eval()
    assert torch.equal(network(maps), network(maps))
