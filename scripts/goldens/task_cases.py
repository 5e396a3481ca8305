"""Whole pipelines in fp32 whose input is more than a prompt, and those of 1.5; pixels come from streams."""

import numpy as np
import PIL.Image
import torch
from diffusers import (CogVideoXDDIMScheduler, CogVideoXDPMScheduler, CogVideoXFunControlPipeline,
                       CogVideoXImageToVideoPipeline, CogVideoXPipeline, CogVideoXVideoToVideoPipeline, DDIMScheduler)

from goldens.checkpoints import Checkpoint, without_class
from goldens.model_cases import joint_rows
from goldens.prompts import PROMPTS, Tokenizer
from goldens.store import Case

_PIPELINES = {"t2v": CogVideoXPipeline, "i2v": CogVideoXImageToVideoPipeline, "v2v": CogVideoXVideoToVideoPipeline,
              "control": CogVideoXFunControlPipeline}
_SCHEDULERS = {cls.__name__: cls for cls in (CogVideoXDDIMScheduler, CogVideoXDPMScheduler, DDIMScheduler)}
_DEFAULTS = dict(prompt="ordinary", negative_prompt="empty", height=64, width=128, num_frames=9, steps=10,
                 guidance_scale=6.0, dynamic_cfg=False, seed=42, tiling=True, frames=True, frame_step=4, pixel_step=3,
                 scheduler=None, scheduler_changes={})
_DDIM = "CogVideoXDDIMScheduler"
_NEGATIVE = dict(prompt="train", negative_prompt="negative")
# {group: {case: settings}}; `frames` false: latents only. Sizes with a rest of 1, 2 or 3 rows are marked.
TASKS = {
    "tiny-5b-i2v": {
        "i2v.dpm_dynamic": dict(dynamic_cfg=True),  # 322, 2; learned positions
        "i2v.ddim": dict(scheduler=_DDIM, seed=43, tiling=False, **_NEGATIVE),
        "i2v.dpm_other_frames": dict(num_frames=5, steps=7, seed=44, frame_step=2),  # 290; 8 frames come out
        "i2v.ddim_one_frame": dict(scheduler=_DDIM, num_frames=1, guidance_scale=1.0, seed=45, frame_step=1),  # 258, 2
        "i2v.dpm_no_guidance": dict(num_frames=13, guidance_scale=1.0, dynamic_cfg=True, frames=False),
    },
    "tiny-1.5": {
        "t2v.dpm_dynamic": dict(height=64, width=64, dynamic_cfg=True),  # 3 latent frames, padded to 4: 258, 2
        "t2v.ddim": dict(scheduler=_DDIM, height=48, width=176, num_frames=5, seed=43, frame_step=2,
                         **_NEGATIVE),  # 259, 3; 8 frames come out
        "t2v.ddim_untiled": dict(scheduler=_DDIM, height=48, width=80, num_frames=17, seed=44, tiling=False),
        "t2v.dpm_one_frame": dict(height=80, width=304, num_frames=1, guidance_scale=1.0, seed=45, frame_step=1,
                                  pixel_step=4),  # 321, 1
        "t2v.dpm_7_steps": dict(height=32, width=48, num_frames=13, steps=7, seed=46, frames=False),
        "v2v.dpm_dynamic": dict(height=64, width=64, num_frames=13, strength=0.8, dynamic_cfg=True, seed=47),  # 258, 2
        "v2v.ddim": dict(scheduler=_DDIM, height=48, width=176, num_frames=8, strength=0.3, seed=48, frame_step=2,
                         **_NEGATIVE),  # 259, 3
        "v2v.ddim_no_guidance": dict(scheduler=_DDIM, height=80, width=304, num_frames=5, strength=0.55, seed=49,
                                     guidance_scale=1.0, tiling=False, frames=False),  # 321, 1
    },
    "tiny-1.5-i2v": {
        "i2v.dpm_dynamic": dict(height=64, width=64, dynamic_cfg=True),  # 3 latent frames, padded to 4: 258, 2
        "i2v.ddim": dict(scheduler=_DDIM, height=48, width=176, num_frames=5, seed=43, frame_step=2,
                         **_NEGATIVE),  # 259, 3; 8 frames come out
        "i2v.ddim_untiled": dict(scheduler=_DDIM, height=48, width=80, num_frames=17, seed=44, tiling=False),
        "i2v.dpm_one_frame": dict(height=80, width=304, num_frames=1, guidance_scale=1.0, seed=45, frame_step=1,
                                  pixel_step=4),  # 321, 1
    },
    "tiny-fun-2b": {
        "control.generic": dict(height=80, width=112),  # 129, 1
        "control.generic_negative": dict(height=32, width=112, num_frames=9, seed=43, tiling=False,
                                         **_NEGATIVE),  # 66, 2
        "control.generic_epsilon": dict(height=48, width=80, num_frames=5, steps=7, seed=44, frame_step=2, frames=False,
                                        scheduler_changes=dict(
                                            prediction_type="epsilon", timestep_spacing="leading", steps_offset=1,
                                            rescale_betas_zero_snr=False, clip_sample=True, beta_schedule="linear")),
        "control.ddim": dict(height=64, width=48, num_frames=13, seed=45, scheduler=_DDIM, dynamic_cfg=True,
                             frames=False),
    },
    "tiny-fun-5b": {
        "control.generic": dict(height=48, width=304, pixel_step=5),  # 195, 3
        "control.generic_no_guidance": dict(height=96, width=160, num_frames=8, guidance_scale=1.0, seed=43,
                                            pixel_step=4),
        "control.generic_dynamic": dict(height=64, width=48, num_frames=17, dynamic_cfg=True, seed=44, tiling=False,
                                        **_NEGATIVE),
    },
    "tiny-2b-input": {
        "v2v.ddim": dict(height=64, width=64, num_frames=9, strength=0.8, pixel_step=2),  # 274
        "v2v.ddim_tiles": dict(height=112, width=96, strength=0.3, seed=43, **_NEGATIVE),
        "v2v.ddim_whole": dict(height=128, width=64, num_frames=9, strength=1.0, seed=44, tiling=False,
                               frames=False),  # 322, 2
        "v2v.ddim_no_guidance": dict(height=80, width=304, num_frames=1, strength=0.55, guidance_scale=1.0, seed=45,
                                     frames=False),  # 321, 1
    },
    "tiny-5b-input": {
        "v2v.dpm_dynamic": dict(height=64, width=96, strength=0.8, dynamic_cfg=True),
        "v2v.dpm": dict(height=128, width=64, num_frames=9, strength=0.3, seed=43, **_NEGATIVE),  # 322, 2
        "v2v.dpm_whole": dict(height=48, width=64, num_frames=5, steps=7, strength=1.0, seed=44, frame_step=2),
        "v2v.dpm_no_guidance": dict(height=48, width=80, num_frames=17, guidance_scale=1.0, dynamic_cfg=True,
                                    strength=0.5, seed=45, tiling=False, frames=False),
    },
    "tiny-30x16-input": {
        "v2v.ddim": dict(height=80, width=112, strength=0.8),  # 129, 1
        "v2v.ddim_rows3": dict(height=48, width=304, strength=0.45, seed=43, frames=False, prompt="long"),  # 195, 3
    },
}


