//! Settings of groups, committed offsets, transactions and share groups.

use runtime::settings::{Kind, Setting};

use super::{INT, int, int_ms, time};

pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "group.min.session.timeout.ms",
        int_ms(1),
        "6000",
        "Least session timeout of a group member.",
    ),
    Setting::new(
        "group.max.session.timeout.ms",
        int_ms(1),
        "1800000",
        "Greatest session timeout of a group member.",
    ),
    Setting::new(
        "group.initial.rebalance.delay.ms",
        int_ms(0),
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
        int_ms(1),
        "45000",
        "A member of a consumer group (KIP-848) that was silent for this long is removed; a group's consumer.session.timeout.ms wins.",
    ),
    Setting::new(
        "group.consumer.min.session.timeout.ms",
        int_ms(1),
        "45000",
        "Least consumer.session.timeout.ms of a group.",
    ),
    Setting::new(
        "group.consumer.max.session.timeout.ms",
        int_ms(1),
        "60000",
        "Greatest consumer.session.timeout.ms of a group.",
    ),
    Setting::new(
        "group.consumer.heartbeat.interval.ms",
        int_ms(1),
        "5000",
        "How often members of a consumer group (KIP-848) are told to heartbeat; a group's consumer.heartbeat.interval.ms wins.",
    ),
    Setting::new(
        "group.consumer.min.heartbeat.interval.ms",
        int_ms(1),
        "5000",
        "Least consumer.heartbeat.interval.ms of a group.",
    ),
    Setting::new(
        "group.consumer.max.heartbeat.interval.ms",
        int_ms(1),
        "15000",
        "Greatest consumer.heartbeat.interval.ms of a group.",
    ),
    Setting::new(
        "group.consumer.max.size",
        int(1, INT),
        "2147483647",
        "Most members of a consumer group (KIP-848); there are never more than 10000.",
    ),
    Setting::list(
        "group.consumer.assignors",
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
        "group.share.session.timeout.ms",
        int_ms(1),
        "45000",
        "A member of a share group (KIP-932) that was silent for this long is removed; a group's share.session.timeout.ms wins.",
    ),
    Setting::new(
        "group.share.min.session.timeout.ms",
        int_ms(1),
        "45000",
        "Least share.session.timeout.ms of a group.",
    ),
    Setting::new(
        "group.share.max.session.timeout.ms",
        int_ms(1),
        "60000",
        "Greatest share.session.timeout.ms of a group.",
    ),
    Setting::new(
        "group.share.heartbeat.interval.ms",
        int_ms(1),
        "5000",
        "How often members of a share group (KIP-932) are told to heartbeat; a group's share.heartbeat.interval.ms wins.",
    ),
    Setting::new(
        "group.share.min.heartbeat.interval.ms",
        int_ms(1),
        "5000",
        "Least share.heartbeat.interval.ms of a group.",
    ),
    Setting::new(
        "group.share.max.heartbeat.interval.ms",
        int_ms(1),
        "15000",
        "Greatest share.heartbeat.interval.ms of a group.",
    ),
    Setting::new(
        "group.share.record.lock.duration.ms",
        int_ms(1000),
        "30000",
        "How long a record belongs to the member of a share group that fetched it; a group's share.record.lock.duration.ms wins.",
    ),
    Setting::new(
        "group.share.min.record.lock.duration.ms",
        int_ms(1000),
        "15000",
        "Least share.record.lock.duration.ms of a group.",
    ),
    Setting::new(
        "group.share.max.record.lock.duration.ms",
        int_ms(1000),
        "60000",
        "Greatest share.record.lock.duration.ms of a group.",
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
        "offsets.commit.timeout.ms",
        int_ms(1),
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
        "offset.metadata.max.bytes",
        Kind::Bytes { min: 0, max: INT },
        "4096",
        "Longest metadata beside a committed offset.",
    ),
    Setting::new(
        "transaction.max.timeout.ms",
        int(1, INT),
        "900000",
        "Greatest timeout that a transactional producer may ask for.",
    ),
    Setting::new(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        int_ms(1),
        "10000",
        "How often an agent looks for transactions that have taken longer than their timeout, and aborts them.",
    ),
    Setting::new(
        "transactional.id.expiration.ms",
        int_ms(1),
        "604800000",
        "How long a transactional id is remembered that nobody uses.",
    ),
    Setting::new(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        int_ms(1),
        "3600000",
        "How often an agent looks for transactional ids that have expired.",
    ),
];
