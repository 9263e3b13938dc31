//! A database in memory that behaves as FoundationDB is documented to, and fails on demand: for tests of this log's own
//! logic where there is no FoundationDB.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use runtime::Rng;
use tokio::sync::watch;

use super::database::{Answer, CallError, Database, Page, Transaction, Watch};

type Rows = BTreeMap<Vec<u8>, Bytes>;

/// How many versions can still be read: far fewer than the five seconds' worth of FoundationDB.
const VERSIONS_KEPT: usize = 200;

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FakeFaults {
    /// A read fails.
    pub read_failed: f64,
    /// A commit is refused, as on a conflict.
    pub refused: f64,
    /// A commit is not carried out, and its outcome is unknown.
    pub lost: f64,
    /// One is carried out, and its outcome is unknown.
    pub kept: f64,
    /// One is carried out up to ten seconds later, and its outcome is unknown.
    pub late: f64,
    /// A watch never fires.
    pub deaf: f64,
}

#[derive(Debug)]
struct Versions {
    /// Each committed version that can still be read, and what was there.
    kept: VecDeque<(i64, Arc<Rows>)>,
}

impl Versions {
    fn newest(&self) -> (i64, Arc<Rows>) {
        let (version, rows) = self.kept.back().expect("there is always one");
        (*version, Arc::clone(rows))
    }

    fn at(&self, version: i64) -> Answer<Arc<Rows>> {
        if version > self.newest().0 {
            return Err(said(1_009, true));
        }
        let found = self.kept.iter().rev().find(|(kept, _)| *kept <= version);
        found
            .map(|(_, rows)| Arc::clone(rows))
            .ok_or_else(|| said(1_007, true))
    }
}

fn said(code: i32, is_refusal: bool) -> CallError {
    CallError::Said {
        code,
        message: "fake".into(),
        is_refusal,
    }
}

/// A handle on the database. Clones share database and faults, [`Fake::with_faults`] the database only.
#[derive(Clone, Debug)]
pub(super) struct Fake {
    versions: Arc<Mutex<Versions>>,
    committed: Arc<watch::Sender<i64>>,
    pub faults: Arc<Mutex<FakeFaults>>,
    /// How often anything was read.
    pub reads: Arc<AtomicU64>,
    rng: Rng,
}

impl Fake {
    pub fn new(seed: u64) -> Self {
        let first = (1_000_000, Arc::default());
        Self {
            versions: Arc::new(Mutex::new(Versions {
                kept: VecDeque::from([first]),
            })),
            committed: Arc::new(watch::Sender::new(1_000_000)),
            faults: Arc::default(),
            reads: Arc::default(),
            rng: Rng::from_seed(seed),
        }
    }

    /// Another process's handle on the same database.
    pub fn with_faults(&self, faults: FakeFaults) -> Self {
        Self {
            faults: Arc::new(Mutex::new(faults)),
            rng: self.rng.fork("handle"),
            ..self.clone()
        }
    }

    /// Goes back to a version without anything, as a restored database may.
    pub fn set_back(&self) {
        let (_, rows) = self.versions.lock().newest();
        self.versions.lock().kept = VecDeque::from([(5, rows)]);
    }

    async fn network(&self) {
        let wait = Duration::from_micros(200 + self.rng.below(3_000));
        tokio::time::sleep(wait).await;
    }

    async fn reading(&self) -> Answer<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.network().await;
        let failing = self.faults.lock().read_failed;
        match self.rng.chance(failing) {
            true => Err(said(1_031, false)),
            false => Ok(()),
        }
    }

    fn land(&self, writes: Vec<Write>, unchanged: &[(Vec<u8>, i64)]) -> Answer<i64> {
        let mut versions = self.versions.lock();
        let (newest, rows) = versions.newest();
        for (key, since) in unchanged {
            if versions.at(*since)?.get(key) != rows.get(key) {
                return Err(said(1_020, true));
            }
        }
        let version = newest + 1 + i64::try_from(self.rng.below(100_000)).unwrap_or(0);
        let order = u16::try_from(self.rng.below(1_000)).unwrap_or(0);
        let stamp = [&version.to_be_bytes()[..], &order.to_be_bytes()].concat();
        let mut rows = Rows::clone(&rows);
        for write in writes {
            write.apply(&mut rows, &stamp);
        }
        versions.kept.push_back((version, Arc::new(rows)));
        while versions.kept.len() > VERSIONS_KEPT {
            versions.kept.pop_front();
        }
        drop(versions);
        self.committed.send_replace(version);
        Ok(version)
    }
}

#[derive(Clone, Debug)]
enum Write {
    Set(Vec<u8>, Bytes),
    StampedKey(Vec<u8>, Bytes),
    StampedValue(Vec<u8>, Vec<u8>),
    Clear(Vec<u8>, Vec<u8>),
}

impl Write {
    fn apply(self, rows: &mut Rows, stamp: &[u8]) {
        match self {
            Self::Set(key, value) => {
                rows.insert(key, value);
            }
            Self::StampedKey(key, value) => {
                rows.insert(stamped(key, stamp), value);
            }
            Self::StampedValue(key, value) => {
                rows.insert(key, stamped(value, stamp).into());
            }
            Self::Clear(from, to) => rows.retain(|key, _| *key < from || *key >= to),
        }
    }
}

