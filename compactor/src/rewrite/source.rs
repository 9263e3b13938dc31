//! Reads the batches that a job needs out of its objects, some way ahead.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_format::batch::{BatchHeader, HEADER_LEN};
use object_format::{ObjectId, path};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::reads::{self, Fetch};
use super::{RewriteError, Tools, damaged, wrong};
use crate::layout::Stretch;

/// Requests under way at once.
const PARALLEL: usize = 16;

/// Gives batches in the order of the stretches it was made for.
pub struct Source {
    fetches: BoxStream<'static, Result<(Fetch, Bytes), RewriteError>>,
    /// What was read and not used up, by object, with its place there.
    windows: HashMap<ObjectId, VecDeque<(u64, Bytes)>>,
    bytes_read: u64,
}

impl Source {
    /// Reads what these stretches need.
    pub fn new(tools: &Tools, stretches: &[Stretch]) -> Self {
        let fetches = reads::plan(stretches, &tools.limits);
        let tools = tools.clone();
        let read = move |fetch: Fetch| {
            let tools = tools.clone();
            async move {
                tools.pace.admit(fetch.range.end - fetch.range.start).await;
                let bytes = get(&tools, &fetch).await?;
                Ok((fetch, bytes))
            }
        };
        Self {
            fetches: stream::iter(fetches).map(read).buffered(PARALLEL).boxed(),
            windows: HashMap::new(),
            bytes_read: 0,
        }
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The batch at a place of an object, which ends at `end` at the latest.
    ///
    /// # Errors
    /// [`RewriteError::Damaged`] and [`RewriteError::Store`].
    pub async fn batch(
        &mut self,
        object: ObjectId,
        at: u64,
        end: u64,
    ) -> Result<Bytes, RewriteError> {
        if end - at < HEADER_LEN as u64 {
            return Err(wrong(object, at, "the run ends within a batch"));
        }
        self.skip_to(object, at);
        self.fill(object, at, HEADER_LEN as u64).await?;
        let header = self.peek(object);
        let header = BatchHeader::parse(&header).map_err(|e| damaged(object, at, &e))?;
        let length = header.total_len() as u64;
        if length > end - at {
            return Err(wrong(object, at, "the run ends within a batch"));
        }
        self.fill(object, at, length).await?;
        Ok(self.take(object, length as usize))
    }

    /// Lets go of what lies before a place.
    fn skip_to(&mut self, object: ObjectId, at: u64) {
        let window = self.windows.entry(object).or_default();
        while let Some((start, bytes)) = window.front_mut() {
            let skip = at.saturating_sub(*start);
            if skip < bytes.len() as u64 {
                let _ = bytes.split_to(skip as usize);
                *start += skip;
                return;
            }
            window.pop_front();
        }
    }

    /// Waits until `length` bytes from `at` on are there.
    async fn fill(&mut self, object: ObjectId, at: u64, length: u64) -> Result<(), RewriteError> {
        while self.held(object, at) < length {
            let Some(read) = self.fetches.next().await else {
                return Err(wrong(object, at, "it was not planned to be read"));
            };
            let (fetch, bytes) = read?;
            self.bytes_read += bytes.len() as u64;
            let window = self.windows.entry(fetch.object).or_default();
            window.push_back((fetch.range.start, bytes));
        }
        Ok(())
    }

    /// How many bytes are there from `at` on, without a gap.
    fn held(&self, object: ObjectId, at: u64) -> u64 {
        let window = self.windows.get(&object).into_iter().flatten();
        let end = window.fold(at, |end, (start, bytes)| match *start == end {
            true => end + bytes.len() as u64,
            false => end,
        });
        end - at
    }

    fn peek(&self, object: ObjectId) -> Vec<u8> {
        let window = self.windows.get(&object).into_iter().flatten();
        let bytes = window.flat_map(|(_, bytes)| bytes.iter().copied());
        bytes.take(HEADER_LEN).collect()
    }

    /// Takes bytes that are there off the front.
    fn take(&mut self, object: ObjectId, length: usize) -> Bytes {
        let window = self.windows.entry(object).or_default();
        if let Some((start, bytes)) = window.front_mut()
            && bytes.len() >= length
        {
            *start += length as u64;
            return bytes.split_to(length);
        }
        let mut joined = BytesMut::with_capacity(length);
        while joined.len() < length {
            let Some((start, bytes)) = window.front_mut() else {
                break;
            };
            let part = bytes.split_to(bytes.len().min(length - joined.len()));
            *start += part.len() as u64;
            joined.extend_from_slice(&part);
            if bytes.is_empty() {
                window.pop_front();
            }
        }
        joined.freeze()
    }
}

async fn get(tools: &Tools, fetch: &Fetch) -> Result<Bytes, RewriteError> {
    let Range { start, end } = fetch.range;
    let key = path::data(fetch.object);
    let what = |what: String| RewriteError::Damaged {
        object: fetch.object,
        what,
    };
    let path = Path::from(key.clone());
    match tools.ask(|| tools.store.get_range(&path, start..end)).await {
        Ok(bytes) if bytes.len() as u64 == end - start => Ok(bytes),
        Ok(bytes) => Err(what(format!(
            "{} of {} bytes from byte {start} on",
            bytes.len(),
            end - start
        ))),
        Err(object_store::Error::NotFound { .. }) => Err(what("it is missing".to_owned())),
        Err(error) => {
            let what = format!("read {key}");
            Err(RewriteError::Store { what, error })
        }
    }
}
