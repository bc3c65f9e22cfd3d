"""The hash encoding computed by tiny-cuda-nn, and its tables exchanged with ours.

Our grid is tiny-cuda-nn's: level l has the scale ``base * growth^l - 1``, a point sits at ``x * scale + 0.5``, a
level has ``ceil(scale) + 1`` vertices along each axis, ``resolution^3`` entries rounded up to a multiple of 8 and at
most ``2^log2_table`` of them, rows ``x + y * resolution + z * resolution^2`` where it fits and the hash
``x * 1 ^ y * 2654435761 ^ z * 805459861`` where it does not.  Its parameters are one vector: level by level, row by
row, feature by feature, which is the memory order of our table.  It computes scales in float32, we in float64, and
where a scale is a whole number its rounding may give a level one vertex more; ``tcnn_options`` guards against that.
"""

from __future__ import annotations

import math

import torch

from nsr.errors import ConfigError
from nsr.ops import backend
from nsr.ops.hash_encode import GridLayout, hash_encode

GROWTH_MARGIN = 5e-7  # some roundings of a float32 near 1


def table_to_tcnn(table: torch.Tensor, layout: GridLayout) -> torch.Tensor:
    """Our table ``[entries, F]`` as the parameter vector ``[entries * F]`` of a tiny-cuda-nn grid, float32."""
    if tuple(table.shape) != (layout.entries, layout.features):
        raise ValueError(f"table must be [{layout.entries}, {layout.features}], got {list(table.shape)}")
    return table.detach().to(torch.float32).reshape(-1).clone()


def table_from_tcnn(parameters: torch.Tensor, layout: GridLayout) -> torch.Tensor:
    """The parameter vector of a tiny-cuda-nn grid as our table ``[entries, F]``, float32.

    Raises:
        ConfigError: its length is not that of this grid.
    """
    if parameters.dim() != 1 or parameters.numel() != layout.entries * layout.features:
        raise ConfigError(
            f"a tiny-cuda-nn grid with parameters {list(parameters.shape)} does not fit: this one has "
            f"{layout.entries * layout.features}; levels, features, table size and both resolutions must be equal"
        )
    return parameters.detach().to(torch.float32).view(layout.entries, layout.features).clone()


def tcnn_options(layout: GridLayout) -> dict:
    """What tiny-cuda-nn is told to build the same grid.

    Where the scale of a dense level is a whole number, the growth is taken a few roundings of float32 lower, so that
    the level keeps its number of vertices; points then lie at most some hundredths of a cell from where ours do.

    Raises:
        ValueError: the grid is tiled, which is another one there: its tables hold base_resolution^3 entries.
    """
    if layout.storage != "hash":
        raise ValueError("storage = tiled has other table sizes in tiny-cuda-nn; use it with MultiResHash or FFB")
    growth = (layout.finest_resolution / layout.base_resolution) ** (1 / max(layout.levels - 1, 1))
    dense = [layout.scales[level] for level in range(1, layout.levels) if not layout.hashed(level)]
    exact = math.log2(growth).is_integer()
    if not exact and any(abs(scale - round(scale)) < 1e-4 for scale in dense):
        growth *= 1 - GROWTH_MARGIN
    return {
        "otype": "Grid",
        "type": "Hash",
        "n_levels": layout.levels,
        "n_features_per_level": layout.features,
        "log2_hashmap_size": layout.log2_table,
        "base_resolution": layout.base_resolution,
        "per_level_scale": growth,
        "interpolation": layout.interpolation.capitalize(),
    }


class TcnnGrid:
    """``hash_encode`` on tiny-cuda-nn where it is installed and the tensors are on a CUDA device, in float32.

    Where it cannot run, our own operator takes over, which the "nsr" logger says once; the environment variable
    ``NSR_BACKEND=tcnn`` forbids that, any other value of it chooses our operator without a word.  The table is ours
    in either case, so checkpoints move between machines.

    tiny-cuda-nn differentiates its input gradient once more, but has no Jacobian: that is F * L backward passes,
    run as one batch of F * L copies of every point.

    Args:
        layout: the grid.

    Raises:
        ConfigError: ``NSR_BACKEND=tcnn`` and it cannot be imported.
        ValueError: the grid is tiled.
    """

    def __init__(self, layout: GridLayout):
        tcnn_options(layout)  # refuses what it cannot build, wherever this runs
        self.layout = layout
        self.forced = backend.forced() == "tcnn"
        self._installed = False
        self._encoding: torch.nn.Module | None = None
        if backend.forced() in (None, "tcnn"):
            try:
                import tinycudann  # noqa: F401

                self._installed = True
            except (ImportError, OSError) as error:  # it raises OSError where there is no CUDA device
                if self.forced:
                    raise ConfigError(
                        f"NSR_BACKEND=tcnn, but tinycudann cannot be imported ({error}); install it, or unset "
                        "NSR_BACKEND"
                    ) from None
                backend.say_once(f"tinycudann is not available ({error}): the hash grid runs on nsr's own operator")

    def __call__(
        self, positions: torch.Tensor, table: torch.Tensor, layout: GridLayout, jacobian: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As ``hash_encode``."""
        if not self._installed or not _can_run_on(positions.device):
            if self.forced:
                raise ConfigError(
                    f"NSR_BACKEND=tcnn, but tiny-cuda-nn needs a CUDA device and this runs on "
                    f"{positions.device}; choose one with --gpu, or unset NSR_BACKEND"
                )
            if self._installed:
                backend.say_once(f"tinycudann needs a CUDA device: on {positions.device} nsr's own operator runs")
            return hash_encode(positions, table, layout, jacobian)
        if not jacobian:
            return self._run(positions, table), None
        return self._with_jacobian(positions, table)

    def _run(self, positions: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        if self._encoding is None:
            import tinycudann

            encoding = tinycudann.Encoding(3, tcnn_options(self.layout), dtype=torch.float32)
            table_from_tcnn(encoding.params, self.layout)  # says so where the grids differ
            self._encoding = encoding
        parameters = {"params": table.reshape(-1)}
        return torch.func.functional_call(self._encoding, parameters, (positions.clamp(0, 1),))

    def _with_jacobian(self, positions: torch.Tensor, table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        count, channels = positions.shape[0], self.layout.levels * self.layout.features
        keep_graph = torch.is_grad_enabled()
        with torch.enable_grad():
            copies = positions.repeat_interleave(channels, dim=0)
            if not copies.requires_grad:
                copies.requires_grad_(True)
            features = self._run(copies, table)
            one_each = torch.eye(channels, dtype=features.dtype, device=features.device).repeat(count, 1)
            (rows,) = torch.autograd.grad(features, copies, one_each, create_graph=keep_graph)
        features = features.view(count, channels, channels)[:, 0]
        if not keep_graph:
            features = features.detach()
        return features, rows.view(count, channels, 3)


def _can_run_on(device: torch.device) -> bool:
    return device.type == "cuda"
