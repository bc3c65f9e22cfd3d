"""From a conf's ``model`` section to a renderer."""

from __future__ import annotations

from nsr.config.schema import ModelConfig, RenderingNetworkConfig
from nsr.fields.background import BackgroundField
from nsr.fields.encoding import Encoding, make_encoding
from nsr.fields.radiance import SHADING_MODE, ColourField, RadianceField
from nsr.fields.sdf import SDFField
from nsr.fields.shading import ShadingField
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
    radiance = make_radiance(
        rendering, config.feature_vector_size, make_encoding(rendering.view_encoding), position_encoding
    )
    outside = BackgroundField(config.background) if background else None
    return SurfaceRenderer(sdf, radiance, RayTracer(config.ray_tracer), outside)


def make_radiance(
    config: RenderingNetworkConfig,
    feature_size: int,
    view_encoding: Encoding,
    position_encoding: Encoding | None = None,
) -> ColourField:
    """The field of colours of a conf's mode, with fresh parameters; arguments as of ``RadianceField``.

    Raises:
        ConfigError: an unknown mode.
    """
    field = ShadingField if config.mode == SHADING_MODE else RadianceField
    return field(config, feature_size, view_encoding, position_encoding)
