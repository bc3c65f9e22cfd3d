"""From a conf's ``model`` section to a renderer."""

from __future__ import annotations

from nsr.config.schema import ModelConfig
from nsr.fields.background import BackgroundField
from nsr.fields.encoding import make_encoding
from nsr.fields.radiance import RadianceField
from nsr.fields.sdf import SDFField
from nsr.rendering.ray_tracing import RayTracer
from nsr.rendering.surface import SurfaceRenderer


def build_renderer(config: ModelConfig, background: bool = False) -> SurfaceRenderer:
    """Fields with fresh parameters (from torch's global generator) and their renderer, on the CPU.

    Args:
        config: what to build.
        background: with a field for what lies outside the bounding sphere, for runs without masks.

    Raises:
        ConfigError: an unknown encoding, mode or impossible layer.
    """
    implicit, rendering = config.implicit_network, config.rendering_network
    sdf = SDFField(make_encoding(implicit.encoding), implicit, config.feature_vector_size)
    position_encoding = make_encoding(rendering.position_encoding) if rendering.position_encoding else None
    radiance = RadianceField(
        rendering, config.feature_vector_size, make_encoding(rendering.view_encoding), position_encoding
    )
    outside = BackgroundField(config.background) if background else None
    return SurfaceRenderer(sdf, radiance, RayTracer(config.ray_tracer), outside)
