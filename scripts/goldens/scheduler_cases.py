"""Both CogVideoX schedulers away from any model: tables, timesteps, trajectories, types, dynamic guidance."""

import math

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

from goldens.store import Case

GROUP = "schedulers"
_CLASSES = {"ddim": CogVideoXDDIMScheduler, "dpm": CogVideoXDPMScheduler}
BASE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
             prediction_type="v_prediction", rescale_betas_zero_snr=True, set_alpha_to_one=True,
             timestep_spacing="trailing", steps_offset=0, snr_shift_scale=1.0)
_TABLES = {
    "scaled_linear_snr1": {},
    "scaled_linear_snr3": {"snr_shift_scale": 3.0},
    "scaled_linear_snr3_unscaled": {"snr_shift_scale": 3.0, "rescale_betas_zero_snr": False},
    "linear_snr3": {"beta_schedule": "linear", "snr_shift_scale": 3.0},
    "linear_snr1_unscaled": {"beta_schedule": "linear", "rescale_betas_zero_snr": False},
    "squaredcos_snr3": {"beta_schedule": "squaredcos_cap_v2", "snr_shift_scale": 3.0},
    "wide_betas_snr2": {"beta_start": 0.0001, "beta_end": 0.02, "snr_shift_scale": 2.0},
}
_STEPS = (6, 7, 11, 30, 50, 61, 244)
SHAPE = (1, 2, 4, 4, 6)
# name: (configuration, steps, bf16 sample). Both classes run each.
_TRAJECTORIES = {
    "snr1": ({}, 50, False),
    "snr3": ({"snr_shift_scale": 3.0}, 50, False),
    "snr3_unscaled": ({"snr_shift_scale": 3.0, "rescale_betas_zero_snr": False}, 50, False),
    "alpha_not_one": ({"set_alpha_to_one": False}, 50, False),
    "leading_offset": ({"timestep_spacing": "leading", "steps_offset": 1, "rescale_betas_zero_snr": False}, 50, False),
    "linspace": ({"timestep_spacing": "linspace"}, 50, False),
    "epsilon": ({"prediction_type": "epsilon", "rescale_betas_zero_snr": False}, 50, False),
    "sample": ({"prediction_type": "sample"}, 50, False),
    "linear": ({"beta_schedule": "linear"}, 50, False),
    "squaredcos": ({"beta_schedule": "squaredcos_cap_v2", "snr_shift_scale": 3.0}, 50, False),
    "n6": ({}, 6, False),
    "n7": ({"snr_shift_scale": 3.0}, 7, False),
    "n11": ({}, 11, False),
    "n1": ({}, 1, False),
    "n2": ({}, 2, False),
    "n30": ({}, 30, False),
    "bf16": ({"snr_shift_scale": 3.0}, 50, True),
    "bf16_linear": ({"beta_schedule": "linear"}, 50, True),
    "bf16_n7": ({}, 7, True),
}


def table_case() -> Case:
    """alphas_cumprod in its own type (float64 for scaled_linear, else float32), and the last alpha."""
    case = Case(GROUP, "tables", "alphas_cumprod", {"configs": {}})
    for name, changes in _TABLES.items():
        case.params["configs"][name] = BASE | changes
        made = [cls(**(BASE | changes)) for cls in _CLASSES.values()]
        if not torch.equal(made[0].alphas_cumprod, made[1].alphas_cumprod):
            raise RuntimeError(f"{name}: DDIM and DPM tables differ")
        case.output(f"alphas_cumprod.{name}", made[0].alphas_cumprod)
    return case


def timestep_case() -> Case:
    case = Case(GROUP, "timesteps", "lists", {"steps": list(_STEPS), "spacings": ["trailing", "leading", "linspace"]})
    for spacing in case.params["spacings"]:
        for steps in _STEPS:
            scheduler = CogVideoXDDIMScheduler(**(BASE | {"timestep_spacing": spacing}))
            scheduler.set_timesteps(steps)
            case.output(f"{spacing}.{steps}", scheduler.timesteps)
    return case


def guidance_case() -> Case:
    """Dynamic guidance per training timestep, double precision, in the pipeline's own expression."""
    case = Case(GROUP, "guidance", "dynamic", {"guidance_scale": 6.0, "steps": [2, 4, 10, 50]})
    for n in case.params["steps"]:
        scheduler = CogVideoXDPMScheduler(**BASE)
        scheduler.set_timesteps(n)
        scale = [1 + 6.0 * ((1 - math.cos(math.pi * ((n - t.item()) / n) ** 5.0)) / 2) for t in scheduler.timesteps]
        case.output(f"timesteps.{n}", scheduler.timesteps)
        case.output(f"guidance.{n}", torch.tensor(scale, dtype=torch.float64))
    return case


def add_noise_case() -> Case:
    """Video-to-video's start, whose table is first cast to the sample's type (spec 5.6)."""
    case = Case(GROUP, "add_noise", "start", {"config": BASE | {"snr_shift_scale": 3.0}, "timesteps": [999, 799, 19]})
    scheduler = CogVideoXDDIMScheduler(**case.params["config"])
    sample = case.input("sample", SHAPE)
    noise = case.input("noise", SHAPE)
    for time in case.params["timesteps"]:
        case.output(f"fp32.t{time}", scheduler.add_noise(sample, noise, torch.tensor([time])))
        halves = scheduler.add_noise(sample.bfloat16(), noise.bfloat16(), torch.tensor([time]))
        if halves.dtype != torch.bfloat16:
            raise RuntimeError("add_noise left bfloat16")
        case.output(f"bf16.t{time}", halves.float())
    return case


def _trajectory(kind: str, name: str, changes: dict, steps: int, bf16: bool) -> Case:
    config = BASE | changes
    stored = sorted({i for i in (0, 1, 2, steps // 2, steps - 1) if 0 <= i < steps})
    case = Case(GROUP, kind, name, {"config": config, "steps": steps, "sample_dtype": "bf16" if bf16 else "fp32",
                                    "model_output_dtype": "fp32", "stored_steps": stored})
    scheduler = _CLASSES[kind](**config)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(1234)
    if kind == "dpm":
        case.params["seed"] = 1234
    sample = case.input("sample", SHAPE, bf16=bf16)
    case.output("timesteps", scheduler.timesteps)
    old = None
    model_outputs = case.numbered_inputs("model_output", steps, SHAPE, 0.02, 0.8)
    for i, (time, model_output) in enumerate(zip(scheduler.timesteps, model_outputs, strict=True)):
        if kind == "ddim":
            stepped, original = scheduler.step(model_output, time, sample, return_dict=False)
        else:
            back = scheduler.timesteps[i - 1] if i > 0 else None
            stepped, original = scheduler.step(model_output, old, time, back, sample, generator=generator)
            old = original
        if stepped.dtype != torch.float32:
            raise RuntimeError(f"step returned {stepped.dtype}")
        if i in stored:
            case.output(f"prev_sample.{i}", stepped)
            if kind == "dpm":
                case.output(f"pred_original_sample.{i}", original)
        sample = stepped.to(sample.dtype)
    return case


def scheduler_cases() -> list[Case]:
    cases = [table_case(), timestep_case(), guidance_case(), add_noise_case()]
    for kind in _CLASSES:
        cases += [_trajectory(kind, name, *settings) for name, settings in _TRAJECTORIES.items()]
    return cases
