"""LoRA adapters in every naming, and the weights that diffusers fuses from them.

Where diffusers cannot load a naming (SAT's raw keys, the kohya-like one of CogVideoX-Fun), the names are translated
here and diffusers loads the translation, whose metadata has the alphas that the naming means.
"""

import copy
import dataclasses
import importlib.metadata
import json
import math
import pathlib
import tempfile

import torch
from diffusers import CogVideoXPipeline
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import save_file

from goldens import checkpoints, pipeline_cases
from goldens.checkpoints import Checkpoint
from goldens.store import Case
from goldens.values import golden_tensor

GROUP = "lora"
FOLDER = "lora"  # of the adapters' files, in tests/goldens
_ATTENTION = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0")
_MIXED = {"transformer_blocks.0.ff.net.0.proj": 2, "transformer_blocks.0.ff.net.2": 2,
          "transformer_blocks.1.norm1.linear": 2, "transformer_blocks.1.attn1.to_v": 3, "patch_embed.text_proj": 1,
          "time_embedding.linear_1": 2, "proj_out": 4}
_STEP = [13, 11]  # of a fused weight


@dataclasses.dataclass
class Adapter:
    """Pairs (A [r, in], B [out, r]) by module, in no naming yet, and an alpha by module where there is one."""

    checkpoint: str
    pairs: dict[str, tuple[torch.Tensor, torch.Tensor]]
    alphas: dict[str, float]

    def rank(self, module: str) -> int:
        return self.pairs[module][1].shape[1]


def _adapter(checkpoint: Checkpoint, name: str, ranks: dict[str, int], alphas=None) -> Adapter:
    """Of a size that changes every weight by about half its own."""
    pairs = {}
    for module, rank in ranks.items():
        weight = checkpoint.tensors["transformer"][f"{module}.weight"]
        rows, columns = weight["shape"]
        stream = f"{GROUP}/{checkpoint.name}/{name}/{module}"
        pairs[module] = (golden_tensor(f"{stream}.A", (rank, columns), 0.0, 1.0 / math.sqrt(columns)),
                         golden_tensor(f"{stream}.B", (rows, rank), 0.0,
                                       0.5 * weight["std"] * math.sqrt(columns / rank)))
    return Adapter(checkpoint.name, pairs, alphas or {})


def _attention_ranks(checkpoint: Checkpoint, rank: int) -> dict[str, int]:
    layers = checkpoint.configs["transformer"]["num_layers"]
    return {f"transformer_blocks.{i}.{part}": rank for i in range(layers) for part in _ATTENTION}


# Namings: an adapter's tensors by key.
def _peft(adapter: Adapter, prefix: str = "transformer.") -> dict:
    return {f"{prefix}{module}.lora_{side}.weight": tensor
            for module, pair in adapter.pairs.items() for side, tensor in zip("AB", pair)}


def _down_up(adapter: Adapter) -> dict:
    return {f"transformer.{module}.lora.{side}.weight": tensor
            for module, pair in adapter.pairs.items() for side, tensor in zip(("down", "up"), pair)}


def _to_q_lora(adapter: Adapter) -> dict:
    """The oldest of diffusers' namings, block 1 as attention processors saved it."""
    named = {}
    for module, pair in adapter.pairs.items():
        stem = module.removesuffix(".0")
        if stem.startswith("transformer_blocks.1."):
            stem = stem.replace(".attn1.", ".attn1.processor.")
        named |= {f"transformer.{stem}_lora.{side}.weight": tensor for side, tensor in zip(("down", "up"), pair)}
    return named


def _sat(adapter: Adapter) -> dict:
    places = {"attn1.to_q": "query_key_value.matrix_{}.0", "attn1.to_k": "query_key_value.matrix_{}.1",
              "attn1.to_v": "query_key_value.matrix_{}.2", "attn1.to_out.0": "dense.matrix_{}.0"}
    named = {}
    for module, pair in adapter.pairs.items():
        _, layer, part = module.split(".", 2)
        for side, tensor in zip("AB", pair):
            place = places[part].format(side)
            named[f"model.diffusion_model.transformer.layers.{layer}.attention.{place}"] = tensor
    return named


def _kohya(adapter: Adapter) -> dict:
    named = {}
    for module, (down, up) in adapter.pairs.items():
        stem = "lora_unet__" + module.replace(".", "_")
        named |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        if module in adapter.alphas:
            named[f"{stem}.alpha"] = torch.tensor(adapter.alphas[module])
    return named


def _metadata(adapter: Adapter, **changes) -> dict:
    """What save_lora_weights writes of a LoraConfig: one rank and alpha, and patterns for the modules that differ."""
    ranks = {module: adapter.rank(module) for module in adapter.pairs}
    alphas = {module: adapter.alphas.get(module, float(ranks[module])) for module in adapter.pairs}
    rank, alpha = next(iter(ranks.values())), next(iter(alphas.values()))
    config = {"r": rank, "lora_alpha": alpha, "target_modules": sorted(adapter.pairs),
              "rank_pattern": {m: r for m, r in ranks.items() if r != rank},
              "alpha_pattern": {m: a for m, a in alphas.items() if a != alpha}}
    config |= changes
    return {f"transformer.{key}": value for key, value in config.items()}


