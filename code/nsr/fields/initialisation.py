"""Where an SDF field starts: on a sphere, or on any other known distance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from nsr.fields.encoding import Encoding
from nsr.fields.sdf import SDFField


def fit_distance(
    field: SDFField,
    distance: Callable[[torch.Tensor], torch.Tensor],
    surface_points: torch.Tensor,
    steps: int,
    batch: int = 4096,
    learning_rate: float = 2e-3,
    table_rate: float = 1e-2,
    spread: float = 0.1,
) -> float:
    """Fit a field to a known signed distance by a short supervised run.

    Args:
        field: is changed in place.
        distance: maps ``[N, 3]`` points of the normalised frame to signed distances ``[N]``.
        surface_points: ``[M, 3]`` points on the surface, near which two thirds of the samples are drawn.
        steps, batch, learning_rate, table_rate: of Adam; both rates decay by a cosine.
        spread: standard deviation of the samples about the surface points.

    Returns:
        the mean absolute error of the last step.
    """
    tables = {id(parameter) for parameter in field.table_parameters()}
    groups = [
        {"params": [p for p in field.parameters() if id(p) not in tables], "lr": learning_rate},
        {"params": [p for p in field.parameters() if id(p) in tables], "lr": table_rate},
    ]
    optimiser = torch.optim.Adam([group for group in groups if group["params"]], eps=1e-15, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1), eta_min=learning_rate * 0.05)
    device = surface_points.device
    error = torch.zeros(())
    for _ in range(steps):
        near = surface_points[torch.randint(len(surface_points), (batch * 2 // 3,), device=device)]
        near = near + spread * torch.randn_like(near)
        anywhere = torch.rand(batch - len(near), 3, device=device) * 2 - 1
        points = torch.cat([near, anywhere])
        with torch.no_grad():
            target = distance(points)
        optimiser.zero_grad(set_to_none=True)
        error = (field.value(points) - target).abs().mean()
        error.backward()
        optimiser.step()
        schedule.step()
    return float(error.detach())


def initialise_sphere(field: SDFField, radius: float, tolerance: float = 0.045, max_rounds: int = 40) -> float:
    """Make the zero set a sphere about the origin.

    The geometric initialisation is a sphere only in the limit of wide layers (IDR's own networks start at 0.41 to
    0.49 where 0.6 is asked for).  Its last layer is first solved for by ridge regression, which keeps it near the
    initialisation; should any direction still be off by more than ``tolerance`` of the radius (narrow layers, a
    clamp), a short fit of all layers follows in rounds.  A geometric initialisation looks at x alone, and so does
    the whole fit: the encoding stays out of it, whatever frequencies it has, and costs nothing.

    Args:
        field: is changed in place; radius: wanted, in the normalised frame.

    Returns:
        the largest relative deviation of the zero set over directions.
    """
    device = next(field.parameters()).device
    directions = torch.nn.functional.normalize(torch.randn(2048, 3, device=device), dim=1)

    def distance(points):
        return points.norm(dim=1) - radius

    with _position_alone(field):
        return _fit_sphere(field, radius, distance, directions, tolerance, max_rounds)


def _fit_sphere(field, radius, distance, directions, tolerance, max_rounds) -> float:
    device = directions.device
    if field.clamp is None:
        near = directions * (radius + 0.1 * torch.randn(2048, 1, device=device))
        anywhere = torch.rand(1024, 3, device=device) * 2 - 1
        points = torch.cat([near, anywhere, anywhere / 3])
        field.solve_last_layer(points, distance(points))
    deviation = sphere_deviation(field, radius, directions)
    for _ in range(max_rounds):
        if deviation <= tolerance:
            break
        fit_distance(field, distance, directions * radius, steps=25, batch=1024, learning_rate=5e-4, table_rate=1e-3)
        deviation = sphere_deviation(field, radius, directions)
    return deviation


class _PositionAlone(Encoding):
    """x, and zeros in place of an encoding's other channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.input_dim, self.channels = 3, channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(x, (0, self.channels - 3))


@contextmanager
def _position_alone(field: SDFField) -> Iterator[None]:
    """Take the encoding out of a field whose layers have no weight for it: the same function, and it stays so."""
    encoding = field.encoding
    if field.uses_encoding():
        yield
        return
    field.encoding = _PositionAlone(encoding.channels)
    try:
        yield
    finally:
        field.encoding = encoding


def sphere_deviation(field: SDFField, radius: float, directions: torch.Tensor) -> float:
    """Largest |r - radius| / radius of the zero set along unit directions ``[N, 3]`` from the origin.

    1.0 where a direction does not go from inside to outside within the unit sphere.
    """
    with torch.no_grad():
        low, high = torch.zeros(len(directions), 1).to(directions), torch.ones(len(directions), 1).to(directions)
        if (field.value(directions * low) >= 0).any() or (field.value(directions * high) <= 0).any():
            return 1.0
        for _ in range(20):
            middle = (low + high) / 2
            outside = (field.value(directions * middle) > 0).unsqueeze(1)
            low, high = torch.where(outside, low, middle), torch.where(outside, middle, high)
        return float(((low + high) / 2 - radius).abs().max() / radius)
