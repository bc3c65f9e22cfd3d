"""Whether ways are free, against lines and spheres in closed form."""

import torch

from nsr.config.schema import RayTracerConfig
from nsr.rendering.occlusion import in_sight
from nsr.rendering.ray_tracing import RayTracer

CENTRES = torch.tensor([[0.0, 0, 0], [0.55, 0, 0.3]])
RADII = torch.tensor([0.35, 0.15])
TRACER = RayTracer(RayTracerConfig())


def two_spheres(origins, directions):
    return TRACER.trace(lambda x: ((x[:, None] - CENTRES).norm(dim=-1) - RADII).amin(1), origins, directions)


def one_sphere(origins, directions):
    return TRACER.trace(lambda x: x.norm(dim=1) - 0.6, origins, directions)


def unit_vectors(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)


def test_a_ball_before_another_hides_what_is_behind_it():
    normals = unit_vectors(3000, 0)
    points = RADII[0] * normals
    target = torch.tensor([2.5, 0.2, 0.8]).expand_as(points)
    towards = torch.nn.functional.normalize(target - points, dim=1)
    facing = (towards * normals).sum(1) > 0.15
    points, normals, target, towards = points[facing], normals[facing], target[facing], towards[facing]
    beside = CENTRES[1] - points
    along = (beside * towards).sum(1)
    distance = (beside.square().sum(1) - along**2).sqrt()
    clear = (distance - RADII[1]).abs() > 0.015  # the clearance moves the ways by up to 0.01
    free = in_sight(two_spheres, points, normals, target, clearance=0.01)
    assert clear.sum() > 800 and (distance[clear] < RADII[1]).sum() > 50
    assert torch.equal(free[clear], distance[clear] > RADII[1])


def test_the_far_side_is_hidden_and_the_near_side_is_not():
    normals = unit_vectors(500, 1)
    target = torch.tensor([[0.0, 0, 3.0]]).expand_as(normals)
    free = in_sight(one_sphere, 0.6 * normals, normals, target, clearance=0.01)
    assert free[normals[:, 2] > 0.3].all() and not free[normals[:, 2] < -0.1].any()


def test_what_lies_behind_the_target_hides_nothing():
    points = torch.tensor([[0.35, 0, 0]])
    behind = CENTRES[1] - points
    normals = torch.tensor([[1.0, 0, 0]])
    for part, free in ((0.3, True), (1.0, False), (2.0, False)):
        assert in_sight(two_spheres, points, normals, points + part * behind, clearance=0.01).item() is free
