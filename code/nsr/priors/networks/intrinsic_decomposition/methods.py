"""The methods: what each predicts, what its stages train, and by which losses.

A method is a row of a table: one way to make the shading, and stages that name the parts they train and the terms of
their loss.  The residue methods 1 to 7 are those of "Illumination Estimation with Residue Networks" on SfSNet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Quantity = Literal["normal", "albedo", "light", "shading", "reconstruction"]
Distance = Literal["l1", "smooth_l1", "squared"]
Discriminator = Literal["patch", "convolutional"]

# How the shading is made of the harmonics' shading S, the residue head's output R and the normal N
ShadingModel = Literal[
    "harmonic",  # S
    "corrected",  # two layers on (S, R)
    "latent",  # two layers on (N, R); no light is estimated
    "residual",  # S + R
    "exchanged",  # S + R, and the albedo gives R away
]


@dataclass(frozen=True)
class Term:
    """A weighted distance of one predicted quantity to the sample's."""

    quantity: Quantity
    distance: Distance
    weight: float


@dataclass(frozen=True)
class Phase:
    """A stage of a method.

    Attributes:
        trainable: prefixes of the network's parameters; all others are frozen.
        adversarial: weight of the generator's least-squares loss; above zero the discriminator is trained as well.
        pseudo_labels: whether the discriminator is also shown the albedo of pseudo-labels, with label 0, rather than
            only the true albedo of rendered pictures, with label 1.
    """

    name: str
    share: float
    trainable: tuple[str, ...]
    terms: tuple[Term, ...]
    adversarial: float = 0.0
    pseudo_labels: bool = False


@dataclass(frozen=True)
class Method:
    """A way to decompose a picture.

    Attributes:
        own_albedo_stack: whether a second residual stack makes the albedo and joins the residue's features, so that the
            backbone's own, which the light is estimated from, stays as it is.
        labeller: the network is the skip network, not SfSNet.
        phases: after the backbone's, where there is one.
        from_backbone: whether a stage that trains SfSNet alone (or a finished SfSNet) comes first.
    """

    title: str
    shading: ShadingModel
    phases: tuple[Phase, ...]
    own_albedo_stack: bool = False
    labeller: bool = False
    from_backbone: bool = True
    discriminator: Discriminator | None = None

    @property
    def residue_head(self) -> bool:
        return self.shading != "harmonic"


# SfSNet's own losses
_BACKBONE_TERMS = (
    Term("reconstruction", "l1", 0.5),
    Term("normal", "l1", 0.5),
    Term("albedo", "l1", 0.5),
    Term("light", "squared", 0.1),
)
BACKBONE_SHARE = 0.7  # of a run that trains the backbone first
_ALL = ("network",)
_ALBEDO = ("network.own_albedo_stack", "network.backbone.albedo_generator")
_RESIDUE = ("network.residue_head",)


def backbone_phase(share: float) -> Phase:
    """SfSNet alone, on the harmonics' reconstruction."""
    return Phase("backbone", share, ("network.backbone",), _BACKBONE_TERMS)


def _separate_phases(pseudo_labels: bool) -> tuple[Phase, ...]:
    """An albedo that a discriminator takes for true, then the residue on the finished albedo."""
    residue = _RESIDUE if pseudo_labels else (*_RESIDUE, "network.own_albedo_stack")
    return (
        Phase("albedo", 0.5, _ALBEDO, (Term("albedo", "smooth_l1", 10.0),), 1.0, pseudo_labels),
        Phase("residue", 0.5, residue, (Term("albedo", "smooth_l1", 1.0), Term("reconstruction", "smooth_l1", 1.0))),
    )


METHODS: dict[str, Method] = {
    "sfsnet": Method("SfSNet: harmonics alone", "harmonic", ()),
    "skip-net": Method(
        "skip network: the labeller",
        "harmonic",
        (Phase("labeller", 1.0, _ALL, _BACKBONE_TERMS),),
        labeller=True,
        from_backbone=False,
    ),
    "1": Method(
        "shading correction",
        "corrected",
        (
            Phase(
                "correction",
                1.0,
                _ALL,
                (
                    Term("reconstruction", "l1", 0.6),
                    Term("albedo", "l1", 1.0),
                    Term("normal", "l1", 1.0),
                    Term("shading", "l1", 0.4),
                    Term("light", "squared", 1.0),
                ),
            ),
        ),
    ),
    "2": Method(
        "latent shading",
        "latent",
        (
            Phase(
                "latent",
                1.0,
                _ALL,
                (
                    Term("normal", "l1", 1.0),
                    Term("albedo", "l1", 1.0),
                    Term("reconstruction", "l1", 0.2),
                    Term("shading", "l1", 0.8),
                ),
            ),
        ),
        from_backbone=False,
    ),
    "3": Method(
        "shading residue",
        "residual",
        (
            Phase(
                "residue",
                1.0,
                (*_ALBEDO, *_RESIDUE),
                (Term("reconstruction", "l1", 0.5), Term("albedo", "l1", 0.5)),
            ),
        ),
        own_albedo_stack=True,
    ),
    "4": Method(
        "shading and albedo residue",
        "exchanged",
        (Phase("residue", 1.0, _RESIDUE, (Term("reconstruction", "smooth_l1", 1.0),)),),
    ),
    "5": Method(
        "shading residue with adversarial albedo",
        "residual",
        (Phase("joint", 1.0, (*_ALBEDO, *_RESIDUE), (Term("reconstruction", "squared", 1.0),), 0.4),),
        own_albedo_stack=True,
        discriminator="patch",
    ),
    "6": Method(
        "adversarial albedo, then residue",
        "residual",
        _separate_phases(pseudo_labels=False),
        own_albedo_stack=True,
        discriminator="convolutional",
    ),
    "7": Method(
        "adversarial albedo against pseudo-labels, then residue",
        "residual",
        _separate_phases(pseudo_labels=True),
        own_albedo_stack=True,
        discriminator="convolutional",
    ),
}
