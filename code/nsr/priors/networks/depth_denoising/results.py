"""What testing writes of a frame: 16-bit depth, profiles, flatness, a film."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from nsr.atomic import whole_file
from nsr.errors import NsrError
from nsr.priors.networks.common.chart import write_curves
from nsr.priors.networks.common.depth_png import FARTHEST, write_depth_png
from nsr.priors.networks.common.logs import write_table
from nsr.priors.networks.common.panels import coloured, write_panels
from nsr.priors.networks.common.samples import Sample
from nsr.priors.networks.common.task import Panel
from nsr.scenes.pictures import as_uint8, write_picture

DENOISED = "denoised"
_REPLAY = "replay"
_FLATNESS_MM = 10.0  # the range of maps of deviations from a plane
_FRAMES_PER_SECOND = 10.0


def write_frame(
    depth: torch.Tensor,
    sample: Sample,
    folder: Path,
    section: tuple[int, int, int, int] | None = None,
    plane: tuple[int, int, int, int] | None = None,
    replay: bool = False,
) -> dict[str, float]:
    """Write ``denoised/res_denoised-NAME.png`` and what else is asked for.

    Args:
        depth: ``[1, H, W]`` metres, denoised.
        section: columns and rows of the two ends of a profile, ``section-NAME.png`` and ``.csv``.
        plane: column, row, width and height of a part that is flat in truth, ``plane-NAME.png``.
        replay: write the frame of a film.

    Returns:
        the figures of the plane: root mean square deviations in millimetres, before and after.

    Raises:
        NsrError: section or plane lie outside the frame, or nothing is measured in the plane.
    """
    name, figures = sample["name"], {}
    noisy, denoised = sample["noisy"][0].numpy(), depth[0].numpy()
    write_depth_png(folder / DENOISED / f"res_denoised-{name}.png", denoised.clip(max=FARTHEST))
    if section:
        _write_section(
            folder, name, section, {"noisy": noisy, "denoised": denoised, "true": sample["depth"][0].numpy()}
        )
    if plane:
        figures = _write_plane(folder / f"plane-{name}.png", plane, noisy, denoised)
    if replay:
        limits = float(np.quantile(denoised, 0.01)), float(np.quantile(denoised, 0.99))
        infrared = np.repeat(sample["infrared"][0].numpy()[..., None], 3, axis=-1)
        shown = [infrared, *(coloured(np.where(maps > 0, maps, np.nan), limits) for maps in (noisy, denoised))]
        with whole_file(folder / _REPLAY / f"frame-{name}.png") as partial:
            write_picture(partial, as_uint8(np.concatenate(shown, axis=1)))
    return figures


def write_replay(folder: Path, names: list[str], path: Path) -> None:
    """A film (H.264) of the frames of a test, in their order.

    Raises:
        NsrError: imageio-ffmpeg is not installed.
    """
    from nsr.evaluation.frames import write_film

    write_film([folder / _REPLAY / f"frame-{name}.png" for name in names], path, _FRAMES_PER_SECOND)


def profile(maps: np.ndarray, ends: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Nearest values of ``[H, W]`` along a line between two pixels: ``[N, 2]`` columns and rows, ``[N]`` values.

    Raises:
        NsrError: an end lies outside.
    """
    height, width = maps.shape
    x0, y0, x1, y1 = ends
    if not (0 <= min(x0, x1) and max(x0, x1) < width and 0 <= min(y0, y1) and max(y0, y1) < height):
        raise NsrError(f"--section {x0},{y0},{x1},{y1} leaves the frame, which is {width}x{height}")
    count = max(abs(x1 - x0), abs(y1 - y0)) + 1
    places = np.stack([np.linspace(x0, x1, count), np.linspace(y0, y1, count)], axis=1).round().astype(int)
    return places, maps[places[:, 1], places[:, 0]]


def plane_deviations(depth: np.ndarray) -> np.ndarray:
    """How far measured depths are from the plane that fits them best, along z.

    A plane's inverse depth is linear in the pixel for any pinhole camera: no intrinsics are needed.

    Args:
        depth: ``[H, W]`` metres, 0 in holes.

    Returns:
        ``[H, W]`` metres, NaN in holes.

    Raises:
        NsrError: fewer than three pixels are measured.
    """
    row, column = np.nonzero(depth > 0)
    if len(row) < 3:
        raise NsrError("nothing, or next to nothing, is measured in the part that --plane gives")
    z = depth[row, column].astype(np.float64)
    design = np.stack([column, row, np.ones(len(row))], axis=1)
    # an error of inverse depth is one of depth over z^2: weighted so, depths are fitted
    solution, *_ = np.linalg.lstsq(design * z[:, None] ** 2, z, rcond=None)
    deviation = np.full(depth.shape, np.nan)
    deviation[row, column] = z - 1 / (design @ solution)
    return deviation


def _write_section(folder: Path, name: str, ends: tuple[int, int, int, int], maps: dict[str, np.ndarray]) -> None:
    lines = {title: profile(values, ends) for title, values in maps.items() if (values > 0).any()}
    places = lines["noisy"][0]
    rows = [
        {"column": int(x), "row": int(y)} | {f"{title}_mm": 1000 * float(line[1][at]) for title, line in lines.items()}
        for at, (x, y) in enumerate(places)
    ]
    write_table(folder / f"section-{name}.csv", rows)
    curves = {f"{title}, mm": [1000 * float(value) for value in line[1]] for title, line in lines.items()}
    write_curves(folder / f"section-{name}.png", list(range(len(places))), curves, "pixel", logarithmic=False)


def _write_plane(
    path: Path, part: tuple[int, int, int, int], noisy: np.ndarray, denoised: np.ndarray
) -> dict[str, float]:
    x, y, width, height = part
    if x + width > noisy.shape[1] or y + height > noisy.shape[0] or min(width, height) < 2:
        raise NsrError(f"--plane {x},{y},{width},{height} leaves the frame, which is {noisy.shape[1]}x{noisy.shape[0]}")
    panels, figures = [], {}
    for title, maps in (("noisy", noisy), ("denoised", denoised)):
        deviation = 1000 * plane_deviations(maps[y : y + height, x : x + width])
        figures[f"plane_{title}_rmse_mm"] = rmse = float(np.sqrt(np.nanmean(deviation**2)))
        panels.append(Panel(f"{title}: {rmse:.2f} mm RMS", deviation, (-_FLATNESS_MM, _FLATNESS_MM), "mm"))
    write_panels(path, panels)
    return figures
