"""Read confs that were written for IDR, or for its descendant that chooses encodings by ``embed_type``.

Such a conf names Python classes, counts time in epochs and gives layer inputs and frequencies one by one.  Here it
is translated into the keys of ``nsr.config.schema``; what those keys cannot express is an error, nothing is dropped
silently but the class names and numbers that follow from the rest.
"""

from __future__ import annotations

import copy
import difflib
from typing import Any

from nsr.errors import ConfigError

EPOCHS = 2000  # of a run of IDR; its milestones are epochs of such a run

_FOLLOWS_FROM_THE_REST = {
    "train": ("dataset_class", "model_class", "loss_class"),
    "plot": ("plot_nimgs",),
    "model.rendering_network": ("d_in",),  # by mode
}
_FIXED = {
    "model.implicit_network": {"d_in": 3, "d_out": 1},
    "model.rendering_network": {"d_out": 3},
}
_MARKS = {
    "train": _FOLLOWS_FROM_THE_REST["train"],
    "plot": ("plot_nimgs",),
    "model": ("embedding_network",),
    "model.implicit_network": ("d_in", "d_out", "multires"),
    "model.rendering_network": ("d_in", "d_out", "multires_view", "viewdirs_embed_type", "rgb_embed_type"),
}
_ENCODINGS = {
    "NerfPos": "PosEnc",
    "PositionalEncoding": "PosEnc",
    "HashGrid": "MultiResHash",
    "HashGridCUDA": "MultiResHash",
    "HashGridCuda": "MultiResHash",
    "HashGridTcnn": "HashGridTcnn",
    "FFB": "FFB",
    "FFBTcnn": "FFB_TCNN",
    "StyleModNFFB": "FFB_StyleMod",
    "FourierFeatures": "FourierFeatures",
    "SHEncoder": "SHEncoder",
}
_HASH_OPTIONS = {
    "max_points_per_entry": "features",
    "log2_max_hash_size": "log2_table",
    "base_resolution": "base_resolution",
    "desired_resolution": "finest_resolution",
}
# What the descendant gives to a grid of view directions, whatever its conf says.
_VIEW_GRID = {"features": 2, "log2_table": 3, "base_resolution": 16, "finest_resolution": 512}
_FILTER_BANKS = ("FFB", "FFB_TCNN", "FFB_StyleMod")


def upgrade_legacy(tree: dict, source: str) -> dict:
    """Translate a parsed conf into the keys of the schema.

    Args:
        tree: nested dicts as parsed; not changed.
        source: the file, for messages.

    Returns:
        ``tree`` itself with epochs (numbers above 1 in a schedule) as fractions of a 2000-epoch run; and, where it
        is an older conf, its keys translated and no view held out, since IDR trains on all.

    Raises:
        ConfigError: it asks for inputs or outputs that the networks cannot have, or names an unknown encoding.
    """
    tree = copy.deepcopy(tree)
    legacy = any(name in (_section(tree, path) or {}) for path, names in _MARKS.items() for name in names)
    if legacy:
        _check_fixed(tree, source)
        for path, names in _FOLLOWS_FROM_THE_REST.items():
            for name in names:
                (_section(tree, path) or {}).pop(name, None)
        _translate_encodings(tree, source)
        if isinstance(tree.setdefault("dataset", {}), dict):
            tree["dataset"].setdefault("heldout_every", 0)
    _epochs_to_fractions(tree, legacy)
    return tree


def _section(tree: dict, path: str) -> dict | None:
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else None


def _check_fixed(tree: dict, source: str) -> None:
    for path, fixed in _FIXED.items():
        section = _section(tree, path) or {}
        for name, wanted in fixed.items():
            given = section.pop(name, wanted)
            if given != wanted:
                raise ConfigError(f"{source}: {path}.{name} = {given}: this network has {wanted}, no other is possible")


def _epochs_to_fractions(tree: dict, legacy: bool) -> None:
    def fraction(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value
        is_epoch = value > 1 or (legacy and value == 1)
        return value / EPOCHS if is_epoch else value

    train = _section(tree, "train") or {}
    for name in ("alpha_milestones", "sched_milestones"):
        if isinstance(train.get(name), list):
            train[name] = [fraction(value) for value in train[name]]
    if "plot_freq" in train:
        train["plot_freq"] = fraction(train["plot_freq"])


def _translate_encodings(tree: dict, source: str) -> None:
    implicit = _section(tree, "model.implicit_network")
    rendering = _section(tree, "model.rendering_network")
    grid = (_section(tree, "model") or {}).pop("embedding_network", None)
    if implicit is not None:
        levels = implicit.pop("multires", 0)
        if isinstance(grid, dict):
            implicit["encoding"] = _point_encoding(dict(grid), levels, source)
        else:
            implicit.setdefault("encoding", {"name": "PosEnc", "frequencies": levels})
    if rendering is not None:
        frequencies = rendering.pop("multires_view", 0)
        embed_type = rendering.pop("rgb_embed_type", "NerfPos")
        embed_type = rendering.pop("viewdirs_embed_type", embed_type)
        name = _encoding_name(embed_type, f"{source}: model.rendering_network.viewdirs_embed_type")
        rendering.setdefault("view_encoding", {"name": name, **_options(name, frequencies, _VIEW_GRID)})


def _point_encoding(grid: dict, levels: Any, source: str) -> dict:
    place = f"{source}: model.embedding_network"
    name = _encoding_name(grid.pop("embed_type", "NerfPos"), f"{place}.embed_type")
    bound = grid.pop("bound", 1.0)
    options = {ours: grid.pop(theirs) for theirs, ours in _HASH_OPTIONS.items() if theirs in grid}
    if grid:
        key, known = next(iter(grid)), ["embed_type", "bound", *_HASH_OPTIONS]
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
        raise ConfigError(f"{place}.{key}: unknown key; did you mean {near}? Valid here: {', '.join(known)}")
    if name in _FILTER_BANKS and bound != 1:
        options["bound"] = bound  # the other encodings never read it
    return {"name": name, **_options(name, levels, options)}


def _options(name: str, count: Any, grid: dict) -> dict:
    """The options of an encoding of which the old conf gives one ``multires`` and the options of a grid."""
    if name == "PosEnc":
        return {"frequencies": count}
    if name == "FourierFeatures":
        return {"count": count}
    if name == "SHEncoder":
        return {"degree": count}
    return {"levels": count, **grid}


def _encoding_name(embed_type: Any, place: str) -> str:
    if embed_type not in _ENCODINGS:
        near = difflib.get_close_matches(str(embed_type), _ENCODINGS, n=1, cutoff=0.0)[0]
        raise ConfigError(
            f"{place} = {embed_type}: unknown encoding; did you mean {near}? Known are: {', '.join(_ENCODINGS)}"
        )
    return _ENCODINGS[embed_type]
