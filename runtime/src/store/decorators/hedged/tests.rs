use std::collections::VecDeque;
use std::sync::Arc;

use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;

use super::*;
use crate::clock::SimClock;

/// What a request is to do.
#[derive(Debug, Clone, Copy)]
enum Script {
    /// Takes so many milliseconds, then has its effect and says so.
    Works(u64),
    /// Has its effect, and the answer is there after so many milliseconds.
    WorksAtOnce(u64),
    /// Fails after so many milliseconds, without effect.
    Fails(u64),
    /// Fails after so many milliseconds, having had its effect before.
    FailsAfter(u64),
    /// Is refused after so many milliseconds.
    Refused(u64),
}

/// A store whose requests do as they are told, in the order they are sent.
#[derive(Debug)]
struct Scripted {
    inner: InMemory,
    script: Mutex<VecDeque<Script>>,
    sent: Mutex<Vec<&'static str>>,
}

impl std::fmt::Display for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

fn failure() -> Error {
    Error::Generic {
        store: "test",
        source: "the connection broke".into(),
    }
}

impl Scripted {
    async fn act<T>(&self, what: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.sent.lock().push(what);
        let script = self.script.lock().pop_front().unwrap_or(Script::Works(30));
        match script {
            Script::Works(millis) => {
                pause(millis).await;
                work.await
            }
            Script::WorksAtOnce(millis) => {
                let result = work.await;
                pause(millis).await;
                result
            }
            Script::Fails(millis) => {
                pause(millis).await;
                Err(failure())
            }
            Script::FailsAfter(millis) => {
                let _ = work.await;
                pause(millis).await;
                Err(failure())
            }
            Script::Refused(millis) => {
                pause(millis).await;
                Err(Error::PermissionDenied {
                    path: String::new(),
                    source: "no".into(),
                })
            }
        }
    }
}

#[async_trait]
impl ObjectStore for Scripted {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, o: PutOptions) -> Result<PutResult> {
        self.act("put", self.inner.put_opts(at, bytes, o)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        o: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, o).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.act("get", self.inner.get_opts(at, options)).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

struct Bench {
    store: HedgedStore,
    scripted: Arc<Scripted>,
    clock: SharedClock,
}

impl Bench {
    /// A store of which it is known that its requests take 30 ms, and tokens enough.
    async fn new() -> Self {
        let scripted = Arc::new(Scripted {
            inner: InMemory::new(),
            script: Mutex::default(),
            sent: Mutex::default(),
        });
        let clock: SharedClock = Arc::new(SimClock::default());
        let store = HedgedStore::new(scripted.clone(), Duty::Produce, clock.clone(), 10);
        for n in 0..60 {
            let key = Path::from(format!("warm/{n}"));
            let put = store.put_opts(&key, "1234".into(), repeatable_create());
            put.await.unwrap();
            store.get_range(&key, 0..4).await.unwrap();
        }
        scripted.sent.lock().clear();
        Self {
            store,
            scripted,
            clock,
        }
    }

    /// Milliseconds that a request takes whose tries go like this, how it ends, and what was sent.
    async fn put(&self, script: &[Script]) -> (u64, Result<PutResult>, usize) {
        self.scripted.script.lock().extend(script);
        let began = self.clock.monotonic();
        let key = Path::from("data/x");
        let put = self
            .store
            .put_opts(&key, "mine".into(), repeatable_create());
        let result = put.await;
        let took = self.clock.monotonic() - began;
        let sent = std::mem::take(&mut *self.scripted.sent.lock()).len();
        (took.as_millis() as u64, result, sent)
    }

