"""Where ``--data`` lies, where it is not made."""

from __future__ import annotations

import os
from pathlib import Path

from nsr.errors import NsrError
from nsr.priors.networks.common.options import REAL, SYNTHETIC

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


def data_folder(data: str, real: str) -> Path:
    """The folder that ``--data`` names: ``real`` below ``NSR_DATA``, or one of the user's own.

    Raises:
        NsrError: there is no such folder.
    """
    folder = real_folder(real) if data == REAL else Path(data)
    if not folder.is_dir():
        raise NsrError(f"{folder}: there is no such folder; --data takes {SYNTHETIC}, {REAL} or a folder")
    return folder
