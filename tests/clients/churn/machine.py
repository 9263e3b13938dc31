"""Where the brokers keep their data, and what the machine did to the run: how long it stood still, and its store."""

import os
import shutil
import threading
import time
from pathlib import Path

MEMORY = Path("/dev/shm")
# What a run takes is far less; with this little left the machine is in trouble.
FREE_MIN = 256 << 20
FREE_WANTED = 2 << 30
LOOK_EVERY = 0.1


def folder():
    """For the brokers' data: in memory if there is room, since a disk that is busy with others stands still for longer
    than a session. None: the folder for temporary files, which TMPDIR may name."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return None
    return MEMORY if shutil.disk_usage(MEMORY).free >= FREE_WANTED else None


class Machine:
    """Watches the machine: how late this process runs, and how long a small durable write takes.

    Nothing is excused by it. It tells whoever reads a failure whether to look at the machine first.
    """

    def __init__(self, work):
        self._work = Path(work)
        self.pause = self.write = 0.0
        self.is_full = False
        self._ended = threading.Event()
        watches = (self._watch_time, self._watch_store)
        self._threads = [threading.Thread(target=watch, daemon=True) for watch in watches]
        for thread in self._threads:
            thread.start()

    def _watch_time(self):
        before = time.monotonic()
        while not self._ended.wait(LOOK_EVERY):
            now = time.monotonic()
            self.pause = max(self.pause, now - before - LOOK_EVERY)
            before = now

    def _watch_store(self):
        while not self._ended.wait(1):
            began = time.monotonic()
            try:
                with open(self._work / "probe", "wb") as probe:
                    probe.write(b"x" * 4096)
                    probe.flush()
                    os.fsync(probe.fileno())
                self.is_full = shutil.disk_usage(self._work).free < FREE_MIN
            except OSError:
                self.is_full = True
            self.write = max(self.write, time.monotonic() - began)

    def __str__(self):
        full = ", which is full" if self.is_full else ""
        return f"{self.pause:.1f} s without running, {self.write:.1f} s for a write to {self._work.parent}{full}"

    def end(self):
        """Nothing is written to its folder any more."""
        self._ended.set()
        for thread in self._threads:
            thread.join(10)
