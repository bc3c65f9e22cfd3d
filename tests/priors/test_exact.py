"""Bundles written from a synthetic scene's truth."""

import numpy as np
import pytest
import torch
from PIL import Image

from nsr.errors import PriorError, SceneError
from nsr.priors.bundle_file import read_bundle
from nsr.priors.conversion import ViewFrame, to_engine
from nsr.priors.exact import corrupted, fitted_light, write_exact_bundles
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.synthetic import SyntheticSpec, make_scene
from nsr.scenes.synthetic.light import spherical_harmonics
from nsr.scenes.synthetic.sensors.spec import SensorSpec

WORLD = dict(world_scale=40.0, world_offset=(3.0, -2.0, 5.0))
SENSORS = SensorSpec(stereo=True, low_resolution=4, depth_unit=0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exact") / "ball"
    spec = SyntheticSpec(
        shape="sphere", views=2, height=50, width=64, layout="ring", point_lights=1, sensors=SENSORS, **WORLD
    )
    make_scene(folder, spec)
    return folder


@pytest.fixture(scope="module")
def bundles(folder, tmp_path_factory):
    return write_exact_bundles(folder, tmp_path_factory.mktemp("bundles") / "exact")


def engine(folder, bundles, view=1):
    scene = load_scene(folder, heldout_every=0)
    frame = ViewFrame.of_scene(scene, view)
    return scene, to_engine(read_bundle(bundles / f"{view:03d}.npz"), frame, "here")


def test_depth_and_normals_are_those_of_the_sphere(folder, bundles):
    scene, bundle = engine(folder, bundles)
    known = bundle.depth_confidence > 0
    v, u = np.nonzero(known)
    pixels = torch.tensor(np.stack([u, v], -1), dtype=torch.float32)
    origins, directions = scene.cameras.rays(torch.full((len(u),), 1), pixels)
    points = origins + torch.from_numpy(bundle.depth[known]).unsqueeze(1) * directions
    radius = points.norm(dim=1)
    assert len(u) > 300 and (radius - radius.mean()).abs().max() < 1e-4
    normals = torch.from_numpy(bundle.normal[known])
    assert ((points / radius.unsqueeze(1) * normals).sum(1) > 1 - 1e-4).all()


def test_the_picture_is_albedo_times_shading(folder, bundles):
    scene, bundle = engine(folder, bundles)
    known = bundle.albedo_confidence > 0
    # highlights and outlines apart, it is: most pixels agree to a grey level
    shown = bundle.albedo[known] * bundle.shading[known]
    difference = np.abs(shown - scene.images[1].numpy()[known] / 255).max(-1)
    assert np.median(difference) < 2 / 255


def test_light_is_found_among_shadows():
    generator = np.random.default_rng(0)
    normal = generator.normal(size=(40, 50, 3)).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = np.zeros((9, 3), np.float32)
    light[0], light[1:] = 3.0, generator.normal(size=(8, 3)) * 0.3
    shading = spherical_harmonics(torch.from_numpy(normal.reshape(-1, 3))).numpy() @ light
    shading = shading.reshape(40, 50, 3)
    shadow = generator.random((40, 50)) < 0.15
    shading[shadow] *= 0.3
    known = generator.random((40, 50)) < 0.9
    found, confidence = fitted_light(normal, shading, known)
    assert found == pytest.approx(light, abs=1e-3)
    assert (confidence[shadow | ~known] == 0).all() and (confidence[known & ~shadow] > 0.98).all()
    assert fitted_light(normal, shading, np.zeros_like(known))[1].max() == 0


def test_each_has_a_picture_and_says_what_it_is(folder, bundles):
    assert sorted(path.name for path in bundles.iterdir()) == ["000.npz", "000.png", "001.npz", "001.png"]
    assert np.asarray(Image.open(bundles / "001.png")).shape == (50, 8 * 64, 3)
    header = read_bundle(bundles / "000.npz").header
    assert (header.scene, header.view, header.width, header.height) == ("ball", "000", 64, 50)
    assert header.depth.unit == "scene"


@pytest.mark.parametrize("name", ["stereo_depth", "low_resolution_depth"])
def test_a_sensor_gives_its_depth(folder, bundles, tmp_path, name):
    _, exact = engine(folder, bundles)
    _, sensed = engine(folder, write_exact_bundles(folder, tmp_path / name, depth=name))
    both = (sensed.depth_confidence > 0) & (exact.depth_confidence > 0)
    assert sensed.normal is None and both.sum() > 0.7 * exact.depth_confidence.sum()
    error = np.abs(sensed.depth - exact.depth)[both]
    assert 1e-4 < np.median(error) < 0.05
    assert (sensed.depth[sensed.depth_confidence == 0] == 0).all()


def test_so_many_pixels_are_wrong_and_the_others_are_not(bundles):
    stored = read_bundle(bundles / "000.npz")
    bad = corrupted(stored, 0.2, np.random.default_rng(1))
    known = stored.arrays["depth_confidence"] > 0
    wrong = bad.arrays["depth"] != stored.arrays["depth"]
    assert 0.2 <= wrong[known].mean() < 0.25 and not wrong[~known].any()
    error = np.abs(bad.arrays["depth"][wrong] / stored.arrays["depth"][wrong] - 1)
    assert error.min() > 0.019 and error.max() < 0.101
    cosine = (bad.arrays["normal"] * stored.arrays["normal"]).sum(-1)
    assert (cosine[known & ~wrong] > 0.999).all()
    assert np.linalg.norm(bad.arrays["normal"][known], axis=-1) == pytest.approx(1, abs=1e-5)
    assert np.degrees(np.arccos(cosine[wrong].clip(-1, 1))).max() < 71 and np.median(cosine[wrong]) < 0.9
    for name in ("albedo", "shading"):
        changed = (bad.arrays[name] != stored.arrays[name]).any(-1)
        assert not (changed & ~wrong).any() and changed[wrong & (stored.arrays[name] > 0).all(-1)].all()
    assert all((bad.arrays[name] == values).all() for name, values in stored.arrays.items() if "confidence" in name)


def test_corrupted_bundles_can_still_be_read(folder, tmp_path):
    engine(folder, write_exact_bundles(folder, tmp_path / "bad", corrupt=0.2, seed=3))


def test_what_cannot_be_written_is_said(folder, bundles, tmp_path):
    with pytest.raises(PriorError, match="exists already"):
        write_exact_bundles(folder, bundles)
    with pytest.raises(PriorError, match="known are exact, stereo_depth"):
        write_exact_bundles(folder, tmp_path / "a", depth="lidar")
    with pytest.raises(PriorError, match="make it with nsr scene sense"):
        write_exact_bundles(folder, tmp_path / "a", depth="sparse_depth")
    with pytest.raises(PriorError, match="below 1"):
        write_exact_bundles(folder, tmp_path / "a", corrupt=1.0)
    with pytest.raises(SceneError):
        write_exact_bundles(tmp_path, tmp_path / "a")
    assert not (tmp_path / "a").exists()
