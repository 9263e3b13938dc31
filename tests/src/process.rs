//! `millrace` as a process: started, signalled by its pid, its log watched.
//!
//! With `MILLRACE_TEST_METADATA=fdb` its metadata log is in FoundationDB unless the test names one.
//!
//! A WARN or ERROR line that no test has allowed fails the test when the process is dropped. The
//! binary is `MILLRACE_BIN`, or the one cargo built beside the tests.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How long a process may take until it listens: a debug build replaying a log on a slow machine.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How a process is to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Another binary than the one under test.
    program: Option<PathBuf>,
    command: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    allowed: Vec<String>,
    descriptors: Option<u32>,
}

impl Launch {
    /// `millrace dev`: agent and background duties in one process.
    pub fn dev(store: &str) -> Self {
        Self::new("dev", store)
    }

    /// `millrace broker`: an agent alone.
    pub fn broker(store: &str) -> Self {
        Self::new("broker", store)
    }

    /// `millrace compactor`: the background duties alone.
    pub fn compactor(store: &str) -> Self {
        Self::new("compactor", store)
    }

    fn new(command: &str, store: &str) -> Self {
        let launch = Self {
            program: None,
            command: command.to_owned(),
            args: vec![],
            env: vec![],
            allowed: vec![],
            descriptors: None,
        };
        launch
            .arg("--listen", "127.0.0.1:0")
            .arg("--admin-listen", "127.0.0.1:0")
            .arg("--store", store)
    }

    /// Adds a flag with its value; one that is already there is replaced.
    pub fn arg(mut self, flag: &str, value: &str) -> Self {
        if let Some(at) = self.args.iter().position(|arg| arg == flag) {
            self.args[at + 1] = value.to_owned();
        } else {
            self.args.extend([flag.to_owned(), value.to_owned()]);
        }
        self
    }

    /// As a build before the newest metadata version: the binary that `MILLRACE_TEST_OLDER_BIN` names, or the one under
    /// test told to take part in that version alone.
    pub fn older(mut self, version: u16) -> Self {
        self.program = std::env::var_os("MILLRACE_TEST_OLDER_BIN").map(PathBuf::from);
        match self.program {
            Some(_) => self,
            None => self.arg("--metadata-version-max", &version.to_string()),
        }
    }

    /// Names the agent.
    pub fn agent_id(self, id: &str) -> Self {
        self.arg("--agent-id", id)
    }

    /// Adds to the environment.
    pub fn env(mut self, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(pairs);
        self
    }

    /// Lets WARN and ERROR lines that contain this pass.
    pub fn allow(mut self, text: &str) -> Self {
        self.allowed.push(text.to_owned());
        self
    }

    /// Lets it have so many files and sockets open, and not one more.
    pub fn descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    fn program(&self) -> io::Result<Command> {
        let binary = match &self.program {
            Some(program) => program.clone(),
            None => binary()?,
        };
        let Some(limit) = self.descriptors else {
            return Ok(command_of(&binary));
        };
        let mut shell = command_of(Path::new("sh"));
        let script = "ulimit -n \"$0\" && exec \"$@\"";
        shell.args(["-c", script, &limit.to_string()]).arg(binary);
        Ok(shell)
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started, exits, or does not listen within a minute; the log is in the message.
    pub async fn start(&self) -> io::Result<Process> {
        let metadata = crate::foundationdb::wanted(&self.args, &self.env)?;
        let mut child = self
            .program()?
            .arg(&self.command)
            .args(&self.args)
            .args(metadata)
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, mut printed) = mpsc::unbounded_channel();
        collect(child.stdout.take(), log.clone(), lines.clone());
        collect(child.stderr.take(), log.clone(), lines);
        let mut process = Process {
            pid: Pid::from_child(&child),
            exited: wait_for(child),
            status: None,
            bootstrap: String::new(),
            admin: None,
            log,
            allowed: Mutex::new(self.allowed.clone()),
        };
        let serves = self.command != "compactor";
        match timeout(START_WITHIN, process.listening(&mut printed, serves)).await {
            Ok(true) => Ok(process),
            Ok(false) => Err(process.failed("exited before it listened")),
            Err(_) => Err(process.failed("does not listen")),
        }
    }
}

