"""Runs the chosen cases and tells what came out; scripts/bench.sh builds what it needs and starts it."""

import argparse
import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys

from bench import demo, machine, plot, report, rounds
from bench.cases import CASES, CHECKPOINTS, Demo, chosen
from bench.worker import BenchError


@dataclasses.dataclass(frozen=True)
class Tools:
    root: pathlib.Path
    python: str = sys.executable

    worker = property(lambda self: self.root / "build/tests/bench/bench_worker")
    program = property(lambda self: self.root / "build/app/cogvx-gen")
    compare = property(lambda self: self.root / "build/app/cogvx-compare")

    def checkpoint(self, name):
        """Its folder, named by what it is made of and made where it is not there."""
        maker = self.root / "scripts/make_random_checkpoint.py"
        folder = self.root / "out/bench" / name
        recipe = " ".join([*CHECKPOINTS[name], hashlib.sha256(maker.read_bytes()).hexdigest()])
        stamp = folder / "recipe.txt"
        if not stamp.exists() or stamp.read_text() != recipe:
            subprocess.run([sys.executable, maker, *CHECKPOINTS[name], "--tokenizer",
                            self.root / "configs/demo/tokenizer/spiece.model", folder], check=True)
            stamp.write_text(recipe)
        return folder


def parse():
    parser = argparse.ArgumentParser(prog="bench.sh", description="Ours beside diffusers, SDPA and brgemm, by turns.",
                                     epilog="bench.sh --micro [GOOGLE BENCHMARK ARGUMENT...] times single operations of ours instead, "
                                            "--limits puts each beside what limits it.")
    parser.add_argument("--only", nargs="+", metavar="CASE", default=[])
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds that count, instead of a case's own number")
    parser.add_argument("--threads", type=int, metavar="N", help="of both sides, instead of a case's own number")
    parser.add_argument("--full", action="store_true", help="also 5B, 1.5, T5, a large tile, two threads")
    parser.add_argument("--list", action="store_true", help="names the cases and ends")
    options = parser.parse_args()
    for name in ("repeats", "threads"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}, wanted at least 1")
    try:
        options.cases = chosen(options.only, options.full)
    except ValueError as error:
        parser.error(str(error))
    return options


def show_cases():
    for case in CASES:
        print(f"{case.name:22}{case.title}, {case.dtype}{', ' + str(case.threads) + ' threads' if case.threads > 1 else ''}"
              f"{' (--full)' if case.full else ''}")


def run_case(case, tools, options, folder):
    """(result, rows)"""
    repeats = options.repeats or case.repeats
    if isinstance(case, Demo):
        result = demo.measure(case, tools, repeats, folder, rounds.progress)
        return result, report.demo_rows(case, result)
    result = rounds.measure(case, rounds.commands(case, tools), repeats, folder, rounds.progress)
    return result, [report.worker_row(case, result)]


def run_cases(options, tools, record, save):
    """Adds each case to the record as it ends; gives back (case, its first row) and the load figures."""
    pairs, words = [], []
    for case in options.cases:
        if options.threads:
            case = dataclasses.replace(case, threads=options.threads)
        try:
            result, rows = run_case(case, tools, options, tools.root / "out/bench")
        except BenchError as error:
            record["failures"].append(str(error))
            print(f"bench: {error}", file=sys.stderr)
        else:
            record["results"].append(result)
            record["rows"] += rows
            pairs.append((case, rows[0]))
            if isinstance(case, Demo):
                words += report.load_figures(case, result)
        save()
    return pairs, words


def main():
    options = parse()
    if options.list:
        return show_cases()
    root = pathlib.Path(__file__).resolve().parents[2]
    cpu = machine.cpu()
    versions = machine.versions((root / "scripts/bench/requirements.txt").read_text())
    print(f"{cpu['name']} (family {cpu['family']}, model {cpu['model']}), {cpu['cores']} cores, load {os.getloadavg()[0]:.2f}; "
          f"torch {versions['torch']['found']}, diffusers {versions['diffusers']['found']}")
    record = {"cpu": cpu, "versions": versions, "rows": [], "results": [], "failures": []}

    def save():
        (root / "out/bench.json").write_text(json.dumps(record, indent=1) + "\n")
        (root / "out/bench.svg").write_text(plot.svg(record["rows"], cpu["name"]))

    pairs, words = run_cases(options, Tools(root), record, save)
    words = machine.off_pins(versions) + words + report.anchor_lines(pairs, cpu)
    print("\n".join(report.table(record["rows"]) + words))
    print(f"load {os.getloadavg()[0]:.2f} at the end; out/bench.json, out/bench.svg")
    if record["failures"]:
        sys.exit("bench: void or failed:\n" + "\n".join(f"  {failure}" for failure in record["failures"]))


if __name__ == "__main__":
    main()
