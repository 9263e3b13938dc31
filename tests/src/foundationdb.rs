//! The binary under test on FoundationDB: any test of processes can be run so, by `MILLRACE_TEST_METADATA=fdb`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::fdb_server;
use crate::process::binary;

/// The flag `--metadata` for a process with these arguments and environment, if tests are to run on FoundationDB and it
/// has none. Processes on the same store get the same log, others another.
///
/// # Errors
/// They are to run on FoundationDB and there is none.
pub fn wanted(args: &[String], env: &[(String, String)]) -> io::Result<Vec<String>> {
    let is_wanted = std::env::var("MILLRACE_TEST_METADATA").is_ok_and(|value| value == "fdb");
    if !is_wanted || args.iter().any(|arg| arg == "--metadata") {
        return Ok(vec![]);
    }
    let file = fdb_server::shared();
    let file =
        file.ok_or_else(|| io::Error::other("MILLRACE_TEST_METADATA=fdb needs a FoundationDB"))?;
    let store = args.iter().skip_while(|arg| *arg != "--store").nth(1);
    let mut hasher = DefaultHasher::new();
    (store, env, std::process::id()).hash(&mut hasher);
    let prefix = format!("processes/{:016x}", hasher.finish());
    Ok(vec!["--metadata".into(), metadata(&file, &prefix)])
}

/// What `--metadata` is to be for the log with this prefix.
pub fn metadata(cluster_file: &Path, prefix: &str) -> String {
    format!("fdb:{}?prefix={prefix}", cluster_file.display())
}

/// Whether the binary under test can use FoundationDB. Says so if not.
pub fn is_built_in() -> bool {
    let Ok(binary) = binary() else { return false };
    let said = Command::new(binary)
        .args(["broker", "--store", "memory://", "--agent-id", "a"])
        .args([
            "--admin-listen",
            "127.0.0.1:0",
            "--metadata",
            "fdb:/nowhere",
        ])
        .stdin(Stdio::null())
        .output();
    let built_in = said.is_ok_and(|said| {
        !String::from_utf8_lossy(&said.stderr).contains("not part of this build")
    });
    if !built_in {
        eprintln!("skipped: millrace was built without FoundationDB");
    }
    built_in
}
