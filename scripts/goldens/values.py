"""Numbers that Python and C++ make alike from a name (tests/support/tiny_checkpoint.cpp has the other half)."""

import hashlib
import math

import numpy as np
import torch

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def fnv1a_64(text: str) -> int:
    state = 0xCBF29CE484222325
    for byte in text.encode("utf-8"):
        state = ((state ^ byte) * 0x100000001B3) & _MASK
    return state


def golden_array(stream: str, count: int, mean: float, std: float) -> np.ndarray:
    """`count` float32 values, uniform around `mean` with standard deviation `std`."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN_GAMMA) + np.uint64(fnv1a_64(stream))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float64) * 2.0**-24
    spread = std * math.sqrt(3.0)
    return (mean + spread * (2.0 * u - 1.0)).astype(np.float32)


def golden_tensor(stream: str, shape, mean: float = 0.0, std: float = 1.0) -> torch.Tensor:
    return torch.from_numpy(golden_array(stream, math.prod(shape), mean, std)).reshape(tuple(shape))


def component_sha256(tensors: dict[str, torch.Tensor]) -> str:
    """Over the float32 bytes of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
