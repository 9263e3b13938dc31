"""Java processes of a suite: started, watched by what they print, ended by their pid. What is left dies with the suite."""

import ctypes
import os
import re
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def eventually(what, holds, seconds=60.0):
    """Asks until `holds()` is truthy, and returns that."""
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not after {seconds:.0f} seconds: {what}")
        time.sleep(0.1)


class Java:
    """A Java program. Its output is in `log`."""

    def __init__(self, main, arguments, log, classpath, heap="256m", options=()):
        self.name = main
        self.log = log
        options = [*options, f"-Xmx{heap}", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                   "-Dorg.slf4j.simpleLogger.showDateTime=true"]
        with open(log, "wb") as out:
            self.process = subprocess.Popen(["java", *options, "-cp", classpath, main, *arguments], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent)

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def prints(self, pattern, seconds=60.0):
        """Waits for a line that matches, and returns the match."""
        def found():
            match = re.search(pattern, self.output(), re.MULTILINE)
            if match is None and self.process.poll() is not None:
                raise AssertionError(f"{self.name} has ended ({self.process.returncode}): {self.output()[-800:]}")
            return match
        return eventually(f"{self.name} prints {pattern}", found, seconds)

    def kill(self):
        """SIGKILL: it can say goodbye to nobody."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=60.0):
        """SIGTERM, and waits until it has ended in good order. Returns its output."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} does not end") from None
        return self.output()


def run_cases(cases):
    """The lines and the exit code of a suite. A case that fails ends it: later ones build on it."""
    import traceback
    for name, case in cases:
        began = time.monotonic()
        try:
            case()
            print(f"ok {name}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            print(f"FAIL {name}: {type(error).__name__} {error}".replace("\n", " "), flush=True)
            traceback.print_exc()
            return 1
        finally:
            os.write(2, f"{name} took {time.monotonic() - began:.1f} s\n".encode())
    return 0
