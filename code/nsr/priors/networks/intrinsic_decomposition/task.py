"""Training and use of a method: stages, the adversary, whole-picture predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from nsr.errors import NsrError
from nsr.priors.networks.common.samples import Sample
from nsr.priors.networks.common.task import Descent, Panel, Stage, Task
from nsr.priors.networks.intrinsic_decomposition.discriminators import (
    ConvolutionalDiscriminator,
    PatchDiscriminator,
    discriminator_loss,
    least_squares,
)
from nsr.priors.networks.intrinsic_decomposition.illumination import fit_light, shade
from nsr.priors.networks.intrinsic_decomposition.losses import term_losses
from nsr.priors.networks.intrinsic_decomposition.measures import decomposition_figures
from nsr.priors.networks.intrinsic_decomposition.methods import BACKBONE_SHARE, METHODS, Method, Phase, backbone_phase
from nsr.priors.networks.intrinsic_decomposition.network import IntrinsicNetwork

_LEAST_SIZE = {"patch": 32, "convolutional": 8}  # pixels, of what a discriminator can judge
_SHADING_SHOWN = 2.0  # shading that a panel draws white


def phases_of(method: Method, backbone_given: bool) -> list[Phase]:
    """The stages of a training: the backbone's first, unless a finished one is given or the method has none."""
    if not method.from_backbone or (backbone_given and method.phases):
        return list(method.phases)
    if not method.phases:
        return [backbone_phase(1.0)]
    rest = 1 - BACKBONE_SHARE
    return [backbone_phase(BACKBONE_SHARE)] + [replace(phase, share=phase.share * rest) for phase in method.phases]


