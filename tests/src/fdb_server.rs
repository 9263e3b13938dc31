//! A FoundationDB server for tests: one that is named, or one started here on a free port. Compiled into the unit tests
//! of the control plane too.
//!
//! `MILLRACE_TEST_FDB_CLUSTER_FILE` names a cluster to use. Else `fdbserver` and `fdbcli` are looked for in
//! `MILLRACE_TEST_FDB_BIN` and on the PATH. Without them tests say that they are skipped.

#![allow(dead_code, reason = "each of its users needs a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

/// Says once more in the output of a test that it did nothing.
fn skipped() {
    eprintln!(
        "skipped: there is no FoundationDB (see MILLRACE_TEST_FDB_CLUSTER_FILE and MILLRACE_TEST_FDB_BIN)"
    );
}

/// A cluster file shared by the tests of this process, if there is a FoundationDB.
pub fn shared() -> Option<PathBuf> {
    static SHARED: OnceLock<Option<(PathBuf, Option<Server>)>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        if let Some(named) = std::env::var_os("MILLRACE_TEST_FDB_CLUSTER_FILE") {
            return Some((named.into(), None));
        }
        let server = Server::start()?;
        Some((server.cluster_file(), Some(server)))
    });
    if shared.is_none() {
        skipped();
    }
    shared.as_ref().map(|(file, _)| file.clone())
}

fn binary(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os("MILLRACE_TEST_FDB_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = named.into_iter().chain(std::env::split_paths(&path));
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A server of one's own, which ends with whoever started it.
pub struct Server {
    folder: tempfile::TempDir,
    port: u16,
    running: Option<(Child, ChildStdin)>,
}

impl Server {
    /// Starts one, if there is one to start.
    pub fn start() -> Option<Self> {
        let cli = binary("fdbcli");
        binary("fdbserver").and(cli)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut server = Self {
            folder: tempfile::tempdir().unwrap(),
            port: port.local_addr().unwrap().port(),
            running: None,
        };
        let line = format!("test:test@127.0.0.1:{}\n", server.port);
        std::fs::write(server.cluster_file(), line).unwrap();
        drop(port);
        server.resume();
        server.cli("configure new single ssd");
        Some(server)
    }

    /// As [`Server::start`], and says so if there is none.
    pub fn start_own() -> Option<Self> {
        let server = Self::start();
        if server.is_none() {
            skipped();
        }
        server
    }

    /// Its cluster file.
    pub fn cluster_file(&self) -> PathBuf {
        self.folder.path().join("fdb.cluster")
    }

    fn cli(&self, command: &str) {
        let said = Command::new(binary("fdbcli").unwrap())
            .arg("-C")
            .arg(self.cluster_file())
            .args(["--timeout", "60", "--exec", command])
            .output()
            .unwrap();
        assert!(said.status.success(), "fdbcli {command}: {said:?}");
    }

    /// Starts the server, again if it was killed.
    pub fn resume(&mut self) {
        // The shell kills the server when its input ends: when this process stops it, exits or dies.
        let script =
            "\"$@\" > server.log 2>&1 < /dev/null & echo $! > server.pid; read line; kill -9 $!";
        let mut shell = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(binary("fdbserver").unwrap())
            .args(["-p", &format!("127.0.0.1:{}", self.port)])
            .args(["-C", "fdb.cluster", "-d", "data", "-L", "."])
            .args(["--knob_disable_posix_kernel_aio", "1"])
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = shell.stdin.take().unwrap();
        self.running = Some((shell, stdin));
    }

    /// Kills the server at once.
    pub fn kill(&mut self) {
        if let Some((mut shell, mut stdin)) = self.running.take() {
            let _ = stdin.write_all(b"\n");
            let _ = shell.wait();
        }
    }

    /// Sends the server a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join("server.pid")).unwrap();
        let sent = Command::new("kill").args(["-s", name, pid.trim()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A cluster file in `folder` at whose address nobody listens.
pub fn nobody(folder: &Path) -> PathBuf {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    let file = folder.join("fdb.cluster");
    std::fs::write(&file, format!("test:test@{address}\n")).unwrap();
    file
}
