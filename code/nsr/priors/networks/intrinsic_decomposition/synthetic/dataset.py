"""A dataset of rendered pictures with everything that they decompose into, made when asked for."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch.utils.data import Dataset

from nsr.errors import NsrError
from nsr.priors.networks.intrinsic_decomposition.faces import constant_map
from nsr.priors.networks.intrinsic_decomposition.synthetic.lighting import ambient_occlusion, random_picture
from nsr.priors.networks.intrinsic_decomposition.synthetic.surfaces import random_surface
from nsr.priors.networks.intrinsic_decomposition.synthetic.texture import random_albedo

LIGHTS_PER_SCENE = 2
_LARGEST_NOISE = 0.01  # standard deviation, of a picture in [0, 1]


class SyntheticPictures(Dataset):
    """``count`` samples of ``size`` by ``size`` pixels; two lights on every surface, which is the scene.

    A sample is the same whenever it is asked for, and depends on ``seed`` and its own number alone.  Its maps:
    ``image`` (with noise; half of the backgrounds black, the others of some colour), ``normal`` (unit, camera frame),
    ``albedo``, ``shading`` (image = albedo x shading inside the mask, but for noise), all ``[3, H, W]``; ``mask``
    ``[1, H, W]``; ``light`` ``[27, H, W]``, the same everywhere; ``synthetic`` ``[1, H, W]``, one: these labels are
    true.
    """

    def __init__(self, count: int, size: int = 64, seed: int = 0):
        if count < 1 or size < 16:
            raise NsrError(f"synthetic pictures: {count} of {size} pixels; at least 1 of 16 are needed")
        self.count, self.size, self.seed = count, size, seed
        self.scenes = [f"scene-{seed}-{index // LIGHTS_PER_SCENE:05d}" for index in range(count)]
        self._scene = functools.lru_cache(maxsize=4)(self._make_scene)

    def __len__(self) -> int:
        return self.count

    def _make_scene(self, scene: int):
        random = np.random.default_rng([self.seed, scene])
        surface = random_surface(random, self.size)
        return surface, random_albedo(random, surface), ambient_occlusion(surface)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        surface, albedo, occlusion = self._scene(index // LIGHTS_PER_SCENE)
        random = np.random.default_rng([self.seed, index // LIGHTS_PER_SCENE, 1 + index % LIGHTS_PER_SCENE])
        picture = random_picture(random, surface, albedo, occlusion)
        background = random.uniform(0, 1, 3)[:, None, None] * (random.random() < 0.5)
        image = np.where(surface.mask, picture.image, background)
        image = np.clip(image + random.normal(0, random.uniform(0, _LARGEST_NOISE), image.shape), 0, 1)
        maps = {
            "image": image,
            "normal": surface.normal,
            "albedo": albedo,
            "shading": picture.shading,
            "mask": surface.mask[None],
        }
        sample: dict[str, torch.Tensor | str] = {
            name: torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32)) for name, value in maps.items()
        }
        mask = sample["mask"]
        sample["light"] = constant_map(torch.from_numpy(picture.light).float(), mask)
        sample["synthetic"] = torch.ones_like(mask)
        return sample | {"name": f"{self.seed}-{index:05d}", "scene": self.scenes[index]}
