"""Caches the VAE latents of many distinct training clips in shards."""

import glob
import json
import os
import random

import numpy as np
import torch

from . import training
from .clips import render_batch
from .combinations import Combination, training_combinations
from .networks import speed_up_vae_decoder
from .vae_training import load_vae

SHARD = 256
ENCODE_BATCH = 4


def _combination(index):
    """Clip number `index` shows every training combination once per round, in shuffled order."""
    combinations = training_combinations()
    round_number, place = divmod(index, len(combinations))
    return random.Random(round_number).sample(combinations, len(combinations))[place]


def _shard_path(directory, number):
    return os.path.join(directory, f"{number:04d}.pt")


@torch.no_grad()
def _encode_shard(vae, number):
    rng = np.random.default_rng(10_000 + number)
    combinations = [_combination(number * SHARD + k) for k in range(SHARD)]
    means, deviations = [], []
    for start in range(0, SHARD, ENCODE_BATCH):
        clips, _ = render_batch(combinations[start : start + ENCODE_BATCH], rng)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            posterior = vae.encode(torch.from_numpy(clips)).latent_dist
        means.append(posterior.mean.float())
        deviations.append(posterior.std.float())
    return {
        "mean": torch.cat(means).transpose(1, 2).contiguous(),
        "deviation": torch.cat(deviations).transpose(1, 2).contiguous(),
        "combinations": [tuple(c) for c in combinations],
    }


def encode(options):
    """Encode clips up to --clips; shards that exist are kept. The first one sets the scaling factor."""
    speed_up_vae_decoder()
    directory = os.path.join(options.work, options.latents)
    os.makedirs(directory, exist_ok=True)
    vae = load_vae(options.work)
    for number in range((options.clips + SHARD - 1) // SHARD):
        path = _shard_path(directory, number)
        if os.path.exists(path):
            continue
        shard = _encode_shard(vae, number)
        if number == 0:
            _write_scaling_factor(directory, 1.0 / float(shard["mean"].std()))
        training.save_atomically(shard, path)
        training.log(os.path.join(options.work, "encode.log"), f"{directory}: shard {number}")


def _write_scaling_factor(directory, value):
    with open(os.path.join(directory, "scaling.json"), "w") as stream:
        json.dump({"scaling_factor": value}, stream)


def read_scaling_factor(work, latents):
    with open(os.path.join(work, latents, "scaling.json")) as stream:
        return json.load(stream)["scaling_factor"]


class LatentStore:
    """All shards that exist so far, scaled; refresh() picks up the ones written meanwhile."""

    def __init__(self, work, latents):
        self.directory = os.path.join(work, latents)
        self.scaling_factor = read_scaling_factor(work, latents)
        self.paths, self.combinations = set(), []
        self.mean = self.deviation = None
        self.refresh()

    def refresh(self):
        fresh = sorted(set(glob.glob(os.path.join(self.directory, "*.pt"))) - self.paths)
        for path in fresh:
            shard = torch.load(path)
            mean = shard["mean"] * self.scaling_factor
            deviation = shard["deviation"] * self.scaling_factor
            self.mean = mean if self.mean is None else torch.cat([self.mean, mean])
            self.deviation = (
                deviation if self.deviation is None else torch.cat([self.deviation, deviation])
            )
            self.combinations += [Combination(*c) for c in shard["combinations"]]
        self.paths.update(fresh)

    def sample(self, count, rng):
        """Latents drawn from the posterior of random clips, and what the clips show."""
        chosen = rng.choices(range(len(self.combinations)), k=count)
        mean, deviation = self.mean[chosen], self.deviation[chosen]
        return mean + deviation * torch.randn_like(mean), [self.combinations[k] for k in chosen]
