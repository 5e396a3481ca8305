"""What the checker scores where the answer is known: true clips, shuffled prompts, reconstructions."""

import random

import numpy as np

from .checker import score
from .clips import render_clip, to_uint8_frames
from .combinations import all_combinations, held_out_combinations


def render_clips(combinations, seed):
    rng = np.random.default_rng(seed)
    return [render_clip(c, rng)[0] for c in combinations]


def true_clip_scores(seed=7):
    combinations = all_combinations()
    clips = [to_uint8_frames(c) for c in render_clips(combinations, seed)]
    shuffled = random.Random(seed).sample(combinations, len(combinations))
    return score(clips, combinations)[0], score(clips, shuffled)[0]


def reconstruction_scores(work, count, seed=9):
    from .networks import speed_up_vae_decoder
    from .vae_training import load_vae, psnr, reconstruct

    speed_up_vae_decoder()
    vae = load_vae(work)
    combinations = held_out_combinations(count)
    clips = [to_uint8_frames(reconstruct(vae, c)) for c in render_clips(combinations, seed)]
    return score(clips, combinations)[0], psnr(vae, 24)
