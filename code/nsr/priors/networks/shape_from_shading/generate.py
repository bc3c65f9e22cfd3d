"""Samples made by the project: a relief before the rig, its two photographs and its depths."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import Dataset

from nsr.priors.networks.shape_from_shading import photographs, relief
from nsr.priors.networks.shape_from_shading.rig import Rig


@dataclass(frozen=True)
class Recipe:
    """What the samples are made of.  Ranges are drawn from evenly, once a sample, unless something else is said.

    Attributes:
        size: height and width, pixels.
        rig: camera, lamp and projector.
        kinds: of relief (``relief.KINDS``), drawn from with equal chances.
        wavelength: metres, drawn evenly in its logarithm.
        steepness: amplitude over wavelength of a relief's parts.
        distance: of the middle of the surface, metres.
        tilt: largest slope of the surface under the relief, either way along x and y.
        curvature: largest of its second derivatives, 1 / metre.
        texture: standard deviation of the albedo's logarithm; 0 is plain.
        patches: largest step of the albedo's logarithm at the edge of a patch; 0 has none.
        gain: factor on a photograph.
        gamma: exponent of a photograph.
        noise: standard deviation of a photograph's noise; its range is [0, 1].
        shadows: whether lamp and projector cast any.
        ambient: share of the light that comes from everywhere.
        pitch, line_width: of the projected grid, pixels.
        decoding_noise: error of a line's place, pixels; it makes an error of depth.
        cut: share of the samples that end within the frame, at an ellipse.
    """

    size: int = 256
    rig: Rig = field(default_factory=Rig)
    kinds: tuple[str, ...] = tuple(relief.KINDS)
    wavelength: tuple[float, float] = (0.003, 0.012)
    steepness: tuple[float, float] = (0.02, 0.1)
    distance: tuple[float, float] = (0.9, 1.1)
    tilt: float = 0.4
    curvature: float = 2.0
    texture: float = 0.08
    patches: float = 0.3
    gain: tuple[float, float] = (0.6, 1.0)
    gamma: tuple[float, float] = (0.9, 1.1)
    noise: float = 0.01
    shadows: bool = True
    ambient: float = 0.1
    pitch: float = 24.0
    line_width: float = 2.5
    decoding_noise: float = 0.1
    cut: float = 0.3


def make_sample(recipe: Recipe, seed: int, number: int) -> dict:
    """One sample; the same for the same arguments.

    Returns:
        float32 tensors: ``depth`` and ``low`` [1, H, W] z-depth in metres, 0 where invalid; ``normal`` [3, H, W] unit,
        camera frame (x right, y down, z forward), towards the camera; ``albedo``, ``shading`` (the photograph under
        the lamp) and ``pattern`` (the one under the projector) [1, H, W] in [0, 1]; ``mask`` [1, H, W], 1 = valid;
        and ``name`` and ``scene``, the same string.
    """
    generator = np.random.default_rng([seed, number])
    rig, shape = recipe.rig, (recipe.size, recipe.size)
    depth = _surface(recipe, generator)
    normal = rig.normals(depth)
    albedo = relief.texture(generator, shape, recipe.texture, recipe.patches)
    at, on_line = photographs.sparse_lines(rig, depth, recipe.pitch)
    grid = photographs.grid_lines(at, recipe.pitch, recipe.line_width)
    lights = [
        photographs.direct_light(rig, depth, normal, source, shadows=recipe.shadows)
        for source in (rig.lamp, rig.projector)
    ]
    surroundings = recipe.ambient * (1 - normal[..., 2]) / 2
    shading = _photograph(recipe, generator, albedo * ((1 - recipe.ambient) * lights[0] + surroundings))
    pattern = _photograph(
        recipe, generator, albedo * ((1 - recipe.ambient) * lights[1] * (0.35 + 0.65 * grid) + surroundings)
    )
    mask = _frame(recipe, generator)
    baseline = np.hypot(rig.projector[0], rig.projector[1])
    depth_noise = recipe.decoding_noise * depth**2 / (rig.focal[0] * baseline)
    measured = depth + depth_noise * generator.standard_normal(shape)
    low = photographs.low_resolution_depth(measured, on_line & mask, recipe.pitch)
    name = f"{number:05d}"
    maps = {
        "depth": (depth * mask)[None],
        "low": (low * mask)[None],
        "normal": np.moveaxis(normal, -1, 0),
        "albedo": albedo[None],
        "shading": (shading * mask)[None],
        "pattern": (pattern * mask)[None],
        "mask": mask[None],
    }
    return {**as_tensors(maps), "name": name, "scene": f"relief-{name}"}


def as_tensors(maps: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Maps ``[C, H, W]`` as float32 tensors."""
    return {name: torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)) for name, values in maps.items()}


class SyntheticReliefs(Dataset):
    """Samples ``first`` to ``first + count - 1`` of a recipe and a seed, each made when it is asked for.

    Attributes:
        scenes: one a sample.
    """

    def __init__(self, count: int, recipe: Recipe | None = None, seed: int = 0, first: int = 0):
        self.count, self.recipe, self.seed, self.first = count, recipe or Recipe(), seed, first
        self.scenes = [f"relief-{first + number:05d}" for number in range(count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict:
        if not 0 <= number < self.count:
            raise IndexError(number)
        return make_sample(self.recipe, self.seed, self.first + number)


def _surface(recipe: Recipe, generator: np.random.Generator) -> np.ndarray:
    """A tilted, curved sheet with a relief on it: z-depth ``[H, W]`` in metres."""
    distance = generator.uniform(*recipe.distance)
    x, y = np.moveaxis(recipe.rig.rays(recipe.size, recipe.size)[..., :2] * distance, -1, 0)
    tilt = generator.uniform(-recipe.tilt, recipe.tilt, 2)
    bend = generator.uniform(-recipe.curvature, recipe.curvature, 3)
    sheet = distance + tilt[0] * x + tilt[1] * y + (bend[0] * x * x + 2 * bend[1] * x * y + bend[2] * y * y) / 2
    kind = relief.KINDS[recipe.kinds[generator.integers(len(recipe.kinds))]]
    return sheet - kind(generator, recipe.wavelength, recipe.steepness)(x, y)


def _photograph(recipe: Recipe, generator: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """Light through gain, gamma, noise and eight bits: ``[H, W]`` in [0, 1]."""
    exposed = generator.uniform(*recipe.gain) * light.clip(0, None) ** generator.uniform(*recipe.gamma)
    noisy = exposed + recipe.noise * generator.standard_normal(light.shape)
    return (noisy.clip(0, 1) * 255).round() / 255


def _frame(recipe: Recipe, generator: np.random.Generator) -> np.ndarray:
    """Where the object is: the whole frame, or an ellipse in it; ``[H, W]`` bool."""
    place, radii = generator.uniform(-0.3, 0.3, 2), generator.uniform(0.6, 1.2, 2)
    if generator.random() >= recipe.cut:
        return np.ones((recipe.size, recipe.size), dtype=bool)
    x, y = np.meshgrid(*2 * [np.linspace(-1, 1, recipe.size)])
    return ((x - place[0]) / radii[0]) ** 2 + ((y - place[1]) / radii[1]) ** 2 <= 1
