//! How much memory an agent may take: the one place where its bounds are added up.
//!
//! Whatever holds records is bounded by a setting, or by a constant beside the code that takes it; [`MemoryBound::of`] knows
//! them all. What else a process has grows with its connections and with the metadata: for each of those an amount is
//! allowed that is larger than what was measured (docs/BENCHMARKS.md). Pure, but for [`publish`].

use std::fmt;
use std::time::Duration;

use control_plane::replica::Replica;
use object_format::TopicPartition;
use runtime::Shutdown;

use crate::config::BrokerConfig;
use crate::fetch;
use crate::metric_definitions::MEMORY_BOUND_BYTES;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// An allocator has more of the system than is in use: so much more, in percent, is allowed for the buffers.
const ALLOCATOR_PERCENT: u64 = 25;

/// Code, stacks, tasks, clients of the store: 13 to 21 MiB were measured, and more of builds without optimisation.
const PROCESS_BYTES: u64 = 64 * MIB;

/// A connection, its read buffer, and what a group remembers of a member behind it: 9 to 40 KiB were measured.
const CONNECTION_BYTES: u64 = 48 * KIB;

/// A partition in the metadata, and in a copy of it that a checkpoint is written from: 0.8 KiB were measured, once.
const PARTITION_BYTES: u64 = 2 * KIB;

/// A run or a producer of a partition in the metadata, with its part of what is known of objects, twice: 0.5 KiB were
/// measured, once.
const ENTRY_BYTES: u64 = KIB;

/// A partition in a fetch session (KIP-227): what is asked of it and what was told.
const SESSION_PARTITION_BYTES: u64 = 512;

/// How often connections are counted.
const TICK: Duration = Duration::from_secs(1);

/// The metadata is counted once in so many ticks.
const METADATA_TICKS: u32 = 10;

/// Partitions that are counted before commits get a turn.
const SLICE: usize = 1_000;

/// The most that an agent's settings let it hold, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryBound {
    /// Requests, and so records until they are durable: `queued.max.request.bytes`, one request beyond it
    /// (`socket.request.max.bytes`), and a little for small ones.
    pub requests: u64,
    /// Responses with records, and what is being read for them: `fetch.memory.bytes` and `fetch.catch.up.memory.bytes`.
    /// What other agents of the zone are lent is a part of it, and what they lend too.
    pub responses: u64,
    /// `cache.bytes`.
    pub cache: u64,
    /// What is being read ahead, of the part of the cache that is for readers which are behind.
    pub read_ahead: u64,
    /// Blocks in which a time is looked for.
    pub lookups: u64,
    /// The background duties, if they are in the same process.
    pub duties: u64,
}

/// What an agent has that no setting bounds closely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Connections of clients.
    pub connections: u64,
    /// Partitions in fetch sessions.
    pub session_partitions: u64,
    /// Partitions in the metadata.
    pub partitions: u64,
    /// Their runs and their producers.
    pub entries: u64,
}

impl Load {
    /// As much as there was of each at either time.
    fn most(self, other: Self) -> Self {
        Self {
            connections: self.connections.max(other.connections),
            session_partitions: self.session_partitions.max(other.session_partitions),
            partitions: self.partitions.max(other.partitions),
            entries: self.entries.max(other.entries),
        }
    }
}

impl MemoryBound {
    /// That of an agent with these settings.
    pub fn of(config: &BrokerConfig) -> Self {
        let cache = config.fetch.cache;
        let ahead_max = config.fetch.ahead_bytes_max;
        Self {
            requests: config.net.memory_bytes_max(),
            responses: config.fetch.memory_bytes_max(),
            cache: cache.bytes_max,
            read_ahead: fetch::read_ahead_bytes_max(cache.catch_up_max(), ahead_max),
            lookups: fetch::LOOKUP_BYTES_MAX,
            duties: config.duties_bytes,
        }
    }

    fn parts(&self) -> [(&'static str, u64); 6] {
        [
            ("requests", self.requests),
            ("responses", self.responses),
            ("cache", self.cache),
            ("reading ahead", self.read_ahead),
            ("looking for times", self.lookups),
            ("background duties", self.duties),
        ]
    }

    /// The most resident memory of a process that has had so much to do.
    pub fn bytes(&self, load: Load) -> u64 {
        let buffers: u64 = self.parts().iter().map(|(_, bytes)| bytes).sum();
        let allowed = [
            buffers / 100 * ALLOCATOR_PERCENT,
            PROCESS_BYTES,
            load.connections * CONNECTION_BYTES,
            load.session_partitions * SESSION_PARTITION_BYTES,
            load.partitions * PARTITION_BYTES,
            load.entries * ENTRY_BYTES,
        ];
        buffers + allowed.iter().sum::<u64>()
    }
}

impl fmt::Display for MemoryBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB (", self.bytes(Load::default()).div_ceil(MIB))?;
        for (what, bytes) in self.parts().iter().filter(|(_, bytes)| *bytes > 0) {
            write!(f, "{what} {}, ", bytes.div_ceil(MIB))?;
        }
        write!(
            f,
            "{ALLOCATOR_PERCENT} % of that for the allocator, {} for the process), {} KiB for a connection, {} for a \
             partition, {} for a run or a producer of it",
            PROCESS_BYTES / MIB,
            CONNECTION_BYTES / KIB,
            PARTITION_BYTES / KIB,
            ENTRY_BYTES / KIB
        )
    }
}