def _scheduler(checkpoint: Checkpoint, settings: dict):
    """Fun control makes the generic class from whatever the checkpoint's file says, as its documentation tells."""
    config = checkpoint.configs["scheduler"]
    generic = "FunControl" in checkpoint.configs["model_index"]["_class_name"]
    name = settings["scheduler"] or ("DDIMScheduler" if generic else config["_class_name"])
    scheduler = _SCHEDULERS[name].from_config(without_class(config) | settings["scheduler_changes"])
    used = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    return scheduler, {"_class_name": name} | used


def _frames_of(video: torch.Tensor) -> list[PIL.Image.Image]:
    return [PIL.Image.fromarray(frame.numpy()) for frame in video]


class _Notes:
    """What the pipeline makes on its way: wraps its own methods, and is its callback."""

    def __init__(self, pipe, task: str):
        self.made: dict[str, torch.Tensor] = {}
        self.latents: list[torch.Tensor] = []
        self._wrap(pipe, "prepare_latents", self._latents_of(task))
        if task == "v2v":
            self._wrap(pipe.scheduler, "add_noise", self._added_noise)
        if task == "control":
            self._wrap(pipe, "prepare_control_latents", self._control)

    @staticmethod
    def _wrap(owner, name: str, note):
        original = getattr(owner, name)

        def wrapper(*args, **kwargs):
            result = original(*args, **kwargs)
            note(args, result)
            return result

        setattr(owner, name, wrapper)

    def _latents_of(self, task: str):
        def note(_args, result):
            if task == "i2v":
                self.made["latents.initial"], self.made["image_latents"] = result
            else:
                self.made["latents.initial"] = result
        return note

    def _added_noise(self, args, _result):
        self.made["video_latents"], self.made["noise"] = args[0], args[1]

    def _control(self, _args, result):
        self.made["control_latents"] = result[1].permute(0, 2, 1, 3, 4)

    def __call__(self, _pipe, _step, _time, values):
        self.latents.append(values["latents"])
        return values


