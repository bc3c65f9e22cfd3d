import struct

import cv2
import numpy as np
import pytest

from nsr.errors import NsrError
from nsr.priors.networks.shape_from_shading.depth_files import read_packed_depth, read_png_depth, write_packed_depth


def test_a_round_trip_keeps_floats_to_their_last_digits(tmp_path):
    generator = np.random.default_rng(0)
    depth = np.exp(generator.uniform(np.log(1e-4), np.log(1e4), (37, 53)))
    depth[3:5] = 0
    write_packed_depth(tmp_path / "depth.bmp", depth)
    read = read_packed_depth(tmp_path / "depth.bmp")
    assert read.dtype == np.float32
    assert (read[3:5] == 0).all()
    assert np.abs(read / np.where(depth > 0, depth, 1) - (depth > 0)).max() <= 1.2e-7


def test_bytes_are_those_of_the_format(tmp_path):
    """0.75 m is 0.75 2^0 with a mantissa of 0xC00000; 1.5 m has the same one and the exponent 1."""
    write_packed_depth(tmp_path / "depth.bmp", np.array([[0.75, 1.5]]))
    stored = cv2.imread(str(tmp_path / "depth.bmp"), cv2.IMREAD_UNCHANGED)
    assert stored.tolist() == [[[128, 0xC0, 0, 0], [129, 0xC0, 0, 0]]]


def test_a_bitmap_written_by_hand_is_read(tmp_path):
    """The header that the published files have: 40 bytes, 32 bits a pixel, uncompressed, bottom row first."""
    pixels = bytes([128, 0x80, 0, 0]) + bytes([127, 0xFF, 0xFF, 0xFF])
    header = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    header += struct.pack("<IiiHHIIiiII", 40, 1, 2, 1, 32, 0, len(pixels), 0, 0, 0, 0)
    (tmp_path / "by_hand.bmp").write_bytes(header + pixels)
    depth = read_packed_depth(tmp_path / "by_hand.bmp")
    assert depth.shape == (2, 1)
    assert depth[1, 0] == pytest.approx(0.5, rel=1.2e-7)
    assert depth[0, 0] == pytest.approx(0.5, rel=1.2e-7)


@pytest.mark.parametrize(("value", "told"), [(-0.001, "no sign"), (np.nan, "not finite"), (np.inf, "not finite")])
def test_what_cannot_be_packed_is_refused_and_nothing_is_written(tmp_path, value, told):
    depth = np.ones((4, 4))
    depth[1, 2] = value
    with pytest.raises(NsrError, match=told):
        write_packed_depth(tmp_path / "depth.bmp", depth)
    assert not list(tmp_path.iterdir())


def test_a_24_bit_png_counts_hundredths_of_a_millimetre(tmp_path):
    counted = np.array([[0, 1, 256, 65536, 123456]])
    bgr = np.stack([counted & 255, counted >> 8 & 255, counted >> 16], axis=-1).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "depth.png"), bgr)
    np.testing.assert_allclose(read_png_depth(tmp_path / "depth.png"), counted * 1e-5, rtol=1e-6)


def test_other_bit_depths_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 4), 900, np.uint16))
    cv2.imwrite(str(tmp_path / "colour.bmp"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(NsrError, match="24 bits a pixel, and this file has 16"):
        read_png_depth(tmp_path / "grey.png")
    with pytest.raises(NsrError, match="32 bits a pixel, and this file has 24"):
        read_packed_depth(tmp_path / "colour.bmp")


def test_missing_and_damaged_files_are_told(tmp_path):
    (tmp_path / "damaged.bmp").write_bytes(b"BM and then nothing")
    (tmp_path / "empty.bmp").write_bytes(b"")
    with pytest.raises(NsrError, match="no such file"):
        read_packed_depth(tmp_path / "missing.bmp")
    for name in ("damaged.bmp", "empty.bmp"):
        with pytest.raises(NsrError, match=f"{name}: cannot be read"):
            read_packed_depth(tmp_path / name)
