"""Renders along a camera path: pictures with or without alpha, and a film of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from nsr.atomic import whole_file
from nsr.errors import NsrError
from nsr.evaluation.views import save_picture
from nsr.rendering.image import EDGE_RAYS, render_view
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.cameras import Cameras
from nsr.scenes.pictures import as_uint8


def render_frames(
    renderer: SurfaceRenderer,
    path: Cameras,
    size: tuple[int, int],
    folder: Path,
    *,
    alpha: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Render every camera of a path as ``eval_NNN.png``.

    Args:
        path: on any device; size: (H, W) of the frames; folder: is made where it is missing.
        alpha: write RGBA, as transparent as the pixel is uncovered, instead of white.
    """
    path = path.to(next(renderer.parameters()).device)
    written = []
    for frame in tqdm(range(len(path)), desc="frames", unit="frame", disable=not progress):
        rendered = render_view(renderer, path, frame, *size, edge_rays=EDGE_RAYS)
        picture = as_uint8((rendered.surface_rgb if alpha else rendered.rgb).cpu().numpy())
        if alpha:
            picture = np.concatenate([picture, as_uint8(rendered.coverage.cpu().numpy())[..., None]], axis=-1)
        written.append(folder / f"eval_{frame:03d}.png")
        save_picture(written[-1], picture)
    return written


def write_film(pictures: list[Path], path: str | Path, frames_per_second: float = 15.0) -> None:
    """An H.264 MP4 of pictures of one size, over white where they are transparent.

    Raises:
        NsrError: imageio-ffmpeg is not installed.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise NsrError("a film needs imageio-ffmpeg: pip install 'nsr[video]'; the frames are written") from error
    first = _even(_over_white(pictures[0]))
    with whole_file(path) as partial:
        writer = imageio_ffmpeg.write_frames(
            str(partial), first.shape[1::-1], fps=frames_per_second, quality=8, macro_block_size=2
        )
        writer.send(None)
        for picture in pictures:
            writer.send(np.ascontiguousarray(_even(_over_white(picture))))
        writer.close()


def _over_white(path: Path) -> np.ndarray:
    picture = Image.open(path).convert("RGBA")
    return np.array(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB"))


def _even(picture: np.ndarray) -> np.ndarray:
    """The codec halves the resolution of colours: an odd last row or column is repeated."""
    return np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), mode="edge")
