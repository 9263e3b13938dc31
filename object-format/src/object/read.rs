//! Reads whole objects, for tools, scrubbing and recovery.

use bytes::Bytes;

use super::{FOOTER_LEN, Footer, Index, ObjectError, ObjectHeader, Part, RunIndex, check_crc};
use crate::batch::{self, BatchHeader};

/// All that an object says, but for the batches themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Who wrote it and when.
    pub header: ObjectHeader,
    /// Its runs.
    pub index: Index,
    /// Where the index is.
    pub footer: Footer,
}

/// Parses a whole object. The runs are named and not looked at: see [`verify_run`].
///
/// # Errors
/// What [`Footer::parse`], [`ObjectHeader::parse`] and [`Index::parse`] say.
pub fn parse_object(object: &Bytes) -> Result<Object, ObjectError> {
    // The header comes first, so that something that is no object at all is called that.
    let header = ObjectHeader::parse(object)?;
    let footer = Footer::parse(object, object.len() as u64)?;
    // The footer's positions were checked against the length, so they fit.
    let index_from = footer.index_position as usize;
    let index = Index::parse(&object[index_from..object.len() - FOOTER_LEN], &footer)?;
    Ok(Object {
        header,
        index,
        footer,
    })
}

/// Checks the bytes at [`RunIndex::range`] against the index: length, CRC, and that they are as
/// many batches and records as it says.
///
/// # Errors
/// [`ObjectError::Truncated`] if there are fewer or more bytes, [`ObjectError::Crc`],
/// [`ObjectError::Batch`], [`ObjectError::Layout`].
pub fn verify_run(run: &Bytes, index: &RunIndex) -> Result<(), ObjectError> {
    if run.len() as u64 != index.length {
        return Err(ObjectError::Truncated {
            part: Part::Run,
            needed: index.length,
            have: run.len() as u64,
        });
    }
    check_crc(Part::Run, index.crc, crc32c::crc32c(run))?;
    let mut batches = 0;
    let mut records = 0;
    for batch in batch::split(run.clone()) {
        let header = BatchHeader::parse(&batch?)?;
        batches += 1;
        records += u64::try_from(header.record_count).unwrap_or(0);
    }
    if batches != index.batch_count || records != index.record_count {
        return Err(ObjectError::Layout {
            part: Part::Run,
            what: "it has another number of batches or records than the index says",
        });
    }
    Ok(())
}

/// Parses a whole object and verifies every run, so that every byte of it is checked.
///
/// # Errors
/// What [`parse_object`] and [`verify_run`] say.
pub fn verify_object(object: &Bytes) -> Result<Object, ObjectError> {
    let parsed = parse_object(object)?;
    for run in &parsed.index.runs {
        verify_run(&parsed.run(object, run)?, run)?;
    }
    Ok(parsed)
}

impl Object {
    /// The batches of one of its runs, sharing the memory of `object`.
    ///
    /// # Errors
    /// [`ObjectError::Truncated`] if `object` is too short to have this run.
    pub fn run(&self, object: &Bytes, run: &RunIndex) -> Result<Bytes, ObjectError> {
        let range = run.range();
        if range.end > object.len() as u64 {
            return Err(ObjectError::Truncated {
                part: Part::Run,
                needed: range.end,
                have: object.len() as u64,
            });
        }
        Ok(object.slice(range.start as usize..range.end as usize))
    }
}
