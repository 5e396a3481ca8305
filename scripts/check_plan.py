#!/usr/bin/env python3
"""Compares cogvx-gen --plan with what runs on this machine report, for these settings: the demo model and random weights of
real geometry. Memory must be within 15 %, bytes moved and units exact, a step's time within 30 %; exit code 1 if not.
python3's standard library only. Takes some minutes; time means little on a machine that is busy with other work.

  scripts/check_plan.py [--program build/app/cogvx-gen] [--only NAME]
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEMORY, TIME = 0.15, 0.30
# A step is the difference between two runs, so that what is loaded once is not in it; of three such, the one in the middle.
SETTINGS = {
    "demo fp32": dict(flags=["--dtype", "fp32"], steps=(5, 45)),
    "demo bf16, larger": dict(flags="--dtype bf16 --width 192 --height 128 --frames 33".split(), steps=(3, 23)),
    "demo, 1x2": dict(flags="--sp 2 --threads 1 --width 192 --height 128 --frames 33 --vae-tile 96x120".split(), steps=(3, 23)),
    "2b, 2 layers, bf16": dict(geometry="2b", flags="--width 480 --height 320 --frames 9".split(), steps=(1, 3)),
    "2b, 2 layers, bf16, 1x2": dict(geometry="2b", flags="--sp 2 --threads 1 --width 720 --height 480 --frames 9".split(), steps=(1, 3)),
    "5b, 1 layer, fp32, 1x4": dict(geometry="5b", layers=1, flags="--dtype fp32 --sp 4 --threads 1 --width 480 --height 320 --frames 9".split(), steps=(1, 3)),
    "5b, 2 layers, bf16, 2x1": dict(geometry="5b", flags="--cp 2 --threads 1 --width 320 --height 240 --frames 9".split(), steps=(1, 3)),
    "1.5-5b, 1 layer, bf16": dict(geometry="1.5-5b", layers=1, flags="--width 384 --height 256 --frames 17".split(), steps=(1, 3)),
}


def answer(arguments):
    result = subprocess.run(arguments, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"check_plan.py: {' '.join(arguments)} ended with {result.returncode}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def model_of(setting, folder):
    if "geometry" not in setting:
        return ROOT / "configs/demo"
    out = folder / setting["geometry"]
    subprocess.run(
        [sys.executable, ROOT / "scripts/make_random_checkpoint.py", "--geometry", setting["geometry"], "--layers",
         str(setting.get("layers", 2)), "--slim-vae", "4", "--tokenizer", ROOT / "configs/demo/tokenizer/spiece.model", out], check=True)
    return out


def off(planned, measured):
    return planned / measured - 1


def check(name, setting, program, folder):
    command = [program, "--model", str(model_of(setting, folder)), "--prompt", "a panda", "--json", "--allow-untrained-size",
               *setting["flags"]]
    few, many = setting["steps"]
    run = lambda steps: answer(command + ["--steps", str(steps), "--progress", "none", "--overwrite", "-o", str(folder / "v.mp4")])
    plan = answer(command + ["--plan", "--steps", str(many)])
    pairs = [(run(few), run(many)) for _ in range(3)]
    short, long = pairs[0]
    good = True
    for rank, planned in enumerate(plan["ranks"]):
        exact = planned["bytes_sent"] == long["bytes_sent"][rank] and planned["units"] == long["units"][rank]
        good &= exact
        stages = []
        for stage, bytes_planned in planned["predicted_memory_bytes"].items():
            if stage not in long["peak_memory_bytes"][rank]:
                continue
            measured = max(short["peak_memory_bytes"][rank][stage], long["peak_memory_bytes"][rank][stage])
            error = off(bytes_planned, measured)
            good &= abs(error) <= MEMORY
            stages.append(f"{stage} {bytes_planned / 1e9:.3f} GB ({error:+.1%})")
        sent = sum(planned["bytes_sent"].values())
        print(f"  rank {rank}: {', '.join(stages)}; sent {sent} B and units {'exact' if exact else 'WRONG'}")
    measured = statistics.median((b["seconds"][0]["denoise"] - a["seconds"][0]["denoise"]) / (many - few) for a, b in pairs)
    planned = plan["estimates"][0]["seconds_per_step"]
    error = off(planned, measured)
    good &= abs(error) <= TIME
    print(f"  a step: planned {planned:.4f} s, measured {measured:.4f} s ({error:+.1%})")
    print(f"  {'good' if good else 'NOT GOOD'}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/app/cogvx-gen"))
    parser.add_argument("--only", choices=SETTINGS)
    options = parser.parse_args()
    verdicts = []
    for name, setting in SETTINGS.items():
        if options.only not in (None, name):
            continue
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            verdicts.append(check(name, setting, options.program, pathlib.Path(folder)))
    print(f"check_plan: {sum(verdicts)} of {len(verdicts)} settings good")
    sys.exit(0 if all(verdicts) else 1)


if __name__ == "__main__":
    main()
