//! Owns the small HTTP server for operators: `/metrics`, `/healthz`, `/readyz`.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::readiness::Readiness;
use super::recorder::Metrics;

/// How long connections may keep the server open once it is asked to stop.
const CLOSING: Duration = Duration::from_secs(1);

/// The server, bound and not yet serving.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
    routes: Router,
}

impl AdminServer {
    /// Binds to `address`; port 0 takes any that is free.
    ///
    /// - `/metrics`: every metric, in Prometheus' text format.
    /// - `/healthz`: 200 as long as the process works; 500 once a task of it has failed.
    /// - `/readyz`: 200 if every condition of `readiness` is met, else 503 and those that are not.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        metrics: Metrics,
        readiness: Readiness,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let liveness = readiness.clone();
        let routes = Router::new()
            .route("/healthz", get(move || async move { alive(&liveness) }))
            .route("/readyz", get(move || async move { ready(&readiness) }))
            .route("/metrics", get(move || async move { scrape(&metrics) }));
        Ok(Self {
            listener,
            address,
            routes,
        })
    }

    /// The address it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, and then for as long as requests under way take, at most a second.
    /// Let it outlive the drain, so that the end can be watched.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let stop = async move {
            stop.await;
            let _ = stopping.send(());
        };
        let closing = async move {
            match stopped.await {
                Ok(()) => tokio::time::sleep(CLOSING).await,
                Err(_) => std::future::pending().await,
            }
        };
        let serving = axum::serve(self.listener, self.routes).with_graceful_shutdown(stop);
        tokio::select! {
            served = serving => served,
            () = closing => Ok(()),
        }
    }
}

fn alive(readiness: &Readiness) -> (StatusCode, String) {
    match readiness.failure() {
        None => (StatusCode::OK, "ok\n".to_string()),
        Some(why) => (StatusCode::INTERNAL_SERVER_ERROR, why + "\n"),
    }
}

fn ready(readiness: &Readiness) -> (StatusCode, String) {
    let unmet = readiness.unmet();
    if unmet.is_empty() {
        return (StatusCode::OK, "ready\n".to_string());
    }
    (StatusCode::SERVICE_UNAVAILABLE, unmet.join("\n") + "\n")
}

fn scrape(metrics: &Metrics) -> impl IntoResponse + use<> {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        metrics.render(),
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;
    use crate::shutdown::Shutdown;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn start(readiness: &Readiness) -> (SocketAddr, Shutdown, tokio::task::JoinHandle<()>) {
        let any = "127.0.0.1:0".parse().unwrap();
        let metrics = Metrics::install().unwrap();
        let server = AdminServer::bind(any, metrics, readiness.clone())
            .await
            .unwrap();
        let (address, stop) = (server.address(), Shutdown::default());
        let stopped = stop.clone();
        let serving = server.serve(async move { stopped.begun().await });
        (
            address,
            stop,
            tokio::spawn(async move { serving.await.unwrap() }),
        )
    }

    #[tokio::test]
    async fn readiness_lists_what_is_missing() {
        let ending = Shutdown::default();
        let readiness = Readiness::new(&ending);
        let store = readiness.condition("store");
        let log = readiness.condition("metadata log");
        let (address, stop, serving) = start(&readiness).await;

        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(
            answer.ends_with("metadata log: not yet\nstore: not yet\n"),
            "{answer}"
        );
        store.met();
        log.unmet("12 entries behind");
        assert!(
            get(address, "/readyz")
                .await
                .ends_with("\r\n\r\nmetadata log: 12 entries behind\n")
        );
        log.met();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        ending.begin();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));

        stop.begin();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_process_with_a_dead_task_is_not_healthy() {
        let ending = Shutdown::default();
        let (address, stop, serving) = start(&Readiness::new(&ending)).await;
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        crate::tasks::spawn("tail", &ending, async { panic!("lost") });
        ending.begun().await;
        let answer = get(address, "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        assert!(answer.ends_with("task tail failed: lost\n"), "{answer}");
        stop.begin();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn metrics_are_shown() {
        let (address, stop, serving) = start(&Readiness::new(&Shutdown::default())).await;
        metrics::counter!("millrace_shown_total", "duty" => "tool").increment(2);
        let answer = get(address, "/metrics").await;
        assert!(
            answer.contains("millrace_shown_total{duty=\"tool\"} 2"),
            "{answer}"
        );
        stop.begin();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn an_idle_connection_cannot_keep_it_open() {
        let (address, stop, serving) = start(&Readiness::new(&Shutdown::default())).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET /met").await.unwrap();
        stop.begin();
        serving.await.unwrap();
    }
}
