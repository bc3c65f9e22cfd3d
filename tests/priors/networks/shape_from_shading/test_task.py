import pytest
import torch

from nsr.errors import NsrError
from nsr.priors.networks.common.task import enter_stage
from nsr.priors.networks.shape_from_shading.encoding import Encoded
from nsr.priors.networks.shape_from_shading.generate import Recipe, SyntheticReliefs
from nsr.priors.networks.shape_from_shading.rig import Rig
from nsr.priors.networks.shape_from_shading.task import ReliefTask

RECIPE = Recipe(size=64, cut=1.0)
FRAMES = SyntheticReliefs(2, RECIPE, seed=3)


def batch_of(frames, inputs=("shading", "pattern", "low")):
    samples = [Encoded(frames, RECIPE.rig, inputs)[index] for index in range(len(frames))]
    return {name: torch.stack([sample[name] for sample in samples]) for name in ("inputs", "residual", "mask")}


def test_losses_are_in_millimetres_and_blind_to_what_is_invalid():
    task, batch = ReliefTask(Rig(), width=4), batch_of(FRAMES)
    task.network.eval()
    with torch.no_grad():
        task.network.head.weight.zero_()
        task.network.head.bias.fill_(0.5)
        losses = task.losses(batch)
    valid = batch["mask"] > 0
    assert float(losses["depth"]) == pytest.approx(float((0.5 - batch["residual"])[valid].abs().mean()), rel=1e-5)
    spoilt = {**batch, "residual": torch.where(valid, batch["residual"], 1e6)}
    with torch.no_grad():
        assert task.losses(spoilt) == losses


