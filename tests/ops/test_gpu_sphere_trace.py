"""The tracer and the field on a GPU, against the operators of the CPU.  Skipped where torch sees no GPU."""

import dataclasses

import pytest
import torch

from nsr.config.schema import RayTracerConfig
from nsr.ops import backend
from nsr.ops.field_value import field_value
from nsr.ops.grid_layout import GridLayout
from nsr.ops.sphere_trace import sphere_trace

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
    pytest.mark.usefixtures("native"),
]

NETWORKS = {
    "as trained": dict(layout=GridLayout(10, 2, 17, 16, 512), dims=(64, 64)),
    "one feature": dict(layout=GridLayout(4, 1, 8, 3, 40, "linear", "tiled"), dims=(16,)),
    "half": dict(layout=GridLayout(3, 8, 9, 5, 20, "smoothstep"), dims=(20, 32, 9), table_dtype=torch.float16),
}


def on_gpu(network):
    move = {"table": network.table.cuda(), "level_weights": network.level_weights.cuda()}
    for name in ("weights", "biases"):
        move[name] = tuple(tensor.cuda() for tensor in getattr(network, name))
    return dataclasses.replace(network, **move)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gpu_gives_what_the_cpu_gives(random_network, random_rays, name):
    assert backend.runs_native("sphere_trace", torch.device("cuda")), backend.resolve().steps
    network, rays = random_network(**NETWORKS[name]), random_rays(20_000)
    there = on_gpu(network)
    values = field_value(network, rays[0])
    assert (field_value(there, rays[0].cuda()).cpu() - values).abs().max() <= 4e-6 * values.abs().max()
    training = (torch.arange(20_000) % 3 != 0, torch.rand(20_000, 20))
    hull = (torch.linspace(-1, 1, 20).abs().view(-1, 1, 1).expand(20, 20, 20).half() - 0.6, 0.05)
    for two_sided in (True, False):
        config = RayTracerConfig(two_sided=two_sided, n_steps=30, n_closest=20)
        wanted = sphere_trace(network, *rays, config, *training, *hull)
        got = sphere_trace(
            there, *(t.cuda() for t in rays), config, *(t.cuda() for t in training), hull[0].cuda(), hull[1]
        )
        depth, hit, meets = (t.cpu() for t in got)
        assert (meets != wanted[2]).float().mean() < 1e-3
        assert (hit != wanted[1]).float().mean() < 1e-3
        assert ((depth - wanted[0]).abs() > 1e-5).float().mean() < 1e-2


def test_no_rays_and_many(random_network, random_rays):
    network, config = on_gpu(random_network()), RayTracerConfig(n_steps=10, sphere_tracing_iters=4)
    for count in (0, 1, 500_000):
        depth, hit, _ = sphere_trace(network, *(t.cuda() for t in random_rays(count)), config)
        assert depth.shape == hit.shape == (count,) and depth.isfinite().all()
