"""The SDF field: sizes, its closed-form gradient against autograd, and its clamp."""

import pytest
import torch

import nsr.rendering.model  # noqa: F401  (registers every encoding)
from nsr.config.schema import EncodingConfig, ImplicitNetworkConfig, ModelConfig
from nsr.errors import ConfigError
from nsr.fields.clamp import LaplaceClamp
from nsr.fields.encoding import make_encoding
from nsr.fields.sdf import SDFField
from nsr.rendering.model import build_renderer

POSENC = EncodingConfig("PosEnc", {"frequencies": 3})
HASH = EncodingConfig(
    "MultiResHash", dict(levels=3, log2_table=8, base_resolution=4, finest_resolution=12, amplitude=0.1)
)


def make_field(encoding=POSENC, dims=(32, 40, 32), skip_in=(2,), feature_size=3, seed=0, **options):
    torch.manual_seed(seed)
    config = ImplicitNetworkConfig(dims=list(dims), skip_in=list(skip_in), encoding=encoding, **options)
    field = SDFField(make_encoding(encoding), config, feature_size)
    with torch.no_grad():  # away from the initialisation's zeros, so that every path carries something
        for parameter in field.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return field.double()


def points(count=30):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * 1.8 - 0.9


VARIANTS = [
    dict(),
    dict(skip_in=()),
    dict(skip_in=(1, 3)),
    dict(weight_norm=False),
    dict(clamp=True),
    dict(encoding=HASH),
    dict(encoding=HASH, skip_in=(), clamp=True, weight_norm=False),
    dict(feature_size=0),
    dict(geometric_init=False),
]


def test_idrs_own_networks_have_idrs_number_of_parameters():
    renderer = build_renderer(ModelConfig())
    count = lambda module: sum(parameter.numel() for parameter in module.parameters())  # noqa: E731
    assert count(renderer.sdf) == 1_975_220
    assert count(renderer.radiance) == 940_038


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_value_and_gradient_are_those_of_autograd(variant):
    field = make_field(**variant)
    x = points().requires_grad_()
    value = field.value(x)
    expected = torch.autograd.grad(value.sum(), x)[0]
    sdf, gradient, feature = field.geometry(x)
    torch.testing.assert_close(sdf, value, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-8)
    assert feature.shape == (30, variant.get("feature_size", 3))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_an_eikonal_loss_has_the_parameter_gradients_of_a_double_backward(variant):
    field = make_field(**variant)
    x = points().requires_grad_()
    own = (field.geometry(x)[1].norm(dim=1) - 1).square().sum()
    slope = torch.autograd.grad(field.value(x).sum(), x, create_graph=True)[0]
    reference = (slope.norm(dim=1) - 1).square().sum()
    names = [name for name, _ in field.named_parameters()]
    grads = [
        torch.autograd.grad(loss, [x, *field.parameters()], allow_unused=True, materialize_grads=True)
        for loss in (own, reference)
    ]
    # torch's softplus is linear past beta x = 20, which is worth about exp(-20) beta in its second derivative.
    for name, a, b in zip(["x", *names], *grads):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")
    assert sum(float(grad.abs().sum()) for grad in grads[0]) > 0


def test_features_and_values_are_differentiable_in_the_parameters():
    field = make_field()
    sdf, gradient, feature = field.geometry(points())
    (sdf.sum() + gradient.sum() + feature.square().sum()).backward()
    for name, parameter in field.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_no_points_and_one_point():
    for encoding in (POSENC, HASH):
        field = make_field(encoding)
        for count in (0, 1):
            sdf, gradient, feature = field.geometry(points(count))
            assert (sdf.shape, gradient.shape, feature.shape) == ((count,), (count, 3), (count, 3))
            assert field.value(points(count)).shape == (count,)


def test_the_skip_reaches_the_layer_that_it_names():
    with_skip, without = make_field(skip_in=(2,)), make_field(skip_in=())
    inputs = with_skip.encoding.channels
    assert with_skip.lin1.weight.shape[0] == 40 - inputs and without.lin1.weight.shape[0] == 40
    with torch.no_grad():  # cut the path through the first layers: only the skip can carry x now
        with_skip.lin1.weight_g.zero_()
        without.lin1.weight_g.zero_()
    assert with_skip.geometry(points())[1].abs().max() > 0
    assert without.geometry(points())[1].abs().max() == 0


@pytest.mark.parametrize(
    ("skip_in", "message"),
    [([0], "skip_in names layer 0; there are layers 1 to 3"), ([9], "skip_in names layer 9"), ([1], "must exceed")],
)
def test_impossible_skips_are_refused(skip_in, message):
    with pytest.raises(ConfigError, match=message):
        make_field(dims=(16, 40, 32), skip_in=skip_in)


def test_the_clamps_slope_is_that_of_finite_differences():
    clamp = LaplaceClamp(0.3).double()
    sdf = torch.linspace(-1.5, 1.5, 61, dtype=torch.float64)
    sdf = sdf[sdf != 0]
    value, slope = clamp.with_slope(sdf)
    numeric = (clamp(sdf + 1e-6) - clamp(sdf - 1e-6)) / 2e-6
    torch.testing.assert_close(slope, numeric, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(value, clamp(sdf))
    assert (value.sign() == sdf.sign()).all() and (value.abs() < 1).all() and (slope > 0).all()


def test_the_clamp_is_the_laplace_densitys():
    beta = 0.3 + LaplaceClamp.minimum
    distribution = torch.distributions.Laplace(torch.zeros((), dtype=torch.float64), beta)
    sdf = torch.linspace(-1, 1, 21, dtype=torch.float64)
    expected = torch.tanh(sdf / (2 + distribution.cdf(-sdf) / beta))
    torch.testing.assert_close(LaplaceClamp(0.3).double()(sdf), expected, rtol=1e-6, atol=1e-8)


def test_the_clamps_scale_is_trained():
    field, step = make_field(clamp=True), 1e-6
    for loss in (lambda: field.value(points()).sum(), lambda: field.geometry(points())[1].square().sum()):
        grad = torch.autograd.grad(loss(), field.clamp.beta)[0]
        values = []
        for moved in (step, -step):
            with torch.no_grad():
                field.clamp.beta += moved
                values.append(loss())
                field.clamp.beta -= moved
        assert grad.abs() > 0
        torch.testing.assert_close(grad, (values[0] - values[1]) / (2 * step), rtol=1e-5, atol=1e-7)


def test_a_clamp_without_width_is_refused():
    with pytest.raises(ValueError, match="clamp_beta must be positive, got 0"):
        LaplaceClamp(0)
