"""Names of the original (SAT) checkpoints beside those of diffusers, tensor by tensor, for tiny checkpoints.

Written from diffusers to SAT, the way a test needs it that makes SAT files; a converter goes the other way.
"""

import json
import math
import pathlib
import re

from goldens import checkpoints

FILE = "sat_names.json"
PREFIX = "model.diffusion_model."
TRANSFORMERS = ("tiny-2b", "tiny-5b", "tiny-5b-i2v", "tiny-1.5", "tiny-1.5-i2v")
VAES = ("tiny-2b", "tiny-5b")
# In block i: SAT's module, and what its rows are: (diffusers' module, chunk, of how many).
_BLOCK = {
    "transformer.layers.{i}.attention.query_key_value": [("attn1.to_q", 0, 1), ("attn1.to_k", 0, 1),
                                                         ("attn1.to_v", 0, 1)],
    "transformer.layers.{i}.attention.dense": [("attn1.to_out.0", 0, 1)],
    "transformer.layers.{i}.input_layernorm": [("norm1.norm", 0, 1)],
    "transformer.layers.{i}.post_attention_layernorm": [("norm2.norm", 0, 1)],
    "transformer.layers.{i}.mlp.dense_h_to_4h": [("ff.net.0.proj", 0, 1)],
    "transformer.layers.{i}.mlp.dense_4h_to_h": [("ff.net.2", 0, 1)],
    # Video's shift, scale and gate before attention, the same before the MLP, then both for text.
    "mixins.adaln_layer.adaLN_modulations.{i}.1": [(f"norm{norm}.linear", half * 3 + k, 6)
                                                   for half in (0, 1) for norm in (1, 2) for k in (0, 1, 2)],
    "mixins.adaln_layer.query_layernorm_list.{i}": [("attn1.norm_q", 0, 1)],
    "mixins.adaln_layer.key_layernorm_list.{i}": [("attn1.norm_k", 0, 1)],
}
_REST = {
    "transformer.final_layernorm": "norm_final",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "ofs_embed.0": "ofs_embedding.linear_1",
    "ofs_embed.2": "ofs_embedding.linear_2",
    "mixins.patch_embed.proj": "patch_embed.proj",
    "mixins.patch_embed.text_proj": "patch_embed.text_proj",
    "mixins.final_layer.norm_final": "norm_out.norm",
    "mixins.final_layer.adaLN_modulation.1": "norm_out.linear",
    "mixins.final_layer.linear": "proj_out",
}
_LEARNED = "patch_embed.pos_embedding"
_VAE = [(r"^(encoder)\.down_blocks\.(\d)\.resnets\.", r"\1.down.\2.block."),
        (r"^(encoder)\.down_blocks\.(\d)\.downsamplers\.0\.", r"\1.down.\2.downsample."),
        (r"^(decoder)\.up_blocks\.(\d)\.resnets\.", r"\1.up.{\2}.block."),
        (r"^(decoder)\.up_blocks\.(\d)\.upsamplers\.0\.", r"\1.up.{\2}.upsample."),
        (r"\.mid_block\.resnets\.0\.", ".mid.block_1."), (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
        (r"\.conv_shortcut\.", ".nin_shortcut.")]


def _entry(sat: str, chunks: list, tensors: dict, linear_patch: bool = False) -> dict:
    shape = list(tensors[chunks[0][0]]["shape"])
    shape[0] = sum(tensors[name]["shape"][0] // of for name, _, of in chunks)
    if linear_patch and sat.endswith("patch_embed.proj.weight"):
        shape = [shape[0], math.prod(shape[1:])]
    return {"sat": sat, "shape": shape, "chunks": [list(chunk) for chunk in chunks]}


def _transformer_entries(config: dict, tensors: dict, linear_patch: bool) -> list[dict]:
    entries = []
    modules = {sat: [(f"transformer_blocks.{i}.{module}", k, of) for module, k, of in chunks]
               for i in range(config["num_layers"]) for sat, chunks in
               ((name.format(i=i), chunks) for name, chunks in _BLOCK.items())}
    modules |= {sat: [(module, 0, 1)] for sat, module in _REST.items() if f"{module}.weight" in tensors}
    for sat, chunks in modules.items():
        for kind in ("weight", "bias"):
            named = [(f"{module}.{kind}", k, of) for module, k, of in chunks]
            entries.append(_entry(f"{PREFIX}{sat}.{kind}", named, tensors, linear_patch))
    if _LEARNED in tensors:
        entries.append(_entry(f"{PREFIX}mixins.pos_embed.pos_embedding", [(_LEARNED, 0, 1)], tensors))
    return entries


def _transformer_dropped(config: dict, tensors: dict) -> list[dict]:
    dropped = [("transformer.position_embeddings.weight", [4, 8])]
    if config["use_rotary_positional_embeddings"]:
        shape = [3, 4, 5, config["attention_head_dim"]]
        dropped += [(f"mixins.pos_embed.freqs_{kind}", shape) for kind in ("sin", "cos")]
    elif _LEARNED not in tensors:
        dropped.append(("mixins.pos_embed.pos_embedding",
                        [1, 40, config["num_attention_heads"] * config["attention_head_dim"]]))
    return [{"sat": PREFIX + name, "shape": shape} for name, shape in dropped]


def _vae_entries(tensors: dict) -> list[dict]:
    entries = []
    for name in tensors:
        sat = name
        for pattern, replacement in _VAE:
            sat = re.sub(pattern, replacement, sat)
        sat = re.sub(r"\{(\d)\}", lambda found: str(3 - int(found.group(1))), sat)
        entries.append(_entry(sat, [(name, 0, 1)], tensors))
    return entries


def _check(entries: list[dict], tensors: dict) -> None:
    """Every row of every tensor goes to one place."""
    used = sorted(tuple(chunk) for entry in entries for chunk in entry["chunks"])
    wanted = sorted((name, k, of) for name in tensors
                    for of in (6 if re.search(r"norm[12]\.linear", name) else 1,) for k in range(of))
    if used != wanted or len({entry["sat"] for entry in entries}) != len(entries):
        raise RuntimeError("the table is not one to one")
    if sum(math.prod(e["shape"]) for e in entries) != sum(math.prod(t["shape"]) for t in tensors.values()):
        raise RuntimeError("the table loses elements")


def sat_names() -> dict:
    table: dict = {"transformer": {}, "vae": {}}
    for name in dict.fromkeys(TRANSFORMERS + VAES):
        spec = checkpoints.SPECS[name]
        config = checkpoints.configs(spec)
        recipe = checkpoints.tensor_recipe(spec, checkpoints.empty_models(config))
        if name in TRANSFORMERS:
            tensors = recipe["transformer"]
            for variant in (name, f"{name}-linear") if name == "tiny-2b" else (name,):
                entries = _transformer_entries(config["transformer"], tensors, variant != name)
                _check(entries, tensors)
                table["transformer"][variant] = {
                    "checkpoint": name, "wrapper": "module", "entries": entries,
                    "dropped": _transformer_dropped(config["transformer"], tensors)}
        if name in VAES:
            entries = _vae_entries(recipe["vae"])
            _check(entries, recipe["vae"])
            table["vae"][name] = {"checkpoint": name, "wrapper": "state_dict", "entries": entries,
                                  "dropped": [{"sat": "loss.logvar", "shape": []},
                                              {"sat": "loss.discriminator.blocks.0.0.weight", "shape": [4, 3, 1, 1]}]}
    return table


def write_sat_names(folder: pathlib.Path) -> None:
    """JSON with one line per tensor."""
    kinds = []
    for kind, variants in sat_names().items():
        texts = []
        for name, variant in variants.items():
            lists = [f'   "{key}": [\n' + ",\n".join(f"    {json.dumps(e)}" for e in variant[key]) + "\n   ]"
                     for key in ("entries", "dropped")]
            head = [f'   "{key}": {json.dumps(variant[key])}' for key in ("checkpoint", "wrapper")]
            texts.append(f'  "{name}": {{\n' + ",\n".join(head + lists) + "\n  }")
        kinds.append(f' "{kind}": {{\n' + ",\n".join(texts) + "\n }")
    (folder / FILE).write_text("{\n" + ",\n".join(kinds) + "\n}\n")
