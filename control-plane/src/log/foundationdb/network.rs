//! The client library's one thread, which a process starts once and must stop before it exits.

use foundationdb::api::{FdbApiBuilder, NetworkAutoStop};
use parking_lot::Mutex;

use super::OpenError;

/// The version of FoundationDB's interface that this speaks.
const API_VERSION: i32 = 730;

enum Network {
    Idle,
    Running(#[allow(dead_code, reason = "stops the thread when it is dropped")] NetworkAutoStop),
    /// The library cannot be started twice in one process.
    Over(String),
}

static NETWORK: Mutex<Network> = Mutex::new(Network::Idle);

/// Starts the thread unless it runs.
pub(super) fn start() -> Result<(), OpenError> {
    let mut network = NETWORK.lock();
    match &*network {
        Network::Running(_) => return Ok(()),
        Network::Over(why) => return Err(OpenError::Library(why.clone())),
        Network::Idle => {}
    }
    let known = foundationdb::api::get_max_api_version();
    let started = match known < API_VERSION {
        // Asking it for a version that it lacks would use up the one start there is.
        true => Err(format!(
            "the libfdb_c found speaks API {known}, and this build needs {API_VERSION}: install that of FoundationDB 7.3"
        )),
        false => boot().map_err(|error| format!("libfdb_c does not start: {error}")),
    };
    match started {
        Ok(running) => {
            *network = Network::Running(running);
            Ok(())
        }
        Err(why) => {
            *network = Network::Over(why.clone());
            Err(OpenError::Library(why))
        }
    }
}

fn boot() -> foundationdb::FdbResult<NetworkAutoStop> {
    let api = FdbApiBuilder::default().set_runtime_version(API_VERSION);
    let network = api.build()?;
    // SAFETY: what this returns must be dropped before the process exits. `NETWORK` holds it, and whoever ends a process
    // that may have opened a log calls `stop` first; a process that is killed or aborts need not.
    #[allow(unsafe_code)]
    unsafe {
        network.boot()
    }
}

/// Stops the thread when the tests of this process are over, as well as can be done: a test runner cannot be told to call
/// [`stop`]. Called after the library was used, since what it has made until then is destroyed after this.
#[cfg(test)]
pub(super) fn stop_at_exit() {
    extern "C" fn stop_elsewhere() {
        // The library keeps things of the calling thread, and those of the main thread are destroyed by now.
        let _ = std::thread::spawn(stop).join();
    }
    // SAFETY: it keeps a pointer to a function.
    #[allow(unsafe_code)]
    unsafe {
        libc::atexit(stop_elsewhere);
    }
}

/// Stops the thread if it runs. A process that has opened a log calls this before it exits; none can be opened after.
pub fn stop() {
    *NETWORK.lock() = Network::Over("the FoundationDB client was stopped".into());
}
