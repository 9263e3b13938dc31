//! Owns turning a URL and options into a store.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};

use super::Store;
use super::options::StoreOptions;
use super::url::{Bucket, Location, UrlError, parse};

/// Why a store could not be opened. Nothing has been sent over the network yet; whether the store
/// can be reached and trusted is for [`probe`](super::probe()) to find out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL cannot be understood.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The endpoint cannot be used.
    #[error("cannot use {endpoint:?} as the store's endpoint: {fault}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong, and what to do.
        fault: String,
    },
    /// The folder cannot be created or entered.
    #[error("cannot use the folder {folder} as a store: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The options or the environment do not add up to a client.
    #[error("cannot make a client for {url}: {source}{advice}")]
    Client {
        /// What was given.
        url: String,
        /// What is missing or wrong.
        source: object_store::Error,
        /// What to do, if it is known.
        advice: &'static str,
    },
}

/// What names the account of an Azure store: it is not part of the URL.
const AZURE_ACCOUNT: &str = "; it is taken from the environment (AZURE_STORAGE_ACCOUNT_NAME, and \
                             AZURE_STORAGE_ACCOUNT_KEY or another credential)";

/// Opens the store at `url`: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`,
/// `file:///folder`, `./folder` or `memory://`.
///
/// SUBTLE: each call for `memory://` makes a store of its own; hand on the one you have.
///
/// # Errors
/// See [`StoreError`].
pub fn open(url: &str, options: &StoreOptions) -> Result<Store, StoreError> {
    let location = parse(url)?;
    if let (Location::Google(_) | Location::Azure(_), Some(endpoint)) =
        (&location, &options.endpoint)
    {
        return Err(StoreError::Endpoint {
            endpoint: endpoint.clone(),
            fault: "it is for s3:// only".to_string(),
        });
    }
    let client = |source: object_store::Error| StoreError::Client {
        advice: match source.to_string().contains("Account must be specified") {
            true => AZURE_ACCOUNT,
            false => "",
        },
        url: url.to_string(),
        source,
    };
    match location {
        Location::Memory => Ok(Arc::new(InMemory::new())),
        Location::Folder(folder) => open_folder(&folder),
        Location::S3(bucket) => Ok(within(open_s3(&bucket, options, client)?, bucket)),
        Location::Google(bucket) => {
            let mut builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(&bucket.name)
                .with_retry(retry_config(options));
            for (key, value) in client_config(options) {
                builder = builder.with_config(GoogleConfigKey::Client(key), value);
            }
            Ok(within(builder.build().map_err(client)?, bucket))
        }
        Location::Azure(bucket) => {
            let mut builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(&bucket.name)
                .with_retry(retry_config(options));
            for (key, value) in client_config(options) {
                builder = builder.with_config(AzureConfigKey::Client(key), value);
            }
            Ok(within(builder.build().map_err(client)?, bucket))
        }
    }
}

/// Opens the store at `url` with `count` clients that share no connections, so that one duty
/// cannot use up another's. Stores in memory or a folder need no connections and are shared.
///
/// # Errors
/// See [`StoreError`].
pub fn open_clients(
    url: &str,
    options: &StoreOptions,
    count: usize,
) -> Result<Vec<Store>, StoreError> {
    match parse(url)? {
        Location::Memory | Location::Folder(_) => Ok(vec![open(url, options)?; count]),
        Location::S3(_) | Location::Google(_) | Location::Azure(_) => {
            (0..count).map(|_| open(url, options)).collect()
        }
    }
}

