//! The settings of an agent: the one table, and what the code makes of it.

use std::time::Duration;

use control_plane::replica::{CheckpointOptions, LivenessOptions};
use control_plane::state::METADATA_VERSION_MAX;
use object_format::batch::TimestampType;
use runtime::settings::{Kind, Resolved, Setting};

use super::group::GroupDefaults;
use super::topic::{TopicConfig, TopicDefaults};
use crate::fetch::FetchOptions;
use crate::fetch::cache::CacheOptions;
use crate::fetch::load::LoadOptions;
use crate::fetch::pool::PerPool;
use crate::fetch::session::SessionOptions;
use crate::group::consumer::{AssignorName, ConsumerLimits, MigrationPolicy};
use crate::group::machine::Limits;
use crate::group::share::ShareLimits;
use crate::group::{GroupOptions, RetentionOptions};
use crate::net::NetConfig;
use crate::produce::{BatcherOptions, PipelineOptions};
use crate::share::ShareOptions;
use crate::transactions::TransactionOptions;
use crate::zone_cache::ZoneOptions;

const LONG: i64 = i64::MAX;
const INT: i64 = i32::MAX as i64;

/// A time of at least `min` milliseconds.
const fn time(min: i64) -> Kind {
    Kind::DurationMs { min, max: LONG }
}

/// A number of bytes of at least `min`.
const fn bytes(min: i64) -> Kind {
    Kind::Bytes { min, max: LONG }
}

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

/// The newest metadata version that a process with these settings takes part in.
pub fn metadata_version_max(settings: &Resolved) -> u16 {
    let version = u16::try_from(settings.int("metadata.version.max"));
    version.unwrap_or(METADATA_VERSION_MAX)
}

/// Where `millrace dev` keeps its data if nothing says otherwise.
pub const STORE_URL_DEFAULT: &str = "./millrace-data";

/// Every setting of an agent.
pub fn settings() -> Vec<Setting> {
    let store = runtime::store::settings::SETTINGS
        .iter()
        .chain(runtime::store::cost::SETTINGS);
    store
        .chain(crate::net::SETTINGS)
        .chain(OWN_SETTINGS)
        .cloned()
        .collect()
}

