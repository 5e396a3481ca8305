"""Pretrains the text encoder: every position of its output must tell all four attributes."""

import os
import random

import torch
import torch.nn.functional as F

from . import training
from .combinations import (
    ATTRIBUTES,
    COLOURS,
    MOTIONS,
    SHAPES,
    captions,
    held_out_combinations,
    training_combinations,
    written_variants,
)
from .networks import MAX_TEXT_LENGTH, TEXT_WIDTH, make_text_encoder
from .tokenizer import encode_padded, load_processor

CLASSES = {
    "colour": len(COLOURS),
    "shape": len(SHAPES),
    "motion": len(MOTIONS),
    "background": len(COLOURS),
}
BATCH = 64
BIAS_LEARNING_RATE = 3e-2
# The rows of the relative position table for the next, the previous and the next but one token.
NEIGHBOUR_BUCKETS = (17, 1, 18)
NEIGHBOUR_BIAS = 4.0
FILE_NAME = "text.pt"


class AttributeHeads(torch.nn.Module):
    """One linear classifier per attribute, shared by the positions; thrown away after training."""

    def __init__(self):
        super().__init__()
        self.heads = torch.nn.ModuleDict(
            {name: torch.nn.Linear(TEXT_WIDTH, count) for name, count in CLASSES.items()}
        )

    def loss(self, hidden, targets):
        total = 0.0
        for name, head in self.heads.items():
            logits = head(hidden).flatten(0, 1)
            total = total + F.cross_entropy(logits, targets[name].repeat_interleave(MAX_TEXT_LENGTH))
        return total

    def accuracy(self, hidden, targets):
        right = [
            head(hidden).argmax(-1) == targets[name][:, None] for name, head in self.heads.items()
        ]
        return 100.0 * float(torch.stack(right).float().mean())


def initial_text_encoder(processor):
    text_encoder = make_text_encoder(processor.vocab_size())
    table = text_encoder.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    with torch.no_grad():
        for head, row in enumerate(NEIGHBOUR_BUCKETS):
            table[row, head] += NEIGHBOUR_BIAS
    return text_encoder


def load_text_encoder(work):
    processor = load_processor(work)
    text_encoder = make_text_encoder(processor.vocab_size())
    text_encoder.load_state_dict(training.load_checkpoint(os.path.join(work, FILE_NAME))["model"])
    return text_encoder.eval().requires_grad_(False)


def random_wording(combination, rng):
    """A caption of the combination; most keep the plain spelling."""
    caption = rng.choice(captions(combination))
    return rng.choice(written_variants(caption)) if rng.random() < 0.3 else caption


def _batch(processor, combinations, rng):
    ids = torch.tensor([encode_padded(processor, random_wording(c, rng)) for c in combinations])
    targets = {
        name: torch.tensor([getattr(c, name) for c in combinations]) for name in ATTRIBUTES
    }
    return ids, targets


def _optimizer(text_encoder, heads):
    named = list(text_encoder.named_parameters())
    biases = [p for n, p in named if "relative_attention_bias" in n]
    others = [p for n, p in named if "relative_attention_bias" not in n]
    return torch.optim.AdamW(
        [
            {"params": others + list(heads.parameters()), "base": 1.0},
            {"params": biases, "base": BIAS_LEARNING_RATE},
        ],
        betas=(0.9, 0.98),
        weight_decay=0.01,
    )


def train(options):
    log_path = os.path.join(options.work, "text.log")
    path = os.path.join(options.work, FILE_NAME)
    if os.path.exists(path):
        return
    torch.manual_seed(0)
    rng = random.Random(0)
    processor = load_processor(options.work)
    text_encoder, heads = initial_text_encoder(processor), AttributeHeads()
    optimizer = _optimizer(text_encoder, heads)
    combinations = training_combinations()
    clock, step, progress = training.Clock(options.minutes, options.until), 0, 0.0
    while progress < 1.0:
        progress = clock.progress()
        scale = training.learning_rate_scale(step, progress, 50, 0.3, 0.01)
        for group in optimizer.param_groups:
            base = options.learning_rate if group["base"] == 1.0 else group["base"]
            group["lr"] = base * scale
        ids, targets = _batch(processor, rng.choices(combinations, k=BATCH), rng)
        loss = heads.loss(text_encoder(ids)[0], targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(text_encoder.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 100 == 0:
            training.log(log_path, f"step {step} loss {loss.item():.4f}")
    text_encoder.eval()
    with torch.no_grad():
        ids, targets = _batch(processor, held_out_combinations() * 4, rng)
        accuracy = heads.accuracy(text_encoder(ids)[0], targets)
    training.log(log_path, f"done: step {step}, {accuracy:.2f} % right on held-out captions")
    training.save_atomically({"model": text_encoder.state_dict(), "step": step}, path)
