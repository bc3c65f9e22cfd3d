"""``nsr prior ablate`` and ``nsr prior exact``: what priors buy in a reconstruction, at best too."""

from __future__ import annotations

import argparse
from pathlib import Path

from nsr.cli.arguments import number_from_zero, positive_int, positive_number
from nsr.cli.locations import find_conf, output_folder
from nsr.cli.train import DEFAULT_CONF

PRIOR_CONFS = "confs/priors"
PRIORS = ("depth", "normal", "shading", "all")

_EXAMPLES = """\
examples:
  nsr prior exact data/default data/default/exact            the truth, as priors: what they could buy at best
  nsr prior exact data/default data/default/wrong --corrupt 0.2
  nsr prior ablate data/default --bundles exact --views 6 --seeds 0 1 2 --minutes 2
  nsr prior ablate data/default --bundles exact wrong --priors depth all --steps 1000

Each run is one line of results.jsonl in the output folder; called again, the command goes on where it was stopped.
Writes table.md, table.csv (a line a run) and report.html beside it.
"""


def add_ablate(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "ablate",
        help="train a scene with none, each and all priors, and compare",
        description="Train scenes with none, each and all priors, over seeds, and compare the surfaces.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenes", nargs="+", metavar="SCENE", help="scene folder; best one whose truth is known")
    parser.add_argument(
        "--bundles", nargs="+", default=["priors"], metavar="FOLDER",
        help="of prior bundles, relative to each scene or absolute (default: priors)",
    )
    parser.add_argument(
        "--priors", nargs="+", default=list(PRIORS), metavar="NAME",
        help=f"which, each a conf in {PRIOR_CONFS}/ or the path of one (default: {' '.join(PRIORS)})",
    )
    parser.add_argument("--conf", default=DEFAULT_CONF, help=f"of the runs without priors (default: {DEFAULT_CONF})")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=positive_number, default=2.0, help="of each training (default: 2)")
    length.add_argument("--steps", type=positive_int, help="of each training, instead")
    parser.add_argument("--views", type=positive_int, default=0, help="train on so many views (default: all)")
    parser.add_argument("--resolution", type=positive_int, default=512, help="of the meshes (default: 512)")
    parser.add_argument(
        "--no_rendering", dest="rendering", action="store_false", help="measure the meshes only: no PSNR, and quicker"
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="conf keys of every run")
    parser.add_argument("--output", default="ablation", help="folder of results and tables (default: ablation)")
    parser.set_defaults(run=_ablate)


def _ablate(arguments: argparse.Namespace) -> int:
    from nsr.evaluation.prior_ablation import PAGE_FILE, PriorAblation, run_prior_ablation
    from nsr.scenes.locate import resolve_scene_folder

    length = ("--steps", str(arguments.steps)) if arguments.steps else ("--minutes", f"{arguments.minutes:g}")
    confs = {
        Path(name).stem: str(find_conf(name if name.endswith(".conf") else f"{PRIOR_CONFS}/{name}.conf"))
        for name in arguments.priors
    }
    ablation = PriorAblation(
        [str(resolve_scene_folder(scene).resolve()) for scene in arguments.scenes],
        arguments.bundles,
        str(find_conf(arguments.conf)),
        confs,
        arguments.seeds,
        length,
        arguments.views,
        arguments.resolution,
        arguments.set,
        arguments.rendering,
    )
    output = output_folder(arguments.output)
    lines, failures = run_prior_ablation(ablation, output)
    print("\n".join(lines))
    print(f"report: {output / PAGE_FILE}")
    return 1 if failures else 0


def add_exact(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "exact",
        help="prior bundles from a synthetic scene's ground truth or simulated sensors",
        description="Write prior bundles from a synthetic scene's ground truth: what priors could buy at best.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scene", help="folder of a synthetic scene")
    parser.add_argument("output", help="folder of the bundles; must not be there yet")
    parser.add_argument(
        "--depth", default="exact",
        help="exact, with normals, albedo and shading; or a sensor's map in sensors/ alone: stereo_depth, "
        "interpolated_depth, sparse_depth, low_resolution_depth (nsr scene sense)",
    )
    parser.add_argument(
        "--corrupt", type=number_from_zero, default=0.0, help="share of the pixels that are wrong, in patches"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the patches")
    parser.set_defaults(run=_exact)


def _exact(arguments: argparse.Namespace) -> int:
    from nsr.priors.exact import write_exact_bundles

    output = write_exact_bundles(
        arguments.scene, output_folder(arguments.output), depth=arguments.depth, corrupt=arguments.corrupt,
        seed=arguments.seed,
    )  # fmt: skip
    print(f"bundles: {output}")
    return 0
