"""Views hold each other's priors to account: a value that the neighbours contradict loses confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from nsr.priors.bundle import METRIC, PriorBundle
from nsr.priors.conversion import metric_points
from nsr.scenes.cameras import Cameras

_DOUBT = 0.5  # votes that each value has for itself, before others vote
_HIDDEN = 0.25  # of a vote against: something nearer is in the way there, which may be so, or the value is too far
_ROUNDS = 2  # of votes: in the second they count by what the first says of the voters
_FACING = 0.2  # cosine, from which on a point shows its normal to a view


def gate_by_neighbours(
    bundles: dict[int, PriorBundle],
    cameras: Cameras,
    masks: Sequence[torch.Tensor],
    neighbours: int,
    depth_tolerance: float,
    normal_tolerance: float,
) -> dict[int, PriorBundle]:
    """The bundles with their confidences times how far the views around agree.

    Every metric depth is carried, as a point, into the nearest views.  There it is confirmed (their depth is the same),
    contradicted (they see past it, or nothing of the object at all), or hidden behind something nearer; and it is
    contradicted where one of their points lies before it, which it cannot have been seen through.  With s, c and h such
    votes, the factor is ``(s + 1/2) / (s + c + h/4 + 1/2)``.  Normals are compared where depths agree, and with those
    of points that lie before.  Votes are taken twice; the second time each counts by what the first said of the voter.
    Affine depths, and normals without a metric depth, cannot be carried and stay as they are.

    Args:
        bundles: by index of the view; cameras, masks: of all views, masks ``[H, W]`` bool.
        neighbours: how many views each is compared with, by the angle between the directions that they look from.
        depth_tolerance: ray lengths closer than this are the same, units of the normalised frame.
        normal_tolerance: normals closer than this are the same, degrees.
    """
    cameras = cameras.to("cpu", torch.float32)
    carried = [view for view, bundle in bundles.items() if bundle.depth is not None and bundle.depth_kind == METRIC]
    if len(carried) < 2:
        return dict(bundles)
    from_where = torch.nn.functional.normalize(cameras.centres[carried], dim=1)
    nearest = (from_where @ from_where.T).fill_diagonal_(-2).argsort(dim=1, descending=True)[:, :neighbours]
    carriers = {view: _Carried.of(bundles[view], view, cameras, masks[view]) for view in carried}
    court = _Court(cameras, depth_tolerance, float(np.cos(np.radians(normal_tolerance))))
    for _ in range(_ROUNDS):
        before, carriers = carriers, {}
        for place, view in enumerate(carried):
            others = [before[carried[other]] for other in nearest[place].tolist() if other != place]
            depth, normal = court.trust(before[view], others)
            carriers[view] = replace(before[view], depth_trust=depth, normal_trust=normal)
    gated = dict(bundles)
    for view, carrier in carriers.items():
        mine = bundles[view]
        changes = {"depth_confidence": carrier.lowered(mine.depth_confidence, carrier.depth_trust)}
        if mine.normal is not None:
            changes["normal_confidence"] = carrier.lowered(mine.normal_confidence, carrier.normal_trust)
        gated[view] = replace(mine, **changes)
    return gated


@dataclass(frozen=True)
class _Carried:
    """The K points of a view's metric depth, and what is asked of its pixels.

    Attributes:
        rows, columns: ``[K]`` of the pixels; points, normals: ``[K, 3]`` (zeros where it has none);
        has_normal: ``[K]`` bool.
        depth_trust, normal_trust: ``[K]``, by how much their votes count: 1 at first.
        least, most: ``[H, W]`` depths of a pixel and those around it: a point falls between them, and a slanted surface
            changes by more than the tolerance from one to the next.  Infinity and its negative where there is none.
        grown: ``[H, W]`` bool, the mask and a pixel around it.
        place: ``[H, W]`` int64, index of the pixel's point, or -1.
    """

    view: int
    rows: np.ndarray
    columns: np.ndarray
    points: torch.Tensor
    normals: torch.Tensor
    has_normal: torch.Tensor
    depth_trust: torch.Tensor
    normal_trust: torch.Tensor
    least: torch.Tensor
    most: torch.Tensor
    grown: torch.Tensor
    place: torch.Tensor

    @classmethod
    def of(cls, bundle: PriorBundle, view: int, cameras: Cameras, mask: torch.Tensor) -> _Carried:
        rows, columns = np.nonzero(bundle.depth_confidence > 0)
        points = torch.from_numpy(metric_points(bundle, cameras, view)[rows, columns])
        if bundle.normal is None:
            normals, has_normal = torch.zeros(len(rows), 3), torch.zeros(len(rows), dtype=torch.bool)
        else:
            normals = torch.from_numpy(bundle.normal[rows, columns])
            has_normal = torch.from_numpy(bundle.normal_confidence[rows, columns] > 0)
        depth = torch.from_numpy(bundle.depth)
        known = torch.from_numpy(bundle.depth_confidence) > 0
        nothing = torch.full_like(depth, -torch.inf)
        most = _largest_around(torch.where(known, depth, nothing))
        least = -_largest_around(torch.where(known, -depth, nothing))
        place = torch.full(bundle.size, -1)
        place[rows, columns] = torch.arange(len(rows))
        grown = _largest_around(mask.cpu().float()) > 0
        ones = torch.ones(len(rows))
        return cls(view, rows, columns, points, normals, has_normal, ones, ones, least, most, grown, place)

    def strongest(self, pixel: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """``[K]``: the largest of the weights that fell on a point's pixel or one beside it, 0 where none did.

        Points of a slanting view leave pixels between them; what lies before a pixel lies before those beside it, too,
        for it is before the nearest of them.

        Args:
            pixel: ``[P]`` int64 of the flattened picture; weight: ``[P]``.
        """
        fallen = torch.zeros(self.place.numel()).scatter_reduce(0, pixel, weight, "amax")
        return _largest_around(fallen.view(self.place.shape))[self.rows, self.columns]

    def lowered(self, confidence: np.ndarray, trust: torch.Tensor) -> np.ndarray:
        """``confidence [H, W]`` times the points' trust."""
        lowered = confidence.copy()
        lowered[self.rows, self.columns] *= trust.numpy()
        return lowered

    def at(self, values: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """``values [K]`` of the points ``place``; 0 for none (-1)."""
        return torch.where(place >= 0, values[place.clamp_min(0)], torch.zeros((), dtype=values.dtype))


@dataclass(frozen=True)
class _Court:
    """Votes on a view's points; ``tolerance`` of depths, ``least_cosine`` of normals that agree."""

    cameras: Cameras
    tolerance: float
    least_cosine: float

    def trust(self, mine: _Carried, others: list[_Carried]) -> tuple[torch.Tensor, torch.Tensor]:
        """By how much the depths and normals ``[K]`` of a view are to be trusted."""
        votes = _Votes(*torch.zeros(5, len(mine.rows)))
        for other in others:
            self._hear_those_who_look_at(mine, other, votes)
            self._hear_those_who_stand_before(mine, other, votes)
        depth = _share(votes.same, votes.against + _HIDDEN * votes.hidden)
        return depth, _share(votes.alike, votes.unlike)

    def _hear_those_who_look_at(self, mine: _Carried, other: _Carried, votes: _Votes) -> None:
        """What the other view sees where my points are."""
        column, row, seen = _pixels(self.cameras, other.view, mine.points, other.place.shape)
        length = (mine.points - self.cameras.centres[other.view]).norm(dim=1)
        least, most, place = (values[row, column] for values in (other.least, other.most, other.place))
        trust = other.at(other.depth_trust, place)
        past, behind = least > length + self.tolerance, most < length - self.tolerance
        has_depth = seen & (most >= least)
        confirmed = has_depth & ~past & ~behind
        votes.same += confirmed * trust
        votes.against += (has_depth & past) * trust + (seen & (most < least) & ~other.grown[row, column])
        votes.hidden += (has_depth & behind) * trust
        compared = confirmed & mine.has_normal & other.at(other.has_normal, place)
        weight = compared * other.at(other.normal_trust, place)
        close = (other.normals[place.clamp_min(0)] * mine.normals).sum(1) >= self.least_cosine
        votes.alike += weight * close
        votes.unlike += weight * ~close

    def _hear_those_who_stand_before(self, mine: _Carried, other: _Carried, votes: _Votes) -> None:
        """The other view's points that are nearer to me than what I claim to see there."""
        column, row, seen = _pixels(self.cameras, mine.view, other.points, mine.place.shape)
        towards = self.cameras.centres[mine.view] - other.points
        length, place = towards.norm(dim=1), mine.place[row, column]
        before = seen & (place >= 0) & (length < mine.least[row, column] - self.tolerance)
        place, trust, pixel = place[before], other.depth_trust[before], (row * mine.place.shape[1] + column)[before]
        votes.against += mine.strongest(pixel, trust)
        normals = other.normals[before]
        facing = (towards[before] * normals).sum(1) > _FACING * length[before]
        compared = facing & other.has_normal[before] & mine.has_normal[place]
        weight = compared * other.normal_trust[before] * trust
        close = (normals * mine.normals[place]).sum(1) >= self.least_cosine
        alike, unlike = (mine.strongest(pixel, weight * part) for part in (close, ~close))
        votes.alike += alike
        votes.unlike += unlike * (alike == 0)


@dataclass
class _Votes:
    """Sums ``[K]``: of the depth ``same``, ``against``, ``hidden``; of the normal ``alike``, ``unlike``."""

    same: torch.Tensor
    against: torch.Tensor
    hidden: torch.Tensor
    alike: torch.Tensor
    unlike: torch.Tensor


def _pixels(
    cameras: Cameras, view: int, points: torch.Tensor, size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Column and row of the view's nearest pixel to each point, and whether the view has one."""
    pixels, depth = cameras.project(torch.full((len(points),), view), points)
    pixels = torch.where((depth > 0).unsqueeze(1), pixels, torch.full_like(pixels, -1.0))
    column, row = pixels.clamp(-1, max(size)).round().long().unbind(1)
    seen = (column >= 0) & (row >= 0) & (column < size[1]) & (row < size[0])
    return column.clamp(0, size[1] - 1), row.clamp(0, size[0] - 1), seen


def _largest_around(values: torch.Tensor) -> torch.Tensor:
    """``[H, W]``: the largest of 3 x 3 values."""
    return torch.nn.functional.max_pool2d(values[None, None], 3, stride=1, padding=1)[0, 0]


def _share(votes_for: torch.Tensor, votes_against: torch.Tensor) -> torch.Tensor:
    return (votes_for + _DOUBT) / (votes_for + votes_against + _DOUBT)
