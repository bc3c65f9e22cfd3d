"""A family small enough to train in a test: it learns to give a noisy map back, a third smaller."""

import os
import signal

import torch
from nsr.priors.networks.common.family import COMMANDS, PREPARE, Family
from nsr.priors.networks.common.patches import PatchDataset, apply_in_tiles
from nsr.priors.networks.common.samples import Subset
from nsr.priors.networks.common.splits import split_by_scene
from nsr.priors.networks.common.task import Panel, Stage, Task
from torch import nn


class ToyNetwork(nn.Module):
    def __init__(self, width, drop):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.Dropout2d(drop))
        self.decoder = nn.Conv2d(width, 1, 1)

    def forward(self, maps):
        return self.decoder(self.encoder(maps))


class ToyTask(Task):
    def __init__(self, options):
        self.network = ToyNetwork(options.width or 4, options.drop)
        self.staged = options.staged

    def stages(self):
        if not self.staged:
            return super().stages()
        return [Stage("decoder", 0.5, ("network.decoder",)), Stage("all", 0.5, ("network",))]

    def losses(self, batch):
        error = (self.network(batch["image"]) - batch["depth"]) * batch["mask"]
        return {"squared": error.square().sum() / batch["mask"].sum(), "absolute": 0.1 * error.abs().mean()}

    def predict(self, sample):
        return {"depth": apply_in_tiles(self.network, sample["image"], 16, 4)}

    def measure(self, prediction, sample):
        return {"error": float((prediction["depth"] - sample["depth"]).abs().mean())}

    def panels(self, prediction, sample):
        return [
            Panel("predicted depth", prediction["depth"][0].numpy(), (0.0, 1.0), "m"),
            Panel("deviation", (prediction["depth"] - sample["depth"])[0].numpy(), (-0.2, 0.2), "m"),
            Panel("image", sample["image"].expand(3, -1, -1).permute(1, 2, 0).numpy()),
        ]


class ToyFrames:
    """Two frames a scene; the one that TOY_POISON names holds a NaN."""

    def __init__(self, count, seed, size=32):
        self.count, self.seed, self.size = count, seed, size
        self.scenes = [f"scene{index // 2}" for index in range(count)]

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(1000 * self.seed + index)
        image = torch.rand(1, self.size, self.size, generator=generator)
        mask = torch.ones(1, self.size, self.size)
        mask[:, :4] = 0
        if os.environ.get("TOY_POISON") == str(index):
            image[0, 9, 9] = float("nan")
        return {"image": image, "depth": image / 3, "mask": mask, "name": f"{index:03d}", "scene": self.scenes[index]}


class ToyFamily(Family):
    name = "toy"
    help = "a toy"
    defaults = {"epoch": 4, "num": 8, "batch": 4, "patch": 16, "stride": 16, "width": 4, "drop": 0.1, "lr": 0.01}

    def add_arguments(self, parser, command):
        if command == "train":
            parser.add_argument("--staged", action="store_true")
        if command == "test":
            parser.add_argument("--shift", type=float, default=0.0)

    def datasets(self, options):
        frames = ToyFrames(options.num, options.seed)
        train, validation = split_by_scene(frames.scenes, options.val, options.seed)
        patches = [
            PatchDataset(Subset(frames, part), options.patch, options.stride) for part in (train, validation) if part
        ]
        return patches[0], patches[1] if validation else None

    def test_dataset(self, options):
        return ToyFrames(options.num, options.seed, size=37)

    def task(self, options):
        return ToyTask(options)

    def prepare_test(self, task, options):
        task.network.decoder.bias.data += options.shift

    def results_name(self, task, options):
        return super().results_name(task, options) + ("_shifted" if options.shift else "")


class PreparingFamily(ToyFamily):
    """One that has raw data to turn into another form."""

    commands = (*COMMANDS, PREPARE)

    def prepare(self, options):
        return f"{options.source} became {options.destination}"


class Killed(ToyTask):
    """Ends the process in the middle of the third epoch, as a power cut would."""

    steps = 0

    def step(self, batch, descents):
        Killed.steps += 1
        if Killed.steps == 16:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(batch, descents)
