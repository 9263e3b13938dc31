"""Numbered records into every partition of a topic, until it is ended."""

import threading
import time

from confluent_kafka import KafkaException, Producer


class Load:
    """Produces to a topic from a thread of its own. `acknowledged` maps (partition, offset) to the value.

    `unplaced` are (partition, value) whose offset librdkafka does not know: a later record was acknowledged, so that
    these, whose own answer was lost or came late, must have been stored before it.
    """

    def __init__(self, bootstrap, topic, partitions, per_second=60):
        self.topic, self.partitions, self.per_second = topic, partitions, per_second
        self.acknowledged = {}
        self.unplaced = set()
        self.failed = []
        self._number = 0
        self._ended = threading.Event()
        settings = {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "linger.ms": 20,
            "topic.metadata.refresh.interval.ms": 1000,
            "message.timeout.ms": 120_000,
            "log_level": 2,
        }
        self._producer = Producer(settings, logger=None)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _delivered(self, error, message):
        if error:
            self.failed.append(str(error))
        elif message.offset() is None:
            self.unplaced.add((message.partition(), message.value().decode()))
        else:
            self.acknowledged[message.partition(), message.offset()] = message.value().decode()

    def _run(self):
        # Paced, so that the members' output stays small; nothing is concluded from the pace.
        while not self._ended.wait(1 / self.per_second):
            self._number += 1
            try:
                self._producer.produce(
                    self.topic,
                    value=str(self._number),
                    partition=self._number % self.partitions,
                    on_delivery=self._delivered,
                )
            except KafkaException:
                # A partition that this producer has not heard of yet.
                pass
            self._producer.poll(0)

    def end(self):
        """Ends it; everything is acknowledged then, or in `failed`."""
        self._ended.set()
        self._thread.join()
        left = self._producer.flush(120)
        if left:
            self.failed.append(f"{left} records without an answer")
