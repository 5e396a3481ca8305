"""The demo video as a user of diffusers would make it. Tells by lines of JSON when it has come how far."""

import time

begin = time.perf_counter()

import json
import pathlib
import sys

import imageio  # noqa: F401  # what export_to_video needs
import imageio_ffmpeg  # noqa: F401
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel  # noqa: F401
from diffusers.utils import export_to_video
from transformers import T5EncoderModel, T5Tokenizer  # noqa: F401

MAX_TEXT_LENGTH = 16  # the demo model's


def tell(event):
    print(json.dumps({"event": event, "seconds": time.perf_counter() - begin}), flush=True)


def main():
    tell("imported")
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    torch.set_num_threads(int(options["threads"]))
    pipeline = CogVideoXPipeline.from_pretrained(options["model"], dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    tell("loaded")

    def after_step(_, step, timestep, tensors):
        if step == 0:
            tell("first step")
        return tensors

    video = pipeline(
        prompt=options["prompt"],
        num_inference_steps=int(options["steps"]),
        guidance_scale=float(options["guidance_scale"]),
        generator=torch.Generator().manual_seed(int(options["seed"])),
        max_sequence_length=MAX_TEXT_LENGTH,
        callback_on_step_end=after_step,
    ).frames[0]
    export_to_video(video, options["output"], fps=8)
    tell("written")
    if "frames" in options:
        folder = pathlib.Path(options["frames"])
        folder.mkdir()
        for i, frame in enumerate(video):
            frame.save(folder / f"{i:06}.png")


if __name__ == "__main__":
    main()
