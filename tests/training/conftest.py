"""Confs so small that a run takes about a second."""

from __future__ import annotations

import pytest

from nsr.config.schema import (
    Config,
    DatasetConfig,
    EncodingConfig,
    ImplicitNetworkConfig,
    LossConfig,
    ModelConfig,
    PlotConfig,
    RayTracerConfig,
    RenderingNetworkConfig,
    TrainConfig,
)

HASH = dict(levels=4, features=2, log2_table=11, base_resolution=6, finest_resolution=32)
VIEWS = EncodingConfig("PosEnc", {"frequencies": 2})


def _hull_config() -> Config:
    return Config(
        train=TrainConfig(
            steps=30, num_pixels=128, pixels_anywhere=0.2, init="hull", hull_resolution=32, hull_fit_steps=8,
            learning_rate=2e-3, learning_rate_tables=1e-2, schedule="cosine", levels_open=0.5, gradient_clip=1.0,
            plot_freq=0, checkpoint_freq=0,
        ),
        dataset=DatasetConfig(),
        model=ModelConfig(
            feature_vector_size=4,
            implicit_network=ImplicitNetworkConfig(
                dims=[32, 32], skip_in=[], encoding=EncodingConfig("MultiResHash", HASH)
            ),
            rendering_network=RenderingNetworkConfig(
                dims=[32], view_encoding=VIEWS, position_encoding=EncodingConfig("MultiResHash", HASH)
            ),
            ray_tracer=RayTracerConfig(hull_margin=0.08, n_steps=16, n_closest=8, two_sided=False),
        ),
        loss=LossConfig(mask_weight=10.0, silhouette_weight=1.0),
        plot=PlotConfig(resolution=16),
    )  # fmt: skip


def _sphere_config() -> Config:
    return Config(
        train=TrainConfig(
            steps=30, num_pixels=64, learning_rate=1e-3, sched_milestones=[0.4], alpha_milestones=[0.3, 0.7],
            plot_freq=0, checkpoint_freq=0,
        ),
        model=ModelConfig(
            feature_vector_size=4,
            implicit_network=ImplicitNetworkConfig(
                dims=[64, 64, 64], skip_in=[2], encoding=EncodingConfig("PosEnc", {"frequencies": 3})
            ),
            rendering_network=RenderingNetworkConfig(dims=[32], view_encoding=VIEWS),
            ray_tracer=RayTracerConfig(n_steps=20, n_closest=10),
        ),
        plot=PlotConfig(resolution=16),
    )  # fmt: skip


@pytest.fixture
def hull_config() -> Config:
    """Hash grids from the visual hull, cosine rates: ``default.conf`` in small."""
    return _hull_config()


@pytest.fixture
def sphere_config() -> Config:
    """Positional encoding from a sphere, milestones: IDR in small."""
    return _sphere_config()


@pytest.fixture(params=[_hull_config, _sphere_config], ids=["hull", "sphere"])
def tiny_config(request) -> Config:
    """Either of them."""
    return request.param()
