//! Owns whether the process may be sent traffic: named conditions, all of which must be met.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::shutdown::Shutdown;

/// The conditions of one process. Clones are the same conditions.
#[derive(Debug, Clone)]
pub struct Readiness {
    conditions: Arc<Mutex<BTreeMap<&'static str, String>>>,
    shutdown: Shutdown,
}

/// One condition of a [`Readiness`]. Whoever holds it says whether it is met.
#[derive(Debug, Clone)]
pub struct Condition {
    name: &'static str,
    of: Readiness,
}

impl Readiness {
    /// Ready until a condition is added, and never again once `shutdown` has begun.
    pub fn new(shutdown: &Shutdown) -> Self {
        Self {
            conditions: Arc::default(),
            shutdown: shutdown.clone(),
        }
    }

    /// Adds a condition that is not met until its holder says so.
    pub fn condition(&self, name: &'static str) -> Condition {
        let condition = Condition {
            name,
            of: self.clone(),
        };
        condition.unmet("not yet");
        condition
    }

    /// The conditions that are not met, each as `name: why`. Ready if there is none.
    pub fn unmet(&self) -> Vec<String> {
        let ending = self
            .shutdown
            .is_begun()
            .then(|| "shutdown: has begun".to_string());
        let conditions = self.conditions.lock();
        let unmet = conditions
            .iter()
            .map(|(name, why)| format!("{name}: {why}"));
        ending.into_iter().chain(unmet).collect()
    }

    /// What failed, if the process is ending because something did.
    pub fn failure(&self) -> Option<String> {
        let reason = self.shutdown.reason()?;
        (reason.exit_code() != 0).then(|| reason.to_string())
    }

    /// Whether every condition is met.
    pub fn is_ready(&self) -> bool {
        self.unmet().is_empty()
    }
}

impl Condition {
    /// The condition is met from now on.
    pub fn met(&self) {
        self.of.conditions.lock().remove(self.name);
    }

    /// The condition is not met from now on.
    pub fn unmet(&self, why: impl Into<String>) {
        self.of.conditions.lock().insert(self.name, why.into());
    }
}
