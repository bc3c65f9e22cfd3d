"""The compiled search for the surface against the PyTorch tracer, on random fields that are anything but distances."""

import dataclasses
import itertools

import pytest
import torch

from nsr.config.schema import RayTracerConfig
from nsr.errors import NsrError
from nsr.ops.field_value import field_value_torch
from nsr.ops.grid_layout import GridLayout
from nsr.ops.sphere_trace import sphere_trace
from nsr.rendering.bounds import HullBounds, intersect_sphere
from nsr.rendering.ray_tracing import RayTracer


@pytest.fixture(autouse=True)
def compiled(native, monkeypatch):
    monkeypatch.setenv("NSR_BACKEND", "native")


@pytest.fixture(scope="module")
def hull():
    """A box with a dent, as signed values on a grid that is no cube."""
    x, y, z = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in (24, 30, 27)), indexing="ij")
    box = torch.stack([x.abs() - 0.7, y.abs() - 0.75, z.abs() - 0.6]).amax(0)
    dent = 0.35 - torch.stack([x - 0.7, y, z]).norm(dim=0)
    return HullBounds(torch.maximum(box, dent), 0.05)


def both(network, rays, config, bounds=intersect_sphere, mask=None, noise=0.0, seed=3):
    """The trace by PyTorch (its values moved by up to ``noise``) and by the compiled operator, same random depths."""

    def value(x):
        moves = (torch.rand(len(x), generator=torch.Generator().manual_seed(seed)) * 2 - 1) * noise
        return field_value_torch(network, x) + moves

    tracer, traces = RayTracer(config, bounds), []
    for description in (None, network):
        torch.manual_seed(0)
        traces.append(tracer.trace(value, *rays, mask, description))
    return traces


def same(a, b):
    return (a.hit == b.hit) & ((a.depth - b.depth).abs() <= 1e-5)


def check_equal(network, rays, config, bounds, mask, largest_share=0.02):
    """Equal but for rays whose way changes with the last bits of a value: few, and PyTorch's own change too."""
    wanted, got = both(network, rays, config, bounds, mask)
    assert torch.equal(wanted.inside_bounds, got.inside_bounds)
    differ = ~same(wanted, got)
    if differ.any():
        assert differ.float().mean() < largest_share
        unsure = torch.zeros_like(differ)
        for seed in range(40):
            if unsure[differ].all():
                break
            moved, _ = both(network, rays, config, bounds, mask, noise=3e-6, seed=seed)
            unsure |= ~same(wanted, moved) | same(moved, got)
        assert unsure[differ].all()
    return wanted


SETTINGS = list(itertools.product((True, False), (0, 3), (2, 12)))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("with_hull", [False, True])
@pytest.mark.parametrize(("two_sided", "line_steps", "iterations"), SETTINGS)
def test_rays_end_where_those_of_pytorch_do(
    random_network, random_rays, hull, two_sided, line_steps, iterations, with_hull, training
):
    config = RayTracerConfig(
        two_sided=two_sided, line_step_iters=line_steps, sphere_tracing_iters=iterations, n_steps=21, n_closest=9
    )
    seen = set()
    for seed, bumps in enumerate((0.1, 0.5, 1.5)):
        network = random_network(seed=seed, bumps=bumps)
        rays = random_rays(400, seed)
        mask = torch.arange(400) % 3 != 0 if training else None
        trace = check_equal(network, rays, config, hull if with_hull else intersect_sphere, mask)
        seen |= set(zip(trace.hit.tolist(), trace.inside_bounds.tolist(), strict=True))
    assert seen >= {(True, True), (False, True)}


@pytest.mark.parametrize(
    "settings",
    [
        dict(n_secant_steps=0), dict(n_secant_steps=1), dict(n_steps=2), dict(n_steps=3), dict(n_closest=1),
        dict(sphere_tracing_iters=0), dict(sphere_tracing_iters=1, line_step_iters=7), dict(line_search_step=0.9),
        dict(sdf_threshold=0.0), dict(sdf_threshold=0.05), dict(object_bounding_sphere=0.8),
    ],
    ids=str,
)  # fmt: skip
def test_extreme_settings(random_network, random_rays, hull, settings):
    config = RayTracerConfig(**{"n_steps": 20, "n_closest": 10, "sphere_tracing_iters": 5, **settings})
    network, rays = random_network(bumps=0.8), random_rays(300)
    for bounds in (intersect_sphere, hull):
        check_equal(network, rays, config, bounds, torch.arange(300) % 2 == 0, largest_share=0.05)


