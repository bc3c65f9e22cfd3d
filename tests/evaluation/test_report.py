import re
import subprocess

import cv2
import numpy as np
import pytest

from nsr.evaluation.figures import result_figure
from nsr.evaluation.report import LARGEST_ERROR, error_map, inline_picture
from nsr.evaluation.report_plots import loss_figure, psnr_figure
from nsr.evaluation.views import ViewScore
from nsr.scenes.pictures import read_picture


@pytest.fixture
def report(evaluated):
    metrics, folder, _ = evaluated
    return folder / metrics["files"]["report"]


def test_the_page_holds_everything_and_asks_the_network_for_nothing(report):
    text = report.read_text()
    own = re.sub(r"<script[^>]*>.*?</script>", "", text, flags=re.S)  # plotly's own code names addresses in strings
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", own)
    assert not re.search(r"<script[^>]*\ssrc", text) and "@import" not in own
    sliders = own.count('class="slider"')
    assert sliders in (4, 5)  # the held-out view, three of the training views and the worst of these
    assert own.count("data:image/jpeg;base64,") == 4 * sliders + 8  # and what went in
    assert len(re.findall(r"<tr class=", own)) == 8
    assert "&lt;sphere&gt;" in own  # the resolved conf, escaped
    assert "Chamfer" in own and "visual hull" in own
    assert "held-out cameras" in text and "eikonal" in text
    assert "12 s to step 700, 18 ms a step" in own and "345 MB" in own and "IoU 0.9" in own
    assert "64 × 48 pixels" in own and "view 4, held out" in own
    assert len(text) < 15e6


def test_every_views_psnr_is_drawn_with_the_means_of_both_splits():
    scores = [ViewScore(view, split, psnr, 0.9, 0.9, 0.9) for view, split, psnr in
              ((0, "train", 20.0), (1, "heldout", 18.0), (2, "train", 30.0), (3, "train", float("nan")))]  # fmt: skip
    figure = psnr_figure(scores)
    assert [(bar.x, bar.y) for bar in figure.data] == [((0, 2, 3), (20.0, 30.0, None)), ((1,), (18.0,))]
    assert [line.y0 for line in figure.layout.shapes] == [25.0, 18.0]


def test_the_page_draws_itself_in_a_browser(report, chromium, tmp_path):
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
        "--disable-sync --no-first-run --hide-scrollbars --virtual-time-budget=6000 --window-size=1200,1400"
    ).split()
    picture = tmp_path / "page.png"
    command = [chromium, *flags, f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", report.as_uri()]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    drawn = read_picture(picture)
    assert drawn.shape[:2] == (1400, 1200)
    grey = np.abs(drawn.astype(int) - 153).max(axis=-1) < 40
    assert grey.sum() > 2000  # the sphere, which is one grey, in the figure to turn
    dumped = subprocess.run(
        [chromium, *flags, f"--user-data-dir={tmp_path / 'other'}", "--dump-dom", report.as_uri()],
        check=True, timeout=120, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert dumped.count("main-svg") >= 3  # plotly's script ran for every figure


def test_error_maps_grow_with_the_error_and_stay_white_off_the_mask():
    photograph = np.full((4, 6, 3), 100, dtype=np.uint8)
    rendered = photograph.copy()
    rendered[:, 2:4] += 20
    rendered[:, 4:] += round(LARGEST_ERROR * 255)
    mask = np.ones((4, 6), dtype=bool)
    mask[3] = False
    drawn = error_map(rendered, photograph, mask)
    assert (drawn[3] == 255).all()
    brightness = drawn[0].astype(int).sum(axis=-1)
    assert brightness[0] < 15 < brightness[2] < brightness[4]
    assert (drawn[0, :2] == drawn[0, 0]).all()


def test_wide_pictures_are_made_smaller():
    import base64

    url = inline_picture(np.full((300, 1200, 3), 77, dtype=np.uint8))
    encoded = np.frombuffer(base64.b64decode(url.split(",")[1]), dtype=np.uint8)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded.shape == (140, 560, 3)
    assert np.abs(decoded.astype(int) - 77).max() <= 2


def test_loss_curves_skip_what_is_missing(tmp_path, sphere_run):
    figure = loss_figure(sphere_run.folder / "logs" / "losses.csv")
    curves = {curve.name: curve.y for curve in figure.data}
    assert curves["rgb"] == (0.5, 0.25, 0.1)
    assert curves["eikonal"] == (0.1, None, 0.02)
    assert loss_figure(tmp_path / "none.csv") is None
    (tmp_path / "empty.csv").write_text("step,rgb\n")
    assert loss_figure(tmp_path / "empty.csv") is None


def test_result_figure_puts_photograph_render_surface_and_normals_side_by_side(sphere_run, sphere_scene, tmp_path):
    path = result_figure(tmp_path / "figure.png", sphere_run, sphere_scene, [0, 4], height=96)
    drawn = read_picture(path)
    width = 128
    assert drawn.shape == (30 + 2 * 96 + 3 * 8, 4 * width + 3 * 8, 3)
    centre = drawn[38 + 48]  # the row through the first view's middle
    photograph, render, surface, normals = (centre[place * (width + 8) + width // 2] for place in range(4))
    assert (render == 153).all()
    assert len(set(surface.tolist())) == 1 and 60 < surface[0] < 230  # grey
    assert normals.astype(int) == pytest.approx([128, 128, 255], abs=30)  # towards the camera
    expected = sphere_scene.images[0].numpy()[24, 32]
    assert np.abs(photograph.astype(int) - expected).max() < 60
