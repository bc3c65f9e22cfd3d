"""Photometric consistency on photographs of an exact ball: where it is small, where it pulls, what it leaves out."""

import copy
from dataclasses import astuple, replace
from functools import partial

import pytest
import torch

from nsr.config.schema import Config, PhotometricConfig, RayTracerConfig
from nsr.rendering.ray_tracing import RayTracer
from nsr.rendering.surface import SurfaceRendering
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene
from nsr.training.camera_optimisation import TrainableCameras
from nsr.training.losses import LossTerm
from nsr.training.photometric import PhotometricConsistency, patch_level, photometric_weight
from nsr.training.pixel_sampler import PixelBatch, PixelSampler
from nsr.training.start import rough_surface
from nsr.training.trainer import Trainer

CPU = torch.device("cpu")
RADIUS = 0.6
SIZE = 128
CONFIG = PhotometricConfig(weight=1.0, rays=200, patch_size=5, patch_spacing=1.5, sources=4, best=2, clearance=0.0)


def pattern(points):
    waves = 128 + 90 * torch.sin(22 * points[:, [1, 2, 0]] + 9 * points)
    return waves.round().to(torch.uint8)


@pytest.fixture(scope="module")
def ball():
    """Seven views round a patterned ball of radius 0.6; view 3 is held out."""
    cameras = []
    for view in range(7):
        angle = torch.tensor(0.5 * view, dtype=torch.float64)
        outward = torch.stack([angle.cos(), angle.sin(), 0.3 * (2.1 * angle).sin()])
        outward = outward / outward.norm()
        right = torch.nn.functional.normalize(
            torch.linalg.cross(-outward, torch.tensor([0, 0, 1.0], dtype=torch.float64)), dim=0
        )
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, :3] = torch.stack([right, torch.linalg.cross(-outward, right), -outward], dim=1)
        pose[:3, 3] = 3 * outward
        cameras.append(pose)
    intrinsics = torch.tensor([[240.0, 0, 63.5], [0, 240, 63.5], [0, 0, 1]], dtype=torch.float64).repeat(7, 1, 1)
    cameras = Cameras(intrinsics, torch.stack(cameras))
    v, u = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    pixels = torch.stack([u, v], dim=-1).view(-1, 2).double()
    images, masks = [], []
    for view in range(7):
        origins, directions = cameras.rays(torch.full((len(pixels),), view), pixels)
        depth, hit = meet(origins, directions, RADIUS)
        image = pattern(origins + depth[:, None] * directions)
        image[~hit] = 250
        images.append(image.view(SIZE, SIZE, 3))
        masks.append(hit.view(SIZE, SIZE))
    return Scene("ball", images, masks, cameras, torch.eye(4).numpy(), [0, 1, 2, 4, 5, 6], [3])


def meet(origins, directions, radius):
    """Depth of a ball's front and which rays meet it."""
    along = (origins * directions).sum(1)
    inside = along**2 - origins.square().sum(1) + radius**2
    return -along - inside.clamp_min(0).sqrt(), inside > 0


def rough(count=1500):
    normals = torch.nn.functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    return RADIUS * normals, normals


def consistency(scene, **changes):
    return PhotometricConsistency(scene, replace(CONFIG, **changes), *rough())


def batch_of(scene, count=400, views=None):
    torch.manual_seed(5)
    batch = PixelSampler(scene, CPU, anywhere=0.0, margin=0.0).draw(count)
    return batch if views is None else replace(batch, views=torch.full_like(batch.views, views))


def render(scene, batch, radius=RADIUS, tilt=None):
    """The ball of ``radius`` as a renderer would give it, double precision, differentiable in radius and tilt."""
    origins, directions = scene.cameras.rays(batch.views, batch.pixels.double())
    depth, hit = meet(origins, directions, radius)
    surface = (hit & batch.mask).nonzero().squeeze(1)
    points = origins + depth[:, None] * directions
    normals = torch.nn.functional.normalize(points, dim=1)
    gradients = normals if tilt is None else normals + tilt
    return SurfaceRendering(
        hit, surface, torch.zeros(len(surface), 3), points.detach(), depth * 0, gradients, torch.empty(0),
        surface_points=points[surface],
    )  # fmt: skip


