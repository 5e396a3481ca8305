"""How far diffusers in bfloat16 is from diffusers in fp32, so that a port's distance can be put beside it.

Both runs have the same bfloat16 weights and inputs (the fp32 run has them upcast), so only the arithmetic differs.
Random numbers are drawn in bfloat16 in both: a bfloat16 draw is not the rounded fp32 draw.
"""

import contextlib
import copy

import torch
from diffusers.pipelines.cogvideo import pipeline_cogvideox
from diffusers.schedulers import scheduling_dpm_cogvideox

from goldens import model_cases, pipeline_cases
from goldens.checkpoints import Checkpoint
from goldens.prompts import PROMPTS, Tokenizer
from goldens.store import Case

SEEDS = (1, 2, 3, 4, 5)
_PROMPTS = ("ordinary", "train", "unicode", "long", "negative")
_TEXT_STEP = [1, 10, 1]
_VAE_STEP = [1, 1, 4, 3, 3]


def relative_l2(test: torch.Tensor, reference: torch.Tensor) -> float:
    reference = reference.double()
    return ((test.double() - reference).norm() / reference.norm()).item()


def _half_and_full(checkpoint: Checkpoint) -> tuple[Checkpoint, Checkpoint]:
    half = copy.deepcopy(checkpoint)
    for model in (half.text_encoder, half.transformer, half.vae):
        model.to(torch.bfloat16)
    full = copy.deepcopy(half)
    for model in (full.text_encoder, full.transformer, full.vae):
        model.to(torch.float32)
    # The table is no weight: the fp32 run has it unrounded, as when a checkpoint is loaded in fp32.
    if getattr(full.transformer.patch_embed, "pos_embedding", None) is not None:
        full.transformer.patch_embed.pos_embedding = checkpoint.transformer.patch_embed.pos_embedding
    return half, full


@contextlib.contextmanager
def _bf16_draws():
    """The pipeline and DPM draw bfloat16 whatever they ask for, and get it in the type they asked for."""
    modules = (pipeline_cogvideox, scheduling_dpm_cogvideox)
    original = pipeline_cogvideox.randn_tensor

    def draw(shape, generator=None, device=None, dtype=None, layout=None):
        return original(shape, generator=generator, device=device, dtype=torch.bfloat16).to(dtype)

    for module in modules:
        module.randn_tensor = draw
    try:
        yield
    finally:
        for module in modules:
            module.randn_tensor = original


def _compare(case: Case, name: str, test: torch.Tensor, reference: torch.Tensor, step) -> None:
    """Stores the fp32 result; the distance is over the stored elements."""
    stored = case.output(name, reference.float(), step)
    part = test.float()[tuple(slice(None, None, s) for s in step)]
    case.params.setdefault("relative_l2", {})[name] = float(f"{relative_l2(part, stored):.6g}")


def _text(checkpoint, tokenizer, half, full) -> Case:
    case = Case(checkpoint.name, "bf16", "text", {"stage": "text", "max_length": checkpoint.text_rows,
                                                  "prompts": {str(s): PROMPTS[p] for s, p in zip(SEEDS, _PROMPTS)}})
    for seed, prompt in zip(SEEDS, _PROMPTS):
        ids = tokenizer.ids(PROMPTS[prompt], checkpoint.text_rows)
        _compare(case, f"states.{seed}", half.text_encoder(ids)[0], full.text_encoder(ids)[0], _TEXT_STEP)
    return case


def _transformer(checkpoint, half, full) -> Case:
    size = (2, 6, 8)
    case = Case(checkpoint.name, "bf16", "transformer", {
        "stage": "transformer", "latent_frames": size[0], "latent_height": size[1], "latent_width": size[2],
        "timestep": 499})
    rotary = model_cases.rotary_tables(checkpoint, size)
    for seed in SEEDS:
        hidden = case.input(f"hidden_states.{seed}", (1, size[0], 16, size[1], size[2]), bf16=True)
        text = case.input(f"encoder_hidden_states.{seed}", (1, checkpoint.text_rows, 32), 0.05, 0.9, bf16=True)
        time = torch.tensor([499])
        test = half.transformer(hidden, text, time, image_rotary_emb=rotary)[0]
        reference = full.transformer(hidden.float(), text.float(), time, image_rotary_emb=rotary)[0]
        _compare(case, f"sample.{seed}", test, reference, [1] * 5)
    return case


def _vae(checkpoint, half, full) -> Case:
    case = Case(checkpoint.name, "bf16", "vae", {"stage": "vae", "latent_frames": 3, "latent_height": 4,
                                                 "latent_width": 5, "tiling": False})
    for seed in SEEDS:
        latents = case.input(f"z.{seed}", (1, 16, 3, 4, 5), 0.05, 1.0, bf16=True)
        _compare(case, f"sample.{seed}", half.vae.decode(latents).sample, full.vae.decode(latents.float()).sample,
                 _VAE_STEP)
    return case


def _pipeline(checkpoint, tokenizer, half, full) -> Case:
    dpm = checkpoint.configs["scheduler"]["_class_name"] == "CogVideoXDPMScheduler"
    settings = dict(prompt="ordinary", negative_prompt="empty", height=48, width=64, num_frames=5, steps=10,
                    guidance_scale=6.0, dynamic_cfg=dpm, tiling=True)
    params = settings | {"stage": "pipeline", "prompt": PROMPTS["ordinary"], "negative_prompt": PROMPTS["empty"],
                         "seeds": list(SEEDS), "scheduler": checkpoint.configs["scheduler"]["_class_name"],
                         "max_sequence_length": checkpoint.text_rows, "draws": "bf16"}
    case = Case(checkpoint.name, "bf16", "pipeline", params)
    for seed in SEEDS:
        with _bf16_draws():
            test = pipeline_cases.run(half, tokenizer, settings | {"seed": seed}, "latent")
            reference = pipeline_cases.run(full, tokenizer, settings | {"seed": seed}, "latent")
        if not torch.equal(test[1].float(), reference[1]) or test[1].dtype != torch.bfloat16:
            raise RuntimeError("the two runs begin differently")
        _compare(case, f"latents.1.{seed}", test[2], reference[2], [1] * 5)
        _compare(case, f"latents.final.{seed}", test[3], reference[3], [1] * 5)
    return case


def bf16_cases(checkpoint: Checkpoint, tokenizer: Tokenizer) -> list[Case]:
    half, full = _half_and_full(checkpoint)
    return [_text(checkpoint, tokenizer, half, full), _transformer(checkpoint, half, full),
            _vae(checkpoint, half, full), _pipeline(checkpoint, tokenizer, half, full)]
