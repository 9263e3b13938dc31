//! Owns the metrics of the broker: what clients ask, and what answering takes.

use metrics::Unit;
use runtime::telemetry::metric::{self, Metric};

/// Requests answered.
pub const REQUESTS: Metric = Metric::counter(
    "millrace_requests_total",
    Unit::Count,
    "Requests answered. The error is Kafka's error code of the response as a whole, 0 for none.",
    &["api", "error"],
);

/// How long an answer took.
pub const REQUEST_SECONDS: Metric = Metric::histogram(
    "millrace_request_seconds",
    Unit::Seconds,
    "Time from having read a request to having written its response.",
    &["api"],
);

/// Requests that could not be understood.
pub const REQUESTS_REFUSED: Metric = Metric::counter(
    "millrace_requests_refused_total",
    Unit::Count,
    "Requests that were malformed, too large or of an unknown version, and closed a connection.",
    &[],
);

/// Connections open.
pub const CONNECTIONS: Metric = Metric::gauge(
    "millrace_connections",
    Unit::Count,
    "Connections of clients that are open.",
    &[],
);

/// Connections closed on arrival.
pub const CONNECTIONS_REFUSED: Metric = Metric::counter(
    "millrace_connections_refused_total",
    Unit::Count,
    "Connections closed on arrival because max.connections were open.",
    &[],
);

/// Memory that requests take.
pub const REQUESTS_BYTES: Metric = Metric::gauge(
    "millrace_requests_held_bytes",
    Unit::Bytes,
    "Memory taken by requests that are not yet answered, of queued.max.request.bytes.",
    &[],
);

/// Bytes from clients.
pub const NETWORK_IN_BYTES: Metric = Metric::counter(
    "millrace_network_in_bytes_total",
    Unit::Bytes,
    "Bytes of requests received from clients.",
    &[],
);

/// Bytes to clients.
pub const NETWORK_OUT_BYTES: Metric = Metric::counter(
    "millrace_network_out_bytes_total",
    Unit::Bytes,
    "Bytes of responses sent to clients.",
    &[],
);

/// Batches accepted.
pub const PRODUCE_BYTES: Metric = Metric::counter(
    "millrace_produce_bytes_total",
    Unit::Bytes,
    "Bytes of record batches accepted for writing.",
    &[],
);

/// Records accepted.
pub const PRODUCE_RECORDS: Metric = Metric::counter(
    "millrace_produce_records_total",
    Unit::Count,
    "Records accepted for writing.",
    &[],
);

/// Objects sealed.
pub const PRODUCE_OBJECTS: Metric = Metric::counter(
    "millrace_produce_objects_total",
    Unit::Count,
    "Data objects sealed.",
    &[],
);

/// How large objects are.
pub const PRODUCE_OBJECT_BYTES: Metric = Metric::histogram(
    "millrace_produce_object_bytes",
    Unit::Bytes,
    "Bytes of record batches in a sealed object.",
    &[],
);

/// How many batches objects hold.
pub const PRODUCE_OBJECT_BATCHES: Metric = Metric::histogram(
    "millrace_produce_object_batches",
    Unit::Count,
    "Record batches in a sealed object.",
    &[],
);

/// Bytes of records that consumers were given.
pub const FETCH_BYTES: Metric = Metric::counter(
    "millrace_fetch_bytes_total",
    Unit::Bytes,
    "Bytes of record batches in responses to Fetch.",
    &[],
);

/// Fetches that wait.
pub const FETCHES_WAITING: Metric = Metric::gauge(
    "millrace_fetches_waiting",
    Unit::Count,
    "Fetch requests that wait for records.",
    &[],
);

/// How blocks are found.
pub const FETCH_BLOCKS: Metric = Metric::counter(
    "millrace_fetch_blocks_total",
    Unit::Count,
    "Blocks that readers asked for: found in the cache (hit), being read for another reader at the \
     same time (shared), asked of another agent of the zone (asked), or read from the store (miss). The pool is fetch for what \
     was written lately, catch_up for the rest.",
    &["pool", "found"],
);

/// What the owners of blocks were asked.
pub const ZONE_BLOCKS_ASKED: Metric = Metric::counter(
    "millrace_zone_blocks_asked_total",
    Unit::Count,
    "Blocks that belong to another agent of the zone: given by it (lent), or read from the store because it was slow, busy, \
     could not read it (failed), could not be reached (broken), or had failed before (skipped).",
    &["pool", "answer"],
);

/// How long owners take.
pub const ZONE_ASK_SECONDS: Metric = Metric::histogram(
    "millrace_zone_ask_seconds",
    Unit::Seconds,
    "Time until another agent of the zone had given a block.",
    &["pool"],
);

/// What other agents were given.
pub const ZONE_BLOCKS_LENT: Metric = Metric::counter(
    "millrace_zone_blocks_lent_total",
    Unit::Count,
    "Blocks of this agent that others of the zone asked for: found in the cache (hit) or read from the store by another \
     reader at the same time (shared), which saved a GET each; read from the store (miss); or not given (busy, failed, \
     cancelled).",
    &["pool", "found"],
);

/// Bytes between the agents of a zone.
pub const ZONE_BYTES: Metric = Metric::counter(
    "millrace_zone_bytes_total",
    Unit::Bytes,
    "Bytes of blocks from other agents of the zone (in) and to them (out).",
    &["direction"],
);

/// Blocks that had to be read again.
pub const ZONE_BLOCKS_DAMAGED: Metric = Metric::counter(
    "millrace_zone_blocks_damaged_total",
    Unit::Count,
    "Blocks from other agents of the zone with damaged records, which were read from the store again.",
    &[],
);

