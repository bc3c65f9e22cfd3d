"""The search for the surface along rays: sphere tracing, then sampling, then a bracketed root.

Yariv et al. 2020 (IDR), appendix A.2, with these differences: a step that crosses the surface and stays inside after
the line search is a bracket, and its root is searched for at once; a first sample that is already inside does not
wrap around to the last one; the root search shrinks its bracket from both ends (Illinois variant of regula falsi);
every ray draws its own random depths.

For a small network on a hash grid the whole search is one compiled operator, ``nsr.ops.sphere_trace``; what is
written here is what it computes.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch

from nsr.config.schema import RayTracerConfig
from nsr.ops import backend
from nsr.ops.grid_network import GridNetwork
from nsr.ops.sphere_trace import sphere_trace
from nsr.rendering.bounds import HullBounds, RayBounds, intersect_sphere

PATIENT_ITERATIONS = 48  # fewer leave holes along outlines, more change nothing that is seen

_LOGGER = logging.getLogger("nsr")

Value = Callable[[torch.Tensor], torch.Tensor]
Bounds = Callable[[torch.Tensor, torch.Tensor, float], RayBounds]


@dataclass
class Trace:
    """Where rays meet a surface.

    Attributes:
        depth: ``[N]`` distance along the ray: of the surface where it was hit, else of the sample with the smallest
            SDF (for rays that miss the bounds: of the point closest to them).
        hit: ``[N]`` bool.
        inside_bounds: ``[N]`` bool, whether the ray meets the bounds.
    """

    depth: torch.Tensor
    hit: torch.Tensor
    inside_bounds: torch.Tensor


@dataclass
class _March:
    """State of the rays after sphere tracing, all ``[N]``."""

    depth: torch.Tensor  # of the front end
    end: torch.Tensor  # of the back end
    converged: torch.Tensor
    crossed: torch.Tensor  # the front end jumped over the surface; ``outside`` and ``depth`` bracket it
    running: torch.Tensor
    outside: torch.Tensor  # the last depth outside the surface
    outside_value: torch.Tensor
    value: torch.Tensor


class RayTracer:
    """Finds the first intersection of rays with the zero set of a field, without gradients.

    On the CPU each stage evaluates only the rays that need it; on CUDA all rays go through every stage under masks,
    so that nothing in the loop waits for the device.

    Args:
        config: thresholds and counts.
        bounds: where rays are searched; the bounding sphere unless given.
    """

    def __init__(self, config: RayTracerConfig, bounds: Bounds = intersect_sphere):
        self.config = config
        self.bounds = bounds

    @torch.no_grad()
    def trace(
        self,
        value: Value,
        origins: torch.Tensor,
        directions: torch.Tensor,
        object_mask: torch.Tensor | None = None,
        network: GridNetwork | None = None,
    ) -> Trace:
        """Trace rays.

        Args:
            value: the SDF, ``[M, 3] -> [M]``, negative inside.
            origins, directions: ``[N, 3]`` in the normalised frame, directions of unit length.
            object_mask: ``[N]`` bool when training: only rays inside the mask are traced, and those that miss, with
                all rays outside the mask, get the smallest SDF over random depths, as the mask loss wants it.
                None: all rays are traced.
            network: the same function as ``value``, where it is a small network on a hash grid: traced by the
                compiled operator where that runs.

        Raises:
            NsrError: NSR_BACKEND asks for a compiled operator that is not here.
        """
        config = self.config
        fractions = None
        if object_mask is not None:
            fractions = torch.rand(len(origins), config.n_closest, dtype=origins.dtype, device=origins.device)
        if network is not None and self._runs_native(network, origins):
            hull = self.bounds.field if isinstance(self.bounds, HullBounds) else ()
            return Trace(*sphere_trace(network, origins, directions, config, object_mask, fractions, *hull))
        bounds = self.bounds(origins, directions, config.object_bounding_sphere)
        wanted = bounds.meets if object_mask is None else bounds.meets & object_mask
        march = self._sphere_trace(value, origins, directions, bounds, wanted)
        root = self._root(
            value, origins, directions, march.outside, march.depth, march.outside_value, march.value, march.crossed
        )
        hit = march.converged | march.crossed
        depth = torch.where(march.crossed, root, march.depth)
        depth = torch.where(hit, depth, (bounds.near + bounds.far) / 2)
        depth, found = self._sample_search(value, origins, directions, march, depth)
        hit = hit | found
        if object_mask is not None:
            missed = bounds.meets & ~hit
            depth = self._closest_samples(value, origins, directions, bounds, missed, fractions, depth)
        return Trace(depth, hit, bounds.meets)

    def patient(self) -> RayTracer:
        """The same search with more steps before a ray is sampled.

        For pictures, in which a ray that grazes one part of the surface should not lose the part behind it; training
        can do without such rays.
        """
        iterations = max(self.config.sphere_tracing_iters, PATIENT_ITERATIONS)
        return RayTracer(dataclasses.replace(self.config, sphere_tracing_iters=iterations), self.bounds)

    def _runs_native(self, network: GridNetwork, origins: torch.Tensor) -> bool:
        limits = network.native_limits(origins)
        if self.bounds is not intersect_sphere and not isinstance(self.bounds, HullBounds):
            limits = "bounds other than the sphere and the visual hull are not compiled"
        found = backend.runs_native("sphere_trace", origins.device, limits)
        if not found:
            _tell_once(f"rays are traced by PyTorch: {limits or 'the compiled operators are not used'}")
        return found

    def _sphere_trace(self, value, origins, directions, bounds, wanted):
        config = self.config
        count = len(origins)
        if config.two_sided:
            # Both ends are one batch: rows [0, N) go forward from near, rows [N, 2N) backward from far.
            starts, steps = torch.cat([origins, origins]), torch.cat([directions, -directions])
            depth, running = torch.cat([bounds.near, -bounds.far]), torch.cat([wanted, wanted])
        else:
            starts, steps, depth, running = origins, directions, bounds.near, wanted
        sdf = evaluate_where(value, starts + depth.unsqueeze(1) * steps, running)
        outside, outside_value, step = depth, sdf, sdf
        for iteration in range(config.sphere_tracing_iters + 1):
            if iteration:
                depth = torch.where(running, depth + step, depth)
                sdf = torch.where(running, evaluate_where(value, starts + depth.unsqueeze(1) * steps, running), sdf)
                for halving in range(config.line_step_iters):
                    overshot = running & (sdf < 0)
                    depth = torch.where(overshot, depth - (1 - config.line_search_step) / 2**halving * step, depth)
                    fresh = evaluate_where(value, starts + depth.unsqueeze(1) * steps, overshot)
                    sdf = torch.where(overshot, fresh, sdf)
            ahead = running & (sdf > 0)
            outside, outside_value = torch.where(ahead, depth, outside), torch.where(ahead, sdf, outside_value)
            step = sdf
            end = -depth[count:] if config.two_sided else bounds.far
            apart = depth[:count] < end
            apart = torch.cat([apart, apart]) if config.two_sided else apart
            running = running & (sdf > config.sdf_threshold) & apart
        front, value_there = depth[:count], sdf[:count]
        reached = wanted & (value_there <= config.sdf_threshold) & (front <= bounds.far)
        if config.two_sided:
            reached = reached & (front < end)
        outside, outside_value = outside[:count], outside_value[:count]
        crossed = reached & (value_there < -config.sdf_threshold) & (outside_value > 0) & (outside < front)
        return _March(
            front, end.maximum(front), reached & ~crossed, crossed, running[:count], outside, outside_value, value_there
        )

    def _sample_search(self, value, origins, directions, march, depth):
        """For rays still marching: the first sign change among uniform samples, then its root.

        Rays without one get the sample with the smallest SDF.
        """
        chosen = select_rays(march.running)
        origins, directions, start, end = (t[chosen] for t in (origins, directions, march.depth, march.end))
        count, samples = len(origins), self.config.n_steps
        if count == 0:
            return depth, march.running
        fractions = torch.linspace(0, 1, samples, dtype=depth.dtype, device=depth.device)
        depths = start.unsqueeze(1) + (end - start).unsqueeze(1) * fractions
        points = origins.unsqueeze(1) + depths.unsqueeze(-1) * directions.unsqueeze(1)
        sdf = value(points.reshape(-1, 3)).view(count, samples)
        inside = sdf < 0
        crosses = inside.any(1)
        first = inside.to(torch.uint8).argmax(1)
        last = first.clamp_min(1)
        rows = torch.arange(count, device=depth.device)
        low, high = depths[rows, last - 1], depths[rows, last]
        bracketed = crosses & (first > 0)
        root = self._root(
            value, origins, directions, low, high, sdf[rows, last - 1], sdf[rows, last], bracketed
        )
        # Inside from the first sample on: that sample is the best answer.
        root = torch.where(first > 0, root, depths[:, 0])
        result = torch.where(crosses, root, depths[rows, sdf.argmin(1)])
        return scatter_rays(depth, chosen, march.running, result), scatter_rays(
            torch.zeros_like(march.running), chosen, march.running, crosses
        )

    def _root(self, value, origins, directions, low, high, low_value, high_value, bracketed):
        """Illinois regula falsi on brackets with ``low_value >= 0 > high_value``; elsewhere unspecified."""
        chosen = select_rays(bracketed)
        result = low
        origins, directions, low, high, low_value, high_value, bracketed = (
            t[chosen] for t in (origins, directions, low, high, low_value, high_value, bracketed)
        )
        if len(low) == 0:
            return result
        moved_low = moved_high = torch.zeros_like(bracketed)
        for _ in range(self.config.n_secant_steps):
            middle = _secant(low, high, low_value, high_value)
            middle_value = value(origins + middle.unsqueeze(1) * directions)
            outside = middle_value >= 0
            # An end that stays put twice running has its value halved, which pulls the next estimate towards it.
            high_value = torch.where(outside, torch.where(moved_low, high_value / 2, high_value), middle_value)
            low_value = torch.where(outside, middle_value, torch.where(moved_high, low_value / 2, low_value))
            low, high = torch.where(outside, middle, low), torch.where(outside, high, middle)
            moved_low, moved_high = outside, ~outside
        return scatter_rays(result, chosen, bracketed, _secant(low, high, low_value, high_value))

    def _closest_samples(self, value, origins, directions, bounds, missed, fractions, depth):
        """The depth of the smallest SDF among samples, one at random in each of equal parts of the bounds."""
        chosen = select_rays(missed)
        origins, directions, near, far, fractions = (
            t[chosen] for t in (origins, directions, bounds.near, bounds.far, fractions)
        )
        count, samples = len(origins), self.config.n_closest
        if count == 0:
            return depth
        parts = torch.arange(samples, dtype=depth.dtype, device=depth.device)
        fractions = (parts + fractions) / samples
        depths = near.unsqueeze(1) + (far - near).unsqueeze(1) * fractions
        points = origins.unsqueeze(1) + depths.unsqueeze(-1) * directions.unsqueeze(1)
        smallest = value(points.reshape(-1, 3)).view(count, samples).argmin(1, keepdim=True)
        return scatter_rays(depth, chosen, missed, depths.gather(1, smallest).squeeze(1))


@functools.cache
def _tell_once(message: str) -> None:
    _LOGGER.info(message)


def _secant(low, high, low_value, high_value):
    return low + (high - low) * (low_value / (low_value - high_value).clamp_min(1e-12)).clamp(0, 1)


def select_rays(mask: torch.Tensor) -> torch.Tensor | slice:
    """Indices of the rays to work on: those of the mask on the CPU; on CUDA all, to avoid waiting for the count."""
    return slice(None) if mask.is_cuda else mask.nonzero().squeeze(1)


def scatter_rays(target: torch.Tensor, chosen, mask: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """``target [N]`` with ``values`` in place of the rays that ``select_rays(mask)`` chose."""
    if isinstance(chosen, slice):
        return torch.where(mask, values, target)
    target = target.clone()
    target[chosen] = values
    return target


def evaluate_where(value: Value, points: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The field at ``points [N, 3]`` where ``mask``; elsewhere unspecified (0 on the CPU)."""
    chosen = select_rays(mask)
    if isinstance(chosen, slice):
        return value(points)
    if len(chosen) == len(mask):
        return value(points)
    result = points.new_zeros(len(points))
    if len(chosen):
        result[chosen] = value(points[chosen])
    return result
