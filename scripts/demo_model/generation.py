"""Makes clips from prompts, with the cogvx program or with the diffusers pipeline."""

import glob
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image


def read_frames(directory):
    """The numbered PNG files of a directory as [F, H, W, 3] bytes."""
    paths = sorted(glob.glob(os.path.join(directory, "*.png")))
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])


def _run_program(options, prompt, seed):
    with tempfile.TemporaryDirectory() as directory:
        frames = os.path.join(directory, "frames")
        command = [
            options.program,
            "--model", options.model,
            "--prompt", prompt,
            "--seed", str(seed),
            "--steps", str(options.steps),
            "--guidance-scale", str(options.guidance_scale),
            "--frames-dir", frames,
            "-o", os.path.join(directory, "out.mp4"),
            "--overwrite",
            "--threads", "1",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
        return read_frames(frames)


def generate_with_program(options, prompts, seeds):
    with ThreadPoolExecutor(options.jobs) as pool:
        return list(pool.map(lambda pair: _run_program(options, *pair), zip(prompts, seeds)))


def generate_with_reference(options, prompts, seeds):
    import torch
    from diffusers import CogVideoXPipeline

    from .networks import MAX_TEXT_LENGTH

    torch.set_num_threads(options.jobs)
    pipeline = CogVideoXPipeline.from_pretrained(options.model, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    clips = []
    for prompt, seed in zip(prompts, seeds):
        video = pipeline(
            prompt=prompt,
            num_inference_steps=options.steps,
            guidance_scale=options.guidance_scale,
            generator=torch.Generator().manual_seed(seed),
            max_sequence_length=MAX_TEXT_LENGTH,
            output_type="np",
        ).frames[0]
        clips.append(np.round(video * 255).astype(np.uint8))
    return clips
