//! A `millrace` that is to refuse to run: what it said, and its exit code.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;

use crate::process::{binary, command_of};

/// How long a refusal may take: longer than the client of the store repeats requests that nobody answers.
const REFUSED_WITHIN: Duration = Duration::from_secs(30);

/// How it ended.
#[derive(Debug)]
pub struct Refusal {
    /// Its exit code; `None` if it was killed.
    pub code: Option<i32>,
    /// What it printed on standard error.
    pub said: String,
}

impl Refusal {
    /// Asserts that it failed in an orderly way, and that what it said holds each of these.
    ///
    /// # Panics
    /// It did not.
    pub fn assert_says(&self, parts: &[&str]) {
        assert!(matches!(self.code, Some(1 | 2)), "{self:?}");
        for part in parts {
            assert!(self.said.contains(part), "not {part:?} in: {}", self.said);
        }
        assert!(!self.said.contains("panicked"), "{}", self.said);
    }
}

/// Runs `millrace` with these arguments until it ends.
///
/// # Errors
/// It cannot be started, or still runs after half a minute; it is killed then.
pub async fn refusal(args: &[&str], env: &[(String, String)]) -> io::Result<Refusal> {
    let child = command_of(&binary()?)
        .args(args)
        .envs(env.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let pid = Pid::from_child(&child);
    let mut ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = match timeout(REFUSED_WITHIN, &mut ended).await {
        Ok(output) => output.map_err(io::Error::other)??,
        Err(_) => {
            let _ = kill_process(pid, Signal::KILL);
            let output = ended.await.map_err(io::Error::other)??;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(io::Error::other(format!("it runs, and said: {said}")));
        }
    };
    Ok(Refusal {
        code: output.status.code(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
