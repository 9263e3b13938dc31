//! Settings of what is written, cached and read, and of topics.

use runtime::settings::{Kind, Setting};

use super::{INT, bytes, int, time};

pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "linger.ms",
        time(0),
        "250ms",
        "Longest time a record waits before its object is written.",
    ),
    Setting::new(
        "object.bytes.max",
        Kind::Bytes {
            min: 64 << 10,
            max: 256 << 20,
        },
        "8MiB",
        "An object is written at the latest when it has this many bytes.",
    ),
    Setting::new(
        "put.budget.per.second",
        int(-1, INT),
        "-1",
        "PUTs per second that may be spent on writing earlier than the linger asks for: the ceiling of what requests cost. \
         -1: 4 on s3, gs and az, unlimited on file and memory.",
    ),
    Setting::new(
        "uploads.max",
        int(1, 32),
        "8",
        "Objects being uploaded at once.",
    ),
    Setting::new(
        "cache.bytes",
        bytes(8 << 20),
        "1GiB",
        "Memory for data that was read or written lately. Unless it is set, no more than a quarter of the memory that the process may use.",
    ),
    Setting::new(
        "cache.catch.up.percent",
        int(1, 99),
        "50",
        "Percent of `cache.bytes` that consumers which are behind may take up. Without such consumers all of it is for what was written lately.",
    ),
    Setting::new(
        "fetch.memory.bytes",
        bytes(1 << 20),
        "512MiB",
        "Memory for responses to Fetch, of records written in the last minute. Three quarters of it are the most that one client gets.",
    ),
    Setting::new(
        "fetch.catch.up.memory.bytes",
        bytes(1 << 20),
        "256MiB",
        "The same for responses with older records. Clients that wait for it take turns.",
    ),
    Setting::new(
        "fetch.read.ahead.bytes.max",
        bytes(0),
        "32MiB",
        "Most bytes that are read ahead of a consumer of a partition that is behind and reads in order. 0: none.",
    ),
    Setting::new(
        "fetch.reads.max",
        int(1, 1024),
        "32",
        "Reads from the store at once, of records written in the last minute.",
    ),
    Setting::new(
        "fetch.catch.up.reads.max",
        int(1, 1024),
        "32",
        "The same for older records. Clients that wait for it take turns.",
    ),
    Setting::bool(
        "fetch.zone.cache.enable",
        "true",
        "Read what belongs to another agent of the same `zone` from that agent, so that each object is read from the store \
         once for the zone. Without a `zone` nothing is asked of others. The same for all agents.",
    ),
    Setting::new(
        "fetch.zone.cache.timeout.ms",
        time(1),
        "1s",
        "The longest another agent is waited for before the store is read as well. The wait is shorter once it is known \
         how long the agent takes.",
    ),
    Setting::new(
        "fetch.zone.cache.asked.bytes.max",
        bytes(12 << 20),
        "64MiB",
        "Most bytes asked for and not yet given, for each other agent; as much again for readers that are behind.",
    ),
    Setting::new(
        "fetch.zone.cache.lent.percent",
        int(1, 75),
        "25",
        "Percent of `fetch.memory.bytes`, and of `fetch.catch.up.memory.bytes`, that the other agents of the zone together \
         may take up. Who asks for more is sent to the store.",
    ),
    Setting::new(
        "fetch.max.bytes",
        Kind::Bytes {
            min: 1024,
            max: INT,
        },
        "57671680",
        "Most bytes of one response to Fetch.",
    ),
    Setting::new(
        "max.incremental.fetch.session.cache.slots",
        int(0, INT),
        "1000",
        "Fetch sessions at once (KIP-227).",
    ),
    Setting::new(
        "num.partitions",
        int(1, 100_000),
        "1",
        "Partitions of a topic that is created without saying how many.",
    ),
    Setting::bool(
        "auto.create.topics.enable",
        "true",
        "Create topics that clients ask for and that do not exist.",
    ),
    Setting::new(
        "topic.undelete.window.ms",
        time(0),
        "1d",
        "For so long after DeleteTopics `millrace topic undelete` brings a topic back; its objects are kept until then. \
         0: objects of deleted topics are garbage at once, as in Kafka.",
    ),
    Setting::new(
        "message.max.bytes",
        Kind::Bytes { min: 0, max: INT },
        "1048588",
        "Largest record batch; a topic's max.message.bytes wins.",
    ),
    Setting::new(
        "log.message.timestamp.type",
        Kind::Choice(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "Whether records keep their producer's time or get the broker's; a topic's message.timestamp.type wins.",
    ),
    Setting::new(
        "log.message.timestamp.before.max.ms",
        time(0),
        "9223372036854775807",
        "How far a record's time may lie before the broker's.",
    ),
    Setting::new(
        "log.message.timestamp.after.max.ms",
        time(0),
        "3600000",
        "How far a record's time may lie after the broker's.",
    ),
    Setting::list(
        "log.cleanup.policy",
        "delete",
        "Default of a topic's cleanup.policy: delete, compact or both.",
    ),
    Setting::new(
        "log.retention.ms",
        time(-1),
        "604800000",
        "Default of a topic's retention.ms; -1 is without end.",
    ),
    Setting::new(
        "log.retention.bytes",
        bytes(-1),
        "-1",
        "Default of a topic's retention.bytes; -1 is without bound.",
    ),
];
