//! Owns a store's misbehaviour, for tests: failures before and after the effect, throttling,
//! delays, lost answers, flipped bits and ignored conditions, seeded or one by one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use parking_lot::Mutex;

use super::Operation;
use crate::rng::Rng;
use crate::store::Store;

/// One misbehaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Fails, and nothing has happened.
    Before,
    /// Fails, and it has happened: the answer was lost.
    After,
    /// Fails with 503 SlowDown, and nothing has happened.
    Throttle,
    /// Happens after this time.
    Delay(Duration),
    /// Never answers; nothing has happened.
    Hang,
    /// A read succeeds with one bit flipped. Without effect on anything but reads.
    Corrupt,
}

/// How likely each misbehaviour is; all zero at first. Each is between 0 and 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultPlan {
    /// Of [`Fault::Before`].
    pub before: f64,
    /// Of [`Fault::After`].
    pub after: f64,
    /// Of [`Fault::Throttle`].
    pub throttle: f64,
    /// Of [`Fault::Corrupt`].
    pub corrupt: f64,
    /// Of [`Fault::Delay`], which may come on top of the others.
    pub delay: f64,
    /// The longest such delay.
    pub delay_max: Duration,
    /// Writes with a condition (create, update) overwrite as if they had none.
    pub ignore_conditions: bool,
    /// Only keys that begin with this are touched; empty means all.
    pub under: String,
}

/// The handle on the misbehaviour of a [`FaultyStore`]. Clones are the same handle.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rng: Rng,
    plan: FaultPlan,
    scripted: Vec<(Operation, Fault)>,
    injected: u64,
}

/// What befalls one request.
#[derive(Debug, Default)]
struct Drawn {
    delay: Duration,
    fault: Option<Fault>,
}

impl Faults {
    /// From now on the store misbehaves as `plan` says.
    pub fn set(&self, plan: FaultPlan) {
        self.0.lock().plan = plan;
    }

    /// From now on the store behaves.
    pub fn clear(&self) {
        let mut state = self.0.lock();
        state.plan = FaultPlan::default();
        state.scripted.clear();
    }

    /// The next request of this operation that no earlier call is waiting for gets this fault.
    pub fn next(&self, operation: Operation, fault: Fault) {
        self.0.lock().scripted.push((operation, fault));
    }

    /// How many faults have been injected, delays included.
    pub fn injected(&self) -> u64 {
        self.0.lock().injected
    }

    fn draw(&self, operation: Operation, key: &str) -> Drawn {
        let mut state = self.0.lock();
        if !key.starts_with(&state.plan.under) {
            return Drawn::default();
        }
        let mut drawn = state.draw_seeded();
        if let Some(at) = state
            .scripted
            .iter()
            .position(|(wanted, _)| *wanted == operation)
        {
            drawn = match state.scripted.remove(at).1 {
                Fault::Delay(delay) => Drawn { delay, fault: None },
                fault => Drawn {
                    delay: Duration::ZERO,
                    fault: Some(fault),
                },
            };
        }
        state.injected += u64::from(!drawn.delay.is_zero()) + u64::from(drawn.fault.is_some());
        drawn
    }

    fn ignores_conditions(&self, key: &Path) -> bool {
        let state = self.0.lock();
        state.plan.ignore_conditions && key.as_ref().starts_with(&state.plan.under)
    }
}

impl State {
    /// Draws the same number of times whatever the plan is, so that a changed plan shifts nothing.
    fn draw_seeded(&self) -> Drawn {
        let (rng, plan) = (&self.rng, &self.plan);
        let chances = [
            (Fault::Before, plan.before),
            (Fault::After, plan.after),
            (Fault::Throttle, plan.throttle),
            (Fault::Corrupt, plan.corrupt),
        ];
        let hits = chances.map(|(fault, chance)| rng.chance(chance).then_some(fault));
        let (delayed, part) = (rng.chance(plan.delay), rng.u64());
        let micros = u64::try_from(plan.delay_max.as_micros()).unwrap_or(u64::MAX);
        let delay = Duration::from_micros(if micros == 0 { 0 } else { part % (micros + 1) });
        Drawn {
            delay: if delayed { delay } else { Duration::ZERO },
            fault: hits.into_iter().flatten().next(),
        }
    }
}

