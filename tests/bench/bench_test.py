#!/usr/bin/env python3
"""scripts/bench.sh without diffusers: its driver on workers that are played and on canned numbers, and one iteration of every
kind of case by our own worker, on a tiny checkpoint. python3's standard library only.

  tests/bench/bench_test.py [--worker FILE]
"""
import argparse
import dataclasses
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts"))

from bench import cases, demo, limits, machine, plot, report, rounds, worker  # noqa: E402

FAKE = [sys.executable, ROOT / "tests/bench/fake_worker.py"]
ZEN_4 = {"name": "x", "vendor": "AuthenticAMD", "family": 25, "model": 0x11, "cores": 2}
ZEN_5 = ZEN_4 | {"family": 26, "model": 2}
CASE = cases.Case("some", "some work", {"kind": "step"}, "bf16", target=1.5, memory=True, anchor=0.5)
BRGEMM_FLOPS = 2 * 4276 * 1920 * 7680
real_worker = None


def measured(ours=2.0, theirs=4.0, ceiling=1.0, peaks=(600, 1000)):
    """Canned: 100 GFLOP/s of brgemm for each second that `ceiling` is less than BRGEMM_FLOPS / 1e11."""
    side = lambda seconds, peak: {"seconds": [seconds * 2, seconds, seconds * 3], "flops": 2e11, "peak_bytes": peak, "base_bytes": 500}
    return {"ours": side(ours, peaks[0]), "theirs": side(theirs, peaks[1]),
            "ceiling": side(ceiling * BRGEMM_FLOPS / 2e11, 1), "relative_l2": 1e-3}


class WithFolder(unittest.TestCase):
    def setUp(self):
        keeper = tempfile.TemporaryDirectory()
        self.addCleanup(keeper.cleanup)
        self.folder = pathlib.Path(keeper.name)


class Rounds(WithFolder):
    def measure(self, case=CASE, repeats=2, **words):
        sides = {side: FAKE + [f"name={side}", f"log={self.folder / 'log'}", *words.get(side, [])]
                 for side in ("ours", "theirs", "ceiling")}
        return rounds.measure(case, sides, repeats, self.folder)

    def test_sides_take_turns_and_the_warm_up_does_not_count(self):
        result = self.measure(ours=["seconds=9,2,3", "peak=7"], theirs=["seconds=9,4,5"])
        self.assertEqual((self.folder / "log").read_text().split(), ["ours", "theirs", "ceiling"] * 3)
        self.assertEqual(result["ours"]["seconds"], [2, 3])
        self.assertEqual(result["theirs"]["seconds"], [4, 5])
        self.assertEqual(result["ours"]["peak_bytes"], 7)

    def test_results_that_differ_make_the_comparison_void(self):
        self.assertEqual(self.measure(theirs=["distance=0.009"])["relative_l2"], 0.009)
        for distance in ("0.011", "nan"):
            with self.assertRaisesRegex(worker.BenchError, "some is void.*at most 0.01 "):
                self.measure(theirs=[f"distance={distance}"])
        with self.assertRaisesRegex(worker.BenchError, "void"):
            self.measure(case=dataclasses.replace(CASE, dtype="fp32"), theirs=["distance=0.001"])

    def test_a_worker_that_ends_is_named_with_its_last_words(self):
        for command in ("run", "peak", "compare"):
            with self.assertRaisesRegex(worker.BenchError, "ended with 1 while asked to '" + command + ".*out of breath"):
                self.measure(theirs=["fails=" + command])

    def test_an_answer_that_is_none_is_refused(self):
        with self.assertRaisesRegex(worker.BenchError, r"answered 'what\?', wanted JSON with 'seconds'"):
            self.measure(ours=["garbage=run"])

    def test_both_sides_get_the_same_words_and_brgemm_runs_beside(self):
        tools = argparse.Namespace(worker="W", python="P", checkpoint=lambda name: "folder/" + name)
        step = next(case for case in cases.CASES if case.name == "step-4276-bf16-2t")
        sides = rounds.commands(step, tools)
        self.assertEqual(sides["ours"][1:], sides["theirs"][3:])
        self.assertIn("checkpoint=folder/2b", sides["ours"])
        self.assertTrue(all("threads=2" in side and "dtype=bf16" in side for side in sides.values()))
        self.assertEqual(sides["ceiling"][:2], ["W", "kind=brgemm"])
        self.assertEqual(rounds.thread_environment(2)["OMP_NUM_THREADS"], "2")


