#!/usr/bin/env python3
"""Trains and exports the demo model, stage by stage; every stage resumes from its checkpoint in --work."""

import argparse
import importlib
import os
import subprocess
import sys
import venv

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENVIRONMENT = os.path.join(ROOT, ".venv-train")
REQUIREMENTS = (
    "torch==2.11.0",
    "diffusers==0.42.1",
    "transformers==5.23.0",
    "sentencepiece",
    "numpy",
    "pillow",
)
STAGES = {
    "tokenizer": ("demo_model.tokenizer", "train_tokenizer"),
    "vae": ("demo_model.vae_training", "train_joint"),
    "text": ("demo_model.text_training", "train"),
    "encode": ("demo_model.latents", "encode"),
    "decoder": ("demo_model.vae_training", "train_decoder"),
    "transformer": ("demo_model.transformer_training", "train"),
    "export": ("demo_model.export", "export"),
}
DEFAULT_MINUTES = {"vae": 90.0, "decoder": 60.0, "text": 6.0, "transformer": 240.0}
DEFAULT_LEARNING_RATES = {"vae": 1.5e-3, "decoder": 1.5e-3, "text": 2e-3, "transformer": 2e-3}
PARALLEL_STAGES = ("vae", "decoder", "transformer")


def set_up_environment():
    """Create .venv-train with the pinned packages."""
    venv.create(ENVIRONMENT, with_pip=True)
    python = os.path.join(ENVIRONMENT, "bin", "python")
    subprocess.run([python, "-m", "pip", "install", *REQUIREMENTS], check=True)
    print(f"now run: {python} {os.path.relpath(__file__)} all --work DIR")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", nargs="?", choices=[*STAGES, "all"])
    parser.add_argument("--setup", action="store_true", help="make .venv-train and stop")
    parser.add_argument("--work", default="build/demo-train", help="checkpoints, latents and logs")
    parser.add_argument("--init", help="start from the components of this diffusers directory")
    parser.add_argument("--minutes", type=float, help="how long the stage trains in all")
    parser.add_argument("--until", help="train up to this time of day, HH:MM, instead")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--processes", type=int, default=1, help="data-parallel processes of one thread each")
    parser.add_argument("--clips", type=int, default=6144, help="clips that the encode stage caches")
    parser.add_argument("--layers", type=int, default=5, help="transformer blocks")
    parser.add_argument("--batch", type=int, default=16, help="clips in one transformer step of one process")
    parser.add_argument("--latents", default="latents", help="name of the latent cache in --work")
    parser.add_argument("--output", default="configs/demo", help="where export writes")
    options = parser.parse_args()
    if not options.setup and options.stage is None:
        parser.error("name a stage")
    return options


def run_stage(name, options):
    from demo_model import training

    module, function = STAGES[name]
    stage_options = argparse.Namespace(**vars(options))
    stage_options.minutes = options.minutes or DEFAULT_MINUTES.get(name)
    stage_options.learning_rate = options.learning_rate or DEFAULT_LEARNING_RATES.get(name)
    target = getattr(importlib.import_module(module), function)
    processes = options.processes if name in PARALLEL_STAGES else 1
    training.launch(target, stage_options, processes)


def main():
    options = parse_options()
    if options.setup:
        set_up_environment()
        return 0
    os.makedirs(options.work, exist_ok=True)
    for name in STAGES if options.stage == "all" else [options.stage]:
        run_stage(name, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
