//! The one binary, `millrace`.

/// Prints, as `print!` does; what nobody reads any more (`| head`) is left out.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stdout(), $($text)*);
    }};
}

/// Prints a line, as [`say!`] does.
macro_rules! sayln {
    ($($text:tt)*) => { say!("{}\n", format_args!($($text)*)) };
}

mod agent;
pub mod client;
mod compactor;
mod deleted;
mod direct;
mod inspect;
mod metadata;
mod plane;
mod process;
mod settings_args;
pub mod tools;

use std::process::ExitCode;

use clap::Parser;

/// Buffers of every size come and go on many threads. The C library keeps what is freed apart by thread, and so three times
/// what is in use after half an hour.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A Kafka-protocol broker with no disks, and its tools.
#[derive(Parser)]
#[command(name = "millrace", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run everything in one process: the quick start.
    Dev(settings_args::Args),
    /// Run an agent.
    Broker(settings_args::Args),
    /// Rewrite small objects, apply retention, collect garbage, verify what is stored.
    Compactor(compactor::Args),
    /// Show what the bucket and the metadata really hold.
    Inspect(inspect::Args),
    /// Show the metadata log, move it, raise its version.
    Metadata(metadata::Args),
    /// Create, list, describe, delete and undelete topics.
    Topic(tools::topic::Args),
    /// Produce lines as records.
    Produce(tools::produce::Args),
    /// Print the records of a topic.
    Consume(tools::consume::Args),
    /// Measure a broker, and verify that it keeps its promises.
    Bench(Box<tools::bench::Args>),
    /// Measure a broker as the coordinator of consumer groups.
    BenchGroups(tools::bench_groups::Args),
}

/// Why a process does not run.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let code = run();
    #[cfg(feature = "foundationdb")]
    control_plane::log::foundationdb::stop();
    code
}

#[tokio::main]
async fn run() -> ExitCode {
    // Agents and load generators have a socket for each connection.
    runtime::descriptors::raise_limit();
    let done = match Cli::parse().command {
        Command::Dev(args) => return agent::dev(args).await,
        Command::Broker(args) => return agent::broker(args).await,
        Command::Compactor(args) => return compactor::run(args).await,
        Command::Inspect(args) => return inspect::run(args).await,
        Command::Metadata(args) => metadata::run(args).await,
        Command::Topic(args) => tools::topic::run(args).await,
        Command::Produce(args) => tools::produce::run(args).await,
        Command::Consume(args) => tools::consume::run(args).await,
        Command::Bench(args) => tools::bench::run(*args).await,
        Command::BenchGroups(args) => tools::bench_groups::run(args).await,
    };
    match done {
        Err(error) if !error.is_broken_pipe() => {
            eprintln!("millrace: {error}");
            ExitCode::from(error.exit_code())
        }
        _ => ExitCode::SUCCESS,
    }
}
