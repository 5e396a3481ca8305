"""The closed world of the demo model: combinations, captions and the held-out split."""

import random
from typing import NamedTuple

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (40, 80, 220),
    "yellow": (245, 220, 50),
    "purple": (145, 50, 180),
    "orange": (245, 135, 30),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
COLOUR_NAMES = tuple(COLOURS)
SHAPES = ("circle", "square", "triangle", "star")
MOTIONS = ("left", "right", "up", "down", "grows", "shrinks")
ATTRIBUTES = ("colour", "shape", "motion", "background")


class Combination(NamedTuple):
    """Indices into COLOUR_NAMES, SHAPES, MOTIONS and COLOUR_NAMES again."""

    colour: int
    shape: int
    motion: int
    background: int


def is_held_out(combination):
    """About one combination in twelve; the rule is the study's, so its weights never saw them either."""
    colour, shape, motion, background = combination
    key = 131 * colour + 57 * shape + 29 * motion + 17 * background
    return (key + 7 * colour * background + 5 * shape * motion) % 11 == 0


def all_combinations():
    return [
        Combination(colour, shape, motion, background)
        for colour in range(len(COLOURS))
        for shape in range(len(SHAPES))
        for motion in range(len(MOTIONS))
        for background in range(len(COLOURS))
        if background != colour
    ]


def training_combinations():
    return [c for c in all_combinations() if not is_held_out(c)]


def held_out_combinations(count=None):
    """The held-out combinations in one fixed shuffled order."""
    held_out = [c for c in all_combinations() if is_held_out(c)]
    random.Random(20).shuffle(held_out)
    return held_out[:count]


def _article(word):
    return "an" if word[0] in "aeiou" else "a"


def captions(combination):
    """Four wordings of one combination; the first is the one used for evaluation."""
    colour = COLOUR_NAMES[combination.colour]
    shape = SHAPES[combination.shape]
    motion = MOTIONS[combination.motion]
    background = COLOUR_NAMES[combination.background]
    if motion in ("grows", "shrinks"):
        verbs = (motion, motion[:-1] + "ing", "slowly " + motion)
    else:
        verbs = (f"moves {motion}", f"moving {motion}", f"slides {motion}")
    subject = f"{_article(colour)} {colour} {shape}"
    ground = f"{_article(background)} {background} background"
    return (
        f"{subject} {verbs[0]} on {ground}",
        f"{colour} {shape} {verbs[1]} on {background}",
        f"{subject} {verbs[2]} over {ground}",
        f"{subject} {verbs[1]}, {background} background",
    )


def written_variants(caption):
    """The caption as typed in other ways: capitalised, with a full stop, or both."""
    capitalised = caption[0].upper() + caption[1:]
    return (caption, capitalised, caption + ".", capitalised + ".")
