"""The whole demo video, by cogvx-gen and by a script of diffusers, from the start of the process to the file."""

import json
import os
import pathlib
import subprocess
import tempfile
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
    try:
        with getattr(process, stream) as lines:
            for line in lines:
                last = line.strip()
                event = events_of(line)
                if event:
                    events.setdefault(event, time.perf_counter() - begin)
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    if process.returncode != 0:
        raise BenchError(f"'{command[0]}' ended with {process.returncode}: {last}")
    return {"seconds": seconds, "events": events, "peak_bytes": usage.ru_maxrss * 1024}


def commands(case, tools, folder):
    """A process's command by side."""
    model = tools.root / "configs" / "demo"
    output = lambda side: folder / f"{case.name}.{side}.mp4"
    ours = [tools.program, "--model", model, "--prompt", case.prompt, "--steps", case.steps, "--guidance-scale",
            case.guidance_scale, "--seed", case.seed, "--threads", case.threads, "--dtype", case.dtype, "--progress", "json",
            "--overwrite", "-o", output("ours")]
    values = dict(model=model, prompt=case.prompt, steps=case.steps, guidance_scale=case.guidance_scale, seed=case.seed,
                  threads=case.threads, output=output("theirs"))
    theirs = [tools.python, "-m", "bench.diffusers_demo", *(f"{name}={value}" for name, value in values.items())]
    return {"ours": ours, "theirs": theirs}


def compare(case, tools, frames):
    """Of folders of frames by side, before a codec has touched them."""
    command = [tools.compare, frames["theirs"], frames["ours"], "--min-psnr", case.min_psnr, "--quiet"]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise BenchError(f"{case.name} is void: a frame of one side is not within {case.min_psnr} dB of the other's, or cannot be "
                         f"compared: '{' '.join(str(word) for word in command)}' ended with {result.returncode}. {result.stderr.strip()}")


def run_pair(case, tools, folder, more):
    environment = thread_environment(case.threads)
    sides = commands(case, tools, folder)
    return {"ours": timed_run(sides["ours"] + more.get("ours", []), our_event, "stderr", environment),
            "theirs": timed_run(sides["theirs"] + more.get("theirs", []), their_event, "stdout", environment)}


def measure(case, tools, repeats, folder, say=lambda text: None):
    # The first run of each finds its libraries on disk, the others in memory; it writes frames too, and does not count.
    with tempfile.TemporaryDirectory() as name:
        frames = {side: pathlib.Path(name) / side for side in ("ours", "theirs")}
        run_pair(case, tools, folder, {"ours": ["--frames-dir", frames["ours"]], "theirs": [f"frames={frames['theirs']}"]})
        compare(case, tools, frames)
    pairs = []
    for _ in range(repeats):
        pairs.append(run_pair(case, tools, folder, {}))
        say(f"{case.name}: " + ", ".join(f"{side} {run['seconds']:.2f} s" for side, run in pairs[-1].items()))
    return {"case": case.name, "load": os.getloadavg()[0],
            **{side: summary([pair[side] for pair in pairs]) for side in ("ours", "theirs")}}


def summary(runs):
    return {"seconds": [run["seconds"] for run in runs], "imports": [run["events"].get("imported", 0.0) for run in runs],
            "events": min(runs, key=lambda run: run["seconds"])["events"], "peak_bytes": max(run["peak_bytes"] for run in runs)}
