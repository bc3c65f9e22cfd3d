"""How far a decomposition can be believed: by how much it changes when the picture is shown in another way that the
object does not know of, mirrored and darker."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

_DARKER = 0.6  # factor on the picture
_DARKEST = 0.02  # of colours whose logarithms are compared: darker ones count as this

Maps = dict[str, np.ndarray]


def other_looks(predict: Callable[[np.ndarray, np.ndarray], Maps], image: np.ndarray, mask: np.ndarray) -> list[Maps]:
    """What ``predict`` gives of the mirrored and of the darker picture, the former mirrored back.

    Args:
        predict: maps ``[H, W, 3]`` of an image ``[H, W, 3]`` and a mask ``[H, W]``, ``normal`` in the camera's frame
            (x right) among them.
    """
    mirrored = {name: values[:, ::-1] for name, values in predict(image[:, ::-1], mask[:, ::-1]).items()}
    mirrored["normal"] = mirrored["normal"] * np.float32([-1, 1, 1])
    return [mirrored, predict(_DARKER * image, mask)]


def normals_turned(normal: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """``[H, W]``: sum of the angles between normals ``[H, W, 3]`` of any length and each of ``others``, degrees."""
    unit, *units = (
        values / np.linalg.norm(values, axis=-1, keepdims=True).clip(1e-9, None) for values in (normal, *others)
    )
    return np.sum([np.degrees(np.arccos((unit * other).sum(-1).clip(-1, 1))) for other in units], axis=0)


def colours_changed(colours: np.ndarray, others: Sequence[np.ndarray], mask: np.ndarray) -> np.ndarray:
    """``[H, W]``: sum over ``others`` of the mean difference, over channels, of the logarithms of colours
    ``[H, W, 3]``, after the best factor of the picture in each channel; ``mask [H, W]``: where that is found."""
    total = np.zeros(mask.shape)
    for other in others:
        difference = np.log(colours.clip(_DARKEST, None)) - np.log(other.clip(_DARKEST, None))
        if mask.any():
            total += np.abs(difference - np.median(difference[mask], axis=0)).mean(-1)
    return total
