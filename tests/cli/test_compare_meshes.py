import pytest
import trimesh

from nsr.cli import main as cli


def test_two_spheres(tmp_path, capsys):
    trimesh.creation.icosphere(5, 10.0).export(tmp_path / "truth.obj")
    trimesh.creation.icosphere(5, 10.5).export(tmp_path / "mesh.ply")
    assert cli.main(["chamfer", str(tmp_path / "mesh.ply"), str(tmp_path / "truth.obj"), "--samples", "5000"]) == 0
    out = capsys.readouterr().out
    assert float(out.split("Chamfer ")[1].split()[0]) == pytest.approx(0.5, abs=0.01)
    assert "F-score 0.0000 at 0.34" in out  # a hundredth of the diagonal is less than the distance
    assert float(out.split("consistency ")[1]) > 0.999
    cli.main(
        ["chamfer", str(tmp_path / "mesh.ply"), str(tmp_path / "truth.obj"), "--samples", "5000", "--threshold", "0.6"]
    )
    assert "F-score 1.0000 at 0.6" in capsys.readouterr().out


def test_what_is_no_mesh(tmp_path, capsys):
    (tmp_path / "a.ply").write_text("ply\n")
    ball = tmp_path / "ball.ply"
    trimesh.creation.icosphere(1).export(ball)
    for mesh, truth, message in (("a.ply", "ball.ply", "the mesh cannot be read"), ("ball.ply", "b.ply", "is missing")):
        assert cli.main(["chamfer", str(tmp_path / mesh), str(tmp_path / truth)]) == 2
        assert message in capsys.readouterr().err
