"""The residual U-Net as the trainer and the evaluation know it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nsr.errors import NsrError
from nsr.priors.networks.common.metrics import angular_error_degrees, mad_mm, rmse_mm
from nsr.priors.networks.common.patches import apply_in_tiles
from nsr.priors.networks.common.samples import Sample
from nsr.priors.networks.common.task import Panel, Stage, Task
from nsr.priors.networks.shape_from_shading.encoding import INPUTS, MILLIMETRES, encode
from nsr.priors.networks.shape_from_shading.losses import masked_absolute, masked_slope
from nsr.priors.networks.shape_from_shading.network import MULTIPLE, ResidualUNet
from nsr.priors.networks.shape_from_shading.oracle import image_aligned_rmse, window_aligned_rmse
from nsr.priors.networks.shape_from_shading.pictures import result_panels
from nsr.priors.networks.shape_from_shading.rig import Rig

PARTS = {"encoder": ("stem", "encoder"), "decoder": ("reduce", "decoder", "head")}
TILE, OVERLAP = 768, 128  # pixels: frames up to a tile's size are taken whole; the overlap covers what a pixel sees


class ReliefTask(Task):
    """Learns depth minus low-resolution depth in millimetres, on one fixed scale.

    Args:
        rig: of the pictures.
        inputs: what the network is shown, of ``encoding.INPUTS``.
        width, dropout: of the network.
        frozen: ``encoder`` or ``decoder``, which then stays as it is, or None.
        absent: share of the training patches whose pattern is left out, so that the network can do without one.
        passes: with dropout, where it was trained with any, that ``predict`` takes a confidence from; 0 gives none.
    """

    def __init__(
        self,
        rig: Rig,
        inputs: tuple[str, ...] = INPUTS,
        width: int = 16,
        dropout: float = 0.0,
        frozen: str | None = None,
        absent: float = 0.0,
        passes: int = 0,
    ):
        self.rig, self.inputs, self.frozen, self.absent, self.passes = rig, inputs, frozen, absent, passes
        self.network = ResidualUNet(len(inputs), width, dropout).to(memory_format=torch.channels_last)

    def stages(self) -> list[Stage]:
        trained = [part for name, parts in PARTS.items() if name != self.frozen for part in parts]
        return [Stage("train", 1.0, tuple(f"network.{part}" for part in trained))]

    def losses(self, batch: Sample) -> dict[str, Tensor]:
        """``depth``: mean absolute error in millimetres; ``slope``: that of its step from pixel to pixel."""
        inputs = batch["inputs"]
        if self.network.training and self.absent > 0 and "pattern" in self.inputs:
            kept = torch.rand(len(inputs), 1, 1, device=inputs.device) >= self.absent
            inputs = inputs.clone()
            inputs[:, self.inputs.index("pattern")] *= kept
        predicted = self.network(inputs.contiguous(memory_format=torch.channels_last))
        difference = predicted - batch["residual"]
        return {
            "depth": masked_absolute(difference, batch["mask"]),
            "slope": masked_slope(difference, batch["mask"]),
        }

    def predict(self, sample: Sample) -> dict[str, Tensor]:
        """``residual`` in millimetres, ``depth`` = low + residual in metres, and, with ``passes``, ``confidence``.

        The confidence exp(-v / r^2) falls with the variance v of what the network says when it is shown less: once
        without the pattern, and ``passes`` times with the dropout that it was trained with (Gal and Ghahramani 2016);
        r^2 is the mean square of the residual.  It lies in (0, 1].  Everything is ``[1, H, W]`` and 0 where invalid.

        Raises:
            NsrError: a confidence is asked for, and there is neither a pattern to leave out nor dropout.
        """
        mask = sample["mask"]
        encoded = encode(sample, self.rig, self.inputs).to(mask.device)
        residual = self._residual(encoded) * mask
        found = {"residual": residual, "depth": (sample["low"] + residual / MILLIMETRES) * mask}
        if self.passes:
            found["confidence"] = self._confidence(encoded, residual) * mask
        return found

    def measure(self, prediction: dict[str, Tensor], sample: Sample) -> dict[str, float]:
        """Errors of depth in millimetres and of normals in degrees, raw and aligned; nothing without a true depth.

        ``ratio`` is the raw error over that of the low-resolution depth; the aligned errors have read the truth
        (see ``oracle``).
        """
        if "depth" not in sample:
            return {}
        mask, truth = sample["mask"], sample["depth"]
        residual = (truth - sample["low"])[0].numpy() * MILLIMETRES
        valid = mask[0].numpy() > 0
        raw, low = (rmse_mm(depth, truth, mask) for depth in (prediction["depth"], sample["low"]))
        inside = -nn.functional.max_pool2d(-mask, 3, 1, 1)  # where all neighbours that a normal is of are valid
        normal, low_normal, true_normal = (
            self._normals(depth) for depth in (prediction["depth"], sample["low"], truth)
        )
        true_normal = sample.get("normal", true_normal)
        predicted = prediction["residual"][0].numpy()
        return {
            "rmse_mm": raw,
            "low_rmse_mm": low,
            "ratio": raw / low if low > 0 else float("nan"),
            "mad_mm": mad_mm(prediction["depth"], truth, mask),
            "image_aligned_rmse_mm": image_aligned_rmse(predicted, residual, valid),
            "window_aligned_rmse_mm": window_aligned_rmse(predicted, residual, valid),
            "normal_error_degrees": angular_error_degrees(normal, true_normal, inside),
            "low_normal_error_degrees": angular_error_degrees(low_normal, true_normal, inside),
        }

    def panels(self, prediction: dict[str, Tensor], sample: Sample) -> list[Panel]:
        return result_panels(prediction, sample)

    def _residual(self, encoded: Tensor) -> Tensor:
        return apply_in_tiles(self.network, encoded, TILE, OVERLAP, MULTIPLE)

    def _confidence(self, encoded: Tensor, residual: Tensor) -> Tensor:
        said = [residual]
        shown = [index for index, name in enumerate(self.inputs) if name == "pattern" and encoded[index].any()]
        if shown and len(self.inputs) > 1:
            without = encoded.clone()
            without[shown] = 0
            said.append(self._residual(without))
        drops = [module for module in self.network.modules() if isinstance(module, nn.Dropout2d) and module.p > 0]
        for module in drops:
            module.train()
        said += [self._residual(encoded) for _ in range(self.passes if drops else 0)]
        for module in drops:
            module.eval()
        if len(said) == 1:
            raise NsrError("no confidence: there is no pattern to leave out, and no --drop was trained with")
        scale = residual.square().mean().clamp(min=1e-6)
        return torch.exp(-torch.stack(said).var(dim=0, unbiased=False) / scale)

    def _normals(self, depth: Tensor) -> Tensor:
        """``[3, H, W]`` of a depth map ``[1, H, W]``."""
        return torch.from_numpy(self.rig.normals(depth[0].double().numpy())).permute(2, 0, 1)
