"""Networks over a scene's views: what they see, and where what they say ends up, with networks that know the truth."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from nsr.cli.main import main
from nsr.cli.prior_chain import depth_normals, run_chain
from nsr.errors import PriorError
from nsr.priors.bundle_file import DepthConvention, read_bundle
from nsr.priors.conversion import harmonics_at
from nsr.priors.loading import load_bundles
from nsr.priors.networks.common.task import Task
from nsr.priors.networks.intrinsic_decomposition.illumination import shade
from nsr.priors.networks.shape_from_shading.rig import Rig

VIEWS = (1, 2, 6)
METRES = 0.001  # the sphere's world is in millimetres


class Oracle(Task):
    """A network in name: it remembers what it was shown and answers by a function of it."""

    def __init__(self, answer, **attributes):
        self.network, self.answer, self.shown = torch.nn.Linear(1, 1), answer, []
        self.network.factor = 4
        for name, value in attributes.items():
            setattr(self, name, value)

    def predict(self, sample):
        self.shown.append(sample)
        return self.answer(sample)

    def losses(self, batch):
        raise AssertionError("nothing is trained here")

    measure = panels = losses


@pytest.fixture
def scene(sphere_scene, sphere_scene_folder):
    return replace(sphere_scene, folder=sphere_scene_folder)


@pytest.fixture
def sensed(write_sphere_bundle, tmp_path):
    """Bundles with the exact depth alone."""
    for view in VIEWS:
        write_sphere_bundle(tmp_path / "sensed", view, normal=None)
    return tmp_path / "sensed"


@pytest.fixture
def small(write_sphere_bundle, sphere_maps, tmp_path):
    """The same at half the size."""
    for view in VIEWS:
        depth = 2.5 * sphere_maps(view).z[::2, ::2]
        write_sphere_bundle(tmp_path / "small", view, normal=None, depth=depth, width=32, height=24)
    return tmp_path / "small"


def of_view(sample):
    return int(sample["name"])


def is_mirrored(sample, exact):
    mirrored = not np.array_equal(sample["mask"][0] > 0, exact.mask)
    assert np.array_equal(sample["mask"][0] > 0, exact.mask[:, ::-1] if mirrored else exact.mask)
    return mirrored


def shown_normals(sample, exact):
    """True normals ``[3, H, W]`` of a view, in the camera's frame; of the mirrored object where that is shown."""
    normal = torch.from_numpy(exact.normal @ exact.frame.pose[:3, :3]).permute(2, 0, 1).float()
    return normal.flip(2) * torch.tensor([-1.0, 1.0, 1.0]).view(3, 1, 1) if is_mirrored(sample, exact) else normal


def test_denoising_is_shown_metres_and_its_depth_comes_back(scene, sensed, sphere_maps, tmp_path):
    task = Oracle(lambda sample: {"depth": sample["noisy"] * 1.001})
    written, left_out = run_chain(scene, [("depth-denoising", task)], tmp_path / "out", sensed, METRES)
    assert written == ["001", "002", "006"] and left_out == ["000", "003", "004", "005", "007"]
    for sample in task.shown:
        np.testing.assert_allclose(sample["noisy"][0], 0.0025 * sphere_maps(of_view(sample)).z, rtol=1e-5)
        infrared = sample["infrared"]
        assert infrared.shape == (1, 48, 64) and 0 <= infrared.min() <= infrared.max() <= 1
    for view, bundle in load_bundles(scene, tmp_path / "out", VIEWS).items():
        np.testing.assert_allclose(bundle.depth, 1.001 * sphere_maps(view).ray, rtol=1e-5)
        mask = sphere_maps(view).mask
        np.testing.assert_allclose(bundle.depth_confidence[mask], np.exp(-0.1), atol=1e-3)  # moved by a tenth of 1 %
        assert (tmp_path / "out" / f"{view:03d}.png").is_file()