@pytest.mark.parametrize(
    ("frozen", "still"), [("encoder", ("stem", "encoder")), ("decoder", ("reduce", "decoder", "head"))]
)
def test_a_frozen_half_stays_as_it_is_with_its_statistics(frozen, still):
    torch.manual_seed(0)
    task = ReliefTask(Rig(), width=4, frozen=frozen)
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    (stage,) = task.stages()
    trainable = enter_stage(task, stage)
    optimiser = torch.optim.Adam(trainable["network"], lr=1e-2)
    for _ in range(2):
        optimiser.zero_grad()
        sum(task.losses(batch_of(FRAMES)).values()).backward()
        optimiser.step()
    changed = {name for name, value in task.network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and not [name for name in changed if name.split(".")[0] in still]
    assert {name.split(".")[0] for name in changed} == {"stem", "encoder", "reduce", "decoder", "head"} - set(still)


def test_a_prediction_is_low_plus_residual_at_any_size_and_reads_no_truth():
    torch.manual_seed(0)
    task = ReliefTask(Rig(), width=4).train(False)
    sample = {
        name: value[..., :50, :43] if isinstance(value, torch.Tensor) else value for name, value in FRAMES[0].items()
    }
    with torch.inference_mode():
        found = task.predict(sample)
        blind = task.predict({name: sample[name] for name in ("shading", "pattern", "low", "mask", "name", "scene")})
    assert found.keys() == {"residual", "depth"} and found["depth"].shape == (1, 50, 43)
    assert torch.equal(found["depth"], blind["depth"])
    assert ((sample["low"] + found["residual"] / 1000) * sample["mask"] - found["depth"]).abs().max() < 1e-6


def test_a_perfect_prediction_and_an_empty_one_measure_as_they_should():
    task, sample = ReliefTask(Rig(), width=4), FRAMES[1]
    residual = (sample["depth"] - sample["low"]) * 1000
    perfect = task.measure({"depth": sample["depth"], "residual": residual}, sample)
    assert perfect["rmse_mm"] == 0 and perfect["ratio"] == 0 and perfect["mad_mm"] == 0
    assert perfect["image_aligned_rmse_mm"] < 1e-5
    assert perfect["normal_error_degrees"] < 2 < perfect["low_normal_error_degrees"]
    nothing = task.measure({"depth": sample["low"], "residual": 0 * residual}, sample)
    valid = sample["mask"] > 0
    assert nothing["ratio"] == 1
    assert nothing["rmse_mm"] == pytest.approx(float(residual[valid].square().mean().sqrt()), rel=1e-4)
    assert nothing["low_rmse_mm"] == nothing["rmse_mm"]
    assert nothing["image_aligned_rmse_mm"] == pytest.approx(float(residual[valid].std(unbiased=False)), rel=1e-4)


def test_a_halved_residual_is_half_wrong_raw_and_right_once_aligned():
    task, sample = ReliefTask(Rig(), width=4), FRAMES[1]
    residual = (sample["depth"] - sample["low"]) * 1000
    half = task.measure({"depth": (sample["depth"] + sample["low"]) / 2, "residual": residual / 2}, sample)
    assert half["ratio"] == pytest.approx(0.5, abs=1e-3)
    assert half["image_aligned_rmse_mm"] < 1e-3


def test_without_a_true_depth_nothing_is_measured_and_four_or_five_panels_are_drawn():
    task = ReliefTask(Rig(), width=4).train(False)
    sample = {name: value for name, value in FRAMES[0].items() if name not in ("depth", "normal")}
    with torch.inference_mode():
        found = task.predict(sample)
    assert task.measure(found, sample) == {}
    assert [panel.title for panel in task.panels(found, sample)] == [
        "pattern", "low-resolution depth", "predicted depth", "shading", "predicted residual",
    ]  # fmt: skip
    with_truth = task.panels(found, FRAMES[0])
    assert [panel.title for panel in with_truth] == [
        "true depth", "low-resolution depth", "predicted depth", "shading", "low-resolution error", "predicted error",
    ]  # fmt: skip
    error, valid = with_truth[4], FRAMES[0]["mask"][0].numpy() > 0
    expected = (FRAMES[0]["low"] - FRAMES[0]["depth"])[0].numpy() * 1000
    assert abs(error.picture - expected)[valid].max() < 1e-3 and error.unit == "mm"


def test_a_confidence_is_given_on_request_and_lies_between_0_and_1():
    torch.manual_seed(0)
    task = ReliefTask(Rig(), width=4, dropout=0.3).train(False)
    with torch.no_grad():
        task.network.head.weight.mul_(10)
    task.passes = 6
    with torch.inference_mode():
        confidence, again = task.predict(FRAMES[0]), task.predict(FRAMES[0])
    inside = confidence["confidence"][FRAMES[0]["mask"] > 0]
    assert 0 < inside.min() < inside.max() <= 1 and (confidence["confidence"][FRAMES[0]["mask"] == 0] == 0).all()
    assert torch.equal(confidence["depth"], again["depth"])  # dropout is off again for the prediction itself


def test_where_the_pattern_changes_nothing_the_network_is_sure_without_dropout():
    torch.manual_seed(0)
    task = ReliefTask(Rig(), width=4, passes=1).train(False)
    with torch.inference_mode():
        assert task.predict(FRAMES[0])["confidence"][FRAMES[0]["mask"] > 0].min() < 1
        assert task.panels(task.predict(FRAMES[0]), FRAMES[0])[-1].title == "confidence"
        task.network.stem.weight[:, 1] = 0
        assert (task.predict(FRAMES[0])["confidence"][FRAMES[0]["mask"] > 0] == 1).all()
        with pytest.raises(NsrError, match="no confidence: there is no pattern to leave out"):
            ReliefTask(Rig(), ("shading", "low"), width=4, passes=1).train(False).predict(FRAMES[0])


def test_patterns_are_left_out_while_training_alone():
    torch.manual_seed(0)
    task, batch = ReliefTask(Rig(), width=4, absent=1.0), batch_of(FRAMES)
    without = {**batch, "inputs": batch["inputs"] * torch.tensor([1.0, 0.0, 1.0])[:, None, None]}
    with torch.no_grad():
        assert task.train(True).losses(batch) == task.train(True).losses(without)
        assert task.train(False).losses(batch) != task.train(False).losses(without)
