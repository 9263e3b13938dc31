//! The command that restarts a broker between writing and reading, and what it prints of where the
//! broker is then.

use std::process::{Command, Stdio};

use super::super::{Error, Result};
use super::phase::Target;

/// Runs it in a shell, with the broker's address in BENCH_BROKER, and waits for its end.
///
/// # Errors
/// It cannot be run, fails, or prints a line that says nothing.
pub async fn restart(command: &str, target: &mut Target) -> Result<()> {
    eprintln!("restarting {}: {command}", target.bootstrap);
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null());
    shell.stderr(Stdio::inherit());
    shell.env("BENCH_BROKER", &target.bootstrap);
    let output = tokio::task::spawn_blocking(move || shell.output()).await;
    let failed = |why: String| Error::Failed(format!("--restart {command}: {why}"));
    let output = output.map_err(|error| failed(error.to_string()))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    moved(&String::from_utf8_lossy(&output.stdout), target).map_err(failed)
}

/// Takes over where the broker is. Admin addresses replace all there were.
fn moved(printed: &str, target: &mut Target) -> std::result::Result<(), String> {
    let mut admin = Vec::new();
    for line in printed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        match line.split_once(' ') {
            Some(("bootstrap", address)) => target.bootstrap = address.trim().to_owned(),
            Some(("pid", pid)) => {
                let pid = pid.trim().parse();
                target.probe.pid = Some(pid.map_err(|_| format!("not a process: {line:?}"))?);
            }
            Some(("admin", url)) => admin.push(url.trim().to_owned()),
            _ => return Err(format!("it printed {line:?}, not bootstrap, pid or admin")),
        }
    }
    if !admin.is_empty() {
        target.probe.admin = admin;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::probe::Probe;
    use super::*;

    fn target() -> Target {
        Target {
            bootstrap: "127.0.0.1:9092".into(),
            restart: None,
            probe: Probe {
                pid: Some(1),
                admin: vec!["http://a".into(), "http://b".into()],
            },
        }
    }

    #[tokio::test]
    async fn what_the_command_prints_is_where_the_broker_is() {
        let mut moved = target();
        let command = "echo bootstrap $BENCH_BROKER,other:1; echo pid 77; echo admin http://c";
        restart(command, &mut moved).await.unwrap();
        assert_eq!(moved.bootstrap, "127.0.0.1:9092,other:1");
        assert_eq!(moved.probe.pid, Some(77));
        assert_eq!(moved.probe.admin, ["http://c"]);
    }

    #[tokio::test]
    async fn one_that_prints_nothing_leaves_all_in_place() {
        let mut same = target();
        restart("true", &mut same).await.unwrap();
        assert_eq!(same.probe.admin.len(), 2);
        assert_eq!(
            (same.bootstrap, same.probe.pid),
            (target().bootstrap, Some(1))
        );
    }

    #[tokio::test]
    async fn one_that_fails_or_babbles_ends_the_run() {
        let why = |error: Error| error.to_string();
        let failed = why(restart("exit 4", &mut target()).await.unwrap_err());
        assert!(
            failed.contains("--restart exit 4") && failed.contains('4'),
            "{failed}"
        );
        let babbled = why(restart("echo done", &mut target()).await.unwrap_err());
        assert!(babbled.contains("\"done\""), "{babbled}");
        assert!(restart("echo pid x", &mut target()).await.is_err());
    }
}
