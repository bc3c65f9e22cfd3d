"""The original's files: read as they are encoded, written as they are read."""

import csv

import numpy as np
import pytest
import torch
from nsr.errors import NsrError
from nsr.priors.networks.intrinsic_decomposition.faces import (
    COLUMNS,
    FaceFolder,
    decode_normals,
    encode_normals,
    index_folder,
    read_light,
    write_index,
    write_light,
)
from nsr.priors.networks.intrinsic_decomposition.illumination import shade
from PIL import Image


def write_face(folder, identity="000041", pose="1_3", size=(20, 24), mask=True, seed=0):
    """One picture in the original's naming and encodings, made without the reader's code; returns its arrays."""
    random = np.random.default_rng(seed)
    levels = {
        "face": random.integers(0, 256, (*size, 3)),
        "albedo": random.integers(0, 256, (*size, 3)),
        "normal": np.broadcast_to([128, 128, 255], (*size, 3)).copy(),  # towards the viewer
    }
    levels["normal"][0, 0] = [255, 128, 128]  # to the right
    levels["normal"][0, 1] = [128, 255, 128]  # up
    if mask:
        levels["mask"] = np.full((*size, 3), 255)
        levels["mask"][:, :4] = 0
    for kind, values in levels.items():
        Image.fromarray(values.astype(np.uint8)).save(folder / f"{identity}_{kind}_{pose}.png")
    light = random.normal(size=27).astype(np.float32)
    (folder / f"{identity}_light_{pose}.txt").write_text("\t".join(f"{value:.6f}" for value in light))
    return levels, light


def write_table(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def row_of(identity, pose, folder="", mask=True):
    names = {kind: f"{folder}{identity}_{kind}_{pose}.png" for kind in ("albedo", "normal", "depth", "mask", "face")}
    names["mask"] = names["mask"] if mask else "None"
    return [*names.values(), f"{folder}{identity}_light_{pose}.txt", f"{identity}_{pose}"]


def test_a_table_in_the_originals_format_is_read(tmp_path):
    (tmp_path / "0003").mkdir()
    levels, light = write_face(tmp_path / "0003")
    write_table(tmp_path / "train.csv", [row_of("000041", "1_3", "0003/")])
    dataset = FaceFolder(tmp_path)
    assert dataset.scenes == ["000041"]
    sample = dataset[0]
    np.testing.assert_allclose(sample["image"].permute(1, 2, 0) * 255, levels["face"], atol=1e-4)
    np.testing.assert_allclose(sample["albedo"].permute(1, 2, 0) * 255, levels["albedo"], atol=1e-4)
    # x right, y up, z towards the viewer in the file; x right, y down, z forward in a sample
    torch.testing.assert_close(sample["normal"][:, 5, 5], torch.tensor([0.0, 0.0, -1.0]))
    torch.testing.assert_close(sample["normal"][:, 0, 0], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(sample["normal"][:, 0, 1], torch.tensor([0.0, -1.0, 0.0]))
    np.testing.assert_allclose(sample["light"][:, 3, 3], light, atol=1e-6)
    assert sample["mask"].sum() == 20 * 20 and not sample["mask"][0, :, :4].any()
    torch.testing.assert_close(sample["shading"], shade(sample["normal"][None], sample["light"][None, :, 0, 0])[0])


def test_a_folder_without_a_table_is_indexed_and_pictures_are_cut_square(tmp_path):
    write_face(tmp_path, "7", "0_1", mask=False)
    write_face(tmp_path, "7", "0_2", mask=True, seed=1)
    write_face(tmp_path, "8", "0_1", mask=False, seed=2)
    rows = index_folder(tmp_path)
    assert [row["name"] for row in rows] == ["7_0_1", "7_0_2", "8_0_1"]
    assert [row["mask"] for row in rows] == ["None", "7_mask_0_2.png", "None"]
    write_index(tmp_path / "own.csv", rows)
    dataset = FaceFolder(tmp_path / "own.csv", size=16, synthetic=False)
    assert dataset.scenes == ["7", "7", "8"]
    assert dataset[0]["image"].shape == (3, 16, 16)
    assert dataset[0]["mask"].all() and not dataset[1]["mask"].all()
    assert not dataset[0]["synthetic"].any()
    assert len(FaceFolder(tmp_path, first=2)) == 2


def test_normals_survive_their_encoding():
    normal = torch.nn.functional.normalize(torch.randn(3, 9, 9, generator=torch.Generator().manual_seed(0)), dim=0)
    decoded = decode_normals((encode_normals(normal) * 255).numpy())
    assert (decoded * normal).sum(0).min() > 0.9999


def test_a_light_is_written_exactly(tmp_path):
    light = torch.randn(27, generator=torch.Generator().manual_seed(0))
    write_light(tmp_path / "light.txt", light)
    assert torch.equal(read_light(tmp_path / "light.txt"), light)
    assert (tmp_path / "light.txt").read_text().count("\t") == 26


def test_bad_files_are_told_in_one_line(tmp_path):
    write_face(tmp_path)
    write_table(tmp_path / "train.csv", [row_of("000041", "1_3")])
    dataset = FaceFolder(tmp_path)
    (tmp_path / "000041_light_1_3.txt").write_text("1 2 3")
    with pytest.raises(NsrError, match="holds 3 numbers; a light is 27"):
        dataset[0]
    (tmp_path / "000041_light_1_3.txt").write_text("one two")
    with pytest.raises(NsrError, match="something else than numbers"):
        dataset[0]
    (tmp_path / "000041_light_1_3.txt").unlink()
    with pytest.raises(NsrError, match="no such file"):
        dataset[0]
    Image.new("RGB", (3, 3)).save(tmp_path / "000041_albedo_1_3.png")
    with pytest.raises(NsrError, match="is 3x3, but its face is 24x20"):
        dataset[0]
    (tmp_path / "000041_albedo_1_3.png").write_bytes(b"no picture")
    with pytest.raises(NsrError, match="cannot be read"):
        dataset[0]
    write_table(tmp_path / "empty.csv", [])
    with pytest.raises(NsrError, match="has no rows"):
        FaceFolder(tmp_path / "empty.csv")
    (tmp_path / "other.csv").write_text("albedo,normal\n1,2\n")
    with pytest.raises(NsrError, match="no column depth, mask, face"):
        FaceFolder(tmp_path / "other.csv")
    with pytest.raises(NsrError, match="no such table"):
        FaceFolder(tmp_path / "none.csv")
    (tmp_path / "bare").mkdir()
    with pytest.raises(NsrError, match="no <id>_face"):
        FaceFolder(tmp_path / "bare")
    (tmp_path / "000041_normal_1_3.png").unlink()
    with pytest.raises(NsrError, match="is missing beside 000041_face_1_3.png"):
        index_folder(tmp_path)


def test_an_empty_mask_is_an_error(tmp_path):
    write_face(tmp_path)
    Image.new("RGB", (24, 20)).save(tmp_path / "000041_mask_1_3.png")
    with pytest.raises(NsrError, match="is empty"):
        FaceFolder(tmp_path)[0]
