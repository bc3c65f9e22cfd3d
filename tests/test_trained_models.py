"""The model that ships: IDR's own command line measures it on the default scene, and the README tells the outcome."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh

from nsr.cli import main as cli
from nsr.evaluation.image_metrics import masked_psnr, silhouette_iou
from nsr.rendering.image import EDGE_RAYS, render_view
from nsr.scenes.idr_folder import GROUND_TRUTH_MESH, load_scene, write_scene
from nsr.scenes.synthetic import DEFAULT_SPEC
from nsr.scenes.synthetic.generate import make_renderer, make_surface, scale_matrix, scene_cameras
from nsr.training.run import load_run
from nsr.training.run_folder import find_run

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "trained_models" / "small_default"
HELD_OUT = (4, 12, 20, 28)


@pytest.fixture(scope="module")
def default_scene(tmp_path_factory):
    """The default scene with its held-out photographs alone; the others are black in full masks: not worth making."""
    folder = tmp_path_factory.mktemp("data") / "default"
    spec, surface = DEFAULT_SPEC, make_surface(DEFAULT_SPEC)
    renderer, cameras = make_renderer(spec, surface), scene_cameras(spec)
    images = [np.zeros((spec.height, spec.width, 3), dtype=np.uint8) for _ in range(spec.views)]
    masks = [np.ones(image.shape[:2], dtype=bool) for image in images]
    for view in HELD_OUT:
        made = renderer.render(cameras, view, spec.height, spec.width)
        images[view], masks[view] = (made.image * 255 + 0.5).byte().numpy(), (made.coverage >= 0.5).numpy()
    write_scene(folder, images, masks, cameras, scale_matrix(spec))
    (folder / GROUND_TRUTH_MESH).parent.mkdir()
    vertices = trimesh.transform_points(surface.vertices, scale_matrix(spec))
    trimesh.Trimesh(vertices, surface.faces, process=False).export(folder / GROUND_TRUTH_MESH)
    return folder


@pytest.fixture(scope="module")
def told():
    """Held-out PSNR (dB) and IoU, and Chamfer distance (pixel footprints), as the README gives them."""
    row = re.search(r"\| `trained_models/small_default`[^|\n]*\|(.*)\|", (ROOT / "README.md").read_text())[1]
    return dict(zip(("psnr", "iou", "chamfer"), (float(cell.split()[0]) for cell in row.split("|")), strict=True))


def test_it_is_small_and_names_no_place_on_a_machine():
    files = [path for path in find_run(MODEL).rglob("*") if path.suffix in (".pt", ".conf")]
    assert len(files) == 2 and sum(path.stat().st_size for path in files) < 7e6
    assert 'data_dir = "data/default"' in (find_run(MODEL) / "runconf.conf").read_text()


def test_its_surface_is_as_near_as_the_readme_says(default_scene, told, tmp_path, monkeypatch):
    packed = find_run(MODEL)
    shutil.copytree(
        packed, tmp_path / "trained_models" / MODEL.name / packed.name,
        ignore=shutil.ignore_patterns("evaluation", "mesh"),
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    arguments = ["--conf", "confs/small.conf", "--data_dir", str(default_scene), "--exps_folder", "./trained_models",
                 "--resolution", "128", "--gpu", "ignore"]  # fmt: skip
    assert cli.evaluation_script(arguments) == 0
    metrics = json.loads((tmp_path / "evals" / MODEL.name / "metrics.json").read_text())
    assert metrics["geometry"]["chamfer_pixels"] == pytest.approx(told["chamfer"], rel=0.15)
    assert metrics["topology"]["watertight"] and metrics["topology"]["genus"] == 0


def test_its_renders_are_as_good_as_the_readme_says(default_scene, told):
    run, scene = load_run(find_run(MODEL)), load_scene(default_scene)
    assert scene.heldout_views == list(HELD_OUT)
    psnr, iou = [], []
    for view in HELD_OUT:
        photograph, mask = scene.images[view].numpy() / 255, scene.masks[view].numpy()
        rendered = render_view(run.renderer, run.cameras, view, *mask.shape, edge_rays=EDGE_RAYS)
        psnr.append(masked_psnr(rendered.rgb.numpy(), photograph, mask))
        iou.append(silhouette_iou(rendered.hit.numpy(), mask))
    assert np.mean(psnr) == pytest.approx(told["psnr"], abs=0.1)
    assert np.mean(iou) == pytest.approx(told["iou"], abs=5e-4)
