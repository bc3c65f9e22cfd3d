"""Values of grid networks: the compiled operator against PyTorch, and against the field that describes itself."""

import dataclasses

import pytest
import torch

from nsr.config.schema import EncodingConfig, ImplicitNetworkConfig
from nsr.errors import NsrError
from nsr.fields.encoding import make_encoding
from nsr.fields.sdf import SDFField
from nsr.ops.field_value import field_value, field_value_torch
from nsr.ops.grid_layout import GridLayout


@pytest.fixture(autouse=True)
def compiled(native, monkeypatch):
    monkeypatch.setenv("NSR_BACKEND", "native")


def points(count, seed=0):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) * 2.6 - 1.3


VARIANTS = {
    "one feature, tiled": dict(layout=GridLayout(4, 1, 8, 3, 40, "linear", "tiled"), dims=(16,)),
    "two features": dict(layout=GridLayout(10, 2, 12, 4, 200), dims=(64, 64)),
    "smoothstep": dict(layout=GridLayout(3, 4, 9, 5, 20, "smoothstep"), dims=(20, 48), bound=1.5),
    "eight features, deep": dict(layout=GridLayout(2, 8, 6, 2, 9), dims=(33, 7, 64, 12), beta=10.0),
    "widest": dict(layout=GridLayout(32, 8, 5, 2, 64), dims=(256,), beta=1.0),
    "half table": dict(table_dtype=torch.float16),
    "half table, one feature": dict(layout=GridLayout(4, 1, 8, 3, 40), table_dtype=torch.float16),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_values_are_those_of_pytorch(variant, random_network):
    for seed in range(3):
        network = random_network(seed=seed, **VARIANTS[variant])
        x = points(1001, seed)
        wanted = field_value_torch(network, x)
        # The widest sums cancel against the last bias.
        largest = wanted.abs().max().maximum(network.biases[-1].abs())
        assert (field_value(network, x) - wanted).abs().max() <= 2e-6 * largest


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 16, 17, 24, 25, 47, 48, 49, 97])
def test_any_number_of_points(count, random_network):
    network = random_network()
    x = points(200)
    assert torch.equal(field_value(network, x[:count]), field_value(network, x)[:count])
    assert field_value(network, x[:count]).shape == (count,)


@pytest.mark.parametrize("beta", [0.5, 1.0, 20.0, 100.0, 1000.0])
def test_softplus_is_exact_over_its_whole_range(beta, random_network):
    """A network of one neuron that hands x through: its value is softplus itself."""
    layout = GridLayout(1, 1, 4, 2, 2)
    weight = torch.zeros(1, 4)
    weight[0, 0] = 1
    network = dataclasses.replace(
        random_network(layout, (1,)), weights=(weight, torch.ones(1, 1)), biases=(torch.zeros(1), torch.zeros(1)),
        beta=beta,
    )
    x = torch.zeros(4001, 3)
    x[:, 0] = torch.linspace(-40, 40, 4001) / beta
    wanted = torch.nn.functional.softplus(x[:, 0].double(), beta=beta, threshold=50)
    assert (field_value(network, x).double() - wanted).abs().max() < 3e-7 * (1 + 40 / beta)


def test_closed_levels_are_left_out_wherever_they_are(random_network):
    network = random_network(bumps=1.0)
    x = points(500)
    for closed in ([4], [3, 4], [0, 1, 2, 3, 4], [1, 3]):
        level_weights = network.level_weights.clone()
        for level in closed:
            level_weights[2 * level : 2 * level + 2] = 0
        some = dataclasses.replace(network, level_weights=level_weights)
        wanted = field_value_torch(some, x)
        assert (field_value(some, x) - wanted).abs().max() <= 2e-6 * wanted.abs().max()
        assert (wanted - field_value_torch(network, x)).abs().max() > 1e-3


def test_nan_and_infinite_positions(random_network):
    network = random_network()
    x = points(40)
    x[3, 1], x[20, 0], x[21, 2] = float("nan"), float("inf"), -float("inf")
    values = field_value(network, x)
    assert values.isnan()[3] and not values[:3].isnan().any() and not values[4:20].isnan().any()
    assert torch.equal(values.isfinite(), field_value_torch(network, x).isfinite())


