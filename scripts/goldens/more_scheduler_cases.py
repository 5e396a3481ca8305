"""The generic DDIMScheduler, as Fun control uses it, and the start of video-to-video."""

import torch
from diffusers import (CogVideoXDDIMScheduler, CogVideoXDPMScheduler, CogVideoXVideoToVideoPipeline, DDIMScheduler)

from goldens.scheduler_cases import BASE, SHAPE
from goldens.store import Case

GROUP = "schedulers-more"
_COGVIDEOX = {key: value for key, value in BASE.items() if key != "snr_shift_scale"} | {"clip_sample": False}
_DEFAULT: dict = {}  # the class's own values: linear, epsilon, leading, clipped
_TABLES = {
    "default": _DEFAULT,
    "cogvideox": _COGVIDEOX,
    "cogvideox_unscaled": _COGVIDEOX | {"rescale_betas_zero_snr": False},
    "linear_scaled": {"rescale_betas_zero_snr": True},
    "alpha_not_one": _COGVIDEOX | {"set_alpha_to_one": False},
}
_STEPS = (6, 7, 11, 50, 61)
# name: (configuration, steps, bf16 sample)
_TRAJECTORIES = {
    "cogvideox": (_COGVIDEOX, 50, False),
    "cogvideox_n7": (_COGVIDEOX, 7, False),
    "cogvideox_n1": (_COGVIDEOX, 1, False),
    "cogvideox_bf16": (_COGVIDEOX, 50, True),
    "cogvideox_alpha_not_one": (_COGVIDEOX | {"set_alpha_to_one": False}, 11, False),
    "cogvideox_clipped": (_COGVIDEOX | {"clip_sample": True, "clip_sample_range": 1.5}, 10, False),
    "cogvideox_linspace": (_COGVIDEOX | {"timestep_spacing": "linspace"}, 10, False),
    "default": (_DEFAULT, 50, False),
    "default_bf16": (_DEFAULT, 10, True),
    "epsilon": (_COGVIDEOX | {"prediction_type": "epsilon", "rescale_betas_zero_snr": False,
                              "timestep_spacing": "leading", "steps_offset": 1}, 10, False),
    "sample": (_COGVIDEOX | {"prediction_type": "sample"}, 10, False),
}
# (steps, strength): int() cuts 28.999..., 61 steps have 62 timesteps, dynamic guidance divides by the shorter count.
_STRENGTHS = [(50, 0.8), (50, 0.3), (50, 1.0), (10, 0.3), (10, 0.35), (10, 0.55), (7, 0.5), (100, 0.29), (61, 0.5),
              (11, 0.1)]


def table_case() -> Case:
    case = Case(GROUP, "generic_tables", "alphas_cumprod", {"configs": {}})
    for name, config in _TABLES.items():
        scheduler = DDIMScheduler(**config)
        case.params["configs"][name] = _full(scheduler)
        case.output(f"alphas_cumprod.{name}", scheduler.alphas_cumprod)
        case.output(f"final_alpha_cumprod.{name}", scheduler.final_alpha_cumprod.reshape(1))
    return case


def _full(scheduler) -> dict:
    used = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    return {"_class_name": type(scheduler).__name__} | used


def timestep_case() -> Case:
    case = Case(GROUP, "generic_timesteps", "lists",
                {"steps": list(_STEPS), "spacings": ["trailing", "leading", "linspace"]})
    for spacing in case.params["spacings"]:
        for steps in _STEPS:
            scheduler = DDIMScheduler(**(_COGVIDEOX | {"timestep_spacing": spacing}))
            scheduler.set_timesteps(steps)
            case.output(f"{spacing}.{steps}", scheduler.timesteps)
    return case


def _trajectory(name: str, config: dict, steps: int, bf16: bool) -> Case:
    stored = sorted({i for i in (0, 1, 2, steps // 2, steps - 1) if 0 <= i < steps})
    scheduler = DDIMScheduler(**config)
    case = Case(GROUP, "generic_ddim", name, {"config": _full(scheduler), "steps": steps, "stored_steps": stored,
                                              "sample_dtype": "bf16" if bf16 else "fp32", "model_output_dtype": "fp32"})
    scheduler.set_timesteps(steps)
    sample = case.input("sample", SHAPE, bf16=bf16)
    case.output("timesteps", scheduler.timesteps)
    model_outputs = case.numbered_inputs("model_output", steps, SHAPE, 0.02, 0.8)
    for i, (time, model_output) in enumerate(zip(scheduler.timesteps, model_outputs, strict=True)):
        stepped, original = scheduler.step(model_output, time, sample, eta=0.0, return_dict=False)
        if i in stored:
            case.output(f"prev_sample.{i}", stepped.float())
            case.output(f"pred_original_sample.{i}", original.float())
            case.params["stepped_dtype"] = str(stepped.dtype).removeprefix("torch.")
        sample = stepped.to(sample.dtype)
    return case


def add_noise_cases() -> list[Case]:
    """The table is cast to the sample's type before its roots are taken."""
    cases = []
    schedulers = {"ddim_snr1": CogVideoXDDIMScheduler(**BASE),
                  "dpm_snr1": CogVideoXDPMScheduler(**BASE),
                  "dpm_snr3": CogVideoXDPMScheduler(**(BASE | {"snr_shift_scale": 3.0})),
                  "generic": DDIMScheduler(**_COGVIDEOX)}
    for name, scheduler in schedulers.items():
        case = Case(GROUP, "add_noise", name, {"config": _full(scheduler), "timesteps": [999, 899, 499, 279, 99, 19],
                                               "dtypes": ["fp32", "bf16", "fp16"]})
        sample = case.input("sample", SHAPE, 0.1, 1.0)
        noise = case.input("noise", SHAPE)
        for label, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
            for time in case.params["timesteps"]:
                noisy = scheduler.add_noise(sample.to(dtype), noise.to(dtype), torch.tensor([time]))
                if noisy.dtype != dtype:
                    raise RuntimeError(f"add_noise left {dtype}")
                case.output(f"{label}.t{time}", noisy.float())
        cases.append(case)
    return cases


def strength_case() -> Case:
    """Which timesteps video-to-video runs: the pipeline's own get_timesteps, which needs no model."""
    case = Case(GROUP, "strength", "timesteps", {"config": BASE, "rows": []})
    for steps, strength in _STRENGTHS:
        holder = object.__new__(CogVideoXVideoToVideoPipeline)
        scheduler = CogVideoXDPMScheduler(**BASE)
        scheduler.set_timesteps(steps)
        holder.__dict__["scheduler"] = scheduler
        timesteps, count = CogVideoXVideoToVideoPipeline.get_timesteps(holder, steps, scheduler.timesteps, strength,
                                                                       "cpu")
        name = f"n{steps}_s{strength}"
        case.params["rows"].append({"name": name, "steps": steps, "strength": strength, "steps_counted": count})
        case.output(name, timesteps)
    return case


def more_scheduler_cases() -> list[Case]:
    cases = [table_case(), timestep_case(), strength_case(), *add_noise_cases()]
    return cases + [_trajectory(name, *settings) for name, settings in _TRAJECTORIES.items()]
