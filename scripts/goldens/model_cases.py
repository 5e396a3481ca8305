"""Text encoder, transformer parts, whole transformer and VAE decoder, each on its own in fp32."""

import torch
from diffusers import CogVideoXPipeline
from diffusers.models.embeddings import get_3d_rotary_pos_embed, get_3d_sincos_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

from goldens.checkpoints import ORIGINAL, Checkpoint
from goldens.prompts import PROMPTS, Tokenizer
from goldens.store import Case

TIMESTEPS = (999, 499)
OFS = 2.0  # what the image-to-video pipeline gives to every model that has the embedding
# (latent frames, latent height, latent width); the comment is the joint length, then rows in the last block of 64.
TRANSFORMER_SIZES = {
    "tiny-2b": [(1, 10, 38),  # 321, 1
                (3, 16, 16),  # 418, 34
                (3, 8, 32),  # 418, 34; other positions than the one above
                (3, 16, 8),  # 322, 2
                (3, 2, 22),  # 259, 3
                (2, 6, 10)],  # 256, 64: no rest at all
    "tiny-5b": [(5, 10, 14),  # 401, 17
                (3, 12, 20),  # 406, 22: the config's own grid
                (3, 16, 8),  # 322, 2
                (2, 14, 10)],  # 296, 40
    "tiny-30x16": [(3, 10, 14),  # 129, 1
                   (3, 4, 14),  # 66, 2
                   (3, 6, 38),  # 195, 3
                   (5, 8, 6)],  # 84, 20
    "tiny-5b-i2v": [(1, 8, 16),  # 258, 2; sincos in the place of the learned table, as in the next but one
                    (3, 8, 16),  # 322, 2: the learned table
                    (4, 8, 16)],  # 354, 34
    "tiny-1.5": [(2, 10, 38),  # 321, 1
                 (4, 8, 8),  # 258, 2
                 (2, 6, 22),  # 259, 3
                 (6, 6, 14)],  # 289, 33
    "tiny-1.5-i2v": [(2, 10, 38),  # 321, 1
                     (4, 8, 8),  # 258, 2
                     (6, 4, 18)],  # 280, 24
    "tiny-fun-2b": [(1, 6, 14),  # 45, 45
                    (3, 10, 14),  # 129, 1: the config's own grid
                    (3, 4, 14),  # 66, 2
                    (2, 8, 6)],  # 48, 48
    "tiny-fun-5b": [(3, 6, 38),  # 195, 3
                    (3, 12, 20),  # 204, 12: the config's own grid
                    (5, 8, 6)],  # 84, 20
}
# (latent frames, latent height, latent width, tiled, step of stored frames, step of stored rows and columns)
VAE_SIZES = {
    "tiny-2b": [(1, 4, 6, False, 1, 1), (2, 3, 3, False, 1, 1), (3, 6, 4, False, 4, 3), (5, 5, 6, False, 4, 3),
                (6, 4, 4, False, 5, 3), (3, 16, 22, True, 4, 5), (2, 14, 9, True, 3, 3), (1, 10, 13, True, 1, 3),
                (3, 12, 10, True, 4, 3)],
    "tiny-5b": [(1, 3, 3, False, 1, 1), (3, 4, 6, False, 4, 1), (3, 8, 12, True, 4, 3), (5, 13, 11, True, 8, 5)],
    "tiny-30x16": [(3, 3, 4, False, 4, 1), (1, 7, 9, True, 1, 2)],
}


def rotary_tables(checkpoint: Checkpoint, size):
    """(cos, sin) as the pipeline makes them for a latent size, or None where positions are sincos."""
    config = checkpoint.configs["transformer"]
    if not config["use_rotary_positional_embeddings"]:
        return None
    frames, height, width = size
    if config.get("patch_size_t"):
        return _slice_rotary(config["sample_height"], config["sample_width"], height, width, frames,
                             config["patch_size_t"], config["attention_head_dim"])
    return _rotary(config["sample_height"], config["sample_width"], height, width, frames,
                   config["attention_head_dim"])