def test_a_transposed_view_is_read_right(random_network):
    network = random_network()
    x = points(100)
    assert torch.equal(field_value(network, x.T.contiguous().T), field_value(network, x))


def test_values_do_not_depend_on_threads(random_network):
    network, x = random_network(), points(5000)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = field_value(network, x)
        torch.set_num_threads(2)
        assert torch.equal(field_value(network, x), one)
    finally:
        torch.set_num_threads(before)


def test_wrong_positions_are_refused(random_network):
    network = random_network()
    for wrong in (torch.zeros(3), torch.zeros(5, 2), torch.zeros(2, 5, 3)):
        with pytest.raises(ValueError, match=r"positions must be \[N, 3\]"):
            field_value(network, wrong)
    with pytest.raises(ValueError, match="on meta, the network is on cpu"):
        field_value(network, torch.zeros(5, 3, device="meta"))


def test_what_is_not_compiled_is_an_error_when_forced_and_pytorch_else(monkeypatch, random_network):
    wide, narrow = random_network(dims=(300,)), random_network()
    double = dataclasses.replace(
        narrow, table=narrow.table.double(), level_weights=narrow.level_weights.double(),
        weights=tuple(w.double() for w in narrow.weights), biases=tuple(b.double() for b in narrow.biases),
    )
    for network, x, reason in ((wide, points(5), "hidden layers of 300"), (double, points(5).double(), "float64")):
        monkeypatch.setenv("NSR_BACKEND", "native")
        with pytest.raises(NsrError, match=reason):
            field_value(network, x)
        monkeypatch.delenv("NSR_BACKEND")
        wanted = field_value_torch(network, x)
        assert (field_value(network, x) - wanted).abs().max() <= 2e-6 * wanted.abs().max()


def test_the_operator_refuses_what_would_read_beyond_a_tensor(native, random_network):
    network, x = random_network(), points(10)
    table, levels, scales, level_weights, parameters, form = network.native_arguments()
    native.field_value(x, table, levels, scales, level_weights, parameters, form)
    wrong = {
        "level weights": (x, table, levels, scales, level_weights[1:], parameters, form),
        "parameters": (x, table, levels, scales, level_weights, parameters[:-1], form),
        "parameters must": (x, table, levels, scales, level_weights, parameters.double(), form),
        "does not lie in the table": (x, table[:-8], levels, scales, level_weights, parameters, form),
        "form": (x, table, levels, scales, level_weights, parameters, form[:4]),
        "width": (x, table, levels, scales, level_weights, parameters, form * torch.tensor([1, 1, 99, 1, 1])),
        "float32": (x.double(), table.double(), levels, scales, level_weights, parameters, form),
    }
    for message, arguments in wrong.items():
        with pytest.raises(RuntimeError, match=message):
            native.field_value(*arguments)


def make_field(name="MultiResHash", **network):
    options = dict(levels=4, log2_table=9, base_resolution=4, finest_resolution=30)
    config = ImplicitNetworkConfig(**{"dims": [32, 24], "skip_in": [], **network})
    encoding = EncodingConfig(name, options if name == "MultiResHash" else {})
    torch.manual_seed(0)
    field = SDFField(make_encoding(encoding), config, 5)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return field


@pytest.mark.parametrize("weight_norm", [True, False])
def test_a_field_describes_itself(weight_norm):
    field = make_field(weight_norm=weight_norm)
    x = points(300)
    for progress in (0.0, 0.4, 1.0):
        field.set_progress(progress)
        with_graph = field.value(x)
        assert with_graph.requires_grad
        with torch.no_grad():
            without = field.value(x)
        assert not without.requires_grad
        assert (with_graph - without).abs().max() <= 2e-6 * with_graph.abs().max()
        # The description's PyTorch body is what the field computes layer by layer, to the last bit.
        assert torch.equal(field_value_torch(field.grid_network(), x), with_graph)


def test_fields_of_another_shape_have_no_description():
    assert make_field().grid_network() is not None
    others = (make_field("PosEnc"), make_field(skip_in=[1], dims=[64, 64]), make_field(clamp=True), make_field(dims=[]))
    for other in others:
        assert other.grid_network() is None
        with torch.no_grad():
            assert other.value(points(3)).shape == (3,)
