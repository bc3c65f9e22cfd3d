"""The DTU protocol against a second derivation of its steps, written as loops, and against known distances."""

import csv
import math

import numpy as np
import pytest
import trimesh
from scipy.io import savemat
from scipy.spatial import cKDTree

from nsr.cli import main as cli
from nsr.errors import NsrError
from nsr.evaluation.dtu_chamfer import (
    SCANS,
    DtuReference,
    dtu_chamfer,
    load_reference,
    read_points,
    write_error_clouds,
)
from nsr.evaluation.dtu_points import _first_come, sample_mesh, thin
from nsr.evaluation.dtu_table import PUBLISHED, ScanFigure, format_table


def by_hand(vertices, faces, reference, spacing, margin, max_distance, seed):
    """The protocol step by step, a triangle and a point at a time."""
    points = list(vertices)
    for face in faces:
        a, b, c = vertices[face]
        e1, e2 = b - a, c - a
        double_area = np.linalg.norm(np.cross(e1, e2))
        if double_area == 0:
            continue
        l1, l2 = np.linalg.norm(e1), np.linalg.norm(e2)
        t = spacing * math.sqrt(l1 * l2 / double_area)
        n1, n2 = math.floor(l1 / t), math.floor(l2 / t)
        for i in range(n1 + 1):
            for j in range(n2 + 1):
                u, v = (i + 0.5) / max(n1, 1e-7), (j + 0.5) / max(n2, 1e-7)
                if u + v < 1:
                    points.append(a + u * e1 + v * e2)
    points = np.array(points)[np.random.default_rng(seed).permutation(len(points))]
    alive = np.ones(len(points), dtype=bool)
    for i, close in enumerate(cKDTree(points).query_ball_point(points, spacing)):
        if alive[i]:
            alive[close] = False
            alive[i] = True
    down = points[alive]
    low, high = reference.bounds[0] - margin, reference.bounds[1] + 2 * margin
    data = np.array([p for p in down if (p >= low).all() and (p < high).all()])
    observed = []
    for p in data:
        cell = np.around((p - reference.bounds[0]) / reference.voxel).astype(int)
        if (cell >= 0).all() and (cell < reference.mask.shape).all() and reference.mask[tuple(cell)]:
            observed.append(p)
    d2s = cKDTree(reference.points).query(np.array(observed))[0]
    above = np.array([p for p in reference.points if p @ reference.plane[:3] + reference.plane[3] > 0])
    s2d = cKDTree(data).query(above)[0]
    return d2s[d2s < max_distance].mean(), s2d[s2d < max_distance].mean()


@pytest.fixture(scope="module")
def made():
    """A bumpy ball with an outlier far off, a noisy reference, a mask that leaves out a corner, a slanted ground."""
    generator = np.random.default_rng(3)
    ball = trimesh.creation.icosphere(4, 12.0)
    ball.vertices += 0.4 * np.sin(ball.vertices[:, [1, 2, 0]])
    speck = trimesh.creation.icosphere(1, 2.0)
    speck.apply_translation([45.0, 0, 0])  # in the margin, further than 20 mm from all of the reference
    mesh = trimesh.util.concatenate([ball, speck])
    points = trimesh.sample.sample_surface(trimesh.creation.icosphere(5, 12.3), 30_000, seed=1)[0]
    points += 0.1 * generator.standard_normal(points.shape)
    mask = np.ones((41, 41, 41), dtype=bool)
    mask[25:, 25:, 25:] = False
    reference = DtuReference(points, mask, np.array([[-20.0] * 3, [20.0] * 3]), 1.0, np.array([0.1, 0.2, 0.9, 4.0]))
    return np.array(mesh.vertices), np.array(mesh.faces), reference


def test_the_same_figures_as_by_hand(made):
    ours = dtu_chamfer(*made, spacing=0.4, margin=30.0, seed=5)
    accuracy, completeness = by_hand(*made, spacing=0.4, margin=30.0, max_distance=20.0, seed=5)
    assert (ours.accuracy, ours.completeness) == pytest.approx((accuracy, completeness), rel=1e-9)
    # in another order other points are kept: 0.2 % is what that may change
    fine, other = dtu_chamfer(*made, spacing=0.2), by_hand(*made, 0.2, 60.0, 20.0, seed=77)
    assert fine.overall == pytest.approx(sum(other) / 2, rel=2e-3)
    assert ours.overall == (ours.accuracy + ours.completeness) / 2
    # the speck is data of the margin, but neither observed nor near anything
    assert (ours.data[:, 0] > 40).any() and np.isnan(ours.data_distance[ours.data[:, 0] > 40]).all()


def test_a_seed_repeats_and_another_hardly_changes(made):
    first, again, other = (dtu_chamfer(*made, spacing=0.4, seed=seed) for seed in (1, 1, 2))
    assert first.overall == again.overall and first.overall != other.overall
    assert first.overall == pytest.approx(other.overall, rel=2e-3)


