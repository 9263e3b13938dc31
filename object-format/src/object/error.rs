//! What can be wrong with an object.

use std::fmt;

use crate::batch::BatchError;

/// A part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first bytes.
    Header,
    /// Some partition's batches.
    Run,
    /// The list of runs.
    Index,
    /// The last bytes.
    Footer,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Run => "run",
            Self::Index => "index",
            Self::Footer => "footer",
        })
    }
}

/// Why bytes are not an object, or a damaged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// There are fewer bytes than the part has.
    #[error("the object's {part} has {needed} bytes and there are {have}")]
    Truncated {
        /// Which part.
        part: Part,
        /// Bytes it has.
        needed: u64,
        /// Bytes that are there.
        have: u64,
    },
    /// The magic is not there: not an object of ours, or cut short.
    #[error("the object's {0} does not bear the mark of a Millrace object")]
    Magic(Part),
    /// The layout is of a version that this build does not know.
    #[error("the object has format version {0} and this build reads only version 1")]
    Version(u32),
    /// The bytes are not those that were written.
    #[error("the CRC of the object's {part} is {computed:#010x} and should be {stored:#010x}")]
    Crc {
        /// Which part.
        part: Part,
        /// What the object says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// The object is not as long as its footer says.
    #[error("the object has {have} bytes and its footer says {stored}")]
    Length {
        /// What the footer says.
        stored: u64,
        /// How long it is.
        have: u64,
    },
    /// Positions and lengths do not fit each other or the object.
    #[error("the object's {part} is inconsistent: {what}")]
    Layout {
        /// Which part.
        part: Part,
        /// What does not fit.
        what: &'static str,
    },
    /// A run does not consist of batches.
    #[error("a run is damaged: {0}")]
    Batch(#[from] BatchError),
}

impl ObjectError {
    pub(super) fn truncated(part: Part, needed: usize, have: usize) -> Self {
        Self::Truncated {
            part,
            needed: needed as u64,
            have: have as u64,
        }
    }
}