def test_a_chain_hands_on_size_intrinsics_and_depth(scene, small, sphere_maps, tmp_path):
    def enlarged(sample):
        big = {name: interpolate(sample[name][None], scale_factor=2, mode="nearest")[0] for name in ("depth", "mask")}
        return {**big, "bicubic": big["depth"]}

    super_resolution = Oracle(enlarged)
    relief = Oracle(lambda sample: {"depth": sample["low"], "confidence": 0.5 * sample["mask"]}, rig=Rig())
    chain = [("depth-super-resolution", super_resolution), ("shape-from-shading", relief)]
    run_chain(scene, chain, tmp_path / "out", small, METRES)
    assert super_resolution.enlarge and super_resolution.factor == 2
    assert super_resolution.shown[0]["depth"].shape == (1, 24, 32)
    assert relief.shown[0]["low"].shape == relief.shown[0]["shading"].shape == (1, 48, 64)
    frame = sphere_maps(6).frame
    assert relief.rig.focal == pytest.approx((frame.intrinsics[0, 0], frame.intrinsics[1, 1]), rel=1e-5)
    header = read_bundle(tmp_path / "out" / "006.npz").header
    assert (header.width, header.height, header.source) == (64, 48, "shape from shading")
    bundle = load_bundles(scene, tmp_path / "out", [6])[6]
    known = bundle.depth_confidence > 0
    assert np.abs(bundle.depth / sphere_maps(6).ray.clip(1e-3) - 1)[known & sphere_maps(6).mask].mean() < 0.02
    np.testing.assert_allclose(bundle.depth_confidence[known], 0.5, atol=1e-6)


def test_a_depth_on_lines_is_made_smooth_before_relief_is_recovered(scene, write_sphere_bundle, sphere_maps, tmp_path):
    """As the network was trained; and nothing is said beyond the outermost lines."""
    lines = np.zeros((48, 64), dtype=bool)
    lines[::6], lines[:, ::6] = True, True
    for view in VIEWS:
        exact = sphere_maps(view)
        write_sphere_bundle(tmp_path / "lines", view, normal=None, depth=2.5 * exact.z * lines)
    relief = Oracle(lambda sample: {"depth": sample["low"]}, rig=Rig())
    run_chain(scene, [("shape-from-shading", relief)], tmp_path / "out", tmp_path / "lines", METRES)
    for sample in relief.shown:
        exact = sphere_maps(of_view(sample))
        low, middle = 1000 * sample["low"][0].numpy(), exact.mask & (exact.normal @ exact.frame.pose[:3, 2] < -0.6)
        assert middle.sum() > 200 and (low[middle] > 0).all()
        assert np.abs(low - 2.5 * exact.z)[middle].mean() < 0.05  # of a ball 3 across
    bundle = load_bundles(scene, tmp_path / "out", [6])[6]
    assert (bundle.depth_confidence > 0)[sphere_maps(6).mask].mean() > 0.8


def test_normals_of_a_depth_are_those_of_its_surface(sphere_maps):
    exact = sphere_maps(3)
    normal, smooth = depth_normals(exact.z, exact.frame.intrinsics)
    expected = exact.normal @ exact.frame.pose[:3, :3]
    facing = smooth & (expected[..., 2] < -0.6)
    assert facing.sum() > 200
    angle = np.degrees(np.arccos((normal * expected).sum(-1)[facing].clip(-1, 1)))
    assert angle.mean() < 1 and not normal[~smooth].any()
    assert not smooth[~exact.mask].any()


def test_a_decomposition_keeps_its_frame_and_its_light(scene, sphere_maps, tmp_path):
    """The light in the network's own basis and axes shades normals of the normalised frame as those of the camera's."""
    light = torch.cat([torch.tensor([0.9, 0.3, 0.2, -0.1, 0.05, 0.1, -0.05, 0.02, 0.03])] * 3)[None]

    def decomposed(sample):
        exact = sphere_maps(of_view(sample))
        normal, mirrored = shown_normals(sample, exact), is_mirrored(sample, exact)
        towards = torch.tensor([-1.0 if mirrored else 1.0, 1.0, 1.0]).view(3, 1, 1)
        shading = shade((towards * normal)[None], light)[0]  # the light is mirrored, too
        albedo = sample["image"] / shading.clamp_min(0.05)
        return {
            "normal": normal, "albedo": albedo, "shading": shading, "harmonic_shading": shading,
            "reconstruction": albedo * shading,
        }  # fmt: skip

    task = Oracle(decomposed)
    written, left_out = run_chain(scene, [("intrinsic-decomposition", task)], tmp_path / "out")
    assert len(written) == 8 and left_out == []
    for view, bundle in load_bundles(scene, tmp_path / "out", VIEWS).items():
        mask = sphere_maps(view).mask
        np.testing.assert_allclose(bundle.normal[mask], sphere_maps(view).normal[mask], atol=1e-5)
        again = harmonics_at(torch.from_numpy(bundle.normal[mask])).numpy() @ bundle.harmonics
        np.testing.assert_allclose(again, bundle.shading[mask], atol=2e-3)
        assert bundle.albedo_confidence[mask].mean() > 0.95 and not bundle.albedo_confidence[~mask].any()
        image = scene.images[view].numpy()[mask] / 255
        np.testing.assert_allclose((bundle.albedo * bundle.shading)[mask], image, atol=0.02)


