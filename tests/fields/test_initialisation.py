"""Fields start on the sphere that the conf asks for, with every encoding; and on any other distance."""

import pytest
import torch

import nsr.rendering.model  # noqa: F401  (registers every encoding)
from nsr.config.schema import EncodingConfig, ImplicitNetworkConfig
from nsr.fields.encoding import encoding_names, make_encoding
from nsr.fields.initialisation import fit_distance, initialise_sphere, sphere_deviation
from nsr.fields.sdf import SDFField


SMALL_BANK = {"levels": 4, "log2_table": 12, "width": 16, "outputs": 8}
OPTIONS = {"FFB": SMALL_BANK, "FFB_StyleMod": SMALL_BANK, "FFB_TCNN": SMALL_BANK}


def make_field(encoding, dims, skip_in, radius, **options):
    config = ImplicitNetworkConfig(dims=dims, skip_in=skip_in, encoding=encoding, bias=radius, **options)
    return SDFField(make_encoding(encoding), config, 4)


def directions(count=3000):
    generator = torch.Generator().manual_seed(77)
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)


def radii(field):
    """Where the field first becomes positive along rays from the origin, by dense sampling."""
    depths = torch.linspace(0, 1, 401)
    rays = torch.cat([directions(250), -directions(250)])  # opposite pairs: their mean tells a shift
    with torch.no_grad():
        values = field.value((rays[:, None] * depths[:, None]).reshape(-1, 3)).view(500, -1)
    assert (values[:, 0] < 0).all() and (values[:, -1] > 0).all()
    return depths[(values > 0).float().argmax(1)], rays


@pytest.mark.parametrize("radius", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", encoding_names())
def test_the_zero_set_is_the_sphere_asked_for(name, radius):
    torch.manual_seed(0)
    field = make_field(EncodingConfig(name, OPTIONS.get(name, {})), [64, 64], [], radius)
    told = initialise_sphere(field, radius)
    found, rays = radii(field)
    assert (found - radius).abs().max() <= 0.05 * radius + 1 / 400
    assert (found[:, None] * rays).mean(0).norm() < 0.05 * radius
    assert told <= 0.05


def test_idrs_network_starts_on_its_sphere():
    torch.manual_seed(1)
    config = ImplicitNetworkConfig()
    field = SDFField(make_encoding(config.encoding), config, 256)
    assert sphere_deviation(field, 0.6, directions(300)) > 0.1  # the closed form alone does not do
    initialise_sphere(field, 0.6)
    assert sphere_deviation(field, 0.6, directions(300)) <= 0.05


def test_a_clamped_field_starts_on_its_sphere_too():
    torch.manual_seed(0)
    field = make_field(EncodingConfig("PosEnc", {"frequencies": 2}), [48, 48], [], 0.5, clamp=True)
    assert initialise_sphere(field, 0.5) <= 0.05
    assert (radii(field)[0] - 0.5).abs().max() <= 0.05 * 0.5 + 1 / 400


def test_the_last_layer_is_solved_near_its_start():
    torch.manual_seed(0)
    field = make_field(EncodingConfig("PosEnc", {"frequencies": 2}), [64, 64], [], 0.6)
    others = {name: p.detach().clone() for name, p in field.named_parameters() if not name.startswith("lin2.")}
    features = field.geometry(directions(50))[2].detach()
    field.solve_last_layer(directions(500) * 0.6, torch.zeros(500))
    for name, parameter in field.named_parameters():
        if name in others:
            assert torch.equal(parameter, others[name]), name
    torch.testing.assert_close(field.geometry(directions(50))[2], features)


def test_the_deviation_is_measured_along_rays():
    class Ellipsoid:
        def value(self, x):
            return (x / torch.tensor([0.6, 0.6, 0.66])).norm(dim=1) - 1

    rays = torch.cat([directions(), torch.eye(3)])
    assert sphere_deviation(Ellipsoid(), 0.6, rays) == pytest.approx(0.1, abs=1e-4)

    class Empty:
        def value(self, x):
            return torch.ones(len(x))

    assert sphere_deviation(Empty(), 0.6, rays) == 1.0


def test_a_field_is_fitted_to_a_known_distance():
    torch.manual_seed(0)
    encoding = EncodingConfig("MultiResHash", dict(levels=4, log2_table=12, base_resolution=8, finest_resolution=32))
    field = make_field(encoding, [32, 32], [], 0.6)
    half = torch.tensor([0.5, 0.35, 0.6])

    def box(x):
        outside = (x.abs() - half).clamp_min(0).norm(dim=1)
        return outside + (x.abs() - half).amax(1).clamp_max(0)

    generator = torch.Generator().manual_seed(0)
    face = torch.rand(2000, 3, generator=generator) * 2 - 1
    axis = torch.randint(3, (2000, 1), generator=generator)
    surface = face.scatter(1, axis, face.gather(1, axis).sign()) * half
    points = torch.rand(2000, 3, generator=generator) * 2 - 1

    def error():
        return float((field.value(points) - box(points)).detach().abs().mean())

    before = error()
    told = fit_distance(field, box, surface, steps=80, batch=1024)
    assert error() < 0.15 * before and error() < 0.02
    assert told == pytest.approx(error(), abs=0.02)
