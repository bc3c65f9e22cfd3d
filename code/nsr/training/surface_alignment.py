"""Cameras adjusted to patches that the surface carries from view to view, in the midst of a run.

Once there is a surface, it tells what a patch of one photograph looks like in another, so that the place is found there
to a small part of a pixel; cameras and points are then adjusted to those places (Furukawa and Ponce, "Accurate camera
calibration from multi-view stereo and bundle adjustment", 2009).  Thousands of places at once say more than the colours
of a batch do, and the solution does not depend on a rate.
"""

from __future__ import annotations

import logging

import cv2
import numpy as np
import torch

from nsr.ops.image_patches_torch import normalised_cross_correlation, patch_offsets
from nsr.rendering.image_pyramid import ImagePyramid
from nsr.rendering.occlusion import in_sight
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene
from nsr.scenes.similarity import align_poses
from nsr.training.bundle_adjustment import BundleAdjustment
from nsr.training.feature_tracks import FeatureTracks
from nsr.training.outline_alignment import outlines_of
from nsr.training.source_views import choose_source_views

logger = logging.getLogger("nsr")

CORNERS = 250  # of each photograph, at most
QUALITY = 0.02  # of a photograph's best corner
SPACING = 4  # pixels between corners
PATCH = 9  # samples along a patch's side, a pixel apart
SOURCES = 8  # views in which a patch is looked for
LEAST_COSINE = 0.4  # between the surface's normal and the way to a view
CLEARANCE = 0.01  # above the surface, from where occlusion is traced
CHUNK = 4096  # patches at once
STEPS = 6  # of the search for a patch
FARTHEST = 3.0  # pixels from where it should be
SETTLED = 0.1  # pixels: the last step is no longer
ALIKE = 0.85  # correlation
NOISE = 0.2  # pixels
FEWEST = 20  # observations, for each view on average
ADJUSTMENTS = 15  # steps of the bundle adjustment


