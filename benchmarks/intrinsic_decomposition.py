"""The methods of intrinsic decomposition beside each other, on held-out rendered pictures and on the real ones.

Each checkpoint is a finished `nsr prior train intrinsic-decomposition --method M`.  For every one the table holds the
reconstruction's PSNR, that of its own harmonics alone and of the best 27 harmonics with its normals and albedo, in how
many pictures the reconstruction is the better, the normals' mean angular error beside that of normals that all face the
viewer, the albedo's scale-invariant RMSE beside that of the picture itself, and the time of a 640x480 picture.

    python benchmarks/intrinsic_decomposition.py exps/priors/intrinsic-decomposition/*/best.pt
    NSR_DATA=data python benchmarks/intrinsic_decomposition.py --real trained_models/intrinsic-decomposition/best.pt
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from timing import describe

from nsr.priors.networks.common.checkpoints import task_from_checkpoint
from nsr.priors.networks.common.evaluation import evaluate_all, mean_figures
from nsr.priors.networks.common.photometric import CAT
from nsr.priors.networks.common.real_data import real_folder
from nsr.priors.networks.intrinsic_decomposition.family import FAMILY
from nsr.priors.networks.intrinsic_decomposition.photometric import PhotometricStereo
from nsr.priors.networks.intrinsic_decomposition.synthetic.dataset import SyntheticPictures

HELD_OUT_SEED = 1000  # as that of nsr prior test
COLUMNS = {
    "reconstruction_psnr_db": "PSNR",
    "harmonic_psnr_db": "harmonics",
    "best_harmonic_psnr_db": "best 27",
    "better": "better in",
    "normal_mean_deg": "normals deg",
    "facing_mean_deg": "facing deg",
    "albedo_si_rmse": "albedo si",
    "input_si_rmse": "picture si",
    "shading_si_rmse": "shading si",
    "frame_ms": "640x480 ms",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--num", type=int, default=100, help="held-out pictures (default: %(default)s)")
    parser.add_argument("--size", type=int, default=64, help="their side, or short side (default: %(default)s)")
    parser.add_argument("--real", action="store_true", help="the real photographs below NSR_DATA instead")
    options = parser.parse_args()
    dataset = (
        PhotometricStereo(real_folder(CAT), short_side=options.size)
        if options.real
        else SyntheticPictures(options.num, options.size, HELD_OUT_SEED)
    )
    print(describe(torch.device("cpu")))
    print(f"{len(dataset)} pictures of {'x'.join(map(str, dataset[0]['image'].shape[:0:-1]))}")
    print("method".ljust(50) + "".join(title.rjust(12) for title in COLUMNS.values()))
    for path in options.checkpoints:
        task = task_from_checkpoint(path, FAMILY)
        rows = evaluate_all(task, dataset)
        better = [row["reconstruction_psnr_db"] > row["harmonic_psnr_db"] for row in rows]
        figures = mean_figures(rows) | {"better": sum(better) / len(better), "frame_ms": frame_milliseconds(task)}
        cells = (f"{figures[name]:.4g}" if name in figures else "-" for name in COLUMNS)
        name = f"{path.parent.name}: {task.method.title}"
        print(name[:49].ljust(50) + "".join(cell.rjust(12) for cell in cells), flush=True)


def frame_milliseconds(task, repeats: int = 3) -> float:
    """The fastest of some predictions of a 640x480 picture."""
    sample = {"image": torch.rand(3, 480, 640), "mask": torch.ones(1, 480, 640)}
    spent = []
    with torch.inference_mode():
        for _ in range(repeats):
            started = time.perf_counter()
            task.predict(sample)
            spent.append(time.perf_counter() - started)
    return 1000 * min(spent)


if __name__ == "__main__":
    main()
