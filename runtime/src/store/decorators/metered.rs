//! Owns counting: every request by duty, operation and outcome, its time, and the bytes both ways.
//!
//! Requests are counted when they are sent, because they are paid for whatever becomes of them;
//! one abandoned half way (the loser of a hedge) shows as `cancelled`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::Operation;
use crate::clock::SharedClock;
use crate::metric_definitions::{
    STORE_GOT_BYTES, STORE_PUT_BYTES, STORE_REQUEST_SECONDS, STORE_REQUESTS,
};
use crate::store::{Duty, Store, errors};

/// Entries a store returns for one list request.
const LIST_PAGE: u64 = 1_000;

/// What has been asked of a store so far, in requests and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Objects and parts written, copies included.
    pub puts: u64,
    /// Objects and ranges read.
    pub gets: u64,
    /// Pages listed.
    pub lists: u64,
    /// Objects deleted.
    pub deletes: u64,
    /// Objects asked about.
    pub heads: u64,
    /// Bytes sent to be written.
    pub bytes_put: u64,
    /// Bytes received.
    pub bytes_got: u64,
}

/// The counters behind a [`MeteredStore`].
#[derive(Debug)]
pub struct StoreMeter {
    duty: Duty,
    clock: SharedClock,
    puts: AtomicU64,
    gets: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
    heads: AtomicU64,
    bytes_put: AtomicU64,
    bytes_got: AtomicU64,
}

impl StoreMeter {
    fn new(duty: Duty, clock: SharedClock) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            duty,
            clock,
            puts: zero(),
            gets: zero(),
            lists: zero(),
            deletes: zero(),
            heads: zero(),
            bytes_put: zero(),
            bytes_got: zero(),
        }
    }

    /// What the requests are made for.
    pub fn duty(&self) -> Duty {
        self.duty
    }

    /// The counters as they are now.
    pub fn snapshot(&self) -> StoreCounters {
        StoreCounters {
            puts: self.puts.load(Relaxed),
            gets: self.gets.load(Relaxed),
            lists: self.lists.load(Relaxed),
            deletes: self.deletes.load(Relaxed),
            heads: self.heads.load(Relaxed),
            bytes_put: self.bytes_put.load(Relaxed),
            bytes_got: self.bytes_got.load(Relaxed),
        }
    }

    fn sent(&self, operation: Operation) {
        let counter = match operation {
            Operation::Put | Operation::Copy => &self.puts,
            Operation::Get => &self.gets,
            Operation::Head => &self.heads,
            Operation::List => &self.lists,
            Operation::Delete => &self.deletes,
        };
        counter.fetch_add(1, Relaxed);
    }

    fn ended(&self, operation: Operation, outcome: &'static str) {
        metrics::counter!(
            STORE_REQUESTS.name,
            "duty" => self.duty.label(), "operation" => operation.label(), "outcome" => outcome
        )
        .increment(1);
    }

    fn put(&self, bytes: u64) {
        self.bytes_put.fetch_add(bytes, Relaxed);
        metrics::counter!(STORE_PUT_BYTES.name, "duty" => self.duty.label()).increment(bytes);
    }

    fn got(&self, bytes: u64) {
        self.bytes_got.fetch_add(bytes, Relaxed);
        metrics::counter!(STORE_GOT_BYTES.name, "duty" => self.duty.label()).increment(bytes);
    }
}

/// A request under way. Dropped before it has ended, it counts as cancelled.
#[derive(Debug)]
struct Request {
    meter: Arc<StoreMeter>,
    operation: Operation,
    began: Duration,
    outcome: &'static str,
}

impl Request {
    fn begin(meter: &Arc<StoreMeter>, operation: Operation) -> Self {
        meter.sent(operation);
        let began = meter.clock.monotonic();
        Self {
            meter: Arc::clone(meter),
            operation,
            began,
            outcome: "cancelled",
        }
    }

    fn end<T>(mut self, result: &Result<T>) {
        self.outcome = result.as_ref().map_or_else(errors::outcome, |_| "ok");
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.meter.ended(self.operation, self.outcome);
        let took = self.meter.clock.monotonic().saturating_sub(self.began);
        metrics::histogram!(
            STORE_REQUEST_SECONDS.name,
            "duty" => self.meter.duty.label(), "operation" => self.operation.label()
        )
        .record(took.as_secs_f64());
    }
}

/// Counts every request to a store under one duty.
#[derive(Debug)]
pub struct MeteredStore {
    inner: Store,
    meter: Arc<StoreMeter>,
}

impl MeteredStore {
    /// Counts what is asked of `inner` for `duty`.
    pub fn new(inner: Store, duty: Duty, clock: SharedClock) -> Self {
        Self {
            inner,
            meter: Arc::new(StoreMeter::new(duty, clock)),
        }
    }

