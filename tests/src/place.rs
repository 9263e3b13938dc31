//! Where processes of a test keep their data: a folder, or the S3 server in memory.

use std::io;

use tempfile::TempDir;

use crate::process::Launch;
use crate::s3::{BUCKET, S3Server};

/// A store of its own for one test; it is gone when this is dropped.
pub struct Place {
    /// What `--store` is to be.
    pub url: String,
    /// The S3 server, if it is one.
    pub server: Option<S3Server>,
    folder: Option<TempDir>,
}

impl Place {
    /// An empty folder, by `file://`.
    pub fn folder() -> io::Result<Self> {
        let folder = TempDir::new()?;
        Ok(Self {
            url: format!("file://{}", folder.path().join("data").display()),
            server: None,
            folder: Some(folder),
        })
    }

    /// An empty bucket of a server in this process.
    pub async fn s3() -> io::Result<Self> {
        Ok(Self {
            url: format!("s3://{BUCKET}/cluster"),
            server: Some(S3Server::start().await?),
            folder: None,
        })
    }

    /// The server's knobs and counters.
    ///
    /// # Panics
    /// It is a folder.
    pub fn faults(&self) -> &crate::s3::Faults {
        &self.server.as_ref().expect("an S3 server").faults
    }

    /// The folder that holds the data.
    ///
    /// # Panics
    /// It is an S3 server.
    pub fn path(&self) -> std::path::PathBuf {
        self.folder.as_ref().expect("a folder").path().join("data")
    }

    /// `millrace dev` on this store.
    pub fn dev(&self) -> Launch {
        Launch::dev(&self.url).env(self.env())
    }

    /// `millrace broker` on this store.
    pub fn broker(&self, agent_id: &str) -> Launch {
        Launch::broker(&self.url).env(self.env()).agent_id(agent_id)
    }

    /// `millrace compactor` on this store.
    pub fn compactor(&self, agent_id: &str) -> Launch {
        Launch::compactor(&self.url)
            .env(self.env())
            .agent_id(agent_id)
    }

    /// The environment that a process needs to reach this store.
    pub fn env(&self) -> Vec<(String, String)> {
        self.server.as_ref().map(S3Server::env).unwrap_or_default()
    }
}
