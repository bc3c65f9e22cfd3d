"""The multiresolution hash encoding in PyTorch: what runs where nothing is compiled, and the oracle of the tests.

Both outputs are differentiable in table and positions to any order: the first backward is written out by hand, and a
backward that is itself to be differentiated goes through plain PyTorch operations.
"""

from __future__ import annotations

import torch

from nsr.ops.grid_layout import HASH_PRIMES, GridLayout


def _cells(positions: torch.Tensor, layout: GridLayout) -> tuple[torch.Tensor, torch.Tensor]:
    """Table rows of the eight corners, int ``[8, L, N]`` (x slowest), and fractions ``[3, L, N]`` (differentiable)."""
    device = positions.device
    scales = torch.tensor(layout.scales, dtype=positions.dtype, device=device).view(1, -1, 1)
    grid = positions.clamp(0, 1).t().unsqueeze(1) * scales + 0.5
    lower = grid.detach().floor()
    fraction = grid - lower
    # Products of the hash wrap around in 32 bits, as they do in the published kernels; int32 does that on its own.
    lower = lower.to(torch.int32)
    corner = torch.stack([lower, lower + 1])  # [2, 3, L, N]
    rows = torch.empty(2, 2, 2, layout.levels, positions.shape[0], dtype=torch.int32, device=device)
    hashed = (level for level in range(layout.levels) if layout.storage == "hash" and layout.hashed(level))
    first_hashed = next(hashed, layout.levels)
    offsets = torch.tensor(layout.offsets, dtype=torch.int32, device=device).view(-1, 1)
    sizes = torch.tensor(layout.sizes, dtype=torch.int32, device=device).view(-1, 1)
    if first_hashed > 0:
        part = slice(0, first_hashed)
        strides = torch.tensor(
            [layout.strides(level) for level in range(first_hashed)], dtype=torch.int32, device=device
        )
        x, (y, z) = corner[:, 0, part], (corner[:, axis, part] * strides[:, axis - 1, None] for axis in (1, 2))
        index = x[:, None, None] + y[None, :, None] + z[None, None, :]
        rows[..., part, :] = index % sizes[part] + offsets[part]
    if first_hashed < layout.levels:
        part = slice(first_hashed, layout.levels)
        signed = [prime - 2**32 if prime >= 2**31 else prime for prime in HASH_PRIMES]
        x, y, z = (corner[:, axis, part] * signed[axis] for axis in range(3))
        index = x[:, None, None] ^ y[None, :, None] ^ z[None, None, :]
        rows[..., part, :] = (index & (sizes[part] - 1)) + offsets[part]
    return rows.view(8, layout.levels, positions.shape[0]), fraction


def _weights(fraction: torch.Tensor, layout: GridLayout):
    """Weights of the upper corners, with their first and second derivatives in the fraction.

    The derivatives are None where interpolation is linear: one and zero.
    """
    if layout.interpolation == "linear":
        return fraction, None, None
    return fraction * fraction * (3 - 2 * fraction), 6 * fraction * (1 - fraction), 6 - 12 * fraction


def _interpolate(corners: torch.Tensor, weight: torch.Tensor, derivatives: int):
    """Trilinear interpolation by three rounds of linear ones.

    Args:
        corners: ``[8, L, N, F]``; weight: ``[3, L, N]``; derivatives: 0, 1 or 2, how many orders to return.

    Returns:
        value ``[L, N, F]``; first derivatives ``[3, L, N, F]`` or None; mixed second ones (xy, xz, yz)
        ``[3, L, N, F]`` or None; all in the weights.
    """
    fx, fy, fz = weight.unsqueeze(-1)
    corners = corners.view(2, 2, 2, *corners.shape[1:])
    along_x = corners[1] - corners[0]
    at_x = torch.addcmul(corners[0], along_x, fx)
    along_y = at_x[1] - at_x[0]
    at_xy = torch.addcmul(at_x[0], along_y, fy)
    along_z = at_xy[1] - at_xy[0]
    value = torch.addcmul(at_xy[0], along_z, fz)
    if derivatives == 0:
        return value, None, None
    along_xy = along_x[1] - along_x[0]
    along_x_at_y = torch.addcmul(along_x[0], along_xy, fy)
    along_xz = along_x_at_y[1] - along_x_at_y[0]
    along_yz = along_y[1] - along_y[0]
    first = torch.stack(
        [torch.addcmul(along_x_at_y[0], along_xz, fz), torch.addcmul(along_y[0], along_yz, fz), along_z]
    )
    if derivatives == 1:
        return value, first, None
    mixed_xy = torch.addcmul(along_xy[0], along_xy[1] - along_xy[0], fz)
    return value, first, torch.stack([mixed_xy, along_xz, along_yz])


