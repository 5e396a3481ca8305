"""Trains the transformer on cached latents against the frozen text encoder."""

import os
import random

import numpy as np
import torch
from diffusers import CogVideoXTransformer3DModel
from torch.nn.attention import SDPBackend, sdpa_kernel

from . import training
from .combinations import training_combinations
from .latents import LatentStore
from .muon import MuonWithAdamW
from .networks import make_scheduler, make_transformer
from .text_training import load_text_encoder, random_wording
from .tokenizer import encode_padded, load_processor

EMPTY_CAPTION_SHARE = 0.1
# Captions of real data are unreliable, so a model believes them half-heartedly and guidance makes
# up for it. With true captions only, this model is right at any guidance scale, and a program
# whose guidance does nothing would pass the evaluation.
WRONG_CAPTION_SHARE = 0.7
AVERAGE_DECAY = 0.998
WARM_UP_STEPS, CONSTANT_SHARE, FINAL_SCALE = 100, 0.35, 0.01
SAVE_SECONDS = 120
REPORT_STEPS = 100
FILE_NAME = "transformer.pt"


def initial_transformer(layers, init):
    """A new transformer; with init, blocks beyond the given ones start as the identity."""
    transformer = make_transformer(layers)
    if init:
        trained = CogVideoXTransformer3DModel.from_pretrained(
            init, subfolder="transformer", torch_dtype=torch.float32
        )
        transformer.load_state_dict(trained.state_dict(), strict=False)
        for block in transformer.transformer_blocks[trained.config.num_layers :]:
            for norm in (block.norm1, block.norm2):
                torch.nn.init.zeros_(norm.linear.weight)
                torch.nn.init.zeros_(norm.linear.bias)
    return transformer


def load_transformer(work):
    """The averaged weights of the last checkpoint, and the step and seconds it stands at."""
    state = training.load_checkpoint(os.path.join(work, FILE_NAME))
    transformer = make_transformer(state["layers"])
    transformer.load_state_dict(state["average"])
    return transformer.eval(), state["step"], state["spent"]


def _optimizer(transformer, learning_rate):
    matrices, others = [], []
    for name, parameter in transformer.named_parameters():
        inside_block = "transformer_blocks" in name and parameter.dim() == 2
        (matrices if inside_block else others).append(parameter)
    return MuonWithAdamW(matrices, others, 1.5 * learning_rate, learning_rate, weight_decay=0.02)


class _TextEmbeddings:
    """Embeddings of captions, each computed once."""

    def __init__(self, work):
        self.text_encoder = load_text_encoder(work)
        self.processor = load_processor(work)
        self.known = {}

    def __call__(self, texts):
        unknown = sorted(set(texts) - set(self.known))
        if unknown:
            ids = torch.tensor([encode_padded(self.processor, text) for text in unknown])
            with torch.no_grad():
                self.known.update(zip(unknown, self.text_encoder(ids)[0]))
        return torch.stack([self.known[text] for text in texts])


def _timesteps(count):
    """Half uniform, half leaning towards pure noise, where the layout of the clip is decided."""
    uniform = torch.rand(count)
    moments = torch.where(torch.rand(count) < 0.5, 1.0 - uniform.square(), uniform)
    return (moments * 1000).long().clamp(0, 999)


class _Stage:
    def __init__(self, options):
        self.options = options
        self.path = os.path.join(options.work, FILE_NAME)
        self.log_path = os.path.join(options.work, "transformer.log")
        self.transformer = initial_transformer(options.layers, options.init).train()
        self.parameters = list(self.transformer.parameters())
        self.optimizer = _optimizer(self.transformer, options.learning_rate)
        self.average = {n: t.clone() for n, t in self.transformer.state_dict().items()}
        self.step, spent = 0, 0.0
        state = training.load_checkpoint(self.path)
        if state is not None:
            self.transformer.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average, self.step, spent = state["average"], state["step"], state["spent"]
        self.clock = training.Clock(options.minutes, options.until, spent)
        self.averager = training.Averager(self.parameters)
        seed = 1000 * self.step + self.averager.rank
        torch.manual_seed(seed)
        self.rng = random.Random(seed)
        self.combinations = training_combinations()
        self.texts = _TextEmbeddings(options.work)
        self.store = LatentStore(options.work, options.latents)
        self.alphas = make_scheduler().alphas_cumprod.float()
        self.progress = self.clock.progress()

    def save(self):
        if self.averager.rank == 0:
            state = {
                "model": self.transformer.state_dict(),
                "average": self.average,
                "optimizer": self.optimizer.state_dict(),
                "layers": self.options.layers,
                "step": self.step,
                "spent": self.clock.spent_seconds(),
            }
            training.save_atomically(state, self.path)

    def _caption(self, combination):
        if self.rng.random() < EMPTY_CAPTION_SHARE:
            return ""
        if self.rng.random() < WRONG_CAPTION_SHARE:
            combination = self.rng.choice(self.combinations)
        return random_wording(combination, self.rng)

    def _loss(self):
        clean, combinations = self.store.sample(self.options.batch, self.rng)
        embeddings = self.texts([self._caption(c) for c in combinations])
        timesteps = _timesteps(len(clean))
        alpha = self.alphas[timesteps].view(-1, 1, 1, 1, 1)
        noise = torch.randn_like(clean)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
        with torch.autocast("cpu", dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            predicted = self.transformer(noisy, embeddings, timesteps, return_dict=False)[0]
        return (predicted.float() - velocity).square().mean()

    def train_step(self):
        loss = self._loss()
        self.optimizer.zero_grad()
        loss.backward()
        self.progress = self.averager.average(self.clock.progress())
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step(
            training.learning_rate_scale(
                self.step, self.progress, WARM_UP_STEPS, CONSTANT_SHARE, FINAL_SCALE
            )
        )
        self.step += 1
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self):
        decay = min(AVERAGE_DECAY, self.step / (self.step + 10))
        for name, tensor in self.transformer.state_dict().items():
            self.average[name].lerp_(tensor, 1.0 - decay)


def train(options):
    stage = _Stage(options)
    is_first, saved, losses = stage.averager.rank == 0, stage.clock.spent_seconds(), []
    if stage.progress >= 1.0:
        return
    while stage.progress < 1.0:
        losses.append(stage.train_step())
        if stage.step % REPORT_STEPS == 0:
            stage.store.refresh()
            if is_first:
                minutes = stage.clock.spent_seconds() / 60
                clips = len(stage.store.combinations)
                figures = f"minutes {minutes:.1f} loss {np.mean(losses):.4f} clips {clips}"
                training.log(stage.log_path, f"step {stage.step} {figures}")
            losses = []
        if stage.clock.spent_seconds() - saved > SAVE_SECONDS:
            saved = stage.clock.spent_seconds()
            stage.save()
    stage.save()
    if is_first:
        training.log(stage.log_path, f"done: step {stage.step}")
