"""Where the object is in a photograph: from alpha, from mask files, by brightness, by GrabCut, by a matting network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from nsr.errors import SceneError
from nsr.scenes.importing.files import PHOTOGRAPH_SUFFIXES
from nsr.scenes.masks import make_mask

METHODS = ("alpha", "threshold", "grabcut", "rembg", "none")
GRABCUT_SIZE = 640  # of the longer side, at which GrabCut runs
GRABCUT_ROUNDS = 5
ENOUGH_SEEDS = 10  # points in the sphere, whose convex hull then stands for the object
SEED_RADIUS = 2  # of the disc that a projected point becomes, pixels of GRABCUT_SIZE


@dataclass(frozen=True)
class MaskOptions:
    """How masks are made.

    Attributes:
        threshold: the object is brighter than this fraction of white; None: Otsu's choice for each photograph.
        invert: the object is the darker part.
        dilate: pixels by which a thresholded mask grows first, which closes shadows that cut into it; erode: pixels
            by which it shrinks after.
        largest_component: keep the largest connected region only.
        fill_holes: what the object encloses belongs to it.
    """

    threshold: float | None = None
    invert: bool = False
    dilate: int = 0
    erode: int = 0
    largest_component: bool = True
    fill_holes: bool = True


@dataclass
class ProjectedSphere:
    """The sphere that holds the object, and the sparse points, as a view sees them.

    Attributes:
        centre: ``[2]`` pixels; radius: pixels, of the sphere's outline.
        inside, outside: ``[N, 2]`` pixels of sparse points in and out of the sphere that the view sees.
    """

    centre: np.ndarray
    radius: float
    inside: np.ndarray
    outside: np.ndarray


def find_mask(folder: Path, image: Path, name: str) -> Path:
    """The mask of a photograph in a folder: ``NAME.png`` or another picture of its stem, or ``NAME.jpg.png`` as COLMAP
    has it, with the folders of the source's name in front or without.

    Raises:
        SceneError: there is none.
    """
    relative = Path(name.replace("\\", "/"))
    for base in dict.fromkeys((relative.parent, Path())):
        for stem in dict.fromkeys((image.stem, relative.stem, image.name, relative.name)):
            for suffix in PHOTOGRAPH_SUFFIXES:
                if (path := folder / base / f"{stem}{suffix}").is_file():
                    return path
    raise SceneError(f"{folder}: there is no mask for {name} (such as {image.stem}.png)")


def threshold_mask(picture: np.ndarray, options: MaskOptions) -> np.ndarray:
    """Separate the object from a plain background by brightness.

    Args:
        picture: ``[H, W, 3]`` uint8 RGB.

    Returns:
        ``[H, W]`` bool.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if not (options.dilate or options.erode):
        return make_mask(grey, options.threshold, options.invert, options.largest_component, options.fill_holes)
    mask = make_mask(grey, options.threshold, options.invert, largest_component=False, fill_holes=False)
    mask = morphology(mask, options.dilate, options.erode)
    return make_mask(mask.astype(np.uint8) * 255, 0.5, False, options.largest_component, options.fill_holes)


def morphology(mask: np.ndarray, dilate: int, erode: int) -> np.ndarray:
    """Grow a mask by ``dilate`` pixels, then shrink it by ``erode`` (discs); the frame's border is no edge."""
    pixels = mask.astype(np.uint8)
    margin = dilate + erode
    pixels = cv2.copyMakeBorder(pixels, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    for radius, operation in ((dilate, cv2.dilate), (erode, cv2.erode)):
        if radius:
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
            pixels = operation(pixels, disc)
    return pixels[margin : margin + mask.shape[0], margin : margin + mask.shape[1]] > 0


def grabcut_mask(picture: np.ndarray, sphere: ProjectedSphere, options: MaskOptions) -> np.ndarray:
    """Separate the object by colour (Rother et al., "GrabCut", 2004), seeded by where it is known to be.

    Sparse points in the sphere are object, those outside are background, and so is all beyond the sphere's outline;
    the convex hull of the points in the sphere is probably object (the whole sphere, where there are few points).

    Args:
        picture: ``[H, W, 3]`` uint8 RGB.

    Returns:
        ``[H, W]`` bool; empty where the sphere is out of the frame.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, GRABCUT_SIZE / max(height, width))
    small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    v, u = np.mgrid[: small.shape[0], : small.shape[1]]
    centre = (sphere.centre + 0.5) * scale - 0.5
    within = (u - centre[0]) ** 2 + (v - centre[1]) ** 2 <= (sphere.radius * scale) ** 2
    labels = np.where(within, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    inside = np.round((sphere.inside + 0.5) * scale - 0.5).astype(np.int32)
    if len(inside) >= ENOUGH_SEEDS:
        likely = cv2.fillConvexPoly(np.zeros_like(labels), cv2.convexHull(inside), 1) > 0
        labels[likely & within] = cv2.GC_PR_FGD
    else:
        labels[within] = cv2.GC_PR_FGD
    for points, label in ((sphere.outside, cv2.GC_BGD), (sphere.inside, cv2.GC_FGD)):
        for point in np.round((points + 0.5) * scale - 0.5).astype(int).tolist():
            cv2.circle(labels, point, SEED_RADIUS, int(label), -1)
    foreground = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if foreground.all() or not foreground.any():
        return cv2.resize(foreground.astype(np.uint8), (width, height)) > 0
    cv2.setRNGSeed(0)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    labels, _, _ = cv2.grabCut(bgr, labels, None, *models, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    share = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    share = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
    return make_mask(share, 0.5, False, options.largest_component, options.fill_holes)


class MattingNetwork:
    """Rembg's default network (U2-Net, Qin et al. 2020); it downloads its weights at its first use.

    Raises:
        SceneError: rembg is not installed, or cannot get its weights.
    """

    def __init__(self):
        try:
            import rembg
        except (ImportError, SystemExit) as error:  # rembg ends the process where its own run-time is missing
            raise SceneError("masks by rembg need it installed: pip install rembg[cpu]") from error
        self.remove = rembg.remove
        try:
            self.session = rembg.new_session()
        except Exception as error:  # of its downloader, which has no common class
            raise SceneError(f"rembg cannot load its network ({' '.join(str(error).split())[:200]})") from error

    def mask(self, picture: np.ndarray, options: MaskOptions) -> np.ndarray:
        """``[H, W, 3]`` uint8 RGB to ``[H, W]`` bool."""
        share = np.asarray(self.remove(picture, session=self.session, only_mask=True))
        return make_mask(share, 0.5, False, options.largest_component, options.fill_holes)