class IntrinsicTask(Task):
    """A method on SfSNet.

    Args:
        method: a key of ``METHODS``; width, drop: of the network; discriminator_width: of its first layer.
        size: of the training pictures, which a convolutional discriminator is made for.
        weights: factors on the terms of the losses, by quantity ("albedo"), and on the generator's ("adversarial").
        weight_decay: of Adam, for the network.
        backbone_given: whether the backbone is trained already; its stage is then left out.
    """

    def __init__(
        self,
        method: str,
        width: int,
        drop: float = 0.0,
        discriminator_width: int = 16,
        size: int = 64,
        weights: Mapping[str, float] | None = None,
        weight_decay: float = 0.0,
        backbone_given: bool = False,
    ):
        self.method = METHODS[method]
        self.network = IntrinsicNetwork(self.method, width, drop).to(memory_format=torch.channels_last)
        self.discriminator: nn.Module | None = None
        least = _LEAST_SIZE.get(self.method.discriminator, 1)
        if size < least:
            raise NsrError(f"--patch {size}: the discriminator of method {method} judges {least} pixels or more")
        if self.method.discriminator == "patch":
            self.discriminator = PatchDiscriminator(discriminator_width)
        elif self.method.discriminator == "convolutional":
            self.discriminator = ConvolutionalDiscriminator(discriminator_width, max(size.bit_length() - 3, 1))
        self.phases = phases_of(self.method, backbone_given)
        self.phase = self.phases[0]
        self.weights = dict(weights or {})
        self.weight_decay = weight_decay
        known = {term.quantity for phase in self.phases for term in phase.terms}
        known |= {"adversarial"} if self.discriminator else set()
        unknown = sorted(self.weights.keys() - known)
        if unknown:
            raise NsrError(
                f"--weight {unknown[0]}: method {method} has no such term; it has {', '.join(sorted(known))}"
            )

    def modules(self) -> dict[str, nn.Module]:
        adversary = {"discriminator": self.discriminator} if self.discriminator else {}
        return {"network": self.network, **adversary}

    def stages(self) -> list[Stage]:
        return [
            Stage(phase.name, phase.share, phase.trainable + (("discriminator",) if phase.adversarial else ()))
            for phase in self.phases
        ]

    def enter(self, stage: Stage) -> None:
        self.phase = next(phase for phase in self.phases if phase.name == stage.name)

    def begin(self, stage: Stage) -> None:
        if [phase.name for phase in self.phases[:2]] == ["backbone", stage.name]:
            self.network.adopt_backbone()

    def optimiser(self, name: str, parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        decay = self.weight_decay if name == "network" else 0.0
        betas = (0.5, 0.999) if self.phase.adversarial else (0.9, 0.999)  # as DCGAN's
        return torch.optim.Adam(parameters, lr=rate, betas=betas, weight_decay=decay)

    def losses(self, batch: Sample) -> dict[str, Tensor]:
        return self._terms(self._forward(batch), batch)

    def step(self, batch: Sample, descents: dict[str, Descent]) -> dict[str, float]:
        """One step; in an adversarial stage the discriminator's first, on the same prediction."""
        if not self.phase.adversarial:
            return super().step(batch, descents)
        prediction = self._forward(batch)
        figures = self._discriminator_step(prediction, batch, descents["discriminator"])
        scores = self.discriminator(prediction["albedo"] * batch["mask"])
        weight = self.phase.adversarial * self.weights.get("adversarial", 1.0)
        adversarial = {"adversarial": weight * least_squares(scores, 1.0)}
        return figures | descents["network"].step(self._terms(prediction, batch) | adversarial)

    def _discriminator_step(self, prediction: dict, batch: Sample, descent: Descent) -> dict[str, float]:
        """Teach the discriminator; nothing where a batch holds no true albedo and only such is wanted."""
        label = batch["synthetic"][:, 0, 0, 0]
        given, generated = (values * batch["mask"] for values in (batch["albedo"], prediction["albedo"]))
        if not self.phase.pseudo_labels:
            given, label = given[label > 0], label[label > 0]
            if not len(given):
                return {}
        return descent.step({"discriminator": discriminator_loss(self.discriminator, given, generated, label)})

    def _forward(self, batch: Sample) -> dict[str, Tensor]:
        prediction = self.network(batch["image"].contiguous(memory_format=torch.channels_last))
        if self.phase.name == "backbone":  # which is judged by what the harmonics alone make of it
            prediction = prediction | {"reconstruction": prediction["harmonic_reconstruction"]}
        return prediction

    def _terms(self, prediction: dict, batch: Sample) -> dict[str, Tensor]:
        losses = term_losses(prediction, batch, self.phase.terms)
        return {name: value * self.weights.get(name, 1.0) for name, value in losses.items()}

    def predict(self, sample: Sample) -> dict[str, Tensor]:
        """Everything that a picture decomposes into, maps ``[3, H, W]``; the light is ``[27, 1, 1]``.

        ``shading`` is ``harmonic_shading + residue`` and ``reconstruction`` is ``albedo * shading``, to the last bit.
        A method that estimates no light gets the one that fits its shading best.
        """
        result = self.network(sample["image"][None])
        normal, albedo = result["normal"], result["albedo"]
        light = result.get("light")
        if light is None:
            light = fit_light(normal, result["shading"], sample["mask"][None])
        harmonic_shading = shade(normal, light)
        residue = result["shading"] - harmonic_shading
        shading = harmonic_shading + residue
        harmonic_albedo = result.get("harmonic_albedo", albedo)
        maps = {
            "normal": normal,
            "albedo": albedo,
            "harmonic_albedo": harmonic_albedo,
            "harmonic_shading": harmonic_shading,
            "harmonic_reconstruction": harmonic_albedo * harmonic_shading,
            "residue": residue,
            "shading": shading,
            "reconstruction": albedo * shading,
            "light": light[:, :, None, None],
        }
        return {name: values[0] for name, values in maps.items()}

    def measure(self, prediction: dict[str, Tensor], sample: Sample) -> dict[str, float]:
        return decomposition_figures(prediction, sample)

    def panels(self, prediction: dict[str, Tensor], sample: Sample) -> list[Panel]:
        mask = sample["mask"]

        def panel(title: str, values: Tensor) -> Panel:
            return Panel(title, torch.where(mask > 0, values, 1.0).clamp(0, 1).permute(1, 2, 0).numpy())

        error = (prediction["reconstruction"] - sample["image"]).abs().mean(0)
        harmonic_error = (prediction["harmonic_reconstruction"] - sample["image"]).abs().mean(0)
        panels = [
            panel("picture", sample["image"]),
            panel("reconstruction", prediction["reconstruction"]),
            panel("harmonics alone", prediction["harmonic_reconstruction"]),
            panel("normal", _drawn_normals(prediction["normal"])),
            panel("albedo", prediction["albedo"]),
            panel("shading / 2", prediction["shading"] / _SHADING_SHOWN),
            panel("residue + 0.5", prediction["residue"] + 0.5),
            Panel("error", _outside_white(error, mask), (0, 0.2)),
            Panel("error, harmonics", _outside_white(harmonic_error, mask), (0, 0.2)),
        ]
        for name, drawn in (
            ("normal", _drawn_normals),
            ("albedo", lambda v: v),
            ("shading", lambda v: v / _SHADING_SHOWN),
        ):
            if name in sample:
                panels.append(panel(f"true {name}", drawn(sample[name])))
        return panels


def _drawn_normals(normal: Tensor) -> Tensor:
    """Camera-frame normals in the usual colours: red right, green up, blue towards the viewer."""
    return normal * normal.new_tensor([0.5, -0.5, -0.5])[:, None, None] + 0.5


def _outside_white(values: Tensor, mask: Tensor):
    return torch.where(mask[0] > 0, values, torch.nan).numpy()