def _write(path: pathlib.Path, tensors: dict, metadata: dict | None = None) -> None:
    # One metadata key only, as in store.py; diffusers writes "format" beside the adapter's.
    text = {"lora_adapter_metadata": json.dumps(metadata, indent=2, sort_keys=True)} if metadata else {"format": "pt"}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, metadata=text)
    path.chmod(0o644)


@dataclasses.dataclass
class AdapterFile:
    """A file of tests/goldens/lora, what diffusers loads in its place, and what the file says of its scale."""

    name: str
    adapter: Adapter
    tensors: dict
    metadata: dict | None = None
    loadable: bool = True
    unmatched: tuple = ()
    applied: tuple = ()  # modules; empty: all of the adapter's
    rslora: bool = False

    def write(self, folder: pathlib.Path) -> pathlib.Path:
        path = folder / FOLDER / f"{self.name}.safetensors"
        _write(path, self.tensors, self.metadata)
        return path

    def modules(self) -> list[str]:
        return sorted(self.applied or self.adapter.pairs)

    def alpha_over_rank(self) -> dict:
        """By module: the factor that the file itself gives, before any weight the user gives."""
        factors = {}
        for module in self.modules():
            rank = self.adapter.rank(module)
            alpha = self.adapter.alphas.get(module, float(rank))
            factors[module] = alpha / (math.sqrt(rank) if self.rslora else rank)
        return factors


def _files(checkpoint: Checkpoint) -> dict[str, AdapterFile]:
    name = checkpoint.name
    ranks = _attention_ranks(checkpoint, 2)
    plain = _adapter(checkpoint, "attention", ranks)
    alpha = dataclasses.replace(plain, alphas={module: 5.0 for module in ranks})
    uneven = dataclasses.replace(plain, alphas={module: 1.0 + 0.5 * i for i, module in enumerate(ranks)})
    sat = dataclasses.replace(plain, alphas={module: 1.0 for module in ranks})
    mixed = _adapter(checkpoint, "mixed", _MIXED)
    mixed_alpha = dataclasses.replace(mixed, alphas={module: 1.0 + i for i, module in enumerate(_MIXED)})
    text = {"lora_te_encoder_block_0_layer_0_SelfAttention_q.lora_down.weight": torch.full((1, 32), 0.1),
            "lora_te_encoder_block_0_layer_0_SelfAttention_q.lora_up.weight": torch.full((32, 1), 0.1)}
    half = [module for module in ranks if module.startswith("transformer_blocks.0.")]
    partly = _peft(plain)
    partly = {key if key.removeprefix("transformer.").startswith(tuple(half)) else key.removeprefix("transformer."): t
              for key, t in partly.items()}
    unprefixed = tuple(sorted(key for key in partly if not key.startswith("transformer.")))
    dora = {"transformer.transformer_blocks.0.ff.net.2.dora_scale": torch.ones(1, 4)}
    files = [
        AdapterFile(f"{name}.peft", plain, _peft(plain)),
        AdapterFile(f"{name}.peft_alpha", alpha, _peft(alpha), _metadata(alpha)),
        AdapterFile(f"{name}.peft_rslora", alpha, _peft(alpha), _metadata(alpha, use_rslora=True), rslora=True),
        AdapterFile(f"{name}.peft_partly", plain, partly, unmatched=unprefixed, applied=tuple(half)),
        AdapterFile(f"{name}.mixed", mixed, _peft(mixed) | dora, unmatched=tuple(dora)),
        AdapterFile(f"{name}.mixed_alpha", mixed_alpha, _peft(mixed_alpha), _metadata(mixed_alpha)),
        AdapterFile(f"{name}.down_up", plain, _down_up(plain)),
        AdapterFile(f"{name}.to_q_lora", plain, _to_q_lora(plain)),
        AdapterFile(f"{name}.sat", sat, _sat(sat), loadable=False),
        AdapterFile(f"{name}.kohya", plain, _kohya(plain) | text, loadable=False, unmatched=tuple(text)),
        AdapterFile(f"{name}.kohya_alpha", uneven, _kohya(uneven), loadable=False),
    ]
    return {file.name.removeprefix(f"{name}."): file for file in files}


