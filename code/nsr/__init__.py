"""nsr: the surface of an object from photographs.

Images, object masks and rough cameras go in; a watertight, coloured mesh, refined cameras and rendered views come
out.  See ``docs/architecture.md`` for the rooms of this package and the one direction in which they import.
"""

import time

__version__ = "0.1.0"

# This package is imported before torch, whose import takes seconds: the time of a run is counted from here.
STARTED = time.monotonic()
