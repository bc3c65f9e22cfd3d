"""Choosing where to compute."""

from __future__ import annotations

import torch

from nsr.errors import NsrError
from nsr.ops import backend


def choose_device(choice: str) -> torch.device:
    """The device that ``--gpu`` asks for; also sets what torch needs to be fast on it.

    Args:
        choice: ``auto`` (the CUDA device with most free memory, else the CPU), ``ignore`` (the CPU) or a CUDA
            device's number.

    Raises:
        NsrError: not one of these, or there is no such device; or NSR_BACKEND names no body of an operator.
    """
    backend.forced()
    # The softplus of the SDF network makes denormal numbers, which are a hundred times slower and mean nothing here.
    torch.set_flush_denormal(True)
    if choice == "ignore":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if choice == "auto":
        if count == 0:
            return torch.device("cpu")
        free = [torch.cuda.mem_get_info(index)[0] for index in range(count)]
        return torch.device("cuda", free.index(max(free)))
    if not choice.isdecimal():
        raise NsrError(f"--gpu {choice}: give auto, ignore or the number of a CUDA device")
    if int(choice) >= count:
        there = f"the devices here are 0 to {count - 1}" if count else "torch sees no CUDA device here; --gpu ignore"
        raise NsrError(f"--gpu {choice}: there is no such device; {there}")
    return torch.device("cuda", int(choice))
