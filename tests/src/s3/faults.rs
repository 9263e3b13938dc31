//! What is done to requests before they reach the bucket: delays, refusals, silence; and counters.
//!
//! Everything is adjustable while the server runs. Chances are drawn from a seeded generator, so
//! that the same requests in the same order meet the same faults.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::{Method, StatusCode, Uri};
use parking_lot::Mutex;

/// An S3 operation, as a bill would name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// PutObject.
    Put,
    /// GetObject.
    Get,
    /// HeadObject.
    Head,
    /// ListObjects and ListObjectsV2.
    List,
    /// DeleteObject.
    Delete,
    /// DeleteObjects.
    DeleteMany,
    /// CopyObject.
    Copy,
    /// CreateMultipartUpload.
    MultipartCreate,
    /// UploadPart.
    MultipartPut,
    /// CompleteMultipartUpload.
    MultipartComplete,
    /// AbortMultipartUpload.
    MultipartAbort,
    /// Anything else.
    Other,
}

impl Op {
    /// Every operation with its name on the command line and in counters.
    pub const NAMES: [(Op, &'static str); 12] = [
        (Op::Put, "put"),
        (Op::Get, "get"),
        (Op::Head, "head"),
        (Op::List, "list"),
        (Op::Delete, "delete"),
        (Op::DeleteMany, "delete-many"),
        (Op::Copy, "copy"),
        (Op::MultipartCreate, "multipart-create"),
        (Op::MultipartPut, "multipart-put"),
        (Op::MultipartComplete, "multipart-complete"),
        (Op::MultipartAbort, "multipart-abort"),
        (Op::Other, "other"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(op, _)| *op == self)
            .map_or("other", |(_, name)| name)
    }

    /// The operation of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(op, _)| *op)
    }

    /// The operation that a path-style request asks for.
    pub fn of(method: &Method, uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let has = |name: &str| {
            query
                .split('&')
                .any(|pair| pair.split('=').next().unwrap_or_default() == name)
        };
        let mut segments = uri.path().trim_start_matches('/').splitn(2, '/');
        let _bucket = segments.next();
        let on_object = segments.next().is_some_and(|key| !key.is_empty());
        match (method.as_str(), on_object) {
            ("PUT", true) if has("uploadId") => Op::MultipartPut,
            ("PUT", true) => Op::Put,
            ("GET", true) => Op::Get,
            ("HEAD", true) => Op::Head,
            ("DELETE", true) if has("uploadId") => Op::MultipartAbort,
            ("DELETE", true) => Op::Delete,
            ("POST", true) if has("uploadId") => Op::MultipartComplete,
            ("POST", true) if has("uploads") => Op::MultipartCreate,
            ("POST", false) if has("delete") => Op::DeleteMany,
            ("GET", false) => Op::List,
            _ => Op::Other,
        }
    }
}

/// How long a request takes before it has its effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Latency {
    /// Always that long.
    Fixed(Duration),
    /// Log-normal, as object stores are: half below the median, a long tail to the right
    /// (with `sigma` 0.5 the 99th percentile is about 3.2 medians). Never above a minute.
    LogNormal {
        /// Half of all requests take less.
        median: Duration,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// By what is known of an object store: of 100 requests 50 take less than the first, of 100 99
    /// less than the second, of 1,000 999 less than the third. Between and beyond them the tail is a
    /// power of the time. Never below half the first, never above thrice the last.
    Tail {
        /// Half of all requests take less.
        p50: Duration,
        /// One of a hundred takes longer.
        p99: Duration,
        /// One of a thousand takes longer.
        p999: Duration,
    },
}

/// What goes wrong. The ones called `..After` happen once the request has had its effect: the
/// client cannot know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// 503 SlowDown.
    SlowDown,
    /// 500 InternalError, without effect.
    InternalError,
    /// 500 InternalError, after the effect.
    InternalErrorAfter,
    /// 403 AccessDenied, as with credentials taken away.
    AccessDenied,
    /// The connection is closed, without effect.
    Drop,
    /// The connection is closed after the effect.
    DropAfter,
    /// No answer ever, without effect.
    Hang,
    /// No answer ever, after the effect.
    HangAfter,
}

impl Effect {
    const NAMES: [(Effect, &'static str); 8] = [
        (Effect::SlowDown, "slow-down"),
        (Effect::InternalError, "internal-error"),
        (Effect::InternalErrorAfter, "internal-error-after"),
        (Effect::AccessDenied, "access-denied"),
        (Effect::Drop, "drop"),
        (Effect::DropAfter, "drop-after"),
        (Effect::Hang, "hang"),
        (Effect::HangAfter, "hang-after"),
    ];

    /// The effect of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(effect, _)| *effect)
    }

    pub(super) fn is_after(self) -> bool {
        matches!(
            self,
            Effect::InternalErrorAfter | Effect::DropAfter | Effect::HangAfter
        )
    }
}

