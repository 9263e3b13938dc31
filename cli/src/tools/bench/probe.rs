//! What is read from beside the Kafka protocol: a process's CPU time, an agent's metrics.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::cost::{StoreRequests, value};
use super::store_latency::StoreLatencies;

/// Clock ticks per second in /proc: 100 on every Linux that user space sees.
const TICKS_PER_SECOND: f64 = 100.0;
/// Longest wait for a page of metrics.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);
/// The gauge of an agent's bound of memory, in its /metrics.
const MEMORY_BOUND_METRIC: &str = "millrace_memory_bound_bytes";
/// Largest page of metrics.
const PAGE_BYTES_MAX: u64 = 16 << 20;

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// Process id of the broker.
    pub pid: Option<u32>,
    /// Admin addresses of agents and compactors, whose requests are added up.
    pub admin: Vec<String>,
}

/// Counters at one moment.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// CPU seconds of the broker, user and system.
    pub broker_cpu: Option<f64>,
    /// CPU seconds of this process.
    pub client_cpu: Option<f64>,
    /// The memory of the broker.
    pub memory: Memory,
    /// Requests to the object store.
    pub store: Option<StoreRequests>,
    /// How long they took.
    pub store_latencies: StoreLatencies,
}

/// Resident memory of the broker, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The most since it started.
    pub highest: Option<u64>,
    /// The most in a phase.
    pub peak: Option<u64>,
    /// The most that its settings let it take, by its own metrics.
    pub bound: Option<u64>,
}

impl Memory {
    /// After a phase that began with `before`, in which no more than `seen` was found when it was looked at. If there has
    /// never been more than in this phase, its peak is known exactly.
    fn of_phase(self, before: &Self, seen: Option<u64>) -> Self {
        let grew = self.highest > before.highest;
        Self {
            peak: if grew { self.highest } else { seen },
            ..self
        }
    }

    /// What is wrong with it, if it was ever more than its bound.
    pub fn excess(&self) -> Option<String> {
        let (highest, bound) = self.highest.zip(self.bound)?;
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        (highest > bound).then(|| {
            let (highest, bound) = (mib(highest), mib(bound));
            format!("the broker took {highest} MiB of memory, more than its bound of {bound} MiB")
        })
    }
}

impl Probe {
    /// Resident memory of the broker now, in bytes.
    pub fn resident(&self) -> Option<u64> {
        resident_bytes(self.pid?).ok()
    }

    /// Reads what can be read.
    pub async fn read(&self) -> Result<Counters, String> {
        let broker_cpu = self.pid.map(|pid| {
            cpu_seconds(pid).map_err(|error| format!("CPU time of process {pid}: {error}"))
        });
        let mut store = (!self.admin.is_empty()).then(StoreRequests::default);
        let mut store_latencies = StoreLatencies::default();
        let mut bound = None;
        for url in &self.admin {
            let page = tokio::time::timeout(SCRAPE_TIMEOUT, scrape(url)).await;
            let page = page.map_err(|_| format!("{url}: no metrics within 10 s"))?;
            let page = page.map_err(|error| format!("{url}: {error}"))?;
            store.get_or_insert_default().add_page(&page);
            store_latencies.add_page(&page);
            // Of several agents that of the first, which is to be the one of --broker-pid.
            bound = bound.or_else(|| value(&page, MEMORY_BOUND_METRIC));
        }
        let client_cpu = cpu_seconds(std::process::id()).ok();
        Ok(Counters {
            broker_cpu: broker_cpu.transpose()?,
            client_cpu,
            memory: Memory {
                highest: self.pid.and_then(|pid| memory_bytes(pid, "VmHWM:").ok()),
                peak: None,
                bound: bound.map(|bytes| bytes as u64),
            },
            store,
            store_latencies,
        })
    }
}

impl Counters {
    /// What was added since `before`, and the peak of memory, of which `memory_seen` was the most that was seen.
    pub fn since(&self, before: &Self, memory_seen: Option<u64>) -> Self {
        let difference = |now: Option<f64>, then: Option<f64>| Some(now? - then?);
        Self {
            broker_cpu: difference(self.broker_cpu, before.broker_cpu),
            client_cpu: difference(self.client_cpu, before.client_cpu),
            memory: self.memory.of_phase(&before.memory, memory_seen),
            store: self
                .store
                .as_ref()
                .zip(before.store.as_ref())
                .map(|(n, b)| n.since(b)),
            store_latencies: self.store_latencies.since(&before.store_latencies),
        }
    }
}