def test_two_parallel_planes_are_their_distance_apart():
    grid = np.stack(np.meshgrid(np.arange(-10, 10.01, 0.1), np.arange(-10, 10.01, 0.1)), axis=-1).reshape(-1, 2)
    reference = DtuReference(
        np.concatenate([grid, np.zeros((len(grid), 1))], axis=1), np.ones((9, 9, 9), dtype=bool),
        np.array([[-4.0] * 3, [4.0] * 3]), 1.0, np.array([0.0, 0, 1, 1]),
    )  # fmt: skip
    sheet = np.array([[-30.0, -30, 2], [30, -30, 2], [30, 30, 2], [-30, 30, 2]])
    result = dtu_chamfer(sheet, np.array([[0, 1, 2], [0, 2, 3]]), reference)
    assert result.accuracy == pytest.approx(2.0, abs=2e-3) and result.completeness == pytest.approx(2.0, abs=5e-3)
    inside = ~np.isnan(result.data_distance)
    assert np.abs(result.data[inside, :2]).max() <= 4.5  # the voxel whose centre is nearest
    below = DtuReference(reference.points, reference.mask, reference.bounds, 1.0, np.array([0.0, 0, 1, -1]))
    with pytest.raises(NsrError, match="above the ground"):
        dtu_chamfer(sheet, np.array([[0, 1, 2]]), below)


def test_samples_are_dense_even_and_inside():
    triangle = np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 0]])
    points = sample_mesh(triangle, np.array([[0, 1, 2]]), 0.5)
    assert len(points) == 3 + 20 * 19 / 2  # the half of a 20 x 20 grid strictly below its diagonal
    assert (points[3:, :2] > 0).all() and (points[3:, :2].sum(axis=1) < 10).all() and (points[:, 2] == 0).all()
    flat = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    assert len(sample_mesh(flat, np.array([[0, 1, 2]]), 0.1)) == 3


def test_thinning_is_the_sequential_rule():
    points = np.random.default_rng(0).random((800, 3))
    kept = []
    for index, point in enumerate(points):
        if all(np.linalg.norm(point - points[other]) > 0.1 for other in kept):
            kept.append(index)
    assert np.flatnonzero(_first_come(points, 0.1)).tolist() == kept


def test_thinning_in_slabs_leaves_no_pair_and_no_gap(monkeypatch):
    points = np.random.default_rng(1).random((6000, 3)) * [4, 1, 0.3]
    monkeypatch.setattr("nsr.evaluation.dtu_points._SLAB_POINTS", 90)  # slabs thinner than the spacing
    kept = thin(points, 0.15, seed=4)
    assert len(cKDTree(kept).query_pairs(0.15)) == 0
    assert cKDTree(kept).query(points)[0].max() <= 0.15


def write_dataset(folder, scan, reference, kind="stl", suffix="_total"):
    (folder / "ObsMask").mkdir(exist_ok=True)
    (folder / "Points" / kind).mkdir(parents=True, exist_ok=True)
    savemat(folder / "ObsMask" / f"ObsMask{scan}_10.mat", {
        "ObsMask": reference.mask.astype(np.uint8), "BB": reference.bounds.astype(np.int16),
        "Res": np.array([[1]], np.uint8),
    })  # fmt: skip
    savemat(folder / "ObsMask" / f"Plane{scan}.mat", {"P": reference.plane[:, None]})
    trimesh.PointCloud(reference.points).export(folder / "Points" / kind / f"{kind}{scan:03d}{suffix}.ply")