/// Those that are not about how to reach the store. Kafka's keep their names and defaults.
const OWN_SETTINGS: &[Setting] = &[
    Setting::new(
        "metadata.log",
        Kind::Text,
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
    Setting::new(
        "listen",
        Kind::Text,
        "127.0.0.1:9092",
        "Address for Kafka clients. Port 0 takes a free one and prints it.",
    ),
    Setting::new(
        "advertise",
        Kind::Text,
        "",
        "Address that clients are told to connect to. Empty: the one listened on.",
    ),
    Setting::new(
        "admin.listen",
        Kind::Text,
        "127.0.0.1:0",
        "Address of /metrics, /healthz and /readyz. Port 0 takes a free one.",
    ),
    Setting::new(
        "peer.listen",
        Kind::Text,
        "",
        "Address for other agents. Empty: a free port on the host of `listen`.",
    ),
    Setting::new(
        "peer.advertise",
        Kind::Text,
        "",
        "Address that other agents connect to. Empty: the one listened on.",
    ),
    Setting::new(
        "agent.id",
        Kind::Text,
        "",
        "Lasting name of this agent. A newer agent of the same name replaces it. Empty: a random one, and `dev` for `millrace dev`.",
    ),
    Setting::new(
        "zone",
        Kind::Text,
        "",
        "Availability zone of this agent (Kafka's broker.rack); clients are kept in theirs.",
    ),
    Setting::new(
        "client.zone.cidrs",
        Kind::List,
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
    Setting::new(
        "log.filter",
        Kind::Text,
        "info",
        "What is logged, as tracing's EnvFilter: info, debug, broker=debug,info, ...",
    ),
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
        "256MiB",
        "Memory for data that was read or written lately.",
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
    Setting::new(
        "fetch.zone.cache.enable",
        Kind::Bool,
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
        "num.partitions",
        int(1, 100_000),
        "1",
        "Partitions of a topic that is created without saying how many.",
    ),
    Setting::new(
        "auto.create.topics.enable",
        Kind::Bool,
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
    Setting::new(
        "log.cleanup.policy",
        Kind::List,
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
        "group.min.session.timeout.ms",
        Kind::DurationMs { min: 1, max: INT },
        "6000",
        "Least session timeout of a group member.",
    ),
    Setting::new(
        "group.max.session.timeout.ms",
        Kind::DurationMs { min: 1, max: INT },
        "1800000",
        "Greatest session timeout of a group member.",
    ),
    Setting::new(
        "group.initial.rebalance.delay.ms",
        Kind::DurationMs { min: 0, max: INT },
        "3000",
        "How long an empty group waits for more members before its first rebalance.",
    ),
    Setting::new(
        "group.max.size",
        int(1, INT),
        "2147483647",
        "Most members of a group; there are never more than 10000.",
    ),
    Setting::new(
        "group.consumer.session.timeout.ms",
        Kind::DurationMs { min: 1, max: INT },
        "45000",
        "A member of a consumer group (KIP-848) that was silent for this long is removed; a group's consumer.session.timeout.ms wins.",
    ),
    Setting::new(
        "group.consumer.min.session.timeout.ms",
        Kind::DurationMs { min: 1, max: INT },
        "45000",
        "Least consumer.session.timeout.ms of a group.",
    ),
    Setting::new(
        "group.consumer.max.session.timeout.ms",
        Kind::DurationMs { min: 1, max: INT },
        "60000",
        "Greatest consumer.session.timeout.ms of a group.",
    ),
    Setting::new(
        "group.consumer.heartbeat.interval.ms",
        Kind::DurationMs { min: 1, max: INT },
        "5000",
        "How often members of a consumer group (KIP-848) are told to heartbeat; a group's consumer.heartbeat.interval.ms wins.",
    ),
    Setting::new(
        "group.consumer.min.heartbeat.interval.ms",
        Kind::DurationMs { min: 1, max: INT },
        "5000",
        "Least consumer.heartbeat.interval.ms of a group.",
    ),
    Setting::new(
        "group.consumer.max.heartbeat.interval.ms",
        Kind::DurationMs { min: 1, max: INT },
        "15000",
        "Greatest consumer.heartbeat.interval.ms of a group.",
    ),
    Setting::new(
        "group.share.session.timeout.ms",
        Kind::DurationMs { min: 1, max: INT },
        "45000",
        "A member of a share group (KIP-932) that was silent for this long is removed; a group's share.session.timeout.ms wins.",
    ),
    Setting::new(
        "group.share.min.session.timeout.ms",
        Kind::DurationMs { min: 1, max: INT },
        "45000",
        "Least share.session.timeout.ms of a group.",
    ),
    Setting::new(
        "group.share.max.session.timeout.ms",
        Kind::DurationMs { min: 1, max: INT },
        "60000",
        "Greatest share.session.timeout.ms of a group.",
    ),
    Setting::new(
        "group.share.heartbeat.interval.ms",
        Kind::DurationMs { min: 1, max: INT },
        "5000",
        "How often members of a share group (KIP-932) are told to heartbeat; a group's share.heartbeat.interval.ms wins.",
    ),
    Setting::new(
        "group.share.min.heartbeat.interval.ms",
        Kind::DurationMs { min: 1, max: INT },
        "5000",
        "Least share.heartbeat.interval.ms of a group.",
    ),
    Setting::new(
        "group.share.max.heartbeat.interval.ms",
        Kind::DurationMs { min: 1, max: INT },
        "15000",
        "Greatest share.heartbeat.interval.ms of a group.",
    ),
    Setting::new(
        "group.share.record.lock.duration.ms",
        Kind::DurationMs {
            min: 1000,
            max: INT,
        },
        "30000",
        "How long a record belongs to the member of a share group that fetched it; a group's share.record.lock.duration.ms wins.",
    ),
    Setting::new(
        "group.share.min.record.lock.duration.ms",
        Kind::DurationMs {
            min: 1000,
            max: INT,
        },
        "15000",
        "Least share.record.lock.duration.ms of a group.",
    ),
    Setting::new(
        "group.share.max.record.lock.duration.ms",
        Kind::DurationMs {
            min: 1000,
            max: INT,
        },
        "60000",
        "Greatest share.record.lock.duration.ms of a group.",
    ),
    Setting::new(
        "offsets.commit.timeout.ms",
        time(1),
        "5000",
        "Whoever commits offsets, or changes a group otherwise, is told after this time to try again if the change is not \
         durable yet.",
    ),
    Setting::new(
        "offsets.retention.minutes",
        int(1, INT),
        "10080",
        "How long committed offsets are kept after a group has lost its last member; of consumers that are no members, \
         after the commit; of topics that a group is not subscribed to any more, after the commit.",
    ),
    Setting::new(
        "offsets.retention.check.interval.ms",
        time(1),
        "600000",
        "How often an agent looks for committed offsets that have expired.",
    ),
    Setting::new(
        "transaction.max.timeout.ms",
        int(1, INT),
        "900000",
        "Greatest timeout that a transactional producer may ask for.",
    ),
    Setting::new(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        time(1),
        "10000",
        "How often an agent looks for transactions that have taken longer than their timeout, and aborts them.",
    ),
    Setting::new(
        "transactional.id.expiration.ms",
        time(1),
        "604800000",
        "How long a transactional id is remembered that nobody uses.",
    ),
    Setting::new(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        time(1),
        "3600000",
        "How often an agent looks for transactional ids that have expired.",
    ),
    Setting::new(
        "group.consumer.max.size",
        int(1, INT),
        "2147483647",
        "Most members of a consumer group (KIP-848); there are never more than 10000.",
    ),
    Setting::new(
        "group.consumer.assignors",
        Kind::List,
        "uniform,range",
        "Server-side assignors that members may name; the first is the default.",
    ),
    Setting::new(
        "group.consumer.migration.policy",
        Kind::Choice(&["bidirectional", "upgrade", "downgrade", "disabled"]),
        "bidirectional",
        "Whether groups with members change between the classic and the consumer protocol.",
    ),
    Setting::new(
        "group.share.max.size",
        int(1, 1000),
        "200",
        "Most members of a share group (KIP-932).",
    ),
    Setting::new(
        "group.share.delivery.count.limit",
        int(2, 10),
        "5",
        "A record is given out to a share group so often at most.",
    ),
    Setting::new(
        "group.share.partition.max.record.locks",
        int(100, 10_000),
        "2000",
        "Most records of a partition that a share group has in flight.",
    ),
    Setting::new(
        "group.share.max.share.sessions",
        int(1, INT),
        "2000",
        "Share sessions at once (KIP-932).",
    ),
    Setting::new(
        "offset.metadata.max.bytes",
        Kind::Bytes { min: 0, max: INT },
        "4096",
        "Longest metadata beside a committed offset.",
    ),
];

/// Settings of an agent, typed.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Everything, as it was set and from where.
    pub resolved: Resolved,
    /// What topics have that set nothing.
    pub topic_defaults: TopicDefaults,
    /// `num.partitions`.
    pub partitions_default: u32,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `topic.undelete.window.ms`.
    pub undelete_window_ms: i64,
    /// Bounds of the network side.
    pub net: NetConfig,
    /// The produce path.
    pub pipeline: PipelineOptions,
    /// The fetch path.
    pub fetch: FetchOptions,
    /// Consumer groups.
    pub groups: GroupOptions,
    /// Bounds and intervals of transactions.
    pub transactions: TransactionOptions,
    /// Share groups.
    pub shares: ShareOptions,
    /// Blocks from and for the other agents of the zone.
    pub zone_cache: ZoneOptions,
    /// Heartbeats and expiry of agents.
    pub liveness: LivenessOptions,
    /// Checkpoints of the metadata.
    pub checkpoint: CheckpointOptions,
}

impl BrokerConfig {
    /// The settings as the code uses them. `puts_cost` says whether the store charges for PUTs, which decides the
    /// default put budget.
    pub fn new(resolved: Resolved, puts_cost: bool) -> Self {
        let int = |name: &str| resolved.int(name);
        let size = |name: &str| usize::try_from(resolved.int(name)).unwrap_or(usize::MAX);
        let puts_per_second = match int("put.budget.per.second") {
            -1 => puts_cost.then_some(4.0),
            rate => Some((rate as f64).max(0.001)),
        };
        let topic_defaults = TopicDefaults(TopicConfig {
            message_bytes_max: resolved.bytes("message.max.bytes"),
            timestamp_type: match resolved.text("log.message.timestamp.type") {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: int("log.message.timestamp.before.max.ms"),
            timestamp_after_max_ms: int("log.message.timestamp.after.max.ms"),
            is_compacted: resolved
                .list("log.cleanup.policy")
                .iter()
                .any(|p| p == "compact"),
        });
        let batcher = BatcherOptions {
            object_bytes_max: resolved.bytes("object.bytes.max"),
            linger: resolved.duration("linger.ms"),
            puts_per_second,
            ..BatcherOptions::default()
        };
        let pipeline = PipelineOptions {
            batcher,
            uploads_max: size("uploads.max"),
            upload_timeout: resolved.duration("store.request.timeout.ms"),
        };
        let fetch = FetchOptions {
            cache: CacheOptions {
                bytes_max: resolved.bytes("cache.bytes"),
                catch_up_percent: resolved.bytes("cache.catch.up.percent"),
            },
            memory_bytes: PerPool {
                tail: resolved.bytes("fetch.memory.bytes"),
                catch_up: resolved.bytes("fetch.catch.up.memory.bytes"),
            },
            load: LoadOptions {
                concurrency: PerPool {
                    tail: resolved.bytes("fetch.reads.max"),
                    catch_up: resolved.bytes("fetch.catch.up.reads.max"),
                },
                ..LoadOptions::default()
            },
            ahead_bytes_max: resolved.bytes("fetch.read.ahead.bytes.max"),
            response_bytes_max: resolved.bytes("fetch.max.bytes"),
            lent_percent: resolved.bytes("fetch.zone.cache.lent.percent"),
            sessions: SessionOptions {
                slots: size("max.incremental.fetch.session.cache.slots"),
                ..SessionOptions::default()
            },
        };
        let zone_cache = ZoneOptions {
            is_on: resolved.bool("fetch.zone.cache.enable"),
            timeout: resolved.duration("fetch.zone.cache.timeout.ms"),
            asked_bytes_max: resolved.bytes("fetch.zone.cache.asked.bytes.max"),
        };
        let consumer = ConsumerLimits::default();
        let assignors = resolved.list("group.consumer.assignors").iter();
        let consumer = ConsumerLimits {
            members_max: size("group.consumer.max.size").min(consumer.members_max),
            assignors: assignors
                .filter_map(|a| AssignorName::from_name(a))
                .collect(),
            migration: match resolved.text("group.consumer.migration.policy") {
                "upgrade" => MigrationPolicy::Upgrade,
                "downgrade" => MigrationPolicy::Downgrade,
                "disabled" => MigrationPolicy::Disabled,
                _ => MigrationPolicy::Bidirectional,
            },
            ..consumer
        };
        let limits = Limits::default();
        let groups = GroupOptions {
            limits: Limits {
                members_max: size("group.max.size").min(limits.members_max),
                session_timeout_min: resolved.duration("group.min.session.timeout.ms"),
                session_timeout_max: resolved.duration("group.max.session.timeout.ms"),
                initial_rebalance_delay: resolved.duration("group.initial.rebalance.delay.ms"),
                ..limits
            },
            defaults: GroupDefaults::new(&resolved),
            retention: RetentionOptions {
                retention: Duration::from_secs(
                    int("offsets.retention.minutes")
                        .unsigned_abs()
                        .saturating_mul(60),
                ),
                check_interval: resolved.duration("offsets.retention.check.interval.ms"),
            },
            consumer,
            share: ShareLimits {
                members_max: size("group.share.max.size"),
                ..ShareLimits::default()
            },
            offset_metadata_bytes_max: size("offset.metadata.max.bytes"),
            save_timeout: resolved.duration("offsets.commit.timeout.ms"),
            ..GroupOptions::default()
        };
        let transactions = TransactionOptions {
            timeout_ms_max: i32::try_from(int("transaction.max.timeout.ms")).unwrap_or(i32::MAX),
            abort_interval: resolved
                .duration("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
            expiration_ms: i64::try_from(
                resolved
                    .duration("transactional.id.expiration.ms")
                    .as_millis(),
            )
            .unwrap_or(i64::MAX),
            expiry_interval: resolved
                .duration("transaction.remove.expired.transaction.cleanup.interval.ms"),
        };
        let shares = ShareOptions {
            records_max: u32::try_from(int("group.share.partition.max.record.locks"))
                .unwrap_or(u32::MAX),
            deliveries_max: u16::try_from(int("group.share.delivery.count.limit"))
                .unwrap_or(u16::MAX),
            sessions_max: size("group.share.max.share.sessions"),
            defaults: GroupDefaults::new(&resolved),
            ..ShareOptions::default()
        };
        let liveness = LivenessOptions {
            heartbeat: resolved.duration("agent.heartbeat.ms"),
            session_timeout: resolved.duration("agent.session.timeout.ms"),
        };
        let checkpoint = CheckpointOptions {
            entries: resolved.bytes("metadata.checkpoint.entries"),
            interval: Duration::from_secs(5),
        };
        Self {
            topic_defaults,
            partitions_default: u32::try_from(int("num.partitions")).unwrap_or(1),
            auto_create_topics: resolved.bool("auto.create.topics.enable"),
            undelete_window_ms: resolved.duration_ms("topic.undelete.window.ms"),
            net: NetConfig::from_settings(&resolved),
            pipeline,
            fetch,
            zone_cache,
            groups,
            transactions,
            shares,
            liveness,
            checkpoint,
            resolved,
        }
    }
}
