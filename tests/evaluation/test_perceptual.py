import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nsr.evaluation import perceptual
from nsr.evaluation.perceptual import find_lpips, object_window


def test_the_window_is_an_eighth_wider_and_stays_inside():
    mask = np.zeros((40, 60), dtype=bool)
    mask[16:32, 2:26] = True
    assert object_window(mask) == (slice(14, 34), slice(0, 29))


def test_without_the_package_there_is_none(monkeypatch, caplog):
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda name: None)
    with caplog.at_level("INFO", logger="nsr"):
        assert find_lpips() is None
    assert "not installed: lpips, torchvision" in caplog.text


def test_the_network_sees_the_masked_window_between_minus_one_and_one(monkeypatch, tmp_path):
    """With a network that returns the mean difference, the distance is known."""

    def network(first, second):
        assert first.shape == second.shape == (1, 3, 10, 10)
        assert first.max() == 1 and first.min() == -1  # white around a black square
        return (first - second).abs().mean()

    fake = SimpleNamespace(LPIPS=lambda net, verbose: SimpleNamespace(eval=lambda: network))
    monkeypatch.setitem(sys.modules, "lpips", fake)
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert find_lpips() is None  # its weights are not there
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / perceptual.BACKBONE).touch()
    mask = np.zeros((30, 30), dtype=bool)
    mask[10:18, 10:18] = True
    rendered, photograph = np.zeros((30, 30, 3)), np.full((30, 30, 3), 0.5)
    assert find_lpips()(rendered, photograph, mask) == pytest.approx(64 / 100)
    assert np.isnan(find_lpips()(rendered, photograph, np.zeros_like(mask)))