def loss_of(scene, rendering, batch, compare=None, poses=None, value=lambda x: x.norm(dim=1) - RADIUS, level=0):
    tracer = RayTracer(RayTracerConfig())
    poses = scene.cameras.poses if poses is None else poses
    compare = compare or consistency(scene)
    surface = rendering.surface
    at = surface, rendering.surface_points, rendering.gradients[surface]
    return compare(*at, batch, Cameras(scene.cameras.intrinsics, poses), partial(tracer.trace, value), level)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("level", [0, 1])
def test_the_loss_is_near_zero_on_the_true_surface_and_grows_away_from_it(ball, colour, level):
    batch = batch_of(ball)
    compare = consistency(ball, colour=colour)
    losses = {
        radius: loss_of(ball, render(ball, batch, radius), batch, compare, level=level).item()
        for radius in (0.57, 0.59, RADIUS, 0.61, 0.63)
    }
    assert losses[RADIUS] < 0.01
    assert losses[0.57] > losses[0.59] > 1.1 * losses[RADIUS] and losses[0.63] > losses[0.61] > 1.1 * losses[RADIUS]
    assert losses[0.57] > 3 * losses[RADIUS] and losses[0.63] > 3 * losses[RADIUS]


def test_wrong_normals_cost(ball):
    batch = batch_of(ball)
    tilt = torch.tensor([0.3, -0.2, 0.4], dtype=torch.float64)
    assert loss_of(ball, render(ball, batch, tilt=tilt), batch) > 2 * loss_of(ball, render(ball, batch), batch)


@pytest.mark.parametrize("colour", [False, True])
def test_its_gradient_in_depth_and_normals_is_that_of_finite_differences(ball, colour):
    # As many as the sources see, so that no choice of the best changes between two evaluations.
    batch, compare = batch_of(ball, 60), consistency(ball, colour=colour, best=4)

    def loss(radius, tilt):
        return loss_of(ball, render(ball, batch, radius, tilt), batch, compare)

    radius = torch.tensor(0.617, dtype=torch.float64, requires_grad=True)
    tilt = torch.tensor([0.11, -0.07, 0.05], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (radius, tilt), eps=1e-8, atol=1e-3, rtol=1e-3)
    assert torch.autograd.grad(loss(radius, tilt), radius)[0].abs() > 0.1


@pytest.mark.parametrize("off", [-0.04, -0.02, -0.01, 0.01, 0.02, 0.04])
def test_it_pulls_a_displaced_ball_to_its_true_size(ball, off):
    """From four pixels off down to one; a pixel spans 0.01."""
    batch, compare = batch_of(ball, 200), consistency(ball)
    radius = torch.tensor(RADIUS + off, dtype=torch.float64, requires_grad=True)
    loss = loss_of(ball, render(ball, batch, radius), batch, compare)
    (slope,) = torch.autograd.grad(loss, radius)
    assert slope * off > 0 and slope.abs() > 0.1


def test_its_gradient_in_the_poses_is_that_of_finite_differences(ball):
    batch, compare = batch_of(ball, 60), consistency(ball, best=4)
    rendering = render(ball, batch, 0.61)
    poses = ball.cameras.poses.clone().requires_grad_()
    loss = loss_of(ball, rendering, batch, compare, poses)
    gradient = torch.autograd.grad(loss, poses)[0]
    assert gradient[3].abs().max() == 0 and gradient[[0, 1, 2, 4, 5, 6]].abs().amax((1, 2)).min() > 0
    for entry in ((0, 0, 3), (2, 2, 3), (5, 1, 0)):
        shifted = [ball.cameras.poses.clone(), ball.cameras.poses.clone()]
        for sign, pose in zip((-1, 1), shifted):
            pose[entry] += sign * 1e-7
        low, high = (loss_of(ball, rendering, batch, compare, pose) for pose in shifted)
        assert gradient[entry].item() == pytest.approx(((high - low) / 2e-7).item(), rel=2e-2, abs=1e-4)


def test_held_out_views_are_never_read(ball):
    batch = batch_of(ball)
    poisoned = copy.deepcopy(ball)
    poisoned.images[3] = torch.full((7, 5, 3), 255, dtype=torch.uint8)
    poisoned.masks[3] = torch.ones(7, 5, dtype=torch.bool)
    poisoned.cameras.poses[3], poisoned.cameras.intrinsics[3] = float("nan"), float("nan")
    compare = consistency(poisoned)
    assert not (compare.sources == 3).any() and compare.row[3] == -1
    rendering = render(ball, batch, 0.61)
    assert torch.equal(loss_of(poisoned, rendering, batch, compare), loss_of(ball, rendering, batch))


