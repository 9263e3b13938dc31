//! `millrace` as a tool that is run and ends.

use std::io::{self, BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use crate::foundationdb::wanted;
use crate::process::{binary, command_of};

/// Runs it with these arguments and environment. Blocks; it is for tools that take a moment.
///
/// # Errors
/// It cannot be started.
pub fn run(args: &[&str], env: &[(String, String)]) -> io::Result<Output> {
    command(args, env)?.output()
}

/// As [`run`]; gives what it printed on standard output.
///
/// # Panics
/// It fails.
pub fn succeeds(args: &[&str], env: &[(String, String)]) -> String {
    let output = run(args, env).expect("it starts");
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// As [`run`].
///
/// # Panics
/// It succeeds, or what it says on standard error lacks one of these words.
pub fn refuses(args: &[&str], env: &[(String, String)], words: &[&str]) {
    let output = run(args, env).expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{args:?} succeeds: {output:?}");
    for word in words {
        assert!(said.contains(word), "{args:?}: not {word:?} in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// The arguments of a tool that goes to a store, with the log that tests are run on.
///
/// # Panics
/// There is no such log.
pub fn on_log(args: &[&str]) -> Vec<String> {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let log = wanted(&args, &[]).expect("a log to run tests on");
    args.into_iter().chain(log).collect()
}

/// Runs it and kills it (SIGKILL) once it has printed so many lines, if it does. Gives the lines.
///
/// # Errors
/// It cannot be started or waited for.
pub fn killed_after(
    lines: usize,
    args: &[&str],
    env: &[(String, String)],
) -> io::Result<Vec<String>> {
    let mut child = command(args, env)?.stdout(Stdio::piped()).spawn()?;
    let printed = child.stdout.take().into_iter().flat_map(|stdout| {
        let lines = BufReader::new(stdout).lines();
        lines.map_while(Result::ok)
    });
    let printed: Vec<String> = printed.take(lines).collect();
    child.kill()?;
    child.wait()?;
    Ok(printed)
}

fn command(args: &[&str], env: &[(String, String)]) -> io::Result<Command> {
    let mut command = command_of(&binary()?);
    command
        .args(args)
        .envs(env.iter().cloned())
        .stdin(Stdio::null());
    Ok(command)
}
