"""Numbers that a conf may hold beyond their type, so that a wrong one is named before any work is done."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nsr.config.schema import Config
from nsr.errors import ConfigError


@dataclass(frozen=True)
class _Range:
    least: float
    most: float = math.inf
    least_included: bool = True

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.most and (self.least_included or value != self.least)

    def __str__(self) -> str:
        lower = f"at least {self.least:g}" if self.least_included else f"above {self.least:g}"
        return lower if self.most == math.inf else f"{lower} and at most {self.most:g}"


_POSITIVE = _Range(0, least_included=False)
_NOT_NEGATIVE = _Range(0)
_SHARE = _Range(0, 1)

_PRIOR_TERMS = ("depth", "depth_affine", "normal", "surface", "free_space", "albedo", "shading")
_PRIOR_TERM = {"weight": _NOT_NEGATIVE, "warm_up": _SHARE, "decay": _NOT_NEGATIVE, "gate": _SHARE}

_RANGES = {
    "train": {
        "steps": _NOT_NEGATIVE,
        "minutes": _NOT_NEGATIVE,
        "num_pixels": _Range(2),  # half as many points carry the eikonal term
        "seed": _Range(0, 2**63 - 1),
        "pixels_anywhere": _SHARE,
        "mask_tolerance": _NOT_NEGATIVE,
        "mixed_width": _NOT_NEGATIVE,
        "hull_resolution": _Range(8),
        "hull_fit_steps": _NOT_NEGATIVE,
        "hull_tolerance": _Range(0, 0.5),
        "outline_noise": _NOT_NEGATIVE,
        "camera_noise": _Range(0, 0.5),
        "learning_rate": _NOT_NEGATIVE,
        "learning_rate_tables": _NOT_NEGATIVE,
        "learning_rate_cam": _POSITIVE,
        "cameras_from": _SHARE,
        "final_rate_cam": _SHARE,
        "outline_alignment": _NOT_NEGATIVE,
        "feature_alignment": _NOT_NEGATIVE,
        "surface_alignment": _SHARE,
        "sched_factor": _POSITIVE,
        "final_rate": _SHARE,
        "alpha_factor": _POSITIVE,
        "levels_open": _SHARE,
        "levels_from": _SHARE,
        "gradient_clip": _NOT_NEGATIVE,
        "plot_freq": _NOT_NEGATIVE,
        "checkpoint_freq": _NOT_NEGATIVE,
    },
    "dataset": {
        "scan_id": _Range(-1),
        "img_res": _Range(1),
        "heldout_every": _NOT_NEGATIVE,
        "heldout_offset": _NOT_NEGATIVE,
        "train_views": _NOT_NEGATIVE,
    },
    "model": {"feature_vector_size": _NOT_NEGATIVE},
    "model.implicit_network": {
        "dims": _Range(1),
        "bias": _Range(0, 1, least_included=False),
        "softplus_beta": _POSITIVE,
        "clamp_beta": _POSITIVE,
    },
    "model.rendering_network": {"dims": _Range(1), "reflection_from": _SHARE, "colour_margin": _NOT_NEGATIVE},
    "model.ray_tracer": {
        "object_bounding_sphere": _POSITIVE,
        "sdf_threshold": _NOT_NEGATIVE,
        "line_search_step": _SHARE,
        "line_step_iters": _NOT_NEGATIVE,
        "sphere_tracing_iters": _NOT_NEGATIVE,
        "n_steps": _Range(2),
        "n_secant_steps": _NOT_NEGATIVE,
        "n_closest": _Range(1),
        "minimum_cosine": _Range(0, 1, least_included=False),
        "hull_margin": _NOT_NEGATIVE,
    },
    "loss": {
        "eikonal_weight": _NOT_NEGATIVE,
        "mask_weight": _NOT_NEGATIVE,
        "mask_final": _NOT_NEGATIVE,
        "alpha": _POSITIVE,
        "silhouette_weight": _NOT_NEGATIVE,
        "smoothness_weight": _NOT_NEGATIVE,
        "smoothness_distance": _NOT_NEGATIVE,
        "smoothness_final": _SHARE,
        "curvature_weight": _NOT_NEGATIVE,
        "curvature_final": _SHARE,
        "total_variation_weight": _NOT_NEGATIVE,
        "total_variation_final": _SHARE,
        "level_decay_weight": _NOT_NEGATIVE,
        "level_decay_final": _SHARE,
        "stencil_step": _NOT_NEGATIVE,
        "fine_points": _Range(1),
        "residue_weight": _NOT_NEGATIVE,
        "sparse_points_weight": _NOT_NEGATIVE,
    },
    "model.background": {"samples": _Range(1), "dims": _Range(1), "colour_margin": _NOT_NEGATIVE},
    "volume": {
        "samples": _Range(3),
        "coarse_samples": _Range(2),
        "sharpness": _POSITIVE,
        "sharpness_floor": _NOT_NEGATIVE,
        "num_pixels": _Range(2),
        "mask_weight": _NOT_NEGATIVE,
        "rate": _NOT_NEGATIVE,
        "warm_up": _SHARE,
        "directions_from": _SHARE,
        "carving": _NOT_NEGATIVE,
        "margin": _Range(0, 1),
        "earliest": _SHARE,
        "latest": _SHARE,
        "agreement": _POSITIVE,
        "plateau": _SHARE,
    },
    "photometric": {
        "weight": _NOT_NEGATIVE,
        "start": _SHARE,
        "final": _SHARE,
        "rays": _Range(1),
        "patch_size": _Range(2, 64),  # one sample has no contrast
        "patch_spacing": _POSITIVE,
        "coarse_levels": _Range(0, 3),
        "coarse_until": _SHARE,
        "sources": _Range(1),
        "best": _Range(1),
        "least_cosine": _SHARE,
        "noise": _POSITIVE,
        "clearance": _NOT_NEGATIVE,
    },
    "priors": {
        "neighbours": _NOT_NEGATIVE,
        "few_views": _NOT_NEGATIVE,
        "depth_tolerance": _POSITIVE,
        "normal_tolerance": _Range(0, 180),
        "colour_tolerance": _POSITIVE,
        "huber": _POSITIVE,
        "rays": _Range(1),
        "reach": _POSITIVE,
        "clearance": _NOT_NEGATIVE,
    },
    **{f"priors.{term}": _PRIOR_TERM for term in _PRIOR_TERMS},
    "plot": {"resolution": _Range(4), "max_depth": _NOT_NEGATIVE},
}


def check_ranges(config: Config, source: str) -> None:
    """Check every number of a conf; of a list, each entry.

    Args:
        source: where the conf is from, for the message.

    Raises:
        ConfigError: the first number that is out of its range, and that range.
    """
    for path, ranges in _RANGES.items():
        section = config
        for name in path.split("."):
            section = getattr(section, name)
        for name, allowed in ranges.items():
            value = getattr(section, name)
            for number in value if isinstance(value, list) else [value]:
                if number is not None and number not in allowed:
                    raise ConfigError(f"{source}: {path}.{name} = {value}: it must be {allowed}")
    dataset = config.dataset
    if 0 < dataset.heldout_every <= dataset.heldout_offset:
        raise ConfigError(
            f"{source}: dataset.heldout_offset = {dataset.heldout_offset}: it must be below dataset.heldout_every = "
            f"{dataset.heldout_every}, or no view is ever held out (dataset.heldout_every = 0 says that)"
        )
    if dataset.selection and dataset.heldout_every < 2:
        raise ConfigError(
            f"{source}: dataset.selection needs held-out views to leave alone: dataset.heldout_every is "
            f"{dataset.heldout_every}, and must be at least 2"
        )
