"""Where ``--data real`` lies."""

from __future__ import annotations

import os
from pathlib import Path

from nsr.errors import NsrError

VARIABLE = "NSR_DATA"


def real_folder(inside: str) -> Path:
    """The folder ``inside`` that which the environment variable ``NSR_DATA`` names.

    Raises:
        NsrError: the variable is not set, or there is no such folder.
    """
    root = os.environ.get(VARIABLE)
    if not root:
        raise NsrError(f"--data real: set the environment variable {VARIABLE} to the folder that holds {inside}")
    folder = Path(root) / inside
    if not folder.is_dir():
        raise NsrError(f"{folder}: there is no such folder; --data real needs it below {VARIABLE}")
    return folder
