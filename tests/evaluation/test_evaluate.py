import csv
import json
import os

import numpy as np
import pytest
import torch
import trimesh
from scipy import ndimage

from nsr.errors import NsrError
from nsr.evaluation.evaluate import evaluate_run, format_metrics
from nsr.rendering.image import EDGE_RAYS, render_view
from nsr.scenes.cameras import Cameras
from nsr.scenes.pictures import as_uint8, read_picture


def test_everything_is_written_and_named(evaluated, sphere_scene):
    metrics, folder, printed = evaluated
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert set(metrics) == {
        "train", "heldout", "geometry", "cameras", "topology", "train_seconds", "eval_seconds", "peak_memory_mb",
        "step", "files",
    }  # fmt: skip
    for split, views in (("train", 7), ("heldout", 1)):
        assert {"psnr", "ssim", "iou", "hull_iou"} <= set(metrics[split])
        assert metrics[split]["views"] == views
    assert {"chamfer", "chamfer_pixels", "normal_degrees", "fscore"} <= set(metrics["geometry"])
    assert (metrics["train_seconds"], metrics["peak_memory_mb"], metrics["step"]) == (12.5, 345.0, 700)
    assert 0 < metrics["eval_seconds"] < 1000
    for name in metrics["files"].values():
        assert (folder / name).exists()
    assert sorted(os.listdir(folder)) == sorted([*metrics["files"].values(), "metrics.json"])
    assert len(os.listdir(folder / "rendering")) == 2 * len(sphere_scene)
    assert printed.strip() == format_metrics(metrics)
    assert "held out (1)" in printed and "hull IoU" in printed


def test_figures_of_a_sphere_that_is_a_little_too_large(evaluated, sphere_scene):
    metrics, folder, _ = evaluated
    geometry = metrics["geometry"]
    assert geometry["chamfer"] == pytest.approx(0.02, abs=3e-4)
    assert geometry["chamfer_world"] == pytest.approx(2.5 * geometry["chamfer"])  # scale_mat's scale
    assert geometry["chamfer_pixels"] == pytest.approx(geometry["chamfer"] / geometry["pixel_footprint"])
    assert geometry["fscore"] == 1.0  # a footprint is 0.035
    area_ratio = (0.6 / 0.62) ** 2
    for split in ("train", "heldout"):
        assert metrics[split]["iou"] == pytest.approx(area_ratio, abs=0.02)
    mesh = trimesh.load(folder / metrics["files"]["ply"], process=False)
    assert np.linalg.norm(mesh.vertices - sphere_scene.scale_mat[:3, 3], axis=1) == pytest.approx(0.62 * 2.5, abs=2e-3)
    assert (mesh.visual.vertex_colors[:, :3] == round(0.6 * 255)).all()


def test_topology_of_a_sphere(evaluated):
    metrics, _, printed = evaluated
    assert metrics["topology"] == {
        "components": 1, "boundary_edges": 0, "holes": 0, "genus": 0, "watertight": True,
        "true_components": 1, "true_genus": 0,
    }  # fmt: skip
    assert "1 component, watertight, genus 0 (true: 1 and genus 0)" in printed


def test_renders_and_lines_per_view_agree_with_the_photographs(evaluated, sphere_run, sphere_scene):
    metrics, folder, _ = evaluated
    with open(folder / "views.csv") as file:
        lines = {int(line["view"]): line for line in csv.DictReader(file)}
    assert sorted(lines) == list(range(8))
    assert [view for view in lines if lines[view]["split"] == "heldout"] == sphere_scene.heldout_views
    for view, line in lines.items():
        photograph, mask = sphere_scene.images[view].numpy() / 255, sphere_scene.masks[view].numpy()
        rendered = render_view(sphere_run.renderer, sphere_run.cameras, view, *mask.shape, edge_rays=EDGE_RAYS).rgb
        error = np.mean((photograph[mask] - rendered.numpy()[mask]) ** 2)
        assert float(line["psnr"]) == pytest.approx(-10 * np.log10(error), abs=1e-3)
        picture = read_picture(folder / "rendering" / f"eval_{view:03d}.png")
        assert (picture == as_uint8(rendered.numpy())).all() and (picture[0, 0] == 255).all()
        # One colour, but along outlines, where pixels are partly white.
        assert (picture[ndimage.binary_erosion(mask, iterations=2)] == 153).all()
        assert ((picture > 153) & (picture < 255)).any()
    held_out = float(lines[sphere_scene.heldout_views[0]]["psnr"])
    assert metrics["heldout"]["psnr"] == pytest.approx(held_out, abs=1e-3)


