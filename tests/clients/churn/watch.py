"""Looks at a group from outside all the while: that its committed offsets never move back, and its state."""

import threading

import wire


class Watch:
    """Reads the committed offsets of a group several times a second."""

    def __init__(self, cluster, group, topic):
        self.cluster, self.group, self.topic = cluster, group, topic
        self.committed = {}
        self.moved_back = []
        self.reads = 0
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

    def look(self):
        """Reads once more, and compares with all that was read before; false if nobody answers."""
        with self._looking:
            found = self.offsets()
            if found is None:
                return False
            self.reads += 1
            for partition, before in self.committed.items():
                now = found.get(partition)
                if now is None or now < before:
                    self.moved_back.append(f"partition {partition}: from {before} to {now}")
            self.committed = {**self.committed, **found}
            return True

    def _run(self):
        while not self._ended.wait(0.25):
            self.look()

    def end(self):
        self._ended.set()
        self._thread.join()
