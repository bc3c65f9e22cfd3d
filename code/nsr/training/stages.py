"""The stages of a run: with the volume renderer, with the surface renderer, or with the one and then the other."""

from __future__ import annotations

import logging
import math

import torch

from nsr.config.schema import Config
from nsr.errors import CheckpointError, ConfigError
from nsr.rendering.surface import SurfaceRenderer
from nsr.rendering.volume import VolumeRenderer, VolumeRendering
from nsr.scenes.scene import Scene
from nsr.training.pixel_sampler import PixelBatch

logger = logging.getLogger("nsr")

RENDERERS = ("surface", "volume", "staged")
MEASURE_EVERY = 20  # steps between two looks at how well the surface renderer agrees
SMOOTHING = 0.8  # of what they find: a batch is a small sample
WINDOW = 0.1  # of the run, over which the fall of the error is measured

_MEASURED = ("ratio", "error", "fall", "window_start", "window_error")


def without_masks(config: Config, scene: Scene) -> bool:
    """Whether a run has nothing to learn from masks: the conf says so, or each training view's mask is full."""
    return not (config.train.use_masks and scene.masked)


class Stages:
    """Which renderer trains now, and when the next takes over.

    A staged run leaves the volume renderer when two things have been measured: its colour error has stopped to fall
    (by less than ``volume.plateau`` over a tenth of the run), and the surface renderer, on the same rays, is off by no
    more than ``volume.agreement`` times as much: then the density has become a surface, and what the volume knows the
    surface knows.  It does so within ``volume.earliest`` and ``volume.latest``.

    Args:
        config: names the renderers.
        renderer: the surface renderer; the volume renderer sees its fields.
        masked: the scene has masks; without them every run starts with the volume renderer, for nothing else tells the
            object from what is behind it, and leaves it at ``volume.latest``, when what has formed gives the masks,
            unless the conf asks for the volume renderer alone.

    Attributes:
        volume: the volume renderer, or None in runs that never use it.
        volumetric: whether it trains now.
        ratio: surface's colour error over the volume's, smoothed; error: the volume's, likewise; None before they are
            measured.
        fall: by what part the error fell over the last whole window, or None.

    Raises:
        ConfigError: an unknown renderer or density.
    """

    def __init__(self, config: Config, renderer: SurfaceRenderer, masked: bool):
        kind = config.train.renderer
        if not masked and kind == "surface":
            kind = "staged"
        if config.train.renderer not in RENDERERS:
            raise ConfigError(f"train.renderer is {config.train.renderer!r}; known are {', '.join(RENDERERS)}")
        self.config, self.masked = config.volume, masked
        self.staged = kind == "staged"
        self.volumetric = kind != "surface"
        device = next(renderer.parameters()).device
        self.volume = VolumeRenderer(renderer, config.volume).to(device) if self.volumetric else None
        self.ratio: float | None = None
        self.error: float | None = None
        self.fall: float | None = None
        self.window_start, self.window_error = 0.0, math.inf

    def set_progress(self, progress: float) -> None:
        """Take the progress of the run before a step; ends the volume stage where it is time."""
        if not self.volumetric:
            return
        self.volume.surface.view_dependent = progress >= self.config.directions_from
        self.volume.surface.reflects = False  # most normals are not of the surface yet
        self.volume.density.set_progress(self.of_volume(progress))
        if not self._ends:
            return
        if progress - self.window_start >= WINDOW - 1e-9 and self.error is not None:
            self.fall = 1 - self.error / self.window_error if self.window_error < math.inf else None
            self.window_start, self.window_error = progress, self.error
        agrees = self.ratio is not None and self.ratio <= self.config.agreement
        rests = self.fall is not None and self.fall < self.config.plateau
        if (agrees and rests and progress >= self.config.earliest) or progress >= self.config.latest:
            self.volumetric = False
            self.volume.surface.view_dependent = self.volume.surface.reflects = True
            if not self.masked:
                logger.info("from %.0f %% of the run on, silhouettes of what has formed serve as masks", 100 * progress)
                return
            logger.info(
                "from %.0f %% of the run on the surface renderer trains: its colour error over the volume renderer's "
                "is %s, which fell by %s over the last tenth of the run; the sharpness is %.0f",
                100 * progress, _figure(self.ratio), _figure(self.fall), self.volume.density.sharpness.item(),
            )  # fmt: skip

    def of_volume(self, progress: float) -> float:
        """The progress of the volume stage, 0 at its start to 1 at its latest end, at a progress of the run."""
        return min(progress / self.config.latest, 1.0) if self._ends else progress

    @property
    def _ends(self) -> bool:
        return self.staged and self.config.latest > 0

    @torch.no_grad()
    def observe(
        self,
        step: int,
        renderer: SurfaceRenderer,
        origins: torch.Tensor,
        directions: torch.Tensor,
        batch: PixelBatch,
        rendering: VolumeRendering,
    ) -> None:
        """Now and then, compare the two renderers' colour errors on the rays that a step of the volume stage shaded."""
        if not self._ends or not self.masked or step % MEASURE_EVERY:
            return
        rays = rendering.surface
        target = batch.rgb[rays]
        origins, directions = origins.detach()[rays], directions.detach()[rays]
        trace = renderer.trace(origins, directions)
        colours = torch.full_like(target, -1.0)
        found = trace.hit.nonzero().squeeze(1)
        if len(found):
            points = origins[found] + trace.depth[found].unsqueeze(1) * directions[found]
            colours[found] = renderer.shade(points, directions[found])
        volume_error = float((rendering.rgb - target).abs().mean())
        ratio = float((colours - target).abs().mean()) / max(volume_error, 1e-9)
        self.ratio, self.error = _smoothed(self.ratio, ratio), _smoothed(self.error, volume_error)

    def state(self) -> dict | None:
        """What a checkpoint holds; None in runs without a volume stage."""
        if self.volume is None:
            return None
        measured = {name: getattr(self, name) for name in _MEASURED}
        return {"volumetric": self.volumetric, **measured, "density": self.volume.density.state_dict()}

    def restore(self, state: dict | None, path) -> None:
        """Go on as saved.

        Raises:
            CheckpointError: the saved run had a volume stage where this one has none, or the other way round.
        """
        if (state is None) != (self.volume is None):
            raise CheckpointError(
                f"{path}: the volume renderer trained in one of the two runs and not in the other (train.renderer)"
            )
        if state is not None:
            self.volumetric = state["volumetric"]
            for name in _MEASURED:
                setattr(self, name, state[name])
            self.volume.density.load_state_dict(state["density"])


def _smoothed(before: float | None, value: float) -> float:
    return value if before is None else SMOOTHING * before + (1 - SMOOTHING) * value


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"
