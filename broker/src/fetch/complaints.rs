//! Says loudly, and once, what is wrong with stored records.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use object_format::ObjectId;
use parking_lot::Mutex;

use super::load::LoadError;
use super::walk::ReadFault;

/// After so many different faults the early ones may be told again.
const KNOWN_MAX: usize = 1_024;

/// What has been said.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    known: Mutex<HashSet<(ObjectId, u64)>>,
    store_silent: AtomicBool,
}

impl Complaints {
    /// Logs a fault unless it was logged before.
    pub(super) fn report(&self, fault: &ReadFault) {
        let place = match fault {
            ReadFault::Damaged {
                object, position, ..
            } => (*object, *position),
            ReadFault::Load(LoadError::Missing { object } | LoadError::Short { object, .. }) => {
                (*object, u64::MAX)
            }
            ReadFault::Load(LoadError::Store { .. }) => {
                if !self.store_silent.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%fault, "consumers wait for the store");
                }
                return;
            }
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
        if self.store_silent.load(Ordering::Relaxed)
            && self.store_silent.swap(false, Ordering::Relaxed)
        {
            tracing::info!("the store gives records again");
        }
    }
}
