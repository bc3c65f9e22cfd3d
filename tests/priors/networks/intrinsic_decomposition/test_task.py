"""Losses, stages and the adversary of each method; what a prediction holds."""

import pytest
import torch
from nsr.errors import NsrError
from nsr.priors.networks.common.task import Descent, enter_stage
from nsr.priors.networks.intrinsic_decomposition.illumination import directional_light, shade
from nsr.priors.networks.intrinsic_decomposition.losses import masked_mean, term_losses
from nsr.priors.networks.intrinsic_decomposition.measures import (
    best_harmonic_reconstruction,
    decomposition_figures,
    scale_invariant_rmse,
)
from nsr.priors.networks.intrinsic_decomposition.methods import METHODS, Term
from nsr.priors.networks.intrinsic_decomposition.synthetic.dataset import SyntheticPictures
from nsr.priors.networks.intrinsic_decomposition.task import IntrinsicTask
from torch.utils.data import default_collate

SIZE = 32
RESIDUE_METHODS = ("3", "4", "5", "6", "7")


@pytest.fixture(scope="module")
def batch():
    dataset = SyntheticPictures(4, SIZE, seed=1)
    return default_collate([dataset[index] for index in range(4)])


def task_of(method, **options):
    torch.manual_seed(0)
    return IntrinsicTask(method, 8, discriminator_width=4, size=SIZE, **options)


def begin(task, index):
    """What the trainer does where a stage begins; returns the descents."""
    stage = task.stages()[index]
    task.begin(stage)
    trainable = enter_stage(task, stage)
    return {name: Descent(task.optimiser(name, values, 0.01), 0.0) for name, values in trainable.items()}


def changed(task, batch, descents):
    """The names of everything that a step changes, batch statistics included."""
    states = {name: module.state_dict() for name, module in task.modules().items()}
    before = {f"{m}.{name}": values.clone() for m, state in states.items() for name, values in state.items()}
    figures = task.step(batch, descents)
    states = {name: module.state_dict() for name, module in task.modules().items()}
    after = {f"{m}.{name}": values for m, state in states.items() for name, values in state.items()}
    return {name for name in before if not torch.equal(before[name], after[name])}, figures


@pytest.mark.parametrize("method", METHODS)
def test_every_stage_changes_its_own_parts_and_nothing_else(method, batch):
    task = task_of(method)
    for index, stage in enumerate(task.stages()):
        names, figures = changed(task, batch, begin(task, index))
        assert all(name.startswith(stage.trainable) for name in names), stage.name
        for prefix in stage.trainable:
            assert any(name.startswith(prefix) for name in names), (stage.name, prefix)
        assert all(value == value for value in figures.values())
    assert sum(stage.share for stage in task.stages()) == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
def test_invalid_pixels_have_no_gradient(method, batch):
    task = task_of(method)
    enter_stage(task, task.stages()[-1])
    spoilt = {**batch, "mask": batch["mask"].clone()}
    spoilt["mask"][:, :, : SIZE // 2] = 0
    prediction = {name: values.detach().requires_grad_() for name, values in task.network(batch["image"]).items()}
    sum(term_losses(prediction, spoilt, task.phase.terms).values()).backward()
    seen = [values.grad for name, values in prediction.items() if values.grad is not None and values.ndim == 4]
    assert seen
    for gradient in seen:
        assert not gradient[:, :, : SIZE // 2].any() and gradient.any()


def test_masked_mean_counts_valid_values_only():
    values = torch.arange(12.0).view(1, 3, 2, 2)
    mask = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 1, 2, 2)
    assert masked_mean(values, mask) == (0 + 3 + 4 + 7 + 8 + 11) / 6
    values[0, 0, 0, 1] = torch.inf
    assert torch.isfinite(masked_mean(values, mask))
    assert masked_mean(values, 0 * mask) == 0


def test_terms_are_distances_times_weights(batch):
    truth = {
        "normal": batch["normal"],
        "albedo": batch["albedo"] + 0.5,
        "light": batch["light"][..., 0, 0] + 2,
        "reconstruction": batch["image"] + 3,
    }
    terms = (
        Term("normal", "l1", 1.0),
        Term("albedo", "squared", 2.0),
        Term("light", "squared", 0.1),
        Term("reconstruction", "smooth_l1", 1.0),
    )
    losses = {name: float(value) for name, value in term_losses(truth, batch, terms).items()}
    assert losses == pytest.approx({"normal": 0, "albedo": 0.5, "light": 0.4, "reconstruction": 2.5}, rel=1e-4)


def test_backbone_stage_judges_the_harmonics_and_hands_its_albedo_stack_on(batch):
    task = task_of("3")
    begin(task, 0)
    assert task.phase.name == "backbone"
    torch.nn.init.normal_(task.network.residue_head.layers[-1].weight)
    task.train(False)
    with torch.no_grad():
        losses = task.losses(batch)
        plain = task.network(batch["image"])
    difference = (plain["harmonic_reconstruction"] - batch["image"]).abs()
    assert float(losses["reconstruction"]) == pytest.approx(
        0.5 * float(masked_mean(difference, batch["mask"])), rel=1e-5
    )
    begin(task, 1)
    own, backbone = task.network.own_albedo_stack.state_dict(), task.network.backbone.albedo_stack.state_dict()
    assert all(torch.equal(own[name], values) for name, values in backbone.items())


def test_a_given_backbone_leaves_its_stage_out():
    for method, description in METHODS.items():
        names = [stage.name for stage in task_of(method, backbone_given=True).stages()]
        assert ("backbone" in names) == (method == "sfsnet")
        assert ("backbone" in [stage.name for stage in task_of(method).stages()]) == description.from_backbone


@pytest.mark.parametrize("method", ["6", "7"])
def test_residue_stage_freezes_the_albedo_generator(method):
    trainable = task_of(method).stages()[-1].trainable
    assert "network.backbone.albedo_generator" not in trainable
    assert ("network.own_albedo_stack" in trainable) == (method == "6")


def test_discriminators_of_five_and_six_see_true_albedo_only(batch):
    task = task_of("6")
    descents = begin(task, 1)
    pseudo = {**batch, "synthetic": torch.zeros_like(batch["synthetic"])}
    names, figures = changed(task, pseudo, descents)
    assert "discriminator" not in figures
    assert not [
        name for name in names if name.startswith("discriminator") and "running" not in name and "num" not in name
    ]
    _, figures = changed(task, batch, descents)
    assert figures["discriminator"] > 0 and figures["adversarial"] > 0


def test_discriminator_of_seven_learns_pseudo_labels_as_zero(batch):
    """With one kind of albedo under both labels nothing but the label tells them apart: the loss is its variance."""
    task = task_of("7")
    descents = begin(task, 1)
    task.discriminator = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIZE * SIZE, 1))
    torch.nn.init.zeros_(task.discriminator[1].weight)
    torch.nn.init.constant_(task.discriminator[1].bias, 0.25)
    descents["discriminator"] = Descent(torch.optim.SGD(task.discriminator.parameters(), lr=0.0), 0.0)
    synthetic = batch["synthetic"].clone()
    synthetic[1:] = 0
    figures = task.step({**batch, "synthetic": synthetic}, descents)
    given = (0.75**2 + 3 * 0.25**2) / 4
    assert figures["discriminator"] == pytest.approx(0.5 * (given + 0.25**2))