/// Shows the bound until `shutdown` begins: that of the most there has been of everything, as resident memory is by its
/// peak. `load` says what there is now besides metadata.
pub(crate) async fn publish(
    bound: MemoryBound,
    load: impl Fn() -> Load,
    replica: Replica,
    shutdown: Shutdown,
) {
    let ticks = async {
        let mut most = Load::default();
        for tick in (0..METADATA_TICKS).cycle() {
            if tick == 0 {
                most = most.most(count_metadata(&replica).await);
            }
            most = most.most(load());
            metrics::gauge!(MEMORY_BOUND_BYTES.name).set(bound.bytes(most) as f64);
            tokio::time::sleep(TICK).await;
        }
    };
    let _: Option<()> = shutdown.unless_begun(ticks).await;
}

/// What there is in the metadata.
async fn count_metadata(replica: &Replica) -> Load {
    let mut load = Load::default();
    let mut from = Some(TopicPartition::default());
    while let Some(start) = from.take() {
        replica.read(|state| {
            for (n, (of, partition)) in state.stored_partitions_from(start).enumerate() {
                if n == SLICE {
                    from = Some(of);
                    break;
                }
                load.partitions += 1;
                load.entries += (partition.extents.len() + partition.producers.len()) as u64;
            }
        });
        tokio::task::yield_now().await;
    }
    load
}

#[cfg(test)]
mod tests {
    use runtime::Settings;

    use super::*;

    fn bound(settings: &[(&str, &str)]) -> MemoryBound {
        let set = settings.iter().map(|&(n, v)| (n.to_owned(), v.to_owned()));
        let resolved = Settings::resolve(&crate::settings(), None, [], set.collect()).unwrap();
        MemoryBound::of(&BrokerConfig::new(resolved, false))
    }

    /// Each setting that bounds memory, and by how much its doubling raises the bound of buffers.
    #[test]
    fn every_setting_that_bounds_memory_is_in_the_sum() {
        // Its default is up to the machine.
        let cache = ("cache.bytes", "256MiB");
        let before = bound(&[cache]).bytes(Load::default());
        let raised = |name, value| {
            let after = bound(&[cache, (name, value)]).bytes(Load::default());
            (after - before) / MIB
        };
        for (name, value, raises) in [
            ("queued.max.request.bytes", "1024MiB", 640),
            ("socket.request.max.bytes", "200MiB", 125),
            ("fetch.memory.bytes", "1024MiB", 640),
            ("cache.bytes", "512MiB", 320 + 80),
        ] {
            let found = raised(name, value);
            assert!(found.abs_diff(raises) <= 1, "{name}: {found}");
        }
        // What was allowed for a fetch that is larger than its share is not needed any more.
        let found = raised("fetch.catch.up.memory.bytes", "512MiB");
        assert!((300..=320).contains(&found), "{found}");
    }

    #[test]
    fn what_runs_beside_and_what_there_is_much_of_is_in_the_sum() {
        let alone = MemoryBound::default();
        let with_duties = MemoryBound {
            duties: 100 * MIB,
            ..alone
        };
        let busy = Load {
            connections: 10_000,
            session_partitions: 0,
            partitions: 100_000,
            entries: 400_000,
        };
        let none = Load::default();
        assert_eq!(
            with_duties.bytes(none) - alone.bytes(none),
            125 * MIB,
            "and what the allocator takes"
        );
        let metadata = alone.bytes(busy) - alone.bytes(none) - 10_000 * CONNECTION_BYTES;
        // docs/BENCHMARKS.md: 233 MiB in all.
        assert!((233 * MIB..700 * MIB).contains(&metadata), "{metadata}");
        assert_eq!(busy.most(none), busy);
    }

    #[test]
    fn without_reading_ahead_nothing_is_allowed_for_it() {
        assert_eq!(bound(&[("fetch.read.ahead.bytes.max", "0")]).read_ahead, 0);
        assert_eq!(bound(&[("cache.bytes", "8MiB")]).read_ahead, 0);
        assert_eq!(bound(&[("cache.bytes", "32MiB")]).read_ahead, 12 * MIB);
    }

    #[test]
    fn small_memory_for_responses_allows_for_one_fetch_that_is_larger() {
        let small = bound(&[
            ("fetch.memory.bytes", "16MiB"),
            ("fetch.catch.up.memory.bytes", "16MiB"),
        ]);
        assert_eq!(small.responses, 2 * (16 + 24) * MIB);
    }

    #[test]
    fn it_says_what_it_is_made_of() {
        let text = bound(&[("cache.bytes", "300MiB")]).to_string();
        assert!(text.contains(", cache 300, reading ahead 75,"), "{text}");
        assert!(!text.contains("duties"), "{text}");
    }
}
