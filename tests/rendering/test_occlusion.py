"""Whether ways are free, against lines and spheres in closed form."""

import torch

from nsr.rendering.occlusion import in_sight

CENTRES = torch.tensor([[0.0, 0, 0], [0.55, 0, 0.3]])
RADII = torch.tensor([0.35, 0.15])


def two_spheres(x):
    return ((x[:, None] - CENTRES).norm(dim=-1) - RADII).amin(1)


def test_a_ball_before_another_hides_what_is_behind_it():
    generator = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(3000, 3, generator=generator), dim=1)
    points = RADII[0] * normals
    target = torch.tensor([2.5, 0.2, 0.8]).expand_as(points)
    towards = torch.nn.functional.normalize(target - points, dim=1)
    facing = (towards * normals).sum(1) > 0.15
    points, normals, target, towards = points[facing], normals[facing], target[facing], towards[facing]
    beside = CENTRES[1] - points
    along = (beside * towards).sum(1)
    distance = (beside.square().sum(1) - along**2).sqrt()
    clear = (distance > RADII[1] + 0.02) | (distance < 0.6 * RADII[1])  # shorter chords may be jumped over
    free = in_sight(two_spheres, points, normals, target, clearance=0.01)
    assert clear.sum() > 800 and (distance[clear] < RADII[1]).sum() > 50
    assert torch.equal(free[clear], distance[clear] > RADII[1])


def test_the_far_side_is_hidden_and_the_near_side_is_not():
    normals = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    cosine = normals[:, 2]
    target = torch.tensor([[0.0, 0, 3.0]]).expand_as(normals)
    free = in_sight(lambda x: x.norm(dim=1) - 0.6, 0.6 * normals, normals, target, clearance=0.01)
    assert free[cosine > 0.4].all() and not free[cosine < -0.1].any()


def test_only_ways_that_are_not_yet_free_are_followed():
    asked = []

    def value(x):
        asked.append(len(x))
        return x.norm(dim=1) - 0.6

    normals = torch.tensor([[0.0, 0, 1], [0, 0, 1]])
    target = torch.tensor([[0.0, 0, 3], [0, 0, 0.62]])
    assert in_sight(value, 0.6 * normals, normals, target, clearance=0.01).all()
    assert asked[0] == 1 and sum(asked) < 12 and in_sight(value, normals[:0], normals[:0], target[:0], 0.01).shape == (0,)
