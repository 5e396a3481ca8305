"""Trains the VAE: first the whole of it, later its decoder alone on frozen latents."""

import math
import os
import random

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLCogVideoX

from . import training
from .clips import FRAMES, render_batch
from .combinations import held_out_combinations, training_combinations
from .muon import MuonWithAdamW
from .networks import make_vae, speed_up_vae_decoder

KL_WEIGHT = 1e-3
FOREGROUND_WEIGHT = 4.0
DECODER_LATENT_NOISE = 0.06
SAVE_SECONDS = 60
REPORT_STEPS = 50


def initial_vae(init):
    vae = make_vae()
    if init:
        trained = AutoencoderKLCogVideoX.from_pretrained(init, subfolder="vae", torch_dtype=torch.float32)
        vae.load_state_dict(trained.state_dict())
    return vae


def load_vae(work):
    """The newest VAE: the joint stage's, with the decoder stage's decoder if there is one."""
    vae = make_vae()
    joint = training.load_checkpoint(os.path.join(work, "vae.pt"))
    vae.load_state_dict(joint["model"])
    decoder = training.load_checkpoint(os.path.join(work, "decoder.pt"))
    if decoder is not None:
        vae.load_state_dict(decoder["average"])
    return vae.eval()


def _optimizer(named_parameters, learning_rate):
    matrices, others = [], []
    for name, parameter in named_parameters:
        at_the_edge = "coder.conv_in" in name or "coder.conv_out" in name
        is_matrix = parameter.dim() >= 4 and not at_the_edge
        (matrices if is_matrix else others).append(parameter)
    return MuonWithAdamW(matrices, others, 1.5 * learning_rate, learning_rate)


def _batch(rng, joint):
    """Whole clips of 17 frames, or the first 9 frames of some, which cost half as much."""
    frames = 9 if joint and rng.random() < 0.5 else FRAMES
    count = 4 if frames == 9 else 2
    combinations = random.Random(int(rng.integers(1 << 31))).sample(training_combinations(), count)
    clips, masks = render_batch(combinations, rng, FRAMES)
    return torch.from_numpy(clips[:, :, :frames]), torch.from_numpy(masks[:, :, :frames])


def _reconstruction_loss(output, clips, masks):
    weight = 1.0 + (FOREGROUND_WEIGHT - 1.0) * F.max_pool3d(masks, (1, 5, 5), 1, (0, 2, 2))
    error = output.float() - clips
    return ((error.abs() + error.square()) * weight).sum() / (3.0 * weight.sum())


def _joint_loss(vae, clips, masks):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        posterior = vae.encode(clips).latent_dist
    mean, log_variance = posterior.mean.float(), posterior.logvar.float().clamp(-20, 10)
    latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = vae.decode(latents).sample
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
    return _reconstruction_loss(output, clips, masks) + KL_WEIGHT * divergence


def _decoder_loss(vae, clips, masks):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.no_grad():
            latents = vae.encode(clips).latent_dist.sample().float()
        latents += DECODER_LATENT_NOISE * torch.randn_like(latents)
        output = vae.decode(latents).sample
    return _reconstruction_loss(output, clips, masks)


@torch.no_grad()
def reconstruct(vae, clip):
    """[3, F, H, W] array to its reconstruction from the latent mean."""
    latents = vae.encode(torch.from_numpy(clip)[None]).latent_dist.mode()
    return vae.decode(latents).sample[0].clamp(-1, 1).numpy()


def psnr(vae, count):
    """PSNR over everything and over the dilated shapes, on held-out clips."""
    total, foreground, pixels = [], 0.0, 0.0
    rng = np.random.default_rng(5)
    for combination in held_out_combinations(count):
        clips, masks = render_batch([combination], rng)
        squared = np.square((reconstruct(vae, clips[0]) - clips[0]) / 2.0)
        near = F.max_pool3d(torch.from_numpy(masks), (1, 9, 9), 1, (0, 4, 4)).numpy()[0]
        total.append(squared.mean())
        foreground += (squared * near).sum()
        pixels += 3.0 * near.sum()
    return -10 * math.log10(np.mean(total)), -10 * math.log10(foreground / pixels)


class _Stage:
    """One VAE stage with its checkpoint: all parameters, or the decoder's only."""

    def __init__(self, options, joint):
        self.joint = joint
        self.path = os.path.join(options.work, "vae.pt" if joint else "decoder.pt")
        self.log_path = self.path.replace(".pt", ".log")
        self.vae = initial_vae(options.init) if joint else load_vae(options.work)
        if not joint:
            self.vae.encoder.requires_grad_(False)
        self.vae.train()
        trained = [(n, p) for n, p in self.vae.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in trained]
        self.optimizer = _optimizer(trained, options.learning_rate)
        self.average = {n: t.clone() for n, t in self.vae.state_dict().items()}
        self.step, spent = 0, 0.0
        state = training.load_checkpoint(self.path)
        if state is not None:
            self.vae.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average, self.step, spent = state["average"], state["step"], state["spent"]
        self.clock = training.Clock(options.minutes, options.until, spent)
        self.averager = training.Averager(self.parameters)
        seed = 1000 * self.step + 2 * self.averager.rank + int(joint)
        self.rng = np.random.default_rng(seed)
        torch.manual_seed(seed)

    def save(self):
        if self.averager.rank == 0:
            state = {
                "model": self.vae.state_dict(),
                "average": self.average,
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "spent": self.clock.spent_seconds(),
            }
            training.save_atomically(state, self.path)

    def train_step(self):
        clips, masks = _batch(self.rng, self.joint)
        loss = (_joint_loss if self.joint else _decoder_loss)(self.vae, clips, masks)
        self.optimizer.zero_grad()
        loss.backward()
        progress = self.averager.average(self.clock.progress())
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step(training.learning_rate_scale(self.step, progress, 20, 0.1, 0.02))
        self.step += 1
        self._update_average()
        return float(loss.detach()), progress

    @torch.no_grad()
    def _update_average(self):
        decay = min(0.99, self.step / (self.step + 10))
        for name, tensor in self.vae.state_dict().items():
            self.average[name].lerp_(tensor, 1.0 - decay)


def train(options, joint):
    speed_up_vae_decoder()
    stage = _Stage(options, joint)
    is_first, saved, losses = stage.averager.rank == 0, stage.clock.spent_seconds(), []
    progress = stage.clock.progress()
    if progress >= 1.0:
        return
    while progress < 1.0:
        loss, progress = stage.train_step()
        losses.append(loss)
        if is_first and stage.step % REPORT_STEPS == 0:
            minutes = stage.clock.spent_seconds() / 60
            figures = f"minutes {minutes:.1f} loss {np.mean(losses):.4f}"
            training.log(stage.log_path, f"step {stage.step} {figures}")
            losses = []
        if stage.clock.spent_seconds() - saved > SAVE_SECONDS:
            saved = stage.clock.spent_seconds()
            stage.save()
    stage.vae.load_state_dict(stage.average)
    stage.save()
    if is_first:
        figures = "%.2f dB, near the shape %.2f dB" % psnr(stage.vae.eval(), 24)
        training.log(stage.log_path, f"done: step {stage.step}, PSNR {figures}")


def train_joint(options):
    train(options, joint=True)


def train_decoder(options):
    train(options, joint=False)
