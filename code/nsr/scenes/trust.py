"""How far each training view is to be believed: its mask by what the others say, its picture by how it was taken."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch

from nsr.scenes.cameras import Cameras
from nsr.scenes.coherence import Coherence, compare_masks
from nsr.scenes.judgements import blurred_views, duplicate_views, overexposed_views
from nsr.scenes.scene import Scene
from nsr.scenes.silhouettes import Silhouettes
from nsr.scenes.view_facts import measure_view
from nsr.scenes.visual_hull import VisualHull

GROSS = 0.08  # a mask that leaves out more than this (units of the normalised frame) proves nothing at all
LEAST_WEIGHT = 0.1
CONTRADICTED_WEIGHT, GROSS_WEIGHT = 0.5, 0.25
ROUGH = 0.01  # 99th percentile of the misses between views from which on the cameras are called rough
LARGEST_PICTURE = 128  # pixels along the longer side at which a mask is compared with the hull
SAMPLES = 128  # of a ray through the hull: a cell of the usual grid apart


@dataclass
class ViewTrust:
    """What is believed of V views, in the order of ``views``.

    Attributes:
        views: indices into the scene.
        weights: ``[V]`` in (0, 1]: the share of a view's pixels that is used.
        slacks: ``[V]``, units of the normalised frame: what the view's outline proves is taken back by this much;
            infinite where the mask proves nothing.
        contradicted: views whose masks the others contradict.
        remarks: what is distrusted and why, a line each, for people.
    """

    views: list[int]
    weights: np.ndarray
    slacks: np.ndarray
    contradicted: list[int] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def excluded_pixels(self, scene: Scene, hull: VisualHull | None) -> dict[int, torch.Tensor]:
        """Pixels that no step may look at: view -> ``[H, W]`` bool, for the views that have some.

        They are a seeded choice of a share ``1 - weight`` of each view's pixels, and, in views whose masks are
        contradicted, every pixel at which the mask and the hull disagree.
        """
        excluded = {}
        for view, weight in zip(self.views, self.weights):
            shape = tuple(scene.masks[view].shape)
            pixels = np.random.default_rng([view, 3]).random(shape) >= weight
            if hull is not None and view in self.contradicted:
                pixels |= disagreeing_pixels(hull, scene.masks[view], scene.cameras, view)
            if pixels.any():
                excluded[view] = torch.from_numpy(pixels)
        return excluded


def assess_views(
    scene: Scene,
    masks: list[torch.Tensor],
    cameras: Cameras,
    silhouettes: Silhouettes,
    camera_noise: float = 0.0,
) -> ViewTrust:
    """Assess the training views of a scene; no other view is looked at.

    Args:
        scene: its training views alone are read.
        masks, cameras, silhouettes: of the training views, on the device of the computation.
        camera_noise: how far cameras may misplace what they see, units of the normalised frame.
    """
    views = list(scene.train_views)
    trust = ViewTrust(views, np.ones(len(views)), np.zeros(len(views)))
    _judge_pictures(trust, scene)
    _judge_masks(trust, compare_masks(masks, cameras, silhouettes, camera_noise), camera_noise)
    return trust


def _judge_pictures(trust: ViewTrust, scene: Scene) -> None:
    facts = [
        measure_view(view, f"view {view}", scene.images[view].cpu().numpy(), scene.masks[view].cpu().numpy(), None)
        for view in trust.views
    ]
    # Sharpness is an energy; what is left of the detail is its root.
    weigh = [(view, math.sqrt(sharpness), "blurred") for view, sharpness in blurred_views(facts)]
    weigh += [(view, weight, "overexposed") for view, weight in overexposed_views(facts)]
    for group in duplicate_views(facts):
        weigh += [(one, 1 / len(group), "the same picture as another") for one in group]
    for one, weight, reason in weigh:
        place = trust.views.index(one.view)
        trust.weights[place] = max(trust.weights[place] * weight, LEAST_WEIGHT)
        trust.remarks.append(f"view {one.view} is {reason}: {trust.weights[place]:.0%} of its pixels are used")


def _judge_masks(trust: ViewTrust, coherence: Coherence, camera_noise: float) -> None:
    doubted = np.flatnonzero(~coherence.trusted)
    for place in doubted:
        gross = coherence.misses[place] > GROSS
        trust.slacks[place] = math.inf if gross else coherence.misses[place]
        trust.weights[place] = max(
            trust.weights[place] * (GROSS_WEIGHT if gross else CONTRADICTED_WEIGHT), LEAST_WEIGHT
        )
        trust.contradicted.append(trust.views[place])
    if len(doubted):
        wrong = [trust.views[place] for place in doubted if math.isinf(trust.slacks[place])]
        names, others = ", ".join(map(str, trust.contradicted)), coherence.trusted.sum()
        one = len(doubted) == 1
        line = f"the mask of view {names} disagrees" if one else f"the masks of views {names} disagree"
        line += f" with those of the other {others} training views"
        if wrong:
            which = "it leaves" if one else f"those of {', '.join(map(str, wrong))} leave"
            line += f"; {which} out so much as to prove nothing"
        trust.remarks.append(line + "; their pixels where they disagree are not used, and fewer of the others")
    if coherence.noise > max(ROUGH, camera_noise):
        trust.remarks.append(
            f"masks and cameras disagree by up to {coherence.noise:.3f} of the unit sphere's radius all over: the "
            f"cameras are rough; train.camera_noise = {coherence.noise:.2g} keeps the hull from cutting the object"
        )


def disagreeing_pixels(hull: VisualHull, mask: torch.Tensor, cameras: Cameras, view: int) -> np.ndarray:
    """Where a mask and the hull's silhouette disagree, ``[H, W]`` bool, by more than a cell of the hull's grid.

    It is found for blocks of pixels, so that the longer side has no more than 128 of them.

    Args:
        mask: ``[H, W]`` bool; view: its camera among ``cameras``.
    """
    height, width = mask.shape
    stride = max(1, -(-max(height, width) // LARGEST_PICTURE))
    reference = hull.grid
    rows, columns = (torch.arange(stride // 2, length, stride) for length in (height, width))
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    pixels = torch.stack([u, v], dim=-1).view(-1, 2).to(reference)
    camera = cameras.select([view]).to(reference.device, reference.dtype)
    origins, directions = camera.rays(torch.zeros(len(pixels), dtype=torch.long, device=reference.device), pixels)
    middle = -(origins * directions).sum(1)
    half = (1 - (origins * origins).sum(1) + middle**2).clamp_min(0).sqrt()
    lowest = torch.full_like(middle, math.inf)
    for step in torch.linspace(-1, 1, SAMPLES).tolist():
        points = origins + (middle + step * half).clamp_min(0).unsqueeze(1) * directions
        lowest = torch.minimum(lowest, hull.value(points))
    cell = 2 / (hull.resolution - 1)
    lowest = lowest.view(v.shape).cpu().numpy()
    small = mask[rows][:, columns].cpu().numpy()
    disagree = np.where(small, lowest > cell, lowest < -cell).astype(np.uint8)
    return cv2.resize(disagree, (width, height), interpolation=cv2.INTER_NEAREST) > 0