/// When an effect strikes. The first rule that matches decides.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Operations it is for; none means all.
    pub ops: Vec<Op>,
    /// Only for paths (`/bucket/key`) that contain this.
    pub path_contains: Option<String>,
    /// Chance of striking, 0 to 1.
    pub chance: f64,
    /// How often it may still strike; `None` is for ever.
    pub times: Option<u64>,
    /// What happens.
    pub effect: Effect,
}

impl Rule {
    /// Strikes every request of these operations (none: all), until cleared.
    pub fn always(ops: &[Op], effect: Effect) -> Self {
        Self {
            ops: ops.to_vec(),
            path_contains: None,
            chance: 1.0,
            times: None,
            effect,
        }
    }

    /// The same, but only for paths that contain `part`.
    pub fn on(mut self, part: &str) -> Self {
        self.path_contains = Some(part.to_owned());
        self
    }

    /// The same, at most `times` times.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// The same, with this chance each time.
    pub fn chance(mut self, chance: f64) -> Self {
        self.chance = chance;
        self
    }

    fn matches(&self, op: Op, path: &str) -> bool {
        (self.ops.is_empty() || self.ops.contains(&op))
            && self.times != Some(0)
            && self
                .path_contains
                .as_ref()
                .is_none_or(|part| path.contains(part.as_str()))
    }
}

/// What one operation has cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests received, whatever came of them.
    pub requests: u64,
    /// Of these, answered with a status of 400 or more, or not at all.
    pub failed: u64,
    /// Of these, answered 412: a create-if-absent that came second.
    pub precondition_failed: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
}

/// The counters of every operation that occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<Op, Count>);

impl Counts {
    /// The counters of one operation.
    pub fn of(&self, op: Op) -> Count {
        self.0.get(&op).copied().unwrap_or_default()
    }

    /// `{"put": {"requests": 1, ..}, ..}`.
    pub fn to_json(&self) -> serde_json::Value {
        let rows = self.0.iter().map(|(op, count)| {
            let row = serde_json::json!({
                "requests": count.requests,
                "failed": count.failed,
                "precondition_failed": count.precondition_failed,
                "bytes_in": count.bytes_in,
                "bytes_out": count.bytes_out,
            });
            (op.name().to_owned(), row)
        });
        serde_json::Value::Object(rows.collect())
    }
}

struct Inner {
    latency: BTreeMap<Op, Latency>,
    rules: Vec<Rule>,
    counts: Counts,
    gets: BTreeMap<Get, u64>,
    random: u64,
}

/// What a GetObject asked for: path and range.
pub type Get = (String, Option<String>);

/// So many different ones are counted apart.
const GETS_MAX: usize = 100_000;