def test_many_meshes_become_a_table(made, tmp_path, capsys):
    vertices, faces, reference = made
    write_dataset(tmp_path, 24, reference)
    write_dataset(tmp_path, 65, reference)
    for name in ("grid_24", "grid_65", "posenc_65"):
        (tmp_path / "evals" / name).mkdir(parents=True)
        offset = 0.5 if name == "posenc_65" else 0.0
        for step in (90, 700):  # the older one is somewhere else
            moved = trimesh.Trimesh(vertices + offset + (step == 90) * 5, faces, process=False)
            moved.export(tmp_path / "evals" / name / f"surface_world_coordinates_{step}.ply")
    arguments = ["dtu", str(tmp_path / "evals"), "--dataset", str(tmp_path), "--downsample_density", "0.6"]
    assert cli.main([*arguments, "--output", str(tmp_path / "out"), "--error_clouds"]) == 0
    printed = capsys.readouterr().out
    lines = {line[: line.index(" (this run)")]: line.split() for line in printed.splitlines() if "(this run)" in line}
    assert set(lines) == {"grid", "posenc"} and "NeuS2" in printed
    with open(tmp_path / "out" / "dtu_chamfer.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["scan"]) for row in rows] == [("grid", "24"), ("grid", "65"), ("posenc", "65")]
    expected = dtu_chamfer(vertices, faces, reference, spacing=0.6)
    assert float(rows[1]["overall_mm"]) == pytest.approx(expected.overall, rel=2e-3)
    assert f"{float(rows[1]['overall_mm']):.2f}" in lines["grid"] and "of" in lines["grid"]
    clouds = {path.name for path in (tmp_path / "out").glob("*.ply")}
    assert "posenc_65_d2s.ply" in clouds and len(clouds) == 6


def test_colours_of_the_error_clouds(made, tmp_path):
    result = dtu_chamfer(*made, spacing=0.6)
    result.data_distance[:3] = [0.0, 5.0, np.inf]
    first, second = write_error_clouds(result, tmp_path, "a")
    read = trimesh.load(first)
    np.testing.assert_allclose(read.vertices, result.data, atol=1e-5)
    colours = np.asarray(read.colors)[:, :3]
    assert colours[:3].tolist() == [[255, 255, 255], [255, 128, 128], [0, 255, 0]]
    assert (colours[np.isnan(result.data_distance)] == [0, 0, 255]).all()
    assert len(trimesh.load(second).vertices) == len(result.reference)


@pytest.mark.parametrize("kind", ["tola", "furu", "camp"])
def test_other_references(made, tmp_path, kind):
    write_dataset(tmp_path, 65, made[2], kind, "_l3")
    other = DtuReference(made[2].points[:5], made[2].mask, made[2].bounds, 1.0, made[2].plane)
    write_dataset(tmp_path, 65, other, kind, "_a_draft")
    read = load_reference(tmp_path, 65, kind)
    np.testing.assert_allclose(read.points, made[2].points, atol=1e-5)
    assert read.voxel == 1.0 and (read.mask == made[2].mask).all() and (read.plane == made[2].plane).all()


def test_the_real_mask_of_scan_65(data_root, tmp_path):
    folder = data_root / "DTU" / "ObsMask"
    if not folder.is_dir():
        pytest.skip("DTU/ObsMask is not here")
    (tmp_path / "Points" / "stl").mkdir(parents=True)
    (tmp_path / "ObsMask").symlink_to(folder)
    ball = trimesh.creation.icosphere(4, 25.0)
    ball.apply_translation([10.0, 0.0, 680.0])
    scan = ball.copy()
    scan.vertices += 0.5 * ball.vertex_normals
    points = trimesh.sample.sample_surface(scan, 60_000, seed=0)[0]
    trimesh.PointCloud(points).export(tmp_path / "Points" / "stl" / "stl065_total.ply")
    reference = load_reference(tmp_path, 65)
    assert reference.mask.shape == (371, 447, 286)
    ours = dtu_chamfer(np.array(ball.vertices), np.array(ball.faces), reference, spacing=0.8, seed=9)
    accuracy, completeness = by_hand(
        np.array(ball.vertices), np.array(ball.faces), reference, spacing=0.8, margin=60.0, max_distance=20.0, seed=9
    )
    assert (ours.accuracy, ours.completeness) == pytest.approx((accuracy, completeness), rel=1e-9)


def test_the_table_of_published_figures():
    lines = format_table(
        [ScanFigure("mine", 65, 1, 2, 1.5, "stl", "a.ply"), ScanFigure("mine", 1, 1, 2, 9.0, "stl", "b")]
    )
    header, *rows = lines.splitlines()
    assert header.split()[2:17] == [str(scan) for scan in SCANS] and header.split()[17:] == ["1", "mean"]
    means = {"IDR (masks)": 0.90, "NeuS (masks)": 0.77, "VolSDF": 0.86, "Geo-NeuS": 0.51, "COLMAP, trim 0": 1.36}
    for name, mean in means.items():  # as the papers print them
        (row,) = [row for row in rows if row.startswith(name)]
        assert float(row.split()[-1]) == pytest.approx(mean, abs=0.011)
    assert len(rows) == len(PUBLISHED) + 1
    assert rows[-1].split()[-5:] == ["9.00", "1.50", "(1", "of", "15)"]


def test_what_is_missing_or_elsewhere_is_one_line(made, tmp_path, capsys):
    vertices, faces, reference = made
    with pytest.raises(NsrError, match="ObsMask7_10.mat"):
        load_reference(tmp_path, 7)
    write_dataset(tmp_path, 65, reference)
    with pytest.raises(NsrError, match="no tola065"):
        load_reference(tmp_path, 65, "tola")
    with pytest.raises(NsrError, match="not 'mine'"):
        load_reference(tmp_path, 65, "mine")
    with pytest.raises(NsrError, match="world coordinates"):
        dtu_chamfer(vertices + 500, faces, reference)
    (tmp_path / "ObsMask" / "Plane65.mat").write_bytes(b"nothing")
    with pytest.raises(NsrError, match="Plane65.mat: cannot be read"):
        load_reference(tmp_path, 65)
    (tmp_path / "bad.ply").write_text("ply\nnonsense\n")
    with pytest.raises(NsrError, match="bad.ply"):
        read_points(tmp_path / "bad.ply")
    for arguments, message in (
        (["nowhere.ply"], "no such mesh"),
        ([str(tmp_path / "bad.ply")], "say which scan it is with --scan"),
        ([str(tmp_path / "ObsMask")], "evaluate first"),
    ):
        assert cli.main(["dtu", *arguments, "--dataset", str(tmp_path)]) == 2
        assert message in capsys.readouterr().err