class Reports(unittest.TestCase):
    def test_a_row_has_ratios_rates_and_verdicts(self):
        row = report.worker_row(CASE, measured())
        self.assertEqual((row["ratio"], row["ratio_median"], row["verdict"]), (2.0, 2.0, "good"))
        self.assertAlmostEqual(row["ours_gflops"], 100)
        self.assertAlmostEqual(row["brgemm_gflops"], 200)
        self.assertAlmostEqual(row["ours_share"], 0.5)
        self.assertAlmostEqual(row["theirs_share"], 0.25)
        self.assertEqual((row["peak_ratio"], row["peak_ratio_above_base"], row["peak_verdict"]), (0.6, 0.2, "good"))

    def test_short_of_a_target_is_said(self):
        row = report.worker_row(CASE, measured(ours=2.7, peaks=(760, 1000)))
        self.assertEqual((row["verdict"], row["peak_verdict"]), ("SHORT", "SHORT"))
        without = report.worker_row(dataclasses.replace(CASE, target=None, memory=False), measured())
        self.assertEqual((without["verdict"], without["peak_verdict"]), ("", ""))

    def test_the_least_times_make_the_ratio_and_the_medians_the_other(self):
        self.assertEqual(report.ratios([2, 1, 9], [4, 3, 8]), (3.0, 2.0))

    def test_brgemm_as_the_rival_is_its_own_ceiling(self):
        result = measured()
        result["theirs"] = result.pop("ceiling")
        self.assertAlmostEqual(report.worker_row(dataclasses.replace(CASE, rival="brgemm"), result)["brgemm_gflops"], 200)

    def test_the_demo_is_told_with_and_without_imports(self):
        side = lambda seconds, imports: {"seconds": seconds, "imports": imports, "peak_bytes": 10, "events": {"first step": 1.5}}
        result = {"ours": side([1, 2], [0, 0]), "theirs": side([6, 5], [4.5, 4]), "load": 0}
        whole, bare = report.demo_rows(cases.Demo(), result)
        self.assertEqual((whole["ratio"], whole["verdict"]), (5.0, "good"))
        self.assertEqual((bare["ratio"], bare["verdict"]), (1.0, "SHORT"))
        self.assertIn("first step done 1.50 s", report.load_figures(cases.Demo(), result)[1])
        report.table([whole, bare])

    def test_the_table(self):
        lines = report.table([report.worker_row(CASE, measured())])
        self.assertEqual([cell.strip() for cell in lines[1].split("|")],
                         ["some work, bf16", "diffusers", "2 / 4", "2.00 (2.00)", ">= 1.50 good", "", "100 / 50", "50% / 25%",
                          "0 / 0", "0.60", "<= 0.75 good", "1.0e-03"])

    def test_what_is_loaded_tells_how_long_that_took(self):
        result = measured()
        result["ours"]["load_seconds"], result["theirs"]["load_seconds"] = 0.5, 1.25
        line = report.table([report.worker_row(dataclasses.replace(CASE, checkpoint="2b"), result)])[1]
        self.assertEqual(line.split("|")[5].strip(), "0.50 / 1.25")

    def test_the_picture_is_whole(self):
        rows = [report.worker_row(CASE, measured()), report.worker_row(dataclasses.replace(CASE, title="a < b", target=None), measured())]
        bars = [element for element in xml.etree.ElementTree.fromstring(plot.svg(rows, "a & b")).iter() if element.tag.endswith("rect")]
        self.assertEqual(len(bars), 1 + 2 * len(rows))
        plot.svg([], "none")


