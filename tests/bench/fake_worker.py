"""Plays a worker of scripts/bench.sh: answers by what it is started with (name=value).

  seconds=3,1,2   of each run in turn
  log=FILE        adds its name to it at each run
  distance=X      what compare answers
  fails=COMMAND   there it ends with 1 and says why
  garbage=COMMAND there it answers what is no JSON
"""
import itertools
import json
import sys

options = dict(word.split("=", 1) for word in sys.argv[1:])
seconds = itertools.cycle(float(word) for word in options.get("seconds", "1").split(","))


def answer(command):
    if command == "run":
        if "log" in options:
            with open(options["log"], "a") as log:
                log.write(options["name"] + "\n")
        return {"seconds": next(seconds)}
    if command == "peak":
        return {"peak_bytes": int(options.get("peak", 1000)), "base_bytes": 100}
    return {"saved": True} if command == "save" else {"relative_l2": float(options.get("distance", 0))}


print(json.dumps({"ready": True, "flops": 4e9}), flush=True)
for line in sys.stdin:
    command = line.split()[0]
    if options.get("fails") == command:
        sys.exit("fake_worker: out of breath")
    print("what?" if options.get("garbage") == command else json.dumps(answer(command)), flush=True)