def _slice_rotary(base_height, base_width, height, width, frames, patch_size_t, head_dim=64):
    """1.5: whole numbers, whatever the grid."""
    return get_3d_rotary_pos_embed(head_dim, None, (height // 2, width // 2),
                                   (frames + patch_size_t - 1) // patch_size_t, grid_type="slice",
                                   max_size=(base_height // 2, base_width // 2))


def _rotary(base_height, base_width, height, width, frames, head_dim=64):
    grid = (height // 2, width // 2)
    region = get_resize_crop_region_for_grid(grid, base_width // 2, base_height // 2)
    return get_3d_rotary_pos_embed(head_dim, region, grid, frames)


def _text_states(case: Case, checkpoint: Checkpoint) -> torch.Tensor:
    return case.input("encoder_hidden_states", (1, checkpoint.text_rows, 32), 0.05, 0.9)


def text_cases(checkpoint: Checkpoint, tokenizer: Tokenizer) -> list[Case]:
    cases = []
    for name in ("empty", "ordinary", "unicode", "long"):
        ids = tokenizer.ids(PROMPTS[name], checkpoint.text_rows)
        case = Case(checkpoint.name, "text", name, {"prompt": PROMPTS[name], "max_length": checkpoint.text_rows})
        case.output("ids", ids)
        case.output("states", checkpoint.text_encoder(ids)[0], step=[1, 9, 1])
        cases.append(case)
    return cases


def joint_rows(checkpoint: Checkpoint, size) -> int:
    frames, height, width = size
    return checkpoint.text_rows + frames * height * width // (4 * checkpoint.patch_size_t)


def embedding_cases(checkpoint: Checkpoint) -> list[Case]:
    model = checkpoint.transformer
    times = [0, 1, 19, 499, 999]
    time = Case(checkpoint.name, "time", "embedding", {"timesteps": times})
    sinusoid = model.time_proj(torch.tensor(times))
    time.output("sinusoid", sinusoid)
    emb = model.time_embedding(sinusoid)
    if model.ofs_embedding is not None:
        time.params["ofs"] = OFS
        time.output("time_emb", emb)
        ofs_sinusoid = model.ofs_proj(torch.tensor([OFS]))
        time.output("ofs_sinusoid", ofs_sinusoid)
        ofs_emb = model.ofs_embedding(ofs_sinusoid)
        time.output("ofs_emb", ofs_emb)
        emb = emb + ofs_emb
    time.output("emb", emb)

    sizes = TRANSFORMER_SIZES[checkpoint.name]
    if checkpoint.name in ORIGINAL:
        return [time, _patch_case(checkpoint, "embedding", sizes[-1])]
    return [time] + [_patch_case(checkpoint, "l{}_h{}_w{}".format(*size), size) for size in sizes[1:]]


def _patch_case(checkpoint: Checkpoint, name: str, size) -> Case:
    params = {"latent_frames": size[0], "latent_height": size[1], "latent_width": size[2]}
    patch = Case(checkpoint.name, "patch", name, params)
    hidden = patch.input("hidden_states", (1, size[0], checkpoint.in_channels, size[1], size[2]))
    patch.output("embeds", checkpoint.transformer.patch_embed(_text_states(patch, checkpoint), hidden), step=[1, 9, 2])
    return patch


def position_case(checkpoint: Checkpoint) -> Case:
    """Tables for several grids; the real models' bases too, for which no checkpoint is needed."""
    config = checkpoint.configs["transformer"]
    case = Case(checkpoint.name, "positions", "tables", {"tables": []})
    own = [(config["sample_height"], config["sample_width"], *size) for size in TRANSFORMER_SIZES[checkpoint.name]]
    if config.get("patch_size_t"):
        real = [(300, 300, 22, 96, 170), (96, 170, 42, 96, 170), (300, 300, 4, 170, 96)]
        for base_height, base_width, frames, height, width in own + real:
            cos, sin = _slice_rotary(base_height, base_width, height, width, frames, config["patch_size_t"])
            name = _note_table(case, "rotary_slice", base_height, base_width, frames, height, width, dim=64)
            case.params["tables"][-1]["patch_size_t"] = config["patch_size_t"]
            step = [1 + cos.shape[0] // 40, 3]
            case.output(f"cos.{name}", cos, step)
            case.output(f"sin.{name}", sin, step)
        return case
    if config["use_rotary_positional_embeddings"]:
        head_dim = config["attention_head_dim"]
        real = [(60, 90, 2, 2 * h, 2 * w) for h, w in ((30, 45), (45, 30), (48, 48), (32, 52), (24, 42))]
        for base_height, base_width, frames, height, width in own + real:
            cos, sin = _rotary(base_height, base_width, height, width, frames, head_dim)
            name = _note_table(case, "rotary", base_height, base_width, frames, height, width, dim=head_dim)
            step = [1 + cos.shape[0] // 40, 3]
            case.output(f"cos.{name}", cos, step)
            case.output(f"sin.{name}", sin, step)
        return case
    dim = config["num_attention_heads"] * config["attention_head_dim"]
    for table_dim, size in [(dim, entry[2:]) for entry in own] + [(1920, (3, 16, 26))]:
        frames, height, width = size
        table = get_3d_sincos_pos_embed(table_dim, (width // 2, height // 2), frames, 1.875, 1.0, output_type="pt")
        name = _note_table(case, "sincos", None, None, frames, height, width, dim=table_dim)
        table = table.flatten(0, 1).float()
        case.output(f"table.{name}", table, [1 + table.shape[0] // 30, 1 + table_dim // 64])
    return case


def _note_table(case, kind, base_height, base_width, frames, height, width, dim) -> str:
    name = f"l{frames}_h{height}_w{width}_d{dim}_b{base_height}x{base_width}".removesuffix("_bNonexNone")
    case.params["tables"].append({"name": name, "kind": kind, "dim": dim, "sample_height": base_height,
                                  "sample_width": base_width, "latent_frames": frames, "latent_height": height,
                                  "latent_width": width})
    return name


def block_case(checkpoint: Checkpoint, layer: int) -> Case:
    """One block on small hidden states, with what its parts put out, to find an error's place."""
    size = TRANSFORMER_SIZES[checkpoint.name][-1]
    params = {"layer": layer, "latent_frames": size[0], "latent_height": size[1], "latent_width": size[2]}
    case = Case(checkpoint.name, "block", f"layer{layer}", params)
    config = checkpoint.configs["transformer"]
    dim = config["num_attention_heads"] * config["attention_head_dim"]
    rows = size[0] * size[1] * size[2] // 4
    hidden = case.input("hidden_states", (1, rows, dim), 0.002, 0.03)
    text = case.input("encoder_hidden_states", (1, checkpoint.text_rows, dim), -0.002, 0.02)
    emb = case.input("emb", (1, config["time_embed_dim"]), 0.1, 1.0)
    block = checkpoint.transformer.transformer_blocks[layer]
    seen = {}
    hooks = [getattr(block, part).register_forward_hook(lambda _m, _i, out, part=part: seen.update({part: out}))
             for part in ("norm1", "attn1", "norm2", "ff")]
    video_out, text_out = block(hidden, text, emb, rotary_tables(checkpoint, size))
    for hook in hooks:
        hook.remove()

    def store(name, value, rows):
        case.output(name, value, [1, max(1, value.shape[1] // rows), 1])

    for part in ("norm1", "attn1", "norm2"):
        store(f"{part}.hidden_states", seen[part][0], rows=5)
        store(f"{part}.encoder_hidden_states", seen[part][1], rows=5)
    store("ff", seen["ff"], rows=9)
    store("hidden_states", video_out, rows=10)
    store("encoder_hidden_states", text_out, rows=10)
    return case


def transformer_cases(checkpoint: Checkpoint) -> list[Case]:
    cases = []
    for frames, height, width in TRANSFORMER_SIZES[checkpoint.name]:
        joint = joint_rows(checkpoint, (frames, height, width))
        params = {"latent_frames": frames, "latent_height": height, "latent_width": width,
                  "timesteps": list(TIMESTEPS), "joint_rows": joint, "last_block_rows": (joint - 1) % 64 + 1}
        case = Case(checkpoint.name, "transformer", f"l{frames}_h{height}_w{width}", params)
        hidden = case.input("hidden_states", (1, frames, checkpoint.in_channels, height, width))
        text = _text_states(case, checkpoint)
        ofs = None
        if checkpoint.transformer.ofs_embedding is not None:
            case.params["ofs"] = OFS
            ofs = torch.tensor([OFS])
        rotary = rotary_tables(checkpoint, (frames, height, width))
        for time in TIMESTEPS:
            out = checkpoint.transformer(hidden, text, torch.tensor([time]), ofs=ofs, image_rotary_emb=rotary)[0]
            # The smaller outputs whole, every fifth channel of the others.
            case.output(f"sample.t{time}", out, [1, 1, 1 if out.numel() < 6000 else 5, 1, 1])
        cases.append(case)
    return cases


def vae_cases(checkpoint: Checkpoint) -> list[Case]:
    cases = []
    for frames, height, width, tiled, frame_step, step in VAE_SIZES[checkpoint.name]:
        params = {"latent_frames": frames, "latent_height": height, "latent_width": width, "tiling": tiled}
        name = f"l{frames}_h{height}_w{width}_{'tiled' if tiled else 'untiled'}"
        case = Case(checkpoint.name, "vae", name, params)
        latents = case.input("z", (1, 16, frames, height, width), 0.05, 1.0)
        checkpoint.vae.use_tiling = tiled
        case.output("sample", checkpoint.vae.decode(latents).sample, [1, 1, frame_step, step, step])
        checkpoint.vae.use_tiling = False
        cases.append(case)
    return cases


def pipeline(checkpoint: Checkpoint, tokenizer: Tokenizer, scheduler) -> CogVideoXPipeline:
    return CogVideoXPipeline(tokenizer.transformers, checkpoint.text_encoder, checkpoint.vae, checkpoint.transformer,
                             scheduler)
