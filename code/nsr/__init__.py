"""nsr: the surface of an object from photographs.

Images, object masks and rough cameras go in; a watertight, coloured mesh, refined cameras and rendered views come
out.  See ``docs/architecture.md`` for the rooms of this package and the one direction in which they import.
"""

__version__ = "0.1.0"
