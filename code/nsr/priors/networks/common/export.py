"""Networks in formats that run without this project: ONNX and TorchScript."""

from __future__ import annotations

import contextlib
import logging
import warnings
from pathlib import Path

import torch
from torch import nn

from nsr.atomic import whole_file
from nsr.errors import NsrError

ONNX, TORCHSCRIPT = ".onnx", ".ts"


def export_network(network: nn.Module, path: str | Path, inputs: dict[str, torch.Tensor], output: str) -> Path:
    """Write a network as ONNX (``.onnx``) or TorchScript (``.ts``), in evaluation mode; the file appears whole.

    Batch, height and width of the ONNX inputs stay free.

    Args:
        inputs: example inputs ``[N, C, H, W]`` by name, in the order of the network's arguments.
        output: name of the output ``[N, K, H, W]``.

    Raises:
        NsrError: another suffix, or the exporter's libraries are missing.
    """
    path = Path(path)
    if path.suffix not in (ONNX, TORCHSCRIPT):
        raise NsrError(f"{path}: name the file .onnx (ONNX) or .ts (TorchScript)")
    network = network.eval()
    with whole_file(path) as partial, _without_notices(), torch.no_grad():
        if path.suffix == TORCHSCRIPT:
            torch.jit.trace(network, tuple(inputs.values()), check_trace=False).save(str(partial))
        else:
            _require_onnx()
            free = {0: "batch", 2: "height", 3: "width"}
            torch.onnx.export(
                network,
                tuple(inputs.values()),
                str(partial),
                input_names=list(inputs),
                output_names=[output],
                dynamic_axes={name: free for name in [*inputs, output]},
                dynamo=False,
            )
    return path


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise NsrError("an ONNX file needs onnx: pip install 'nsr[onnx]'") from error


@contextlib.contextmanager
def _without_notices():
    """Without the exporters' notices about their own future, which are nothing to a reader."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", message="Constant folding")
            yield
    finally:
        logger.setLevel(level)