# {checkpoint: {row: ([(file, weight), ...], lora_scale, dtype)}}
_ROWS = {
    "tiny-2b": {
        "peft": ([("peft", 1.0)], 1.0, "fp32"),
        "peft_scaled": ([("peft", 0.6)], 0.7, "fp32"),
        "peft_bf16": ([("peft", 0.6)], 1.0, "bf16"),
        "peft_alpha": ([("peft_alpha", 1.0)], 1.0, "fp32"),
        "peft_rslora": ([("peft_rslora", 1.0)], 1.0, "fp32"),
        "peft_partly": ([("peft_partly", 1.0)], 1.0, "fp32"),
        "mixed": ([("mixed", 1.0)], 1.0, "fp32"),
        "mixed_alpha": ([("mixed_alpha", 1.0)], 1.0, "fp32"),
        "down_up": ([("down_up", 1.0)], 1.0, "fp32"),
        "to_q_lora": ([("to_q_lora", 1.0)], 1.0, "fp32"),
        "sat_export": ([("peft", 0.5)], 1.0, "fp32"),  # SAT's exporter writes PEFT names and no alpha: weight 1/rank
        "sat": ([("sat", 1.0)], 1.0, "fp32"),
        "kohya": ([("kohya", 1.0)], 1.0, "fp32"),
        "kohya_alpha": ([("kohya_alpha", 0.5)], 1.0, "fp32"),
        "two": ([("peft_alpha", 0.8), ("mixed", -0.35)], 1.0, "fp32"),
        "two_bf16": ([("peft_alpha", 0.8), ("mixed_alpha", -0.35)], 1.0, "bf16"),
    },
    "tiny-5b": {
        "peft": ([("peft", 1.0)], 1.0, "fp32"),
        "mixed_alpha": ([("mixed_alpha", 0.9)], 1.0, "fp32"),
        "kohya_alpha": ([("kohya_alpha", 1.0)], 1.0, "fp32"),
        "two": ([("down_up", 0.5), ("mixed_alpha", 0.25)], 1.0, "fp32"),
    },
}
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def _fuse(checkpoint: Checkpoint, adapters: list, lora_scale: float, dtype: str, folder: pathlib.Path) -> dict:
    """load_lora_weights, set_adapters, fuse_lora; the fused weights by name."""
    transformer = copy.deepcopy(checkpoint.transformer).to(_DTYPES[dtype])
    pipe = CogVideoXPipeline(tokenizer=None, text_encoder=None, vae=checkpoint.vae, transformer=transformer,
                             scheduler=pipeline_cases.scheduler_of(checkpoint))
    for file, _ in adapters:
        path = folder / FOLDER / f"{file.name}.safetensors"
        with tempfile.TemporaryDirectory() as scratch:
            if not file.loadable:
                path = pathlib.Path(scratch) / "translated.safetensors"
                _write(path, _peft(file.adapter), _metadata(file.adapter))
            pipe.load_lora_weights(str(path.parent), weight_name=path.name,
                                   adapter_name=file.name.replace(".", "_"))
    pipe.set_adapters([file.name.replace(".", "_") for file, _ in adapters], [weight for _, weight in adapters])
    pipe.fuse_lora(lora_scale=lora_scale)
    return {f"{name}.weight": module.base_layer.weight.float() for name, module in transformer.named_modules()
            if isinstance(module, BaseTunerLayer)}


def _by_formula(checkpoint: Checkpoint, adapters: list, lora_scale: float) -> dict:
    weights = {}
    for file, weight in adapters:
        for module, factor in file.alpha_over_rank().items():
            down, up = (side.double() for side in file.adapter.pairs[module])
            name = f"{module}.weight"
            start = weights.get(name, checkpoint.transformer.state_dict()[name].double())
            weights[name] = start + (up @ down) * (weight * lora_scale * factor)
    return weights


def _lora_case(checkpoint: Checkpoint, files: dict, row: str, settings, folder: pathlib.Path) -> Case:
    chosen, lora_scale, dtype = settings
    adapters = [(files[name], weight) for name, weight in chosen]
    fused = _fuse(checkpoint, adapters, lora_scale, dtype, folder)
    wanted = _by_formula(checkpoint, adapters, lora_scale)
    if fused.keys() != wanted.keys():
        raise RuntimeError(f"{row}: diffusers touched {sorted(fused)}, not {sorted(wanted)}")
    for name, value in fused.items():
        error = ((value.double() - wanted[name]).norm() / wanted[name].norm()).item()
        if error > (1e-6 if dtype == "fp32" else 1e-2):
            raise RuntimeError(f"{row}: {name} is {error:.2g} from the formula")
    entries = [{"file": f"{FOLDER}/{file.name}.safetensors", "weight": weight, "loaded_by_diffusers": file.loadable,
                "alpha_over_rank": file.alpha_over_rank(), "unmatched": list(file.unmatched)}
               for file, weight in adapters]
    case = Case(GROUP, "fused", f"{checkpoint.name}.{row}",
                {"checkpoint": checkpoint.name, "adapters": entries, "lora_scale": lora_scale, "dtype": dtype})
    for name in sorted(fused):
        case.output(name, fused[name], _STEP)
    return case


def lora_versions() -> dict:
    return checkpoints.versions() | {"peft": importlib.metadata.version("peft")}


def lora_cases(folder: pathlib.Path) -> list[Case]:
    """Writes the adapters' files into the folder, too."""
    cases = []
    for name, rows in _ROWS.items():
        checkpoint = checkpoints.build(name)
        files = _files(checkpoint)
        used = {file for chosen, _, _ in rows.values() for file, _ in chosen}
        for file in sorted(used):
            files[file].write(folder)
        cases += [_lora_case(checkpoint, files, row, settings, folder) for row, settings in rows.items()]
    return cases
