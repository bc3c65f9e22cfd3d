"""The checkpoint that ships, on held-out rendered pictures."""

import pytest
from nsr.priors.networks.common.checkpoints import task_from_checkpoint
from nsr.priors.networks.common.evaluation import evaluate_all, mean_figures
from nsr.priors.networks.common.run_folder import shipped
from nsr.priors.networks.intrinsic_decomposition.family import FAMILY
from nsr.priors.networks.intrinsic_decomposition.synthetic.dataset import SyntheticPictures


@pytest.fixture(scope="module")
def rows():
    task = task_from_checkpoint(shipped(FAMILY.name), FAMILY)
    return evaluate_all(task, SyntheticPictures(24, 64, seed=1000))


def test_the_residue_beats_harmonics_alone(rows):
    means = mean_figures(rows)
    assert means["reconstruction_psnr_db"] > means["harmonic_psnr_db"] + 1.5
    assert sum(row["reconstruction_psnr_db"] > row["harmonic_psnr_db"] for row in rows) >= 0.8 * len(rows)


def test_normals_and_albedo_are_better_than_guesses(rows):
    means = mean_figures(rows)
    assert means["normal_mean_deg"] < 30
    assert means["albedo_si_rmse"] < means["input_si_rmse"]
