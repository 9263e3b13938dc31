//! Says loudly, and once, what is wrong with stored records.

use std::collections::HashSet;

use object_format::ObjectId;
use parking_lot::Mutex;
use runtime::{SharedClock, Trouble};

use super::load::LoadError;
use super::walk::ReadFault;

/// After so many different faults the early ones may be told again.
const KNOWN_MAX: usize = 1_024;

/// What has been said.
#[derive(Debug)]
pub(super) struct Complaints {
    known: Mutex<HashSet<(ObjectId, u64)>>,
    store: Trouble,
}

impl Complaints {
    pub(super) fn new(clock: SharedClock) -> Self {
        let store = Trouble::new("reading records for consumers", clock);
        Self {
            known: Mutex::default(),
            store,
        }
    }

    /// Logs a fault unless it was logged before.
    pub(super) fn report(&self, fault: &ReadFault) {
        let place = match fault {
            ReadFault::Damaged {
                object, position, ..
            } => (*object, *position),
            ReadFault::Load(LoadError::Missing { object } | LoadError::Short { object, .. }) => {
                (*object, u64::MAX)
            }
            ReadFault::Load(LoadError::Store { .. }) => return self.store.report(fault),
        };
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        if known.insert(place) {
            tracing::error!(%fault, "acknowledged records cannot be read");
        }
    }

    /// The store gives records.
    pub(super) fn over(&self) {
        if self.store.lasts() {
            self.store.over();
        }
    }
}
