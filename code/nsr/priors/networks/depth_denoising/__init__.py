"""Denoising the depth of stereo cameras, with the help of their infrared picture."""
