"""The sample scene that ships is sound, and a short training on it brings the render closer to the photographs."""

from pathlib import Path

import torch

from nsr.config.reader import load_config
from nsr.scenes.check import check_scene
from nsr.scenes.idr_folder import load_scene
from nsr.training.trainer import Trainer

ROOT = Path(__file__).parents[1]


def test_the_sample_scene_is_sound():
    report = check_scene(ROOT / "data" / "sample")
    assert report.errors == [] and report.warnings == []


def test_a_short_training_on_it_fits_the_photographs():
    config = load_config(ROOT / "confs" / "default.conf", {"train.steps": 100, "train.num_pixels": 512})
    trainer = Trainer(config, load_scene(ROOT / "data" / "sample"), torch.device("cpu"))
    psnr = []
    for _ in range(100):
        trainer.step()
        psnr.append(trainer.batch_psnr())
    assert sum(psnr[-10:]) / 10 > sum(psnr[:10]) / 10 + 2
