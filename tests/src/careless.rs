//! An S3 server that takes every PUT, whatever its conditions: two writers of one key overwrite each other. Such servers
//! exist; nothing must be kept in one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ETAG, LAST_MODIFIED};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

type Objects = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// A running server; dropping it stops it. Signatures are not looked at.
pub struct CarelessServer {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    objects: Objects,
    accepting: AbortHandle,
}

impl CarelessServer {
    /// Starts on a port that the system picks.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let objects = Objects::default();
        let accepting = tokio::spawn(accept(listener, objects.clone())).abort_handle();
        Ok(Self {
            url,
            objects,
            accepting,
        })
    }

    /// The paths that hold something.
    pub fn paths(&self) -> Vec<String> {
        self.objects.lock().keys().cloned().collect()
    }
}

impl Drop for CarelessServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, objects: Objects) {
    while let Ok((stream, _)) = listener.accept().await {
        let objects = objects.clone();
        let service = hyper::service::service_fn(move |request| respond(request, objects.clone()));
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

async fn respond(
    request: Request<Incoming>,
    objects: Objects,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let mut objects = objects.lock();
    let (status, body) = match method {
        Method::PUT => {
            objects.insert(path, body);
            (StatusCode::OK, Bytes::new())
        }
        Method::DELETE => {
            objects.remove(&path);
            (StatusCode::NO_CONTENT, Bytes::new())
        }
        _ => match objects.get(&path) {
            Some(found) => (StatusCode::OK, found.clone()),
            None => (StatusCode::NOT_FOUND, Bytes::new()),
        },
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ETAG, hyper::header::HeaderValue::from_static("\"same\""));
    let modified = hyper::header::HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT");
    headers.insert(LAST_MODIFIED, modified);
    Ok(response)
}
