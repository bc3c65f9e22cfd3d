"""What a synthetic scene is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from nsr.errors import SceneError
from nsr.scenes.synthetic.layouts import LAYOUTS
from nsr.scenes.synthetic.sensors.spec import SensorSpec
from nsr.scenes.synthetic.shapes import SHAPES

TEXTURES = ("procedural", "own", "own_times_procedural", "flat")


@dataclass
class SyntheticSpec:
    """A synthetic scene; the defaults are the default scene.

    Lengths are in the normalised frame (the object's largest radius is about 0.8) unless they say world.

    Attributes:
        shape: an analytic shape's name (a key of ``SHAPES``) or the path of a triangle mesh.
        relief: keep the analytic shape's fine relief; False leaves its smooth body.
        mesh_up: the axis of a mesh file that points up, x, y or z; the scene's is z.
        views: number of views, at most 1000 (files are numbered with three digits and read in sorted order).
        height: image height in pixels.
        width: image width in pixels.
        field_of_view: horizontal, degrees.
        layout: where the cameras stand: sphere (all around), ring, or path (a helix).
        elevation: of the ring above the xy plane, or of the path's two ends above and below it, degrees.
        distance: of the cameras from the object's centre.
        texture: procedural (a solid texture of seeded waves), own (the mesh file's image or vertex colours),
            own_times_procedural, or flat (one colour).
        texture_wavelength: of the procedural texture's finest waves.
        texture_contrast: of the procedural texture's fine pattern, 0 to 1.
        specular: strength of the point lights' highlights; 0 is matt.
        shininess: exponent of the highlights.
        ambient: mean shading by the spherical-harmonic surroundings.
        point_lights: number of point lights.
        point_intensity: shading that each point light gives to a surface that faces it.
        lamp: shading that a lamp which each camera carries gives to a surface that faces it; 0: none.
        lamp_place: of the lamp in the camera's frame (x right, y down, z forward), as parts of the distance.
        shadows: the object blocks the point lights and the lamp.
        background: grey of the pixels that see nothing, 0 to 1.
        room: put the object into a textured room that fills every image; every mask is then all True.
        supersampling: rays along a pixel's side for colour and coverage.
        world_scale: world units (say, millimetres) per normalised unit.
        world_offset: the normalised frame's origin in world coordinates.
        seed: of texture and light; equal specs make equal scenes, bit for bit on one machine.
        sensors: which depth sensors look at it too.
    """

    shape: str = "carved_stone"
    relief: bool = True
    mesh_up: str = "y"
    views: int = 32
    height: int = 256
    width: int = 256
    field_of_view: float = 31.5
    layout: str = "sphere"
    elevation: float = 25.0
    distance: float = 3.0
    texture: str = "procedural"
    texture_wavelength: float = 0.03
    texture_contrast: float = 0.5
    specular: float = 0.2
    shininess: float = 40.0
    ambient: float = 0.5
    point_lights: int = 3
    point_intensity: float = 0.7
    lamp: float = 0.0
    lamp_place: tuple[float, float, float] = (0.52, -0.62, 0.0)
    shadows: bool = True
    background: float = 1.0
    room: bool = False
    supersampling: int = 2
    world_scale: float = 100.0
    world_offset: tuple[float, float, float] = (20.0, -35.0, 60.0)
    seed: int = 0
    sensors: SensorSpec = field(default_factory=SensorSpec)

    def without_relief(self) -> SyntheticSpec:
        """The same scene of the smooth body."""
        return replace(self, relief=False)

    @property
    def is_analytic(self) -> bool:
        """The shape is one of ``SHAPES``, not a mesh file."""
        return self.shape in SHAPES

    def check(self) -> None:
        """Raise a ``SceneError`` that names the first field that cannot be used."""
        if not self.is_analytic and not Path(self.shape).is_file():
            names = ", ".join(SHAPES)
            raise SceneError(f"unknown shape {self.shape!r}: it is neither a mesh file nor one of {names}")
        for name, allowed in (("layout", tuple(LAYOUTS)), ("texture", TEXTURES), ("mesh_up", ("x", "y", "z"))):
            if getattr(self, name) not in allowed:
                raise SceneError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}")
        if self.is_analytic and self.texture.startswith("own"):
            raise SceneError(
                f"texture {self.texture!r} needs a mesh file; the shape {self.shape!r} has none of its own"
            )
        limits = {
            "views": (1, 1000),
            "height": (2, 20_000),
            "width": (2, 20_000),
            "field_of_view": (0.1, 170),
            "elevation": (-89, 89),
            "distance": (1.0, 1000),
            "texture_wavelength": (1e-4, 10),
            "texture_contrast": (0, 1),
            "specular": (0, 10),
            "shininess": (1, 10_000),
            "ambient": (0, 10),
            "point_lights": (0, 100),
            "point_intensity": (0, 10),
            "lamp": (0, 10),
            "background": (0, 1),
            "supersampling": (1, 16),
            "world_scale": (1e-9, 1e9),
            "seed": (0, 2**63 - 1),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SceneError(f"{name} is {value}; it must be from {low} to {high}")
        for name in ("world_offset", "lamp_place"):
            value = getattr(self, name)
            if len(value) != 3 or not all(math.isfinite(number) for number in value):
                raise SceneError(f"{name} is {value}; it must be three numbers")
        self.sensors.check()
        if self.room and self.distance >= ROOM_HALF_SIZE:
            raise SceneError(f"distance is {self.distance}; with a room it must be below {ROOM_HALF_SIZE}")


#: The room is the cube of this half size round the object, normalised units.
ROOM_HALF_SIZE = 6.0

#: The scene that demonstrations and benchmarks use: a carved stone whose bowls no silhouette shows.
DEFAULT_SPEC = SyntheticSpec()
