"""The neural Fourier filter bank by the compiled layers of ``csrc/filter_bank``, on CPU and CUDA.

Arrays ``[streams, N, W]`` hold values first and then, where a Jacobian is wanted, the three tangents: a product with a
matrix treats all rows alike.  Saved for the backward are the products alone; sines and bands are computed again.
"""

from __future__ import annotations

import torch

from nsr.ops.filter_bank_torch import FilterBankParameters, filter_bank_reference

# On the CPU, points that go through the bank together: arrays of some megabytes, whose memory is used again.
_POINTS_TOGETHER = 2048
# And rows that are summed in one product: the split, and with it the rounding, is the same for any number of threads.
_ROWS_TOGETHER = 1024


def native_limits(positions: torch.Tensor, bank: FilterBankParameters) -> str | None:
    """Why the compiled layers do not serve this bank, or None where they do."""
    if bank.activation != "sine":
        return f"layers of {bank.activation} are not compiled (sine is)"
    if positions.dtype not in (torch.float32, torch.float64):
        return f"{positions.dtype} positions are not compiled (float32 and float64 are)"
    if bank.phase.requires_grad or bank.shares.requires_grad:
        return "trained phases and shares are not compiled"
    return None


def filter_bank_native(
    positions: torch.Tensor, grid: torch.Tensor, grid_jacobian: torch.Tensor | None, bank: FilterBankParameters
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """As ``nsr.ops.filter_bank.filter_bank``, where ``native_limits`` has no objection."""
    inputs = (positions, grid, grid_jacobian, *bank.trained())
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in inputs):
        return FilterBankNative.apply(positions, grid, grid_jacobian, bank, *bank.trained())
    pieces = _pieces(positions, grid, grid_jacobian, bank)
    return _outputs(torch.cat([piece.forward(keep=False) for piece in pieces], dim=1))


class FilterBankNative(torch.autograd.Function):
    """The operator with compiled layers in its forward and first backward; see ``nsr.ops.filter_bank``.

    Takes the tensors of ``bank.trained()`` once more, as inputs that gradients are for.  A backward that is itself to
    be differentiated goes through plain PyTorch operations.
    """

    @staticmethod
    def forward(ctx, positions, grid, grid_jacobian, bank, *trained):
        ctx.set_materialize_grads(False)
        ctx.bank = bank
        pieces = _pieces(positions, grid, grid_jacobian, bank.replaced(*trained))
        rows = torch.cat([piece.forward(keep=True) for piece in pieces], dim=1)
        kept = [product for piece in pieces for product in piece.kept]
        ctx.save_for_backward(positions, grid, grid_jacobian, *trained, *kept)
        return _outputs(rows)

    @staticmethod
    def backward(ctx, grad_value, grad_jacobian):
        positions, grid, grid_jacobian, *rest = ctx.saved_tensors
        trained, kept = rest[:6], rest[6:]
        if grad_value is None and grad_jacobian is None:
            return (None,) * 10
        if torch.is_grad_enabled():
            inputs = (positions, grid, grid_jacobian, *trained)
            first, second, third, *others = _differentiable_backward(ctx, inputs, grad_value, grad_jacobian)
            return first, second, third, None, *others
        # A loss of the values alone leaves the tangents out of the backward.
        slopes = None if grad_jacobian is None else grid_jacobian
        pieces = _pieces(positions, grid, slopes, ctx.bank.replaced(*trained))
        each = len(kept) // len(pieces)
        of_points, of_trained = [], None
        for index, piece in enumerate(pieces):
            piece.kept = [products[: piece.streams] for products in kept[index * each : (index + 1) * each]]
            points, parameters = piece.backward(piece.gradient_rows(grad_value, grad_jacobian))
            of_points.append(points)
            if of_trained is None:
                of_trained = parameters
                continue
            for total, part in zip(of_trained, parameters, strict=True):
                if total is not None:
                    total += part
        grad_positions, grad_grid, grad_grid_jacobian = (
            torch.cat(parts) if parts[0] is not None else None for parts in zip(*of_points, strict=True)
        )
        return grad_positions, grad_grid, grad_grid_jacobian, None, *of_trained


