"""Photographs and cameras of other programs, made into scenes of ours: one reader per format.

Every reader gives a ``Source`` (views with cameras in our conventions, perhaps sparse points); ``import_scene`` finds
the object's masks, takes the lens's distortion out, normalises and writes the folder.
"""
