"""``nsr mesh``: a mesh to give away, from any checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from nsr.cli.arguments import positive_int, positive_number
from nsr.cli.runs import add_run, chosen_run, load_run_and_scene
from nsr.errors import NsrError
from nsr.training.run_folder import find_checkpoint

MESH_FOLDER = "mesh"
FORMATS = ("ply", "obj", "glb")  # what nsr.meshing.export writes, known here without importing torch

_EXAMPLES = """\
examples:
  nsr mesh exps/default_mug                                a coloured mesh of its newest run, as PLY and GLB
  nsr mesh exps/default_mug --texture photographs          50,000 faces and a texture, as OBJ and GLB
  nsr mesh exps/default_mug --edge_length 0.5 --max_error 0.1
                                                           edges of about 0.5 world units, then as few faces as keep
                                                           the surface within 0.1 of where it was
  nsr mesh exps/default_mug --trim 3 --formats glb         only what three training views see (not closed any more)

Lengths are in the units of the scene's cameras.npz (the mesh's own); with --normalised, of the unit sphere.
Writes RUN/mesh/surface_<step>.<format>.  Textures and decimation need: pip install 'nsr[mesh]'.
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "mesh",
        help="a coloured or textured mesh of a trained run",
        description="Extract a run's surface as a watertight mesh with colours or a texture, in world units.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_run(parser)
    parser.add_argument("--output", help="folder to write to (default: RUN/mesh)")
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)} (default: ply and glb; with a texture, obj and glb)",
    )
    detail = parser.add_mutually_exclusive_group()
    detail.add_argument(
        "--resolution", type=positive_int, default=512, help="cells along the object's shortest axis (default: 512)"
    )
    detail.add_argument("--edge_length", type=positive_number, help="mean edge of the triangles instead")
    parser.add_argument(
        "--is_uniform_grid", action="store_true", help="cells over all of [-1, 1]^3, not the object's box"
    )
    parser.add_argument("--all_components", action="store_true", help="keep every piece, not only the largest")
    parser.add_argument("--faces", type=positive_int, help="decimate to about so many triangles")
    parser.add_argument("--max_error", type=positive_number, help="decimate as far as the surface moves no further")
    parser.add_argument(
        "--trim", type=positive_int, metavar="VIEWS", help="leave out what fewer training views than this see"
    )
    parser.add_argument(
        "--texture",
        choices=("none", "radiance", "photographs"),
        default="none",
        help="a texture of the learnt colours, or blended from the photographs (default: none, colours of vertices)",
    )
    parser.add_argument(
        "--texture_size", type=positive_int, default=2048, help="texels of its longer side (default: 2048)"
    )
    parser.add_argument("--unlit", action="store_true", help="GLB: show the colours as they are, without lamps")
    parser.add_argument(
        "--normalised",
        action="store_true",
        help="in the frame of the unit sphere instead of the world's; needs no scene",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the mesh; prints what it is and where."""
    run_folder = chosen_run(arguments)
    checkpoint = find_checkpoint(run_folder, arguments.checkpoint)
    textured = arguments.texture != "none"
    formats = arguments.formats or (["obj", "glb"] if textured else ["ply", "glb"])
    if textured and "ply" in formats:
        raise NsrError("a PLY holds no texture: give --formats obj glb, or --texture none for colours of the vertices")

    # torch takes seconds to import: wrong arguments do not wait for it
    import numpy as np

    from nsr.cli.device import choose_device
    from nsr.evaluation.camera_alignment import align_run
    from nsr.meshing.export import export_mesh
    from nsr.meshing.finished import MeshOptions, finish_mesh
    from nsr.meshing.output import writing_to

    folder = Path(arguments.output).resolve() if arguments.output else run_folder / MESH_FOLDER
    device = choose_device(arguments.gpu)
    needs_scene = not arguments.normalised or bool(arguments.trim) or arguments.texture == "photographs"
    trained, scene = load_run_and_scene(run_folder, checkpoint, device, arguments.data_dir, needs_scene=needs_scene)
    to_world = None
    if not arguments.normalised:
        # trained cameras may have drifted, and the surface with them: out again, as in nsr eval
        drifts = trained.config.train.train_cameras
        to_world = align_run(trained, scene).to_world if drifts else scene.scale_mat
    unit = 1.0 if to_world is None else float(np.cbrt(abs(np.linalg.det(to_world[:3, :3]))))
    options = MeshOptions(
        resolution=arguments.resolution,
        edge_length=arguments.edge_length and arguments.edge_length / unit,
        uniform_grid=arguments.is_uniform_grid,
        all_components=arguments.all_components,
        faces=arguments.faces,
        max_error=arguments.max_error and arguments.max_error / unit,
        seen_by=arguments.trim or 0,
        texture=arguments.texture,
        texture_size=arguments.texture_size,
    )
    with writing_to(folder, "the mesh"):
        finished = finish_mesh(trained.renderer, options, scene=scene, cameras=trained.cameras, device=device)
        print(_describe(finished, unit, arguments))
        for kind in formats:
            path = export_mesh(
                finished.mesh,
                folder / f"surface_{trained.step}.{kind}",
                colours=finished.colours,
                normals=finished.normals,
                texture=finished.texture,
                scale_mat=to_world,
                unlit=arguments.unlit,
            )
            print(f"{kind + ':':<5} {path}")
    return 0


def _describe(finished, unit: float, arguments: argparse.Namespace) -> str:
    unit_name = "normalised units" if arguments.normalised else "world units"
    closed = "watertight" if finished.watertight else "open"
    text = f"{len(finished.mesh.faces):,} triangles, {closed}"
    if finished.error:
        text += f" (of {finished.extracted_faces:,}; moved by at most {finished.error * unit:.3g} {unit_name})"
    if arguments.max_error and len(finished.mesh.faces) > (arguments.faces or 0):
        if not finished.error:
            text += f"; fewer would move it by more than {arguments.max_error:g}"
        elif arguments.faces:
            text += f"; {arguments.faces:,} would move it by more than {arguments.max_error:g}"
    if finished.texture is not None:
        height, width = finished.texture.picture.shape[:2]
        text += f", texture {width} x {height}"
    return text
