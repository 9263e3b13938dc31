"""Consumer groups of real clients under churn: see README.md.

    run.py millrace BINARY LOGS     agents of Millrace on a folder
    run.py peer SCRIPT LOGS         Apache Kafka, by scripts/kafka-peer (validates the suite)

CLIENTS in the environment picks some, by parts of their names or as `representatives`; SIDE_BY_SIDE
groups run at once; PARTS are of "churn takeover", of which the latter needs Millrace.
"""

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import checks_test
import children
import clients
import lanes
import takeover
import wire
from cluster import Millrace, Peer
from machine import Machine, folder

AGENTS = 3
CONSUMER_GROUP_HEARTBEAT = 68


class Report:
    """A line for every result."""

    def __init__(self):
        self.failures = 0
        self.machine = None
        self._lock = threading.Lock()

    def _print(self, line):
        with self._lock:
            print(line, flush=True)

    def ok(self, name, seconds):
        self._print(f"ok {name} ({seconds:.1f} s)")

    def fail(self, name, why):
        with self._lock:
            self.failures += 1
        machine = f" (so far the machine stood still for: {self.machine})" if self.machine else ""
        self._print(f"FAIL {name}: {' '.join(str(why).split())[:1500]}{machine}")

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


def able(cluster, report):
    """The clients asked for that can work with the brokers."""
    has_consumer_protocol = CONSUMER_GROUP_HEARTBEAT in wire.advertised(cluster.bootstrap.split(",")[0])
    for client in clients.picked():
        if client.is_consumer_protocol and not has_consumer_protocol:
            report.expected(client.name, "KIP-848 is not advertised")
            continue
        if client.assigns_twice:
            report.expected(f"{client.name} owned twice", client.assigns_twice)
        yield client


def check_the_checks(report):
    began = time.monotonic()
    suite = unittest.defaultTestLoader.loadTestsFromModule(checks_test)
    result = unittest.TextTestRunner(stream=sys.stderr).run(suite)
    if result.wasSuccessful():
        report.ok("the checks find what is wrong", time.monotonic() - began)
    else:
        report.fail("the checks find what is wrong", "see checks_test.py")


def end_with_the_run(machine, work):
    """Whatever ends the run early ends all that it has started."""

    def ended(number, _):
        # Whatever was printing may have been interrupted in it.
        os.write(1, f"FAIL run: ended by signal {number}\n".encode())
        children.end()
        machine.end()
        shutil.rmtree(work, ignore_errors=True)
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ended)


def run_all(cluster, logs, report):
    parts = os.environ.get("PARTS", "churn takeover").split()
    setting = Setting(cluster, logs, os.environ.get("RUN", str(int(time.time()))), report)
    asked = list(able(cluster, report))
    if "churn" in parts:
        with ThreadPoolExecutor(int(os.environ.get("SIDE_BY_SIDE", "5"))) as pool:
            list(pool.map(lambda client: lanes.run(setting, client), asked))
    if "takeover" in parts and isinstance(cluster, Millrace):
        takeover.run(setting, asked)


def main():
    mode, program, logs = sys.argv[1:4]
    os.makedirs(logs, exist_ok=True)
    report = Report()
    check_the_checks(report)
    with tempfile.TemporaryDirectory(dir=folder(), prefix="churn-", ignore_cleanup_errors=True) as work:
        report.machine = Machine(work)
        end_with_the_run(report.machine, work)
        cluster = None
        try:
            cluster = Millrace(program, work, logs) if mode == "millrace" else Peer(program, work)
            cluster.start(AGENTS)
            run_all(cluster, logs, report)
        finally:
            for wrong in cluster.end() if cluster else []:
                report.fail("cluster", wrong)
            report.machine.end()
            children.end()
        report.figure("the longest that the machine stood still", report.machine)
        if report.machine.is_full:
            report.fail("machine", f"{work} is full")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