impl Drawn {
    async fn befall<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        match self.fault {
            None | Some(Fault::Corrupt | Fault::Delay(_)) => request.await,
            Some(Fault::Before) => Err(injected("500 Internal Server Error: injected before")),
            Some(Fault::Throttle) => Err(injected("503 Service Unavailable: SlowDown, injected")),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::After) => {
                request.await?;
                Err(injected("500 Internal Server Error: injected after"))
            }
        }
    }
}

/// Worded as the real clients word what a server answered.
fn injected(status: &str) -> Error {
    let source = format!("Server returned non-2xx status code: {status}");
    Error::Generic {
        store: "FaultyStore",
        source: source.into(),
    }
}

/// Makes a store misbehave.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Store,
    faults: Faults,
}

impl FaultyStore {
    /// A store that behaves until its [`Faults`] say otherwise.
    pub fn new(inner: Store, rng: Rng) -> Self {
        let plan = FaultPlan::default();
        let state = State {
            rng,
            plan,
            scripted: Vec::new(),
            injected: 0,
        };
        Self {
            inner,
            faults: Faults(Arc::new(Mutex::new(state))),
        }
    }

    /// The handle that makes it misbehave.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    async fn befall<T>(
        &self,
        operation: Operation,
        key: &Path,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.faults
            .draw(operation, key.as_ref())
            .befall(request)
            .await
    }

    fn listing(
        &self,
        prefix: Option<&Path>,
        entries: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let drawn = self
            .faults
            .draw(Operation::List, prefix.map_or("", |prefix| prefix.as_ref()));
        async move { drawn.befall(async { Ok(entries) }).await }
            .try_flatten_stream()
            .boxed()
    }
}

impl std::fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaultyStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut opts: PutOptions,
    ) -> Result<PutResult> {
        if self.faults.ignores_conditions(location) {
            opts.mode = PutMode::Overwrite;
        }
        let put = self.inner.put_opts(location, payload, opts);
        self.befall(Operation::Put, location, put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begin = self.inner.put_multipart_opts(location, opts);
        let inner = self.befall(Operation::Put, location, begin).await?;
        Ok(Box::new(FaultyUpload {
            inner,
            location: location.clone(),
            faults: self.faults(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head {
            Operation::Head
        } else {
            Operation::Get
        };
        let drawn = self.faults.draw(operation, location.as_ref());
        let got = drawn.befall(self.inner.get_opts(location, options)).await?;
        match drawn.fault {
            Some(Fault::Corrupt) if operation == Operation::Get => corrupt(got).await,
            _ => Ok(got),
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, faults) = (Arc::clone(&self.inner), self.faults());
        locations
            .and_then(move |location| {
                let (inner, faults) = (Arc::clone(&inner), faults.clone());
                async move {
                    let drawn = faults.draw(Operation::Delete, location.as_ref());
                    drawn.befall(inner.delete(&location)).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix, self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix, self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let key = prefix.cloned().unwrap_or_default();
        self.befall(
            Operation::List,
            &key,
            self.inner.list_with_delimiter(prefix),
        )
        .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, mut options: CopyOptions) -> Result<()> {
        if self.faults.ignores_conditions(to) {
            options.mode = CopyMode::Overwrite;
        }
        self.befall(Operation::Copy, to, self.inner.copy_opts(from, to, options))
            .await
    }
}

/// Flips one bit in the middle.
async fn corrupt(got: GetResult) -> Result<GetResult> {
    let (meta, range) = (got.meta.clone(), got.range.clone());
    let (attributes, extensions) = (got.attributes.clone(), got.extensions.clone());
    let mut bytes = got.bytes().await?.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0x10;
    }
    let whole = futures::stream::once(async move { Ok(bytes.into()) });
    let payload = GetResultPayload::Stream(whole.boxed());
    Ok(GetResult {
        payload,
        meta,
        range,
        attributes,
        extensions,
    })
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    location: Path,
    faults: Faults,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let drawn = self.faults.draw(Operation::Put, self.location.as_ref());
        let part = self.inner.put_part(data);
        async move { drawn.befall(part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let drawn = self.faults.draw(Operation::Put, self.location.as_ref());
        drawn.befall(self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests;
