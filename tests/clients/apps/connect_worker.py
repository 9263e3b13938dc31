"""A Kafka Connect worker of a suite, distributed, and what is common to the settings of all."""

import json
import os
import urllib.error
import urllib.request

import processes
from processes import eventually

STRINGS = "org.apache.kafka.connect.storage.StringConverter"


def settings(broker, group):
    """Of a worker of that group."""
    topics = {f"{purpose}.storage.topic": f"{group}-{purpose}" for purpose in ("config", "offset", "status")}
    return topics | {
        "bootstrap.servers": broker, "group.id": group, "listeners": "http://127.0.0.1:0",
        "plugin.discovery": "service_load", "key.converter": STRINGS, "value.converter": STRINGS,
        "config.storage.replication.factor": 1, "offset.storage.replication.factor": 1,
        "status.storage.replication.factor": 1, "offset.storage.partitions": 5, "status.storage.partitions": 3,
        # Everything else that is not default only makes it quicker to see.
        "offset.flush.interval.ms": 500, "scheduled.rebalance.max.delay.ms": 2000, "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 1500,
    }


class Worker:
    """A Connect worker; `ask` speaks REST with it."""

    def __init__(self, name, settings, work):
        path = os.path.join(work, f"{name}.properties")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in settings.items())
        # Where META-INF tells of our own connector, its class, Kafka's.
        classpath = ":".join([os.path.dirname(__file__), os.environ["APP_CLASSES"], f"{os.environ['APP_JARS']}/*"])
        self.java = processes.Java("org.apache.kafka.connect.cli.ConnectDistributed", [path],
                                   os.path.join(work, f"{name}.log"), classpath, heap="384m",
                                   options=["-Dorg.slf4j.simpleLogger.log.org.apache.kafka.connect.runtime.rest.RestServer=info"])

    def listens(self):
        """Waits until it does."""
        match = self.java.prints(r"REST server listening at (http://127\.0\.0\.1:\d+/), advertising", 120)
        self.url = match.group(1)
        self.id = self.url.removeprefix("http://").rstrip("/")
        eventually(f"{self.url} answers", lambda: self.ask("GET", "connectors")[0] == 200, 120)

    def ask(self, method, path, body=None):
        """Status and answer; status 0 if there is none."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=100) as response:
                text = response.read()
                return response.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def done(self, method, path, body=None):
        """Asks until it works: a worker refuses while its group rebalances."""
        def tried():
            status, answer = self.ask(method, path, body)
            assert status < 300 or status in (409, 500), f"{method} {path}: {status} {answer}"
            return (answer,) if 0 < status < 300 else None
        return eventually(f"{method} {path}", tried)[0]
