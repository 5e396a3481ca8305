"""Bytes that look like noise, which tests make again."""

import numpy as np


def noise(width, height, seed):
    """Bytes [height, width, 3] of a linear congruential generator."""
    values = np.empty(width * height * 3, np.uint8)
    state = seed
    for i in range(values.size):
        state = (state * 1664525 + 1013904223) % 2**32
        values[i] = state >> 24
    return values.reshape(height, width, 3)
