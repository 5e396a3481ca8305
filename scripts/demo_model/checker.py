"""Reads colour, shape, motion and background off a clip, with no learned parts."""

import numpy as np

from .clips import PALETTE, shape_distance
from .combinations import ATTRIBUTES, MOTIONS, SHAPES

MINIMUM_CONTRAST = 0.25
MINIMUM_PIXELS = 12
RESIZE_RATIO = 1.6
MINIMUM_TRAVEL = 0.08
NOTHING = -1


def _unit_shapes():
    """Area and centroid of every unit shape."""
    grid = (np.arange(400, dtype=np.float32) + 0.5) / 400 * 3 - 1.5
    x, y = np.meshgrid(grid, grid)
    for shape in range(len(SHAPES)):
        inside = shape_distance(shape, x, y) < 0
        yield inside.sum() * (3 / 400) ** 2, x[inside].mean(), y[inside].mean()


UNIT_SHAPES = tuple(_unit_shapes())


def _nearest_colour(values):
    return int(np.square(PALETTE - values).sum(axis=1).argmin())


def _border_colour(clip):
    strips = (clip[:, :2], clip[:, -2:], clip[:, :, :2], clip[:, :, -2:])
    return np.median(np.concatenate([s.reshape(-1, 3) for s in strips]), axis=0)


def _motion(area, centre_x, centre_y, height):
    ends = max(1, len(area) // 4)
    ratio = area[-ends:].mean() / area[:ends].mean()
    if ratio > RESIZE_RATIO:
        return MOTIONS.index("grows")
    if ratio < 1 / RESIZE_RATIO:
        return MOTIONS.index("shrinks")
    along_x, along_y = (
        float(c[-2:].mean() - c[:2].mean()) / height for c in (centre_x, centre_y)
    )
    if max(abs(along_x), abs(along_y)) < MINIMUM_TRAVEL:
        return NOTHING
    if abs(along_x) > abs(along_y):
        return MOTIONS.index("right" if along_x > 0 else "left")
    return MOTIONS.index("down" if along_y > 0 else "up")


def _shape(mask, x, y, area, centre_x, centre_y):
    """The template of the measured area and centroid that overlaps the mask best over all frames."""
    overlaps = []
    for shape, (unit_area, unit_x, unit_y) in enumerate(UNIT_SHAPES):
        scale = np.sqrt(area / unit_area)[:, None, None]
        local_x = (x - centre_x[:, None, None]) / scale + unit_x
        local_y = (y - centre_y[:, None, None]) / scale + unit_y
        template = shape_distance(shape, local_x, local_y) < 0
        both = (template & mask).sum(axis=(1, 2))
        either = (template | mask).sum(axis=(1, 2))
        overlaps.append((both / either).mean())
    return int(np.argmax(overlaps)), float(np.max(overlaps))


def read_clip(frames):
    """[F, H, W, 3] bytes to the index of every attribute (NOTHING where none can be read)."""
    clip = np.asarray(frames, dtype=np.float32) / 127.5 - 1.0
    background = _border_colour(clip)
    contrast = np.sqrt(np.square(clip - background).sum(axis=-1))
    threshold = max(MINIMUM_CONTRAST, 0.5 * float(np.quantile(contrast, 0.98)))
    mask = contrast > threshold
    area = mask.sum(axis=(1, 2)).astype(np.float32)
    found = {name: NOTHING for name in ATTRIBUTES}
    found.update(background=_nearest_colour(background), overlap=0.0)
    if area.min() < MINIMUM_PIXELS:
        return found
    height, width = mask.shape[1:]
    x = np.arange(width, dtype=np.float32)[None, None, :] + 0.5
    y = np.arange(height, dtype=np.float32)[None, :, None] + 0.5
    centre_x = (mask * x).sum(axis=(1, 2)) / area
    centre_y = (mask * y).sum(axis=(1, 2)) / area
    strongest = contrast >= np.quantile(contrast[mask], 0.4)
    found["colour"] = _nearest_colour(np.median(clip[strongest], axis=0))
    found["motion"] = _motion(area, centre_x, centre_y, height)
    found["shape"], found["overlap"] = _shape(mask, x, y, area, centre_x, centre_y)
    return found


def score(clips, combinations):
    """Percentages right for every attribute and for all four at once, and what was read."""
    readings = [read_clip(frames) for frames in clips]
    right = {name: [] for name in ATTRIBUTES}
    for reading, combination in zip(readings, combinations):
        for name in ATTRIBUTES:
            right[name].append(reading[name] == getattr(combination, name))
    percentages = {name: 100.0 * float(np.mean(values)) for name, values in right.items()}
    percentages["all four"] = 100.0 * float(np.mean(np.all(list(right.values()), axis=0)))
    return percentages, readings