fn stamped(mut bytes: Vec<u8>, stamp: &[u8]) -> Vec<u8> {
    let at = bytes.split_off(bytes.len() - 4);
    let at = u32::from_le_bytes(at.try_into().unwrap()) as usize;
    bytes[at..at + stamp.len()].copy_from_slice(stamp);
    bytes
}

impl Database for Fake {
    fn begin(&self) -> Answer<Box<dyn Transaction>> {
        Ok(Box::new(FakeTransaction {
            fake: self.clone(),
            version: Mutex::default(),
            unchanged: Mutex::default(),
            writes: Mutex::default(),
        }))
    }
}

struct FakeTransaction {
    fake: Fake,
    version: Mutex<Option<i64>>,
    /// Keys read whose change is a conflict.
    unchanged: Mutex<Vec<(Vec<u8>, i64)>>,
    writes: Mutex<Vec<Write>>,
}

impl FakeTransaction {
    fn version(&self) -> i64 {
        let newest = self.fake.versions.lock().newest().0;
        *self.version.lock().get_or_insert(newest)
    }

    async fn rows(&self) -> Answer<Arc<Rows>> {
        self.fake.reading().await?;
        let version = self.version();
        self.fake.versions.lock().at(version)
    }

    fn write(&self, write: Write) {
        self.writes.lock().push(write);
    }
}

#[async_trait]
impl Transaction for FakeTransaction {
    fn read_at(&self, version: i64) {
        *self.version.lock() = Some(version);
    }

    async fn read_version(&self) -> Answer<i64> {
        self.fake.reading().await?;
        Ok(self.version())
    }

    async fn get(&self, key: &[u8], snapshot: bool) -> Answer<Option<Vec<u8>>> {
        let rows = self.rows().await?;
        if !snapshot {
            let read = (key.to_vec(), self.version());
            self.unchanged.lock().push(read);
        }
        Ok(rows.get(key).map(|value| value.to_vec()))
    }

    async fn page(&self, after: &[u8], end: &[u8], bytes_max: usize) -> Answer<Page> {
        let rows = self.rows().await?;
        let range = (Bound::Excluded(after), Bound::Excluded(end));
        let mut page = Page::default();
        let mut bytes = 0;
        // Small pages, so that entries are cut everywhere.
        let bytes_max = bytes_max.min(50_000);
        for (key, value) in rows.range::<[u8], _>(range) {
            if bytes >= bytes_max {
                page.more = true;
                break;
            }
            bytes += key.len() + value.len();
            page.rows.push((key.clone(), value.clone()));
        }
        Ok(page)
    }

    async fn last(&self, from: &[u8], through: &[u8]) -> Answer<Option<(Vec<u8>, Vec<u8>)>> {
        let rows = self.rows().await?;
        if from > through {
            return Ok(None);
        }
        let range = (Bound::Included(from), Bound::Included(through));
        let last = rows.range::<[u8], _>(range).next_back();
        Ok(last.map(|(key, value)| (key.clone(), value.to_vec())))
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.write(Write::Set(key.to_vec(), Bytes::copy_from_slice(value)));
    }

    fn set_stamped_key(&self, key: &[u8], value: &[u8]) {
        assert!(value.len() <= 100_000, "FoundationDB takes no larger value");
        let value = Bytes::copy_from_slice(value);
        self.write(Write::StampedKey(key.to_vec(), value));
    }

    fn set_stamped_value(&self, key: &[u8], value: &[u8]) {
        self.write(Write::StampedValue(key.to_vec(), value.to_vec()));
    }

    fn clear(&self, from: &[u8], to: &[u8]) {
        self.write(Write::Clear(from.to_vec(), to.to_vec()));
    }

    fn watch(&self, key: &[u8]) -> Watch {
        let fake = self.fake.clone();
        let (key, version) = (key.to_vec(), self.version());
        let deaf = fake.rng.chance(fake.faults.lock().deaf);
        Box::pin(async move {
            if deaf {
                std::future::pending::<()>().await;
            }
            let seen = fake.versions.lock().at(version)?.get(&key).cloned();
            let mut committed = fake.committed.subscribe();
            loop {
                let (_, rows) = fake.versions.lock().newest();
                if rows.get(&key) != seen.as_ref() {
                    fake.network().await;
                    return Ok(());
                }
                let _ = committed.changed().await;
            }
        })
    }

    async fn commit(self: Box<Self>) -> Answer<i64> {
        let writes = std::mem::take(&mut *self.writes.lock());
        let unchanged = std::mem::take(&mut *self.unchanged.lock());
        if writes.is_empty() {
            return Ok(-1);
        }
        self.fake.network().await;
        let (faults, rng) = (*self.fake.faults.lock(), &self.fake.rng);
        if rng.chance(faults.refused) {
            return Err(said(1_020, true));
        }
        if rng.chance(faults.lost) {
            return Err(said(1_021, false));
        }
        if rng.chance(faults.late) {
            let fake = self.fake.clone();
            let late = Duration::from_millis(rng.below(10_000));
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                let _ = fake.land(writes, &unchanged);
            });
            return Err(said(1_021, false));
        }
        let version = self.fake.land(writes, &unchanged)?;
        self.fake.network().await;
        match rng.chance(faults.kept) {
            true => Err(said(1_021, false)),
            false => Ok(version),
        }
    }
}