def test_the_hull_is_of_training_views_only(evaluated, sphere_run, sphere_scene, tmp_path):
    """Spoiling the held-out mask changes nothing of what is told about training views or their hull."""
    metrics = evaluated[0]
    assert metrics["train"]["hull_iou"] > 0.96
    sphere_scene.masks[4] = torch.zeros_like(sphere_scene.masks[4])
    sphere_scene.masks[4][:3, :3] = True
    sphere_scene.ground_truth_mesh = None
    spoilt = evaluate_run(sphere_run, sphere_scene, tmp_path / "spoilt", resolution=32, report=False)
    assert spoilt["train"] == metrics["train"]
    assert spoilt["heldout"]["hull_iou"] == 0
    assert "report" not in spoilt["files"] and not (tmp_path / "spoilt" / "report.html").exists()


def test_without_masks_no_silhouettes_are_compared(sphere_run, sphere_scene, tmp_path):
    sphere_scene.masks = [torch.ones_like(mask) for mask in sphere_scene.masks]
    sphere_scene.ground_truth_mesh = None
    metrics = evaluate_run(sphere_run, sphere_scene, tmp_path, resolution=32)
    for split in ("train", "heldout"):
        assert metrics[split]["iou"] is metrics[split]["hull_iou"] is None and metrics[split]["psnr"] > 0
    assert format_metrics(metrics).splitlines()[2].split()[-2:] == ["n/a", "n/a"]
    page = (tmp_path / "report.html").read_text()
    assert "IoU" not in page and "LPIPS" not in page and "PSNR, held-out views" in page


def test_without_held_out_views_ground_truth_or_renders(sphere_run, sphere_scene, tmp_path):
    sphere_scene.train_views, sphere_scene.heldout_views = [0, 1, 2], []
    sphere_scene.ground_truth_mesh = None
    metrics = evaluate_run(sphere_run, sphere_scene, tmp_path / "a", resolution=32)
    assert metrics["heldout"] is None and metrics["geometry"] is None
    assert metrics["train"]["views"] == 3
    metrics = evaluate_run(sphere_run, sphere_scene, tmp_path / "b", resolution=32, splits=())
    assert metrics["train"] is None and metrics["heldout"] is None
    assert not (tmp_path / "b" / "rendering").exists()
    assert (tmp_path / "b" / "report.html").exists()


def test_held_out_views_alone_have_the_figures_that_they_have_among_all(sphere_run, sphere_scene, tmp_path):
    both = evaluate_run(sphere_run, sphere_scene, tmp_path / "a", resolution=32)
    one = evaluate_run(sphere_run, sphere_scene, tmp_path / "b", resolution=32, splits=("heldout",))
    assert one["train"] is None and one["heldout"] == both["heldout"]
    pictures = {path.name for path in (tmp_path / "b" / "rendering").glob("eval_*.png")}
    assert pictures == {f"eval_{view:03d}.png" for view in sphere_scene.heldout_views}
    heads = ("views", "training (", "held out (")
    lines = [line for line in format_metrics(one).splitlines() if line.startswith(heads)]
    assert "PSNR" in lines[0] and lines[1] == "training (not rendered)"
    assert lines[2] in format_metrics(both).splitlines() and lines[2].startswith("held out (1)")


def test_training_views_of_an_earlier_evaluation_go_when_held_out_ones_alone_are_rendered(
    sphere_run, sphere_scene, tmp_path
):
    sphere_scene.ground_truth_mesh = None
    evaluate_run(sphere_run, sphere_scene, tmp_path, resolution=32, report=False)
    evaluate_run(sphere_run, sphere_scene, tmp_path, resolution=32, splits=("heldout",), report=False)
    assert {path.name for path in (tmp_path / "rendering").iterdir()} == {"eval_004.png", "normal_004.png"}
    sphere_scene.heldout_views = []
    none = evaluate_run(sphere_run, sphere_scene, tmp_path, resolution=32, splits=("heldout",), report=False)
    assert not (tmp_path / "rendering").exists() and "renders" not in none["files"]
    assert "held out (none)" in format_metrics(none).splitlines()


