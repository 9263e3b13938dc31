//! The zone cache: each block belongs to one agent of a zone, and the others read it from that one, so that an object is
//! read from the bucket once for all readers of the zone.
//!
//! Whose a block is, is decided by each agent for itself ([`owner`]); that two decide differently for a while costs a GET and
//! nothing else. An owner that is slow ([`race`]), busy, gone or of another build is no obstacle: the bucket has everything.
//! What an owner gives is checked like what the bucket gives.

mod connection;
mod frame;
mod lender;
mod link;
mod metrics;
mod owner;
mod race;
mod regard;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use control_plane::replica::Session;
use object_format::AgentEpoch;
use parking_lot::Mutex;
use runtime::{SharedClock, Trouble};

use crate::fetch::block::{Block, BlockKey};
use crate::fetch::load::LoadError;
use crate::fetch::pool::Pool;
use crate::fetch::zone::{FromBucket, Neighbours};
use crate::peers::Keys;
use connection::AskError;
use link::Link;
use race::{Fared, Patience, race};

pub(crate) use lender::{Lender, MAGIC};

/// Bounds of the zone cache.
#[derive(Clone, Copy, Debug)]
pub struct ZoneOptions {
    /// Whether blocks are asked for and given at all.
    pub is_on: bool,
    /// The longest an owner is waited for before the bucket is read as well.
    pub timeout: Duration,
    /// Most bytes asked for at one agent at once, for each pool.
    pub asked_bytes_max: u64,
}

impl Default for ZoneOptions {
    fn default() -> Self {
        Self {
            is_on: true,
            timeout: Duration::from_secs(1),
            asked_bytes_max: 64 << 20,
        }
    }
}

/// What an agent is, for its neighbours.
#[derive(Clone)]
struct Own {
    keys: Keys,
    refused: Arc<Trouble>,
}

/// The neighbours of this agent.
pub(crate) struct ZoneCache {
    session: Session,
    own: Own,
    clock: SharedClock,
    options: ZoneOptions,
    links: Mutex<HashMap<(AgentEpoch, Pool), Arc<Link>>>,
}

impl ZoneCache {
    /// Those of the agent of `session`.
    pub fn new(session: Session, keys: Keys, clock: SharedClock, options: ZoneOptions) -> Self {
        let refused = Trouble::new(
            "an agent of the zone does not know the secret",
            clock.clone(),
        );
        let own = Own {
            keys,
            refused: Arc::new(refused),
        };
        Self {
            session,
            own,
            clock,
            options,
            links: Mutex::default(),
        }
    }

    /// The link to an agent; none if there is no such agent any more. Those of agents that have gone are dropped.
    ///
    /// Each pool has its own, so that a reader that keeps up does not wait behind what one that is behind has asked for.
    fn link(&self, owner: AgentEpoch, pool: Pool) -> Option<Arc<Link>> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(&(owner, pool)) {
            return Some(link.clone());
        }
        let replica = self.session.replica();
        let address = replica.read(|state| {
            links.retain(|(epoch, _), _| state.agent(*epoch).is_some());
            let agent = state.agent(owner)?;
            Some(agent.registration.peer_address.clone())
        })?;
        let link = Link::new(owner, address, self.own.clone(), self.options);
        let link = Arc::new(link);
        links.insert((owner, pool), link.clone());
        Some(link)
    }
}

#[async_trait]
impl Neighbours for ZoneCache {
    fn owner(&self, key: &BlockKey) -> Option<AgentEpoch> {
        let doubtful = self.session.doubtful();
        let own = self.own.keys.own;
        let replica = self.session.replica();
        let candidates = replica.read(|state| owner::candidates(state, own, &doubtful));
        owner::owner(key, &candidates).filter(|owner| *owner != own)
    }

    async fn read(
        &self,
        owner: AgentEpoch,
        key: BlockKey,
        pool: Pool,
        from_bucket: FromBucket,
    ) -> Result<Block, LoadError> {
        let limit = self.options.timeout;
        let began = self.clock.monotonic();
        let link = self.link(owner, pool);
        let Some(link) = link.filter(|link| link.may_ask(began, limit)) else {
            metrics::asked(pool, "skipped");
            return from_bucket.await;
        };
        let patience = Patience {
            soft: link.expected(key.len()),
            hard: limit,
        };
        let asked = async {
            let bytes: Bytes = link.ask(key, pool).await?;
            Ok(Block::lent(key, bytes))
        };
        let (fared, read) = race(asked, from_bucket, patience, || link.may_hurry()).await;
        let now = self.clock.monotonic();
        let took = now.saturating_sub(began);
        match fared {
            Fared::Lent => {
                link.answered(key.len(), took);
                metrics::lent(pool, took, key.len());
            }
            Fared::Outrun => {
                link.outrun(key.len(), took, now, limit);
                metrics::asked(pool, "slow");
            }
            Fared::Refused(AskError::Busy) => {
                link.came_round();
                metrics::asked(pool, "busy");
            }
            Fared::Refused(AskError::Failed) => {
                link.came_round();
                metrics::asked(pool, "failed");
            }
            Fared::Refused(AskError::Broken) => {
                link.failed(now, limit);
                metrics::asked(pool, "broken");
            }
        }
        read
    }
}
