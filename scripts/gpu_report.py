#!/usr/bin/env python3
"""Writes report.json and report.txt of scripts/gpu_check.sh from what its phases left in a folder.

  scripts/gpu_report.py DIR MACHINE_KEY=VALUE...

DIR holds PHASE.result, a line of order, name, seconds and result, and PHASE.log, whose lines `report: {...}` and `golden ...` are figures.
"""
import json
import pathlib
import sys


def figures(log):
    """The figures of one phase, as objects."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("report: "):
            try:
                found.append(json.loads(line.removeprefix("report: ")))
            except json.JSONDecodeError:  # a phase that was ended in the middle of a line
                found.append({"check": "cut off", "says": line})
        elif line.startswith("golden "):
            found.append({"check": "golden", "says": line.removeprefix("golden ")})
    return found


def text_of(figure):
    words = [figure.get("check", "")]
    for key, value in figure.items():
        if key == "wrong":
            words.append(f"WRONG: {value}" if value else "equal")
        elif key == "says":
            words.append(value)
        elif key != "check":
            words.append(f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}")
    return "  " + "  ".join(words)


def main():
    folder = pathlib.Path(sys.argv[1])
    machine = dict(argument.split("=", 1) for argument in sys.argv[2:])
    phases = []
    results = (path.read_text().rstrip("\n").split("\t", 3) for path in folder.glob("*.result"))
    for _, name, seconds, result in sorted(results, key=lambda fields: int(fields[0])):
        phases.append(dict(phase=name, result=result, seconds=int(seconds), figures=figures(folder / f"{name}.log")))
    good = not any(phase["result"].startswith("FAILED") for phase in phases)
    report = {"good": good, "machine": machine, "phases": phases}
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    lines = [f"{key}: {value}" for key, value in machine.items()]
    for phase in phases:
        lines += ["", f"{phase['phase']}: {phase['result']} in {phase['seconds']} s"]
        lines += [text_of(figure) for figure in phase["figures"]]
    (folder / "report.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
