//! Owns asking twice: a request that takes unusually long is sent again, and whichever answer is
//! there first counts; the other request is cancelled.
//!
//! Reads may always be repeated. Of writes only those are that say so ([`repeatable_create`]): they
//! create, so that the second has no effect when the first has had one, and whoever makes them
//! tells by a look at the store whose bytes are there.
//!
//! SUBTLE: a failure may hide that the other request has had its effect. So with two requests under
//! way no failure is told before both have ended, and of two failures the one that leaves more
//! open: "exists already", which is looked into, before "unknown", before "refused".

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use parking_lot::Mutex;

use super::Operation;
use crate::clock::SharedClock;
use crate::metric_definitions::STORE_HEDGES;
use crate::store::hedging::{Hedging, RequestClass};
use crate::store::{Duty, Store, errors};

/// Ranges up to this long are read to their end before the answer counts as there.
const WHOLE_BYTES_MAX: u64 = 16 << 20;

/// Marks a write that may be sent twice.
#[derive(Debug, Clone, Copy)]
struct Repeatable;

/// Options of a write that creates an object and may be sent twice at once. For callers that take
/// `AlreadyExists` for a question, and answer it by reading: the bytes may be their own.
pub fn repeatable_create() -> PutOptions {
    let mut options = PutOptions::from(PutMode::Create);
    options.extensions.insert(Repeatable);
    options
}

/// Sends a store some requests twice.
#[derive(Debug)]
pub struct HedgedStore {
    inner: Store,
    duty: Duty,
    clock: SharedClock,
    hedging: Mutex<Hedging>,
    sent_twice: AtomicU64,
}

impl HedgedStore {
    /// Sends at most `percent` of a hundred requests to `inner` twice.
    pub fn new(inner: Store, duty: Duty, clock: SharedClock, percent: u32) -> Self {
        Self {
            inner,
            duty,
            clock,
            hedging: Mutex::new(Hedging::new(percent)),
            sent_twice: AtomicU64::new(0),
        }
    }

    /// How many requests have been sent twice.
    pub fn sent_twice(&self) -> u64 {
        self.sent_twice.load(Relaxed)
    }

    /// The answer to a request, which is sent again if it takes too long.
    async fn ask<T, F>(
        &self,
        operation: Operation,
        bytes: Option<u64>,
        send: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let Some(class) = RequestClass::new(operation, bytes) else {
            return send().await;
        };
        let race = Race {
            store: self,
            operation,
            class,
            began: self.clock.monotonic(),
        };
        let after = self.hedging.lock().begin(class);
        let result = race.run(after, send).await;
        if result.as_ref().is_err_and(errors::is_throttle) {
            self.hedging.lock().throttled();
        }
        result
    }
}

/// One or two requests for the same thing.
struct Race<'a> {
    store: &'a HedgedStore,
    operation: Operation,
    class: RequestClass,
    began: Duration,
}

impl Race<'_> {
    async fn run<T, F>(&self, after: Option<Duration>, send: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let mut first = Box::pin(send());
        let Some(after) = after else {
            return self.first_ended(first.await);
        };
        if let Ok(result) = tokio::time::timeout(after, &mut first).await {
            return self.first_ended(result);
        }
        if !self.store.hedging.lock().spend() {
            self.count("capped");
            return self.first_ended(first.await);
        }
        self.store.sent_twice.fetch_add(1, Relaxed);
        let mut second = Box::pin(send());
        tokio::select! {
            biased;
            result = &mut first => match result {
                Ok(answer) => {
                    self.count("lost");
                    self.first_ended(Ok(answer))
                }
                Err(error) => {
                    let result = other(error, second, after).await;
                    self.count(if result.is_ok() { "won" } else { "failed" });
                    result
                }
            },
            result = &mut second => match result {
                Ok(answer) => {
                    self.count("won");
                    self.first_ended(Ok(answer))
                }
                Err(error) => {
                    let result = other(error, first, after).await;
                    self.count(if result.is_ok() { "lost" } else { "failed" });
                    self.first_ended(result)
                }
            },
        }
    }

    /// Notes how long the first request took, or that it took longer.
    fn first_ended<T>(&self, result: Result<T>) -> Result<T> {
        if result.is_ok() {
            let took = self.store.clock.monotonic().saturating_sub(self.began);
            self.store.hedging.lock().took(self.class, took);
        }
        result
    }

    fn count(&self, result: &'static str) {
        metrics::counter!(
            STORE_HEDGES.name,
            "duty" => self.store.duty.label(),
            "operation" => self.operation.label(),
            "result" => result
        )
        .increment(1);
    }
}

/// What comes of two requests of which one has failed.
async fn other<T>(
    error: Error,
    request: impl Future<Output = Result<T>>,
    patience: Duration,
) -> Result<T> {
    if openness(&error) == Openness::Exists {
        // Most likely the other has created it, and its answer is about to come.
        return match tokio::time::timeout(patience, request).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(error),
        };
    }
    match request.await {
        Err(second) if openness(&second) > openness(&error) => Err(second),
        Err(_) => Err(error),
        answer => answer,
    }
}

/// How much a failure leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Openness {
    Refused,
    Unknown,
    Exists,
}

fn openness(error: &Error) -> Openness {
    match error {
        Error::AlreadyExists { .. } | Error::Precondition { .. } => Openness::Exists,
        Error::NotFound { .. }
        | Error::InvalidPath { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::PermissionDenied { .. }
        | Error::Unauthenticated { .. }
        | Error::UnknownConfigurationKey { .. } => Openness::Refused,
        _ => Openness::Unknown,
    }
}

/// How many bytes a read asks for, if it says.
fn bytes_asked(options: &GetOptions) -> Option<u64> {
    match &options.range {
        Some(GetRange::Bounded(range)) => Some(range.end.saturating_sub(range.start)),
        Some(GetRange::Suffix(bytes)) => Some(*bytes),
        _ => None,
    }
}

/// The same answer with its bytes read to their end.
async fn whole(got: GetResult) -> Result<GetResult> {
    let GetResult {
        payload: GetResultPayload::Stream(_),
        ..
    } = &got
    else {
        return Ok(got);
    };
    let (meta, range) = (got.meta.clone(), got.range.clone());
    let (attributes, extensions) = (got.attributes.clone(), got.extensions.clone());
    let bytes = got.bytes().await?;
    let stream = futures::stream::once(async move { Ok(bytes) }).boxed();
    Ok(GetResult {
        payload: GetResultPayload::Stream(stream),
        meta,
        range,
        attributes,
        extensions,
    })
}

impl std::fmt::Display for HedgedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HedgedStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for HedgedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        if opts.extensions.get::<Repeatable>().is_none() {
            return self.inner.put_opts(location, payload, opts).await;
        }
        let bytes = payload.content_length() as u64;
        let put = || self.inner.put_opts(location, payload.clone(), opts.clone());
        self.ask(Operation::Put, Some(bytes), put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            let head = || self.inner.get_opts(location, options.clone());
            return self.ask(Operation::Head, None, head).await;
        }
        let bytes = bytes_asked(&options);
        let is_whole = bytes.is_some_and(|bytes| bytes <= WHOLE_BYTES_MAX);
        let get = || {
            let got = self.inner.get_opts(location, options.clone());
            async move {
                match is_whole {
                    true => whole(got.await?).await,
                    false => got.await,
                }
            }
            .boxed()
        };
        self.ask(Operation::Get, bytes, get).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests;