/// Entries that another agent was asked to append.
pub const APPENDS_RELAYED: Metric = Metric::counter(
    "millrace_metadata_appends_relayed_total",
    Unit::Count,
    "Entries of the metadata log that another agent was asked to append, by what came of it: `appended`, `refused`, or \
     `failed`, which this process then appended itself.",
    &["outcome"],
);

/// Connections refused.
pub const ZONE_CONNECTIONS_REFUSED: Metric = Metric::counter(
    "millrace_zone_connections_refused_total",
    Unit::Count,
    "Connections that asked for blocks and were closed: not an agent of this cluster, or not of this build.",
    &[],
);

/// Blocks read ahead.
pub const FETCH_READ_AHEAD_BLOCKS: Metric = Metric::counter(
    "millrace_fetch_read_ahead_blocks_total",
    Unit::Count,
    "Blocks that were not in memory and were begun to be read ahead of a consumer that is behind.",
    &[],
);

/// How long fetches wait for memory.
pub const FETCH_MEMORY_WAIT_SECONDS: Metric = Metric::histogram(
    "millrace_fetch_memory_wait_seconds",
    Unit::Seconds,
    "Time that fetches wait for their share of fetch.memory.bytes, or if they read what is older \
     of fetch.catch.up.memory.bytes.",
    &["pool"],
);

/// Memory that fetches have taken.
pub const FETCH_MEMORY_BYTES: Metric = Metric::counter(
    "millrace_fetch_memory_bytes_total",
    Unit::Bytes,
    "Bytes of memory that fetches have reserved.",
    &["pool"],
);

/// Memory of the block cache.
pub const FETCH_CACHE_BYTES: Metric = Metric::gauge(
    "millrace_fetch_cache_bytes",
    Unit::Bytes,
    "Memory taken by the block cache, by the readers it was read for.",
    &["pool"],
);

/// The most memory there may be.
pub const MEMORY_BOUND_BYTES: Metric = Metric::gauge(
    "millrace_memory_bound_bytes",
    Unit::Bytes,
    "The most resident memory that this agent's settings let it take (queued.max.request.bytes, socket.request.max.bytes, \
     fetch.memory.bytes, fetch.catch.up.memory.bytes, cache.bytes, those of compaction in millrace dev), with what is \
     allowed for the allocator, the process, and the most connections, fetch sessions and metadata there have been.",
    &[],
);

/// Groups in memory.
pub const GROUPS: Metric = Metric::gauge(
    "millrace_groups",
    Unit::Count,
    "Groups that this agent coordinates and has in memory.",
    &[],
);

/// Rebalances begun.
pub const GROUP_REBALANCES: Metric = Metric::counter(
    "millrace_group_rebalances_total",
    Unit::Count,
    "Rebalances of groups begun.",
    &[],
);

/// Members that are gone.
pub const GROUP_MEMBERS_REMOVED: Metric = Metric::counter(
    "millrace_group_members_removed_total",
    Unit::Count,
    "Members of groups that are gone. The cause says why.",
    &["cause"],
);

/// How long ago the metadata log answered.
pub const METADATA_UNREACHED_SECONDS: Metric = Metric::gauge(
    "millrace_metadata_log_unreached_seconds",
    Unit::Seconds,
    "For how long the metadata log has not answered this agent. More than a few seconds is an alarm.",
    &[],
);

/// How long uploads have failed.
pub const UPLOADS_FAILING_SECONDS: Metric = Metric::gauge(
    "millrace_uploads_failing_seconds",
    Unit::Seconds,
    "For how long this agent has not been able to write an object that it is to write; 0 if it is.",
    &[],
);

/// Agents there are.
pub const AGENTS: Metric = Metric::gauge(
    "millrace_agents",
    Unit::Count,
    "Agents that serve clients, as this one sees them: those clients are sent to, and those they are steered away from.",
    &["shown"],
);

/// Every metric of this crate.
pub const ALL: &[Metric] = &[
    REQUESTS,
    REQUEST_SECONDS,
    REQUESTS_REFUSED,
    CONNECTIONS,
    CONNECTIONS_REFUSED,
    REQUESTS_BYTES,
    NETWORK_IN_BYTES,
    NETWORK_OUT_BYTES,
    PRODUCE_BYTES,
    PRODUCE_RECORDS,
    PRODUCE_OBJECTS,
    PRODUCE_OBJECT_BYTES,
    PRODUCE_OBJECT_BATCHES,
    FETCH_BYTES,
    FETCHES_WAITING,
    FETCH_BLOCKS,
    FETCH_CACHE_BYTES,
    FETCH_READ_AHEAD_BLOCKS,
    ZONE_BLOCKS_ASKED,
    ZONE_ASK_SECONDS,
    ZONE_BLOCKS_LENT,
    ZONE_BYTES,
    ZONE_BLOCKS_DAMAGED,
    ZONE_CONNECTIONS_REFUSED,
    APPENDS_RELAYED,
    FETCH_MEMORY_WAIT_SECONDS,
    FETCH_MEMORY_BYTES,
    MEMORY_BOUND_BYTES,
    GROUPS,
    GROUP_REBALANCES,
    GROUP_MEMBERS_REMOVED,
    METADATA_UNREACHED_SECONDS,
    UPLOADS_FAILING_SECONDS,
    AGENTS,
];

/// Tells the installed recorder what the metrics of this crate are.
pub fn describe() {
    metric::describe(ALL);
}