def test_what_a_decomposition_says_otherwise_of_the_same_object_is_doubted(scene, sphere_maps, tmp_path):
    """On the right half of the picture it tells normals that do not turn with the mirror, and on the upper half an
    albedo that changes twice as much as the exposure."""

    def decomposed(sample):
        normal = shown_normals(sample, sphere_maps(of_view(sample)))
        mirrored = is_mirrored(sample, sphere_maps(of_view(sample)))
        u = torch.arange(64).expand(48, 64)
        right = (u < 32) if mirrored else (u >= 32)
        turned = torch.tensor([0.5, 0.0, -0.75**0.5]).view(3, 1, 1)
        upper = (torch.arange(48) < 24).view(48, 1)
        image = sample["image"]
        albedo = torch.where(upper, image**2, image)
        flat = torch.ones_like(image)
        return {"normal": torch.where(right, turned, normal), "albedo": albedo, "shading": flat,
                "harmonic_shading": flat, "reconstruction": image}  # fmt: skip

    run_chain(scene, [("intrinsic-decomposition", Oracle(decomposed))], tmp_path / "out")
    bundle, mask = load_bundles(scene, tmp_path / "out", [2])[2], sphere_maps(2).mask
    right, upper = np.arange(64) >= 32, np.arange(48)[:, None] < 24
    sure = bundle.normal_confidence
    assert sure[mask & ~right].min() > 0.99 and sure[mask & right].max() < 0.1
    assert not bundle.normal_confidence[~mask].any()
    halves = sorted(np.median(bundle.shading_confidence[mask & part]) for part in (upper, ~upper))
    assert halves[0] < 0.2 and halves[1] > 0.99  # which of the two is right, nobody knows
    assert np.array_equal(bundle.albedo_confidence, bundle.shading_confidence)


def test_a_decomposition_stands_beside_a_depth(scene, sensed, sphere_maps, tmp_path):
    def decomposed(sample):
        normal = shown_normals(sample, sphere_maps(of_view(sample)))
        flat = torch.ones_like(normal)
        return {"normal": normal, "albedo": sample["image"], "shading": flat, "harmonic_shading": flat,
                "reconstruction": sample["image"]}  # fmt: skip

    denoise = Oracle(lambda sample: {"depth": sample["noisy"]})
    chain = [("depth-denoising", denoise), ("intrinsic-decomposition", Oracle(decomposed))]
    run_chain(scene, chain, tmp_path / "out", sensed, METRES)
    bundle = load_bundles(scene, tmp_path / "out", [2])[2]
    np.testing.assert_allclose(bundle.depth, sphere_maps(2).ray, rtol=1e-5)
    mask = sphere_maps(2).mask
    np.testing.assert_allclose(bundle.normal[mask], sphere_maps(2).normal[mask], atol=1e-5)
    assert read_bundle(tmp_path / "out" / "002.npz").header.source == "depth denoising and intrinsic decomposition"


