"""The other end of a worker: a process that has loaded one case and does what it is told, one line at a time."""

import json
import pathlib
import subprocess


class BenchError(Exception):
    """Something that makes a comparison void, in one line."""


class Worker:
    """Starts at once and loads; ready() waits for that. What the process says besides goes to `log`."""

    def __init__(self, command, log: pathlib.Path, environment=None):
        self._log = log
        self._command = [str(word) for word in command]
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "w") as errors:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                             env=environment, text=True)

    def ready(self):
        return self._answer("being loaded", "ready")

    def ask(self, line, wanted):
        """The answer to a command, which must have the key `wanted`."""
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer below says how it ended
        return self._answer(f"asked to '{line}'", wanted)

    def _answer(self, when, wanted):
        text = self._process.stdout.readline()
        if not text:
            code = self._process.wait()
            lines = self._log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise BenchError(f"'{self._command[0]}' ended with {code} while {when}: {lines[-1]} (all of it in {self._log})")
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or wanted not in answer:
            raise BenchError(f"'{self._command[0]}', {when}, answered {text.strip()!r}, wanted JSON with '{wanted}'")
        return answer

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