def _differentiable_backward(ctx, inputs, grad_value, grad_jacobian):
    """The backward as a graph of plain operations; one gradient for each input, None where none is needed."""
    needed = [*ctx.needs_input_grad[:3], *ctx.needs_input_grad[4:]]
    with torch.enable_grad():
        # Views stand for the inputs, so that only this graph is walked while the result stays connected to them.
        inner = [tensor.view_as(tensor) if tensor is not None else None for tensor in inputs]
        outputs = filter_bank_reference(*inner[:3], ctx.bank.replaced(*inner[3:]))
        pairs = [(o, g) for o, g in zip(outputs, (grad_value, grad_jacobian), strict=True) if g is not None]
        wanted = [tensor for tensor, need in zip(inner, needed, strict=True) if need]
        grads = iter(
            torch.autograd.grad(
                [o for o, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True
            )
        )
        return [next(grads) if need else None for need in needed]


def _outputs(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Value ``[N, O]`` and Jacobian ``[N, O, 3]`` or None, of rows ``[streams, N, O]``."""
    return rows[0], rows[1:].permute(1, 2, 0) if len(rows) == 4 else None


def _pieces(positions, grid, grid_jacobian, bank: FilterBankParameters) -> list[_Piece]:
    """All points, in one piece or some."""
    count = positions.shape[0]
    size = _POINTS_TOGETHER if positions.device.type == "cpu" else max(count, 1)
    return [
        _Piece(points, positions[points], grid[points], None if grid_jacobian is None else grid_jacobian[points], bank)
        for points in (slice(start, start + size) for start in range(0, max(count, 1), size))
    ]


class _Piece:
    """Some points: their inputs, and the layers' products ``kept`` for the backward, of the first layer first.

    With readout ``heads`` the products of the heads follow.
    """

    def __init__(self, points: slice, positions, grid, grid_jacobian, bank: FilterBankParameters):
        self.points, self.bank = points, bank
        self.streams = 1 if grid_jacobian is None else 4
        self.count, self.width = positions.shape[0], bank.bands.shape[2]
        self.grid = grid.contiguous()
        self.grid_jacobian = grid.new_empty(0) if grid_jacobian is None else grid_jacobian.contiguous()
        self.coordinates = positions.new_zeros(self.streams, self.count, 3)
        self.coordinates[0] = positions / bank.bound
        if self.streams == 4:
            axes = torch.eye(3, dtype=positions.dtype, device=positions.device)
            self.coordinates[1:] = axes.unsqueeze(1) / bank.bound
        self.nothing = grid.new_empty(0)
        self.levels = _open_levels(bank)
        self.kept: list[torch.Tensor] = []

    def _band(self, level: int) -> tuple:
        bank = self.bank
        bands = (bank.bands[level].contiguous(), bank.phase[level].contiguous())
        return self.grid, self.grid_jacobian, *bands, level * bank.bands.shape[1]

    def _no_band(self) -> tuple:
        return self.nothing, self.nothing, self.nothing, self.nothing, 0

    def _layer(self, index: int) -> tuple:
        """Bias, frequency and band of a layer; the first adds no band."""
        bias = self.bank.biases[index].contiguous()
        return bias, self.bank.w0, *(self._band(index - 1) if index > 0 else self._no_band())

    def _head(self, level: int) -> tuple:
        return self.bank.head_bias[level].contiguous(), self.bank.w1, *self._no_band()

    def _level_weight(self, level: int) -> torch.Tensor:
        """``[O, W]``: what of the head of readout ``concat`` looks at a level, share and mean included."""
        part = self.bank.head_weight[:, level * self.width : (level + 1) * self.width]
        return part * (self.bank.shares[level] / self.bank.levels)

    def forward(self, keep: bool) -> torch.Tensor:
        """``[streams, N, O]``."""
        bank, outputs = self.bank, self.bank.outputs
        total = bank.bands.new_zeros(self.streams, self.count, outputs)
        if bank.readout == "concat":
            total[0] = bank.head_bias / bank.levels
        layers, heads = [], []
        hidden, weight = self.coordinates, bank.first_weight
        for index in range(self.levels + 1):
            product = _times(hidden, weight.t())
            hidden = torch.ops.nsr.filter_bank_layer(product, *self._layer(index))
            layers.append(product if keep else None)
            if index < self.levels:
                weight = bank.weights[index]
            level = index - 1
            if level < 0:
                continue
            if bank.readout == "concat":
                total.view(-1, outputs).addmm_(hidden.view(-1, self.width), self._level_weight(level).t())
            elif bank.readout == "heads":
                product = _times(hidden, bank.head_weight[level].t())
                total += torch.ops.nsr.filter_bank_layer(product, *self._head(level)) * bank.shares[level]
                heads.append(product if keep else None)
            else:
                part = total[..., level * self.width : (level + 1) * self.width]
                torch.mul(hidden, bank.shares[level] / bank.levels, out=part)
        self.kept = [*layers, *heads] if keep else []
        return total

    def gradient_rows(self, grad_value: torch.Tensor | None, grad_jacobian: torch.Tensor | None) -> torch.Tensor:
        """The gradient in ``forward``'s output, from those of all points."""
        rows = self.grid.new_zeros(self.streams, self.count, self.bank.outputs)
        if grad_value is not None:
            rows[0] = grad_value[self.points]
        if grad_jacobian is not None:
            rows[1:] = grad_jacobian[self.points].permute(2, 0, 1)
        return rows

    def backward(self, gradient: torch.Tensor) -> tuple[list[torch.Tensor | None], list[torch.Tensor | None]]:
        """From the gradient in ``forward``'s output: those in positions, grid and its Jacobian, and in the bank."""
        bank, size = self.bank, self.bank.bands.shape[1]
        layers, heads = self.kept[: self.levels + 1], self.kept[self.levels + 1 :]
        grads = [torch.zeros_like(tensor) if tensor is not None else None for tensor in bank.trained()]
        grad_bands, grad_first, grad_weights, grad_biases, grad_head, grad_head_bias = grads
        grad_rows = gradient.new_zeros(self.streams, *self.grid.shape)
        features = self.grid.unsqueeze(0)
        if self.streams == 4:
            features = torch.cat([features, self.grid_jacobian.permute(2, 0, 1)])
        if bank.readout == "concat":
            grad_head_bias.copy_(gradient[0].sum(0) / bank.levels)
        incoming = following = None
        for index in range(self.levels, -1, -1):
            level = index - 1
            head_gradient = None
            if level >= 0:
                incoming, head_gradient = self._readout_gradient(level, gradient, heads, incoming, grad_head_bias)
            outgoing, phases, hidden = torch.ops.nsr.filter_bank_layer_gradient(
                incoming, layers[index], *self._layer(index)
            )
            if following is not None:
                grad_weights[index].copy_(_row_sum(following, hidden))
            if level >= 0:
                if bank.readout == "concat":
                    part = _row_sum(gradient, hidden) * (bank.shares[level] / bank.levels)
                    grad_head[:, level * self.width : (level + 1) * self.width] = part
                elif bank.readout == "heads":
                    grad_head[level].copy_(_row_sum(head_gradient, hidden))
                channels = slice(level * size, (level + 1) * size)
                grad_bands[level].copy_(_row_sum(features[..., channels], phases))
                grad_rows[..., channels] = _times(phases, bank.bands[level].t())
                incoming = _times(outgoing, bank.weights[level])
            grad_biases[index].copy_(outgoing[0].sum(0))
            following = outgoing
        grad_first.copy_(_row_sum(following, self.coordinates))
        grad_positions = (following[0] @ bank.first_weight) / bank.bound
        grad_grid_jacobian = grad_rows[1:].permute(1, 2, 0) if self.streams == 4 else None
        return [grad_positions, grad_rows[0], grad_grid_jacobian], grads

    def _readout_gradient(self, level, gradient, heads, incoming, grad_head_bias):
        """The gradient in a level's hidden state, that of the layer above included, and that in its head's product."""
        bank = self.bank
        head_gradient = None
        if bank.readout == "levels":
            own = gradient[..., level * self.width : (level + 1) * self.width] * (bank.shares[level] / bank.levels)
            return (own if incoming is None else own.add_(incoming)), None
        if bank.readout == "heads":
            head_gradient, _, _ = torch.ops.nsr.filter_bank_layer_gradient(
                gradient * bank.shares[level], heads[level], *self._head(level)
            )
            grad_head_bias[level].copy_(head_gradient[0].sum(0))
            weight, rows = bank.head_weight[level], head_gradient
        else:
            weight, rows = self._level_weight(level), gradient
        if incoming is None:
            return _times(rows, weight), head_gradient
        incoming.view(-1, self.width).addmm_(rows.view(-1, rows.shape[2]), weight)
        return incoming, head_gradient


def _open_levels(bank: FilterBankParameters) -> int:
    """Levels up to the last that is read out; on a GPU, whose numbers would have to be waited for, all of them."""
    if bank.shares.device.type != "cpu":
        return bank.levels
    return max((level + 1 for level, share in enumerate(bank.shares.tolist()) if share != 0), default=1)


def _times(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """``[streams, N, A]`` times ``[A, B]``."""
    return (rows.reshape(-1, rows.shape[2]) @ matrix).view(*rows.shape[:2], matrix.shape[1])


def _row_sum(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """``sum_(s, n) left_(sna) right_(snb)``: ``[streams, N, A]`` and ``[streams, N, B]`` to ``[A, B]``."""
    left, right = left.reshape(-1, left.shape[2]), right.reshape(-1, right.shape[2])
    if left.device.type != "cpu" or len(left) <= _ROWS_TOGETHER:
        return left.t() @ right
    whole = len(left) // _ROWS_TOGETHER * _ROWS_TOGETHER
    parts = [tensor[:whole].view(-1, _ROWS_TOGETHER, tensor.shape[1]) for tensor in (left, right)]
    total = torch.bmm(parts[0].transpose(1, 2), parts[1]).sum(0)
    return total.addmm_(left[whole:].t(), right[whole:])