fn open_folder(folder: &std::path::Path) -> Result<Store, StoreError> {
    let fault = |source| StoreError::Folder {
        folder: folder.display().to_string(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(fault)?;
    let store = LocalFileSystem::new_with_prefix(folder)
        .map_err(|error| fault(std::io::Error::other(error)))?;
    Ok(Arc::new(store.with_fsync(true)))
}

fn within<T: ObjectStore>(store: T, bucket: Bucket) -> Store {
    if bucket.prefix.is_root() {
        Arc::new(store)
    } else {
        Arc::new(PrefixStore::new(store, bucket.prefix))
    }
}

fn open_s3(
    bucket: &Bucket,
    options: &StoreOptions,
    client: impl Fn(object_store::Error) -> StoreError,
) -> Result<AmazonS3, StoreError> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&bucket.name)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retry_config(options));
    for (key, value) in client_config(options) {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    let set = |key, value: &Option<String>, builder: AmazonS3Builder| match value {
        Some(value) => builder.with_config(key, value),
        None => builder,
    };
    builder = set(AmazonS3ConfigKey::Region, &options.region, builder);
    builder = set(
        AmazonS3ConfigKey::AccessKeyId,
        &options.access_key_id,
        builder,
    );
    builder = set(
        AmazonS3ConfigKey::SecretAccessKey,
        &options.secret_access_key,
        builder,
    );
    if let Some(virtual_hosted) = options.virtual_hosted {
        builder = builder.with_virtual_hosted_style_request(virtual_hosted);
    }

    let from_env = |key| builder.get_config_value(&key);
    let endpoint = options
        .endpoint
        .clone()
        .or_else(|| from_env(AmazonS3ConfigKey::S3Endpoint))
        .or_else(|| from_env(AmazonS3ConfigKey::Endpoint));
    let virtual_hosted =
        from_env(AmazonS3ConfigKey::VirtualHostedStyleRequest).is_some_and(|value| is_true(&value));
    let allow_http = options.allow_http
        || from_env(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp))
            .is_some_and(|value| is_true(&value));

    let mut trusted = true;
    if let Some(endpoint) = &endpoint {
        let endpoint = Endpoint::parse(endpoint, allow_http)?;
        trusted = endpoint.tls || endpoint.loopback;
        let address = if virtual_hosted {
            endpoint.with(&bucket.name)
        } else {
            endpoint.address()
        };
        builder = builder
            .with_allow_http(!endpoint.tls || allow_http)
            .with_config(AmazonS3ConfigKey::S3Endpoint, address);
    }
    builder
        .with_unsigned_payload(options.unsigned_payload.unwrap_or(trusted))
        .with_disable_bulk_delete(!options.bulk_delete.unwrap_or(endpoint.is_none()))
        .build()
        .map_err(client)
}

/// The address of an S3 server, judged.
#[derive(Debug)]
struct Endpoint {
    url: ::url::Url,
    tls: bool,
    loopback: bool,
}

impl Endpoint {
    fn parse(text: &str, allow_http: bool) -> Result<Self, StoreError> {
        let fault = |fault: String| StoreError::Endpoint {
            endpoint: text.to_string(),
            fault,
        };
        let write = "write it as https://host or http://127.0.0.1:9000";
        let url = ::url::Url::parse(text).map_err(|error| fault(format!("{error}; {write}")))?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(fault(format!("its scheme is {other:?}; {write}"))),
        };
        let loopback = match url.host() {
            Some(::url::Host::Ipv4(address)) => address.is_loopback(),
            Some(::url::Host::Ipv6(address)) => address.is_loopback(),
            Some(::url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => return Err(fault(format!("it names no host; {write}"))),
        };
        if !tls && !loopback && !allow_http {
            return Err(fault(
                "plain HTTP would send everything readable over the network; use https, or \
                 permit it with the setting for plain HTTP"
                    .to_string(),
            ));
        }
        Ok(Self { url, tls, loopback })
    }

    fn address(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_string()
    }

    /// The address with the bucket's name in front of the host, unless it is there already.
    fn with(&self, bucket: &str) -> String {
        let host = self.url.host_str().unwrap_or_default();
        if host.starts_with(&format!("{bucket}.")) {
            return self.address();
        }
        self.address()
            .replacen(host, &format!("{bucket}.{host}"), 1)
    }
}

fn retry_config(options: &StoreOptions) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
        },
        max_retries: options.retries,
        retry_timeout: options.retry_budget,
    }
}

/// Set one by one, because a whole `ClientOptions` would wipe out what the environment says, such
/// as a proxy.
fn client_config(options: &StoreOptions) -> Vec<(ClientConfigKey, String)> {
    let millis = |time: Duration| format!("{}ms", time.as_millis());
    let mut config = vec![
        (ClientConfigKey::Timeout, millis(options.request_timeout)),
        (
            ClientConfigKey::ConnectTimeout,
            millis(options.connect_timeout),
        ),
    ];
    if options.allow_http {
        config.push((ClientConfigKey::AllowHttp, "true".to_string()));
    }
    config
}

/// As the client itself reads a yes from the environment.
fn is_true(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "1" | "true" | "on" | "yes" | "y"
    )
}

#[cfg(test)]
mod tests;
