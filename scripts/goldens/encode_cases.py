"""The VAE's encoder in fp32: moments, samples of the posterior, and what every layer puts out, chunk by chunk."""

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from goldens.checkpoints import Checkpoint
from goldens.store import Case

# (frames, height, width in pixels, tiled); the comment is the tile grid. Tiles are half the config's sample size.
ENCODE_SIZES = {
    "tiny-2b": [(1, 16, 24, False), (5, 24, 16, False), (8, 16, 24, False), (9, 16, 16, False), (13, 16, 16, False),
                (17, 24, 16, False),
                (1, 184, 168, True),  # 3 x 3 of 96 x 80, every 80 x 64
                (9, 112, 96, True)],  # 2 x 2
    "tiny-5b": [(1, 24, 24, False), (9, 16, 32, False), (17, 16, 16, False),
                (5, 104, 152, True),  # 3 x 3 of 48 x 80, every 40 x 64
                (17, 56, 80, True)],  # 2 x 2, of two chunks
    "tiny-30x16": [(1, 16, 16, False), (2, 16, 16, False), (3, 16, 16, False), (4, 8, 16, False), (12, 16, 16, False),
                   (18, 16, 16, False),
                   (1, 128, 136, True),  # 4 x 5 of 48 x 40, every 40 x 32
                   (9, 88, 72, True),  # 3 x 3
                   (8, 48, 48, True),  # 2 x 2: too wide only, but both are cut
                   (13, 56, 40, True),  # 2 x 2: too high only
                   (5, 48, 40, True)],  # one tile: tiling is on and does nothing
}
_STAGE_SIZES = {"tiny-2b": (17, 16, 24), "tiny-5b": (18, 24, 16), "tiny-30x16": (9, 16, 16)}
_STAGE_VALUES = 300  # stored of one layer and chunk, about


def _step_for(value: torch.Tensor, limit: int) -> list[int]:
    """Steps over time, height and width (channels last) that leave about `limit` elements."""
    step = [1] * value.dim()
    order = [3, 4, 2, 1] if value.dim() == 5 else [3, 2, 1, 0]
    while True:
        stored = 1
        for size, s in zip(value.shape, step):
            stored *= -(-size // s)
        if stored <= limit:
            return step
        dim = next((d for d in order if value.shape[d] > step[d] * 3), order[-1])
        step[dim] += 1
        order.append(order.pop(order.index(dim)))


def _channel_step(value: torch.Tensor, limit: int) -> list[int]:
    """Every position is stored: where tiles meet, a single row of latents is blended."""
    return [1, -(-value.numel() // limit), 1, 1, 1]


def encode_cases(checkpoint: Checkpoint, group: str) -> list[Case]:
    cases = []
    for seed, (frames, height, width, tiled) in enumerate(ENCODE_SIZES[checkpoint.name], start=100):
        name = f"f{frames}_h{height}_w{width}_{'tiled' if tiled else 'untiled'}"
        case = Case(group, "encode", name, {"checkpoint": checkpoint.name, "num_frames": frames, "height": height,
                                            "width": width, "tiling": tiled, "seed": seed})
        sample = case.input("sample", (1, 3, frames, height, width), 0.0, 0.577)
        checkpoint.vae.use_tiling = tiled
        posterior = checkpoint.vae.encode(sample).latent_dist
        checkpoint.vae.use_tiling = False
        case.output("moments", posterior.parameters, _channel_step(posterior.parameters, 6000))
        latents = posterior.sample(torch.Generator().manual_seed(seed))
        case.output("latents", latents, _channel_step(latents, 3000))
        cases.append(case)
    return cases


def stage_case(checkpoint: Checkpoint, group: str) -> Case:
    """Two chunks (the second with the first's cache), so that a wrong layer or a wrong cache shows its place."""
    frames, height, width = _STAGE_SIZES[checkpoint.name]
    case = Case(group, "encode_stages", f"f{frames}_h{height}_w{width}",
                {"checkpoint": checkpoint.name, "num_frames": frames, "height": height, "width": width,
                 "chunks": [], "stages": []})
    sample = case.input("sample", (1, 3, frames, height, width), 0.0, 0.577)
    encoder = checkpoint.vae.encoder
    names = [name for name, _ in encoder.named_modules() if name in ("conv_in", "norm_out", "conv_out")
             or name.split(".")[-2:-1] in (["resnets"], ["downsamplers"])]
    seen: list[dict] = []

    def hook_of(name):
        def note(_module, inputs, out):
            if name == "conv_in":
                seen.append({})
                case.params["chunks"].append(inputs[0].shape[2])
            seen[-1][name] = out[0] if isinstance(out, tuple) else out
        return note

    modules = dict(encoder.named_modules())
    hooks = [modules[name].register_forward_hook(hook_of(name)) for name in names]
    moments = checkpoint.vae.encode(sample).latent_dist.parameters
    for hook in hooks:
        hook.remove()
    if not torch.equal(moments, torch.cat([chunk["conv_out"] for chunk in seen], dim=2)):
        raise RuntimeError("the stages do not end in the moments")
    for index, chunk in enumerate(seen):
        for name, value in chunk.items():
            case.output(f"chunk{index}.{name}", value, _step_for(value, _STAGE_VALUES))
    case.params["stages"] = list(seen[0])
    return case


def posterior_case(group: str) -> Case:
    """Moments so wide that both ends of the log variance are cut (at -30 and 20)."""
    case = Case(group, "posterior", "wide", {"seed": 7})
    moments = torch.cat([case.input("mean", (1, 16, 2, 3, 5), 0.1, 1.0),
                         case.input("logvar", (1, 16, 2, 3, 5), -5.0, 25.0)], dim=1)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        posterior = DiagonalGaussianDistribution(moments.to(dtype))
        case.output(f"latents.{name}", posterior.sample(torch.Generator().manual_seed(7)).float())
        case.output(f"mode.{name}", posterior.mode().float())
    return case
