"""Scene folders found from a conf's data_dir and scan_id."""

from __future__ import annotations

import shutil

import pytest

from nsr.config.schema import DatasetConfig
from nsr.errors import SceneError
from nsr.scenes.locate import resolve_scene_folder, scene_from_config


@pytest.fixture
def project(tmp_path, monkeypatch, sphere_scene_folder):
    """A project with data/DTU/scan65 and code/, and no NSR_DATA."""
    scan = tmp_path / "project" / "data" / "DTU" / "scan65"
    shutil.copytree(sphere_scene_folder, scan)
    (tmp_path / "project" / "code").mkdir()
    monkeypatch.delenv("NSR_DATA", raising=False)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def test_the_same_name_works_from_the_root_and_from_code(project, monkeypatch):
    scan = project / "data" / "DTU" / "scan65"
    assert resolve_scene_folder("DTU", 65).samefile(scan)
    assert resolve_scene_folder("data/DTU", 65).samefile(scan)
    monkeypatch.chdir(project / "code")
    assert resolve_scene_folder("DTU", 65).samefile(scan)
    assert resolve_scene_folder("data/DTU/scan65").samefile(scan)
    assert resolve_scene_folder("../data/DTU", 65).samefile(scan)
    assert resolve_scene_folder(scan, -1) == scan


def test_nsr_data_comes_before_the_repository(project, monkeypatch, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(project / "data", elsewhere)
    monkeypatch.setenv("NSR_DATA", str(elsewhere))
    assert resolve_scene_folder("DTU", 65).samefile(elsewhere / "DTU" / "scan65")


def test_a_folder_of_that_name_without_a_scene_does_not_hide_one(project, monkeypatch):
    (project / "code" / "DTU" / "scan65").mkdir(parents=True)
    monkeypatch.chdir(project / "code")
    assert resolve_scene_folder("DTU", 65).samefile(project / "data" / "DTU" / "scan65")


def test_the_error_lists_places_and_scans(project):
    with pytest.raises(SceneError) as caught:
        resolve_scene_folder("DTU", 66)
    assert str(project / "data" / "DTU" / "scan66") in str(caught.value)
    assert "has scans 65" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(SceneError, match="NSR_DATA"):
        resolve_scene_folder("nowhere")
    with pytest.raises(SceneError, match="folder of scans.*has scans 65"):
        resolve_scene_folder("DTU")


def test_a_file_is_no_scene(project):
    (project / "mug").write_text("")
    with pytest.raises(SceneError, match="mug is a file; a scene is a folder"):
        resolve_scene_folder("mug")


def test_a_conf_names_a_scene(project):
    scene = scene_from_config(DatasetConfig(data_dir="DTU", scan_id=65, img_res=[24, 32], heldout_every=0))
    assert len(scene.train_views) == 8 and scene.masks[0].shape == (24, 32)