NETWORKS = [
    dict(layout=GridLayout(4, 1, 8, 3, 40, "linear", "tiled"), dims=(16,)),
    dict(layout=GridLayout(3, 4, 9, 5, 20, "smoothstep"), dims=(20, 48), bound=1.5),
    dict(layout=GridLayout(2, 8, 6, 2, 9), dims=(33, 64, 12), beta=10.0, table_dtype=torch.float16),
]


@pytest.mark.parametrize("options", NETWORKS, ids=["tiled", "smoothstep", "half"])
def test_every_kind_of_network(random_network, random_rays, options):
    for two_sided in (True, False):
        config = RayTracerConfig(two_sided=two_sided, n_steps=20, n_closest=10)
        check_equal(random_network(**options), random_rays(300), config, intersect_sphere, torch.arange(300) % 2 == 0)


def test_rays_from_inside_bounds_and_object_and_past_everything(random_network, hull):
    generator = torch.Generator().manual_seed(0)
    origins = torch.randn(300, 3, generator=generator) * torch.tensor([0.1, 0.7, 4.0]).repeat(100)[:, None]
    directions = torch.nn.functional.normalize(torch.randn(300, 3, generator=generator), dim=1)
    config = RayTracerConfig(n_steps=20, n_closest=10)
    for bounds, mask in itertools.product((intersect_sphere, hull), (None, torch.arange(300) % 2 == 0)):
        trace = check_equal(random_network(), (origins, directions), config, bounds, mask)
        assert trace.hit.any() and not trace.inside_bounds.all()


def test_rays_do_not_depend_on_each_other_nor_on_threads(random_network, random_rays, hull):
    network, rays, config = random_network(bumps=0.8), random_rays(1500), RayTracerConfig(n_steps=20, n_closest=10)
    mask, fractions = torch.arange(1500) % 3 != 0, torch.rand(1500, 10)

    def run(part):
        these = (t[part] for t in rays)
        return sphere_trace(network, *these, config, mask[part], fractions[part], *hull.field)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        whole = run(slice(None))
        torch.set_num_threads(2)
        again = run(slice(None))
        backwards = run(torch.arange(1499, -1, -1))
    finally:
        torch.set_num_threads(before)
    alone = [run(slice(i, i + 1)) for i in range(0, 1500, 50)]
    for result, other, turned, single in zip(whole, again, backwards, zip(*alone, strict=True), strict=True):
        assert torch.equal(result, other)
        assert torch.equal(result, turned.flip(0))
        assert torch.equal(result[::50], torch.cat(single))


@pytest.mark.parametrize("count", [0, 1, 2, 100_000])
def test_any_number_of_rays(random_network, random_rays, count):
    network, config = random_network(), RayTracerConfig(n_steps=10, sphere_tracing_iters=4)
    rays = random_rays(count)
    depth, hit, meets = sphere_trace(network, *rays, config)
    assert depth.shape == hit.shape == meets.shape == (count,)
    first = sphere_trace(network, *(t[:50] for t in rays), config)
    assert torch.equal(depth[:50], first[0]) and torch.equal(hit[:50], first[1])


def test_rays_that_are_not_numbers_miss(random_network, random_rays, hull):
    network, config = random_network(), RayTracerConfig(n_steps=10, n_closest=5)
    origins, directions = random_rays(200)
    origins[3, 1], directions[50, 0], origins[60] = float("nan"), float("nan"), float("inf")
    bad = torch.zeros(200, dtype=torch.bool)
    bad[[3, 50, 60]] = True
    for bounds in ((), hull.field):
        for training in ((None, None), (torch.ones(200, dtype=torch.bool), torch.rand(200, 5))):
            depth, hit, meets = sphere_trace(network, origins, directions, config, *training, *bounds)
            assert not hit[bad].any() and not meets[bad].any()
            assert depth[~bad].isfinite().all() and depth[[3, 50]].isnan().all()


