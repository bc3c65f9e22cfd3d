"""The whole search for a surface along rays in one operator: bounds, encoding, network, march, samples and root.

Of two bodies, plain PyTorch is ``nsr.rendering.ray_tracing.RayTracer``, where the stages are explained; this is the
compiled one.  They agree within 1e-5 in depth, but for rays whose way depends on the last bits of a value.
"""

from __future__ import annotations

import functools

import torch

from nsr.config.schema import RayTracerConfig
from nsr.errors import NsrError
from nsr.ops import backend
from nsr.ops.grid_network import GridNetwork


@torch.no_grad()
def sphere_trace(
    network: GridNetwork,
    origins: torch.Tensor,
    directions: torch.Tensor,
    config: RayTracerConfig,
    object_mask: torch.Tensor | None = None,
    fractions: torch.Tensor | None = None,
    hull: torch.Tensor | None = None,
    margin: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Trace rays by the compiled operator of ``csrc/sphere_trace``.

    Not differentiable.  Results do not depend on the number of threads, nor on which rays are traced together.  A
    ray whose origin or direction is NaN misses, at depth NaN.

    Args:
        network: the field.
        origins, directions: ``[N, 3]`` float32 in the normalised frame, directions of unit length.
        config: thresholds and counts.
        object_mask: ``[N]`` bool when training; see ``RayTracer.trace``.
        fractions: ``[N, config.n_closest]`` in [0, 1), with ``object_mask``: where in its part of the ray each of
            the samples lies that a missing ray's smallest value is looked for among.
        hull: ``[A, B, C]`` float16, signed values over [-1, 1]^3; None: rays are searched in the bounding sphere.
        margin: what the hull is grown by.

    Returns:
        depth ``[N]``, hit ``[N]`` bool, inside bounds ``[N]`` bool, as in ``nsr.rendering.ray_tracing.Trace``.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together.
        NsrError: the operator is not compiled here, or does not serve this network (``GridNetwork.native_limits``).
    """
    _check(network, origins, directions, config, object_mask, fractions, hull)
    limits = network.native_limits(origins)
    if not backend.runs_native("sphere_trace", origins.device, limits):
        reason = limits or f"it is not compiled for {origins.device.type}, or NSR_BACKEND forbids it"
        raise NsrError(f"sphere_trace cannot run: {reason}; trace with nsr.rendering.ray_tracing.RayTracer")
    if object_mask is None:
        object_mask = torch.empty(0, 0, dtype=torch.bool, device=origins.device)
        fractions = origins.new_empty(0)
    if hull is None:
        hull = origins.new_empty(0, dtype=torch.float16)
    rays = (origins.contiguous(), directions.contiguous(), object_mask.contiguous(), fractions.contiguous())
    settings = _settings(
        config.object_bounding_sphere, config.sdf_threshold, 1 - config.line_search_step, config.line_step_iters,
        config.sphere_tracing_iters, config.two_sided, config.n_steps, config.n_secant_steps, config.n_closest, margin,
    )
    return torch.ops.nsr.sphere_trace(*rays, hull.contiguous(), *network.native_arguments(), settings)


@functools.lru_cache(maxsize=64)
def _settings(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def _check(network, origins, directions, config, object_mask, fractions, hull) -> None:
    count = len(origins)
    wanted = {"origins": (origins, (count, 3)), "directions": (directions, (count, 3))}
    if (object_mask is None) != (fractions is None):
        raise ValueError("object_mask and fractions come together: the closest samples are for training")
    if object_mask is not None:
        wanted |= {"object_mask": (object_mask, (count,)), "fractions": (fractions, (count, config.n_closest))}
    for name, (tensor, shape) in wanted.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} must be {list(shape)}, got {list(tensor.shape)}")
        dtype = torch.bool if name == "object_mask" else torch.float32
        if tensor.dtype != dtype:
            raise ValueError(f"{name} must be {dtype}, got {tensor.dtype}")
        if tensor.device != network.table.device:
            raise ValueError(f"{name} is on {tensor.device}, the network is on {network.table.device}")
    if hull is not None and (hull.dim() != 3 or hull.dtype != torch.float16 or hull.device != network.table.device):
        raise ValueError(
            f"the hull must be float16 [A, B, C] on {network.table.device}, got {hull.dtype} {list(hull.shape)} on "
            f"{hull.device}"
        )