/// The knobs and the counters of a server.
pub struct Faults(Mutex<Inner>);

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(Inner {
            latency: BTreeMap::new(),
            rules: Vec::new(),
            counts: Counts::default(),
            gets: BTreeMap::new(),
            random: seed,
        }))
    }

    /// Delays every request of one operation from now on.
    pub fn set_latency(&self, op: Op, latency: Latency) {
        self.0.lock().latency.insert(op, latency);
    }

    /// Adds a rule behind those that are there.
    pub fn add(&self, rule: Rule) {
        self.0.lock().rules.push(rule);
    }

    /// Takes every rule and every delay away.
    pub fn clear(&self) {
        let mut inner = self.0.lock();
        inner.rules.clear();
        inner.latency.clear();
    }

    /// What was counted since the start or the last [`Self::reset_counts`].
    pub fn counts(&self) -> Counts {
        self.0.lock().counts.clone()
    }

    /// Counts from nought again.
    pub fn reset_counts(&self) {
        let mut inner = self.0.lock();
        inner.counts = Counts::default();
        inner.gets.clear();
    }

    /// How often each part of an object was asked for since the start or the last [`Self::reset_counts`], of those whose
    /// path contains `part`.
    pub fn gets(&self, part: &str) -> BTreeMap<Get, u64> {
        let inner = self.0.lock();
        let gets = inner.gets.iter();
        let gets = gets.filter(|((path, _), _)| path.contains(part));
        gets.map(|(get, count)| (get.clone(), *count)).collect()
    }

    /// A GetObject has arrived.
    pub(super) fn asked_for(&self, path: &str, range: Option<&str>) {
        let mut inner = self.0.lock();
        let get = (path.to_owned(), range.map(str::to_owned));
        if inner.gets.len() < GETS_MAX || inner.gets.contains_key(&get) {
            *inner.gets.entry(get).or_default() += 1;
        }
    }

    /// Changes the knobs by text, `NAME=VALUE` joined by `&`:
    /// `clear=`, `seed=N`, `OP-delay-ms=N`, `OP-delay-sigma=F` (after its delay),
    /// `OP-delay-tail=P50:P99:P999` (milliseconds),
    /// `EFFECT=OP[:CHANCE[:TIMES[:PATH PART]]]` with OP a name or `all`.
    pub fn configure(&self, text: &str) -> Result<(), String> {
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.configure_one(name, value)
                .ok_or_else(|| format!("not understood: {pair}"))?;
        }
        Ok(())
    }

    fn configure_one(&self, name: &str, value: &str) -> Option<()> {
        if name == "clear" {
            self.clear();
        } else if name == "seed" {
            self.0.lock().random = value.parse().ok()?;
        } else if let Some(op) = name.strip_suffix("-delay-ms") {
            let delay = Duration::from_millis(value.parse().ok()?);
            self.set_latency(Op::named(op)?, Latency::Fixed(delay));
        } else if let Some(op) = name.strip_suffix("-delay-tail") {
            self.set_latency(Op::named(op)?, parse_tail(value)?);
        } else if let Some(op) = name.strip_suffix("-delay-sigma") {
            let (op, sigma) = (Op::named(op)?, value.parse().ok()?);
            let median = match self.0.lock().latency.get(&op)? {
                Latency::Fixed(median)
                | Latency::LogNormal { median, .. }
                | Latency::Tail { p50: median, .. } => *median,
            };
            self.set_latency(op, Latency::LogNormal { median, sigma });
        } else {
            self.add(parse_rule(Effect::named(name)?, value)?);
        }
        Some(())
    }

    /// How long this request takes and what happens to it.
    pub(super) fn decide(&self, op: Op, path: &str) -> (Option<Duration>, Option<Effect>) {
        let mut inner = self.0.lock();
        let delay = inner.latency.get(&op).copied();
        let delay = delay.map(|latency| latency.sample(&mut inner.random));
        let Inner { rules, random, .. } = &mut *inner;
        for rule in rules.iter_mut().filter(|rule| rule.matches(op, path)) {
            if rule.chance >= 1.0 || unit(random) < rule.chance {
                rule.times = rule.times.map(|times| times - 1);
                return (delay, Some(rule.effect));
            }
        }
        (delay, None)
    }

    pub(super) fn received(&self, op: Op, bytes: usize) {
        let mut inner = self.0.lock();
        let count = inner.counts.0.entry(op).or_default();
        count.requests += 1;
        count.bytes_in += bytes as u64;
    }

    pub(super) fn answered(&self, op: Op, status: StatusCode, bytes: u64) {
        let mut inner = self.0.lock();
        let count = inner.counts.0.entry(op).or_default();
        count.failed += u64::from(status.as_u16() >= 400);
        count.precondition_failed += u64::from(status == StatusCode::PRECONDITION_FAILED);
        count.bytes_out += bytes;
    }
}

fn parse_tail(value: &str) -> Option<Latency> {
    let mut millis = value.split(':').map(|part| part.parse().ok());
    let mut next = || Some(Duration::from_millis(millis.next()??));
    Some(Latency::Tail {
        p50: next()?,
        p99: next()?,
        p999: next()?,
    })
}

fn parse_rule(effect: Effect, value: &str) -> Option<Rule> {
    let mut parts = value.splitn(4, ':');
    let ops = match parts.next()? {
        "" | "all" => Vec::new(),
        op => vec![Op::named(op)?],
    };
    let chance = parts.next().map_or(Some(1.0), |part| part.parse().ok())?;
    let times = match parts.next() {
        None | Some("") => None,
        Some(part) => Some(part.parse().ok()?),
    };
    let path_contains = parts.next().map(str::to_owned);
    Some(Rule {
        ops,
        path_contains,
        chance,
        times,
        effect,
    })
}

impl Latency {
    fn sample(self, random: &mut u64) -> Duration {
        match self {
            Latency::Fixed(delay) => delay,
            Latency::LogNormal { median, sigma } => {
                // Box-Muller: two uniform numbers make one from the normal distribution.
                let radius = (-2.0 * unit(random).max(f64::MIN_POSITIVE).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * unit(random)).cos();
                median
                    .mul_f64((sigma * normal).exp())
                    .min(Duration::from_secs(60))
            }
            Latency::Tail { p50, p99, p999 } => {
                let longer = (1.0 - unit(random)).max(1e-9);
                let (from, to) = match longer {
                    0.5.. => ((1.0, p50 / 2), (0.5, p50)),
                    0.01..0.5 => ((0.5, p50), (0.01, p99)),
                    _ => ((0.01, p99), (0.001, p999)),
                };
                let slope =
                    (to.1.as_secs_f64() / from.1.as_secs_f64()).ln() / f64::ln(to.0 / from.0);
                from.1.mul_f64((longer / from.0).powf(slope)).min(p999 * 3)
            }
        }
    }
}

/// The next number in [0, 1) of a SplitMix64 sequence.
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}
