"""The command line, end to end: train, test on a folder, label it, train on labels, resume."""

import csv
from argparse import ArgumentParser

import numpy as np
import pytest
import torch
from nsr.cli.main import main
from nsr.priors.networks.common.checkpoints import read_checkpoint, task_from_checkpoint
from nsr.priors.networks.common.options import add_train_arguments
from nsr.priors.networks.intrinsic_decomposition.faces import FaceFolder, read_light
from nsr.priors.networks.intrinsic_decomposition.family import FAMILY
from PIL import Image

NAME = "intrinsic-decomposition"
SMALL = tuple(
    "--num 4 --val 0.25 --size 32 --patch 32 --width 8 --batch 4 --verbose 0 --discriminator-width 4".split()
)


def nsr(command, output, *arguments):
    return main(["prior", command, NAME, "--output", str(output), "--gpu", "ignore", *map(str, arguments)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a trained skip network."""
    output = tmp_path_factory.mktemp("runs")
    assert nsr("train", output, "--method", "skip-net", "--name", "labeller", "--epoch", 1, *SMALL) == 0
    return output


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(random.integers(0, 256, (40, 52, 3)).astype(np.uint8)).save(folder / f"photo_{index}.png")
    (folder / "mask").mkdir()
    mask = np.zeros((40, 52), np.uint8)
    mask[:, 10:40] = 255
    Image.fromarray(mask).save(folder / "mask" / "photo_0.png")
    return folder


@pytest.fixture(scope="module")
def labelled(runs, photographs):
    """The photographs with the skip network's labels; the results of the test beside."""
    labels = runs / "labels"
    for _ in range(2):  # labelling again replaces
        arguments = (
            "--name",
            "labeller",
            "--data",
            photographs,
            "--size",
            32,
            "--labels",
            labels,
            "--verbose",
            0,
        )
        assert nsr("test", runs, *arguments) == 0
    return labels


def test_a_folder_is_decomposed_exactly(runs, photographs, labelled, tmp_path):
    folder = runs / NAME / "labeller" / f"test_{photographs.name}"
    for index in range(3):
        values = np.load(folder / f"photo_{index}.npz")
        assert values["albedo"].shape == (3, 32, 42)
        np.testing.assert_array_equal(
            values["reconstruction"], values["albedo"] * (values["harmonic_shading"] + values["residue"])
        )
        light = read_light(folder / f"photo_{index}_light.txt")
        np.testing.assert_array_equal(light, values["light"].ravel())
        assert np.linalg.norm(values["light_direction"]) == pytest.approx(1, abs=1e-5)
        for what in ("face", "normal", "albedo", "shading", "residue", "recon"):
            assert Image.open(folder / f"photo_{index}_{what}.png").size == (42, 32)


def test_labels_are_a_folder_of_the_original_format(labelled, runs, photographs):
    with open(labelled / "train.csv") as file:
        assert len(list(csv.DictReader(file))) == 6
    dataset = FaceFolder(labelled, synthetic=False)
    assert len(dataset) == 3
    values = np.load(runs / NAME / "labeller" / f"test_{photographs.name}" / "photo_0.npz")
    sample = dataset[0]
    inside = sample["mask"][0] > 0
    assert 0 < inside.sum() < inside.numel() and dataset[1]["mask"].all()
    assert (sample["normal"] * torch.from_numpy(values["normal"])).sum(0).min() > 0.999
    np.testing.assert_allclose(sample["light"][:, 0, 0], values["light"].ravel(), rtol=1e-6)


def test_mixed_training_from_a_backbone_reaches_every_stage(runs, labelled):
    assert nsr("train", runs, "--method", "sfsnet", "--name", "backbone", "--epoch", 1, *SMALL) == 0
    backbone = runs / NAME / "backbone" / "best.pt"
    arguments = ("--method", 7, "--name", "mixed", "--epoch", 2, "--mix", labelled, "--backbone", backbone, *SMALL)
    assert nsr("train", runs, *arguments) == 0
    with open(runs / NAME / "mixed" / "training.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == ["albedo", "residue"]
    assert float(rows[0]["discriminator"]) > 0 and rows[1]["discriminator"] == ""
    trained = read_checkpoint(runs / NAME / "mixed" / "final.pt", FAMILY)["modules"]["network"]
    given = read_checkpoint(backbone, FAMILY)["modules"]["network"]
    frozen = [name for name in given if "albedo_generator" not in name]
    assert all(torch.equal(trained[name], given[name]) for name in frozen)
    # what was mixed in has a part in it: without, the same run ends elsewhere
    arguments = ("--method", 7, "--name", "plain", "--epoch", 2, "--backbone", backbone, *SMALL)
    assert nsr("train", runs, *arguments) == 0
    plain = read_checkpoint(runs / NAME / "plain" / "final.pt", FAMILY)["modules"]["network"]
    name = "own_albedo_stack.0.layers.2.weight"
    assert not torch.equal(plain[name], trained[name])


def test_a_staged_adversarial_run_resumes_exactly(runs):
    arguments = ("--method", 6, "--num", 2, "--val", 0, *SMALL[4:], "--epoch", 4, "--keep", 9)
    assert nsr("train", runs, "--name", "whole", *arguments) == 0
    run = runs / NAME / "whole"
    whole = read_checkpoint(run / "final.pt", FAMILY)
    (run / "final.pt").write_bytes((run / "epoch_0003.pt").read_bytes())
    assert nsr("train", runs, "--name", "whole", *arguments, "--retrain") == 0
    again = read_checkpoint(run / "final.pt", FAMILY)
    for module, state in whole["modules"].items():
        assert all(torch.equal(values, again["modules"][module][name]) for name, values in state.items())


def test_relighting_writes_the_picture_under_the_given_light(runs, photographs, tmp_path):
    light = tmp_path / "light.txt"
    light.write_text("\t".join(["1.0"] + ["0"] * 8 + ["0.5"] + ["0"] * 8 + ["0"] * 9))
    arguments = ("--name", "labeller", "--data", photographs, "--size", 32, "--light", light, "--verbose", 0)
    assert nsr("test", runs, *arguments) == 0
    folder = runs / NAME / "labeller" / f"test_{photographs.name}"
    albedo = np.load(folder / "photo_1.npz")["albedo"]
    relit = np.asarray(Image.open(folder / "photo_1_relit.png")).transpose(2, 0, 1)
    expected = albedo * 0.8862269 * np.array([1.0, 0.5, 0.0])[:, None, None]
    np.testing.assert_allclose(relit, expected.clip(0, 1) * 255, atol=0.51)


@pytest.mark.parametrize("method", ["3", "skip-net"])
def test_an_exported_network_gives_the_same_maps_at_other_sizes(runs, tmp_path, method):
    onnxruntime = pytest.importorskip("onnxruntime")
    arguments = ("--method", method, "--name", f"export-{method}", "--epoch", 1, *SMALL)
    assert nsr("train", runs, *arguments) == 0
    path = tmp_path / "network.onnx"
    assert nsr("export", runs, "--name", f"export-{method}", path) == 0
    task = task_from_checkpoint(runs / NAME / f"export-{method}" / "best.pt", FAMILY)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for height, width in ((64, 64), (40, 56)):
        picture = torch.rand(2, 3, height, width)
        with torch.inference_mode():
            own = task.network(picture)
        (maps,) = session.run(None, {"picture": picture.numpy()})
        expected = torch.cat([own[name] for name in ("normal", "albedo", "shading", "reconstruction")], 1)
        np.testing.assert_allclose(maps, expected, atol=1e-4)


def test_pictures_larger_than_the_patch_are_cut_by_the_stride(tmp_path):
    parser = ArgumentParser()
    add_train_arguments(parser, FAMILY.defaults)
    FAMILY.add_arguments(parser, "train")
    counts = []
    for size, stride in ((32, 32), (64, 32), (64, 16)):
        options = parser.parse_args(["--num", "3", "--val", "0.4", "--patch", "32", "--batch", "2"])
        options.size, options.stride = size, stride
        train, validation = FAMILY.datasets(options)
        counts.append((len(train), len(validation)))
        assert train[0]["image"].shape == (3, 32, 32) and train[0]["light"].shape == (27, 32, 32)
        assert not set(train.scenes) & set(validation.scenes)
    assert counts[0] == (4, 2)
    assert 4 < counts[1][0] <= 16 and counts[1][0] < counts[2][0] <= 36


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weight", "albedo"), "write a term and a number"),
        (("--weight", "depth=2"), "no such term"),
        (("--data", "real"), "has no labels"),
        (("--data", "missing"), "no such"),
        (("--backbone", "missing.pt"), "missing.pt"),
        (("--backbone", "a.pt", "--sfsnet-weights", "b.pth"), "give one of them"),
        (("--method", "2", "--backbone", "a.pt"), "trains from scratch"),
        (("--sfsnet-weights", "missing.pth"), "no such file"),
        (("--mix", "missing"), "no such"),
        (("--weight", "albedo=nan"), "write a term and a number"),
        (("--size", "0"), "--size is 0; it must be at least 1"),
        (("--width", "1"), "--width is 1; it must be at least 2"),
        (("--method", "5", "--patch", "16", "--stride", "16"), "method 5 judges 32 pixels or more"),
    ],
)
def test_bad_flags_are_one_line_and_leave_no_run(arguments, message, tmp_path, capsys):
    assert nsr("train", tmp_path, *SMALL, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.rglob("*.pt"))


def test_a_backbone_of_another_width_is_refused(runs, capsys):
    backbone = runs / NAME / "labeller" / "best.pt"
    assert nsr("train", runs, "--name", "other", "--backbone", backbone, *SMALL) == 2
    assert "do not fit" in capsys.readouterr().err
