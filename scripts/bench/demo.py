"""The whole demo video, by cogvx-gen and by a script of diffusers, from the start of the process to the file."""

import json
import os
import subprocess
import time

from bench.rounds import thread_environment
from bench.worker import BenchError


def our_event(line):
    """When cogvx-gen begins, when its first step is done; None for every other line of --progress json."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if event.get("stage") == "denoise" and event.get("done", 0) >= 1:
        return "first step"
    return "started" if "stage" in event else None


def their_event(line):
    try:
        return json.loads(line).get("event")
    except ValueError:
        return None


def timed_run(command, events_of, stream, environment):
    """Seconds of a process, seconds after its start at which each event was first told, and its peak memory."""
    other = "stderr" if stream == "stdout" else "stdout"
    begin = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], env=environment, text=True,
                               **{stream: subprocess.PIPE, other: subprocess.DEVNULL})
    events, last = {}, ""
    with getattr(process, stream) as lines:
        for line in lines:
            last = line.strip()
            event = events_of(line)
            if event:
                events.setdefault(event, time.perf_counter() - begin)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    if process.returncode != 0:
        raise BenchError(f"'{command[0]}' ended with {process.returncode}: {last}")
    return {"seconds": seconds, "events": events, "peak_bytes": usage.ru_maxrss * 1024}


def commands(case, tools, folder):
    model = tools.root / "configs" / "demo"
    outputs = {side: folder / f"{case.name}.{side}.mp4" for side in ("ours", "theirs")}
    ours = [tools.program, "--model", model, "--prompt", case.prompt, "--steps", case.steps, "--guidance-scale",
            case.guidance_scale, "--seed", case.seed, "--threads", case.threads, "--dtype", case.dtype, "--progress", "json",
            "--overwrite", "-o", outputs["ours"]]
    values = dict(model=model, prompt=case.prompt, steps=case.steps, guidance_scale=case.guidance_scale, seed=case.seed,
                  threads=case.threads, output=outputs["theirs"])
    theirs = [tools.python, "-m", "bench.diffusers_demo", *(f"{name}={value}" for name, value in values.items())]
    return ours, theirs, outputs


def compare(case, tools, outputs):
    """PSNR of one video to the other, of the whole."""
    command = [tools.compare, outputs["theirs"], outputs["ours"], "--min-psnr", case.min_psnr, "--json"]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise BenchError(f"{case.name} is void: the two videos are not alike ({outputs['ours']}, {outputs['theirs']}): "
                         f"cogvx-compare ended with {result.returncode}: {(result.stderr or result.stdout).strip()[-300:]}")
    return result.stdout


def measure(case, tools, repeats, folder, say=lambda text: None):
    environment = thread_environment(case.threads)
    ours, theirs, outputs = commands(case, tools, folder)
    runs = {"ours": [], "theirs": []}
    # The first run of each finds its libraries on disk, the others in memory.
    for turn in range(1 + repeats):
        pair = {"ours": timed_run(ours, our_event, "stderr", environment),
                "theirs": timed_run(theirs, their_event, "stdout", environment)}
        if turn > 0:
            for side, run in pair.items():
                runs[side].append(run)
            say(f"{case.name}: " + ", ".join(f"{side} {run['seconds']:.2f} s" for side, run in pair.items()))
    compare(case, tools, outputs)
    sides = {side: {"seconds": [run["seconds"] for run in of], "events": min(of, key=lambda run: run["seconds"])["events"],
                    "imports": [run["events"].get("imported", 0.0) for run in of],
                    "peak_bytes": max(run["peak_bytes"] for run in of)} for side, of in runs.items()}
    return {"case": case.name, "load": os.getloadavg()[0], **sides}