def _level_scales(positions: torch.Tensor, layout: GridLayout) -> torch.Tensor:
    """``[N, 3, L]`` derivative of the grid coordinate in the position: the scale, or 0 where it was clamped."""
    inside = ((positions >= 0) & (positions <= 1)).to(positions.dtype)
    return inside.unsqueeze(-1) * torch.tensor(layout.scales, dtype=positions.dtype, device=positions.device)


def _to_points(per_level: torch.Tensor) -> torch.Tensor:
    """``[L, N, F]`` to ``[N, L * F]``."""
    return per_level.permute(1, 0, 2).flatten(1)


def _assemble(value, first, positions, layout):
    """Public outputs from the per-cell ones."""
    features = _to_points(value)
    if first is None:
        return features, positions.new_zeros(0)
    scaled = first * _level_scales(positions, layout).permute(1, 2, 0).unsqueeze(-1)
    jacobian = scaled.permute(2, 1, 3, 0).flatten(1, 2)
    return features, jacobian


def _reference(positions, table, layout, jacobian):
    rows, fraction = _cells(positions, layout)
    corners = table[rows.long()].to(positions.dtype)
    weight, slope, _ = _weights(fraction, layout)
    value, first, _ = _interpolate(corners, weight, 1 if jacobian else 0)
    if first is not None and slope is not None:
        first = first * slope.unsqueeze(-1)
    return _assemble(value, first, positions, layout)


