#!/usr/bin/env python3
"""Makes tests/goldens: recipes of tiny checkpoints and what diffusers computes with them (see its README)."""

import argparse
import pathlib
import time
import warnings

import diffusers
import torch

from goldens import checkpoints, lora_cases, more_scheduler_cases, sat_names, scheduler_cases, torch_file
from goldens.bf16_cases import bf16_cases
from goldens.checkpoints import ORIGINAL
from goldens.encode_cases import encode_cases, posterior_case, stage_case
from goldens.model_cases import block_case, embedding_cases, position_case, text_cases, transformer_cases, vae_cases
from goldens.pipeline_cases import pipeline_cases
from goldens.prompts import Tokenizer
from goldens.store import write_recipe
from goldens.task_cases import task_cases

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Recipes with cases only. What takes images or videos has a recipe beside that of the checkpoint it runs on.
INPUT_GROUPS = {f"{name}-input": name for name in ORIGINAL}
SCHEDULER_GROUPS = {scheduler_cases.GROUP: scheduler_cases.scheduler_cases,
                    more_scheduler_cases.GROUP: more_scheduler_cases.more_scheduler_cases}
# Files without a recipe.
BARE = {"sat-names": sat_names.write_sat_names, "torch-file": torch_file.write_torch_file}
NAMES = [*checkpoints.SPECS, *INPUT_GROUPS, *SCHEDULER_GROUPS, lora_cases.GROUP, *BARE]


def checkpoint_cases(checkpoint, tokenizer):
    if checkpoint.name not in ORIGINAL:
        return (embedding_cases(checkpoint) + [position_case(checkpoint)] + transformer_cases(checkpoint) +
                task_cases(checkpoint, checkpoint.name, tokenizer))
    cases = text_cases(checkpoint, tokenizer) + embedding_cases(checkpoint) + [position_case(checkpoint)]
    layers = checkpoint.configs["transformer"]["num_layers"]
    cases += [block_case(checkpoint, layer) for layer in range(layers)]
    cases += transformer_cases(checkpoint) + vae_cases(checkpoint) + pipeline_cases(checkpoint, tokenizer)
    if checkpoint.name != "tiny-30x16":
        cases += bf16_cases(checkpoint, tokenizer)
    return cases


def input_cases(checkpoint, group, tokenizer):
    cases = encode_cases(checkpoint, group) + [stage_case(checkpoint, group)]
    if checkpoint.name == ORIGINAL[0]:
        cases.append(posterior_case(group))
    return cases + task_cases(checkpoint, group, tokenizer)


def recipe_of(name, tokenizer, folder) -> tuple[dict, list]:
    """A recipe without its cases, and the cases."""
    if name == lora_cases.GROUP:
        return {"checkpoint": name, "versions": lora_cases.lora_versions()}, lora_cases.lora_cases(folder)
    if name in checkpoints.SPECS:
        checkpoint = checkpoints.build(name)
        return checkpoint.recipe(), checkpoint_cases(checkpoint, tokenizer())
    bare = {"checkpoint": name, "versions": checkpoints.versions()}
    if name in SCHEDULER_GROUPS:
        return bare, SCHEDULER_GROUPS[name]()
    checkpoint = checkpoints.build(INPUT_GROUPS[name])
    return bare, input_cases(checkpoint, name, tokenizer())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared",
                        help="folder that holds tokenizer/t5 (default: ../shared beside the checkout)")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "tests" / "goldens")
    parser.add_argument("--only", choices=NAMES, action="append", help="default: all")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    diffusers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)  # sums must not depend on the machine
    torch.set_grad_enabled(False)
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.only or NAMES:
        start = time.monotonic()
        if name in BARE:
            BARE[name](options.output)
        else:
            recipe, cases = recipe_of(name, lambda: Tokenizer(options.shared / "tokenizer" / "t5"), options.output)
            write_recipe(options.output, name, recipe, cases)
        print(f"{name}: {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    main()
