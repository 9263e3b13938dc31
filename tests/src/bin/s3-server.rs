//! The in-memory S3 server as a process, for scripts and benchmarks.
//!
//! It prints where it listens and the environment that leads to it, and stops when killed.

use std::net::SocketAddr;

use clap::Parser;
use tests::s3::S3Server;

/// An S3 server in memory that delays and fails requests on demand.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 picks one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Milliseconds every PutObject takes.
    #[arg(long, default_value_t = 0)]
    put_delay_ms: u64,
    /// Milliseconds every GetObject takes.
    #[arg(long, default_value_t = 0)]
    get_delay_ms: u64,
    /// Milliseconds every listing takes.
    #[arg(long, default_value_t = 0)]
    list_delay_ms: u64,
    /// Spread of the delays: 0 is fixed; else the sigma of a log-normal around them.
    #[arg(long, default_value_t = 0.0)]
    delay_sigma: f64,
    /// What PutObject, GetObject, HeadObject and listings take, as `P50:P99:P999` in milliseconds.
    #[arg(long)]
    delay_tail: Option<String>,
    /// Faults, as `EFFECT=OP[:CHANCE[:TIMES[:PATH PART]]]`, for example `slow-down=put:0.01`.
    /// Can be given several times, and changed later by POST to `/-/faults?..`.
    #[arg(long)]
    fault: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<(), String> {
    let args = Args::parse();
    let server = S3Server::start_on(args.listen)
        .await
        .map_err(|error| error.to_string())?;
    let delays = [
        ("put", args.put_delay_ms),
        ("get", args.get_delay_ms),
        ("list", args.list_delay_ms),
    ];
    for (op, delay_ms) in delays.into_iter().filter(|(_, delay_ms)| *delay_ms > 0) {
        server
            .faults
            .configure(&format!("{op}-delay-ms={delay_ms}"))?;
        if args.delay_sigma > 0.0 {
            server
                .faults
                .configure(&format!("{op}-delay-sigma={}", args.delay_sigma))?;
        }
    }
    for op in ["put", "get", "head", "list"] {
        if let Some(tail) = &args.delay_tail {
            server
                .faults
                .configure(&format!("{op}-delay-tail={tail}"))?;
        }
    }
    for fault in &args.fault {
        server.faults.configure(fault)?;
    }
    println!("listening on {}", server.url);
    println!("store s3://{}/", server.bucket);
    for (name, value) in server.env() {
        println!("export {name}={value}");
    }
    std::future::pending().await
}
