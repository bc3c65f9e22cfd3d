"""One model for all methods: a backbone, and where the method has them a second albedo stack and a residue head."""

from __future__ import annotations

import torch
from torch import nn

from nsr.priors.networks.intrinsic_decomposition.backbone import (
    ResidualStack,
    ResidueHead,
    SfSNet,
    conv_norm_relu,
    initialise,
)
from nsr.priors.networks.intrinsic_decomposition.illumination import shade
from nsr.priors.networks.intrinsic_decomposition.methods import Method
from nsr.priors.networks.intrinsic_decomposition.skip_network import SkipNetwork


class IntrinsicNetwork(nn.Module):
    """Picture ``[B, 3, H, W]`` in [0, 1], any size -> what it decomposes into, as ``method`` says.

    The result holds ``normal`` (unit, camera frame), ``albedo``, ``shading`` and ``reconstruction`` = albedo x shading,
    all ``[B, 3, H, W]``.  Unless the shading is latent it holds ``light`` ``[B, 27]`` too, and what the harmonics alone
    give: ``harmonic_shading``, ``harmonic_albedo`` (before any residue was taken from it) and their product
    ``harmonic_reconstruction``.  Everything is differentiable.
    """

    def __init__(self, method: Method, width: int, drop: float = 0.0):
        super().__init__()
        latent = method.shading == "latent"
        self.method = method
        self.backbone: SfSNet | SkipNetwork = (
            SkipNetwork(width, drop) if method.labeller else SfSNet(width, not latent, not latent, drop)
        )
        if method.own_albedo_stack:
            self.own_albedo_stack = ResidualStack(width, drop=drop)
        if method.residue_head:
            self.residue_head = ResidueHead(width, bias=not latent)
        if method.shading in ("corrected", "latent"):
            self.shading_head = nn.Sequential(
                conv_norm_relu(6, width // 2, 1, bias=not latent),
                nn.Conv2d(width // 2, 3, 3, padding=1, bias=not latent),
            )

        self.apply(initialise)
        if method.shading in ("residual", "exchanged"):
            nn.init.zeros_(self.residue_head.layers[-1].weight)  # learning starts from no residue

    def adopt_backbone(self) -> None:
        """Start the second albedo stack, where there is one, as a copy of the backbone's."""
        if self.method.own_albedo_stack:
            self.own_albedo_stack.load_state_dict(self.backbone.albedo_stack.state_dict())

    def forward(self, picture: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.method.labeller:
            normal, albedo, light = self.backbone(picture)
            return _harmonic(normal, albedo, light)
        size = picture.shape[-2:]
        features, normal_features, albedo_features = self.backbone.features(picture)
        normal = self.backbone.normal(normal_features, size)
        light = None
        if self.backbone.light_estimator is not None:
            light = self.backbone.light_estimator(torch.cat((features, normal_features, albedo_features), 1))
        if self.method.own_albedo_stack:
            albedo_features = self.own_albedo_stack(features)
        albedo = self.backbone.albedo_generator(albedo_features, size)
        result = {"normal": normal} if light is None else _harmonic(normal, albedo, light)
        if self.method.residue_head:
            residue = self.residue_head(torch.cat((features, normal_features, albedo_features), 1), size)
            result |= self._lit(result, albedo, residue)
        return result

    def _lit(self, result: dict, albedo: torch.Tensor, residue: torch.Tensor) -> dict[str, torch.Tensor]:
        """Albedo, shading and reconstruction with the residue head's output, as the method uses it."""
        if self.method.shading == "latent":
            shading = self.shading_head(torch.cat((result["normal"], residue), 1))
        elif self.method.shading == "corrected":
            shading = self.shading_head(torch.cat((result["harmonic_shading"], residue), 1))
        else:
            shading = result["harmonic_shading"] + residue
            if self.method.shading == "exchanged":
                albedo = albedo - residue
        return {"albedo": albedo, "shading": shading, "reconstruction": albedo * shading}


class StackedMaps(nn.Module):
    """An ``IntrinsicNetwork`` with one output, for other programs: ``[B, 12, H, W]``.

    Normal, albedo, shading and reconstruction, three channels each.
    """

    def __init__(self, network: IntrinsicNetwork):
        super().__init__()
        self.network = network

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        result = self.network(picture)
        return torch.cat([result[name] for name in ("normal", "albedo", "shading", "reconstruction")], 1)


def _harmonic(normal: torch.Tensor, albedo: torch.Tensor, light: torch.Tensor) -> dict[str, torch.Tensor]:
    """What harmonics alone give, which is the whole result unless a residue follows."""
    shading = shade(normal, light)
    reconstruction = albedo * shading
    return {
        "normal": normal,
        "albedo": albedo,
        "light": light,
        "shading": shading,
        "reconstruction": reconstruction,
        "harmonic_albedo": albedo,
        "harmonic_shading": shading,
        "harmonic_reconstruction": reconstruction,
    }