    /// The counters, to be read while the store is in use.
    pub fn meter(&self) -> Arc<StoreMeter> {
        Arc::clone(&self.meter)
    }
}

impl std::fmt::Display for MeteredStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MeteredStore({}, {})", self.meter.duty, self.inner)
    }
}

#[async_trait]
impl ObjectStore for MeteredStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let request = Request::begin(&self.meter, Operation::Put);
        self.meter.put(payload.content_length() as u64);
        let result = self.inner.put_opts(location, payload, opts).await;
        request.end(&result);
        result
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let request = Request::begin(&self.meter, Operation::Put);
        let result = self.inner.put_multipart_opts(location, opts).await;
        request.end(&result);
        let meter = self.meter();
        result.map(|inner| Box::new(MeteredUpload { inner, meter }) as _)
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head {
            Operation::Head
        } else {
            Operation::Get
        };
        let request = Request::begin(&self.meter, operation);
        let result = self.inner.get_opts(location, options).await;
        request.end(&result);
        if operation == Operation::Head {
            return result;
        }
        result.map(|got| count_bytes(got, self.meter()))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (asked, answered) = (self.meter(), self.meter());
        let locations = locations
            .inspect_ok(move |_| asked.sent(Operation::Delete))
            .boxed();
        let deleted = self.inner.delete_stream(locations);
        deleted
            .inspect(move |result| {
                let outcome = result.as_ref().map_or_else(errors::outcome, |_| "ok");
                answered.ended(Operation::Delete, outcome);
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        MeteredList::new(self.inner.list(prefix), &self.meter).boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        MeteredList::new(self.inner.list_with_offset(prefix, offset), &self.meter).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let request = Request::begin(&self.meter, Operation::List);
        let result = self.inner.list_with_delimiter(prefix).await;
        request.end(&result);
        result
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let request = Request::begin(&self.meter, Operation::Copy);
        let result = self.inner.copy_opts(from, to, options).await;
        request.end(&result);
        result
    }
}

fn count_bytes(got: GetResult, meter: Arc<StoreMeter>) -> GetResult {
    let payload = match got.payload {
        GetResultPayload::Stream(stream) => GetResultPayload::Stream(
            stream
                .inspect_ok(move |bytes| meter.got(bytes.len() as u64))
                .boxed(),
        ),
        file @ GetResultPayload::File(..) => {
            meter.got(got.range.end - got.range.start);
            file
        }
    };
    GetResult { payload, ..got }
}

#[derive(Debug)]
struct MeteredUpload {
    inner: Box<dyn MultipartUpload>,
    meter: Arc<StoreMeter>,
}

#[async_trait]
impl MultipartUpload for MeteredUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let meter = Arc::clone(&self.meter);
        let bytes = data.content_length() as u64;
        let part = self.inner.put_part(data);
        async move {
            let request = Request::begin(&meter, Operation::Put);
            meter.put(bytes);
            let result = part.await;
            request.end(&result);
            result
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let request = Request::begin(&self.meter, Operation::Put);
        let result = self.inner.complete().await;
        request.end(&result);
        result
    }

    async fn abort(&mut self) -> Result<()> {
        let request = Request::begin(&self.meter, Operation::Delete);
        let result = self.inner.abort().await;
        request.end(&result);
        result
    }
}

/// A listing under way: one request for each page that was needed.
struct MeteredList {
    inner: BoxStream<'static, Result<ObjectMeta>>,
    meter: Arc<StoreMeter>,
    request: Option<Request>,
    entries: u64,
}

impl MeteredList {
    fn new(inner: BoxStream<'static, Result<ObjectMeta>>, meter: &Arc<StoreMeter>) -> Self {
        let request = Some(Request::begin(meter, Operation::List));
        Self {
            inner,
            meter: Arc::clone(meter),
            request,
            entries: 0,
        }
    }

    fn end<T>(&mut self, result: &Result<T>) {
        if let Some(request) = self.request.take() {
            request.end(result);
        }
    }
}

impl Stream for MeteredList {
    type Item = Result<ObjectMeta>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.inner.poll_next_unpin(cx);
        match &next {
            Poll::Pending => {}
            Poll::Ready(None) => self.end(&Ok(())),
            Poll::Ready(Some(failed @ Err(_))) => self.end(failed),
            Poll::Ready(Some(Ok(_))) => {
                if self.entries > 0 && self.entries.is_multiple_of(LIST_PAGE) {
                    self.end(&Ok(()));
                    self.request = Some(Request::begin(&self.meter, Operation::List));
                }
                self.entries += 1;
            }
        }
        next
    }
}

#[cfg(test)]
mod tests;
