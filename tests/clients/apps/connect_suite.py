"""Kafka Connect, distributed, against a broker: lines travel from a file through a topic into a file, while workers come and go.

Usage: connect_suite.py cases HOST:PORT. APP_JARS: where the jars are.
"""

import collections
import os
import shutil
import sys
import tempfile

from confluent_kafka.admin import AdminClient, ConfigResource

import connect_worker
import processes
from connect_once import ExactlyOnceTest
from connect_worker import Worker
from processes import eventually


class ConnectTest:
    def __init__(self, broker, work):
        self.broker = broker
        self.work = work
        self.group = f"connect{os.environ.get('RUN', '')}"
        self.admin = AdminClient({"bootstrap.servers": broker})
        self.source = os.path.join(work, "source.txt")
        self.sink = os.path.join(work, "sink.txt")
        self.lines = []
        self.workers = []

    # ------------------------------------------------------------------ workers and lines

    def start(self):
        worker = Worker(f"worker{len(os.listdir(self.work))}", connect_worker.settings(self.broker, self.group), self.work)
        self.workers.append(worker)
        worker.listens()
        return worker

    def kill(self, worker):
        self.workers.remove(worker)
        worker.java.kill()

    def write(self, count):
        new = [f"line {len(self.lines) + i}" for i in range(count)]
        with open(self.source, "a", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in new)
        self.lines += new

    def arrived(self):
        try:
            with open(self.sink, encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def arrives_exactly(self):
        eventually("each line arrives once, in order", lambda: self.arrived() == self.lines)

    def arrives(self):
        """Each line at least once."""
        eventually("each line arrives", lambda: set(self.arrived()) == set(self.lines))

    def committed(self, worker):
        """Waits until source and sink have told Kafka that they are through (KIP-875)."""
        size = os.path.getsize(self.source)

        def position(connector, key):
            offsets = worker.done("GET", f"connectors/{connector}/offsets")["offsets"]
            return sum(entry["offset"][key] for entry in offsets)
        eventually("source offsets", lambda: position("source", "position") == size)
        # The topic has one partition, so its end is the number of records.
        end = len(self.lines)
        eventually("sink offsets", lambda: position("sink", "kafka_offset") >= end)

    def tasks(self, worker):
        """What runs where, once all of it runs: {connector or task: worker id}."""
        def placed():
            found = {}
            for name in ("source", "sink"):
                status, answer = worker.ask("GET", f"connectors/{name}/status")
                if status != 200 or len(answer["tasks"]) != 1:
                    return None
                parts = {name: answer["connector"], f"{name} task": answer["tasks"][0]}
                for part, state in parts.items():
                    assert state["state"] != "FAILED", f"{part}: {state}"
                    if state["state"] != "RUNNING":
                        return None
                    found[part] = state["worker_id"]
            return found
        return eventually("connectors and tasks run", placed, 90)

    # ------------------------------------------------------------------ cases

    def internal_topics(self):
        """A worker makes its three topics, and finds them fit for use when it looks at their configs."""
        worker = self.start()
        _, root = worker.ask("GET", "")
        cluster = self.admin.describe_cluster().result(30).cluster_id
        assert root["kafka_cluster_id"] == cluster, f"{root} instead of {cluster}"
        metadata = self.admin.list_topics(timeout=30).topics
        for purpose, partitions in {"config": 1, "offset": 5, "status": 3}.items():
            topic = f"{self.group}-{purpose}"
            assert len(metadata[topic].partitions) == partitions, f"{topic}: {metadata[topic].partitions}"
            resource = ConfigResource("topic", topic)
            policy = self.admin.describe_configs([resource])[resource].result(30)["cleanup.policy"].value
            assert policy == "compact", f"{topic}: {policy}"

    def file_to_file(self):
        worker = self.workers[0]
        self.write(500)
        worker.done("PUT", "connectors/source/config", {
            "connector.class": "FileStreamSource", "file": self.source, "topic": f"{self.group}-lines",
            "topic.creation.default.partitions": 1, "topic.creation.default.replication.factor": 1})
        worker.done("PUT", "connectors/sink/config", {
            "connector.class": "FileStreamSink", "file": self.sink, "topics": f"{self.group}-lines"})
        self.tasks(worker)
        self.arrives_exactly()
        self.write(500)
        self.arrives_exactly()

    def worker_restarted(self):
        """A worker killed and started anew reads configs and offsets from Kafka: no line is lost, none comes twice."""
        self.committed(self.workers[0])
        self.kill(self.workers[0])
        self.write(300)
        worker = self.start()
        # The topic of statuses tells of the dead worker until what it ran has begun again.
        eventually("the new one has all of it", lambda: set(self.tasks(worker).values()) == {worker.id}, 90)
        self.arrives_exactly()

    def workers_share(self):
        """A second worker takes over half of what runs, without a line too few or too many."""
        self.committed(self.workers[0])
        self.start()
        def shared():
            where = self.tasks(self.workers[0])
            counts = collections.Counter(where.values())
            return counts == {worker.id: 2 for worker in self.workers}
        eventually("two of four run on each worker", shared, 90)
        self.write(300)
        self.arrives()

    def worker_killed(self):
        """What ran on a worker that is killed runs on the other soon."""
        where = self.tasks(self.workers[0])
        [victim] = [worker for worker in self.workers if worker.id == where["source task"]]
        self.write(100)
        self.kill(victim)
        self.write(200)
        [left] = self.workers
        eventually("the other has all of it", lambda: set(self.tasks(left).values()) == {left.id}, 90)
        self.arrives()

    def offsets_reset(self):
        """A stopped sink whose offsets are deleted reads everything again."""
        [worker] = self.workers
        worker.done("PUT", "connectors/sink/stop")
        eventually("the sink stops", lambda: worker.done("GET", "connectors/sink/status")["connector"]["state"] == "STOPPED")
        answer = worker.done("DELETE", "connectors/sink/offsets")
        assert "successfully" in answer["message"], answer
        os.remove(self.sink)
        worker.done("PUT", "connectors/sink/resume")
        self.arrives()

    def deleted(self):
        [worker] = self.workers
        for name in ("source", "sink"):
            worker.done("DELETE", f"connectors/{name}")
        eventually("no connector is left", lambda: worker.ask("GET", "connectors") == (200, []))
        self.workers.clear()
        output = worker.java.stop()
        assert " ERROR " not in output, [line for line in output.splitlines() if " ERROR " in line][:3]


def main():
    work = tempfile.mkdtemp(prefix="connect-")
    test = ConnectTest(sys.argv[2], work)
    once = ExactlyOnceTest(sys.argv[2], work)
    cases = [("connect-internal-topics", test.internal_topics), ("connect-file-to-file", test.file_to_file),
             ("connect-worker-restarted", test.worker_restarted), ("connect-workers-share", test.workers_share),
             ("connect-worker-killed", test.worker_killed), ("connect-offsets-reset", test.offsets_reset),
             ("connect-deleted", test.deleted), ("connect-exactly-once", once.exactly_once)]
    code = 1
    try:
        code = processes.run_cases(cases)
    finally:
        for worker in [*test.workers, *once.workers]:
            worker.java.kill()
        if code == 0:
            shutil.rmtree(work)
        else:
            print(f"logs are in {work}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
