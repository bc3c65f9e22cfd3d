"""What depth sensors would have measured of exact depth maps: plain functions of numpy arrays."""