class Limits(unittest.TestCase):
    def test_a_part_is_put_beside_the_limits_of_its_dtype(self):
        run = lambda name, **counters: {"run_name": name + "/real_time", "aggregate_name": "median", **counters}
        measured = [run("limit_matrix/bf16", GFLOP=500.0), run("limit_matrix/fp32", GFLOP=250.0), run("limit_memory", GB=80.0),
                    run("limit_exponential/bf16", Gexp=2.0), run("limit_communication", GB=5.0),
                    run("attention/bf16", GFLOP=300.0, Gexp=0.5), run("linear/fp32", GFLOP=225.0),
                    run("norm/fp32", GB=20.0), run("exchange_layer/ulysses", GB=2.0),
                    run("norm/fp32", GB=1.0) | {"aggregate_name": "stddev"}]
        rows = {row["part"]: row for row in limits.table({"benchmarks": measured})}
        self.assertEqual(set(rows), {"attention", "linear", "norm", "exchange_layer (ulysses)"})
        shares = {part: {limit: round(share[0], 6) for limit, share in row["shares"].items()} for part, row in rows.items()}
        self.assertEqual(shares["attention"], {"matrix": 0.6, "exponential": 0.25})
        self.assertEqual(shares["linear"], {"matrix": 0.9})
        self.assertEqual(shares["norm"], {"memory": 0.25})
        self.assertEqual(shares["exchange_layer (ulysses)"], {"communication": 0.4})
        self.assertAlmostEqual(rows["attention"]["reached"], 0.85)
        self.assertIn("85% of the time at its limits: matrix 60% (300 of 500 GFLOP/s)", limits.lines([rows["attention"]])[0])


class Machines(unittest.TestCase):
    def test_a_low_share_is_a_warning_on_the_anchors_cpu_alone(self):
        lines = lambda theirs, cpu: report.anchor_lines([(CASE, report.worker_row(CASE, measured(theirs=theirs)))], cpu)
        self.assertIn("WARNING", lines(2.4, ZEN_4)[0])  # 0.417 of brgemm; 0.425 is 15 % below 0.5
        self.assertNotIn("WARNING", lines(2.3, ZEN_4)[0])  # 0.435
        self.assertNotIn("WARNING", lines(2.4, ZEN_5)[0])
        self.assertIn("another CPU", lines(2.4, ZEN_5)[0])
        self.assertEqual(report.anchor_lines([(dataclasses.replace(CASE, anchor=None), {})], ZEN_4), [])

    def test_cpus_are_told_apart(self):
        text = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: EPYC\n\nprocessor\t: 1\n"
        self.assertEqual({**machine.cpu(text), "cores": 2, "name": "x"}, ZEN_4)
        self.assertTrue(machine.is_anchor(ZEN_4 | {"model": 0x61}))
        for other in (ZEN_5, ZEN_5 | {"model": 0x11}, ZEN_4 | {"model": 0x21}, ZEN_4 | {"vendor": "GenuineIntel"}, machine.cpu("")):
            self.assertFalse(machine.is_anchor(other))

    def test_other_versions_are_warned_of(self):
        found = machine.versions("# a==1\ntorch==2.11.0\nnumpy==2.4.6\n", {"torch": "2.11.0+cu130", "numpy": "2.4.5"}.get)
        self.assertEqual(machine.off_pins(found), ["WARNING: numpy is 2.4.5, wanted 2.4.6"])
        self.assertEqual(machine.versions("no-such-package==1\n")["no-such-package"]["found"], "none")


class Choices(unittest.TestCase):
    def test_cases_by_name_and_by_full(self):
        names = lambda *arguments: [case.name for case in cases.chosen(*arguments)]
        self.assertIn("step-17776-bf16", names([], False))
        self.assertNotIn("t5-bf16", names([], False))
        self.assertIn("t5-bf16", names([], True))
        self.assertEqual(names(["t5-bf16"], False), ["t5-bf16"])
        with self.assertRaisesRegex(ValueError, "no case 'nope'"):
            cases.chosen(["nope"], False)
        self.assertEqual(len({case.name for case in cases.CASES}), len(cases.CASES))

    def test_the_script_tells_wrong_arguments_before_it_makes_anything(self):
        for arguments, says in ((["--only", "nope"], "no case 'nope'"), (["--repeats", "0"], "wanted at least 1")):
            result = subprocess.run([ROOT / "scripts/bench.sh", *arguments], capture_output=True, text=True)
            self.assertEqual(result.returncode, 2)
            self.assertIn(says, result.stderr)
        listed = subprocess.run([ROOT / "scripts/bench.sh", "--list"], capture_output=True, text=True)
        self.assertIn("step-17776-bf16", listed.stdout)


