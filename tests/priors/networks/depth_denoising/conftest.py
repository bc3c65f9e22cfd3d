"""A folder of small frames in the layout of the original data set."""

import numpy as np
import pytest
from nsr.cli import main as cli
from nsr.priors.networks.common.depth_png import write_depth_png, write_pixels
from nsr.priors.networks.depth_denoising.simulated import simulate
from nsr.scenes.synthetic.sensors.stereo import StereoSensor


def step_frame(index, size=(64, 96)):
    """A slanted wall with a box before it: exact depth, noisy depth, infrared."""
    random = np.random.default_rng(index)
    row, column = np.indices(size)
    depth = 1.2 + 0.002 * column + 0.001 * index * row
    depth[16:48, 40 + index : 72 + index] = 0.7
    grey = np.where(depth < 0.8, 0.8, 0.3)
    sensor = StereoSensor(0.05, speckle=0.02, fattening=2)
    noisy, infrared = simulate(depth, 424.0, grey, np.ones(size), sensor, random)
    return depth, noisy, infrared


@pytest.fixture(scope="session")
def frame_folder(tmp_path_factory):
    """Six frames: res-N.png, left-N.png, gt-N.png; N = 0, 2, 4, ... 10, so that names do not sort as numbers do."""
    folder = tmp_path_factory.mktemp("frames")
    for index in range(6):
        depth, noisy, infrared = step_frame(index)
        write_depth_png(folder / f"gt-{2 * index}.png", depth)
        write_depth_png(folder / f"res-{2 * index}.png", noisy)
        write_pixels(folder / f"left-{2 * index}.png", np.round(255 * infrared).astype(np.uint8))
    return folder


@pytest.fixture
def nsr(tmp_path):
    """``nsr prior COMMAND depth-denoising ... --output <tmp_path>``; returns the exit code."""

    def run(command, *arguments):
        shared = ["--output", str(tmp_path / "runs"), "--gpu", "ignore"] if command != "prepare" else []
        return cli.main(["prior", command, "depth-denoising", *shared, *map(str, arguments)])

    return run
