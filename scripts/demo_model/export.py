"""Writes the trained components as a diffusers directory in half precision."""

import os
import shutil

import torch
from diffusers import CogVideoXPipeline
from transformers import T5Tokenizer

from .latents import read_scaling_factor
from .networks import MAX_TEXT_LENGTH, make_scheduler
from .text_training import load_text_encoder
from .tokenizer import FILE_NAME, all_captions, load_processor
from .transformer_training import load_transformer
from .vae_training import load_vae

SIZE_LIMIT = 12_000_000


def make_tokenizer(work):
    """transformers' tokenizer with the pieces of our sentencepiece model."""
    processor = load_processor(work)
    pieces = [(processor.id_to_piece(k), processor.get_score(k)) for k in range(processor.vocab_size())]
    tokenizer = T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=MAX_TEXT_LENGTH)
    for text in all_captions():
        assert tokenizer(text).input_ids == processor.encode(text) + [tokenizer.eos_token_id]
    return tokenizer


def directory_size(directory):
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(directory)
        for name in names
    )


def _replace_entries(staging, output):
    """Move every entry of the staging directory over its namesake; other files of the output stay."""
    os.makedirs(output, exist_ok=True)
    for entry in os.listdir(staging):
        target = os.path.join(output, entry)
        if os.path.isdir(target):
            shutil.rmtree(target)
        os.replace(os.path.join(staging, entry), target)
    os.rmdir(staging)
    for folder, _, names in os.walk(output):
        for name in names:
            os.chmod(os.path.join(folder, name), 0o644)


def export(options):
    vae = load_vae(options.work)
    vae.register_to_config(scaling_factor=read_scaling_factor(options.work, options.latents))
    transformer, step, spent = load_transformer(options.work)
    pipeline = CogVideoXPipeline(
        tokenizer=make_tokenizer(options.work),
        text_encoder=load_text_encoder(options.work),
        vae=vae,
        transformer=transformer,
        scheduler=make_scheduler(),
    ).to(torch.float16)
    staging = options.output.rstrip("/") + ".part"
    shutil.rmtree(staging, ignore_errors=True)
    pipeline.save_pretrained(staging)
    shutil.copy(os.path.join(options.work, FILE_NAME), os.path.join(staging, "tokenizer", FILE_NAME))
    _replace_entries(staging, options.output)
    size = directory_size(options.output)
    assert size <= SIZE_LIMIT, f"{size} bytes are over the limit"
    print(f"{options.output}: {size} bytes, transformer at step {step}, {spent / 60:.1f} minutes")
