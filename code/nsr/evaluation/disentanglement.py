"""The geometry of one run in the appearance of another (IDR, section 4.3)."""

from __future__ import annotations

import math

import torch
import trimesh

from nsr.config.schema import RenderingNetworkConfig
from nsr.errors import NsrError
from nsr.fields.radiance import ColourField
from nsr.meshing.extraction import extract_mesh
from nsr.rendering.model import make_radiance
from nsr.rendering.surface import SurfaceRenderer

ADAPTATION_STEPS = 300
_BATCH = 4096
_LEARNING_RATE = 5e-3
_LOCATING_RESOLUTION = 64  # of the mesh on which an appearance is looked at, if there is one


def swap_problem(geometry: SurfaceRenderer, appearance: SurfaceRenderer) -> str | None:
    """Why a radiance field cannot be put on another run's surface as it is; None where it can."""
    radiance = appearance.radiance
    if radiance.position_encoding is not None:
        return (
            "the appearance's radiance field looks positions up in an encoding of its own, which knows colours on its "
            "own surface alone; adapt it, or train it without rendering_network.position_encoding"
        )
    features = feature_size(geometry)
    if radiance.feature_size not in (0, features):
        return (
            f"the geometry's network gives {features} features and the appearance's radiance field takes "
            f"{radiance.feature_size}; adapt it, or train both with one model.feature_vector_size"
        )
    return None


def feature_size(renderer: SurfaceRenderer) -> int:
    """Width of the features that a renderer's SDF network gives."""
    device = next(renderer.sdf.parameters()).device
    with torch.no_grad():
        return renderer.sdf.geometry(torch.zeros(1, 3, device=device))[2].shape[1]


def located_surface(renderer: SurfaceRenderer) -> trimesh.Trimesh:
    """A coarse mesh of everything that a renderer shows, in its normalised frame.

    Raises:
        NsrError: it has no surface.
    """
    radius, device = renderer.tracer.config.object_bounding_sphere, next(renderer.sdf.parameters()).device
    return extract_mesh(renderer.value, _LOCATING_RESOLUTION, radius, largest_only=False, device=device)


def swapped_renderer(geometry: SurfaceRenderer, radiance: ColourField) -> SurfaceRenderer:
    """The surface of ``geometry`` (its bounds included), shaded by ``radiance``; parameters are shared, not copied."""
    swapped = SurfaceRenderer(geometry.sdf, radiance, geometry.tracer)
    swapped.bounds = geometry.bounds
    return swapped


def swap(geometry: SurfaceRenderer, appearance: SurfaceRenderer) -> SurfaceRenderer:
    """Put the radiance field of ``appearance`` on the surface of ``geometry``.

    Points, normals and features then come from the geometry's network, each in its own run's normalised frame.

    Raises:
        NsrError: it cannot be put there as it is; the message is ``swap_problem``'s.
    """
    problem = swap_problem(geometry, appearance)
    if problem:
        raise NsrError(f"this appearance cannot be swapped in: {problem}")
    return swapped_renderer(geometry, appearance.radiance)


def adapted_radiance(
    appearance: SurfaceRenderer,
    network: RenderingNetworkConfig,
    view_encoding: torch.nn.Module | None,
    *,
    steps: int = ADAPTATION_STEPS,
    seed: int = 0,
) -> tuple[ColourField, float]:
    """A radiance field that any surface can wear: one of point, direction and normal alone, taught by ``appearance``.

    It is shown the colours of the appearance's own surface from random directions, and takes neither features nor an
    encoding of positions, so that all it knows is smooth in space.  What it cannot say in these terms (fine texture)
    it leaves out.

    Args:
        appearance: the teacher, unchanged.
        network: mode and widths of the new field; view_encoding: a fresh one for it.
        steps: of Adam with a cosine schedule, 4,096 points each; seed: of everything random.

    Returns:
        the field on the appearance's device, and the mean absolute colour error of its last steps in [0, 1].

    Raises:
        NsrError: the appearance has no surface to look at, or ``steps`` is not above zero.
    """
    if steps < 1:
        raise NsrError(f"adaptation needs at least one step, not {steps}")
    device = next(appearance.sdf.parameters()).device
    mesh = located_surface(appearance)
    points = torch.from_numpy(trimesh.sample.sample_surface(mesh, 8 * _BATCH, seed=seed)[0]).float().to(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        field = make_radiance(network, 0, view_encoding).to(device)
        optimiser = torch.optim.Adam(field.parameters(), lr=_LEARNING_RATE)
        errors = []
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = _LEARNING_RATE * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
            x = points[torch.randint(len(points), (_BATCH,), device=device)]
            with torch.no_grad():
                value, gradient, feature = appearance.sdf.geometry(x)
                direction = _towards(gradient)
                target = appearance.radiance(x, direction, gradient, feature)
            error = (field(x, direction, gradient, feature) - target).abs().mean()
            optimiser.zero_grad(set_to_none=True)
            error.backward()
            optimiser.step()
            errors.append(error.detach())
    return field, float(torch.stack(errors[-10:]).mean()) / 2


def _towards(normals: torch.Tensor) -> torch.Tensor:
    """Random unit directions that meet surfaces with these normals from outside."""
    directions = torch.nn.functional.normalize(torch.randn_like(normals), dim=1)
    return torch.where((directions * normals).sum(1, keepdim=True) > 0, -directions, directions)
