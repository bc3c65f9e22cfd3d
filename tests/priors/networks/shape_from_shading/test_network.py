import pytest
import torch

from nsr.priors.networks.shape_from_shading.network import ResidualUNet


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_at_full_width_with_three_inputs_it_has_the_published_number_of_parameters():
    assert parameters(ResidualUNet()) == 538_129


@pytest.mark.parametrize("inputs", [1, 2])
def test_without_an_input_only_the_first_layer_shrinks(inputs):
    assert parameters(ResidualUNet()) - parameters(ResidualUNet(inputs)) == (3 - inputs) * 9 * 8


def test_it_takes_any_size_that_is_a_multiple_of_eight():
    network = ResidualUNet(2, width=4).eval()
    assert network(torch.zeros(2, 2, 24, 40)).shape == (2, 1, 24, 40)
    with pytest.raises(ValueError, match="multiples of 8, not 24 x 36"):
        network(torch.zeros(1, 2, 24, 36))


def test_its_output_has_no_bound_and_follows_every_input():
    torch.manual_seed(0)
    network = ResidualUNet(3, width=4).eval()
    with torch.no_grad():
        network.head.bias.fill_(7.0)
    maps = torch.randn(1, 3, 16, 16, requires_grad=True)
    output = network(maps)
    assert output.mean() > 3  # tanh would end at 1
    gradient = torch.autograd.grad(output[0, 0, 8, 8], maps)[0]
    assert (gradient.abs().amax(dim=(0, 2, 3)) > 0).all()


def test_dropout_drops_only_while_training():
    torch.manual_seed(0)
    network, maps = ResidualUNet(3, width=4, dropout=0.5), torch.randn(2, 3, 16, 16)
    network.eval()
    assert torch.equal(network(maps), network(maps))
    network.train()
    assert not torch.equal(network(maps), network(maps))