def test_a_scene_of_other_views_than_the_run_is_refused(sphere_run, sphere_scene, tmp_path):
    sphere_run.cameras = sphere_run.cameras.select([0, 1, 2])
    with pytest.raises(NsrError, match="has 8 views, but the run was trained on a scene of 3"):
        evaluate_run(sphere_run, sphere_scene, tmp_path / "a", resolution=32)
    assert not (tmp_path / "a").exists()


def test_a_scene_in_another_unit_sphere_is_refused(sphere_run, sphere_scene, tmp_path):
    poses = sphere_scene.cameras.poses.clone()
    poses[:, :3, 3] *= 1.1  # as after a scale_mat of a tenth less
    sphere_scene.cameras = Cameras(sphere_scene.cameras.intrinsics, poses)
    sphere_scene.ground_truth_mesh = None
    with pytest.raises(NsrError, match="its cameras or its unit sphere are not those that the run was trained with"):
        evaluate_run(sphere_run, sphere_scene, tmp_path / "a", resolution=32)
    sphere_run.config.train.train_cameras = True
    metrics = evaluate_run(sphere_run, sphere_scene, tmp_path / "a", resolution=32, splits=(), report=False)
    assert metrics["step"] == sphere_run.step


def test_the_mesh_ends_at_the_bounding_sphere_of_the_run(sphere_run, sphere_scene, tmp_path):
    sphere_run.renderer.sdf.radius, sphere_run.renderer.tracer.config.object_bounding_sphere = 2.0, 1.2
    sphere_scene.ground_truth_mesh = None
    metrics = evaluate_run(sphere_run, sphere_scene, tmp_path, resolution=32, splits=(), report=False)
    mesh = trimesh.load(tmp_path / metrics["files"]["ply"], process=False)
    distances = np.linalg.norm(sphere_scene.to_normalised(mesh.vertices), axis=1)
    assert distances == pytest.approx(1.2, abs=0.02)


def test_a_perfect_view_is_null_in_json_not_infinity(sphere_run, sphere_scene, tmp_path, monkeypatch):
    sphere_scene.ground_truth_mesh = None
    monkeypatch.setattr("nsr.evaluation.views.masked_psnr", lambda *_: float("inf"))
    evaluate_run(sphere_run, sphere_scene, tmp_path / "a", resolution=32, report=False)
    text = (tmp_path / "a" / "metrics.json").read_text()
    metrics = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    assert metrics["train"]["psnr"] is None


@pytest.mark.parametrize("content", [None, "ply\nformat nonsense\n", "points"])
def test_ground_truth_that_is_no_surface(sphere_run, sphere_scene, tmp_path, content):
    path = tmp_path / "truth.ply"
    if content == "points":
        trimesh.PointCloud(np.eye(3)).export(path)
    elif content is not None:
        path.write_text(content)
    sphere_scene.ground_truth_mesh = path
    with pytest.raises(NsrError, match="truth.ply"):
        evaluate_run(sphere_run, sphere_scene, tmp_path / "evaluation", resolution=32)
    assert not (tmp_path / "evaluation" / "metrics.json").exists()


def test_a_field_without_a_surface_and_a_place_that_cannot_be_written(sphere_run, sphere_scene, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NsrError, match="cannot write the evaluation"):
        evaluate_run(sphere_run, sphere_scene, tmp_path / "file" / "evaluation", resolution=32)
    sphere_run.renderer.sdf.radius = -1.0
    with pytest.raises(NsrError, match="no surface"):
        evaluate_run(sphere_run, sphere_scene, tmp_path / "evaluation", resolution=32)
    assert os.listdir(tmp_path / "evaluation") == []


def test_without_renders_those_of_an_earlier_evaluation_go(sphere_run, sphere_scene, tmp_path):
    sphere_scene.ground_truth_mesh = None
    evaluate_run(sphere_run, sphere_scene, tmp_path, resolution=32)
    (tmp_path / "rendering" / "mine.txt").write_text("kept")
    (tmp_path / "cameras.csv").write_text("of an earlier evaluation")
    metrics = evaluate_run(sphere_run, sphere_scene, tmp_path, resolution=32, splits=(), report=False)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    own = {metrics["files"]["ply"], metrics["files"]["glb"], "metrics.json", "rendering/mine.txt"}
    assert {name for name in left if not name.startswith("run/")} == own
