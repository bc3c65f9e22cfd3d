"""What a run folder tells of itself without its model being loaded."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from nsr.config.reader import load_config
from nsr.config.schema import Config
from nsr.errors import NsrError, SceneError
from nsr.evaluation.evaluate import METRICS_FILE
from nsr.scenes.camera_file import read_camera_file
from nsr.scenes.idr_folder import CAMERA_FILE
from nsr.scenes.locate import resolve_scene_folder
from nsr.training.log_curves import Curve, read_curves
from nsr.training.run_folder import EVALUATION_FOLDER, LOG_FOLDER, RUN_CONF, find_checkpoint


@dataclass
class RunSummary:
    """One run, as a comparison sees it.

    Attributes:
        folder: of the run.
        config: resolved; None where the run has none (IDR's own).
        metrics: of its evaluation (see ``evaluate_run``); None where it was not evaluated.
        curves: of its log, by tag; empty where there is none.
        sphere: centre and radius ``[4]`` of the unit sphere in world units; None where the scene is not at hand.
        remarks: one line each of what is missing or old.
    """

    folder: Path
    config: Config | None
    metrics: dict | None
    curves: dict[str, Curve]
    sphere: np.ndarray | None
    remarks: list[str] = field(default_factory=list)

    @property
    def scene(self) -> str:
        """The name of the scene's folder; of a run without a conf, its experiment's."""
        if self.config is None:
            return self.folder.parent.name
        dataset = self.config.dataset
        return f"scan{dataset.scan_id}" if dataset.scan_id >= 0 else Path(dataset.data_dir).name

    @property
    def last_step(self) -> int | None:
        """The last logged step."""
        return max((int(curve.steps[-1]) for curve in self.curves.values()), default=None)


def summarise_run(folder: str | Path) -> RunSummary:
    """Read conf, metrics and log of a run.

    Raises:
        NsrError: the conf or the metrics are damaged.
    """
    folder = Path(folder)
    conf = folder / RUN_CONF
    config = load_config(conf) if conf.is_file() else None
    metrics = _read_metrics(folder / EVALUATION_FOLDER / METRICS_FILE)
    summary = RunSummary(folder, config, metrics, read_curves(folder), _sphere(config))
    if not summary.curves:
        summary.remarks.append(f"no TensorBoard log in {folder / LOG_FOLDER}: its curves are missing")
    if metrics is None:
        summary.remarks.append(f"not evaluated: nsr eval {folder}")
    else:
        latest = _newest_step(folder)
        if latest is not None and metrics["step"] < latest:
            summary.remarks.append(f"evaluated at step {metrics['step']}, its newest checkpoint is of step {latest}")
    return summary


def flat_conf(config: Config) -> dict[str, str]:
    """Every key of a conf by its dotted name, as text."""
    flat: dict[str, str] = {}

    def walk(prefix: str, value) -> None:
        if isinstance(value, dict) and value:
            for key, entry in value.items():
                walk(f"{prefix}.{key}" if prefix else key, entry)
        else:
            flat[prefix] = f"{value:g}" if isinstance(value, float) else str(value)

    walk("", asdict(config))
    return flat


def _read_metrics(path: Path) -> dict | None:
    if not path.is_file():
        return None
    try:
        metrics = json.loads(path.read_text())
        missing = {"train", "heldout", "geometry", "train_seconds", "peak_memory_mb", "step"} - metrics.keys()
    except (ValueError, AttributeError) as error:
        raise NsrError(f"{path}: the metrics cannot be read; evaluate the run again") from error
    if missing:
        raise NsrError(f"{path}: the metrics lack {', '.join(sorted(missing))}; evaluate the run again")
    return metrics


def _newest_step(folder: Path) -> int | None:
    numbered = [path.stem for path in find_checkpoint(folder).parent.iterdir() if path.stem.isdecimal()]
    return max(map(int, numbered), default=None)


def _sphere(config: Config | None) -> np.ndarray | None:
    """Centre and radius of the bounding sphere in world units, from the scene's camera file."""
    if config is None:
        return None
    dataset = config.dataset
    try:
        scene = resolve_scene_folder(dataset.data_dir, dataset.scan_id)
        scale_mats = read_camera_file(scene / (dataset.cam_file or CAMERA_FILE)).scale_mats
    except SceneError:  # moved since; the comparison goes without
        return None
    if not scale_mats:
        return None
    matrix = scale_mats[min(scale_mats)]
    radius = np.cbrt(abs(np.linalg.det(matrix[:3, :3]))) * config.model.ray_tracer.object_bounding_sphere
    return np.append(matrix[:3, 3], radius)
