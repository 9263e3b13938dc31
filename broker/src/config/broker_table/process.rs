//! Settings of an agent as a process: its metadata log, its addresses, its life and its own log.

use control_plane::state::METADATA_VERSION_MAX;
use runtime::settings::{Kind, Setting};

use super::{LONG, int, time};

pub const SETTINGS: &[Setting] = &[
    Setting::text(
        "metadata.log",
        "bucket",
        "Where the metadata log is: bucket (in the store), fdb:/path/to/fdb.cluster?prefix=NAME (in FoundationDB, in builds that have it; each cluster has a prefix of its own, millrace unless given), or memory (lost at exit).",
    ),
    Setting::new(
        "metadata.poll.interval.ms",
        time(1),
        "500ms",
        "How often an agent looks for entries of agents that cannot tell it themselves.",
    ),
    Setting::new(
        "metadata.version.max",
        int(1, METADATA_VERSION_MAX as i64),
        "2",
        "Newest metadata version that this process takes part in. Lower than what its build knows, it keeps the cluster from being raised further: for as long as an older build may have to come back.",
    ),
    Setting::new(
        "metadata.checkpoint.entries",
        int(1, LONG),
        "1000",
        "A checkpoint is written after this many entries of the metadata log.",
    ),
    Setting::new(
        "metadata.log.min.age.ms",
        time(480_000),
        "30m",
        "Entries of the metadata log are kept for at least this long. An agent that was away for longer must start again.",
    ),
    Setting::text(
        "listen",
        "127.0.0.1:9092",
        "Address for Kafka clients. Port 0 takes a free one and prints it.",
    ),
    Setting::text(
        "advertise",
        "",
        "Address that clients are told to connect to; port 0 stands for the one listened on. Empty: the one listened on, which has to be one that they can connect to, not 0.0.0.0.",
    ),
    Setting::text(
        "admin.listen",
        "127.0.0.1:0",
        "Address of /metrics, /healthz and /readyz. Port 0 takes a free one.",
    ),
    Setting::text(
        "peer.listen",
        "",
        "Address for other agents. Empty: a free port on the host of `listen`.",
    ),
    Setting::text(
        "peer.advertise",
        "",
        "Address that other agents connect to. Empty: the one listened on; if that is every address (0.0.0.0), with the host of `advertise`.",
    ),
    Setting::text(
        "agent.id",
        "",
        "Lasting name of this agent. A newer agent of the same name replaces it. Empty: a random one, and `dev` for `millrace dev`.",
    ),
    Setting::text(
        "zone",
        "",
        "Availability zone of this agent (Kafka's broker.rack); clients are kept in theirs.",
    ),
    Setting::list(
        "client.zone.cidrs",
        "",
        "Zones of clients by their addresses, as ADDRESS/PREFIX=ZONE,...; the smallest block wins. For clients that name \
         no zone in their client.id, nor tell their client.rack.",
    ),
    Setting::new(
        "agent.unwell.after.ms",
        time(100),
        "10s",
        "An agent that could not reach the metadata log for this long is not ready. One that could not write to the bucket \
         for this long is not ready either, and has clients steered to others.",
    ),
    Setting::new(
        "drain.notice.ms",
        time(0),
        "1s",
        "After SIGTERM an agent goes on serving for this long, while clients are told of the others.",
    ),
    Setting::new(
        "agent.heartbeat.ms",
        time(10),
        "3s",
        "An agent that wrote no metadata for this long writes a heartbeat.",
    ),
    Setting::new(
        "agent.session.timeout.ms",
        time(100),
        "18s",
        "An agent that was silent for this long is fenced. One whose process has ended is so after four thirds of agent.heartbeat.ms.",
    ),
    Setting::new(
        "drain.timeout.ms",
        time(0),
        "30s",
        "Longest time for finishing what was accepted, after SIGTERM.",
    ),
    Setting::new(
        "log.format",
        Kind::Choice(&["readable", "json"]),
        "readable",
        "Form of this process's own log.",
    ),
    Setting::text(
        "log.filter",
        "info",
        "What is logged, as tracing's EnvFilter: info, debug, broker=debug,info, ...",
    ),
];
