//! What leads to one agent: its address, the connection while there is one, how long its answers take, and whether it is
//! worth asking.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_format::AgentEpoch;
use parking_lot::Mutex;
use runtime::store::Operation;
use runtime::store::hedging::{Hedging, RequestClass};

use super::connection::{AskError, Connection};
use super::regard::Regard;
use super::{MAGIC, Own, ZoneOptions};
use crate::fetch::block::BlockKey;
use crate::fetch::pool::Pool;
use crate::peers::handshake::HandshakeError;

/// So many of a hundred blocks may be read from the bucket although their owner was about to give them.
const HURRY_PERCENT: u32 = 3;

pub(super) struct Link {
    agent: AgentEpoch,
    address: String,
    own: Own,
    options: ZoneOptions,
    connection: Mutex<Option<Arc<Connection>>>,
    regard: Mutex<Regard>,
    hedging: Mutex<Hedging>,
}

impl Link {
    pub fn new(agent: AgentEpoch, address: String, own: Own, options: ZoneOptions) -> Self {
        Self {
            agent,
            address,
            own,
            options,
            connection: Mutex::default(),
            regard: Mutex::default(),
            hedging: Mutex::new(Hedging::new(HURRY_PERCENT)),
        }
    }

    /// Asks for a block.
    pub async fn ask(&self, key: BlockKey, pool: Pool) -> Result<Bytes, AskError> {
        let connection = self.connection();
        connection.ask(key, pool).await
    }

    fn connection(&self) -> Arc<Connection> {
        let mut connection = self.connection.lock();
        if let Some(open) = connection.as_ref().filter(|open| open.is_open()) {
            return open.clone();
        }
        let (agent, address, own) = (self.agent, self.address.clone(), self.own.clone());
        let connect = async move {
            match own.keys.connect(agent, &address, MAGIC).await {
                Ok((stream, _)) => {
                    own.refused.over();
                    return Some(stream);
                }
                Err(error @ HandshakeError::Refused) => own.refused.report(&error),
                Err(error) => tracing::debug!(%error, address, "a neighbour is not reached"),
            }
            None
        };
        let fresh = Arc::new(Connection::open(connect, self.options.asked_bytes_max));
        *connection = Some(fresh.clone());
        fresh
    }

    /// Whether it is worth asking.
    pub fn may_ask(&self, now: Duration, limit: Duration) -> bool {
        self.regard.lock().may_ask(now, limit)
    }

    /// After how long an answer is late; none while that is not known.
    pub fn expected(&self, bytes: u64) -> Option<Duration> {
        self.hedging.lock().begin(class(bytes)?)
    }

    /// Whether the bucket may be read before the answer is due at the latest; it counts as done.
    pub fn may_hurry(&self) -> bool {
        self.hedging.lock().spend()
    }

    /// It gave a block.
    pub fn answered(&self, bytes: u64, took: Duration) {
        self.took(bytes, took);
        self.came_round();
    }

    /// It said something that makes sense.
    pub fn came_round(&self) {
        self.regard.lock().answered();
    }

    /// The bucket had the block first.
    pub fn outrun(&self, bytes: u64, took: Duration, now: Duration, limit: Duration) {
        self.took(bytes, took);
        if took >= limit {
            self.failed(now, limit);
        }
    }

    /// It did not answer.
    pub fn failed(&self, now: Duration, limit: Duration) {
        self.regard.lock().failed(now, limit);
    }

    fn took(&self, bytes: u64, took: Duration) {
        if let Some(class) = class(bytes) {
            self.hedging.lock().took(class, took);
        }
    }
}

fn class(bytes: u64) -> Option<RequestClass> {
    RequestClass::new(Operation::Get, Some(bytes))
}
