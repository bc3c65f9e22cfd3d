"""Patches of pictures, compiled and in PyTorch: samples of many patches, and a step's pairs correlated, with gradient.

Pictures are noise, smoothed by their pyramid; patches are carried by homographies that move them by some pixels.  Times
are the least over runs that take turns.  Prints a table in Markdown; with --output writes it too.

    python benchmarks/image_patches.py [--patches 128] [--sources 6] [--device cuda]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from bodies import body_row, table_head

from nsr.ops.image_patches import patch_correlation
from nsr.rendering.image_pyramid import ImagePyramid

VIEWS, SIZE, SIDE = 32, 512, 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=128, help="of a step")
    parser.add_argument("--sources", type=int, default=6, help="views that each is carried into")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each body of each work")
    parser.add_argument("--output", type=Path, help="a file to append the table to")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device, patches = torch.device(arguments.device), arguments.patches

    images = [torch.randint(1, 256, (SIZE, SIZE, 3), dtype=torch.uint8) for _ in range(VIEWS)]
    masks = [torch.ones(SIZE, SIZE, dtype=torch.bool)] * VIEWS
    pyramid = ImagePyramid(images, masks, levels=4, device=device)
    centres = 100 + (SIZE - 200) * torch.rand(patches, 2, device=device)
    views = torch.randint(VIEWS, (patches,), device=device)
    levels = torch.ones_like(views)
    pixels = (centres.unsqueeze(1) + 8 * torch.rand(patches, SIDE * SIDE, 2, device=device)).requires_grad_()
    reference, _ = pyramid.sample(views, levels, pixels.detach())
    patch = torch.arange(patches, device=device).repeat_interleave(arguments.sources)
    sources = torch.randint(VIEWS, patch.shape, device=device)
    homographies = torch.eye(3, device=device).repeat(len(patch), 1, 1)
    moves = torch.tensor([0.05, 0.05, 20.0], device=device)  # turned and stretched a little, and moved
    homographies[:, :2] += moves * torch.randn(len(patch), 2, 3, device=device)
    homographies.requires_grad_()

    def sample() -> None:
        pyramid.sample(views, levels, pixels)[0].sum().backward()

    def correlate() -> None:
        pictures = pyramid.values, pyramid.frames
        pairs = homographies, centres, reference, patch, sources
        patch_correlation(*pictures, *pairs, 2.0, 1, 4.0)[0].sum().backward()

    lines = table_head(device)
    print("\n".join(lines))
    works = {
        f"picture_samples, {patches} patches": (sample, "picture_samples"),
        f"patch_correlation, {len(patch)} pairs": (correlate, "patch_correlation"),
    }
    for name, (work, operator) in works.items():
        lines.append(body_row(f"{name}, with gradient", work, operator, device, arguments.seconds))
    if arguments.output:
        with arguments.output.open("a") as file:
            file.write("\n".join(["", "## Patches of pictures", "", *lines, ""]))


if __name__ == "__main__":
    main()
