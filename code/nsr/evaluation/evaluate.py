"""The evaluation of a run: its mesh, its renders, their figures and a report, in one folder."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh

from nsr.atomic import whole_file
from nsr.errors import NsrError
from nsr.evaluation.camera_accuracy import write_camera_errors
from nsr.evaluation.camera_alignment import CameraAlignment, align_run
from nsr.evaluation.geometry_metrics import compare_surfaces, pixel_footprint
from nsr.evaluation.held_out_cameras import CARRIED
from nsr.evaluation.report import write_report
from nsr.evaluation.topology import compare_topology, measure_topology
from nsr.evaluation.views import SPLITS, score_views, split_views, summarise, write_scores
from nsr.meshing.cleanup import orient_outward
from nsr.meshing.colour import vertex_colours
from nsr.meshing.export import export_mesh
from nsr.meshing.extraction import extract_mesh
from nsr.meshing.output import writing_to
from nsr.scenes.scene import Scene
from nsr.training.run import require_scene_of

FLOATING_RESOLUTION = 128  # at which pieces beside the object are counted
METRICS_FILE = "metrics.json"
VIEWS_FILE = "views.csv"
REPORT_FILE = "report.html"
PICTURE_FOLDER = "rendering"
CAMERAS_FILE = "cameras.csv"

# of the printed table: key, head, digits, width
_VIEW_COLUMNS = (
    ("psnr", "PSNR dB", 2, 9), ("ssim", "SSIM", 3, 8), ("lpips", "LPIPS", 3, 8), ("iou", "IoU", 4, 8),
    ("hull_iou", "hull IoU", 4, 10),
)  # fmt: skip


def evaluate_run(
    run,
    scene: Scene,
    output_folder: str | Path,
    *,
    splits: Sequence[str] = SPLITS,
    resolution: int = 512,
    uniform_grid: bool = False,
    report: bool = True,
    align_cameras: bool = False,
    held_out_cameras: str = CARRIED,
) -> dict:
    """Measure a trained run and write everything a person may want to look at.

    Writes into ``output_folder`` (each file whole or not at all): the coloured mesh in world coordinates
    ``surface_world_coordinates_<step>.ply`` and ``.glb``; for the ``splits``' views
    ``rendering/eval_NNN.png`` and ``views.csv``; ``metrics.json``; ``report.html``; and it prints a table.

    Args:
        run: what ``nsr.training.run.load_run`` gives.
        scene: the scene it was trained on; the held-out views are looked at here for the first time.
        output_folder: is made where it is missing.
        splits: whose views are rendered and measured, of train and heldout; the others' figures are null.
        resolution: of the mesh, see ``extract_mesh``; uniform_grid: likewise.
        report: write the HTML report.
        align_cameras: measure the cameras against ``cameras.npz``, write ``cameras.csv``, and put the mesh into that
            file's frame before it is written and measured.
        held_out_cameras: carried | refined, where training moved the others; see ``align_run``.

    Returns:
        What ``metrics.json`` holds: ``train`` and ``heldout`` (psnr in dB and ssim over the masks, iou, and hull_iou:
        the silhouettes of the training views' visual hull, each a mean over views; null without views, the IoUs null
        without masks too), ``geometry`` (chamfer in units of the normalised frame, chamfer_pixels, chamfer_world,
        normal_degrees, fscore at one pixel footprint, ...; null without ground truth), ``cameras`` (errors of the given
        and of the refined ones and what became of the held-out ones; null unless they are aligned), ``topology``
        (components in the whole bounding sphere; of the written mesh boundary_edges, holes, genus and watertight;
        true_components and true_genus, null without ground truth), ``train_seconds``, ``eval_seconds``,
        ``peak_memory_mb`` of the training, ``step`` and ``files``.

    Raises:
        NsrError: the scene is not the run's (see ``require_scene_of``), the folder cannot be written, the field has no
            surface, or the ground truth cannot be read.
    """
    require_scene_of(run, scene)
    started = time.perf_counter()
    folder = Path(output_folder)
    with writing_to(folder, "the evaluation"):
        alignment = align_run(run, scene, held_out_cameras) if align_cameras else None
        if alignment:
            run = dataclasses.replace(run, cameras=alignment.cameras)
        metrics, mesh, colours = _measure(run, scene, folder, splits, resolution, uniform_grid, alignment)
        if report:
            metrics["files"]["report"] = REPORT_FILE
        _remove_stale(folder, metrics["files"], [view for _, view in split_views(scene, splits)])
        metrics["eval_seconds"] = time.perf_counter() - started
        with whole_file(folder / METRICS_FILE) as partial:
            partial.write_text(json.dumps(metrics, indent=2) + "\n")
        if report:
            write_report(folder / REPORT_FILE, run, scene, metrics, mesh, colours)
    print(format_metrics(metrics))
    if alignment:
        print(alignment.format())
    return metrics


def _measure(
    run,
    scene: Scene,
    folder: Path,
    splits: Sequence[str],
    resolution: int,
    uniform_grid: bool,
    alignment: CameraAlignment | None,
) -> tuple[dict, trimesh.Trimesh, np.ndarray]:
    """Everything of ``metrics.json`` but the time, and the mesh with its colours, after they were written."""
    to_world = alignment.to_world if alignment else scene.scale_mat
    measured = alignment.reference if alignment else scene
    truth = read_ground_truth(measured)
    device = run.cameras.poses.device
    sdf, radiance = run.renderer.sdf, run.renderer.radiance
    radius = run.renderer.tracer.config.object_bounding_sphere

    mesh = extract_mesh(run.renderer.value, resolution, radius, uniform_grid=uniform_grid, device=device)
    colours = vertex_colours(mesh, sdf, radiance, device=device)
    stem = folder / f"surface_world_coordinates_{run.step}"
    files = {
        kind: export_mesh(mesh, stem.with_suffix(f".{kind}"), colours=colours, scale_mat=to_world).name
        for kind in ("ply", "glb")
    }
    metrics = {"train": None, "heldout": None, "geometry": None, "cameras": None}
    if alignment:
        metrics["cameras"] = alignment.figures()
        write_camera_errors(folder / CAMERAS_FILE, alignment.given, alignment.refined, scene.train_views)
        files["cameras"] = CAMERAS_FILE
    if splits:
        scores = score_views(run, measured, folder / PICTURE_FOLDER, splits=splits)
        metrics["train"], metrics["heldout"] = summarise(scores, "train"), summarise(scores, "heldout")
        write_scores(folder / VIEWS_FILE, scores)
        files |= ({"renders": PICTURE_FOLDER} if scores else {}) | {"views": VIEWS_FILE}
    if truth is not None:
        placed = mesh
        if alignment:
            vertices = measured.to_normalised(trimesh.transform_points(mesh.vertices, to_world))
            placed = trimesh.Trimesh(vertices, mesh.faces, process=False)
        metrics["geometry"] = measure_geometry(placed, truth, measured)
    floating = extract_mesh(
        run.renderer.value, FLOATING_RESOLUTION, radius, largest_only=False, uniform_grid=True, device=device
    )
    metrics["topology"] = compare_topology(
        measure_topology(floating), measure_topology(mesh), None if truth is None else measure_topology(truth)
    )
    metrics |= {
        "train_seconds": run.train_seconds,
        "eval_seconds": None,
        "peak_memory_mb": run.peak_memory_mb,
        "step": run.step,
        "files": files,
    }
    return _without_nan(metrics), mesh, colours


def measure_geometry(mesh: trimesh.Trimesh, truth: trimesh.Trimesh, scene: Scene) -> dict:
    """Errors of a mesh against the true one, both in the normalised frame, in all units.

    Distances are to surfaces, both ways, over what two training views see; the F-score's threshold is one footprint.
    """
    footprint = pixel_footprint(scene, truth)
    sizes = [tuple(mask.shape) for mask in scene.masks]
    errors = compare_surfaces(mesh, truth, footprint, cameras=scene.cameras, views=scene.train_views, sizes=sizes)
    return errors.in_units(footprint, scene.scale)


def read_ground_truth(scene: Scene) -> trimesh.Trimesh | None:
    """The scene's true surface in the normalised frame, facing outward; None where it names none.

    Raises:
        NsrError: the file is missing, is no mesh, or has no faces.
    """
    path = scene.ground_truth_mesh
    if path is None:
        return None
    truth = read_mesh(path, f"the ground-truth mesh of {scene.name}")
    return orient_outward(trimesh.Trimesh(scene.to_normalised(truth.vertices), truth.faces, process=False))


def read_mesh(path: str | Path, what: str) -> trimesh.Trimesh:
    """Read triangles; ``what`` they are is for the message.

    Raises:
        NsrError: the file is missing, is no mesh, or has no faces.
    """
    if not Path(path).is_file():
        raise NsrError(f"{path}: {what} is missing")
    try:
        loaded = trimesh.load(path, force="mesh", process=False)
    except Exception as error:  # trimesh raises whatever its readers trip over
        raise NsrError(f"{path}: {what} cannot be read ({error})") from error
    if not isinstance(loaded, trimesh.Trimesh) or len(loaded.faces) == 0:
        raise NsrError(f"{path}: {what} has no faces; distances need a surface, not points")
    return loaded


def format_metrics(metrics: dict) -> str:
    """The figures as a table to print."""
    lines = []
    splits = [(name, metrics[split]) for split, name in (("train", "training"), ("heldout", "held out"))]
    if "views" in metrics["files"]:
        # the perceptual distance has a column where it was computed
        computed = any(figures and figures["lpips"] is not None for _, figures in splits)
        columns = [column for column in _VIEW_COLUMNS if column[0] != "lpips" or computed]
        lines.append(f"{'views':<16}" + "".join(f"{head:>{width}}" for _, head, _, width in columns))
        for name, figures in splits:
            if figures is None:
                lines.append(f"{name} ({'none' if name == 'held out' else 'not rendered'})")
                continue
            label = f"{name} ({figures['views']})"
            cells = (f"{_figure(figures[key], digits):>{width}}" for key, _, digits, width in columns)
            lines.append(f"{label:<16}" + "".join(cells))
    geometry = metrics["geometry"]
    if geometry:
        lines.append(
            f"Chamfer {geometry['chamfer_pixels']:.3f} pixel footprints = {geometry['chamfer']:.5f} of the unit sphere"
            f" = {geometry['chamfer_world']:.4g} world units"
        )
        lines.append(
            f"normals {geometry['normal_degrees']:.1f} degrees, F-score {geometry['fscore']:.3f} at one footprint"
        )
    lines.append(format_topology(metrics["topology"]))
    lines.append(
        f"training {_figure(metrics['train_seconds'], 0)} s, peak memory {_figure(metrics['peak_memory_mb'], 0)} MB; "
        f"evaluation {metrics['eval_seconds']:.0f} s"
    )
    return "\n".join(lines)


def format_topology(topology: dict) -> str:
    """One line: pieces, holes and handles, with the true numbers where they are known."""
    pieces, genus = topology["components"], topology["genus"]
    line = f"{pieces} component{'s' * (pieces != 1)}, "
    holes, edges = topology["holes"], topology["boundary_edges"]
    line += "watertight" if topology["watertight"] else f"{holes} holes of {edges} edges"
    line += f", genus {'unknown' if genus is None else genus}"
    if topology["true_components"] is not None:
        line += f" (true: {topology['true_components']} and genus {topology['true_genus']})"
    return line


def _figure(value: float | None, digits: int) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def _remove_stale(folder: Path, files: dict[str, str], rendered: Sequence[int]) -> None:
    """Take away what an earlier evaluation left in the folder and this one, which rendered the views ``rendered``, did
    not make again: it would be taken for this checkpoint's.  Meshes carry their step in their names and stay."""
    pictures = folder / PICTURE_FOLDER
    made = {f"{kind}_{view:03d}.png" for kind in ("eval", "normal") for view in rendered}
    for picture in [*pictures.glob("eval_*.png"), *pictures.glob("normal_*.png")]:
        if picture.name not in made:
            picture.unlink()
    if pictures.is_dir() and not any(pictures.iterdir()):
        pictures.rmdir()
    for name in {VIEWS_FILE, REPORT_FILE, CAMERAS_FILE} - set(files.values()):
        (folder / name).unlink(missing_ok=True)


def _without_nan(value):
    """JSON has no NaN and no infinity: null instead."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
