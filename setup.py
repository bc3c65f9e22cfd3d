"""What pyproject.toml cannot say: the confs live beside the code and travel inside the package as ``nsr/confs``."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages("code", include=["nsr", "nsr.*"]), "nsr.confs"],
    package_dir={"": "code", "nsr.confs": "confs"},
    package_data={"nsr.confs": ["*.conf", "**/*.conf"]},
)
