#!/usr/bin/env python3
"""Generates clips for held-out prompts and scores them with the checker."""

import argparse
import json
import os
import sys
import time

from demo_model.checker import NOTHING, score
from demo_model.combinations import (
    ATTRIBUTES,
    COLOUR_NAMES,
    MOTIONS,
    SHAPES,
    captions,
    held_out_combinations,
)
from demo_model.contact_sheet import save_contact_sheet
from demo_model.generation import generate_with_program, generate_with_reference

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORDS = {"colour": COLOUR_NAMES, "shape": SHAPES, "motion": MOTIONS, "background": COLOUR_NAMES}


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=os.path.join(ROOT, "configs", "demo"))
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "app", "cogvx-gen"))
    parser.add_argument("--reference", action="store_true", help="run the diffusers pipeline instead")
    parser.add_argument("--n", type=int, default=60, help="held-out prompts, at most 112")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance-scale", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=1000, help="of the first prompt; each next adds one")
    parser.add_argument("--jobs", type=int, default=1, help="programs at a time (threads of --reference)")
    parser.add_argument("--report", help="write a JSON report to this file")
    parser.add_argument("--sheet", help="write a contact sheet PNG to this file")
    parser.add_argument("--sheet-clips", type=int, default=16)
    parser.add_argument(
        "--check-checker", action="store_true", help="score true clips and shuffled prompts"
    )
    parser.add_argument(
        "--check-vae", metavar="DIR", help="score reconstructions by the VAE of a training directory"
    )
    return parser.parse_args()


def print_table(title, rows):
    names = [*ATTRIBUTES, "all four"]
    print(title)
    print(" " * 24 + "".join(f"{name:>12}" for name in names))
    for label, percentages in rows:
        print(f"{label:24}" + "".join(f"{percentages[name]:12.1f}" for name in names), flush=True)


def check_checker():
    from demo_model.verification import true_clip_scores

    true, shuffled = true_clip_scores()
    print_table("checker, % right", [("true clips", true), ("shuffled prompts", shuffled)])


def check_vae(work, count):
    from demo_model.verification import reconstruction_scores

    percentages, (everywhere, near_shape) = reconstruction_scores(work, count)
    print_table("VAE, % right", [(f"{count} reconstructions", percentages)])
    print(f"PSNR {everywhere:.2f} dB, near the shape {near_shape:.2f} dB")


def _in_words(reading):
    return {
        name: None if reading[name] == NOTHING else WORDS[name][reading[name]]
        for name in ATTRIBUTES
    }


def _clip_report(prompt, seed, combination, reading):
    wrong = [name for name in ATTRIBUTES if reading[name] != getattr(combination, name)]
    return {"prompt": prompt, "seed": seed, "read": _in_words(reading), "wrong": wrong}


def evaluate(options):
    combinations = held_out_combinations(options.n)
    prompts = [captions(c)[0] for c in combinations]
    seeds = [options.seed + k for k in range(len(prompts))]
    generate = generate_with_reference if options.reference else generate_with_program
    start = time.time()
    clips = generate(options, prompts, seeds)
    seconds = time.time() - start
    percentages, readings = score(clips, combinations)
    per_clip = [_clip_report(*row) for row in zip(prompts, seeds, combinations, readings)]
    report = {
        "generator": "diffusers" if options.reference else "cogvx-gen",
        "steps": options.steps,
        "guidance_scale": options.guidance_scale,
        "percentages": percentages,
        "seconds_per_clip": seconds / len(clips),
        "clips": per_clip,
    }
    print_report(report)
    if options.report:
        with open(options.report, "w") as stream:
            json.dump(report, stream, indent=1)
    if options.sheet:
        shown = options.sheet_clips
        save_contact_sheet(options.sheet, clips[:shown], prompts[:shown])


def print_report(report):
    settings = f"{report['steps']} steps, guidance {report['guidance_scale']}"
    title = f"{len(report['clips'])} held-out prompts, {settings}, % right"
    print_table(title, [(report["generator"], report["percentages"])])
    print(f"{report['seconds_per_clip']:.2f} s a clip")
    for row in report["clips"]:
        if row["wrong"]:
            wrong = ", ".join(f"{name} {row['read'][name]}" for name in row["wrong"])
            print(f"wrong: {row['prompt']!r} (seed {row['seed']}) reads {wrong}")


def main():
    options = parse_options()
    if options.check_checker:
        check_checker()
    elif options.check_vae:
        check_vae(options.check_vae, options.n)
    else:
        evaluate(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
