"""Consumer groups of real clients under churn: see README.md.

    run.py millrace BINARY LOGS     agents of Millrace on a folder
    run.py peer SCRIPT LOGS         Apache Kafka, by scripts/kafka-peer (validates the suite)

CLIENTS in the environment picks some by a part of their name, SIDE_BY_SIDE groups run at once,
PARTS are of "churn takeover"; the latter needs Millrace.
"""

import os
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import checks_test
import lanes
import takeover
import wire
from clients import CLIENTS
from cluster import Millrace, Peer

AGENTS = 3
CONSUMER_GROUP_HEARTBEAT = 68


class Report:
    """A line for every result."""

    def __init__(self):
        self.failures = 0
        self._lock = threading.Lock()

    def _print(self, line):
        with self._lock:
            print(line, flush=True)

    def ok(self, name, seconds):
        self._print(f"ok {name} ({seconds:.1f} s)")

    def fail(self, name, why):
        with self._lock:
            self.failures += 1
        self._print(f"FAIL {name}: {' '.join(str(why).split())[:600]}")

    def expected(self, name, why):
        self._print(f"expected {name}: {why}")

    def figure(self, name, value):
        self._print(f"figure {name}: {value}")


@dataclass
class Setting:
    """Where everything runs."""

    cluster: object
    logs: str
    run: str
    report: Report


def picked(cluster, report):
    """The clients asked for that can work with the brokers."""
    parts = os.environ.get("CLIENTS", "").split()
    has_consumer_protocol = CONSUMER_GROUP_HEARTBEAT in wire.advertised(cluster.bootstrap.split(",")[0])
    for client in CLIENTS:
        if parts and not any(part in client.name for part in parts):
            continue
        if client.is_consumer_protocol and not has_consumer_protocol:
            report.expected(client.name, "KIP-848 is not advertised")
            continue
        if client.assigns_twice:
            report.expected(f"{client.name} owned twice", client.assigns_twice)
        if client.loses_coordinator:
            report.expected(f"{client.name} owned twice when the coordinator ends", client.loses_coordinator)
        yield client


def check_the_checks(report):
    began = time.monotonic()
    suite = unittest.defaultTestLoader.loadTestsFromModule(checks_test)
    result = unittest.TextTestRunner(stream=sys.stderr).run(suite)
    if result.wasSuccessful():
        report.ok("the checks find what is wrong", time.monotonic() - began)
    else:
        report.fail("the checks find what is wrong", "see checks_test.py")


def main():
    mode, program, logs = sys.argv[1:4]
    os.makedirs(logs, exist_ok=True)
    report = Report()
    parts = os.environ.get("PARTS", "churn takeover").split()
    check_the_checks(report)
    with tempfile.TemporaryDirectory() as work:
        cluster = Millrace(program, work, logs, AGENTS) if mode == "millrace" else Peer(program, work)
        setting = Setting(cluster, logs, os.environ.get("RUN", str(int(time.time()))), report)
        try:
            with ThreadPoolExecutor(int(os.environ.get("SIDE_BY_SIDE", "4"))) as pool:
                clients = list(picked(cluster, report))
                if "churn" in parts:
                    list(pool.map(lambda client: lanes.run(setting, client), clients))
            if "takeover" in parts and mode == "millrace":
                takeover.run(setting, clients)
        finally:
            for wrong in cluster.end():
                report.fail("cluster", wrong)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
