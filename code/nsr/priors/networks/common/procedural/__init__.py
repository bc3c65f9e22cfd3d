"""Scenes that are made: exact depth, normals and albedo of random solids in a room."""
