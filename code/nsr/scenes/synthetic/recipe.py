"""Recipes: synthetic scenes that stand as confs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nsr.config.reader import load_settings
from nsr.scenes.locate import find_data_file
from nsr.scenes.synthetic.spec import SyntheticSpec


def load_recipe(path: str | Path) -> SyntheticSpec:
    """Read a recipe: a HOCON file whose keys are the fields of ``SyntheticSpec``; what it leaves out has its default.

    A relative path of a mesh is looked for below the current folder, the folder in the environment variable NSR_DATA
    and the repository's ``data``; the resulting spec has the path of the file that was found.  Whether the spec can be
    used is for ``SyntheticSpec.check`` to say.

    Raises:
        ConfigError: no such file, not HOCON, an unknown key, or a value of the wrong type.
    """
    spec = load_settings(path, SyntheticSpec)
    mesh = None if spec.is_analytic else find_data_file(spec.shape)
    return spec if mesh is None else replace(spec, shape=str(mesh))
