"""Depth as the published data set keeps it: floats packed into 32-bit bitmaps, whole numbers in 24-bit PNG."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

from nsr.atomic import whole_file
from nsr.errors import NsrError

EXPONENT_BIAS = 128
MANTISSA_BITS = 24
_UNCOMPRESSED, _BIT_FIELDS = 0, 3  # kinds of compression of a bitmap that keep four bytes a pixel
PNG_UNIT = 1e-5  # metres: the 24-bit PNG counts in hundredths of a millimetre


def write_packed_depth(path: str | Path, depth: np.ndarray) -> None:
    """Write ``[H, W]`` values from 0 on (depth in metres) as a packed 32-bit bitmap, which appears whole or not at all.

    With m 2^e = value and m in [0.5, 1): the blue byte is e + 128, green, red and alpha are the high, middle and low
    byte of m 2^24, rounded down.  Read back, values above 0 differ by at most 1.2e-7 of themselves.

    Raises:
        NsrError: a value is negative or not finite; nothing is written.
    """
    path = Path(path)
    depth = np.asarray(depth, dtype=np.float64)
    if not np.isfinite(depth).all():
        raise NsrError(f"{path}: not written: depth that is not finite cannot be packed; write 0 where it is unknown")
    if (depth < 0).any():
        raise NsrError(
            f"{path}: not written: the packed format has no sign, and {np.count_nonzero(depth < 0)} values are "
            f"negative (down to {depth.min():.4g}); pack a depth, not a residual"
        )
    mantissa, exponent = np.frexp(depth)
    whole = (mantissa * 2**MANTISSA_BITS).astype(np.uint32)
    packed = np.stack([exponent + EXPONENT_BIAS, whole >> 16, whole >> 8 & 255, whole & 255], axis=-1).astype(np.uint8)
    with whole_file(path) as partial:
        _, encoded = cv2.imencode(".bmp", packed)
        partial.write_bytes(encoded.tobytes())


def read_packed_depth(path: str | Path) -> np.ndarray:
    """Read what ``write_packed_depth`` or the published data set wrote: ``[H, W]`` float32, metres.

    Half a unit of the mantissa is added, which the packing rounded off; 0 is read as 0.

    Raises:
        NsrError: the file cannot be read, or has not 32 bits a pixel.
    """
    packed = _bitmap_bytes(Path(path))
    exponent, high, middle, low = np.moveaxis(packed.astype(np.int64), -1, 0)
    whole = high << 16 | middle << 8 | low
    depth = np.ldexp(whole + 0.5, exponent - EXPONENT_BIAS - MANTISSA_BITS)
    return np.where(whole > 0, depth, 0).astype(np.float32)


def read_png_depth(path: str | Path, unit: float = PNG_UNIT) -> np.ndarray:
    """Read a 24-bit PNG that counts units, red the high byte and blue the low one: ``[H, W]`` float32, metres.

    Raises:
        NsrError: the file cannot be read, or has not 24 bits a pixel.
    """
    content = np.frombuffer(_content(Path(path)), dtype=np.uint8)
    counted = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if counted is None:
        raise NsrError(f"{path}: cannot be read as a picture; it is damaged or of another format")
    bits = 8 * counted.itemsize * (counted.shape[2] if counted.ndim == 3 else 1)
    if bits != 24:
        raise NsrError(f"{path}: depth as PNG has 24 bits a pixel, and this file has {bits}")
    return (counted.astype(np.float64) @ [1, 256, 65536] * unit).astype(np.float32)


def _bitmap_bytes(path: Path) -> np.ndarray:
    """``[H, W, 4]`` uint8 of an uncompressed 32-bit bitmap, bytes of a pixel as they are stored.

    Picture libraries drop the fourth byte of files whose header does not call it alpha, as older writers' do not.
    """
    content = _content(path)
    try:
        magic, offset = struct.unpack_from("<2s8xI", content)
        width, height, bits, compression = struct.unpack_from("<ii2xHI", content, 18)
        if magic != b"BM":
            raise ValueError("it is no bitmap")
        if bits != 32:
            raise ValueError(f"depth is packed into 32 bits a pixel, and this file has {bits}")
        if compression not in (_UNCOMPRESSED, _BIT_FIELDS):
            raise ValueError("it is compressed")
        pixels = np.frombuffer(content, np.uint8, 4 * width * abs(height), offset).reshape(abs(height), width, 4)
    except (struct.error, ValueError) as error:
        raise NsrError(f"{path}: cannot be read as packed depth: {error}") from error
    return pixels[::-1] if height > 0 else pixels


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise NsrError(f"{path}: there is no such file")
    return path.read_bytes()
