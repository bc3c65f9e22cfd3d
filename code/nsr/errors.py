"""Errors that are meant for people.

Everything that a user can put right (a missing mask, a conf value of the wrong type, a full disk) raises a
``NsrError`` whose message says what is wrong, where, and what to do.  The command line prints that one message and
exits with a non-zero code; any other exception is a defect of ours and keeps its stack trace.
"""


class NsrError(Exception):
    """Something the user gave cannot be used; the message is one clear line."""


class SceneError(NsrError):
    """A scene folder (images, masks, cameras) cannot be used."""


class ConfigError(NsrError):
    """A conf file or a command-line override cannot be used."""


class CheckpointError(NsrError):
    """A checkpoint or run folder cannot be read or written."""


class PriorError(NsrError):
    """A prior of a view (depth, normals, albedo, shading) cannot be used."""
