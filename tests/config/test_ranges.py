"""Numbers of the right type and of a value that no run can use."""

import dataclasses
from pathlib import Path

import pytest

from nsr.config.ranges import _RANGES, check_ranges
from nsr.config.reader import load_config
from nsr.config.schema import Config
from nsr.errors import ConfigError


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train.num_pixels=-1", "train.num_pixels = -1: it must be at least 2"),
        ("train.pixels_anywhere=1.5", "train.pixels_anywhere = 1.5: it must be at least 0 and at most 1"),
        ("model.implicit_network.bias=0", "model.implicit_network.bias = 0.0: it must be above 0 and at most 1"),
        ("model.implicit_network.dims=[64, 0]", "model.implicit_network.dims = [64, 0]: it must be at least 1"),
        ("dataset.heldout_every=4", "dataset.heldout_offset = 4: it must be below dataset.heldout_every = 4"),
    ],
)
def test_a_number_out_of_its_range_is_named_with_the_range(tmp_path, assignment, message):
    empty = tmp_path / "empty.conf"
    empty.write_text("")
    with pytest.raises(ConfigError) as caught:
        load_config(empty, [assignment])
    assert str(caught.value).startswith(f"command line: {message}")
    key, value = assignment.split("=", 1)
    written = tmp_path / "a.conf"
    written.write_text(f"{key} = {value}")
    with pytest.raises(ConfigError) as caught:
        load_config(written)
    assert str(caught.value).startswith(f"{written}: {message}")


def test_holding_out_no_view_needs_no_offset(tmp_path):
    conf = tmp_path / "a.conf"
    conf.write_text("dataset { heldout_every = 0 }")
    assert load_config(conf).dataset.heldout_offset == Config().dataset.heldout_offset


def test_every_number_of_the_schema_has_a_range():
    """But those whose sign and size are free: milestones, and layers that the network checks itself."""
    free = {"sched_milestones", "alpha_milestones", "skip_in"}

    def numbers(section, path):
        for field in dataclasses.fields(section):
            value = getattr(section, field.name)
            here = f"{path}.{field.name}".lstrip(".")
            if dataclasses.is_dataclass(value) and not hasattr(value, "options"):
                yield from numbers(value, here)
            elif isinstance(value, (int, float, list)) and not isinstance(value, bool) and field.name not in free:
                yield here

    ranged = {f"{section}.{name}" for section, names in _RANGES.items() for name in names}
    assert set(numbers(Config(), "")) == ranged - {"dataset.img_res"}  # img_res is None by default


CONFS = Path(__file__).resolve().parents[2] / "confs"
RUNS = sorted(path for path in CONFS.rglob("*.conf") if path.parent.name != "synthetic")


@pytest.mark.parametrize("conf", RUNS, ids=lambda path: path.name)
def test_shipped_confs_are_in_range(conf):
    check_ranges(load_config(conf), str(conf))


def test_selection_needs_views_to_leave_alone(tmp_path):
    conf = tmp_path / "a.conf"
    conf.write_text("dataset { selection = true, heldout_every = 0 }")
    with pytest.raises(ConfigError, match="dataset.selection needs held-out views"):
        load_config(conf)