class SurfaceAlignment:
    """Finds places of the surface in the photographs, and adjusts cameras to them and to the masks' outlines.

    Args:
        scene: its training views alone are looked at.
        device: of the renderer that will be given.

    Attributes:
        corners: pixels ``[N, 2]`` of patches, with strong gradients in both directions; views: ``[N]`` int64, whose,
            among the training views.
    """

    def __init__(self, scene: Scene, device: torch.device | str = "cpu"):
        images = [scene.images[view] for view in scene.train_views]
        self.masks = [scene.masks[view] for view in scene.train_views]
        self.pyramid = ImagePyramid(images, self.masks, levels=1, device=device)
        found = [_corners(image.cpu().numpy(), mask.cpu().numpy()) for image, mask in zip(images, self.masks)]
        self.views = torch.repeat_interleave(torch.tensor([len(each) for each in found])).to(device)
        self.corners = torch.from_numpy(np.concatenate(found)).to(device, torch.float32)

    def __call__(self, renderer: SurfaceRenderer, cameras: Cameras) -> Cameras:
        """Adjusted cameras, in the frame of the given ones; those where too few places are found.

        Args:
            renderer: of the surface as it is, to which the cameras nearly belong.
            cameras: of the training views, in the normalised frame, on the renderer's device.
        """
        tracks = self.find_tracks(renderer, cameras)
        if len(tracks.views) < FEWEST * len(cameras):
            logger.warning(
                "cameras are not adjusted to the surface: %d places of it are found in other views, which is too few",
                len(tracks.views) - tracks.count,
            )
            return cameras
        start = cameras.poses.detach().cpu().double()
        intrinsics = cameras.intrinsics.detach().cpu().double()
        outlines = outlines_of(self.masks, Cameras(intrinsics, start))
        poses, _, errors = BundleAdjustment(Cameras(intrinsics, start), tracks, NOISE, outlines).solve(ADJUSTMENTS)
        poses = align_poses(poses, start.numpy()).poses(poses)
        logger.info(
            "cameras are adjusted to %d places of the surface, seen %d times, %.2f pixels (median) off",
            tracks.count, len(tracks.views), np.median(errors),
        )  # fmt: skip
        return Cameras(cameras.intrinsics, torch.from_numpy(poses).to(cameras.poses))

    @torch.no_grad()
    def find_tracks(self, renderer: SurfaceRenderer, cameras: Cameras) -> FeatureTracks:
        """Corners of the photographs and where they are in other views; what occludes is the surface itself."""
        rays, points, normals = renderer.intersect(*cameras.rays(self.views, self.corners))
        normals = torch.nn.functional.normalize(normals, dim=1)
        views, corners = self.views[rays], self.corners[rays]
        sizes = [tuple(mask.shape) for mask in self.masks]
        sources = choose_source_views(cameras, sizes, points, normals, SOURCES)[views]
        patch, place = (sources >= 0).nonzero(as_tuple=True)
        source = sources[patch, place]
        towards = torch.nn.functional.normalize(cameras.centres[source] - points[patch], dim=1)
        facing = ((towards * normals[patch]).sum(1) > LEAST_COSINE).nonzero().squeeze(1)
        patch, source = patch[facing], source[facing]
        free = in_sight(renderer.trace, points[patch], normals[patch], cameras.centres[source], CLEARANCE)
        patch, source = patch[free], source[free]
        offsets = patch_offsets(PATCH, 1.0, points.device)
        pixels = corners.unsqueeze(1) + offsets
        reference, whole = self._values(views, pixels)
        surface, met = _surface_patches(renderer, cameras, views, pixels)
        parts = zip(patch.split(CHUNK), source.split(CHUNK), strict=True)
        at, found = map(torch.cat, zip(*(self._search(cameras, reference[p], s, surface[p]) for p, s in parts)))
        found = (found & (whole & met)[patch]).nonzero().squeeze(1)
        patch, source, at = patch[found], source[found], at[found]
        seen, point = patch.unique(return_inverse=True)
        count = torch.arange(len(seen), device=point.device)
        return FeatureTracks(
            torch.cat([count, point]).cpu().numpy(),
            torch.cat([views[seen], source]).cpu().numpy(),
            torch.cat([corners[seen], at]).cpu().double().numpy(),
        )

    def _search(
        self, cameras: Cameras, reference: torch.Tensor, source: torch.Tensor, surface: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels ``[Q, 2]`` at which sources ``[Q]`` see the middles of patches, and which are found.

        From where the patches' points ``surface [Q, P, 3]`` project, Gauss-Newton steps (Lucas and Kanade 1981) for a
        shift, with a gain and an offset of brightness, make them like the grey values ``reference [Q, P]``.
        """
        warped, depth = cameras.project(source.repeat_interleave(surface.shape[1]), surface.flatten(0, 1))
        warped, in_front = warped.view(*surface.shape[:2], 2), (depth > 0).view(surface.shape[:2]).all(1)
        shift = torch.zeros_like(warped[:, 0])
        step = torch.full_like(shift, torch.inf)
        for _ in range(STEPS):
            at = warped + shift.unsqueeze(1)
            slopes = [
                self._values(source, at + half)[0] - self._values(source, at - half)[0]
                for half in (at.new_tensor([0.5, 0.0]), at.new_tensor([0.0, 0.5]))
            ]
            values = self._values(source, at)[0]
            design = torch.stack([values, torch.ones_like(values), *slopes], dim=2).double()
            normal = design.transpose(1, 2) @ design
            damping = 1e-6 * (normal.diagonal(dim1=1, dim2=2) + 1)
            right = design.transpose(1, 2) @ reference.double().unsqueeze(2)
            solved = torch.linalg.solve(normal + torch.diag_embed(damping), right).squeeze(2)
            gain = solved[:, :1].clamp_min(0.1)
            step = (solved[:, 2:] / gain).clamp(-1, 1).to(shift)
            shift = shift + step
        values, whole = self._values(source, warped + shift.unsqueeze(1))
        alike = normalised_cross_correlation(reference.unsqueeze(2), values.unsqueeze(2))
        settled = (step.norm(dim=1) <= SETTLED) & (shift.norm(dim=1) <= FARTHEST)
        return warped[:, surface.shape[1] // 2] + shift, in_front & whole & settled & (alike >= ALIKE)

    def _values(self, views: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Grey values ``[Q, P]`` at ``pixels [Q, P, 2]``, and which patches lie all on the object."""
        values, inside = self.pyramid.sample(views, torch.zeros_like(views), pixels)
        return values.squeeze(2), inside.all(1)


def _surface_patches(
    renderer: SurfaceRenderer, cameras: Cameras, views: torch.Tensor, pixels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the rays of ``pixels [N, P, 2]`` meet the surface, ``[N, P, 3]``, and which patches ``[N]`` all do."""
    points, met = [], []
    for seen_by, at in zip(views.split(CHUNK), pixels.split(CHUNK)):
        origins, directions = cameras.rays(seen_by.repeat_interleave(at.shape[1]), at.flatten(0, 1))
        trace = renderer.trace(origins, directions)
        points.append((origins + trace.depth.unsqueeze(1) * directions).view(*at.shape[:2], 3))
        met.append(trace.hit.view(at.shape[:2]).all(1))
    return torch.cat(points), torch.cat(met)


def _corners(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``[N, 2]`` (u, v) pixels with strong gradients both ways (Shi and Tomasi 1994), whose patches lie in the mask."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((PATCH + 4, PATCH + 4), np.uint8), borderValue=0)
    found = cv2.goodFeaturesToTrack(grey, CORNERS, QUALITY, SPACING, mask=inner, blockSize=5)
    return np.zeros((0, 2)) if found is None else found.reshape(-1, 2)
