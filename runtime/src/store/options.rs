//! Owns how a store is reached: what may be set, and what holds where nothing is.

use std::time::Duration;

/// How to reach a store. What is `None` comes from the environment the store's own tools use
/// (`AWS_*`, `GOOGLE_*`, `AZURE_*`), else from the defaults told here.
#[derive(Clone)]
pub struct StoreOptions {
    /// S3 only: the server's address, such as `http://127.0.0.1:9000`. Default: AWS.
    pub endpoint: Option<String>,
    /// S3 only: the region. Default: `us-east-1`.
    pub region: Option<String>,
    /// S3 only: the bucket's name goes into the host (`bucket.host`), not the path (`host/bucket`).
    /// Default: the path.
    pub virtual_hosted: Option<bool>,
    /// S3 only: the access key. Default: the environment, then the machine's own role.
    pub access_key_id: Option<String>,
    /// S3 only: the secret that belongs to the access key.
    pub secret_access_key: Option<String>,
    /// Permit plain HTTP to other machines. It always is permitted to this machine (loopback).
    pub allow_http: bool,
    /// S3 only: leave the body out of the signature, which spares hashing every byte (70 ms for
    /// 8 MiB). Every run carries a CRC32C of ours. Default: yes over TLS or to this machine.
    pub unsigned_payload: Option<bool>,
    /// S3 only: delete up to 1,000 objects in a request. Default: only on AWS itself (no endpoint
    /// set), because not every other server knows the request; the price elsewhere is a request
    /// for each object deleted.
    pub bulk_delete: Option<bool>,
    /// The longest one HTTP request may take, body included, before it is given up.
    pub request_timeout: Duration,
    /// The longest establishing a connection may take.
    pub connect_timeout: Duration,
    /// How often the client itself repeats a failed request. Small: the caller knows better, and
    /// repeats with [`retry`](super::retry::retry) within its own budget.
    pub retries: usize,
    /// After this long since the first attempt the client repeats no more.
    pub retry_budget: Duration,
    /// How many of a hundred requests may be sent twice because the first takes unusually long.
    pub hedge_percent: u32,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            virtual_hosted: None,
            access_key_id: None,
            secret_access_key: None,
            allow_http: false,
            unsigned_payload: None,
            bulk_delete: None,
            request_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            retries: 2,
            retry_budget: Duration::from_secs(5),
            hedge_percent: 5,
        }
    }
}

impl std::fmt::Debug for StoreOptions {
    /// Shows everything but the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("virtual_hosted", &self.virtual_hosted)
            .field("access_key_id", &self.access_key_id)
            .field(
                "secret_access_key",
                &self.secret_access_key.as_ref().map(|_| "(hidden)"),
            )
            .field("allow_http", &self.allow_http)
            .field("unsigned_payload", &self.unsigned_payload)
            .field("bulk_delete", &self.bulk_delete)
            .field("request_timeout", &self.request_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("retries", &self.retries)
            .field("retry_budget", &self.retry_budget)
            .field("hedge_percent", &self.hedge_percent)
            .finish()
    }
}
