"""The training loop: pixels to rays to a rendering to named losses to a step of the optimiser."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
from functools import partial
from pathlib import Path

import torch

from nsr.config.schema import Config
from nsr.errors import CheckpointError, ConfigError, NsrError
from nsr.rendering.model import build_renderer
from nsr.rendering.surface import SurfaceRendering
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene
from nsr.scenes.visual_hull import VisualHull
from nsr.schedules import cosine, milestones, ramp
from nsr.seeding import seed_everything
from nsr.training.camera_optimisation import TrainableCameras
from nsr.training.carving import Carving
from nsr.training.checkpoints import load_checkpoint, save_checkpoint
from nsr.training.clock import Clock, peak_memory_mb
from nsr.training.feature_alignment import with_features_aligned
from nsr.training.fine_levels import check_fine_levels, stencil_step
from nsr.training.found_masks import find_masks, pack_masks, uncertain_width, unpack_masks
from nsr.training.interrupt import delayed_interrupt
from nsr.training.logs import RunLog
from nsr.training.losses import (
    LossInputs,
    LossTerm,
    make_loss_terms,
    make_volume_terms,
    mask_alpha,
    sparse_points_weight,
)
from nsr.training.optimisers import WAITS, field_optimisers
from nsr.training.photometric import PhotometricConsistency, patch_level, photometric_weight
from nsr.training.outline_alignment import with_outlines_aligned
from nsr.training.pixel_sampler import PixelSampler
from nsr.training.plots import draw_plots
from nsr.training.prior_terms import PriorTerms
from nsr.training.run import renderer_state, restore_renderer
from nsr.training.sparse_surface import SparseSurface
from nsr.training.stages import Stages, without_masks
from nsr.training.start import assess_and_carve, rough_surface, start_renderer
from nsr.training.surface_alignment import SurfaceAlignment

logger = logging.getLogger("nsr")

SCHEDULES = ("milestones", "cosine")
TABLE_UPDATES = ("all", "touched")
LOG_EVERY = 20  # steps


def train(
    config: Config,
    scene: Scene,
    run_folder: Path,
    device: torch.device,
    resume: Path | None = None,
    progress: bool = True,
) -> Path:
    """Train to the end of the run, or to Ctrl-C.

    Args:
        config: resolved; its ``train.steps`` or ``train.minutes`` is the length.
        scene: only its training views are looked at.
        run_folder: an existing run folder; checkpoints, plots and logs go there.
        device: everything runs there.
        resume: a checkpoint file to continue from, bit for bit on the CPU when the length is in steps.
        progress: show a progress bar.

    Returns:
        the last checkpoint.

    Raises:
        NsrError: the conf or the checkpoint cannot be used, a loss is not finite, or the disk is full.
        KeyboardInterrupt: after Ctrl-C, once the checkpoint is written.
    """
    torch.set_flush_denormal(True)
    trainer = Trainer(config, scene, device, resume)
    return trainer.run(Path(run_folder), progress)


class Trainer:
    """Everything a run holds, and one method for one step.

    Args:
        config, scene, device: as in ``train``.
        resume: a checkpoint file, or None for a fresh start.
    """

    def __init__(self, config: Config, scene: Scene, device: torch.device, resume: Path | None = None):
        if config.train.schedule not in SCHEDULES:
            raise ConfigError(f"train.schedule is {config.train.schedule!r}; known are {', '.join(SCHEDULES)}")
        if not scene.train_views:
            raise ConfigError(f"{scene.name}: every view is held out; raise dataset.heldout_every or set it to 0")
        masked = not without_masks(config, scene)
        if not masked:
            scene = dataclasses.replace(scene, masks=[torch.ones_like(mask) for mask in scene.masks])
        elif config.train.train_cameras and config.train.outline_alignment:
            scene = with_outlines_aligned(scene, config.train.outline_alignment)
        if config.train.train_cameras and config.train.feature_alignment:
            scene = with_features_aligned(scene, config.train.feature_alignment)
        if config.train.table_updates not in TABLE_UPDATES:
            raise ConfigError(
                f"train.table_updates is {config.train.table_updates!r}; known are {', '.join(TABLE_UPDATES)}"
            )
        self.config, self.scene, self.device = config, scene, device
        self.clock = Clock(config.train)
        self.terms, self.volume_terms = make_loss_terms(config), make_volume_terms(config, masked)
        seed_everything(config.train.seed)
        state = load_checkpoint(resume, device) if resume else None
        if state and "optimisers" not in state:
            raise CheckpointError(f"{resume}: packed to be looked at; training continues from the original run only")
        trust, hull = assess_and_carve(config, scene, device, masked)
        self.hull: VisualHull | None = hull
        for remark in trust.remarks if trust else ():
            logger.warning("%s", remark)
        if self.hull and config.train.train_cameras and config.train.camera_noise == 0:
            logger.warning(
                "the visual hull is carved with the cameras as they are before training; where they are rough, start "
                "from the sphere (train.init = sphere, model.ray_tracer.hull_margin = 0, loss.silhouette_weight = 0) "
                "or say how rough: train.camera_noise = 0.02"
            )
        self.masked, self.margin = masked, 0.0 if masked else config.volume.margin
        self.found_masks: list[torch.Tensor] | None = None
        if not masked and self.margin == 0:
            self.terms = [term for term in self.terms if term.name != "silhouette"]  # nothing is proven
        self.hull_points = self.hull.surface_points() if self.hull else None
        if state:
            self.renderer = build_renderer(config.model, background=not masked).to(device)
            restore_renderer(self.renderer, state["renderer"], resume)
        else:
            self.renderer = start_renderer(config, self.hull, device, masked)
        check_fine_levels(config, self.renderer.sdf)
        self.stages = Stages(config, self.renderer, masked)
        self.given_cameras = Cameras(scene.cameras.intrinsics, scene.cameras.poses).to(device, torch.float32)
        self.trained_cameras = (
            TrainableCameras(self.given_cameras, config.train.camera_parameters, config.train.train_focal_length)
            if config.train.train_cameras
            else None
        )
        self.excluded = trust.excluded_pixels(scene, hull) if trust else None
        self.sampler = self._make_sampler()
        if config.photometric.weight > 0:
            points, normals = rough_surface(config, self.hull, device)
            self.photometric = PhotometricConsistency(scene, config.photometric, points, normals, device)
            weight = partial(photometric_weight, config.photometric)
            term = LossTerm("photometric", weight, self._compare_patches)
            self.terms.append(term)
            self.volume_terms.append(term)
        self.carving = Carving(device) if not masked and config.volume.carving > 0 else None
        if self.carving:
            self.volume_terms.append(LossTerm("carving", lambda _: config.volume.carving, self._carve))
        self.sparse_surface = SparseSurface.of_scene(scene, device) if config.loss.sparse_points_weight > 0 else None
        if self.sparse_surface:
            term = LossTerm("sparse_points", partial(sparse_points_weight, config), self._meet_sparse_points)
            self.terms.append(term)
            self.volume_terms.append(term)
        self.priors = PriorTerms.of_config(config, scene, device)
        if self.priors:
            self.terms += self.priors.terms
            self.volume_terms += self.priors.volume_terms
        self.alignments_done = 0
        self.surface_alignment = (
            SurfaceAlignment(scene, device) if self.trained_cameras and config.train.surface_alignment else None
        )
        self.camera_optimisers: list[torch.optim.Optimizer] = []
        self.optimisers, self.base_rates = self._make_optimisers()
        if state:
            self._restore(state, resume)
        if not masked:
            way = "the volume renderer trains with a background outside the unit sphere"
            if self.found_masks:
                way = "silhouettes of what has formed serve as masks"
            logger.info("%s: no masks are used: %s", scene.name, way)

    @property
    def cameras(self) -> Cameras:
        """As they are now, refined where they are trained; without gradients."""
        return self.trained_cameras.current() if self.trained_cameras else self.given_cameras

    @property
    def num_pixels(self) -> int:
        """Rays of a step in the present stage."""
        return self.config.volume.num_pixels if self.stages.volumetric else self.config.train.num_pixels

    def run(self, run_folder: Path, progress: bool = True) -> Path:
        """Train until the clock runs out; returns the last checkpoint."""
        config, clock = self.config.train, self.clock
        clock.start()
        next_plot = _next_mark(clock.progress, config.plot_freq)
        next_checkpoint = _next_mark(clock.progress, config.checkpoint_freq)
        checkpoint = None
        with RunLog(run_folder, clock, progress) as log, delayed_interrupt() as interrupted:
            while (clock.step == 0 or not clock.finished) and not interrupted:
                losses = self.step()
                if clock.step % LOG_EVERY == 0 or clock.finished:
                    figures = {name: float(value) for name, value in losses.items()}
                    log.write(figures | {"psnr": self.batch_psnr()}, self.num_pixels)
                    self._need_finite(losses)
                if clock.progress >= next_checkpoint and not clock.finished:
                    checkpoint = self.save(run_folder)
                    next_checkpoint = _next_mark(clock.progress, config.checkpoint_freq)
                if clock.progress >= next_plot:
                    draw_plots(run_folder, self)
                    next_plot = _next_mark(clock.progress, config.plot_freq)
            checkpoint = self.save(run_folder)
            if interrupted:
                raise KeyboardInterrupt(f"stopped at step {clock.step}; continue with --is_continue from {checkpoint}")
        return checkpoint

    def step(self) -> dict[str, torch.Tensor]:
        """One step of the optimiser; returns every weighted term by name, and their ``total``."""
        progress = self.clock.progress
        self.renderer.set_progress(ramp(progress, self.config.train.levels_open, self.config.train.levels_from))
        self.stages.set_progress(progress)
        volumetric = self.stages.volumetric
        if not (volumetric or self.masked or self.found_masks):
            self._use_masks(find_masks(self.renderer, self.cameras, self.scene))
        self._set_rates(progress)
        self._align_to_surface(progress)
        batch = self.sampler.draw(self.num_pixels)
        rays = self.trained_cameras or self.given_cameras
        origins, directions = rays.rays(batch.views, batch.pixels)
        free_points, free_bound = self._free_points(self.num_pixels // 2)
        prior = None
        if self.priors:
            prior = self.priors.draw(batch, origins, directions, len(free_points), progress, self.trained_cameras)
        asked = free_points if prior is None else torch.cat([free_points, prior.points])
        if volumetric:
            rendering = self.stages.volume(origins, directions, batch.mask, asked)
        else:
            neighbours = self.config.loss.smoothness_distance if self.config.loss.smoothness_weight > 0 else 0.0
            rendering = self.renderer(origins, directions, batch.mask, asked, neighbours)
        loss, sdf = self.config.loss, self.renderer.sdf
        step = stencil_step(sdf, self.config) if loss.curvature_weight > 0 or loss.numerical_eikonal else 0.0
        inputs = LossInputs(
            rendering,
            batch,
            mask_alpha(self.config, progress),
            free_bound,
            sdf,
            free_points,
            step,
            loss.fine_points,
            prior,
        )
        losses = {}
        for term in self.volume_terms if volumetric else self.terms:
            weight = term.weight(progress)
            losses[term.name] = weight * term.function(inputs) if weight > 0 else origins.new_zeros(())
        total = sum(losses.values())
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        # Clipping needs every gradient in its place.
        clips = self.config.train.gradient_clip > 0
        with contextlib.nullcontext() if clips or not self.table_optimiser else self.table_optimiser.collecting():
            total.backward()
        if self.config.train.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(self.renderer.parameters(), self.config.train.gradient_clip)
        for optimiser in self.optimisers:
            optimiser.step()
        if volumetric:
            self.stages.observe(self.clock.step, self.renderer, origins, directions, batch, rendering)
        self.clock.step += 1
        detached = {name: value.detach() for name, value in losses.items()}
        # The log has the same columns in every stage.
        if self.stages.staged:
            idle = [term.name for term in (*self.terms, *self.volume_terms) if term.name not in detached]
            detached.update({name: total.new_zeros(()) for name in idle})
        self.seen = (rendering.rgb.detach(), batch.rgb[rendering.surface])
        return {**detached, "total": total.detach()}

    def batch_psnr(self) -> float:
        """PSNR (dB) over the rays that the last step shaded, colours in [0, 1] as in pictures."""
        rendered, photographs = self.seen
        return float(-10 * torch.log10(((rendered.clamp(-1, 1) - photographs) / 2).square().mean()))

    def save(self, run_folder: Path) -> Path:
        """Write a checkpoint of everything.

        Raises:
            NsrError: the training diverged; such a state would only take the place of the last good one.
            CheckpointError: it cannot be written.
        """
        self._need_finite(dict(self.renderer.named_parameters()))
        clock, cameras = self.clock, self.cameras
        opened = ramp(clock.progress, self.config.train.levels_open, self.config.train.levels_from)
        state = {
            "step": clock.step,
            "train_seconds": clock.elapsed,
            "prepared_seconds": clock.prepared,
            "peak_memory_mb": peak_memory_mb(),
            "renderer": renderer_state(self.renderer, opened),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "intrinsics": cameras.intrinsics,
            "poses": cameras.poses,
            "stages": self.stages.state(),
            "found_masks": pack_masks(self.found_masks) if self.found_masks else None,
            "camera_vectors": self.trained_cameras.state_dict() if self.trained_cameras else None,
            "carving": self.carving.errors if self.carving else None,
            "alignments_done": self.alignments_done,
            # Everything random in a step draws from torch's generators.
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }
        return save_checkpoint(run_folder, clock.step, state)

    def _restore(self, state: dict, path: Path) -> None:
        self.stages.restore(state.get("stages"), path)
        groups = [len(saved["param_groups"]) for saved in state["optimisers"]]
        if groups != [len(optimiser.param_groups) for optimiser in self.optimisers]:
            raise CheckpointError(
                f"{path}: cameras were trained in one of the two runs and not in the other, or the tables were updated "
                f"otherwise (train.train_cameras, train.table_updates), or an earlier version wrote it"
            )
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        if self.trained_cameras:
            saved_views = len(state["poses"])
            if saved_views != len(self.scene):
                raise CheckpointError(
                    f"{path}: its cameras are of {saved_views} views, {self.scene.name} has {len(self.scene)}"
                )
            self.trained_cameras.load_state_dict(state["camera_vectors"])
        if state.get("found_masks"):
            self._use_masks(unpack_masks(state["found_masks"], self.scene, path))
        if self.carving and state.get("carving") is not None:
            self.carving.errors.copy_(state["carving"])
        self.alignments_done = state.get("alignments_done", 0)
        self.clock.step, self.clock.spent_before = state["step"], state["train_seconds"]
        self.clock.prepared = state.get("prepared_seconds", 0.0)
        torch.set_rng_state(state["random"].cpu())
        if self.device.type == "cuda" and state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.device)

    def _make_optimisers(self) -> tuple[list[torch.optim.Optimizer], list[list[float]]]:
        density = self.stages.volume.density if self.stages.volume is not None else None
        optimisers, self.table_optimiser = field_optimisers(self.config.train, self.renderer, density)
        if self.trained_cameras:
            self.camera_optimisers = self.trained_cameras.optimisers(self.config.train.learning_rate_cam)
            optimisers += self.camera_optimisers
        return optimisers, [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]

    def _set_rates(self, progress: float) -> None:
        train = self.config.train
        if train.schedule == "cosine":
            factor = cosine(progress, train.final_rate)
        else:
            factor = milestones(progress, train.sched_milestones, train.sched_factor)
        if self.stages.volumetric:
            factor *= self.config.volume.rate
        of_cameras = cosine(progress, train.final_rate_cam) if progress >= train.cameras_from else 0.0
        for optimiser, bases in zip(self.optimisers, self.base_rates):
            for group, base in zip(optimiser.param_groups, bases):
                group["lr"] = base * (of_cameras if optimiser in self.camera_optimisers else factor)
                if group.get(WAITS):
                    group["lr"] *= ramp(progress, self.config.volume.warm_up)

    def _align_to_surface(self, progress: float) -> None:
        """Adjust the cameras to the surface where the run has come to one of the times for it."""
        due = sum(progress >= mark for mark in self.config.train.surface_alignment)
        if self.surface_alignment is None or due <= self.alignments_done:
            return
        self.alignments_done = due
        views = self.scene.train_views
        aligned = self.surface_alignment(self.renderer, self.cameras.select(views))
        self.trained_cameras.place(views, aligned.poses)
        for optimiser in self.camera_optimisers:
            optimiser.state.clear()  # its moments are of other cameras

    def _free_points(self, count: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Points for the eikonal term, uniform in [-1, 1]^3 as in IDR; with a hull, half of them lie near it, and
        all come with the lower bound of the SDF there.  Without masks the unit sphere, less a margin, stands for it."""
        uniform = torch.rand(count, 3, device=self.device) * 2 - 1
        if self.hull is None:
            return uniform, self._beyond(uniform) if self.margin > 0 else None
        half = count // 2
        chosen = torch.randint(len(self.hull_points), (half,), device=self.device)
        near = self.hull_points[chosen] + 0.05 * torch.randn(half, 3, device=self.device)
        points = torch.cat([uniform[half:], near.clamp(-1, 1)])
        value = self.hull.value(points)
        # Half a cell is taken off for the interpolation, which overstates the distance beside convex outlines.
        proven = value - 1 / self.hull.resolution
        return points, torch.where(value > 0, proven, torch.full_like(value, -math.inf))

    def _make_sampler(self) -> PixelSampler:
        train = self.config.train
        tolerance, mixed_width = train.mask_tolerance, train.mixed_width
        if self.found_masks:  # which end inside the outline
            tolerance, mixed_width = max(tolerance, uncertain_width(self.scene)), 0.0
        return PixelSampler(
            self.scene,
            self.device,
            train.pixels_anywhere,
            tolerance=tolerance,
            mixed_width=mixed_width,
            excluded=self.excluded,
        )

    def _use_masks(self, masks: list[torch.Tensor]) -> None:
        """Draw pixels and compare patches by these masks from now on."""
        self.found_masks = masks
        self.scene = dataclasses.replace(self.scene, masks=list(masks))
        self.sampler = self._make_sampler()
        if self.config.photometric.weight > 0:
            self.photometric.cut(self.scene, self.device)

    def _beyond(self, points: torch.Tensor) -> torch.Tensor:
        """How far points ``[N, 3]`` are outside the unit sphere less its margin; minus infinity inside."""
        distance = points.norm(dim=1) - (1 - self.margin)
        return torch.where(distance > 0, distance, torch.full_like(distance, -math.inf))

    def _compare_patches(self, inputs: LossInputs) -> torch.Tensor:
        """Photometric consistency at the batch's surface points; the volume stage traces some rays for it."""
        cameras, batch, rendering = self.trained_cameras or self.given_cameras, inputs.batch, inputs.rendering
        if isinstance(rendering, SurfaceRendering):
            rays = rendering.surface
            points, normals = rendering.surface_points, rendering.gradients[rays]
        else:
            # Without masks most rays see what is behind the object.
            inside = (batch.mask & rendering.hit).nonzero().squeeze(1)[: self.config.photometric.rays]
            found, points, normals = self.renderer.intersect(*cameras.rays(batch.views[inside], batch.pixels[inside]))
            rays = inside[found]
        level = patch_level(self.config.photometric, self.clock.progress)
        return self.photometric(rays, points, normals, batch, cameras, self.renderer.trace, level)

    def _carve(self, inputs: LossInputs) -> torch.Tensor:
        return self.carving(inputs.rendering, inputs.batch, self.stages.of_volume(self.clock.progress))

    def _meet_sparse_points(self, _: LossInputs) -> torch.Tensor:
        return self.sparse_surface(self.renderer.sdf.value)

    def _need_finite(self, values: dict[str, torch.Tensor]) -> None:
        bad = [name for name, value in values.items() if not torch.isfinite(value).all()]
        if bad:
            raise NsrError(
                f"the training diverged: {bad[0]} is not finite at step {self.clock.step}; lower train.learning_rate, "
                f"or set train.gradient_clip = 1"
            )


def _next_mark(progress: float, spacing: float) -> float:
    """The next multiple of ``spacing`` after ``progress``; never, where the spacing is 0."""
    return (math.floor(progress / spacing + 1e-9) + 1) * spacing if spacing > 0 else math.inf