def test_weights_scale_terms_and_unknown_ones_are_refused(batch):
    plain, scaled = task_of("5"), task_of("5", weights={"reconstruction": 3.0, "adversarial": 0.0})
    for task in (plain, scaled):
        task.enter(task.stages()[1])
        task.train(False)
    assert float(scaled.losses(batch)["reconstruction"]) == pytest.approx(
        3 * float(plain.losses(batch)["reconstruction"])
    )
    descents = begin(scaled, 1)
    assert scaled.step(batch, descents)["adversarial"] == 0
    with pytest.raises(NsrError, match="no such term; it has adversarial, albedo, light, normal, reconstruction"):
        task_of("5", weights={"depth": 1.0})


@pytest.mark.parametrize("method", METHODS)
def test_reconstruction_is_albedo_times_shading_and_residue_to_the_last_bit(method):
    task = task_of(method)
    if method in RESIDUE_METHODS:
        torch.nn.init.normal_(task.network.residue_head.layers[-1].weight, std=0.2)
    task.train(False)
    sample = SyntheticPictures(1, 37, seed=2)[0]
    with torch.inference_mode():
        prediction = task.predict({"image": sample["image"], "mask": sample["mask"]})
    assert torch.equal(
        prediction["reconstruction"], prediction["albedo"] * (prediction["harmonic_shading"] + prediction["residue"])
    )
    light = prediction["light"].flatten()[None]
    torch.testing.assert_close(shade(prediction["normal"][None], light)[0], prediction["harmonic_shading"])
    assert prediction["light"].shape == (27, 1, 1)
    figures = task.measure(prediction, sample)
    assert all(torch.isfinite(torch.tensor(value)) for value in figures.values())
    titles = [panel.title for panel in task.panels(prediction, sample)]
    assert {"reconstruction", "harmonics alone", "true albedo", "error"} <= set(titles)


def test_figures_of_the_truth_are_perfect_and_of_a_known_error_known():
    sample = SyntheticPictures(1, SIZE, seed=3)[0]
    light = sample["light"][:, 0, 0]
    harmonic = shade(sample["normal"][None], light[None])[0]
    exact = sample["albedo"] * sample["shading"]
    truth = {
        **{name: sample[name] for name in ("normal", "albedo", "shading")},
        "harmonic_albedo": sample["albedo"],
        "reconstruction": exact,
        "harmonic_reconstruction": sample["albedo"] * harmonic,
    }
    figures = decomposition_figures(truth, {**sample, "image": exact})
    assert figures["reconstruction_psnr_db"] > 100
    assert figures["normal_mean_deg"] == pytest.approx(0, abs=1e-3)
    assert figures["albedo_si_rmse"] == pytest.approx(0, abs=1e-6)
    # the residue keeps harmonics from it, and no other light does better than the best
    assert figures["harmonic_psnr_db"] <= figures["best_harmonic_psnr_db"] < 60
    turned = decomposition_figures({**truth, "albedo": 2 * sample["albedo"], "normal": -sample["normal"]}, sample)
    assert turned["albedo_si_rmse"] == pytest.approx(0, abs=1e-6)
    assert turned["normal_mean_deg"] == pytest.approx(180)


def test_scale_invariant_error_of_orthogonal_maps_is_the_truths_size():
    values, truth = torch.zeros(3, 1, 2), torch.zeros(3, 1, 2)
    values[:, 0, 0], truth[:, 0, 1] = 1.0, 0.5
    assert scale_invariant_rmse(values, truth, torch.ones(1, 1, 2)) == pytest.approx(0.5 / 2**0.5)


def test_best_harmonics_reproduce_a_picture_that_harmonics_made():
    sample = SyntheticPictures(1, SIZE, seed=4)[0]
    light = directional_light(torch.tensor([[0.6, 0.0, -0.8]]), torch.tensor([[0.5, 0.6, 0.7]]))
    image = sample["albedo"] * shade(sample["normal"][None], light)[0]
    found = best_harmonic_reconstruction(sample["albedo"], sample["normal"], image, sample["mask"])
    torch.testing.assert_close(found * sample["mask"], image, atol=1e-4, rtol=1e-3)
