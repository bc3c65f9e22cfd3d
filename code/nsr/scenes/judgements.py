"""From measurements on views to errors, warnings and information: one function per question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from nsr.scenes.view_facts import ViewFacts

Judgement = tuple[str, str]  # "error", "warning" or "information", and one line

FEWEST_VIEWS = 3
FEW_VIEWS = 6
INVERTED_BORDER = 0.5  # a mask that covers more of the frame's border than this, and more than of its middle
OUTSIDE_SHARE = 0.5  # of the mask's pixels in the unit sphere: below it the object is not there
PARTLY_OUTSIDE_SHARE = 0.995
OUTSIDE_VIEWS = 0.25  # of the views: above it the scene cannot be used
SMALL_SHARE = 0.01  # of the sphere's outline that the object covers
BLUR_RATIO = 4.0  # less sharp than the median view by this factor
OVEREXPOSED_EXCESS = 0.2  # of the mask's pixels, above the median view


def judge_views(views: list[ViewFacts], count: int) -> Iterator[Judgement]:
    """All judgements on the ``views`` that could be read of a scene that has ``count``."""
    if 0 < count < FEW_VIEWS:
        yield "error" if count < FEWEST_VIEWS else "warning", few_views(count)
    for judge in (_empty_masks, _full_masks, _inverted_masks):
        yield from judge(views)
    for judge in (_cameras_away, _cameras_inside, _duplicate_images, _duplicate_cameras):
        yield from judge(views)
    # a wrong mask is wrong in all that follows; saying so once is enough
    sound = [facts for facts in views if 0 < facts.mask_fraction < 1 and not _looks_inverted(facts)]
    for judge in (_outside_sphere, _small_in_sphere, _cut_by_frame, _blurred, _overexposed):
        yield from judge(sound)


def few_views(count: int) -> str:
    """What is said of fewer than ``FEW_VIEWS`` views."""
    number = f"{count} views are" if count > 1 else "1 view is"
    if count < FEWEST_VIEWS:
        return f"{number} too few: a surface needs at least {FEWEST_VIEWS}, better 20 from all sides"
    return f"{number} few: expect a rough surface; 20 from all sides are a good number"


def _empty_masks(views: list[ViewFacts]) -> Iterator[Judgement]:
    if empty := [facts for facts in views if facts.mask_pixels == 0]:
        severity = "error" if 2 * len(empty) > len(views) else "warning"
        yield severity, f"the mask of {_names(empty)} is empty: no pixel is brighter than 127; white is the object"


def _full_masks(views: list[ViewFacts]) -> Iterator[Judgement]:
    full = [facts for facts in views if facts.mask_fraction == 1]
    if full and len(full) == len(views):
        line = "every mask is full: the object is reconstructed without masks, with a background behind it"
        yield "information", line
    elif full:
        # A close-up may be filled by the object; most views filled are no masks at all.
        severity = "error" if 2 * len(full) > len(views) else "warning"
        yield severity, f"the mask of {_names(full)} is full: every pixel is white; only the object may be"


def _looks_inverted(facts: ViewFacts) -> bool:
    return INVERTED_BORDER < facts.border_fraction and facts.centre_fraction < facts.border_fraction


def _inverted_masks(views: list[ViewFacts]) -> Iterator[Judgement]:
    inverted = [facts for facts in views if facts.mask_fraction < 1 and _looks_inverted(facts)]
    if not inverted:
        return
    worst = max(inverted, key=lambda facts: facts.border_fraction)
    line = (
        f"the mask of {_names(inverted)} seems inverted: it covers {worst.border_fraction:.0%} of the frame's border "
        f"and {worst.centre_fraction:.0%} of its middle in view {worst.view}; white must be the object"
    )
    yield "error" if 2 * len(inverted) > len(views) else "warning", line


def _cameras_away(views: list[ViewFacts]) -> Iterator[Judgement]:
    away = [facts for facts in views if facts.camera and facts.camera.looks_away]
    if not away:
        return
    hint = ""
    if 2 * len(away) > len(views):
        hint = "; as most do, the axes may be OpenGL's (z backward) where OpenCV's are meant, or scale_mat is wrong"
    yield "error", (
        f"the camera of {_names(away)} looks away: the unit sphere, where the object must be, is behind it or outside "
        f"its frame{hint}"
    )


def _cameras_inside(views: list[ViewFacts]) -> Iterator[Judgement]:
    if inside := [facts for facts in views if facts.camera and facts.camera.distance <= 1]:
        nearest = min(facts.camera.distance for facts in inside)
        yield "warning", (
            f"the camera of {_names(inside)} is inside the unit sphere (distance {nearest:.2f} from its centre); it "
            "holds the object only, so scale_mat is probably too large"
        )


def _outside_sphere(views: list[ViewFacts]) -> Iterator[Judgement]:
    seeing = [facts for facts in views if facts.camera]
    out = [facts for facts in seeing if _share_in_sphere(facts) < OUTSIDE_SHARE]
    if all(facts.camera.looks_away for facts in out) and 2 * len(out) <= len(seeing):
        out = []  # the cameras are at fault, and that is said already
    partly = [facts for facts in seeing if OUTSIDE_SHARE <= _share_in_sphere(facts) < PARTLY_OUTSIDE_SHARE]
    if out:
        # Few such views have a wrong mask or camera; many, a wrong scale_mat.
        yield "error" if OUTSIDE_VIEWS * len(seeing) < len(out) else "warning", (
            f"the object is outside the unit sphere in {len(out)} of {len(seeing)} views; mask pixels that see the "
            f"sphere: {_counts(out)}; correct scale_mat, or the cameras and masks of these views"
        )
    if partly:
        yield "warning", (
            f"part of the object is outside the unit sphere in {len(partly)} of {len(seeing)} views; mask pixels that "
            f"see the sphere: {_counts(partly)}; the rest will be cut off"
        )


def _share_in_sphere(facts: ViewFacts) -> float:
    return facts.camera.pixels_in_sphere / facts.mask_pixels


def _counts(views: list[ViewFacts]) -> str:
    worst = sorted(views, key=_share_in_sphere)[:4]
    counts = (f"{facts.camera.pixels_in_sphere} of {facts.mask_pixels} in view {facts.view}" for facts in worst)
    return ", ".join(counts) + (", ..." if len(views) > 4 else "")


def _small_in_sphere(views: list[ViewFacts]) -> Iterator[Judgement]:
    shares = [
        facts.mask_pixels / (np.pi * facts.camera.sphere_radius**2)
        for facts in views
        if facts.camera and facts.camera.distance > 1
    ]
    if shares and np.median(shares) < SMALL_SHARE:
        yield "warning", (
            f"the object covers {np.median(shares):.2%} of the unit sphere's outline in the median view: scale_mat is "
            "probably too large, and detail is lost"
        )


def _cut_by_frame(views: list[ViewFacts]) -> Iterator[Judgement]:
    if cut := [facts for facts in views if facts.border_fraction > 0]:
        yield "information", f"the frame cuts the object in {_names(cut)}"


def _duplicate_images(views: list[ViewFacts]) -> Iterator[Judgement]:
    for group in duplicate_views(views):
        yield "warning", f"{_names(group)} have the same image: each view should be a photograph of its own"


def _duplicate_cameras(views: list[ViewFacts]) -> Iterator[Judgement]:
    def key(facts: ViewFacts) -> bytes:
        entries = np.concatenate([facts.camera.intrinsics.ravel(), facts.camera.pose.ravel()])
        return (entries.astype(np.float32) + 0.0).tobytes()  # + 0.0: one zero, not two

    for group in _groups([facts for facts in views if facts.camera], key):
        yield "warning", f"{_names(group)} have the same camera; one of them is probably another view's"


def _groups(views: list[ViewFacts], key: Callable[[ViewFacts], bytes]) -> list[list[ViewFacts]]:
    """Views with equal keys, where there are at least two."""
    groups = defaultdict(list)
    for facts in views:
        groups[key(facts)].append(facts)
    return [group for group in groups.values() if len(group) > 1]


def blurred_views(views: list[ViewFacts]) -> list[tuple[ViewFacts, float]]:
    """Outliers of log sharpness, since textures and sizes in the frame differ from scene to scene.

    Each with its sharpness as a part of what would pass, in (0, 1).
    """
    views = [facts for facts in views if facts.sharpness > 0]
    if len(views) < FEWEST_VIEWS:
        return []
    logs = np.log([facts.sharpness for facts in views])
    spread = 1.4826 * np.median(np.abs(logs - np.median(logs)))
    limit = np.median(logs) - max(4 * spread, np.log(BLUR_RATIO))
    return [(facts, float(np.exp(log - limit))) for facts, log in zip(views, logs, strict=True) if log < limit]


def overexposed_views(views: list[ViewFacts]) -> list[tuple[ViewFacts, float]]:
    """Views with far more white inside the mask than the median view, each with the share that is as in that one."""
    if not views:
        return []
    usual = float(np.median([facts.overexposed for facts in views]))
    return [(facts, 1 - facts.overexposed + usual) for facts in views if facts.overexposed > usual + OVEREXPOSED_EXCESS]


def duplicate_views(views: list[ViewFacts]) -> list[list[ViewFacts]]:
    """Groups of views whose images are the same in every pixel."""
    return _groups(views, lambda facts: facts.image_hash)


def _blurred(views: list[ViewFacts]) -> Iterator[Judgement]:
    if blurred := [facts for facts, _ in blurred_views(views)]:
        yield "warning", f"{_names(blurred)} may be blurred: far less sharp than the median view; leave such views out"


def _overexposed(views: list[ViewFacts]) -> Iterator[Judgement]:
    if burnt := [facts for facts, _ in overexposed_views(views)]:
        worst = max(facts.overexposed for facts in burnt)
        yield "warning", (
            f"{_names(burnt)} may be overexposed: up to {worst:.0%} of the object is white, far more than elsewhere"
        )


def _names(views: list[ViewFacts]) -> str:
    """ "view 3 (003.png)", or "views 3, 5, 9", shortened where there are many."""
    if len(views) == 1:
        return views[0].name
    shown = ", ".join(str(facts.view) for facts in views[:12])
    return f"views {shown}" + (f", ... ({len(views)} in all)" if len(views) > 12 else "")
