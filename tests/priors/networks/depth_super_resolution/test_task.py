import pytest
import torch
from nsr.errors import NsrError
from nsr.priors.networks.common.metrics import rmse_mm
from nsr.priors.networks.common.samples import as_batch
from nsr.priors.networks.depth_super_resolution.decimation import Degradation, decimate
from nsr.priors.networks.depth_super_resolution.interpolation import upsample
from nsr.priors.networks.depth_super_resolution.network import DepthSuperResolution
from nsr.priors.networks.depth_super_resolution.task import SuperResolutionTask


def make_task(factor=4, degradation=None, **options):
    torch.manual_seed(0)
    degradation = degradation or Degradation("area")
    return SuperResolutionTask(DepthSuperResolution(factor, width=4, phase=degradation.phase, **options), degradation)


@pytest.mark.parametrize("kind", ["area", "interval", "nearest"])
def test_there_is_a_loss_at_every_stage_and_invalid_pixels_move_nothing(sample, kind):
    task = make_task(8, Degradation(kind))
    batch = as_batch(sample)
    losses = task.losses(batch)
    assert list(losses) == ["x2", "fused_x2", "x4", "fused_x4", "x8", "fused"]
    sum(losses.values()).backward()
    gradients = [parameter.grad.clone() for parameter in task.network.parameters() if parameter.grad is not None]
    assert any(gradient.any() for gradient in gradients)
    task.network.zero_grad()
    batch["depth"] = torch.where(batch["mask"] > 0, batch["depth"], 77.0)
    sum(task.losses(batch).values()).backward()
    again = [parameter.grad for parameter in task.network.parameters() if parameter.grad is not None]
    assert all(torch.equal(one, other) for one, other in zip(gradients, again, strict=True))


def test_what_one_patch_lacks_gives_it_no_loss(sample):
    sample["mask"] = torch.zeros_like(sample["mask"])
    assert all(loss == 0 for loss in make_task().losses(as_batch(sample)).values())


@pytest.mark.parametrize("size", [(48, 64), (45, 61), (17, 9)])
def test_predictions_have_the_frames_size_and_stages_their_own(sample, size):
    small = {name: value[:, : size[0], : size[1]] if not isinstance(value, str) else value
             for name, value in sample.items()}  # fmt: skip
    with torch.no_grad():
        maps = make_task(8).predict(small)
    for name in ("depth", "fused", "bicubic", "x8", "mask"):
        assert maps[name].shape == (1, *size)
    assert maps["low"].shape == (1, -(-size[0] // 8), -(-size[1] // 8))
    assert maps["x4"].shape == (1, -(-size[0] // 2), -(-size[1] // 2))


def test_an_untrained_network_is_bicubic_and_measured_so(sample):
    task = make_task(4)
    with torch.no_grad():
        maps = task.predict(sample)
    assert not maps["mask"].all()  # the hole is seen
    torch.testing.assert_close(maps["fused"], upsample(upsample(maps["low"][None], 2, 0.5), 2, 0.5)[0])
    figures = task.measure(maps, sample)
    assert figures["fused_to_bicubic"] == pytest.approx(figures["fused_rmse_mm"] / figures["bicubic_rmse_mm"])
    compared = sample["mask"] * maps["mask"]
    assert figures["fused_rmse_mm"] == pytest.approx(rmse_mm(maps["fused"], sample["depth"], compared))
    truth, mask = decimate(sample["depth"][None], sample["mask"][None], 2, "area")
    assert figures["x2_rmse_mm"] == pytest.approx(rmse_mm(maps["x2"], truth[0], mask[0]), rel=1e-5)


def test_enlarging_reads_the_map_as_it_is(sample):
    task = make_task(4)
    task.enlarge = True
    with torch.no_grad():
        maps = task.predict(sample)
    assert maps["depth"].shape == (1, 192, 256)
    full = {**sample, "mask": torch.ones_like(sample["mask"]), "depth": sample["depth"].clamp(min=0.5)}
    with torch.no_grad():
        maps = task.predict(full)
    torch.testing.assert_close(maps["bicubic"], upsample(full["depth"][None], 4, 0.5)[0])
    assert task.measure(maps, full) == {}
    assert [panel.title for panel in task.panels(maps, full)] == ["input", "bicubic", "stage x2", "stage x4", "fused"]


def test_a_map_of_which_nothing_is_left_is_told(sample):
    mask = torch.zeros_like(sample["mask"])
    mask[..., 3, 5] = 1
    with pytest.raises(NsrError, match="nothing valid is left of it once it is 4 times smaller"):
        make_task(4, Degradation("area")).predict({**sample, "mask": mask})


def test_noise_at_test_is_the_same_every_time_and_differs_from_frame_to_frame(sample):
    task = make_task(4, Degradation("area", noise=20))
    with torch.no_grad():
        first, second = (task.predict(sample)["low"] for _ in range(2))
        other = task.predict({**sample, "name": "other"})["low"]
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_refinement_acts_at_test_where_asked(sample):
    task = make_task(4)
    task.refine = True
    with torch.no_grad():
        maps = task.predict(sample)
    figures = task.measure(maps, sample)
    assert not torch.equal(maps["depth"], maps["fused"])
    assert figures["refined_rmse_mm"] != figures["fused_rmse_mm"]


def test_a_step_turns_the_batch_and_its_maps_together(sample, monkeypatch):
    task = make_task(4)
    seen = []
    monkeypatch.setattr(task, "losses", lambda batch: seen.append(batch) or {})

    class Still:
        def step(self, losses):
            return {}

    batch = as_batch(sample)
    torch.manual_seed(1)
    for _ in range(20):
        task.step(batch, {"network": Still()})
    turned = [batch["depth"] for batch in seen]
    distinct = {(tuple(depth.shape), depth.flatten()[:64].sum().item()) for depth in turned}
    assert len(distinct) > 4
    for batch in seen:
        assert torch.equal(batch["depth"] > 0, batch["mask"] > 0)
