"""tests/goldens/compare.json: pairs of clips and how far scikit-image and numpy find their frames apart. The clips are
made again in the test, from the same noise, but for those of the demo model, which lie beside the file as PNG frames."""

import json
import pathlib
import platform

import numpy as np
import PIL
import scipy
import skimage
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from goldens.noise import noise

GROUP = "compare"
WINDOW = 11  # of scikit-image's gaussian_weights with sigma 1.5: int(3.5 * 1.5 + 0.5) on each side


def clip(width, height, frames, seed):
    return np.stack([noise(width, height, seed + i) for i in range(frames)])


def shaken(frames, seed, strengths):
    """Every byte moved by up to the frame's strength, and kept in 0 to 255."""
    height, width = frames.shape[1:3]
    moves = [noise(width, height, seed + i).astype(int) % (2 * strength + 1) - strength
             for i, strength in enumerate(strengths)]
    return np.clip(frames.astype(int) + np.stack(moves), 0, 255).astype(np.uint8)


def read_frames(folder):
    return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in sorted(folder.glob("*.png"))])


def mirrored_ssim(a, b):
    """Where scikit-image refuses: the same formula over every pixel, the picture going on mirrored."""
    planes = []
    for x, y in zip(np.moveaxis(a.astype(float), 2, 0), np.moveaxis(b.astype(float), 2, 0)):
        blur = lambda values: gaussian_filter(values, 1.5, truncate=3.5, mode="reflect")
        ux, uy = blur(x), blur(y)
        vx, vy, vxy = blur(x * x) - ux * ux, blur(y * y) - uy * uy, blur(x * y) - ux * uy
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        planes.append((((2 * ux * uy + c1) * (2 * vxy + c2)) / ((ux**2 + uy**2 + c1) * (vx + vy + c2))).mean())
    return float(np.mean(planes))


def ssim(a, b):
    if min(a.shape[:2]) < WINDOW:
        return mirrored_ssim(a, b)
    return float(structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                                       data_range=255, channel_axis=-1))


def distances(a, b):
    difference = a.astype(int) - b.astype(int)
    return {"ssim": ssim(a, b), "mse": float((difference**2).mean()), "mean_abs": float(np.abs(difference).mean()),
            "max_abs": int(np.abs(difference).max())}


def cases(folder):
    """Name, what the test makes the two clips of, and the clips."""
    same = clip(48, 40, 3, seed=1)
    yield "identical", {"size": [48, 40], "frames": 3, "seed": 1}, same, same
    first = clip(61, 47, 3, seed=10)
    moves = {"seed": 20, "strengths": [3, 16, 7]}
    yield "noise", {"size": [61, 47], "frames": 3, "seed": 10, "moves": moves}, first, shaken(first, **moves)
    yield ("wrong seed", {"folders": ["seed42", "seed43"]}, read_frames(folder / "seed42"),
           read_frames(folder / "seed43"))
    yield ("black and white", {"size": [32, 24], "frames": 2, "flat": [0, 255]}, np.zeros((2, 24, 32, 3), np.uint8),
           np.full((2, 24, 32, 3), 255, np.uint8))
    second = clip(64, 48, 4, seed=30)
    changed = second.copy()
    changed[2, 5, 7, 1] ^= 1
    place = {"frame": 2, "row": 5, "column": 7, "colour": 1}
    yield "one pixel", {"size": [64, 48], "frames": 4, "seed": 30, "flipped_bit": place}, second, changed
    small = clip(7, 5, 2, seed=40)
    moves = {"seed": 50, "strengths": [40, 9]}
    yield "smaller than the window", {"size": [7, 5], "frames": 2, "seed": 40, "moves": moves}, small, shaken(small,
                                                                                                             **moves)


def write_compare(output):
    versions = {"scikit-image": skimage.__version__, "numpy": np.__version__, "scipy": scipy.__version__,
                "pillow": PIL.__version__, "python": platform.python_version()}
    lines = [json.dumps({"name": name, **recipe, "expected": [distances(x, y) for x, y in zip(a, b)]})
             for name, recipe, a, b in cases(output / GROUP)]
    text = '{"versions": ' + json.dumps(versions) + ',\n"clips": [\n' + ",\n".join(lines) + "\n]}\n"
    (output / f"{GROUP}.json").write_text(text)