/// A running `millrace`. Dropping it kills it and checks its log.
pub struct Process {
    pid: Pid,
    exited: oneshot::Receiver<io::Result<ExitStatus>>,
    status: Option<ExitStatus>,
    /// Where Kafka clients connect, `HOST:PORT`; empty if it serves none.
    pub bootstrap: String,
    /// Base URL of the admin server, if it printed one.
    pub admin: Option<String>,
    log: Arc<Mutex<Vec<String>>>,
    allowed: Mutex<Vec<String>>,
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.wait(Duration::from_secs(10)).await;
    }

    /// SIGTERM: it is to drain and exit.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: as if the machine had been suspended, with its connections open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM: it drains, and exits with 0.
    ///
    /// # Panics
    /// It does not within that time, or exits otherwise.
    pub async fn stop(&mut self, within: Duration) {
        self.terminate();
        let status = self.wait(within).await;
        let log = self.log().join("\n");
        let is_orderly = status.is_some_and(|status| status.success());
        assert!(is_orderly, "{status:?} after SIGTERM:\n{log}");
    }

    /// Waits for its end. `None` if it still runs after that time.
    pub async fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        if self.status.is_none() {
            let exited = timeout(within, &mut self.exited).await.ok()?;
            self.status = exited.ok().and_then(Result::ok);
        }
        self.status
    }

    /// Lets WARN and ERROR lines that contain this pass from now on.
    pub fn allow(&self, text: &str) {
        self.allowed.lock().push(text.to_owned());
    }

    /// Everything it has printed so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    /// Peak and current resident memory in KiB, as the kernel counts it.
    pub fn resident_kib(&self) -> Option<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Some((field("VmHWM:")?, field("VmRSS:")?))
    }

    /// WARN and ERROR lines that nobody allowed.
    pub fn complaints(&self) -> Vec<String> {
        let allowed = self.allowed.lock();
        let log = self.log.lock();
        let complaints = log.iter().filter(|line| is_complaint(line));
        complaints
            .filter(|line| !allowed.iter().any(|text| line.contains(text.as_str())))
            .cloned()
            .collect()
    }

    fn signal(&self, signal: Signal) {
        // It may have exited by itself; then there is nobody to signal.
        if self.status.is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    async fn listening(
        &mut self,
        printed: &mut mpsc::UnboundedReceiver<String>,
        serves: bool,
    ) -> bool {
        while let Some(line) = printed.recv().await {
            if let Some(admin) = word_after(&line, "admin on ") {
                self.admin = Some(admin);
            } else if let Some(bootstrap) = word_after(&line, "listening on ") {
                self.bootstrap = bootstrap;
            }
            if (!self.bootstrap.is_empty() || !serves) && self.admin.is_some() {
                return true;
            }
        }
        false
    }

    fn failed(&self, what: &str) -> io::Error {
        self.signal(Signal::KILL);
        self.allow("");
        io::Error::other(format!("millrace {what}:\n{}", self.log().join("\n")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let complaints = self.complaints();
        if !std::thread::panicking() {
            assert!(
                complaints.is_empty(),
                "unexpected in the log:\n{}",
                complaints.join("\n")
            );
        } else if !self.log.lock().is_empty() {
            eprintln!("log of millrace {}:\n{}", self.pid(), self.log().join("\n"));
        }
    }
}

fn is_complaint(line: &str) -> bool {
    [
        " WARN ",
        " ERROR ",
        "\"level\":\"WARN\"",
        "\"level\":\"ERROR\"",
        "panicked at",
    ]
    .iter()
    .any(|mark| line.contains(mark))
}

fn word_after(line: &str, mark: &str) -> Option<String> {
    let rest = &line[line.find(mark)? + mark.len()..];
    let word = rest.split_whitespace().next()?;
    Some(word.trim_end_matches([',', '.']).to_owned())
}

/// A command that runs `program` without what is in the environment for the tests alone.
pub fn command_of(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("NO_COLOR", "1");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name == "MILLRACE_BIN" || name.starts_with("MILLRACE_TEST_") {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// Where the binary under test is: `MILLRACE_BIN`, or beside the tests.
///
/// # Errors
/// It was not built.
pub fn binary() -> io::Result<PathBuf> {
    if let Some(path) = std::env::var_os("MILLRACE_BIN") {
        return Ok(PathBuf::from(path));
    }
    let mut path = std::env::current_exe()?;
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push(OsString::from("millrace"));
    if path.exists() {
        return Ok(path);
    }
    let why = format!(
        "{} is not there: run cargo build -p millrace",
        path.display()
    );
    Err(io::Error::new(io::ErrorKind::NotFound, why))
}

fn collect(
    from: Option<impl Read + Send + 'static>,
    log: Arc<Mutex<Vec<String>>>,
    lines: mpsc::UnboundedSender<String>,
) {
    let Some(from) = from else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            log.lock().push(line.clone());
            let _ = lines.send(line);
        }
    });
}

fn wait_for(mut child: Child) -> oneshot::Receiver<io::Result<ExitStatus>> {
    let (done, exited) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = done.send(child.wait());
    });
    exited
}
