//! An S3 server in memory: atomic conditional puts, counted requests, faults on demand.
//!
//! It owns its objects and nothing else; dropping [`S3Server`] stops it. Every request passes
//! [`Faults`] first, so that what happens to it is decided in one place, and then `s3s`, which
//! speaks the protocol (signatures included) for [`Bucket`].

mod bucket;
mod faults;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub use bucket::Bucket;
pub use faults::{Count, Counts, Effect, Faults, Get, Latency, Op, Rule};

/// The only bucket there is.
pub const BUCKET: &str = "millrace";
/// The access key that the server accepts.
pub const ACCESS_KEY: &str = "test";
/// Its secret.
pub const SECRET_KEY: &str = "test-secret";
/// The region that clients sign for.
pub const REGION: &str = "us-east-1";

/// A running server. Cheap to share through its [`Faults`] and [`Bucket`].
pub struct S3Server {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Name of the bucket, [`BUCKET`].
    pub bucket: &'static str,
    /// What it does to requests, and what it counted.
    pub faults: Arc<Faults>,
    /// What it stores.
    pub objects: Arc<Bucket>,
    stop: CancellationToken,
}

impl S3Server {
    /// Starts on a port of 127.0.0.1 that the system picks, without faults or delays.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts on a given address; port 0 picks one.
    pub async fn start_on(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let faults = Arc::new(Faults::new(1));
        let objects = Arc::new(Bucket::default());
        let stop = CancellationToken::new();
        let mut builder = S3ServiceBuilder::new(bucket::Api(objects.clone()));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = Arc::new(builder.build());
        tokio::spawn(accept(listener, service, faults.clone(), stop.clone()));
        Ok(Self {
            url,
            bucket: BUCKET,
            faults,
            objects,
            stop,
        })
    }

    /// The environment in which a process finds this server through the usual AWS variables.
    pub fn env(&self) -> Vec<(String, String)> {
        let pairs = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_REGION", REGION),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    /// An `object_store` client for this server: patient settings are the caller's to change.
    pub fn client(&self) -> object_store::aws::AmazonS3Builder {
        object_store::aws::AmazonS3Builder::new()
            .with_endpoint(&self.url)
            .with_bucket_name(BUCKET)
            .with_region(REGION)
            .with_access_key_id(ACCESS_KEY)
            .with_secret_access_key(SECRET_KEY)
            .with_allow_http(true)
    }

    /// Stops listening and closes every connection.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(
    listener: TcpListener,
    service: Arc<S3Service>,
    faults: Arc<Faults>,
    stop: CancellationToken,
) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Running out of descriptors is the only error to expect: the next accept reports it again.
        let Ok((stream, _)) = stream else { continue };
        let connection = serve(stream, service.clone(), faults.clone());
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection => {}
            }
        });
    }
}

async fn serve(stream: TcpStream, service: Arc<S3Service>, faults: Arc<Faults>) {
    let _ = stream.set_nodelay(true);
    let handler = hyper::service::service_fn(move |request| {
        let (service, faults) = (service.clone(), faults.clone());
        async move { respond(&service, &faults, request).await }
    });
    // An error is a connection that the client or a fault has closed.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), handler)
        .await;
}

/// Why a connection is closed without a response.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("connection dropped")
    }
}

impl std::error::Error for Dropped {}

impl From<Infallible> for Dropped {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn respond(
    service: &Arc<S3Service>,
    faults: &Arc<Faults>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    if let Some(command) = request.uri().path().strip_prefix("/-/") {
        let query = request.uri().query().unwrap_or_default();
        return Ok(control(faults, request.method(), command, query));
    }
    let op = Op::of(request.method(), request.uri());
    let (head, body) = request.into_parts();
    let body = whole(body).await?;
    faults.received(op, body.len());
    if op == Op::Get {
        let range = head.headers.get(hyper::header::RANGE);
        let range = range.and_then(|range| range.to_str().ok());
        faults.asked_for(head.uri.path(), range);
    }
    // As with the real ones: a request that is here has its effect, whether or not its sender waits.
    let carried_out = carry_out(service.clone(), faults.clone(), op, head, body);
    tokio::spawn(carried_out).await.map_err(|_| Dropped)?
}

/// A body in one piece. It is copied as it arrives: to copy a large one at its end would stop a
/// thread, and every request that this thread serves, for as long.
async fn whole(mut body: Incoming) -> Result<Bytes, Dropped> {
    let length = usize::try_from(body.size_hint().lower()).map_err(|_| Dropped)?;
    let mut whole = BytesMut::with_capacity(length.min(256 << 20));
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Dropped)?.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

async fn carry_out(
    service: Arc<S3Service>,
    faults: Arc<Faults>,
    op: Op,
    head: hyper::http::request::Parts,
    body: Bytes,
) -> Result<Response<Body>, Dropped> {
    let (delay, effect) = faults.decide(op, head.uri.path());
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
    if let Some(effect) = effect.filter(|effect| !effect.is_after()) {
        return effect_response(&faults, op, effect).await;
    }
    let request = Request::from_parts(head, Body::from(body));
    let response = service.call(request).await.map_err(|_| Dropped)?;
    if let Some(effect) = effect {
        return effect_response(&faults, op, effect).await;
    }
    faults.answered(op, response.status(), content_length(&response));
    Ok(response)
}

/// What a client sees of a fault, whether or not the request had its effect before.
async fn effect_response(
    faults: &Faults,
    op: Op,
    effect: Effect,
) -> Result<Response<Body>, Dropped> {
    let (status, code) = match effect {
        Effect::SlowDown => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Effect::InternalError | Effect::InternalErrorAfter => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
        }
        Effect::AccessDenied => (StatusCode::FORBIDDEN, "AccessDenied"),
        Effect::Drop | Effect::DropAfter => {
            faults.answered(op, StatusCode::BAD_GATEWAY, 0);
            return Err(Dropped);
        }
        Effect::Hang | Effect::HangAfter => {
            faults.answered(op, StatusCode::GATEWAY_TIMEOUT, 0);
            return std::future::pending().await;
        }
    };
    faults.answered(op, status, 0);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code>\
         <Message>injected</Message></Error>"
    );
    Ok(response(status, "application/xml", body))
}

/// `GET /-/counts`, `POST /-/reset`, `POST /-/faults?RULE` (see [`Faults::configure`]): for those
/// who run the server as a process.
fn control(faults: &Faults, method: &Method, command: &str, query: &str) -> Response<Body> {
    match (method.as_str(), command) {
        ("GET", "counts") => response(
            StatusCode::OK,
            "application/json",
            faults.counts().to_json().to_string(),
        ),
        ("POST", "reset") => {
            faults.reset_counts();
            response(StatusCode::OK, "text/plain", String::new())
        }
        ("POST", "faults") => match faults.configure(query) {
            Ok(()) => response(StatusCode::OK, "text/plain", String::new()),
            Err(why) => response(StatusCode::BAD_REQUEST, "text/plain", why),
        },
        _ => response(StatusCode::NOT_FOUND, "text/plain", String::new()),
    }
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = hyper::header::HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, content_type);
    response
}

fn content_length(response: &Response<Body>) -> u64 {
    let declared = response.headers().get(hyper::header::CONTENT_LENGTH);
    declared
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}
