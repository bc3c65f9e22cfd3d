"""Terms that hold the fine levels: against closed forms and finite differences."""

import pytest
import torch

from nsr.config.schema import Config, EncodingConfig, ImplicitNetworkConfig
from nsr.errors import ConfigError
from nsr.fields.encoding import make_encoding
from nsr.fields.hash_grid import MultiResolutionHashGrid
from nsr.fields.sdf import SDFField
from nsr.training.fine_levels import stencil
from nsr.training.losses import LossInputs, make_loss_terms
from nsr.training.trainer import Trainer

CPU = torch.device("cpu")
GRID = EncodingConfig("MultiResHash", dict(levels=3, log2_table=7, base_resolution=4, finest_resolution=11))


class Sphere:
    """The exact distance to a sphere, whose Laplacian is 2 / r."""

    def value(self, x):
        return x.norm(dim=1) - 0.6


def test_differences_of_a_sphere():
    points = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=1) * 0.6
    found = stencil(Sphere(), points, 1e-3)
    torch.testing.assert_close(found.gradient, points / 0.6, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.laplacian, torch.full((50,), 2 / 0.6, dtype=torch.float64), rtol=1e-5, atol=0)


def make_field(amplitude=0.1):
    torch.manual_seed(0)
    config = ImplicitNetworkConfig(dims=[8, 8], skip_in=[], encoding=GRID, weight_norm=False, softplus_beta=5.0)
    field = SDFField(make_encoding(GRID), config, 0).double()
    with torch.no_grad():
        field.lin0.weight[:, 3:] = 0.3 * torch.randn(8, 6)
        field.encoding.table.uniform_(-amplitude, amplitude)
    return field


class Seen:
    """A rendering as these terms see it."""

    def __init__(self, count, shaded):
        self.points = torch.rand(count, 3, dtype=torch.float64) - 0.5
        self.surface = torch.arange(0, count, 2)[:shaded]
        self.sdf = torch.zeros(count, dtype=torch.float64, requires_grad=True)


def inputs_of(field, shaded=9, points=5, step=0.07):
    return LossInputs(Seen(20, shaded), None, 50.0, None, field, torch.rand(6, 3).double() - 0.5, step, points)


def term_of(name, **options):
    config = Config()
    for key, value in options.items():
        setattr(config.loss, key, value)
    return {term.name: term for term in make_loss_terms(config)}[name]


TERMS = [
    ("curvature", {"curvature_weight": 0.5}),
    ("total_variation", {"total_variation_weight": 2.0}),
    ("level_decay", {"level_decay_weight": 3.0}),
    ("eikonal", {"numerical_eikonal": True}),
]


