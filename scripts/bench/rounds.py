"""Times the two sides of a case by turns, and what brgemm makes of the machine beside them, so that noise meets all."""

import os
import pathlib
import sys

from bench.cases import BRGEMM
from bench.worker import BenchError, Worker


def words(arguments, case):
    values = dict(arguments, dtype=case.dtype, threads=case.threads)
    return [f"{name}={value}" for name, value in values.items()]


def thread_environment(threads):
    """What libraries of both sides take their number of threads from."""
    return os.environ | {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def commands(case, tools):
    """The workers of a case, by side. brgemm is the rival itself or runs beside."""
    arguments = dict(case.arguments)
    if case.checkpoint:
        arguments["checkpoint"] = tools.checkpoint(case.checkpoint)
    ceiling = [tools.worker, *words(BRGEMM, case)]
    if case.rival == "brgemm":
        return {"ours": [tools.worker, *words(arguments, case)], "theirs": ceiling}
    return {"ours": [tools.worker, *words(arguments, case)],
            "theirs": [tools.python, "-m", "bench.diffusers_worker", *words(arguments, case)],
            "ceiling": ceiling}


def measure(case, sides, repeats, folder: pathlib.Path, say=lambda text: None):
    """`sides` holds the command of each worker. The result is plain data; raises BenchError where a worker fails or the
    sides do not agree."""
    environment = thread_environment(case.threads)
    workers = {}
    try:
        results = {}
        for side, command in sides.items():
            workers[side] = Worker(command, folder / f"{case.name}.{side}.log", environment)
            results[side] = workers[side].ready() | {"seconds": []}
        for turn in range(case.warm_up + repeats):
            for side, worker in workers.items():
                seconds = worker.ask("run", "seconds")["seconds"]
                if turn >= case.warm_up:
                    results[side]["seconds"].append(seconds)
            say(f"{case.name}: " + ", ".join(f"{side} {result['seconds'][-1]:.3f} s" for side, result in results.items())
                if turn >= case.warm_up else f"{case.name}: warm")
        for side, worker in workers.items():
            results[side] |= worker.ask("peak", "peak_bytes")
        distance = agreement(case, workers, folder)
    finally:
        for worker in workers.values():
            worker.stop()
    return {"case": case.name, "relative_l2": distance, "bound": case.bound, "load": os.getloadavg()[0], **results}


def agreement(case, workers, folder):
    """How far the two results are apart."""
    ours = folder / f"{case.name}.bin"
    workers["ours"].ask(f"save {ours}", "saved")
    try:
        distance = workers["theirs"].ask(f"compare {ours}", "relative_l2")["relative_l2"]
    finally:
        ours.unlink(missing_ok=True)
    if not distance <= case.bound:  # also where it is NaN
        raise BenchError(f"{case.name} is void: the results of both sides are {distance:.2g} apart (relative L2), "
                         f"at most {case.bound:.2g} is rounding in {case.dtype}")
    return distance


def progress(text):
    print(text, file=sys.stderr, flush=True)
