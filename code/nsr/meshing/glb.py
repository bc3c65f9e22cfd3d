"""Binary glTF 2.0: one file with mesh, normals and colours or texture, as browsers and Blender read it.

The writer is trimesh's; two things are put right after it.  Vertex colours are **linear** in glTF (section 3.7.2.1),
where ours are sRGB: they are written as 16-bit linear numbers, since 8 bits would band in the dark.  And a material
that shows its colours as they are (KHR_materials_unlit) is none that trimesh knows.
"""

from __future__ import annotations

import numpy as np
import trimesh
from PIL import Image

from nsr.meshing.texture import Texture

_COLOURS = "_COLOUR"  # the name of an attribute of our own, until it may be called COLOR_0
_UNLIT = "KHR_materials_unlit"


def glb_bytes(
    mesh: trimesh.Trimesh, colours: np.ndarray | None, with_normals: bool, texture: Texture | None, unlit: bool
) -> bytes:
    """A mesh as a GLB.

    Args:
        mesh: with its vertex normals set, where ``with_normals``.
        colours: ``[V, 3]`` uint8 sRGB; left out where there is a texture.
        unlit: show colours without light.
    """
    if texture is not None:
        material = trimesh.visual.material.PBRMaterial(
            name="surface", metallicFactor=0.0, roughnessFactor=1.0, baseColorTexture=Image.fromarray(texture.picture)
        )
        mesh.visual = trimesh.visual.TextureVisuals(uv=texture.uv, material=material)
    elif colours is not None:
        mesh.vertex_attributes[_COLOURS] = linear_colours(colours)

    def put_right(tree: dict) -> None:
        primitive = tree["meshes"][0]["primitives"][0]
        if texture is None:
            factors = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
            tree["materials"] = [{"name": "surface", "pbrMetallicRoughness": factors}]
            primitive["material"] = 0
        if _COLOURS in primitive["attributes"]:
            accessor = primitive["attributes"].pop(_COLOURS)
            primitive["attributes"]["COLOR_0"] = accessor
            tree["accessors"][accessor]["normalized"] = True
        if unlit:
            tree["materials"][0].setdefault("extensions", {})[_UNLIT] = {}
            tree["extensionsUsed"] = sorted({*tree.get("extensionsUsed", []), _UNLIT})

    return mesh.export(file_type="glb", include_normals=with_normals, tree_postprocessor=put_right)


def linear_colours(colours: np.ndarray) -> np.ndarray:
    """``[V, 4]`` uint16 linear RGBA of ``[V, 3]`` uint8 sRGB (IEC 61966-2-1), opaque."""
    encoded = np.arange(256) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    table = (linear * 65535).round().astype(np.uint16)
    opaque = np.full((len(colours), 1), 65535, dtype=np.uint16)
    return np.concatenate([table[colours], opaque], axis=1)
