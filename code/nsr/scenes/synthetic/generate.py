"""``make_scene``: a synthetic scene on disk, as an IDR folder with its ground truth."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from nsr.atomic import whole_folder
from nsr.errors import SceneError
from nsr.scenes.cameras import Cameras
from nsr.scenes.idr_folder import CAMERA_FILE, GROUND_TRUTH_MESH, IMAGE_FOLDER, MASK_FOLDER, write_scene
from nsr.scenes.synthetic.analytic_surface import AnalyticSurface
from nsr.scenes.synthetic.ground_truth import GROUND_TRUTH_FOLDER, VIEW_FOLDER
from nsr.scenes.synthetic.layouts import layout_cameras
from nsr.scenes.synthetic.light import Light, studio_light
from nsr.scenes.synthetic.mesh_surface import MeshSurface
from nsr.scenes.synthetic.rendering import Material, Renderer, View
from nsr.scenes.synthetic.room import Room
from nsr.scenes.synthetic.sensors.sense import SENSOR_FOLDER, sense_scene
from nsr.scenes.synthetic.shapes import SHAPES
from nsr.scenes.synthetic.spec import ROOM_HALF_SIZE, SyntheticSpec
from nsr.scenes.synthetic.surfaces import Surface
from nsr.scenes.synthetic.texture import WaveTexture

LARGEST_MESH_ERROR = 0.01  # of the ground-truth mesh, mean, in pixel footprints


def make_scene(folder: str | Path, spec: SyntheticSpec) -> None:
    """Make the scene that ``spec`` describes.

    Writes ``image/``, ``mask/`` and ``cameras.npz`` (IDR's layout) and ``ground_truth/`` with

    * ``mesh.ply``: the true surface in world coordinates, its mean error below 0.01 pixel footprints;
    * ``views/NNN.npz``: per view, float32 unless it says otherwise: ``depth`` ``[H, W]`` (along the optical axis, world
      units, of the ray through the pixel's centre, 0 where it meets nothing), ``normal`` ``[H, W, 3]`` (unit, outward,
      world frame, same ray, 0 likewise), ``albedo``, ``shading``, ``specular`` ``[H, W, 3]`` float16 (linear, means
      over the part of the pixel that sees something), ``coverage`` ``[H, W]`` float16 (the object's part of the pixel),
      and ``conventions``, which says this in words.  The image is
      ``seen * (albedo * shading + specular) + (1 - seen) * background``, cut at 1 and rounded to 8 bits, where
      ``seen`` is the coverage, or 1 in a room;
    * ``light.json`` and ``spec.json``: light and recipe;

    and, where ``spec.sensors`` has one on, ``sensors/`` (``sense_scene``).

    A mask is True where the object covers at least half of the pixel, or everywhere in a room.  Everything appears
    together or not at all.

    Raises:
        SceneError: the spec cannot be used, the folder has a scene already, or the disk refuses.
    """
    spec.check()
    folder = Path(folder)
    for entry in (IMAGE_FOLDER, MASK_FOLDER, CAMERA_FILE, GROUND_TRUTH_FOLDER, SENSOR_FOLDER):
        if (folder / entry).exists():
            raise SceneError(f"{folder / entry} exists already; make the scene in a new folder or take that one away")
    cameras = scene_cameras(spec)
    surface = make_surface(spec)
    renderer = make_renderer(spec, surface)
    try:
        with whole_folder(folder) as partial:
            (partial / GROUND_TRUTH_FOLDER / VIEW_FOLDER).mkdir(parents=True)
            _write_mesh(partial / GROUND_TRUTH_MESH, surface, spec)
            _write_json(partial / GROUND_TRUTH_FOLDER / "light.json", light_description(renderer.light, spec))
            _write_json(partial / GROUND_TRUTH_FOLDER / "spec.json", dataclasses.asdict(spec))
            images, masks = _render_views(partial, spec, renderer, cameras)
            write_scene(partial, images, masks, cameras, scale_matrix(spec))
            if spec.sensors.any:
                sense_scene(partial, spec.sensors)
    except OSError as error:
        raise SceneError(f"{folder}: the scene cannot be written ({error.strerror or error})") from error


def scene_cameras(spec: SyntheticSpec) -> Cameras:
    """The cameras of ``spec``, float64, normalised frame."""
    return layout_cameras(
        spec.layout, spec.views, spec.height, spec.width, spec.field_of_view, spec.distance, spec.elevation
    )


def scale_matrix(spec: SyntheticSpec) -> np.ndarray:
    """``[4, 4]`` float64 similarity from the normalised frame to world coordinates."""
    matrix = np.diag([spec.world_scale] * 3 + [1.0])
    matrix[:3, 3] = spec.world_offset
    return matrix


def scene_light(spec: SyntheticSpec) -> Light:
    """The light of ``spec``, normalised frame."""
    return studio_light(spec.ambient, spec.point_lights, spec.point_intensity, spec.shadows, spec.seed)


def make_surface(spec: SyntheticSpec) -> Surface:
    """The object of ``spec``, coloured, normalised frame.

    Raises:
        SceneError: its mesh file cannot be used.
    """
    texture = None
    if spec.texture in ("procedural", "own_times_procedural"):
        texture = WaveTexture(spec.texture_wavelength, spec.texture_contrast, spec.seed)
    if not spec.is_analytic:
        return MeshSurface(spec.shape, spec.mesh_up, spec.texture.startswith("own"), texture)
    shape = SHAPES[spec.shape] if spec.relief else SHAPES[spec.shape].without_relief()
    return AnalyticSurface(shape, texture, LARGEST_MESH_ERROR * smallest_footprint(spec))


def make_renderer(spec: SyntheticSpec, surface: Surface) -> Renderer:
    """``surface`` under the light, in the material and in the room of ``spec``."""
    room = None
    if spec.room:
        # The walls are farther than the object: longer waves keep their texture from aliasing.
        room = Room(ROOM_HALF_SIZE, WaveTexture(4 * spec.texture_wavelength, spec.texture_contrast, spec.seed + 1))
    material = Material(spec.specular, spec.shininess)
    return Renderer(surface, scene_light(spec), material, spec.background, spec.supersampling, room)


def lit_for(spec: SyntheticSpec, renderer: Renderer, cameras: Cameras, view: int) -> Renderer:
    """The renderer with the lamp that the camera of ``view`` carries, where there is one."""
    if spec.lamp == 0:
        return renderer
    pose = cameras.poses[view].float()
    place = pose[:3, :3] @ (spec.distance * torch.tensor(spec.lamp_place)) + pose[:3, 3]
    return dataclasses.replace(renderer, light=renderer.light.with_lamp(place, spec.lamp))


def smallest_footprint(spec: SyntheticSpec) -> float:
    """Size of a pixel on the nearest part of the object's surface, normalised units."""
    focal = spec.width / (2 * math.tan(math.radians(spec.field_of_view) / 2))
    return (spec.distance - 0.8) / focal


def light_description(light: Light, spec: SyntheticSpec) -> dict:
    """The light in plain numbers, with their meaning, in world coordinates."""
    positions = light.positions.double().numpy() * spec.world_scale + spec.world_offset
    return {
        "conventions": "linear RGB; harmonics: 9 x 3 coefficients of the shading that a unit world-frame normal gets, "
        "real orthonormal spherical harmonics (l, m) = (0,0), (1,-1), (1,0), (1,1), (2,-2) ... (2,2), cut at 0; "
        "point lights: world coordinates, colour = shading of a facing surface at the object's centre's distance, "
        "falling with the squared distance; lamp: one that each camera carries, in its frame; highlight: Blinn-Phong, "
        "specular * colour * cos(half)^shininess",
        "harmonics": light.harmonics.tolist(),
        "point_lights": [
            {"position": position, "colour": colour}
            for position, colour in zip(positions.tolist(), light.colours.tolist(), strict=True)
        ],
        "lamp": {"place": [spec.distance * part * spec.world_scale for part in spec.lamp_place], "shading": spec.lamp},
        "shadows": light.shadows,
        "specular": spec.specular,
        "shininess": spec.shininess,
        "background": spec.background,
    }


def _render_views(
    folder: Path, spec: SyntheticSpec, renderer: Renderer, cameras: Cameras
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Render every view, write its ground truth, and return its image and mask."""

    def render(index: int) -> tuple[np.ndarray, np.ndarray]:
        view = lit_for(spec, renderer, cameras, index).render(cameras, index, spec.height, spec.width)
        _write_view(folder / GROUND_TRUTH_FOLDER / VIEW_FOLDER / f"{index:03d}.npz", view, spec)
        mask = torch.ones_like(view.coverage, dtype=torch.bool) if spec.room else view.coverage >= 0.5
        return (view.image * 255 + 0.5).byte().numpy(), mask.numpy()

    # Embree and torch let go of the interpreter's lock; each view is computed alike whichever thread takes it.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        pictures = list(pool.map(render, range(spec.views)))
    return [image for image, _ in pictures], [mask for _, mask in pictures]


def _write_view(path: Path, view: View, spec: SyntheticSpec) -> None:
    np.savez(
        path,
        depth=view.depth.numpy() * np.float32(spec.world_scale),
        normal=view.normal.numpy(),
        albedo=view.albedo.half().numpy(),
        shading=view.shading.half().numpy(),
        specular=view.specular.half().numpy(),
        coverage=view.coverage.half().numpy(),
        conventions="depth: z-depth along the optical axis, world units, 0 = nothing; normal: unit, outward, world "
        "frame; both of the ray through the pixel's centre; albedo, shading, specular: linear, means over the "
        "pixel's seen part; coverage: the object's part of the pixel",
    )


def _write_mesh(path: Path, surface: Surface, spec: SyntheticSpec) -> None:
    import trimesh

    vertices = surface.vertices.astype(np.float64) * spec.world_scale + spec.world_offset
    trimesh.Trimesh(vertices, surface.faces, process=False).export(path)


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
