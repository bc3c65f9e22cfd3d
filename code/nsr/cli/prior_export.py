"""``nsr prior export FAMILY --scene SCENE``: networks over the views of a scene, as its priors."""

from __future__ import annotations

import argparse
from pathlib import Path

from nsr.cli.locations import output_folder


def add_scene_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags with which an export writes bundles of a scene's views instead of the network."""
    bundles = parser.add_argument_group("bundles of a scene's views")
    bundles.add_argument("--scene", help="scene folder: run the network over its views")
    bundles.add_argument(
        "--then", nargs="+", default=[], metavar="FAMILY", help="networks that go on with what this one gave, in order"
    )
    bundles.add_argument(
        "--input", type=Path, help="folder of bundles whose metric depths the first network reads (nsr prior import)"
    )
    bundles.add_argument(
        "--scene_unit",
        metavar="mm|m|METRES",
        help="what a world unit of the scene's cameras is; needed by networks that read a depth",
    )
    bundles.add_argument("--cam_file", help="another camera file than cameras.npz")


def export_bundles(arguments: argparse.Namespace) -> int:
    from nsr.cli.device import choose_device
    from nsr.cli.prior_chain import STEPS, run_chain
    from nsr.cli.prior_import import metres_of
    from nsr.errors import NsrError
    from nsr.priors.loading import PRIOR_FOLDER
    from nsr.priors.networks.common.checkpoints import task_from_checkpoint
    from nsr.priors.networks.common.family import families
    from nsr.priors.networks.common.run_folder import find_checkpoint
    from nsr.scenes.idr_folder import load_scene
    from nsr.scenes.locate import resolve_scene_folder

    known, runs = families(), output_folder(arguments.output)
    device = choose_device(arguments.gpu)
    tasks = []
    for name in (arguments.family.name, *arguments.then):
        if name not in STEPS or name not in known:
            raise NsrError(f"{name} is no network that runs over scenes; there are {', '.join(sorted(STEPS))}")
        # The run and the checkpoint that are asked for are the first network's.
        asked = (arguments.name, arguments.checkpoint) if not tasks else (None, "best")
        checkpoint = find_checkpoint(runs, name, *asked)
        tasks.append((name, task_from_checkpoint(checkpoint, known[name]).to(device)))
    folder = resolve_scene_folder(arguments.scene)
    scene = load_scene(folder, cam_file=arguments.cam_file, heldout_every=0)
    output = Path(arguments.path) if arguments.path else folder / PRIOR_FOLDER
    written, left_out = run_chain(scene, tasks, output, arguments.input, metres_of(arguments.scene_unit))
    print(f"bundles: {len(written)} views in {output}")
    if left_out:
        print(f"nothing for {len(left_out)} of {len(scene)} views: {', '.join(left_out)}")
    return 0
