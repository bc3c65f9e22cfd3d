import numpy as np
import pytest

from nsr.errors import SceneError
from nsr.priors.networks.depth_super_resolution.pfm import read_pfm, write_pfm


def test_what_is_written_is_read(tmp_path):
    values = np.random.default_rng(0).normal(500, 100, (5, 7)).astype(np.float32)
    values[1, 2] = np.inf
    write_pfm(tmp_path / "a.pfm", values)
    np.testing.assert_array_equal(read_pfm(tmp_path / "a.pfm"), values)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pfm"]


def test_opencv_reads_what_is_written_and_is_read(tmp_path):
    import cv2

    values = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    write_pfm(tmp_path / "ours.pfm", values)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "ours.pfm"), cv2.IMREAD_UNCHANGED), values)
    cv2.imwrite(str(tmp_path / "theirs.pfm"), values)
    np.testing.assert_array_equal(read_pfm(tmp_path / "theirs.pfm"), values)


def test_byte_order_and_row_order_of_the_format(tmp_path):
    lower, upper = [1.0, 2.0], [3.0, 4.0]
    for scale, order in (("1.0", ">f4"), ("-0.5", "<f4")):
        path = tmp_path / "a.pfm"
        path.write_bytes(f"Pf\n2 2\n{scale}\n".encode() + np.array(lower + upper, order).tobytes())
        assert read_pfm(path).tolist() == [upper, lower]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"P5\n2 1\n255\nab", "no one-channel PFM"),
        (b"PF\n1 1\n-1\n" + bytes(12), "no one-channel PFM"),
        (b"Pf\n2 2\n-1\n" + bytes(12), "12 bytes"),
        (b"Pf\ntwo 2\n-1\n", "no PFM"),
        (b"", "no PFM"),
    ],
)
def test_files_that_are_not_are_refused(tmp_path, content, said):
    path = tmp_path / "a.pfm"
    path.write_bytes(content)
    with pytest.raises(SceneError, match=said):
        read_pfm(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SceneError, match="nowhere.pfm"):
        read_pfm(tmp_path / "nowhere.pfm")
