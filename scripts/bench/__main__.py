"""Runs the chosen cases and tells what came out; scripts/bench.sh builds what it needs and starts it."""

import argparse
import dataclasses
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
    build: pathlib.Path
    python: str = sys.executable

    worker = property(lambda self: self.build / "tests/bench/bench_worker")
    program = property(lambda self: self.build / "app/cogvx-gen")
    compare = property(lambda self: self.build / "app/cogvx-compare")

    def checkpoint(self, name):
        """Its folder, named by what it is made of and made where it is not there."""
        maker = self.root / "scripts/make_random_checkpoint.py"
        folder = self.root / "out/bench" / name
        recipe = " ".join(CHECKPOINTS[name]) + " " + str(maker.stat().st_mtime_ns)
        stamp = folder / "recipe.txt"
        if not stamp.exists() or stamp.read_text() != recipe:
            subprocess.run([sys.executable, maker, *CHECKPOINTS[name], "--tokenizer",
                            self.root / "configs/demo/tokenizer/spiece.model", folder], check=True)
            stamp.write_text(recipe)
        return folder


def parse():
    parser = argparse.ArgumentParser(prog="bench.sh", description="Ours beside diffusers, SDPA and brgemm, by turns.")
    parser.add_argument("--only", nargs="+", metavar="CASE", default=[])
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds that count, instead of a case's own number")
    parser.add_argument("--threads", type=int, metavar="N", help="of both sides, instead of a case's own number")
    parser.add_argument("--full", action="store_true", help="also 5B, 1.5, T5, a large tile, two threads")
    parser.add_argument("--list", action="store_true", help="names the cases and ends")
    parser.add_argument("--build-dir", type=pathlib.Path, default=pathlib.Path("build"))
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


def main():
    options = parse()
    if options.list:
        return show_cases()
    root = pathlib.Path(__file__).resolve().parents[2]
    tools = Tools(root, root / options.build_dir)
    out = root / "out"
    cpu = machine.cpu()
    print(f"{cpu['name']} (family {cpu['family']}, model {cpu['model']}), {cpu['cores']} cores, load {os.getloadavg()[0]:.2f}")
    results, rows, pairs, words, failures = [], [], [], [], []
    for case in options.cases:
        if options.threads:
            case = dataclasses.replace(case, threads=options.threads)
        try:
            result, new = run_case(case, tools, options, out / "bench")
        except BenchError as error:
            failures.append(str(error))
            print(f"bench: {error}", file=sys.stderr)
            continue
        results.append(result)
        rows += new
        pairs.append((case, new[0]))
        if isinstance(case, Demo):
            words += report.load_figures(case, result)
    words += report.anchor_lines(pairs, cpu)
    record = {"cpu": cpu, "load_at_end": os.getloadavg()[0], "rows": rows, "results": results, "failures": failures}
    (out / "bench.json").write_text(json.dumps(record, indent=1) + "\n")
    print("\n".join(report.table(rows) + words))
    (out / "bench.svg").write_text(plot.svg(rows, cpu["name"]))
    print(f"load {os.getloadavg()[0]:.2f} at the end; out/bench.json, out/bench.svg")
    if failures:
        sys.exit("bench: void or failed:\n" + "\n".join(f"  {failure}" for failure in failures))


if __name__ == "__main__":
    main()
