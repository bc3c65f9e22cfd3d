import cv2
import numpy as np
import pytest

from nsr.errors import NsrError
from nsr.priors.networks.common.depth_png import FARTHEST, read_depth_png, write_depth_png


def test_depth_is_stored_as_millimetres(tmp_path):
    write_depth_png(tmp_path / "a.png", np.array([[0, 0.0124, 1.5, FARTHEST]]))
    assert cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).tolist() == [[0, 12, 1500, 65535]]
    np.testing.assert_allclose(read_depth_png(tmp_path / "a.png"), [[0, 0.012, 1.5, 65.535]], rtol=1e-6)


@pytest.mark.parametrize("bad", [-0.001, np.nan, np.inf, 65.536])
def test_what_16_bits_cannot_hold_is_refused_and_nothing_written(tmp_path, bad):
    with pytest.raises(NsrError, match="from 0 to 65.535 m"):
        write_depth_png(tmp_path / "a.png", np.array([[1.0, bad]]))
    assert not list(tmp_path.iterdir())


def test_a_missing_or_damaged_file_is_named(tmp_path):
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    for name, said in (("nowhere.png", "no such file"), ("damaged.png", "not a picture")):
        with pytest.raises(NsrError, match=f"{name}: {said}|{name}: there is {said}"):
            read_depth_png(tmp_path / name)
