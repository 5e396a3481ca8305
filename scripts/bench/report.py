"""From what was measured to rows, words and a table. Pure functions: tests/bench/bench_test.py gives them canned numbers."""

import statistics

from bench.cases import BRGEMM, MEMORY_TARGET
from bench.machine import is_anchor

_BRGEMM_FLOPS = 2.0 * BRGEMM["rows"] * BRGEMM["in"] * BRGEMM["out"]
_TOLERATED = 0.85  # of the anchor's share, before it is worth a warning


def verdict(value, target, at_most=False):
    if target is None:
        return ""
    return "good" if (value <= target if at_most else value >= target) else "SHORT"


def ratios(ours, theirs):
    """Theirs over ours, of the least times and of the medians."""
    return min(theirs) / min(ours), statistics.median(theirs) / statistics.median(ours)


def worker_row(case, result):
    ours, theirs = result["ours"], result["theirs"]
    least, median = ratios(ours["seconds"], theirs["seconds"])
    row = {"case": case.name, "title": case.title, "dtype": case.dtype, "threads": case.threads, "rival": case.rival,
           "ours_seconds": min(ours["seconds"]), "theirs_seconds": min(theirs["seconds"]),
           "ratio": least, "ratio_median": median, "target": case.target, "verdict": verdict(least, case.target)}
    brgemm = result.get("ceiling", theirs)
    ceiling = _BRGEMM_FLOPS / min(brgemm["seconds"]) / 1e9
    for side in ("ours", "theirs"):
        # One count of the work for both: that of our worker.
        row[f"{side}_gflops"] = ours["flops"] / min(result[side]["seconds"]) / 1e9
        row[f"{side}_share"] = row[f"{side}_gflops"] / ceiling
        row[f"{side}_peak_bytes"] = result[side]["peak_bytes"]
        if case.checkpoint:
            row[f"{side}_load_seconds"] = result[side]["load_seconds"]
    row["brgemm_gflops"] = ceiling
    row["peak_ratio"] = ours["peak_bytes"] / theirs["peak_bytes"]
    # Without what the program and its libraries are before anything is loaded.
    row["peak_ratio_above_base"] = ((ours["peak_bytes"] - ours["base_bytes"]) / max(1, theirs["peak_bytes"] - theirs["base_bytes"]))
    row["peak_target"] = MEMORY_TARGET if case.memory else None
    row["peak_verdict"] = verdict(row["peak_ratio"], row["peak_target"], at_most=True)
    row["relative_l2"] = result["relative_l2"]
    return row


def demo_rows(case, result):
    """The whole, and the whole without the time that Python takes to import."""
    ours, theirs = result["ours"], result["theirs"]
    rows = []
    for name, title, target, imports in (
            (case.name, case.title, case.target, [0.0] * len(theirs["seconds"])),
            (f"{case.name}-no-import", "the same without Python's import", case.target_without_import, theirs["imports"])):
        seconds = [whole - taken for whole, taken in zip(theirs["seconds"], imports)]
        least, median = ratios(ours["seconds"], seconds)
        rows.append({"case": name, "title": title, "dtype": case.dtype, "threads": case.threads, "rival": "diffusers",
                     "ours_seconds": min(ours["seconds"]), "theirs_seconds": min(seconds), "ratio": least,
                     "ratio_median": median, "target": target, "verdict": verdict(least, target),
                     "ours_peak_bytes": ours["peak_bytes"], "theirs_peak_bytes": theirs["peak_bytes"],
                     "peak_ratio": ours["peak_bytes"] / theirs["peak_bytes"], "peak_target": None, "peak_verdict": ""})
    return rows


def load_figures(case, result):
    """Start-up and time to first step, a line for each side."""
    ours, theirs = result["ours"]["events"], result["theirs"]["events"]
    after = lambda events, name: f"{events[name]:.2f} s" if name in events else "not told"
    return [f"{case.name}, seconds after the start of the process (fastest run)",
            f"  cogvx-gen: begins to load {after(ours, 'started')}, first step done {after(ours, 'first step')}, "
            f"file written {min(result['ours']['seconds']):.2f} s",
            f"  diffusers: imported {after(theirs, 'imported')}, loaded {after(theirs, 'loaded')}, first step done "
            f"{after(theirs, 'first step')}, file written {min(result['theirs']['seconds']):.2f} s"]


def anchor_lines(pairs, cpu):
    """diffusers' share of brgemm beside what it was on the anchors' CPU, with a warning where it is far below and the
    CPU is such a one. `pairs` are (case, row)."""
    lines = []
    for case, row in pairs:
        anchor = getattr(case, "anchor", None)
        if anchor is None:
            continue
        line = f"diffusers' share of brgemm, {case.name}: {row['theirs_share']:.0%} (the anchors' CPU: {anchor:.0%})"
        if not is_anchor(cpu):
            line += "; another CPU, nothing to conclude"
        elif row["theirs_share"] < _TOLERATED * anchor:
            line += "; WARNING: over 15 % below: this machine is disturbed, or this PyTorch is not what it was"
        lines.append(line)
    return lines


def cells(row):
    number = lambda key, form: form.format(row[key]) if row.get(key) is not None else ""
    pair = lambda key, form, scale=1: " / ".join(form.format(row[f"{side}_{key}"] / scale) for side in ("ours", "theirs")) \
        if f"ours_{key}" in row else ""
    wanted = lambda target, good, sign: f"{sign} {target:.2f} {good}" if target is not None else ""
    return [f"{row['title']}, {row['dtype']}" + (f", {row['threads']} threads" if row["threads"] > 1 else ""), row["rival"],
            pair("seconds", "{:.3g}"), f"{row['ratio']:.2f} ({row['ratio_median']:.2f})",
            wanted(row["target"], row["verdict"], ">="), pair("load_seconds", "{:.2f}"), pair("gflops", "{:.0f}"), pair("share", "{:.0%}"),
            pair("peak_bytes", "{:.0f}", 1e6), number("peak_ratio", "{:.2f}"),
            wanted(row["peak_target"], row["peak_verdict"], "<="), number("relative_l2", "{:.1e}")]


HEAD = ["case", "against", "seconds", "ratio (median)", "wanted", "load s", "GFLOP/s", "of brgemm", "peak MB", "ratio", "wanted",
        "rel. L2"]


def table(rows):
    lines = [HEAD] + [cells(row) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return [" | ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