    async fn stored(&self) -> String {
        let got = self
            .scripted
            .inner
            .get(&Path::from("data/x"))
            .await
            .unwrap();
        String::from_utf8(got.bytes().await.unwrap().to_vec()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_write_is_overtaken_by_the_second_and_cancelled() {
    let bench = Bench::new().await;
    let (took, result, sent) = bench.put(&[Script::Works(1_000), Script::Works(30)]).await;
    assert!(result.is_ok() && (58..70).contains(&took), "{took} ms");
    assert_eq!(sent, 2);
    pause(5_000).await;
    assert_eq!(bench.stored().await, "mine", "the first did nothing later");
}

#[tokio::test(start_paused = true)]
async fn a_fast_write_is_sent_once() {
    let bench = Bench::new().await;
    let (took, result, sent) = bench.put(&[Script::Works(25)]).await;
    assert!(result.is_ok());
    assert_eq!((took, sent), (25, 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_is_overtaken_too() {
    let bench = Bench::new().await;
    bench.scripted.script.lock().push_back(Script::Works(1_000));
    let began = bench.clock.monotonic();
    let got = bench.store.get_range(&Path::from("warm/1"), 1..3).await;
    assert_eq!(&got.unwrap()[..], b"23");
    assert!(bench.clock.monotonic() - began < Duration::from_millis(70));
    assert_eq!(*bench.scripted.sent.lock(), ["get", "get"]);
}

#[tokio::test(start_paused = true)]
async fn that_something_exists_already_waits_for_the_first_to_say_it_is_ours() {
    let bench = Bench::new().await;
    let script = [Script::WorksAtOnce(70), Script::Works(20)];
    let (took, result, sent) = bench.put(&script).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!((took, sent), (70, 2));
}

#[tokio::test(start_paused = true)]
async fn that_something_exists_already_is_told_if_the_first_says_nothing() {
    let bench = Bench::new().await;
    let script = [Script::WorksAtOnce(60_000), Script::Works(20)];
    let (took, result, _) = bench.put(&script).await;
    assert!(
        matches!(result, Err(Error::AlreadyExists { .. })),
        "a question for whoever asked: {result:?}"
    );
    assert!(took < 100, "{took}");
}

#[tokio::test(start_paused = true)]
async fn what_others_wrote_is_never_taken_for_ours() {
    let bench = Bench::new().await;
    let key = Path::from("data/x");
    let theirs = bench.scripted.inner.put(&key, "theirs".into());
    theirs.await.unwrap();
    let (_, result, _) = bench.put(&[Script::Works(500), Script::Works(10)]).await;
    assert!(
        matches!(result, Err(Error::AlreadyExists { .. })),
        "{result:?}"
    );
    assert_eq!(bench.stored().await, "theirs");
}

#[tokio::test(start_paused = true)]
async fn a_failure_waits_for_the_other_request() {
    let bench = Bench::new().await;
    let (took, result, _) = bench.put(&[Script::Works(200), Script::Fails(10)]).await;
    assert!(result.is_ok());
    assert_eq!(took, 200);
    let key = Path::from("data/x");
    bench.scripted.inner.delete(&key).await.unwrap();
    let (took, result, _) = bench.put(&[Script::Fails(40), Script::Works(100)]).await;
    assert!(result.is_ok());
    assert!((128..140).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_not_hidden_by_a_refusal() {
    for script in [
        [Script::FailsAfter(200), Script::Refused(10)],
        [Script::Refused(40), Script::FailsAfter(100)],
    ] {
        let bench = Bench::new().await;
        let (_, result, _) = bench.put(&script).await;
        assert!(
            matches!(result, Err(Error::Generic { .. })),
            "it may have been written: {result:?}"
        );
        assert_eq!(bench.stored().await, "mine");
    }
}

#[tokio::test(start_paused = true)]
async fn only_writes_that_say_so_are_sent_twice() {
    let bench = Bench::new().await;
    let key = Path::from("data/y");
    bench
        .scripted
        .script
        .lock()
        .push_back(Script::Works(10_000));
    let put = bench
        .store
        .put_opts(&key, "1234".into(), PutMode::Create.into());
    put.await.unwrap();
    assert_eq!(*bench.scripted.sent.lock(), ["put"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_altogether_is_not_asked_twice_as_much() {
    let bench = Bench::new().await;
    let slow = || Script::Works(500);
    for n in 0..1_000 {
        bench.scripted.script.lock().extend([slow(), slow()]);
        let key = Path::from(format!("slow/{n}"));
        let put = bench
            .store
            .put_opts(&key, "1234".into(), repeatable_create());
        put.await.unwrap();
        bench.scripted.script.lock().clear();
    }
    let sent = bench.scripted.sent.lock().len();
    assert!(sent <= 1_000 + 100 + 10, "{sent}");
}
