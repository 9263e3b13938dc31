//! Owns what every request to a store passes through: a decorator is a store round a store.

mod faulty;
mod hedged;
mod metered;

pub use faulty::{Fault, FaultPlan, Faults, FaultyStore};
pub use hedged::{HedgedStore, repeatable_create};
pub use metered::{MeteredStore, StoreCounters, StoreMeter};

/// What is asked of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Writing an object, a part of one, or completing one made of parts.
    Put,
    /// Reading an object or a range of it.
    Get,
    /// Reading only what is known about an object.
    Head,
    /// Listing up to a thousand keys.
    List,
    /// Deleting an object.
    Delete,
    /// Copying an object within the store.
    Copy,
}

impl Operation {
    /// The value of the `operation` label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Copy => "copy",
        }
    }
}
