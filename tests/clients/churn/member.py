"""A member program that runs: its process, what it printed, what it owns."""

import json
import os
import signal
import subprocess
import threading
import time

import children
from waiting import eventually


class Member:
    """Started when made. Every event is kept, in `events`, with `t` in milliseconds of the wall clock.

    `silent` are the spans in which it could not have said what it lost: killed, or stopped.
    """

    def __init__(self, client, name, arguments, log):
        self.client, self.name = client, name
        self.instance = arguments.get("instance")
        self.events = []
        self.records = []  # (t, partition, offset, value)
        self.silent = []
        self.changed = threading.Condition()
        self._owned = set()
        self._asked = False
        self.exit_code = None
        self._log = open(log, "w")
        pairs = [f"{key}={value}" for key, value in {**arguments, "name": name}.items()]
        self.process = children.start(
            client.command + pairs,
            env={**os.environ, **client.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                # A line that a kill has cut, or a client's own output.
                self._log.write(line)
                continue
            self._take(event)

    def _take(self, event):
        with self.changed:
            kind = event["e"]
            if kind == "record":
                self.records.append((event["t"], event["p"], event["o"], event["v"]))
            else:
                self.events.append(event)
                self._log.write(json.dumps(event) + "\n")
                self._log.flush()
            if kind == "assigned":
                self._owned |= set(event["partitions"])
            elif kind in ("revoked", "lost"):
                self._owned -= set(event["partitions"])
            elif kind == "closed":
                self._owned = set()
            self.changed.notify_all()

    @property
    def owned(self):
        with self.changed:
            return set(self._owned)

    def count(self, kind):
        with self.changed:
            return sum(1 for event in self.events if event["e"] == kind)

    def last(self, kind):
        """The newest event of a kind, or None."""
        with self.changed:
            return next((e for e in reversed(self.events) if e["e"] == kind), None)

    def rebalances(self):
        """How often it was given something else, or was told of another generation.

        A client may say that nothing was assigned to it when nothing has happened.
        """
        changes, generation = 0, None
        with self.changed:
            for event in self.events:
                if event["e"] not in ("assigned", "revoked", "lost"):
                    continue
                said = event.get("generation")
                if event["partitions"] or said != generation:
                    changes += 1
                generation = said
        return changes

    def is_alive(self):
        return self.process.poll() is None

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def terminate(self):
        """Asks it to leave, once."""
        if not self._asked:
            self._asked = True
            eventually(f"{self.name} has started", lambda: self.count("started") or not self.is_alive(), 60)
            self.process.send_signal(signal.SIGTERM)

    def kill(self):
        """SIGKILL; what it owned it owns no more."""
        self.silent.append([time.time() * 1000, float("inf")])
        self.process.kill()
        self.wait(10)
        with self.changed:
            self._owned = set()

    def stop(self):
        """SIGSTOP; what it owned it may have lost when it goes on."""
        self.silent.append([time.time() * 1000, float("inf")])
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.silent[-1][1] = time.time() * 1000
        self.process.send_signal(signal.SIGCONT)

    def wait(self, within):
        """Its exit code, when all that it printed was read."""
        self.exit_code = self.process.wait(within)
        self._reader.join(within)
        return self.exit_code
