#!/usr/bin/env python3
"""Makes tests/goldens: recipes of tiny checkpoints and what diffusers computes with them (see its README)."""

import argparse
import pathlib
import time
import warnings

import diffusers
import torch

from goldens import checkpoints
from goldens.bf16_cases import bf16_cases
from goldens.model_cases import block_case, embedding_cases, position_case, text_cases, transformer_cases, vae_cases
from goldens.pipeline_cases import pipeline_cases
from goldens.prompts import Tokenizer
from goldens.scheduler_cases import GROUP, scheduler_cases
from goldens.store import write_recipe

ROOT = pathlib.Path(__file__).resolve().parent.parent


def checkpoint_cases(checkpoint, tokenizer):
    cases = text_cases(checkpoint, tokenizer) + embedding_cases(checkpoint) + [position_case(checkpoint)]
    layers = checkpoint.configs["transformer"]["num_layers"]
    cases += [block_case(checkpoint, layer) for layer in range(layers)]
    cases += transformer_cases(checkpoint) + vae_cases(checkpoint) + pipeline_cases(checkpoint, tokenizer)
    if checkpoint.name != "tiny-30x16":
        cases += bf16_cases(checkpoint, tokenizer)
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared",
                        help="folder that holds tokenizer/t5 (default: ../shared beside the checkout)")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "tests" / "goldens")
    parser.add_argument("--only", choices=[*checkpoints.SPECS, GROUP], action="append", help="default: all")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    diffusers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)  # sums must not depend on the machine
    torch.set_grad_enabled(False)
    options.output.mkdir(parents=True, exist_ok=True)
    wanted = options.only or [*checkpoints.SPECS, GROUP]
    for name in wanted:
        start = time.monotonic()
        if name == GROUP:
            write_recipe(options.output, GROUP, {"checkpoint": GROUP, "versions": checkpoints.versions()},
                         scheduler_cases())
        else:
            checkpoint = checkpoints.build(name)
            tokenizer = Tokenizer(options.shared / "tokenizer" / "t5")
            write_recipe(options.output, name, checkpoint.recipe(), checkpoint_cases(checkpoint, tokenizer))
        print(f"{name}: {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    main()
