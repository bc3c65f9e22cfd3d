"""Import of SfSNet's weights by names, and of another run's backbone."""

import pytest
import torch
from nsr.errors import CheckpointError
from nsr.priors.networks.intrinsic_decomposition.backbone import SfSNet
from nsr.priors.networks.intrinsic_decomposition.weights import NAMES, import_sfsnet


@pytest.fixture(scope="module")
def published():
    """Random weights under the published names and shapes, written out here as the file has them."""
    shapes = {}

    def convolution(name, outputs, inputs, kernel):
        shapes[f"{name}.weight"] = (outputs, inputs, kernel, kernel)
        shapes[f"{name}.bias"] = (outputs,)

    def norm(name, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (channels,)

    for name, outputs, inputs, kernel in (
        ("conv1", 64, 3, 7),
        ("conv2", 128, 64, 3),
        ("nconv1", 128, 128, 1),
        ("nconv2", 64, 128, 3),
        ("aconv1", 128, 128, 1),
        ("aconv2", 64, 128, 3),
        ("lconv", 128, 384, 1),
    ):
        convolution(f"{name}.conv.0", outputs, inputs, kernel)
        norm(f"{name}.conv.1", outputs)
    convolution("conv3", 128, 128, 3)
    for letter in "na":
        for block in range(1, 6):
            for layer in (0, 3):
                norm(f"{letter}res{block}.res.{layer}", 128)
            for layer in (2, 5):
                convolution(f"{letter}res{block}.res.{layer}", 128, 128, 3)
        norm(f"{letter}reso.0", 128)
        convolution(f"{letter}out", 3, 64, 1)
    shapes["lout.weight"], shapes["lout.bias"] = (27, 128), (27,)
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}


def saved(tmp_path, state):
    torch.save(state, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def test_every_weight_finds_its_place(tmp_path, published):
    backbone = SfSNet(128)
    counters = {name for name in backbone.state_dict() if name.endswith("num_batches_tracked")}
    assert set(NAMES) == set(backbone.state_dict()) - counters
    import_sfsnet(saved(tmp_path, published), backbone)
    own = backbone.state_dict()
    assert torch.equal(own["stem.conv1.0.weight"], published["conv1.conv.0.weight"])
    assert torch.equal(own["albedo_stack.4.layers.3.running_var"], published["ares5.res.3.running_var"])
    assert torch.equal(own["light_estimator.linear.bias"], published["lout.bias"])
    # the published normals have y up and z towards the viewer
    signs = torch.tensor([1.0, -1.0, -1.0])
    assert torch.equal(own["normal_generator.conv3.bias"], published["nout.bias"] * signs)


def test_what_does_not_fit_is_counted_and_named_and_changes_nothing(tmp_path, published):
    backbone = SfSNet(128)
    before = {name: values.clone() for name, values in backbone.state_dict().items()}
    wrong = {**published, "extra.weight": torch.zeros(1), "conv3.bias": torch.zeros(5)}
    del wrong["lout.weight"], wrong["lout.bias"]
    with pytest.raises(CheckpointError) as error:
        import_sfsnet(saved(tmp_path, wrong), backbone)
    for part in ("lacks 2 (lout.bias, lout.weight)", "has besides 1 (extra.weight)", "another shape 1 (conv3.bias)"):
        assert part in str(error.value)
    assert all(torch.equal(values, before[name]) for name, values in backbone.state_dict().items())


def test_unreadable_files_and_narrow_networks_are_refused(tmp_path, published):
    with pytest.raises(CheckpointError, match="give --width 128"):
        import_sfsnet(saved(tmp_path, published), SfSNet(8))
    with pytest.raises(CheckpointError, match="no such file"):
        import_sfsnet(tmp_path / "none.pth", SfSNet(128))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(CheckpointError, match="no file of weights"):
        import_sfsnet(tmp_path / "text.pth", SfSNet(128))
    with pytest.raises(CheckpointError, match="something else than named weights"):
        import_sfsnet(saved(tmp_path, {"epoch": 3}), SfSNet(128))
