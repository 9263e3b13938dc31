//! A bucket whose times, failures and request counts a test decides.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use runtime::store::FaultyStore;
use runtime::store::decorators::FaultPlan;
use runtime::{Clock, Rng, SimClock};

use crate::log::Position;
use crate::log::bucket::{BucketLog, BucketLogOptions, keys};
use crate::log::conformance::{Handle, Site};

/// How often requests of one client fail.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreFaults {
    /// A write is not carried out; its answer is a server error.
    pub put_lost: f64,
    /// A write is carried out; its answer is a server error.
    pub put_kept: f64,
    /// A write is carried out up to this much later; the answer never comes.
    pub put_late: f64,
    pub late_max: Duration,
    /// A write is refused for want of permission.
    pub put_refused: f64,
    /// A write is answered as if something were there, as S3 answers two writes in flight at once.
    pub put_conflict: f64,
    /// A read or listing is answered by a server error.
    pub read_failed: f64,
}

/// What is shared by all clients of one bucket.
#[derive(Debug)]
struct Bucket {
    inner: Arc<dyn ObjectStore>,
    /// When each object was written, by the bucket's clock.
    written: Mutex<BTreeMap<Path, i64>>,
    clock: Arc<SimClock>,
}

impl Bucket {
    async fn put(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let result = self.inner.put_opts(at, payload, options).await?;
        self.written.lock().insert(at.clone(), self.clock.wall_ms());
        Ok(result)
    }

    fn stamp(&self, mut meta: ObjectMeta) -> ObjectMeta {
        if let Some(written) = self.written.lock().get(&meta.location) {
            let since = Duration::from_millis(u64::try_from(*written).unwrap());
            meta.last_modified = (std::time::UNIX_EPOCH + since).into();
        }
        meta
    }
}

/// One client of a bucket.
#[derive(Debug)]
pub(super) struct Client {
    bucket: Arc<Bucket>,
    rng: Rng,
    pub faults: Mutex<StoreFaults>,
    /// Each request takes between half and one and a half times this.
    pub latency: Mutex<Duration>,
    /// The answer to a read comes this much after the bucket was read.
    pub answer_delay: Mutex<Duration>,
    /// How long a listing takes.
    pub list_delay: Mutex<Duration>,
    /// How often each kind of request was made.
    requests: Mutex<BTreeMap<&'static str, u64>>,
    /// Runs once, when a write has been asked for and not yet carried out.
    before_put: Mutex<Option<BoxHook>>,
}

struct BoxHook(futures::future::BoxFuture<'static, ()>);

impl fmt::Debug for BoxHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxHook")
    }
}

fn server_error() -> Error {
    Error::Generic {
        store: "test",
        source: "503 SlowDown".into(),
    }
}

impl Client {
    async fn request(&self, kind: &'static str) -> Result<()> {
        *self.requests.lock().entry(kind).or_default() += 1;
        let latency = *self.latency.lock();
        if latency > Duration::ZERO {
            tokio::time::sleep(self.rng.jitter(latency)).await;
        }
        let failing = self.faults.lock().read_failed;
        if kind != "put" && self.rng.chance(failing) {
            Err(server_error())
        } else {
            Ok(())
        }
    }

    /// Lets something happen once a write has been asked for and before it is carried out.
    pub fn before_next_put(&self, hook: impl Future<Output = ()> + Send + 'static) {
        *self.before_put.lock() = Some(BoxHook(Box::pin(hook)));
    }

    /// How often `kind` was asked for since the last call.
    pub fn take_count(&self, kind: &'static str) -> u64 {
        self.requests.lock().remove(kind).unwrap_or(0)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("test bucket")
    }
}

#[async_trait]
impl ObjectStore for Client {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.request("put").await?;
        let hook = self.before_put.lock().take();
        if let Some(hook) = hook {
            hook.0.await;
        }
        let faults = self.faults.lock().clone();
        if self.rng.chance(faults.put_lost) {
            return Err(server_error());
        }
        let path = location.to_string();
        if self.rng.chance(faults.put_refused) {
            return Err(Error::PermissionDenied {
                path,
                source: "test".into(),
            });
        }
        if self.rng.chance(faults.put_conflict) {
            return Err(Error::AlreadyExists {
                path,
                source: "409".into(),
            });
        }
        if self.rng.chance(faults.put_late) {
            let late = self.rng.jitter(faults.late_max);
            let (bucket, location) = (Arc::clone(&self.bucket), location.clone());
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                let _ = bucket.put(&location, payload, options).await;
            });
            return std::future::pending().await;
        }
        let result = self.bucket.put(location, payload, options).await;
        if self.rng.chance(faults.put_kept) {
            Err(server_error())
        } else {
            result
        }
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(server_error())
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.request("get").await?;
        let got = self.bucket.inner.get_opts(location, options).await;
        let delay = *self.answer_delay.lock();
        if delay > Duration::ZERO {
            tokio::time::sleep(delay).await;
        }
        got
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        *self.requests.lock().entry("delete").or_default() += 1;
        self.bucket.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        *self.requests.lock().entry("list").or_default() += 1;
        if self.rng.chance(self.faults.lock().read_failed) {
            return futures::stream::iter([Err(server_error())]).boxed();
        }
        let bucket = Arc::clone(&self.bucket);
        let listed = self.bucket.inner.list(prefix);
        let delay = *self.list_delay.lock();
        let listed = listed.map(move |meta| meta.map(|meta| bucket.stamp(meta)));
        futures::stream::once(tokio::time::sleep(delay))
            .filter_map(|()| std::future::ready(None))
            .chain(listed)
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.request("list").await?;
        self.bucket.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(server_error())
    }
}

