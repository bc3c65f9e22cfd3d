"""Where a multiresolution grid keeps its levels: the definition of tiny-cuda-nn, as plain numbers.

Mueller et al., "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding" (SIGGRAPH 2022), section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

# Multipliers of the spatial hash (Teschner et al. 2003, with the first one 1 for locality along x).
HASH_PRIMES = (1, 2654435761, 805459861)


@dataclass(frozen=True)
class GridLayout:
    """Where each level of a multiresolution grid lives in one table.

    Args:
        levels: number of levels L.
        features: features F per table entry.
        log2_table: a level has at most ``2**log2_table`` entries; a larger one is hashed.
        base_resolution: resolution of the coarsest level.
        finest_resolution: resolution of the finest level; the levels between grow geometrically.
        interpolation: ``linear``, or ``smoothstep``: the weights ``3 f^2 - 2 f^3``, whose first derivatives are
            continuous across the faces between cells.
        storage: how a level that does not fit finds its entries: ``hash``, or ``tiled``: vertex ``(x, y, z)`` at
            ``x + y * resolution + z * resolution^2`` modulo the entries, leaving out an axis whose stride is larger
            than the table.
    """

    levels: int = 10
    features: int = 2
    log2_table: int = 17
    base_resolution: int = 16
    finest_resolution: int = 512
    interpolation: str = "linear"
    storage: str = "hash"
    scales: tuple[float, ...] = field(init=False)
    resolutions: tuple[int, ...] = field(init=False)
    sizes: tuple[int, ...] = field(init=False)

    def __post_init__(self):
        for name in ("levels", "features", "log2_table", "base_resolution"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.finest_resolution < self.base_resolution:
            raise ValueError(
                f"finest_resolution ({self.finest_resolution}) is below base_resolution ({self.base_resolution})"
            )
        for name, choices in (("interpolation", ("linear", "smoothstep")), ("storage", ("hash", "tiled"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be {' or '.join(choices)}, got {getattr(self, name)!r}")
        if self.log2_table > 30:
            raise ValueError(f"log2_table must be at most 30, got {self.log2_table}")
        growth = (self.finest_resolution / self.base_resolution) ** (1 / max(self.levels - 1, 1))
        scales = tuple(self.base_resolution * growth**level - 1 for level in range(self.levels))
        # The rounding guards against a last scale of 510.9999... becoming one cell more.
        resolutions = tuple(math.ceil(round(scale, 6)) + 1 for scale in scales)
        sizes = tuple(min(-(-(resolution**3) // 8) * 8, 2**self.log2_table) for resolution in resolutions)
        object.__setattr__(self, "scales", scales)
        object.__setattr__(self, "resolutions", resolutions)
        object.__setattr__(self, "sizes", sizes)
        if sum(sizes) >= 2**31:
            raise ValueError(f"a table of {sum(sizes)} entries is too large: fewer levels or a smaller log2_table")

    @property
    def entries(self) -> int:
        """Rows of the table."""
        return sum(self.sizes)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First row of each level."""
        return tuple(sum(self.sizes[:level]) for level in range(self.levels))

    def hashed(self, level: int) -> bool:
        """Whether a level has fewer entries than vertices, and is hashed or tiled rather than stored densely."""
        return self.resolutions[level] ** 3 > self.sizes[level]

    def strides(self, level: int) -> tuple[int, int]:
        """Strides of y and z in a level that is dense or tiled (that of x is 1); 0 where an axis is left out."""
        resolution, size = self.resolutions[level], self.sizes[level]
        return tuple(stride if stride <= size else 0 for stride in (resolution, resolution**2))
