"""Random solids in a room, as a depth camera's window sees them: exact depth, normals and albedo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from nsr.priors.networks.common.procedural.intersections import (
    Hits,
    meet_box,
    meet_cylinder,
    meet_relief,
    meet_sphere,
    meet_torus,
)
from nsr.priors.networks.common.procedural.textures import random_albedo
from nsr.priors.networks.common.samples import Sample

FARTHEST = 6.0  # metres

Meet = Callable[[np.ndarray, np.ndarray], Hits]  # one of the functions of ``intersections``, its shape chosen


@dataclass(frozen=True)
class Rendering:
    """One frame, in the camera's frame (x right, y down, z forward).

    Attributes:
        depth: ``[H, W]`` float32 z in metres, 0 where nothing is nearer than 6 m.
        normal: ``[3, H, W]`` float32 unit, towards the camera; 0 where there is nothing.
        albedo: ``[3, H, W]`` float32 in [0, 1].
        facing: ``[H, W]`` float32 cosine between the normal and the way to the camera.
        focal: pixels; centre: column and row of the principal point, pixels from the first pixel's centre.
    """

    depth: np.ndarray
    normal: np.ndarray
    albedo: np.ndarray
    facing: np.ndarray
    focal: float
    centre: tuple[float, float]


class RenderedSolids(Dataset):
    """Frames of random rooms, a scene each: samples with ``depth``, ``normal``, ``albedo`` and ``mask``.

    Args:
        count: of frames; seed: equal seeds give equal frames.
        size: height and width.
    """

    def __init__(self, count: int, seed: int, size: tuple[int, int] = (240, 320)):
        self.seed, self.size = seed, size
        self.scenes = [f"solids{seed}_{index:04d}" for index in range(count)]

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        frame = render_solids(np.random.default_rng([self.seed, index]), self.size)
        return {
            "depth": torch.from_numpy(frame.depth)[None],
            "normal": torch.from_numpy(frame.normal),
            "albedo": torch.from_numpy(frame.albedo),
            "mask": torch.from_numpy((frame.depth > 0).astype(np.float32))[None],
            "name": f"{index:04d}",
            "scene": self.scenes[index],
        }


def render_solids(random: np.random.Generator, size: tuple[int, int]) -> Rendering:
    """Make a room and render it.

    The frame is a window of a larger one: focal lengths are those of 640 to 1280 pixels wide sensors whatever the
    size, so that what a pixel covers, and with it a sensor's noise, is as there.
    """
    height, width = size
    focal = random.uniform(380, 640)
    centre = random.uniform(0.2, 0.8, 2) * [width, height]
    column, row = np.meshgrid(np.arange(width), np.arange(height))
    rays = np.stack([(column - centre[0]) / focal, (row - centre[1]) / focal, np.ones(size)], axis=-1).reshape(-1, 3)
    depth = np.full(len(rays), np.inf)
    normal, albedo = np.zeros((2, len(rays), 3))

    def add(rotation: np.ndarray, place: np.ndarray, meet: Meet, texture_size: float, reach: float = np.inf) -> None:
        """A surface by its frame, ``camera = rotation @ own + place``, from whose origin it is never beyond reach."""
        passing = np.cross(rays, place)  # its length over the ray's is how far the ray passes by
        seen = np.flatnonzero((passing**2).sum(1) <= reach**2 * (rays**2).sum(1))
        own = rays[seen] @ rotation
        found, outward = meet(-place @ rotation, own)
        nearer = found < depth[seen]
        if nearer.any():
            rows, found = seen[nearer], found[nearer]
            depth[rows] = found
            normal[rows] = outward[nearer] @ rotation.T
            albedo[rows] = random_albedo(found[:, None] * own[nearer] - place @ rotation, random, texture_size)

    room = _rotation_about_x(random.uniform(-0.1, 0.6)) @ _rotation_about_z(random.uniform(-0.1, 0.1))
    floor, wall = random.uniform(0.3, 1.2), random.uniform(1.2, 4.5)
    add(room, np.zeros(3), _relief_at(floor, _random_waves(random)), random.uniform(0.05, 0.4))
    for turn in (0.0, *([random.choice([-1, 1]) * random.uniform(0.8, 1.5)] if random.random() < 0.5 else [])):
        # a wall is a floor that stands: its y axis is the way forward, turned to the side
        upright = room @ _rotation_about_y(turn + random.uniform(-0.5, 0.5)) @ _rotation_about_x(np.pi / 2)
        far = wall if turn == 0 else random.uniform(0.5, 1.5)
        add(upright, np.zeros(3), _relief_at(far, _random_waves(random)), random.uniform(0.05, 0.4))
    for _ in range(random.integers(4, 14)):
        z = random.uniform(0.45, max(0.8 * wall, 0.6))
        place = np.array([*((random.uniform(0, 1, 2) * [width, height] - centre) / focal * z), z])
        radius = z * np.exp(random.uniform(np.log(0.02), np.log(0.2)))
        add(_random_rotation(random), place, _random_solid(random, radius), random.uniform(0.02, 0.15), 2 * radius)

    there = depth < FARTHEST
    depth, normal, albedo = np.where(there, depth, 0), np.where(there[:, None], normal, 0), albedo * there[:, None]
    facing = -(normal * rays).sum(1) / np.linalg.norm(rays, axis=1)
    normal = np.where(facing[:, None] < 0, -normal, normal)
    return Rendering(
        depth.reshape(size).astype(np.float32),
        normal.T.reshape(3, *size).astype(np.float32),
        albedo.T.reshape(3, *size).astype(np.float32),
        np.abs(facing).reshape(size).astype(np.float32),
        focal,
        tuple(centre),
    )


def _random_solid(random: np.random.Generator, radius: float) -> Meet:
    """A solid within twice that radius: how rays meet it."""
    kind = random.integers(4)
    if kind == 0:
        return lambda origin, directions: meet_sphere(origin, directions, radius)
    if kind == 1:
        half = radius * random.uniform(0.15, 1.0, 3)
        return lambda origin, directions: meet_box(origin, directions, half)
    if kind == 2:
        thickness, half_height = radius * random.uniform(0.1, 0.8), radius * random.uniform(0.3, 1.5)
        return lambda origin, directions: meet_cylinder(origin, directions, thickness, half_height)
    tube = radius * random.uniform(0.12, 0.4)
    return lambda origin, directions: meet_torus(origin, directions, radius, tube)


def _relief_at(height: float, waves: np.ndarray) -> Meet:
    return lambda origin, directions: meet_relief(origin, directions, height, waves)


def _random_waves(random: np.random.Generator) -> np.ndarray:
    """Up to four waves of 10 cm to 1 m, of a slope of up to .15; none on half of the surfaces."""
    count = random.integers(1, 5) if random.random() < 0.5 else 0
    length, turn = np.exp(random.uniform(np.log(0.1), 0, count)), random.uniform(0, 2 * np.pi, count)
    number = 2 * np.pi / length
    amplitude = random.uniform(0.02, 0.15, count) / number
    phase = random.uniform(0, 2 * np.pi, count)
    return np.stack([amplitude, number * np.cos(turn), number * np.sin(turn), phase], axis=1)


def _random_rotation(random: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(random.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def _rotation_about_x(angle: float) -> np.ndarray:
    """Takes y to z for a quarter turn."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _rotation_about_y(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _rotation_about_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
