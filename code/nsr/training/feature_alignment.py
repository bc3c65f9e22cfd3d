"""Rough cameras brought to agree with matched features and with the masks' outlines, before there is any surface.

Features say most where views are near each other, and outlines where they are not; both together are worth several
times as much as either.
"""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import torch

from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene
from nsr.scenes.similarity import align_poses
from nsr.training.bundle_adjustment import BundleAdjustment
from nsr.training.feature_tracks import features_of, find_tracks
from nsr.training.outline_alignment import outlines_of

logger = logging.getLogger("nsr")

FIRST_REACH = 0.06  # of the pictures' longer side, from the epipolar lines of rough cameras
REACH = 4.0  # pixels, from those of cameras that have been adjusted
NOISES = (2.0, 0.5, 0.3)  # pixels, of features, round by round; the last for all others
STEPS = 20  # of a round
FEWEST = 12  # observations, for each view on average: below it chance has too much to say


def with_features_aligned(scene: Scene, rounds: int) -> Scene:
    """The scene with the cameras of its training views adjusted; the others stay, and are not looked at."""
    views = scene.train_views
    images, masks = [scene.images[view] for view in views], [scene.masks[view] for view in views]
    poses = scene.cameras.poses.clone()
    poses[views] = align_features(images, masks, scene.cameras.select(views), rounds).poses
    return dataclasses.replace(scene, cameras=Cameras(scene.cameras.intrinsics, poses))


def align_features(
    images: list[torch.Tensor], masks: list[torch.Tensor], cameras: Cameras, rounds: int
) -> Cameras:
    """Adjust poses to features and outlines together, and match the features anew, ``rounds`` times.

    The frame is kept: a similarity brings the result back to where the given cameras are.  Not differentiable.

    Args:
        images: per view ``[H, W, 3]`` uint8 RGB; masks: ``[H, W]`` bool, features outside of which are not looked for.
        cameras: of the same views, in the normalised frame; intrinsics stay.

    Returns:
        cameras of the same dtype on the same device; the given ones where too few features match.
    """
    intrinsics = cameras.intrinsics.detach().cpu().double()
    start = cameras.poses.detach().cpu().double().numpy()
    found = [features_of(image.cpu().numpy(), mask.cpu().numpy()) for image, mask in zip(images, masks, strict=True)]
    outlines = outlines_of(masks, Cameras(intrinsics, torch.from_numpy(start)))
    poses, reach = start, FIRST_REACH * max(max(mask.shape) for mask in masks)
    for turn in range(rounds):
        tracks = find_tracks(found, intrinsics.numpy(), poses, reach)
        if len(tracks.views) < FEWEST * len(cameras):
            logger.warning(
                "features are not aligned: %d of them match in %d views, which is too few",
                len(tracks.views), len(cameras),
            )  # fmt: skip
            return cameras
        noise = NOISES[min(turn, len(NOISES) - 1)]
        problem = BundleAdjustment(Cameras(intrinsics, torch.from_numpy(poses)), tracks, noise, outlines)
        poses, _, errors = problem.solve(STEPS)
        reach = REACH
    logger.info(
        "features of %d views are aligned: %d points seen %d times, %.2f pixels (median) from where they project",
        len(cameras), tracks.count, len(tracks.views), np.median(errors),
    )  # fmt: skip
    poses = align_poses(poses, start).poses(poses)
    return Cameras(cameras.intrinsics, torch.from_numpy(poses).to(cameras.poses))
