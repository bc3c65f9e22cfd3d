"""A plain folder of photographs: COLMAP finds the cameras (pycolmap, on the CPU)."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from nsr.errors import SceneError
from nsr.scenes.importing.colmap import read_colmap
from nsr.scenes.importing.files import list_photographs
from nsr.scenes.importing.photograph import header, read_photograph
from nsr.scenes.importing.source import Source

MATCHERS = ("exhaustive", "sequential")
FEWEST = 3
PLAIN_MODES = ("RGB", "L")

logger = logging.getLogger("nsr")


def read_photographs(source: Path, images: Path | None = None, matcher: str = "exhaustive") -> Source:
    """Find the cameras of a folder of photographs by structure from motion (Schönberger and Frahm 2016).

    Photographs of one size are taken to come from one camera (COLMAP's SIMPLE_RADIAL), others each from its own.

    Args:
        source: the folder, or one that holds ``images/``; images: the folder.
        matcher: exhaustive compares all pairs; sequential compares neighbours in the order of names, for films.

    Raises:
        SceneError: pycolmap is not installed, there are too few photographs, or COLMAP cannot place them.
    """
    folder = images or next((f for f in (source, source / "images", source / "image") if list_photographs(f)), source)
    files = list_photographs(folder)
    if len(files) < FEWEST:
        raise SceneError(
            f"{folder}: {len(files)} photographs are too few to find cameras: {FEWEST} are needed, better 30"
        )
    if matcher not in MATCHERS:
        raise SceneError(f"unknown matcher {matcher}; known are {', '.join(MATCHERS)}")
    try:
        import pycolmap
    except ImportError as error:
        raise SceneError("finding cameras for photographs needs COLMAP: pip install pycolmap") from error
    with tempfile.TemporaryDirectory(prefix="nsr-colmap-") as work:
        work = Path(work)
        originals = _copy(files, work / "images")
        model = _reconstruct(pycolmap, work, originals, matcher)
        found = read_colmap(model, work / "images")
    for view in found.views:
        view.image, view.orientation = originals[view.name]
        view.name = view.image.name
    if len(found.views) < len(files):
        placed = {view.image for view in found.views}
        missing = [file.name for file in files if file not in placed]
        logger.warning(
            f"{folder}: COLMAP placed {len(placed)} of {len(files)} photographs; left out: {', '.join(missing[:8])}"
            + (", ..." if len(missing) > 8 else "")
        )
    found.format = "photographs"
    return found


def _copy(files: list[Path], target: Path) -> dict[str, tuple[Path, int]]:
    """Copies that COLMAP can read, upright and named by number: name -> original file and its EXIF orientation."""
    target.mkdir()
    originals = {}
    for number, file in enumerate(files):
        _, orientation = header(file)
        with Image.open(file) as picture:
            plain = picture.mode in PLAIN_MODES and picture.format in ("JPEG", "PNG") and orientation == 1
        name = f"{number:05d}{file.suffix.lower() if plain else '.png'}"
        if plain:
            shutil.copyfile(file, target / name)
        else:
            Image.fromarray(read_photograph(file, orientation)).save(target / name, compress_level=1)
        originals[name] = file, orientation
    return originals


def _reconstruct(pycolmap, work: Path, originals: dict, matcher: str) -> Path:
    """Run COLMAP; the folder of the model that holds most photographs."""
    pycolmap.logging.minloglevel = pycolmap.logging.ERROR
    pycolmap.set_random_seed(0)
    # Threads that share random numbers would place other photographs from run to run.
    mapping, verification = pycolmap.IncrementalPipelineOptions(), pycolmap.TwoViewGeometryOptions()
    mapping.num_threads, mapping.random_seed, mapping.mapper.random_seed = 1, 0, 0
    verification.ransac.random_seed = 0
    database, device = work / "database.db", pycolmap.Device.cpu
    sizes = {header(work / "images" / name)[0] for name in originals}
    mode = pycolmap.CameraMode.SINGLE if len(sizes) == 1 else pycolmap.CameraMode.PER_IMAGE
    try:
        logger.info(f"COLMAP: features of {len(originals)} photographs")
        pycolmap.extract_features(database, work / "images", camera_mode=mode, device=device)
        logger.info(f"COLMAP: {matcher} matching")
        match = pycolmap.match_exhaustive if matcher == "exhaustive" else pycolmap.match_sequential
        match(database, device=device, verification_options=verification)
        logger.info("COLMAP: cameras and points")
        models = pycolmap.incremental_mapping(database, work / "images", work / "sparse", options=mapping)
    except (RuntimeError, ValueError) as error:
        raise SceneError(f"COLMAP failed: {' '.join(str(error).split())[:300]}") from error
    if not models:
        raise SceneError(
            "COLMAP could not place the photographs: they need texture, overlap of neighbours (10 to 15 degrees apart) "
            "and a scene that stands still; a turntable before a plain background does too"
        )
    best = max(models, key=lambda number: models[number].num_reg_images())
    if models[best].num_reg_images() < FEWEST:
        raise SceneError(f"COLMAP placed only {models[best].num_reg_images()} of {len(originals)} photographs")
    return work / "sparse" / str(best)