def hash_encode_reference(
    positions: torch.Tensor, table: torch.Tensor, layout: GridLayout, jacobian: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """``nsr.ops.hash_encode.hash_encode`` by plain PyTorch operations, every derivative left to autograd: the oracle
    of the tests."""
    features, derivative = _reference(positions, table, layout, jacobian)
    return features, derivative if jacobian else None


class HashEncodeTorch(torch.autograd.Function):
    """The operator in PyTorch, with its first backward written out."""

    @staticmethod
    def forward(ctx, positions, table, layout, jacobian):
        ctx.set_materialize_grads(False)
        rows, fraction = _cells(positions, layout)
        corners = table.index_select(0, rows.view(-1)).view(*rows.shape, layout.features).to(positions.dtype)
        wants_positions = ctx.needs_input_grad[0]
        order = int(jacobian) + int(wants_positions)
        weight, slope, curvature = _weights(fraction, layout)
        value, first, second = _interpolate(corners, weight, order)
        if slope is not None and order > 0:
            first, second = _by_fraction(first, second, slope, curvature)
        ctx.layout, ctx.jacobian = layout, jacobian
        ctx.save_for_backward(positions, table, rows, weight, slope, first if wants_positions else None, second)
        return _assemble(value, first if jacobian else None, positions, layout)

    @staticmethod
    def backward(ctx, grad_features, grad_jacobian):
        positions, table, rows, weight, slope, first, second = ctx.saved_tensors
        layout = ctx.layout

        def first_order(grad_features, grad_jacobian):
            count, levels, width = positions.shape[0], layout.levels, layout.features
            scales = _level_scales(positions, layout)
            grad_value = None
            if grad_features is not None:
                grad_value = grad_features.view(count, levels, width).permute(1, 0, 2)  # [L, N, F]
            grad_first = None
            if grad_jacobian is not None:
                scaled = grad_jacobian.view(count, levels, width, 3) * scales.permute(0, 2, 1).unsqueeze(2)
                grad_first = scaled.permute(3, 1, 0, 2)  # [3, L, N, F]
            grad_table = grad_positions = None
            if ctx.needs_input_grad[1]:
                in_weight = grad_first
                if slope is not None and grad_first is not None:
                    in_weight = grad_first * slope.unsqueeze(-1)
                grad_table = _scatter(rows, _corner_gradients(grad_value, in_weight, weight), table)
            if ctx.needs_input_grad[0]:
                grad_positions = _position_gradient(grad_value, grad_first, first, second, scales)
            return grad_positions, grad_table

        return route_backward(ctx, positions, table, grad_features, grad_jacobian, first_order)


def route_backward(ctx, positions, table, grad_features, grad_jacobian, first_order):
    """What a body's ``backward`` returns: None where no gradient comes in, ``first_order(grad_features,
    grad_jacobian)`` where the result is not to be differentiated, else a graph of plain operations.

    ``ctx`` needs ``layout``, ``jacobian`` and ``needs_input_grad`` for (positions, table).
    """
    if not ctx.jacobian:
        grad_jacobian = None
    if grad_features is None and grad_jacobian is None:
        return None, None, None, None
    if torch.is_grad_enabled():
        return *_differentiable_backward(ctx, positions, table, grad_features, grad_jacobian), None, None
    return *first_order(grad_features, grad_jacobian), None, None


def _differentiable_backward(ctx, positions, table, grad_features, grad_jacobian):
    with torch.enable_grad():
        # Views stand for the inputs, so that only this graph is walked while the result stays connected to them.
        inner = [tensor.view_as(tensor) for tensor in (positions, table)]
        outputs = _reference(*inner, ctx.layout, ctx.jacobian)
        pairs = [(o, g) for o, g in zip(outputs, (grad_features, grad_jacobian)) if g is not None]
        wanted = [tensor for tensor, needed in zip(inner, ctx.needs_input_grad[:2]) if needed]
        grads = iter(
            torch.autograd.grad(
                [o for o, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True
            )
        )
        return [next(grads) if needed else None for needed in ctx.needs_input_grad[:2]]


def _by_fraction(first, mixed, slope, curvature):
    """From derivatives in the weights to those in the fractions: first, and second (xy, xz, yz, xx, yy, zz) or None."""
    x, y, z = slope.unsqueeze(-1)
    second = None
    if mixed is not None:
        second = torch.cat([mixed * torch.stack([x * y, x * z, y * z]), first * curvature.unsqueeze(-1)])
    return first * slope.unsqueeze(-1), second


def _corner_gradients(grad_value, grad_first, weight):
    """Adjoint of ``_interpolate`` in the corners: ``[2, 2, 2, L, N, F]``."""
    fx, fy, fz = weight.unsqueeze(-1)
    if grad_first is None:
        at_z = torch.stack([grad_value * (1 - fz), grad_value * fz])
        at_yz = torch.stack([at_z * (1 - fy), at_z * fy])
        return torch.stack([at_yz * (1 - fx), at_yz * fx])
    gx, gy, gz = grad_first
    upper = gz if grad_value is None else torch.addcmul(gz, grad_value, fz)
    lower = -gz if grad_value is None else grad_value * (1 - fz) - gz
    value_z = torch.stack([lower, upper])
    along_y_z = torch.stack([gy * (1 - fz), gy * fz])
    along_x_z = torch.stack([gx * (1 - fz), gx * fz])
    value_yz = torch.stack([value_z * (1 - fy) - along_y_z, torch.addcmul(along_y_z, value_z, fy)])
    along_x_yz = torch.stack([along_x_z * (1 - fy), along_x_z * fy])
    return torch.stack([value_yz * (1 - fx) - along_x_yz, torch.addcmul(along_x_yz, value_yz, fx)])


def _scatter(rows, per_corner, table):
    """Sum the corners' gradients into a table."""
    grad = torch.zeros_like(table, dtype=per_corner.dtype)
    index = rows.view(-1).long()
    source = per_corner.reshape(-1, table.shape[1])
    if table.shape[1] == 2 and table.device.type == "cpu":
        # One complex number an entry: on the CPU a one-dimensional scatter is three times faster than rows.
        torch.view_as_complex(grad).scatter_add_(0, index, torch.view_as_complex(source))
    else:
        grad.index_add_(0, index, source)
    return grad.to(table.dtype)


def _position_gradient(grad_value, grad_first, first, second, scales):
    """Gradient in the positions ``[N, 3]`` from both outputs; a linear weight has no second derivative of its own."""
    total = 0
    if grad_value is not None:
        total = (first * grad_value).sum(-1)
    if grad_first is not None:
        xy, xz, yz = second[:3]
        gx, gy, gz = grad_first
        along = torch.stack([gy * xy + gz * xz, gx * xy + gz * yz, gx * xz + gy * yz])
        if len(second) == 6:
            along = along + grad_first * second[3:]
        total = total + along.sum(-1)
    return (total.permute(2, 0, 1) * scales).sum(-1)
