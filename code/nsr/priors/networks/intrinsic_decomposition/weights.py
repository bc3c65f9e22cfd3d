"""Weights from elsewhere: SfSNet's published ones by a mapping of names, and the backbone of another run."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from nsr.errors import CheckpointError
from nsr.priors.networks.common.checkpoints import read_checkpoint, require_same_weights
from nsr.priors.networks.common.family import Family
from nsr.priors.networks.intrinsic_decomposition.backbone import ORIGINAL_WIDTH, SfSNet
from nsr.priors.networks.intrinsic_decomposition.illumination import change_frame

_PARTS = ("weight", "bias", "running_mean", "running_var")
_CONVOLUTION = _PARTS[:2]
_NO_FIT = "these weights do not fit SfSNet"
_COUNTER = "num_batches_tracked"  # which older files lack and nothing here uses


def _pairs() -> list[tuple[str, str, tuple[str, ...]]]:
    """Our layer, the published file's layer, what it holds: for every layer of SfSNet."""
    pairs = []

    def normed(ours: str, theirs: str) -> None:
        pairs.extend([(f"{ours}.0", f"{theirs}.conv.0", _CONVOLUTION), (f"{ours}.1", f"{theirs}.conv.1", _PARTS)])

    normed("stem.conv1", "conv1")
    normed("stem.conv2", "conv2")
    pairs.append(("stem.conv3", "conv3", _CONVOLUTION))
    for quantity, letter in (("normal", "n"), ("albedo", "a")):
        for block in range(5):
            for layer, parts in ((0, _PARTS), (2, _CONVOLUTION), (3, _PARTS), (5, _CONVOLUTION)):
                pairs.append((f"{quantity}_stack.{block}.layers.{layer}", f"{letter}res{block + 1}.res.{layer}", parts))
        pairs.append((f"{quantity}_stack.5", f"{letter}reso.0", _PARTS))
        normed(f"{quantity}_generator.conv1", f"{letter}conv1")
        normed(f"{quantity}_generator.conv2", f"{letter}conv2")
        pairs.append((f"{quantity}_generator.conv3", f"{letter}out", _CONVOLUTION))
    normed("light_estimator.conv", "lconv")
    pairs.append(("light_estimator.linear", "lout", _CONVOLUTION))
    return pairs


NAMES = {f"{ours}.{part}": f"{theirs}.{part}" for ours, theirs, parts in _pairs() for part in parts}


def import_sfsnet(path: Path, backbone: SfSNet) -> None:
    """Put the published weights of SfSNet (a state dict such as ``net_epoch_r5_5.pth``) into ``backbone``.

    Its normals are in axes x right, y up, z towards the viewer; the last layer's signs are turned, so that ours come
    out in the camera frame.

    Raises:
        CheckpointError: the file cannot be read, the backbone is not 128 wide, or a name is missing, unknown or of
            another shape; the message counts and names them, and the backbone is left as it was.
    """
    state = _read_tensors(path)
    own = backbone.state_dict()
    if len(own["stem.conv3.weight"]) != ORIGINAL_WIDTH:
        raise CheckpointError(
            f"{path}: SfSNet's weights are for width {ORIGINAL_WIDTH}, not {len(own['stem.conv3.weight'])}; "
            f"give --width {ORIGINAL_WIDTH}"
        )
    theirs = {name: values for name, values in state.items() if not name.endswith(_COUNTER)}
    expected = {name: own[ours] for ours, name in NAMES.items()}
    require_same_weights(theirs, expected, f"{path}: {_NO_FIT}")
    imported = {ours: state[name] for ours, name in NAMES.items()}
    for part in _CONVOLUTION:
        imported[f"normal_generator.conv3.{part}"] = change_frame(imported[f"normal_generator.conv3.{part}"], dim=0)
    backbone.load_state_dict({**own, **imported})


def backbone_of_checkpoint(path: Path, family: Family, backbone: nn.Module) -> None:
    """Put the backbone of a run's checkpoint, of any of the family's methods on the same one, into ``backbone``.

    Raises:
        CheckpointError: the file cannot be read, is of another family, or its backbone does not fit.
    """
    prefix = "backbone."
    held = {
        name.removeprefix(prefix): values
        for name, values in read_checkpoint(path, family)["modules"]["network"].items()
        if name.startswith(prefix)
    }
    require_same_weights(held, backbone.state_dict(), f"{path}: {_NO_FIT}")
    backbone.load_state_dict(held)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(
            f"{path}: is no file of weights that can be read safely ({type(error).__name__})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(values, Tensor) for values in state.values()):
        raise CheckpointError(f"{path}: holds something else than named weights; give a state dict")
    return state