@pytest.mark.parametrize(("name", "options"), TERMS)
def test_gradients_are_finite_differences_of_the_term(name, options):
    field = make_field()
    inputs, function = inputs_of(field), term_of(name, **options).function
    loss = function(inputs)
    assert loss > 0 and loss.dim() == 0
    parameters = [field.encoding.table]
    if name in ("curvature", "eikonal"):
        parameters += [field.lin0.weight, field.lin1.bias]
    for parameter, own in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        places = own.abs().flatten().topk(3).indices
        assert own.flatten()[places].abs().min() > 0
        for place in places.tolist():
            ends, step = [], 1e-6
            for sign in (1, -1):
                with torch.no_grad():
                    parameter.view(-1)[place] += sign * step
                    ends.append(function(inputs))
                    parameter.view(-1)[place] -= sign * step
            expected = (ends[0] - ends[1]) / (2 * step)
            torch.testing.assert_close(own.flatten()[place], expected.detach(), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(("name", "options"), TERMS[:3])
def test_only_so_many_shaded_points_are_looked_at_and_none_is_fine(name, options):
    field = make_field()
    inputs, term = inputs_of(field), term_of(name, **options)
    few = term.function(inputs)
    rest = inputs.rendering.surface[5:]
    inputs.rendering.points[rest] += 0.1
    assert torch.equal(term.function(inputs), few)
    inputs.rendering.surface = inputs.rendering.surface[:0]
    nothing = term.function(inputs)
    nothing.backward()
    assert nothing == 0 and not inputs.rendering.sdf.grad.any()


def test_the_numerical_eikonal_term_looks_at_shaded_and_free_points():
    field = make_field()
    inputs = inputs_of(field)
    points = torch.cat([inputs.rendering.points[inputs.rendering.surface[:5]], inputs.free_points[:5]])
    moves = 0.07 * torch.eye(3, dtype=torch.float64)
    slopes = [(field.value(points + move) - field.value(points - move)) / 0.14 for move in moves]
    expected = ((torch.stack(slopes, dim=1).norm(dim=1) - 1) ** 2).mean()
    torch.testing.assert_close(term_of("eikonal", numerical_eikonal=True).function(inputs), expected)


def test_weights_fall_along_a_cosine():
    term = term_of("curvature", curvature_weight=0.5, curvature_final=0.2)
    assert [term.weight(at) for at in (0.0, 0.5, 1.0)] == pytest.approx([0.5, 0.3, 0.1])
    assert term_of("level_decay", level_decay_weight=3.0).weight(1.0) == 3.0


def test_a_constant_table_decays_by_its_square_finer_levels_more():
    grid = MultiResolutionHashGrid(**GRID.options)
    with torch.no_grad():
        grid.table.fill_(0.3)
    resolutions = torch.tensor(grid.layout.resolutions, dtype=torch.float32)
    expected = 0.09 * (resolutions / resolutions[-1]).mean()
    torch.testing.assert_close(grid.level_decay(torch.rand(40, 3) - 0.5), expected)
    with torch.no_grad():
        grid.table.zero_()
        grid.table[grid.layout.offsets[2] :] = 0.3
    torch.testing.assert_close(grid.level_decay(torch.rand(40, 3) - 0.5), torch.tensor(0.03))


def test_the_open_cell_shrinks_from_the_coarsest_levels_to_the_finests():
    grid = MultiResolutionHashGrid(levels=5, base_resolution=16, finest_resolution=256, bound=1.5)
    cells = []
    for progress in (0.0, 0.25, 0.3, 1.0):
        grid.set_progress(progress)
        cells.append(grid.open_cell())
    assert (
        cells[0] == pytest.approx(3 / 15) and cells[1] == pytest.approx(3 / 31) and cells[3] == pytest.approx(3 / 255)
    )
    assert cells[1] > cells[2] > 3 / 63
    assert MultiResolutionHashGrid(levels=1, base_resolution=1, finest_resolution=1).open_cell() == 2.0


def test_without_weights_nothing_of_them_is_there():
    assert set(term.name for term in make_loss_terms(Config())) == {"rgb", "eikonal", "mask"}


@pytest.mark.parametrize(
    "key", ["total_variation_weight", "level_decay_weight", "curvature_weight", "numerical_eikonal"]
)
def test_fields_without_levels_are_refused(sphere_config, sphere_scene, key):
    sphere_config.model.implicit_network.encoding = EncodingConfig("PosEnc", {"frequencies": 2})
    setattr(sphere_config.loss, key, 1.0)
    with pytest.raises(ConfigError, match="needs the levels of MultiResHash .* which is PosEnc"):
        Trainer(sphere_config, sphere_scene, CPU)


def test_a_run_with_all_of_them_goes_on_and_logs_them(sphere_config, sphere_scene):
    sphere_config.model.implicit_network.encoding = GRID
    loss = sphere_config.loss
    loss.curvature_weight = loss.total_variation_weight = loss.level_decay_weight = 1e-3
    loss.numerical_eikonal = True
    trainer = Trainer(sphere_config, sphere_scene, CPU)
    for _ in range(2):
        losses = trainer.step()
    assert {"curvature", "total_variation", "level_decay", "eikonal"} < losses.keys()
    assert all(torch.isfinite(value) for value in losses.values())