def _pixels(case: Case, task: str, settings: dict) -> dict:
    size = (settings["height"], settings["width"], 3)
    if task == "i2v":
        image = case.bytes_input("image", size)
        return {"image": PIL.Image.fromarray(image.numpy()), "num_frames": settings["num_frames"]}
    if task == "t2v":
        return {"num_frames": settings["num_frames"]}
    video = _frames_of(case.bytes_input("video", (settings["num_frames"], *size)))
    return {"video": video, "strength": settings["strength"]} if task == "v2v" else {"control_video": video}


def task_case(checkpoint: Checkpoint, group: str, tokenizer: Tokenizer, name: str, changes: dict) -> Case:
    task, row = name.split(".", 1)
    settings = _DEFAULTS | changes
    scheduler, scheduler_config = _scheduler(checkpoint, settings)
    hidden = ("frame_step", "pixel_step", "scheduler_changes")
    params = {key: value for key, value in settings.items() if key not in hidden}
    params |= {"checkpoint": checkpoint.name, "task": task, "prompt": PROMPTS[settings["prompt"]],
               "negative_prompt": PROMPTS[settings["negative_prompt"]], "scheduler": scheduler_config["_class_name"],
               "scheduler_config": scheduler_config, "max_sequence_length": checkpoint.text_rows}
    case = Case(group, task, row, params)
    pipe = _PIPELINES[task](tokenizer.transformers, checkpoint.text_encoder, checkpoint.vae, checkpoint.transformer,
                            scheduler)
    pipe.set_progress_bar_config(disable=True)
    notes = _Notes(pipe, task)
    checkpoint.vae.use_tiling = settings["tiling"]
    out = pipe(prompt=params["prompt"], negative_prompt=params["negative_prompt"], height=settings["height"],
               width=settings["width"], num_inference_steps=settings["steps"],
               guidance_scale=settings["guidance_scale"], use_dynamic_cfg=settings["dynamic_cfg"],
               generator=torch.Generator().manual_seed(settings["seed"]), max_sequence_length=checkpoint.text_rows,
               output_type="pil" if settings["frames"] else "latent", callback_on_step_end=notes,
               **_pixels(case, task, settings)).frames
    checkpoint.vae.use_tiling = False
    _store(case, checkpoint, tokenizer, settings, notes, out)
    return case


def _store(case, checkpoint, tokenizer, settings, notes, out) -> None:
    first = notes.made["latents.initial"]
    joint = joint_rows(checkpoint, (first.shape[1], first.shape[3], first.shape[4]))
    steps_run = len(notes.latents)
    case.params |= {"latent_frames": first.shape[1], "joint_rows": joint, "last_block_rows": (joint - 1) % 64 + 1,
                    "steps_run": steps_run}
    case.output("prompt_ids", tokenizer.ids(case.params["prompt"], checkpoint.text_rows))
    case.output("negative_prompt_ids", tokenizer.ids(case.params["negative_prompt"], checkpoint.text_rows))
    for name, value in sorted(notes.made.items()):
        case.output(name, value, [1, 1, 5, 1, 1])
    for step in sorted({1, 2} & set(range(1, steps_run))):
        case.output(f"latents.{step}", notes.latents[step - 1], [1, 1, 3, 1, 1])
    case.output("latents.final", notes.latents[-1])
    if not settings["frames"]:
        if not torch.equal(out, notes.latents[-1]):
            raise RuntimeError("output_type latent is not the last latents")
        return
    rgb = torch.from_numpy(np.stack([np.asarray(frame) for frame in out[0]]))
    case.params["frames_out"] = rgb.shape[0]
    pixel = settings["pixel_step"]
    case.output("frames", rgb, [settings["frame_step"], pixel, pixel, 1])


def task_cases(checkpoint: Checkpoint, group: str, tokenizer: Tokenizer) -> list[Case]:
    return [task_case(checkpoint, group, tokenizer, name, changes) for name, changes in TASKS[group].items()]
