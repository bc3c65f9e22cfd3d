"""``nsr scene sense``: what depth sensors would have seen of a synthetic scene."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from nsr.cli.arguments import number_from_zero, positive_number
from nsr.cli.locations import find_conf

_EXAMPLES = """\
examples:
  nsr scene sense data/default --stereo                     noisy depth with holes, and infrared
  nsr scene sense data/default --structured_light --pitch 24
  nsr scene sense data/default --low_resolution 8 --decimation closest
  nsr scene sense data/default --conf sensors.conf          keys are the fields of SensorSpec

The scene must have its ground_truth/, as nsr scene make writes it.  Writes sensors/: 16-bit depth pictures in steps of
depth_unit world units, 8-bit infrared and pattern pictures, and sensors.json, which says what they are.
"""

# The fields of a SensorSpec that are numbers or names: type, what it is.  What is not given keeps the spec's default.
SENSOR_FLAGS = {
    "low_resolution": (int, "exact depth of so many times fewer pixels a side"),
    "decimation": (str, "how it is made: area, nearest or closest"),
    "baseline": (positive_number, "of the stereo pair and of the projector, normalised units"),
    "noise": (number_from_zero, "standard deviation of the disparity, pixels"),
    "correlation": (number_from_zero, "width over which that noise is alike, pixels"),
    "disparity_steps": (int, "disparities told apart in a pixel; 0: all"),
    "fattening": (int, "pixels by which foreground grows"),
    "least_cosine": (number_from_zero, "to the surface, below which nothing is measured"),
    "least_signal": (number_from_zero, "infrared contrast, below which nothing is measured"),
    "speckle": (number_from_zero, "share of the pixels lost in random patches"),
    "nearest": (number_from_zero, "end of the range, normalised units"),
    "farthest": (positive_number, "the other one"),
    "pitch": (positive_number, "distance of the projector's lines, pixels"),
    "line_width": (positive_number, "of the projector's lines, pixels"),
    "depth_unit": (positive_number, "world units of one step of the 16-bit pictures"),
    "seed": (int, "of everything random"),
}
SENSOR_SWITCHES = {
    "stereo": "an active stereo camera: noisy depth and infrared",
    "structured_light": "a projector of grid lines: its picture, sparse and interpolated depth",
}


def add_sense(tools: argparse._SubParsersAction) -> None:
    sense = tools.add_parser(
        "sense",
        help="write what depth sensors would have seen of a synthetic scene",
        description="Write what depth sensors would have seen of a synthetic scene.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sense.add_argument("folder", help="of a synthetic scene")
    sense.add_argument("--conf", help="a file with the sensors' keys; other options change it")
    for name, text in SENSOR_SWITCHES.items():
        sense.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=text)
    for name, (kind, text) in SENSOR_FLAGS.items():
        sense.add_argument(f"--{name}", type=kind, default=None, help=text)
    sense.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from nsr.config.reader import load_settings
    from nsr.scenes.synthetic.sensors.sense import sense_scene
    from nsr.scenes.synthetic.sensors.spec import SensorSpec

    spec = load_settings(find_conf(arguments.conf), SensorSpec) if arguments.conf else SensorSpec()
    given = {name: getattr(arguments, name) for name in (*SENSOR_FLAGS, *SENSOR_SWITCHES)}
    spec = dataclasses.replace(spec, **{name: value for name, value in given.items() if value is not None})
    print(f"sensors: {sense_scene(Path(arguments.folder), spec)}")
    return 0