/// CPU seconds a process has used, of all its threads, living and ended.
fn cpu_seconds(pid: u32) -> Result<f64, String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    let stat = stat.map_err(|error| error.to_string())?;
    parse_stat(&stat).ok_or_else(|| "/proc/PID/stat does not parse".to_owned())
}

/// Resident memory of a process, in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64, String> {
    memory_bytes(pid, "VmRSS:")
}

fn memory_bytes(pid: u32, field: &str) -> Result<u64, String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.map_err(|error| format!("memory of process {pid}: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib << 10)
        .ok_or_else(|| format!("memory of process {pid}: /proc/{pid}/status does not parse"))
}

/// Fields 14 and 15 of /proc/PID/stat; the command's name before them may hold anything.
fn parse_stat(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

/// The page of metrics of an admin address such as http://127.0.0.1:9644.
async fn scrape(url: &str) -> Result<String, String> {
    let (host, path) = host_and_path(url)?;
    let io = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(&host).await.map_err(io)?;
    // HTTP/1.0: the answer is not chunked, and ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: text/plain\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(io)?;
    let mut answer = Vec::new();
    stream
        .take(PAGE_BYTES_MAX)
        .read_to_end(&mut answer)
        .await
        .map_err(io)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
    let status = head.split_whitespace().nth(1).unwrap_or("");
    if status != "200" {
        return Err(format!("HTTP status {status}"));
    }
    Ok(body.to_owned())
}

fn host_and_path(url: &str) -> Result<(String, String), String> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    if rest.contains("://") {
        return Err("only http:// is understood".into());
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = if path.is_empty() { "metrics" } else { path };
    let host = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    Ok((host, format!("/{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_hostile_name() {
        let stat = "42 (a) b 9 (c)) S 1 42 42 0 -1 4194560 500 0 0 0 250 50 1 1 20 0 9 0 100 0";
        assert_eq!(parse_stat(stat), Some(3.0));
        assert_eq!(parse_stat("42 (a) S 1"), None);
        assert!(cpu_seconds(std::process::id()).is_ok());
        assert!(resident_bytes(std::process::id()).is_ok_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn the_metrics_page_is_the_default() {
        let of = |url| host_and_path(url).unwrap();
        assert_eq!(
            of("http://127.0.0.1:9644"),
            ("127.0.0.1:9644".into(), "/metrics".into())
        );
        assert_eq!(of("host:1/m?x=1"), ("host:1".into(), "/m?x=1".into()));
        assert!(host_and_path("https://h").is_err());
    }

    #[test]
    fn the_peak_of_a_phase_is_exact_where_it_was_never_higher() {
        let memory = |highest| Memory {
            highest: Some(highest),
            bound: Some(100),
            peak: None,
        };
        let (before, after) = (memory(70), memory(90));
        assert_eq!(after.of_phase(&before, Some(80)).peak, Some(90));
        assert_eq!(before.of_phase(&before, Some(60)).peak, Some(60));
        assert_eq!(Memory::default().of_phase(&before, None).peak, None);
    }

    #[test]
    fn more_memory_than_the_bound_is_told() {
        let memory = |highest, bound| Memory {
            highest,
            bound,
            peak: None,
        };
        assert_eq!(memory(Some(9), Some(9)).excess(), None);
        assert_eq!(memory(Some(9), None).excess(), None);
        assert_eq!(memory(None, Some(9)).excess(), None);
        let told = memory(Some(300 << 20), Some(200 << 20)).excess().unwrap();
        assert!(
            told.contains("300 MiB") && told.contains("200 MiB"),
            "{told}"
        );
    }

    #[tokio::test]
    async fn metrics_are_read_over_http() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = socket.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /metrics HTTP/1.0\r\n"));
            let page = "millrace_store_requests_total{operation=\"put\"} 3\n\
                        millrace_memory_bound_bytes 1048576\n";
            let answer = format!(
                "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{page}",
                page.len()
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
        });
        let probe = Probe {
            pid: None,
            admin: vec![url],
        };
        let counters = probe.read().await.unwrap();
        assert_eq!(counters.store.unwrap().puts(), 3);
        assert_eq!(counters.memory.bound, Some(1 << 20));
        server.await.unwrap();
        assert!(probe.read().await.is_err(), "nobody listens any more");
    }
}
