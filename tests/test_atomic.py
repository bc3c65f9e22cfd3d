"""Folders that appear whole, beside or in place of what is there."""

import pytest

from nsr.atomic import replaced_folder, whole_folder


def entries(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("old")
    (tmp_path / "out" / "b").write_text("old")
    return tmp_path / "out"


def test_files_take_the_place_of_others_only_where_that_is_asked_for(folder):
    with pytest.raises(FileExistsError, match="a exists already"):
        with whole_folder(folder) as partial:
            (partial / "a").write_text("new")
    with whole_folder(folder, replace=True) as partial:
        (partial / "a").write_text("new")
    assert entries(folder.parent) == {"out/a": "new", "out/b": "old"}


def test_a_folder_is_replaced_with_all_that_it_holds(folder):
    with replaced_folder(folder) as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "c").write_text("new")
    assert entries(folder.parent) == {"out/sub/c": "new"}


@pytest.mark.parametrize("make", [replaced_folder, lambda folder: whole_folder(folder, replace=True)])
def test_after_an_error_a_folder_is_as_it_was(make, folder):
    with pytest.raises(KeyboardInterrupt):
        with make(folder) as partial:
            (partial / "a").write_text("new")
            raise KeyboardInterrupt
    assert entries(folder.parent) == {"out/a": "old", "out/b": "old"}


def test_a_folder_that_is_not_there_is_made(tmp_path):
    with replaced_folder(tmp_path / "deep" / "out") as partial:
        (partial / "a").write_text("new")
    assert entries(tmp_path) == {"deep/out/a": "new"}
