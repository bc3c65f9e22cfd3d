"""``nsr view``: a live viewer of a run, in training or finished."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import threading

from nsr.cli.arguments import positive_int
from nsr.cli.runs import add_run, chosen_run, load_run_and_scene, scene_of
from nsr.config.reader import load_config
from nsr.training.run_folder import LATEST, RUN_CONF, find_checkpoint, has_checkpoint

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8080
NICENESS = 10  # the training goes first

_EXAMPLES = """\
examples:
  nsr view exps/default_mug                       the newest run, followed while it trains, from its first second on
  nsr view exps/default_mug --checkpoint 500      that checkpoint, as it is
  nsr view exps/default_mug --host 0.0.0.0        for browsers on other machines, who may all look

Shows the mesh or traced pictures (colour, normals, depth), the cameras and the training views' photographs, and any
number of the encoding's levels.  Reads checkpoints and writes nothing.  Needs: pip install 'nsr[viewer]'.
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "view",
        help="a live viewer of a run, in training or finished",
        description="Serve a page that shows a run: its surface, its cameras, its photographs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_run(parser)
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"0: any free one (default: {DEFAULT_PORT})")
    parser.add_argument("--host", default=DEFAULT_HOST, help=f"address to listen at (default: {DEFAULT_HOST})")
    parser.add_argument(
        "--resolution", type=positive_int, default=128, help="of the mesh, along its shortest axis (default: 128)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """``nsr view RUN``: until Ctrl-C."""
    follows = arguments.checkpoint == LATEST
    run_folder = chosen_run(arguments, begun=follows)
    checkpoint = None
    if not follows or has_checkpoint(run_folder):
        checkpoint = find_checkpoint(run_folder, arguments.checkpoint)

    # torch takes seconds to import: a run that is not there is reported without it
    from nsr.cli.device import choose_device
    from nsr.fields.encoding import make_encoding
    from nsr.viewer.follower import RunFollower
    from nsr.viewer.ports import require_free_port
    from nsr.viewer.viewer import Viewer, start_server

    require_free_port(arguments.host, arguments.port)
    device = choose_device(arguments.gpu)
    if checkpoint is not None:
        found, scene = load_run_and_scene(run_folder, checkpoint, device, arguments.data_dir)
        config = found.config
    else:
        found, config = None, load_config(run_folder / RUN_CONF)
        scene = scene_of(config.dataset, arguments.data_dir)

    def newest():
        return load_run_and_scene(run_folder, find_checkpoint(run_folder), device, None, needs_scene=False)[0]

    follower = RunFollower(run_folder, found, newest if follows else None)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
    server = start_server(arguments.host, arguments.port)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            encoding = config.model.implicit_network.encoding
            viewer = Viewer(server, follower, scene, make_encoding(encoding).levels, arguments.resolution)
            if found is None:
                print(f"{run_folder}: no checkpoint yet; the surface appears with the first")
            address = f"http://{arguments.host}:{server.get_port()}"
            print(f"{run_folder}: open {address} in a browser; Ctrl-C ends", flush=True)
            viewer.run(threading.Event())
    finally:
        with contextlib.redirect_stdout(io.StringIO()):  # it tells its own end
            server.stop()
    return 0


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to 65535")
    return value


_port.__name__ = "whole number"  # argparse puts it into its message
