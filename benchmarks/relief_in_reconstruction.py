"""What the relief network adds where relief is finer than the depth sensor: errors of normals, and a figure.

    nsr scene make relief --conf confs/synthetic/relief.conf
    nsr prior exact relief relief/lines --depth sparse_depth
    nsr prior exact relief relief/between --depth interpolated_depth
    nsr prior export shape-from-shading --scene relief --input relief/lines --scene_unit mm relief/recovered
    python benchmarks/relief_in_reconstruction.py relief between recovered \\
        --mesh without=a/surface_world_coordinates_1.ply with=b/surface_world_coordinates_1.ply --figure relief.png

A row for each folder of bundles (a depth without normals is given those of its surface) and each mesh: mean angles to
the true normals over the pixels of all views that every row knows, and whose true normals lie within 60, or within 37,
degrees of the way to the camera.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from timing import describe

from nsr.cli.prior_chain import depth_normals
from nsr.evaluation.evaluate import read_mesh
from nsr.priors.bundle_file import read_bundle
from nsr.priors.conversion import ViewFrame, to_engine
from nsr.rendering.pictures import normal_picture
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.scene import Scene
from nsr.scenes.synthetic.ground_truth import ViewTruth, list_truth
from nsr.scenes.synthetic.ray_casting import TriangleCaster

LEAST_COSINES = (0.5, 0.8)  # between a true normal and the way to the camera
WORST = 45.0  # degrees, drawn brightest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("bundles", nargs="+", help="folders of bundles in the scene's")
    parser.add_argument("--mesh", nargs="*", default=[], metavar="NAME=FILE", help="meshes in world coordinates")
    parser.add_argument("--views", type=int, nargs="+", help="which count (default: all)")
    parser.add_argument("--figure", type=Path, help="a picture of the first of the views")
    options = parser.parse_args()
    scene = load_scene(options.scene, heldout_every=0)
    named = dict(pair.split("=", 1) for pair in options.mesh)
    meshes = {name: mesh_caster(scene, file) for name, file in named.items()}
    views = options.views or list(range(len(scene)))
    errors: dict[str, list[list[np.ndarray]]] = {}
    for view in views:
        true, cosine = true_normals(scene, view)
        found = {name: bundle_normals(scene, view, name) for name in options.bundles}
        found |= {f"mesh {name}": mesh_normals(scene, view, mesh) for name, mesh in meshes.items()}
        known = np.all([known for _, known in found.values()], axis=0)
        for name, (normal, _) in found.items():
            parts = [angle(normal, true)[known & (cosine >= least)] for least in LEAST_COSINES]
            errors.setdefault(name, []).append(parts)
        if options.figure and view == views[0]:
            draw(options.figure, scene, view, true, cosine >= LEAST_COSINES[0], found)
    print(describe(torch.device("cpu")))
    for name, parts in errors.items():
        means = [np.concatenate(of_views) for of_views in zip(*parts)]
        print(name.ljust(28) + "".join(f"{part.mean():8.2f} degrees ({len(part)} pixels)" for part in means))


def mesh_caster(scene: Scene, file: str) -> tuple[TriangleCaster, np.ndarray]:
    """Of a mesh in the normalised frame, and its triangles' normals ``[F, 3]``, smooth ones: means of the corners'."""
    mesh = read_mesh(file, "the mesh")
    caster = TriangleCaster(scene.to_normalised(np.asarray(mesh.vertices)).astype(np.float32), np.asarray(mesh.faces))
    normals = mesh.vertex_normals[mesh.faces].mean(axis=1)
    return caster, normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9)


def true_normals(scene: Scene, view: int) -> tuple[np.ndarray, np.ndarray]:
    """``[H, W, 3]`` in the normalised frame, and their cosines to the way to the camera ``[H, W]``, 0 at outlines."""
    frame = ViewFrame.of_scene(scene, view)
    truth = ViewTruth.read(list_truth(scene.folder)[view], frame.intrinsics, frame.pose)
    return truth.normal, np.where(truth.coverage >= 0.99, truth.cosine(), 0)


def bundle_normals(scene: Scene, view: int, folder: str) -> tuple[np.ndarray, np.ndarray]:
    frame = ViewFrame.of_scene(scene, view)
    stored = read_bundle(scene.folder / folder / f"{view:03d}.npz")
    bundle = to_engine(stored, frame, folder)
    if bundle.normal is not None:
        return bundle.normal, bundle.normal_confidence > 0
    z = bundle.depth / frame.ray_per_depth()
    normal, known = depth_normals(z, frame.intrinsics)
    return normal @ frame.pose[:3, :3].T, known


def mesh_normals(
    scene: Scene, view: int, mesh: tuple[TriangleCaster, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    caster, normals = mesh
    height, width = scene.masks[view].shape
    v, u = np.mgrid[:height, :width]
    pixels = torch.from_numpy(np.stack([u.ravel(), v.ravel()], axis=1)).float()
    origins, directions = scene.cameras.rays(torch.full((len(pixels),), view), pixels)
    distance, face = caster.first_hit(origins.float(), directions.float())
    hit = distance.isfinite()
    normal = np.zeros((len(pixels), 3))
    normal[hit] = normals[face[hit]]
    return normal.reshape(height, width, 3), hit.numpy().reshape(height, width)


def angle(normal: np.ndarray, true: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos((normal * true).sum(-1).clip(-1, 1)))


def draw(path: Path, scene: Scene, view: int, true: np.ndarray, facing: np.ndarray, found: dict) -> None:
    """Normals above, errors below: photograph and truth first, then a column for each row of the table."""
    rotation = scene.cameras.poses[view, :3, :3].numpy()
    rows, columns = np.nonzero(facing)
    crop = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    above, below = [normal_picture(true, facing, rotation)[crop]], [scene.images[view].numpy()[crop]]
    for normal, known in found.values():
        shown = facing & known
        above.append(normal_picture(normal, shown, rotation)[crop])
        part = np.where(shown, angle(normal, true) / WORST, 0).clip(0, 1)
        heat = cv2.applyColorMap((255 * part).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
        below.append(np.where(shown[..., None], heat, 255).astype(np.uint8)[crop])
    picture = np.concatenate([np.concatenate(above, axis=1), np.concatenate(below, axis=1)])
    cv2.imwrite(str(path), picture[..., ::-1])


if __name__ == "__main__":
    main()
