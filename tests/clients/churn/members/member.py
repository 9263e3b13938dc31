"""What the member programs in Python share: arguments, events, commands. The contract is in ../README.md."""

import json
import os
import queue
import signal
import sys
import threading
import time


def arguments():
    """The arguments KEY=VALUE as a dictionary."""
    return dict(argument.split("=", 1) for argument in sys.argv[1:])


def emit(event, **more):
    """Prints an event; it is out of this process when this returns."""
    line = json.dumps({"t": time.time() * 1000, "e": event, **more}) + "\n"
    os.write(1, line.encode())


def records(batch):
    """Prints what was processed: (partition, offset, value) each."""
    t = time.time() * 1000
    lines = [json.dumps({"t": t, "e": "record", "p": p, "o": o, "v": v}) for p, o, v in batch]
    data = ("\n".join(lines) + "\n").encode() if lines else b""
    while data:
        data = data[os.write(1, data):]


class Control:
    """SIGTERM and the commands on standard input."""

    def __init__(self):
        self.ended = False
        self._commands = queue.Queue()
        signal.signal(signal.SIGTERM, self._end)
        threading.Thread(target=self._read, daemon=True).start()
        emit("started")

    def _end(self, *_):
        self.ended = True

    def _read(self):
        for line in sys.stdin:
            self._commands.put(line.split())
        # Whoever started it has gone, and would not end it.
        os._exit(1)

    def stall(self):
        """The partition and offset of a late commit that was asked for, or None.

        Returns when it is to be made: between being asked and that, this process was paused.
        """
        try:
            _, partition, offset = self._commands.get_nowait()
        except queue.Empty:
            return None
        emit("stalled")
        assert self._commands.get() == ["go"]
        return int(partition), int(offset)
