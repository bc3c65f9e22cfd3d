"""What stands in the viewer's scene: the surface as triangles, and the cameras with their photographs.

Everything is in the normalised frame.
"""

from __future__ import annotations

import cv2
import numpy as np
import trimesh

from nsr.meshing.colour import vertex_colours, vertex_normals
from nsr.meshing.extraction import extract_mesh
from nsr.meshing.glb import glb_bytes
from nsr.scenes.cameras import Cameras
from nsr.scenes.frusta import viewpoint
from nsr.scenes.scene import Scene
from nsr.training.run import Run
from nsr.viewer.free_camera import FreeCamera

FIELD_OF_VIEW = 0.8  # at first, radians
THUMBNAIL = 224  # pixels of a drawn photograph's longer side
FRUSTUM = 0.05  # size of the drawn cameras, as a part of their median distance
START = 0.75  # where one stands at first, as a part of the nearest camera's distance: with none of them in between
TRAIN_COLOUR, HELDOUT_COLOUR = (59, 130, 246), (245, 158, 11)
PLAIN = 150  # grey of the surface without its colours


class Stage:
    """Draws into a viser server's scene.

    Args:
        server: a ``viser.ViserServer``.
        scene: of the run; photographs are shown of its training views alone, as everywhere before evaluation.
        cameras: as the run has them at first.
    """

    def __init__(self, server, scene: Scene, cameras: Cameras):
        self.server, self.scene = server, scene
        eye, up = viewpoint(cameras, scene.train_views)
        server.scene.set_up_direction(tuple(up.tolist()))
        server.scene.world_axes.visible = False
        distances = cameras.centres.detach().norm(dim=1)
        self.size = FRUSTUM * float(distances.median())
        server.initial_camera.position = START * float(distances.min()) * eye
        server.initial_camera.look_at = np.zeros(3)
        server.initial_camera.up = up
        server.initial_camera.fov = FIELD_OF_VIEW
        self.frusta = {view: self._frustum(view, cameras) for view in range(len(scene))}
        self.surface = None

    def show_surface(self, mesh: trimesh.Trimesh, run: Run, style: str) -> None:
        """Put a mesh on the stage in the place of the last.

        Args:
            mesh: in the normalised frame; run: whose fields colour it.
            style: ``colour``, ``normals`` (of the field, in the normalised frame, as colours) or ``plain``.
        """
        sdf, device = run.renderer.sdf, run.cameras.poses.device
        normals = vertex_normals(mesh, sdf, device=device)
        if style == "colour":
            colours = vertex_colours(mesh, sdf, run.renderer.radiance, device=device)
        elif style == "normals":
            colours = ((normals + 1) / 2 * 255).round().astype(np.uint8)
        else:
            colours = np.full(mesh.vertices.shape, PLAIN, dtype=np.uint8)
        lit = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_normals=normals, process=False)
        data = glb_bytes(lit, colours, True, None, unlit=style != "plain")
        self.surface = self.server.scene.add_glb("/surface", data, cast_shadow=False, receive_shadow=False)

    def hide_surface(self) -> None:
        """Take the mesh away, where there is one."""
        if self.surface is not None:
            self.surface.remove()
            self.surface = None

    def place_cameras(self, cameras: Cameras) -> None:
        """Move the drawn cameras to where a run has them now."""
        for view, handle in self.frusta.items():
            camera = FreeCamera.of_view(cameras, view, self._size(view))
            handle.wxyz, handle.position = camera.wxyz, camera.position

    def show_cameras(self, cameras: bool, photographs: bool) -> None:
        """Show or hide the cameras, and the photographs in them."""
        for view, handle in self.frusta.items():
            handle.visible = cameras
            image = self._thumbnail(view) if photographs else None
            if (handle.image is None) != (image is None):
                handle.image = image

    def _frustum(self, view: int, cameras: Cameras):
        camera = FreeCamera.of_view(cameras, view, self._size(view))
        handle = self.server.scene.add_camera_frustum(
            f"/cameras/view_{view:03d}",
            fov=camera.fov,
            aspect=camera.aspect,
            scale=self.size,
            thickness=0.02 * self.size,
            color=HELDOUT_COLOUR if view in self.scene.heldout_views else TRAIN_COLOUR,
            image=self._thumbnail(view),
            wxyz=camera.wxyz,
            position=camera.position,
            cast_shadow=False,
            receive_shadow=False,
        )

        @handle.on_click
        def stand_there(event) -> None:
            with event.client.atomic():
                event.client.camera.wxyz = handle.wxyz
                event.client.camera.position = handle.position
                event.client.camera.fov = handle.fov

        return handle

    def _thumbnail(self, view: int) -> np.ndarray | None:
        if view not in self.scene.train_views:
            return None
        height, width = self._size(view)
        scale = min(1.0, THUMBNAIL / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return cv2.resize(self.scene.images[view].numpy(), size, interpolation=cv2.INTER_AREA)

    def _size(self, view: int) -> tuple[int, int]:
        return tuple(self.scene.masks[view].shape)


def surface_of(run: Run, resolution: int) -> trimesh.Trimesh:
    """The run's surface as far as its levels are open now.

    Raises:
        NsrError: it has none.
    """
    radius = run.renderer.tracer.config.object_bounding_sphere
    return extract_mesh(run.renderer.value, resolution, radius, device=run.cameras.poses.device)
