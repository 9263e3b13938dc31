//! What the code makes of the settings of an agent.

use std::time::Duration;

use control_plane::replica::{CheckpointOptions, LivenessOptions};
use control_plane::state::METADATA_VERSION_MAX;
use object_format::batch::TimestampType;
use runtime::settings::Resolved;

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

/// The newest metadata version that a process with these settings takes part in.
pub fn metadata_version_max(settings: &Resolved) -> u16 {
    let version = u16::try_from(settings.int("metadata.version.max"));
    version.unwrap_or(METADATA_VERSION_MAX)
}

/// Where `millrace dev` keeps its data if nothing says otherwise.
pub const STORE_URL_DEFAULT: &str = "./millrace-data";

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
    /// Memory, in bytes, for background duties in the same process; nobody's setting.
    pub duties_bytes: u64,
}

impl BrokerConfig {
    /// The settings as the code uses them. `puts_cost` says whether the store charges for PUTs, which decides the
    /// default put budget.
    pub fn new(resolved: Resolved, puts_cost: bool) -> Self {
        Self {
            topic_defaults: topic_defaults(&resolved),
            partitions_default: u32::try_from(resolved.int("num.partitions")).unwrap_or(1),
            auto_create_topics: resolved.bool("auto.create.topics.enable"),
            undelete_window_ms: resolved.duration_ms("topic.undelete.window.ms"),
            net: NetConfig::from_settings(&resolved),
            pipeline: pipeline(&resolved, puts_cost),
            fetch: fetch(&resolved),
            zone_cache: ZoneOptions {
                is_on: resolved.bool("fetch.zone.cache.enable"),
                timeout: resolved.duration("fetch.zone.cache.timeout.ms"),
                asked_bytes_max: resolved.bytes("fetch.zone.cache.asked.bytes.max"),
            },
            groups: groups(&resolved),
            transactions: transactions(&resolved),
            shares: shares(&resolved),
            liveness: LivenessOptions {
                heartbeat: resolved.duration("agent.heartbeat.ms"),
                session_timeout: resolved.duration("agent.session.timeout.ms"),
            },
            checkpoint: CheckpointOptions {
                entries: resolved.bytes("metadata.checkpoint.entries"),
                interval: Duration::from_secs(5),
            },
            duties_bytes: 0,
            resolved,
        }
    }
}

/// A setting that counts or measures something in memory.
fn size(settings: &Resolved, name: &str) -> usize {
    usize::try_from(settings.int(name)).unwrap_or(usize::MAX)
}

fn topic_defaults(settings: &Resolved) -> TopicDefaults {
    let policies = settings.list("log.cleanup.policy");
    TopicDefaults(TopicConfig {
        message_bytes_max: settings.bytes("message.max.bytes"),
        timestamp_type: match settings.text("log.message.timestamp.type") {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        timestamp_before_max_ms: settings.int("log.message.timestamp.before.max.ms"),
        timestamp_after_max_ms: settings.int("log.message.timestamp.after.max.ms"),
        is_compacted: policies.iter().any(|policy| policy == "compact"),
    })
}

fn pipeline(settings: &Resolved, puts_cost: bool) -> PipelineOptions {
    let puts_per_second = match settings.int("put.budget.per.second") {
        -1 => puts_cost.then_some(4.0),
        rate => Some((rate as f64).max(0.001)),
    };
    PipelineOptions {
        batcher: BatcherOptions {
            object_bytes_max: settings.bytes("object.bytes.max"),
            linger: settings.duration("linger.ms"),
            puts_per_second,
            ..BatcherOptions::default()
        },
        uploads_max: size(settings, "uploads.max"),
        upload_timeout: settings.duration("store.request.timeout.ms"),
    }
}

fn fetch(settings: &Resolved) -> FetchOptions {
    FetchOptions {
        cache: CacheOptions {
            bytes_max: settings.bytes("cache.bytes"),
            catch_up_percent: settings.bytes("cache.catch.up.percent"),
        },
        memory_bytes: PerPool {
            tail: settings.bytes("fetch.memory.bytes"),
            catch_up: settings.bytes("fetch.catch.up.memory.bytes"),
        },
        load: LoadOptions {
            concurrency: PerPool {
                tail: settings.bytes("fetch.reads.max"),
                catch_up: settings.bytes("fetch.catch.up.reads.max"),
            },
            ..LoadOptions::default()
        },
        ahead_bytes_max: settings.bytes("fetch.read.ahead.bytes.max"),
        response_bytes_max: settings.bytes("fetch.max.bytes"),
        lent_percent: settings.bytes("fetch.zone.cache.lent.percent"),
        sessions: SessionOptions {
            slots: size(settings, "max.incremental.fetch.session.cache.slots"),
            ..SessionOptions::default()
        },
    }
}

fn groups(settings: &Resolved) -> GroupOptions {
    let limits = Limits::default();
    let minutes = settings.int("offsets.retention.minutes").unsigned_abs();
    GroupOptions {
        limits: Limits {
            members_max: size(settings, "group.max.size").min(limits.members_max),
            session_timeout_min: settings.duration("group.min.session.timeout.ms"),
            session_timeout_max: settings.duration("group.max.session.timeout.ms"),
            initial_rebalance_delay: settings.duration("group.initial.rebalance.delay.ms"),
            ..limits
        },
        defaults: GroupDefaults::new(settings),
        retention: RetentionOptions {
            retention: Duration::from_secs(minutes.saturating_mul(60)),
            check_interval: settings.duration("offsets.retention.check.interval.ms"),
        },
        consumer: consumer_limits(settings),
        share: ShareLimits {
            members_max: size(settings, "group.share.max.size"),
            ..ShareLimits::default()
        },
        offset_metadata_bytes_max: size(settings, "offset.metadata.max.bytes"),
        save_timeout: settings.duration("offsets.commit.timeout.ms"),
        ..GroupOptions::default()
    }
}

fn consumer_limits(settings: &Resolved) -> ConsumerLimits {
    let limits = ConsumerLimits::default();
    let assignors = settings.list("group.consumer.assignors").iter();
    ConsumerLimits {
        members_max: size(settings, "group.consumer.max.size").min(limits.members_max),
        assignors: assignors
            .filter_map(|name| AssignorName::from_name(name))
            .collect(),
        migration: match settings.text("group.consumer.migration.policy") {
            "upgrade" => MigrationPolicy::Upgrade,
            "downgrade" => MigrationPolicy::Downgrade,
            "disabled" => MigrationPolicy::Disabled,
            _ => MigrationPolicy::Bidirectional,
        },
        ..limits
    }
}

fn transactions(settings: &Resolved) -> TransactionOptions {
    TransactionOptions {
        timeout_ms_max: i32::try_from(settings.int("transaction.max.timeout.ms"))
            .unwrap_or(i32::MAX),
        abort_interval: settings
            .duration("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
        expiration_ms: settings.duration_ms("transactional.id.expiration.ms"),
        expiry_interval: settings
            .duration("transaction.remove.expired.transaction.cleanup.interval.ms"),
    }
}

fn shares(settings: &Resolved) -> ShareOptions {
    let locks = settings.int("group.share.partition.max.record.locks");
    let deliveries = settings.int("group.share.delivery.count.limit");
    ShareOptions {
        records_max: u32::try_from(locks).unwrap_or(u32::MAX),
        deliveries_max: u16::try_from(deliveries).unwrap_or(u16::MAX),
        sessions_max: size(settings, "group.share.max.share.sessions"),
        defaults: GroupDefaults::new(settings),
        ..ShareOptions::default()
    }
}