def test_a_field_that_is_not_a_number_is_hit_nowhere(random_network, random_rays):
    network = random_network()
    broken = dataclasses.replace(network, biases=(*network.biases[:-1], torch.full((1,), float("nan"))))
    mask = torch.ones(100, dtype=torch.bool)
    wanted, got = both(broken, random_rays(100), RayTracerConfig(n_steps=10, n_closest=5), mask=mask)
    assert not got.hit.any() and not wanted.hit.any()
    assert (got.depth - wanted.depth).abs().max() <= 1e-6


def test_views_that_are_not_contiguous(random_network, random_rays):
    network, config = random_network(), RayTracerConfig(n_steps=10)
    origins, directions = random_rays(100)
    wanted = sphere_trace(network, origins, directions, config)
    got = sphere_trace(network, origins.T.contiguous().T, torch.cat([directions, directions], 1)[:, 3:], config)
    assert all(torch.equal(a, b) for a, b in zip(wanted, got, strict=True))


def test_wrong_arguments_are_refused(random_network, random_rays):
    network, config = random_network(), RayTracerConfig(n_closest=5)
    origins, directions = random_rays(10)
    mask, fractions = torch.ones(10, dtype=torch.bool), torch.rand(10, 5)
    wrong = [
        ((origins[:, :2], directions), r"origins must be \[10, 3\]"),
        ((origins, directions[:9]), r"directions must be \[10, 3\]"),
        ((origins.double(), directions), "origins must be torch.float32"),
        ((origins, directions.to("meta")), "directions is on meta"),
        ((origins, directions, config, mask), "come together"),
        ((origins, directions, config, mask, fractions[:, :4]), r"fractions must be \[10, 5\]"),
        ((origins, directions, config, mask.float(), fractions), "object_mask must be torch.bool"),
        ((origins, directions, config, None, None, torch.zeros(4, 4, 4)), "hull must be float16"),
    ]
    for arguments, message in wrong:
        arguments = arguments if len(arguments) > 2 else (*arguments, config)
        with pytest.raises(ValueError, match=message):
            sphere_trace(network, *arguments)


def test_the_operator_refuses_what_would_read_beyond_a_tensor(native, random_network, random_rays):
    origins, directions = random_rays(10)
    arguments = {
        "origins": origins, "directions": directions, "mask": torch.ones(10, dtype=torch.bool),
        "fractions": torch.rand(10, 5), "hull": torch.zeros(4, 4, 4, dtype=torch.float16),
    }  # fmt: skip
    network = random_network().native_arguments()
    settings = torch.tensor([1, 1e-4, 0.5, 3, 10, 1, 10, 8, 5, 0.1], dtype=torch.float64)
    native.sphere_trace(*arguments.values(), *network, settings)
    wrong = {
        "directions must": {"directions": directions[:9]},
        "mask must": {"mask": torch.ones(9, dtype=torch.bool)},
        "fractions must": {"fractions": torch.rand(10, 4)},
        "hull must": {"hull": torch.zeros(4, 4, dtype=torch.float16)},
        "origins must": {"origins": torch.rand(3, 10).T},
    }
    for message, change in wrong.items():
        with pytest.raises(RuntimeError, match=message.replace("origins must", "contiguous")):
            native.sphere_trace(*(arguments | change).values(), *network, settings)
    for index, value, message in ((6, 1, "2 samples"), (4, -1, "iterations"), (8, 1e9, "closest samples")):
        changed = settings.clone()
        changed[index] = value
        with pytest.raises(RuntimeError, match=message):
            native.sphere_trace(*arguments.values(), *network, changed)


def test_bounds_of_another_kind_run_in_pytorch_and_are_an_error_when_forced(random_network, random_rays, monkeypatch):
    network, rays = random_network(), random_rays(50)
    tracer = RayTracer(RayTracerConfig(n_steps=10), lambda *rays: intersect_sphere(*rays))
    value = lambda x: field_value_torch(network, x)  # noqa: E731
    with pytest.raises(NsrError, match="bounds other than"):
        tracer.trace(value, *rays, network=network)
    monkeypatch.delenv("NSR_BACKEND")
    assert torch.equal(tracer.trace(value, *rays, network=network).depth, tracer.trace(value, *rays).depth)