def test_a_source_that_something_hides_is_left_out(ball):
    """View 0 is compared with view 1 alone, whose photograph is of something else, but not where a wall hides it."""
    scene = copy.deepcopy(ball)
    scene.train_views = [0, 1]
    scene.images[1] = scene.images[1].roll(9, 0)
    batch = batch_of(scene, 300)
    batch = PixelBatch(*(tensor[batch.views == 0] for tensor in astuple(batch)))
    compare = consistency(scene, clearance=0.02)
    rendering = render(scene, batch)
    wall_centre = scene.cameras.centres[1] / 3 * 0.9

    def wall(x):
        return torch.minimum(x.norm(dim=1) - RADIUS, (x - wall_centre).norm(dim=1) - 0.25)

    open_loss, hidden_loss = (loss_of(scene, rendering, batch, compare, value=value) for value in
                              (lambda x: x.norm(dim=1) - RADIUS, wall))  # fmt: skip
    assert open_loss > 0.1
    everywhere = loss_of(scene, rendering, batch, compare, value=lambda x: torch.full_like(x[:, 0], -1.0))
    assert everywhere == 0
    ways = scene.cameras.centres[1] - rendering.surface_points
    ways = ways / ways.norm(dim=1, keepdim=True)
    beside = wall_centre - rendering.surface_points
    distance = (beside.square().sum(1) - (beside * ways).sum(1) ** 2).clamp_min(0).sqrt()
    assert 0.2 < (distance < 0.25).double().mean() < 1 and hidden_loss != open_loss


def test_the_best_few_views_count_so_that_one_with_a_highlight_does_not(ball):
    scene = copy.deepcopy(ball)
    spoilt = 2
    torch.manual_seed(1)
    scene.images[spoilt] = torch.randint(0, 255, scene.images[spoilt].shape, dtype=torch.uint8)
    batch = batch_of(scene)
    batch = PixelBatch(*(tensor[batch.views == 1] for tensor in astuple(batch)))
    rendering = render(scene, batch)
    best, all_of_them = (loss_of(scene, rendering, batch, consistency(scene, best=count)) for count in (1, 4))
    assert all_of_them > 0.2 and best < 0.3 * all_of_them


def test_what_has_no_texture_has_no_say(ball):
    scene = copy.deepcopy(ball)
    torch.manual_seed(2)
    for view in scene.train_views:
        noise = torch.randint(-1, 2, scene.images[view].shape)
        scene.images[view] = (120 + noise).to(torch.uint8)
    batch = batch_of(scene)
    radius = torch.tensor(0.63, dtype=torch.float64, requires_grad=True)
    loss = loss_of(scene, render(scene, batch, radius), batch)
    assert loss == 0
    assert loss_of(scene, render(scene, batch, radius), batch, consistency(scene, noise=0.1)) > 0


def test_contrast_below_the_noise_is_not_stretched(ball):
    """Sources with a twentieth of the contrast are the same picture, but most of what they show may be noise."""
    scene = copy.deepcopy(ball)
    for view in scene.train_views[1:]:
        dim = 128 + 0.05 * (scene.images[view].double() - 128)
        scene.images[view] = dim.round().to(torch.uint8)
    batch = batch_of(scene, views=0)
    small = loss_of(scene, render(scene, batch), batch, consistency(scene, noise=0.5))
    large = loss_of(scene, render(scene, batch), batch, consistency(scene, noise=6.0))
    assert small < 0.1 and 0.3 < large < 0.95


def test_views_that_are_compared_with_nothing_get_no_gradient(ball):
    """Theirs is not 0 but none: an optimiser moves on by its momentum what it sees a gradient of."""
    cameras = TrainableCameras(ball.cameras.to(torch.float32))
    batch, compare = batch_of(ball, 40, views=0), consistency(ball, sources=2)
    rendering, tracer = render(ball, batch, 0.61), RayTracer(RayTracerConfig())
    surface = rendering.surface
    at = surface, rendering.surface_points.float(), rendering.gradients[surface].float()
    trace = partial(tracer.trace, lambda x: x.norm(dim=1) - RADIUS)
    compare(*at, batch, cameras, trace, 0).backward()
    seen = cameras.vectors.weight.grad.coalesce().indices()[0].tolist()
    sources = [view for view in compare.sources[0].tolist() if view >= 0]
    assert sorted(seen) == sorted([0, *sources]) and len(seen) < len(ball.train_views)


