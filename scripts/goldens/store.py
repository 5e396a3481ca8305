"""The recipe JSON of one checkpoint and the safetensors files of its cases."""

import hashlib
import json
import math
import pathlib

import torch
from safetensors.torch import save_file

from goldens.values import golden_tensor


class Case:
    """One set of inputs and expected outputs; becomes one safetensors file and one entry of the recipe."""

    def __init__(self, checkpoint: str, kind: str, name: str, params: dict):
        self.checkpoint = checkpoint
        self.kind = kind
        self.name = f"{kind}.{name}"
        self.params = params
        self.inputs: dict[str, dict] = {}
        self.outputs: dict[str, dict] = {}
        self._tensors: dict[str, torch.Tensor] = {}

    @property
    def file(self) -> str:
        return f"{self.checkpoint}.{self.name}.safetensors"

    def input(self, name: str, shape, mean=0.0, std=1.0, bf16=False) -> torch.Tensor:
        """An input that C++ makes again from its stream; with `bf16` both round it to bfloat16."""
        stream = f"{self.checkpoint}/input/{self.name}/{name}"
        entry = {"stream": stream, "shape": list(shape), "mean": mean, "std": std}
        if bf16:
            entry["round_to"] = "bf16"
        self.inputs[name] = entry
        value = golden_tensor(stream, shape, mean, std)
        return value.bfloat16() if bf16 else value

    def numbered_inputs(self, name: str, count: int, shape, mean=0.0, std=1.0) -> list[torch.Tensor]:
        """`count` inputs whose streams end in .0, .1, ...; the recipe has one entry, its stream ending in .{i}."""
        stream = f"{self.checkpoint}/input/{self.name}/{name}"
        self.inputs[name] = {"stream": stream + ".{i}", "count": count, "shape": list(shape), "mean": mean, "std": std}
        return [golden_tensor(f"{stream}.{i}", shape, mean, std) for i in range(count)]

    def bytes_input(self, name: str, shape) -> torch.Tensor:
        """Pixels, uint8: the integer part of values spread over [0, 256)."""
        stream = f"{self.checkpoint}/input/{self.name}/{name}"
        mean, std = 128.0, 128.0 / math.sqrt(3.0)
        pixels = golden_tensor(stream, shape, mean, std).floor().clamp(0, 255).to(torch.uint8)
        self.inputs[name] = {"stream": stream, "shape": list(shape), "mean": mean, "std": std, "round_to": "u8",
                             "sha256": hashlib.sha256(pixels.numpy().tobytes()).hexdigest()}
        return pixels

    def output(self, name: str, value: torch.Tensor, step=None, start=None) -> torch.Tensor:
        """Stores value[start::step] per dimension; returns what was stored."""
        value = value.detach()
        step = list(step or [1] * value.dim())
        start = list(start or [0] * value.dim())
        if not torch.isfinite(value.float()).all():
            raise ValueError(f"{self.name}: {name} is not finite")
        part = value[tuple(slice(a, None, s) for a, s in zip(start, step, strict=True))].clone().contiguous()
        self.outputs[name] = {"shape": list(value.shape), "start": start, "step": step}
        self._tensors[name] = part
        return part

    def write(self, folder: pathlib.Path) -> dict:
        made = {"case": self.name, "checkpoint": self.checkpoint, "params": self.params}
        # One metadata key only: safetensors does not keep the order of several.
        metadata = {"made": json.dumps(made, sort_keys=True)}
        save_file(self._tensors, folder / self.file, metadata=metadata)
        (folder / self.file).chmod(0o644)
        return {"name": self.name, "kind": self.kind, "file": self.file, "params": self.params,
                "inputs": self.inputs, "outputs": self.outputs}


def write_recipe(folder: pathlib.Path, checkpoint: str, recipe: dict, cases: list[Case]) -> None:
    for old in folder.glob(f"{checkpoint}.*.safetensors"):
        old.unlink()
    entries = [case.write(folder) for case in cases]
    names = [entry["name"] for entry in entries]
    if len(set(names)) != len(names):
        raise ValueError(f"{checkpoint}: two cases share a name")
    (folder / f"{checkpoint}.json").write_text(_compact_json({**recipe, "cases": entries}))


def _compact_json(value, depth: int = 0) -> str:
    """JSON with one line per tensor or case field: readable in a diff, yet short."""
    if isinstance(value, dict) and value and depth < 3:
        items = (f"{' ' * (depth + 1)}{json.dumps(k)}: {_compact_json(v, depth + 1)}" for k, v in value.items())
        text = "{\n" + ",\n".join(items) + "\n" + " " * depth + "}"
    elif isinstance(value, list) and depth == 1:
        text = "[\n" + ",\n".join(f"  {_compact_json(v, 3)}" for v in value) + "\n ]"
    else:
        text = json.dumps(value)
    return text if depth else text + "\n"
