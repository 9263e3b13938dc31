"""Looks at a group from outside all the while: at its committed offsets, and its state."""

import threading
import time

import wire


class Watch:
    """Reads the committed offsets of a group several times a second.

    `reads` are (when it was asked, in milliseconds of the wall clock; offsets by partition), in order.
    """

    def __init__(self, cluster, group, topic):
        self.cluster, self.group, self.topic = cluster, group, topic
        self.reads = []
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _of_coordinator(self, question):
        try:
            return question(wire.coordinator_of(self.cluster.bootstrap, self.group), self.group)
        except wire.NoAnswer:
            return None

    def offsets(self):
        """The committed offsets by partition, read now; None if nobody answers."""
        found = self._of_coordinator(wire.committed)
        if found is None:
            return None
        return {p: offset for (topic, p), offset in found.items() if topic == self.topic}

    def state(self):
        """The group's state in Kafka's words; None if nobody answers, or there is no group."""
        return self._of_coordinator(wire.state)

    def is_stable(self):
        return self.state() == "Stable"

    @property
    def committed(self):
        """The committed offsets by partition, as of the last read."""
        return dict(self.reads[-1][1]) if self.reads else {}

    def look(self):
        """Reads once more; false if nobody answers."""
        with self._looking:
            asked = time.time() * 1000
            found = self.offsets()
            if found is not None:
                self.reads.append((asked, found))
            return found is not None

    def _run(self):
        while not self._ended.wait(0.25):
            self.look()

    def end(self):
        self._ended.set()
        self._thread.join()
