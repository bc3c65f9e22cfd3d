"""Relative paths of the command line."""

from pathlib import Path

import pytest

from nsr.cli.locations import find_conf, output_folder
from nsr.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("folder", [".", "code", "code/nsr"])
@pytest.mark.parametrize("name", ["confs/idr.conf", "../confs/idr.conf"])
def test_a_conf_is_found_from_the_root_and_from_code(monkeypatch, folder, name):
    monkeypatch.chdir(ROOT / folder)
    assert find_conf(name) == ROOT / "confs" / "idr.conf"


def test_a_conf_of_the_current_folder_comes_first(monkeypatch, tmp_path):
    (tmp_path / "confs").mkdir()
    (tmp_path / "confs" / "idr.conf").touch()
    monkeypatch.chdir(tmp_path)
    assert find_conf("confs/idr.conf") == tmp_path / "confs" / "idr.conf"
    with pytest.raises(ConfigError, match="no conf other.conf"):
        find_conf("other.conf")


def test_runs_land_in_one_place_inside_the_repository_and_in_the_current_folder_elsewhere(monkeypatch, tmp_path):
    for folder in (ROOT, ROOT / "code"):
        monkeypatch.chdir(folder)
        assert output_folder("exps") == ROOT / "exps"
        assert output_folder("./exps") == folder / "exps"
        assert output_folder(str(tmp_path)) == tmp_path
    monkeypatch.chdir(tmp_path)
    assert output_folder("exps") == tmp_path / "exps"