impl Client {
    fn quiet(bucket: &Arc<Bucket>) -> Self {
        Self {
            bucket: Arc::clone(bucket),
            rng: Rng::from_seed(0),
            faults: Mutex::default(),
            latency: Mutex::default(),
            answer_delay: Mutex::default(),
            list_delay: Mutex::default(),
            requests: Mutex::default(),
            before_put: Mutex::default(),
        }
    }
}

/// A bucket with a log in it, and one clock for the bucket and each process.
#[derive(Debug)]
pub(super) struct BucketSite {
    bucket: Arc<Bucket>,
    rng: Rng,
    latency: Duration,
    decorated: bool,
    _folder: Option<tempfile::TempDir>,
}

impl BucketSite {
    pub fn in_memory() -> Self {
        Self::over(Arc::new(InMemory::new()), None)
    }

    pub fn on_files() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        Self::over(Arc::new(files), Some(folder))
    }

    fn over(inner: Arc<dyn ObjectStore>, folder: Option<tempfile::TempDir>) -> Self {
        let clock = Arc::new(SimClock::default());
        let bucket = Arc::new(Bucket {
            inner,
            written: Mutex::default(),
            clock,
        });
        Self {
            bucket,
            rng: Rng::from_seed(1),
            latency: Duration::ZERO,
            decorated: false,
            _folder: folder,
        }
    }

    pub fn seeded(mut self, seed: u64) -> Self {
        self.rng = Rng::from_seed(seed);
        self
    }

    /// Each request takes some milliseconds.
    pub fn slow(mut self) -> Self {
        self.latency = Duration::from_millis(20);
        self
    }

    /// Faults come from the workspace's own decorator, which also flips bits and delays past every time limit.
    pub fn decorated(mut self) -> Self {
        self.decorated = true;
        self
    }

    pub fn client(&self) -> Arc<Client> {
        let client = Client {
            rng: self.rng.fork("client"),
            ..Client::quiet(&self.bucket)
        };
        *client.latency.lock() = self.latency;
        Arc::new(client)
    }

    /// A process's handle, with its own clock.
    pub async fn log(&self, client: &Arc<Client>, clock: &Arc<SimClock>) -> Handle {
        let options = BucketLogOptions {
            cache_bytes_max: 1 << 16,
            ..BucketLogOptions::default()
        };
        let store = Arc::clone(client) as Arc<dyn ObjectStore>;
        let rng = self.rng.fork("process");
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        Arc::new(BucketLog::open(store, clock, rng, options).await.unwrap())
    }

    async fn open_decorated(&self) -> Handle {
        let store = FaultyStore::new(self.client(), self.rng.fork("faults"));
        let faults = store.faults();
        let (rng, clock) = (self.rng.fork("process"), Arc::new(SimClock::default()));
        let options = BucketLogOptions::default();
        let log = BucketLog::open(Arc::new(store), clock, rng, options)
            .await
            .unwrap();
        faults.set(FaultPlan {
            before: 0.4,
            after: 0.2,
            throttle: 0.1,
            corrupt: 0.2,
            delay: 0.3,
            delay_max: Duration::from_secs(12),
            ..FaultPlan::default()
        });
        Arc::new(log)
    }

    /// A suspension of `process`, as long as `time`, for the bucket and for it.
    pub fn suspend(&self, process: &SimClock, time: Duration) {
        self.bucket.clock.suspend(time);
        process.suspend(time);
    }

    /// The bucket's clock is set back.
    pub fn set_back(&self, by: Duration) {
        self.bucket
            .clock
            .jump_wall(-i64::try_from(by.as_millis()).unwrap());
    }

    pub async fn raw(&self, at: Position) -> Option<Bytes> {
        let got = self.bucket.inner.get(&keys::entry(at)).await;
        Some(got.ok()?.bytes().await.unwrap())
    }

    pub async fn overwrite(&self, at: Position, bytes: Bytes) {
        self.bucket
            .inner
            .put(&keys::entry(at), bytes.into())
            .await
            .unwrap();
    }
}

#[async_trait]
impl Site for BucketSite {
    async fn open(&self) -> Handle {
        self.log(&self.client(), &Arc::new(SimClock::default()))
            .await
    }

    async fn open_faulty(&self) -> Handle {
        if self.decorated {
            return self.open_decorated().await;
        }
        let client = self.client();
        let log = self.log(&client, &Arc::new(SimClock::default())).await;
        *client.faults.lock() = StoreFaults {
            put_lost: 0.3,
            put_kept: 0.3,
            put_late: 0.1,
            put_conflict: 0.1,
            put_refused: 0.05,
            late_max: Duration::from_secs(20),
            read_failed: 0.3,
        };
        log
    }

    async fn age(&self) {
        tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    }

    async fn checkpoint(&self, at: Position) {
        let manifest = Path::from(object_format::path::checkpoint_file(at.0, "manifest"));
        self.bucket
            .put(&manifest, "{}".into(), PutOptions::default())
            .await
            .unwrap();
    }
}