class Demos(WithFolder):
    def test_events_are_told_from_other_lines(self):
        self.assertEqual(demo.our_event('{"stage":"load","done":0,"part":0.5}'), "started")
        self.assertEqual(demo.our_event('{"stage":"denoise","done":0,"part":0.5}'), "started")
        self.assertEqual(demo.our_event('{"stage":"denoise","done":1,"part":0.0}'), "first step")
        self.assertIsNone(demo.our_event("cogvx-gen: notice"))
        self.assertEqual(demo.their_event('{"event": "imported"}'), "imported")
        self.assertIsNone(demo.their_event("3 %"))

    def test_a_process_is_timed_and_its_failure_told(self):
        command = lambda code: [sys.executable, "-c", code]
        run = demo.timed_run(command("import time\ntime.sleep(.2); print('{\"event\": \"imported\"}', flush=True); time.sleep(.2)"),
                             demo.their_event, "stdout", None)
        self.assertGreater(run["events"]["imported"], 0.2)
        self.assertGreater(run["seconds"], run["events"]["imported"] + 0.15)
        self.assertGreater(run["peak_bytes"], 1e6)
        with self.assertRaisesRegex(worker.BenchError, "ended with 3: sorry"):
            demo.timed_run(command("import sys\nprint('sorry'); sys.exit(3)"), demo.their_event, "stdout", None)

    def test_videos_that_are_not_alike_make_the_comparison_void(self):
        frames = {side: self.folder / side for side in ("ours", "theirs")}
        compare = self.folder / "compare"
        for code in (0, 1):
            compare.write_text(f'#!/bin/sh\n[ "$*" = "{frames["theirs"]} {frames["ours"]} --min-psnr 75.0 --quiet" ] && exit {code}\nexit 9\n')
            compare.chmod(0o755)
            if code == 0:
                demo.compare(cases.Demo(), argparse.Namespace(compare=compare), frames)
            else:
                with self.assertRaisesRegex(worker.BenchError, "demo is void.*ended with 1"):
                    demo.compare(cases.Demo(), argparse.Namespace(compare=compare), frames)


class RealWorker(WithFolder):
    SIZES = dict(threads=1, frames=3, height=4, width=6, rows=70, heads=2, out=128, **{"in": 64})

    def setUp(self):
        super().setUp()
        if real_worker is None:
            self.skipTest("no --worker")

    def command(self, kind, dtype, **more):
        return [real_worker, *(f"{name}={value}" for name, value in (self.SIZES | dict(kind=kind, dtype=dtype) | more).items())]

    def test_one_iteration_of_each_kind(self):
        checkpoint = self.folder / "tiny"
        subprocess.run([sys.executable, ROOT / "scripts/make_random_checkpoint.py", "--heads", "2", "--layers", "1", "--slim-vae", "16",
                        "--text-width", "64", "--tokenizer", ROOT / "configs/demo/tokenizer/spiece.model", checkpoint], check=True)
        for kind in ("step", "decode", "text", "attention"):
            with self.subTest(kind):
                one = worker.Worker(self.command(kind, "bf16", checkpoint=checkpoint), self.folder / "log")
                self.addCleanup(one.stop)
                self.assertGreater(one.ready()["flops"], 0)
                self.assertGreater(one.ask("run", "seconds")["seconds"], 0)
                self.assertGreater(one.ask("peak", "peak_bytes")["peak_bytes"], 1e6)
                saved = self.folder / "result"
                one.ask(f"save {saved}", "saved")
                self.assertGreater(saved.stat().st_size, 0)
                self.assertEqual(one.ask(f"compare {saved}", "relative_l2")["relative_l2"], 0)

    def test_the_linear_layer_agrees_with_brgemm(self):
        for dtype in ("fp32", "bf16"):
            case = dataclasses.replace(CASE, arguments={"kind": "linear"}, dtype=dtype)
            sides = {"ours": self.command("linear", dtype), "theirs": self.command("brgemm", dtype)}
            self.assertLess(rounds.measure(case, sides, 1, self.folder)["relative_l2"], case.bound)
        other = sides | {"theirs": self.command("brgemm", dtype, rows=71)}
        with self.assertRaisesRegex(worker.BenchError, "holds another number of bytes"):
            rounds.measure(case, other, 1, self.folder)

    def test_wrong_words_are_told(self):
        for command, says in ((self.command("dance", "bf16"), "kind is 'dance'"),
                              (self.command("linear", "fp16"), "dtype is 'fp16'"),
                              (self.command("linear", "bf16", rows="many"), "rows is 'many'"),
                              (self.command("linear", "bf16") + ["x"], "'x' is no name=value")):
            result = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(result.returncode, 1)
            self.assertIn(says, result.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker")
    options, rest = parser.parse_known_args()
    real_worker = options.worker
    unittest.main(argv=[sys.argv[0], *rest])
