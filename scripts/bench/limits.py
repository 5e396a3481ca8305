"""What limits each part: micro_bench's rates beside what this machine does of one thing alone, measured in the same run."""

import json
import pathlib
import subprocess
import sys

# A limit: its counter in a part's benchmark, the benchmark that measures it (by dtype where it depends on it), its unit.
LIMITS = {
    "matrix": ("GFLOP", "limit_matrix/{dtype}", "GFLOP/s"),
    "exponential": ("Gexp", "limit_exponential/{dtype}", "G/s"),
    "memory": ("GB", "limit_memory", "GB/s"),
    "communication": ("GB", "limit_communication", "GB/s"),
}
# Of these the bytes go to another process.
COMMUNICATION = ("exchange_layer",)
# Of each, in random order; the median counts.
REPETITIONS = 5


def rates(report):
    """Benchmark -> its counters, from Google Benchmark's JSON."""
    return {run["run_name"].removesuffix("/real_time"): run for run in report["benchmarks"]
            if run.get("aggregate_name", "median") == "median" and not run.get("error_occurred")}


def limits_of(name, counters):
    limits = ["matrix", "exponential"] + (["communication"] if name.split("/")[0] in COMMUNICATION else ["memory"])
    return [limit for limit in limits if LIMITS[limit][0] in counters]


def table(report):
    """A row for each part: by limit the share of its time that this limit accounts for, its rate and the limit's; their sum."""
    measured = rates(report)
    rows = []
    for name, counters in measured.items():
        if name.startswith("limit_"):
            continue
        part, dtype = name.split("/")
        row = {"part": part, "dtype": dtype if dtype in ("fp32", "bf16") else "bf16", "shares": {}}
        for limit in limits_of(name, counters):
            counter, benchmark, _ = LIMITS[limit]
            most = measured[benchmark.format(dtype=row["dtype"])][counter]
            row["shares"][limit] = (counters[counter] / most, counters[counter], most)
        row["part"] += "" if dtype == row["dtype"] else f" ({dtype})"
        row["reached"] = sum(share for share, *_ in row["shares"].values())
        rows.append(row)
    return rows


def lines(rows):
    text = lambda row: ", ".join(f"{limit} {share:.0%} ({rate:.3g} of {most:.3g} {LIMITS[limit][2]})"
                                 for limit, (share, rate, most) in row["shares"].items())
    width = max(len(row["part"]) for row in rows)
    return [f"{row['part']:{width}}  {row['dtype']}  {row['reached']:4.0%} of the time at its limits: {text(row)}" for row in rows]


def main():
    program, out = sys.argv[1:]
    result = subprocess.run(
        [program, f"--benchmark_repetitions={REPETITIONS}", "--benchmark_report_aggregates_only=true", "--benchmark_min_time=0.2",
         "--benchmark_enable_random_interleaving=true", "--benchmark_format=json"], stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"bench: {program} ended with {result.returncode}")
    report = json.loads(result.stdout)
    pathlib.Path(out).write_text(json.dumps(report, indent=1) + "\n")
    print("\n".join(lines(table(report))))
    print(f"one thread; {out}")


if __name__ == "__main__":
    main()
