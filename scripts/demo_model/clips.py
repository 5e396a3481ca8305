"""Renders the training clips from signed distance functions, in numpy."""

import math

import numpy as np

from .combinations import COLOURS, MOTIONS, SHAPES

HEIGHT, WIDTH, FRAMES = 64, 96, 17
PALETTE = np.array(list(COLOURS.values()), dtype=np.float32) / 127.5 - 1.0

SQUARE_HALF_SIDE = 0.9
TRIANGLE = ((0.0, -1.25), (1.12, 0.95), (-1.12, 0.95))
STAR_OUTER, STAR_INNER = 1.25, 0.5

# Little jitter, so that even the average clip of a caption shows its shape: a model this small
# then learns outlines within an hour. With free positions it draws lumps instead.
COLOUR_JITTER = 0.015
CENTRE_JITTER = 1.5
RADIUS = (18.5, 19.5)
SMALL_RADIUS, LARGE_RADIUS = (11.5, 12.5), (23.0, 24.5)
HORIZONTAL_TRAVEL, VERTICAL_TRAVEL = (34.0, 38.0), (15.0, 17.0)


def _star_vertices():
    radii = (STAR_OUTER, STAR_INNER) * 5
    angles = [-math.pi / 2 + k * math.pi / 5 for k in range(10)]
    return tuple((r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles))


def _polygon_distance(x, y, vertices):
    """Signed distance to a simple polygon, negative inside."""
    nearest = np.full(np.broadcast(x, y).shape, np.inf, dtype=np.float32)
    inside = np.zeros(nearest.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(vertices, vertices[1:] + vertices[:1]):
        edge_x, edge_y = x1 - x0, y1 - y0
        along = ((x - x0) * edge_x + (y - y0) * edge_y) / (edge_x**2 + edge_y**2)
        along = np.clip(along, 0.0, 1.0)
        squared = (x - x0 - edge_x * along) ** 2 + (y - y0 - edge_y * along) ** 2
        nearest = np.minimum(nearest, squared)
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            inside ^= crosses & (x < edge_x * (y - y0) / edge_y + x0)
    return np.where(inside, -1.0, 1.0) * np.sqrt(nearest)


def shape_distance(shape, x, y):
    """Signed distance to a shape of unit size at the origin (y grows downwards)."""
    name = SHAPES[shape]
    if name == "circle":
        return np.sqrt(x * x + y * y) - 1.0
    if name == "square":
        return np.maximum(np.abs(x), np.abs(y)) - SQUARE_HALF_SIDE
    return _polygon_distance(x, y, TRIANGLE if name == "triangle" else _star_vertices())


def _trajectory(motion, rng, frames):
    """Centre x, centre y and radius in pixels for every frame."""
    progress = np.linspace(0.0, 1.0, frames, dtype=np.float32)
    name = MOTIONS[motion]
    signed = progress - 0.5 if name in ("right", "down", "grows") else 0.5 - progress
    still = np.zeros(frames, dtype=np.float32)
    x = WIDTH / 2 + rng.uniform(-CENTRE_JITTER, CENTRE_JITTER) + still
    y = HEIGHT / 2 + rng.uniform(-CENTRE_JITTER, CENTRE_JITTER) + still
    radius = rng.uniform(*RADIUS) + still
    if name in ("left", "right"):
        x = x + signed * rng.uniform(*HORIZONTAL_TRAVEL)
    elif name in ("up", "down"):
        y = y + signed * rng.uniform(*VERTICAL_TRAVEL)
    else:
        small, large = rng.uniform(*SMALL_RADIUS), rng.uniform(*LARGE_RADIUS)
        radius = small + (large - small) * (signed + 0.5)
    return x, y, radius


def render_clip(combination, rng, frames=FRAMES):
    """One clip [3, F, H, W] in [-1, 1] and its coverage mask [1, F, H, W]."""
    trajectory = _trajectory(combination.motion, rng, frames)
    centre_x, centre_y, radius = (v[:, None, None].astype(np.float32) for v in trajectory)
    x = np.arange(WIDTH, dtype=np.float32)[None, None, :] + 0.5
    y = np.arange(HEIGHT, dtype=np.float32)[None, :, None] + 0.5
    distance = shape_distance(combination.shape, (x - centre_x) / radius, (y - centre_y) / radius)
    mask = np.clip(0.5 - distance * radius, 0.0, 1.0).astype(np.float32)[None]
    jitter = rng.normal(0.0, COLOUR_JITTER, (2, 3)).astype(np.float32)
    foreground = (PALETTE[combination.colour] + jitter[0])[:, None, None, None]
    background = (PALETTE[combination.background] + jitter[1])[:, None, None, None]
    clip = background * (1.0 - mask) + foreground * mask
    return np.clip(clip, -1.0, 1.0), mask


def render_batch(combinations, rng, frames=FRAMES):
    clips, masks = zip(*(render_clip(c, rng, frames) for c in combinations))
    return np.stack(clips), np.stack(masks)


def to_uint8_frames(clip):
    """[3, F, H, W] in [-1, 1] to [F, H, W, 3] bytes."""
    scaled = np.round((np.clip(clip, -1.0, 1.0) + 1.0) * 127.5)
    return scaled.astype(np.uint8).transpose(1, 2, 3, 0)
