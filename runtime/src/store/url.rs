//! Owns the forms in which a user names a store. Pure.

use std::path::PathBuf;

use object_store::path::Path;

/// Where a store is, as its URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `memory://`: in this process, gone with it.
    Memory,
    /// `file:///folder`, `/folder`, `./folder`: a folder on this machine.
    Folder(PathBuf),
    /// `s3://bucket/prefix`: Amazon S3 or a server that speaks its protocol.
    S3(Bucket),
    /// `gs://bucket/prefix`: Google Cloud Storage.
    Google(Bucket),
    /// `az://container/prefix`: Azure Blob Storage.
    Azure(Bucket),
}

/// A bucket and the folder in it under which everything is kept; the root if empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The bucket's (Azure: container's) name.
    pub name: String,
    /// The folder.
    pub prefix: Path,
}

/// A store's URL cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("cannot use {url:?} as a store: {fault}")]
pub struct UrlError {
    /// What was given.
    pub url: String,
    /// What is wrong, and what to write instead.
    pub fault: String,
}

const FORMS: &str = "write s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, \
                     file:///folder, ./folder or memory://";

/// Reads a store's URL.
///
/// # Errors
/// If it has none of the known forms; the error says which there are.
pub fn parse(url: &str) -> Result<Location, UrlError> {
    let fault = |fault: String| UrlError {
        url: url.to_string(),
        fault,
    };
    if url.trim() != url || url.is_empty() {
        return Err(fault(format!(
            "it is empty or surrounded by spaces; {FORMS}"
        )));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        if url.starts_with('/') || url == "." || url.starts_with("./") || url.starts_with("../") {
            return Ok(Location::Folder(PathBuf::from(url)));
        }
        return Err(fault(format!("it has no scheme; {FORMS}")));
    };
    if rest.contains(['?', '#', '@']) {
        let settings = "keys, regions and endpoints are settings, not parts of the URL";
        return Err(fault(format!("it has one of `?`, `#`, `@`; {settings}")));
    }
    match scheme {
        "memory" if rest.is_empty() || rest == "/" => Ok(Location::Memory),
        "memory" => Err(fault(
            "a memory store has no name; write memory://".to_string(),
        )),
        "file" if rest.starts_with('/') => Ok(Location::Folder(folder(url).map_err(fault)?)),
        "file" => Err(fault(
            "the folder must be absolute (three slashes: file:///folder); \
                             for one relative to here write ./folder"
                .to_string(),
        )),
        "s3" | "s3a" => Ok(Location::S3(bucket(scheme, rest).map_err(fault)?)),
        "gs" | "gcs" => Ok(Location::Google(bucket(scheme, rest).map_err(fault)?)),
        "az" | "azure" => Ok(Location::Azure(bucket(scheme, rest).map_err(fault)?)),
        "http" | "https" => Err(fault(
            "name the bucket (s3://bucket/prefix) and give the server's address as the endpoint \
             setting"
                .to_string(),
        )),
        other => Err(fault(format!("the scheme {other:?} is not known; {FORMS}"))),
    }
}

fn folder(url: &str) -> Result<PathBuf, String> {
    let parsed = ::url::Url::parse(url).map_err(|e| e.to_string())?;
    parsed
        .to_file_path()
        .map_err(|()| "it names no folder; write file:///folder".to_string())
}

fn bucket(scheme: &str, rest: &str) -> Result<Bucket, String> {
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if name.is_empty() {
        let bucket = match scheme {
            "az" | "azure" => "container",
            _ => "bucket",
        };
        return Err(format!(
            "it names no {bucket}; write {scheme}://{bucket}/prefix"
        ));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if !name.chars().all(allowed) {
        return Err(format!(
            "{name:?} is not a bucket's name (letters, digits, `-`, `.`, `_`)"
        ));
    }
    let prefix = Path::parse(prefix).map_err(|e| format!("its prefix is not usable: {e}"))?;
    Ok(Bucket {
        name: name.to_string(),
        prefix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket_of(name: &str, prefix: &str) -> Bucket {
        Bucket {
            name: name.to_string(),
            prefix: Path::from(prefix),
        }
    }

    #[test]
    fn every_form_is_read() {
        let folder = |path: &str| Location::Folder(PathBuf::from(path));
        for (url, expected) in [
            ("memory://", Location::Memory),
            ("file:///var/lib/millrace", folder("/var/lib/millrace")),
            ("file:///with%20space", folder("/with space")),
            ("/var/lib/millrace", folder("/var/lib/millrace")),
            ("./data", folder("./data")),
            ("../data", folder("../data")),
            ("s3://events", Location::S3(bucket_of("events", ""))),
            ("s3://events/", Location::S3(bucket_of("events", ""))),
            (
                "s3://events/prod/eu/",
                Location::S3(bucket_of("events", "prod/eu")),
            ),
            (
                "gs://events/prod",
                Location::Google(bucket_of("events", "prod")),
            ),
            (
                "az://events/prod",
                Location::Azure(bucket_of("events", "prod")),
            ),
        ] {
            assert_eq!(parse(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn a_bad_url_is_refused_and_the_error_says_what_to_write() {
        for (url, said) in [
            ("", "s3://bucket/prefix"),
            ("events", "no scheme"),
            (" s3://events", "spaces"),
            ("ftp://events", "\"ftp\" is not known"),
            ("s3:///prefix", "names no bucket; write s3://bucket/prefix"),
            ("gs://", "names no bucket; write gs://bucket/prefix"),
            (
                "az:///prefix",
                "names no container; write az://container/prefix",
            ),
            ("s3://eve nts", "not a bucket's name"),
            ("s3://events/a//x", "prefix is not usable"),
            ("s3://key:secret@events", "are settings"),
            ("s3://events?region=x", "are settings"),
            ("https://s3.example.com/events", "endpoint"),
            ("file://data", "three slashes"),
            ("memory://x", "memory://"),
        ] {
            let error = parse(url).expect_err(url).to_string();
            assert!(error.contains(said), "{url}: {error}");
        }
    }
}
