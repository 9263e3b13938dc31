//! Owns the log: one line for each event on standard error, for people or for machines.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Readable,
    /// One JSON object a line, for machines.
    Json,
}

/// The words a setting chooses the format by.
pub const FORMATS: &[&str] = &["readable", "json"];

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "readable" => Ok(Self::Readable),
            "json" => Ok(Self::Json),
            other => Err(format!(
                "{other:?} is not a log format: write one of {FORMATS:?}"
            )),
        }
    }
}

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be understood.
    #[error(
        "cannot use {filter:?} as the log filter: {fault}; write a level (info) or \
             target=level pairs (info,broker=debug)"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong.
        fault: String,
    },
    /// This process has a log already.
    #[error("the log has been started already")]
    Started(#[from] TryInitError),
}

/// The client of the store logs every request it repeats at INFO: hundreds of lines in a minute's outage, of which whoever
/// sent the request tells once. Only a filter that names it shows them.
const QUIETED: &str = "object_store=warn";

/// Starts the log of this process, on standard error. `filter` is a level or a list of
/// `target=level`, as in `info,broker=debug`.
///
/// # Errors
/// If the filter cannot be understood or the log has been started already.
pub fn init_logging(format: LogFormat, filter: &str) -> Result<(), LoggingError> {
    use std::io::IsTerminal as _;

    use tracing_subscriber::util::SubscriberInitExt as _;

    let fault = |fault: String| LoggingError::Filter {
        filter: filter.to_string(),
        fault,
    };
    let parsed = EnvFilter::try_new(format!("{QUIETED},{filter}"));
    let parsed = parsed.map_err(|error| fault(error.to_string()))?;
    // SUBTLE: a line that cannot be written, since nobody reads standard error any more or its disk is full, is lost. Told of
    // on standard error, as by default, that would be a panic of whatever logged it.
    let builder = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(parsed)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Readable => builder.finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_refused_and_a_second_start_too() {
        let error = init_logging(LogFormat::Json, "broker=loud")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("broker=loud") && error.contains("info,broker=debug"),
            "{error}"
        );
        init_logging(LogFormat::Readable, "warn,broker=debug").unwrap();
        let again = init_logging(LogFormat::Readable, "info");
        assert!(matches!(again, Err(LoggingError::Started(_))));
    }

    #[test]
    fn formats_have_the_words_of_the_setting() {
        for word in FORMATS {
            word.parse::<LogFormat>().unwrap();
        }
        assert!("xml".parse::<LogFormat>().unwrap_err().contains("readable"));
    }
}