def test_what_a_network_lacks_is_named(scene, sensed, small, tmp_path):
    denoise = [("depth-denoising", Oracle(lambda sample: {"depth": sample["noisy"]}))]
    with pytest.raises(PriorError, match="view 000: depth-denoising needs a metric depth; .* --input"):
        run_chain(scene, denoise, tmp_path / "out")
    with pytest.raises(PriorError, match="works in metres; say what a world unit of the scene is: --scene_unit"):
        run_chain(scene, denoise, tmp_path / "out", sensed)
    with pytest.raises(PriorError, match="nowhere: there is no such folder of bundles; 'nsr prior import' makes one"):
        run_chain(scene, denoise, tmp_path / "out", tmp_path / "nowhere", METRES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PriorError, match="empty: holds no bundle of any view of sphere"):
        run_chain(scene, denoise, tmp_path / "out", tmp_path / "empty", METRES)

    def three_times_as_far(sample):
        return {"depth": 3 * sample["depth"], "bicubic": 3 * sample["depth"], "mask": sample["mask"]}

    wrong = [("depth-super-resolution", Oracle(three_times_as_far))]
    with pytest.raises(PriorError, match="sphere, view 001: only 0% of the object's depths"):
        run_chain(scene, wrong, tmp_path / "out", small, METRES)
    with pytest.raises(PriorError, match="the depth is 64 x 48, as large as the picture already"):
        run_chain(scene, wrong, tmp_path / "out", sensed, METRES)
    with pytest.raises(PriorError, match="sensed: the bundles would take the place of those that they are made from"):
        run_chain(scene, denoise, tmp_path / "out" / ".." / "sensed", sensed, METRES)
    assert not (tmp_path / "out").exists()


def test_what_a_world_unit_is_must_not_be_told_in_two_ways(scene, write_sphere_bundle, sphere_maps, tmp_path):
    told = DepthConvention("metric", "mm", "z", 1.0)
    write_sphere_bundle(tmp_path / "in", 2, normal=None, depth=2500 * sphere_maps(2).z, depth_convention=told)
    denoise = [("depth-denoising", Oracle(lambda sample: {"depth": sample["noisy"]}))]
    with pytest.raises(PriorError, match="view 002: by its bundle a world unit .* is 1 m, by --scene_unit 0.001 m"):
        run_chain(scene, denoise, tmp_path / "out", tmp_path / "in", METRES)
    assert run_chain(scene, denoise, tmp_path / "out", tmp_path / "in", 1.0)[0] == ["002"]


def test_one_bad_view_is_left_out_by_name(scene, sensed, write_sphere_bundle, tmp_path, caplog):
    """Of a bundle of another view, of one that is damaged, and of a network that fails at one: the others are done,
    and a bundle that was there stays."""
    (sensed / "001.npz").write_bytes((sensed / "002.npz").read_bytes())
    write_sphere_bundle(sensed, 3, normal=None)
    (sensed / "003.npz").write_bytes((sensed / "003.npz").read_bytes()[:500])
    stays = write_sphere_bundle(tmp_path / "out", 6).read_bytes()
    task = Oracle(lambda sample: {"depth": sample["noisy"] * (np.nan if of_view(sample) == 6 else 1)})
    with caplog.at_level(logging.WARNING, logger="nsr"):
        done = run_chain(scene, [("depth-denoising", task)], tmp_path / "out", sensed, METRES)
    assert done == (["002"], ["000", "001", "003", "004", "005", "006", "007"])
    for record, reason in zip(caplog.records, ["is of view 002", "cannot be read", "view 006: depth has"], strict=True):
        assert record.getMessage().startswith("left out: ") and reason in record.getMessage()
    assert (tmp_path / "out" / "006.npz").read_bytes() == stays
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["002.npz", "002.png", "006.npz"]


def test_a_chain_that_is_stopped_leaves_nothing(scene, sensed, tmp_path):
    def stopped_at_the_second(sample):
        if of_view(sample) == 2:
            raise KeyboardInterrupt
        return {"depth": sample["noisy"]}

    with pytest.raises(KeyboardInterrupt):
        run_chain(scene, [("depth-denoising", Oracle(stopped_at_the_second))], tmp_path / "out", sensed, METRES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sensed", "sphere"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs the path of a file to write, or --scene"),
        (["--scene", "SCENE", "--output", "OUT", "--name", "none"], "there is no such run of depth-super-resolution"),
        (
            ["--scene", "SCENE", "--checkpoint", "OUT/none.pt", "--then", "mind-reading"],
            "OUT/none.pt",
        ),
    ],
)
def test_the_command_says_what_it_lacks(arguments, message, scene, tmp_path, capsys):
    places = {"SCENE": str(scene.folder), "OUT": str(tmp_path)}

    def placed(text):
        for name, path in places.items():
            text = text.replace(name, path)
        return text

    assert main(["prior", "export", "depth-super-resolution", *map(placed, arguments)]) == 2
    error = capsys.readouterr().err
    assert placed(message) in error and error.count("\n") == 1
