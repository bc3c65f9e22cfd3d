"""Cameras of held-out views in runs that refined the others: nothing trains them, and their frame has moved."""

from __future__ import annotations

import torch

from nsr.config.schema import Config
from nsr.errors import ConfigError
from nsr.evaluation.camera_accuracy import reference_cameras
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene
from nsr.scenes.similarity import Similarity
from nsr.training.camera_optimisation import TrainableCameras
from nsr.training.losses import LossInputs, mask_bce, rgb_l1
from nsr.training.pixel_sampler import PixelSampler
from nsr.schedules import cosine

HELD_OUT = (CARRIED, REFINED) = ("carried", "refined")
STEPS = 150
RAYS = 512
RATE = 1e-3  # of the whitened motions at the start
MASK_WEIGHT = 10.0


def held_out_cameras(run, scene: Scene, alignment: Similarity, how: str = CARRIED) -> Cameras:
    """A run's cameras with those of the held-out views put into its frame.

    ``carried``: the cameras that ``cameras.npz`` has for them, moved by the similarity between that file's training
    cameras and the run's; their photographs are not looked at.  ``refined``: from there each is refined to its own
    photograph and mask with the surface and its colours as they are, which flatters it by what a camera can make good.

    Args:
        run: a loaded run with trained cameras.
        scene: as it was trained on.
        alignment: from the run's frame, in world units of the scene's own ``scale_mat``, to that of ``cameras.npz``.
        how: carried | refined.

    Returns:
        cameras of all views in the normalised frame of ``scene``, on the device of the run's.

    Raises:
        ConfigError: unknown ``how``; SceneError: ``cameras.npz`` cannot be read.
    """
    if how not in HELD_OUT:
        raise ConfigError(f"held-out cameras can be {' or '.join(HELD_OUT)}, not {how!r}")
    reference, reference_scale_mat = reference_cameras(scene)
    poses = Similarity.from_matrix(reference_scale_mat).poses(reference.poses.double().numpy())
    poses = Similarity.from_matrix(scene.scale_mat).inverse().poses(alignment.inverse().poses(poses))
    moved = run.cameras.poses.clone()
    moved[scene.heldout_views] = torch.from_numpy(poses[scene.heldout_views]).to(moved)
    cameras = Cameras(run.cameras.intrinsics, moved)
    if how == REFINED:
        for view in scene.heldout_views:
            moved[view] = refine_view(run.renderer, run.config, scene, cameras, view).poses[0]
    return cameras


def refine_view(renderer: SurfaceRenderer, config: Config, scene: Scene, cameras: Cameras, view: int) -> Cameras:
    """One view's camera, refined to its photograph and mask against fields that stay as they are.

    Args:
        renderer: finished; its parameters keep no gradients.
        config: of the run: where its rays are drawn.
        scene: its photograph and mask of ``view`` are read; cameras: of all views.

    Returns:
        one camera.
    """
    device = cameras.poses.device
    alone = Scene(scene.name, [scene.images[view]], [scene.masks[view]], scene.cameras, scene.scale_mat, [0])
    train = config.train
    sampler = PixelSampler(
        alone,
        device,
        min(train.pixels_anywhere, 0.5),
        tolerance=train.mask_tolerance,
        mixed_width=train.mixed_width,
    )
    camera = TrainableCameras(cameras.select([view]), "se3").to(device)
    (optimiser,) = camera.optimisers(RATE)
    nowhere = torch.empty(0, 3, device=device)
    with frozen(renderer), torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(view)
        for step in range(STEPS):
            optimiser.param_groups[0]["lr"] = RATE * cosine(step / STEPS)
            batch = sampler.draw(RAYS)
            rendering = renderer(*camera.rays(batch.views, batch.pixels), batch.mask, nowhere)
            inputs = LossInputs(rendering, batch, config.loss.alpha)
            loss = rgb_l1(inputs) + MASK_WEIGHT * mask_bce(inputs)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    return camera.current()


class frozen:
    """A context in which a module's parameters take no gradients."""

    def __init__(self, module: torch.nn.Module):
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]

    def __enter__(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *_) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)
