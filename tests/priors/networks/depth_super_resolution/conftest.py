"""Frames small enough to train on in a test, and the family's command line."""

import numpy as np
import pytest
import torch

from nsr.cli import main as cli
from nsr.priors.networks.depth_super_resolution.pfm import write_pfm

FAMILY = "depth-super-resolution"


def boxes(seed, size=(48, 64)):
    """Depth in metres of flat boxes before a slanted wall, and a mask with a hole."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    depth = 2 + 0.004 * rows - 0.002 * columns
    for _ in range(5):
        top, left = random.integers(0, size[0] - 8), random.integers(0, size[1] - 8)
        depth[top : top + random.integers(8, 24), left : left + random.integers(8, 24)] = random.uniform(1, 1.8)
    mask = np.ones(size, np.float32)
    mask[10:16, 20:33] = 0
    return torch.from_numpy(depth.astype(np.float32))[None], torch.from_numpy(mask)[None]


@pytest.fixture
def sample():
    depth, mask = boxes(0)
    return {"depth": depth * mask, "mask": mask, "name": "boxes", "scene": "test"}


def write_maps(folder):
    """Six scans of one map, as DTU lays them out, in millimetres."""
    for scan in range(6):
        depth, mask = boxes(scan)
        write_pfm(folder / f"scan{scan}" / "depth_map_0000.pfm", (1000 * depth * mask)[0].numpy())


@pytest.fixture
def folder(tmp_path):
    write_maps(tmp_path / "maps")
    return tmp_path / "maps"


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """The folder of a small x4 run on such maps; copy it, do not write to it."""
    root = tmp_path_factory.mktemp("trained")
    write_maps(root / "maps")
    flags = "--width 4 --patch 32 --stride 32 --batch 2 --factor 4 --epoch 2 --val 0.34 --verbose 0".split()
    where = ["--data", str(root / "maps"), "--output", str(root / "runs")]
    assert cli.main(["prior", "train", FAMILY, *where, *flags, "--gpu", "ignore"]) == 0
    return root / "runs"


@pytest.fixture
def nsr(tmp_path):
    """``nsr prior COMMAND depth-super-resolution ... --output <tmp_path>/runs``; returns the exit code."""

    def run(command, *arguments):
        flags = ["--output", str(tmp_path / "runs"), "--gpu", "ignore"]
        return cli.main(["prior", command, FAMILY, *flags, *map(str, arguments)])

    return run
