"""The real CogVideoXPipeline in fp32 from a prompt to frames."""

import numpy as np
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

from goldens import model_cases
from goldens.checkpoints import Checkpoint, without_class
from goldens.prompts import PROMPTS, Tokenizer
from goldens.store import Case

SCHEDULERS = {"CogVideoXDDIMScheduler": CogVideoXDDIMScheduler, "CogVideoXDPMScheduler": CogVideoXDPMScheduler}
_DEFAULTS = dict(prompt="ordinary", negative_prompt="empty", height=64, width=80, num_frames=9, steps=10,
                 guidance_scale=6.0, dynamic_cfg=False, seed=42, tiling=True, frame_step=1, pixel_step=1)
# `frames` false: latents only.
PIPELINES = {
    "tiny-2b": {
        "ddim": dict(height=112, width=96, pixel_step=3),
        "ddim_untiled": dict(height=112, width=96, frame_step=4, pixel_step=3, tiling=False),
        "ddim_no_guidance": dict(height=48, guidance_scale=1.0, num_frames=5, seed=7),
        "ddim_negative": dict(height=48, negative_prompt="negative", prompt="train", seed=43, frame_step=2),
        "ddim_one_frame": dict(height=80, width=304, num_frames=1, prompt="unicode", seed=-1 % 2**32, pixel_step=4),
        "ddim_7_steps": dict(height=48, width=64, num_frames=5, steps=7, frames=False),
    },
    "tiny-5b": {
        "dpm_dynamic": dict(height=64, width=96, dynamic_cfg=True, frame_step=4),
        "dpm": dict(height=112, width=80, num_frames=17, prompt="train", negative_prompt="negative", seed=43,
                    frame_step=4, pixel_step=3),
        "dpm_11_steps": dict(height=48, width=64, num_frames=5, steps=11, dynamic_cfg=True, frames=False),
        "dpm_no_guidance": dict(height=48, width=64, guidance_scale=1.0, dynamic_cfg=True, steps=7, frames=False),
    },
    "tiny-30x16": {
        "ddim": dict(height=80, width=112, frame_step=2, pixel_step=3),
        "ddim_rows2": dict(height=32, width=112, seed=44, frames=False),
        "ddim_rows3": dict(height=48, width=304, seed=45, frames=False, prompt="long"),
    },
}


def scheduler_of(checkpoint: Checkpoint):
    config = checkpoint.configs["scheduler"]
    return SCHEDULERS[config["_class_name"]](**without_class(config))


def run(checkpoint: Checkpoint, tokenizer: Tokenizer, settings: dict, output_type: str, latents=None):
    """The pipeline's output, its initial latents, and the latents after step 1 and after the last."""
    pipe = model_cases.pipeline(checkpoint, tokenizer, scheduler_of(checkpoint))
    pipe.set_progress_bar_config(disable=True)
    checkpoint.vae.use_tiling = settings["tiling"]
    seen = []
    prepare = pipe.prepare_latents

    def prepare_and_note(*args, **kwargs):
        seen.append(prepare(*args, **kwargs))
        return seen[0]

    def note(_pipe, _step, _time, values):
        seen.append(values["latents"])
        return values

    pipe.prepare_latents = prepare_and_note
    out = pipe(prompt=PROMPTS[settings["prompt"]], negative_prompt=PROMPTS[settings["negative_prompt"]],
               height=settings["height"], width=settings["width"], num_frames=settings["num_frames"],
               num_inference_steps=settings["steps"], guidance_scale=settings["guidance_scale"],
               use_dynamic_cfg=settings["dynamic_cfg"], generator=torch.Generator().manual_seed(settings["seed"]),
               max_sequence_length=checkpoint.text_rows, output_type=output_type, latents=latents,
               callback_on_step_end=note)
    checkpoint.vae.use_tiling = False
    return out.frames, seen[0], seen[1], seen[-1]


def _case(checkpoint: Checkpoint, tokenizer: Tokenizer, name: str, changes: dict) -> Case:
    settings = _DEFAULTS | {"frames": True} | changes
    wants_frames = settings["frames"]
    frames, initial, first, last = run(checkpoint, tokenizer, settings, "pil" if wants_frames else "latent")
    hidden = ("frame_step", "pixel_step")
    params = {key: value for key, value in settings.items() if key not in hidden}
    params |= {"prompt": PROMPTS[settings["prompt"]], "negative_prompt": PROMPTS[settings["negative_prompt"]],
               "scheduler": checkpoint.configs["scheduler"]["_class_name"],
               "max_sequence_length": checkpoint.text_rows}
    case = Case(checkpoint.name, "pipeline", name, params)
    case.output("prompt_ids", tokenizer.ids(params["prompt"], checkpoint.text_rows))
    case.output("negative_prompt_ids", tokenizer.ids(params["negative_prompt"], checkpoint.text_rows))
    case.output("latents.initial", initial, [1, 1, 5, 1, 1])
    case.output("latents.1", first, [1, 1, 3, 1, 1])
    case.output("latents.final", last)
    if wants_frames:
        rgb = torch.from_numpy(np.stack([np.asarray(frame) for frame in frames[0]]))
        pixel = settings["pixel_step"]
        case.output("frames", rgb, [settings["frame_step"], pixel, pixel, 1])
    return case


def pipeline_cases(checkpoint: Checkpoint, tokenizer: Tokenizer) -> list[Case]:
    return [_case(checkpoint, tokenizer, name, changes) for name, changes in PIPELINES[checkpoint.name].items()]