def test_patches_that_leave_the_mask_are_dropped(ball):
    """With the right half of every mask gone, whatever lies there may be anything."""
    scenes = []
    for filling in (0, 255):
        scene = copy.deepcopy(ball)
        for view in scene.train_views:
            scene.masks[view][:, 64:] = False
            scene.images[view][:, 64:] = filling
        scenes.append(scene)
    batch = batch_of(scenes[0])
    losses = [loss_of(scene, render(scene, batch, 0.61), batch) for scene in scenes]
    assert torch.equal(*losses) and losses[0] > 0


def test_coarse_levels_see_farther(ball):
    """From so far off that the finest patches know no way back, coarser ones do."""
    batch = batch_of(ball)
    gradients = []
    for level in (0, 2):
        radius = torch.tensor(0.52, dtype=torch.float64, requires_grad=True)
        loss_of(ball, render(ball, batch, radius), batch, level=level).backward()
        gradients.append(radius.grad.item())
    assert gradients[1] < 0 and gradients[1] < gradients[0]


def test_schedules():
    config = PhotometricConfig(weight=0.5, start=0.2, final=0.1, coarse_levels=2, coarse_until=0.6)
    assert photometric_weight(config, 0.199) == 0 and photometric_weight(config, 0.2) == 0.5
    assert photometric_weight(config, 1.0) == pytest.approx(0.05)
    assert photometric_weight(config, 0.6) == pytest.approx(0.5 * 0.55)
    assert photometric_weight(PhotometricConfig(weight=0.5, start=1.0), 1.0) == 0.5
    assert [patch_level(config, progress) for progress in (0, 0.29, 0.31, 0.59, 0.6, 1)] == [2, 2, 1, 1, 0, 0]
    assert patch_level(PhotometricConfig(), 0.0) == 0


def run(config, scene, steps=4):
    trainer = Trainer(config, scene, CPU)
    losses = [trainer.step() for _ in range(steps)]
    return trainer, losses


def test_a_run_whose_comparison_never_starts_is_the_run_without_it_to_the_bit(hull_config, sphere_scene):
    without, _ = run(hull_config, sphere_scene)
    hull_config.photometric.weight, hull_config.photometric.start = 1.0, 0.99
    later, losses = run(hull_config, sphere_scene)
    assert losses[-1]["photometric"] == 0 and not hasattr(without, "photometric")
    for name, value in without.renderer.state_dict().items():
        assert torch.equal(value, later.renderer.state_dict()[name]), name


def test_without_a_hull_the_sphere_that_a_run_starts_from_stands_for_it():
    points, normals = rough_surface(Config(), None, CPU)
    torch.testing.assert_close(points, 0.6 * normals)
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(len(normals)))
    assert normals.mean(0).abs().max() < 1e-3


@pytest.mark.parametrize("renderer", ["surface", "volume"])
def test_a_run_with_it_trains_cameras_and_geometry_by_it(hull_config, sphere_scene, renderer):
    hull_config.train.renderer = renderer
    hull_config.train.train_cameras, hull_config.train.learning_rate_cam = True, 1e-3
    hull_config.photometric = PhotometricConfig(weight=1.0, patch_size=3, best=2, noise=1.0)
    trainer = Trainer(hull_config, sphere_scene, CPU)
    trainer.terms = trainer.volume_terms = [LossTerm("photometric", lambda _: 1.0, trainer._compare_patches)]
    before = trainer.cameras.poses.clone()
    table = trainer.renderer.sdf.encoding.table.detach().clone()
    losses = trainer.step()
    assert 0 < losses["photometric"] < 1
    moved = (trainer.cameras.poses - before).abs().amax((1, 2))
    assert (moved[sphere_scene.train_views] > 0).all() and moved[4] == 0
    assert not torch.equal(trainer.renderer.sdf.encoding.table, table)
