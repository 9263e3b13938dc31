//! Owns what an error of the store means for whoever asked: try again, slow down, or give up.
//!
//! SUBTLE: the client keeps the HTTP status in a private type, so it is read from the text of the
//! error; a test against real answers of an S3 server guards the wording.

use std::error::Error as StdError;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

/// Whether the same request may succeed a little later. Says nothing about whether it has already
/// had its effect: a write that failed this way may have been stored.
pub fn is_retryable(error: &Error) -> bool {
    match error {
        Error::Generic { .. } => match status(error) {
            Some(status) => status >= 500 || status == 429 || status == 408 || status < 300,
            None => !is_misdirected(error),
        },
        _ => false,
    }
}

/// Whether the store asks for fewer requests (503, 429, SlowDown). Whoever sees this passes it on
/// as back-pressure.
pub fn is_throttle(error: &Error) -> bool {
    let slow_down = |text: &str| text.contains("SlowDown") || text.contains("ServerBusy");
    matches!(error, Error::Generic { .. })
        && (matches!(status(error), Some(429 | 503))
            || causes(error).any(|cause| slow_down(&cause.to_string())))
}

/// Whether no answer came: nobody listens, the name does not resolve, the connection broke, time
/// ran out.
pub fn is_unreachable(error: &Error) -> bool {
    transport(error).is_some()
}

/// The value of the `outcome` label in metrics.
pub fn outcome(error: &Error) -> &'static str {
    match error {
        Error::NotFound { .. } => "not_found",
        Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. } => {
            "condition_failed"
        }
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => "denied",
        _ if is_throttle(error) => "throttled",
        _ if transport(error) == Some(HttpErrorKind::Timeout) => "timed_out",
        _ => "failed",
    }
}

/// The HTTP status the store answered with, where the error tells one.
fn status(error: &Error) -> Option<u16> {
    const BEFORE: &str = "non-2xx status code: ";
    causes(error).find_map(|cause| {
        let text = cause.to_string();
        let (_, after) = text.split_once(BEFORE)?;
        after.get(..3)?.parse().ok()
    })
}

/// S3 redirects to the region the bucket is in, which no repetition cures.
fn is_misdirected(error: &Error) -> bool {
    causes(error).any(|cause| cause.to_string().contains("redirect without LOCATION"))
}

fn transport(error: &Error) -> Option<HttpErrorKind> {
    causes(error)
        .find_map(|cause| cause.downcast_ref::<HttpError>())
        .map(HttpError::kind)
}

fn causes(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |cause| (*cause).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Error {
        Error::Generic {
            store: "S3",
            source: text.to_string().into(),
        }
    }

    fn answered(status: &str) -> Error {
        generic(&format!(
            "Error performing PUT http://x/y in 2ms - Server returned non-2xx status code: \
             {status}: "
        ))
    }

    #[test]
    fn what_passes_is_retried_and_what_stays_is_not() {
        for passing in [
            "500 Internal Server Error",
            "503 Service Unavailable",
            "429 Too Many Requests",
            "408 Request Timeout",
        ] {
            assert!(is_retryable(&answered(passing)), "{passing}");
        }
        for staying in [
            "400 Bad Request",
            "411 Length Required",
            "301 Moved Permanently",
        ] {
            assert!(!is_retryable(&answered(staying)), "{staying}");
        }
        let wrong_region = "Received redirect without LOCATION, this normally indicates an \
                            incorrectly configured region";
        assert!(!is_retryable(&generic(wrong_region)));
        let exists = Error::AlreadyExists {
            path: "x".into(),
            source: "".into(),
        };
        assert!(!is_retryable(&exists));
        let denied = Error::PermissionDenied {
            path: "x".into(),
            source: "".into(),
        };
        assert!(!is_retryable(&denied));
        assert_eq!(
            (outcome(&exists), outcome(&denied)),
            ("condition_failed", "denied")
        );
    }

    #[test]
    fn throttling_is_recognised_apart_from_failure() {
        assert!(is_throttle(&answered("503 Service Unavailable")));
        assert!(is_throttle(&answered("429 Too Many Requests")));
        assert!(is_throttle(&generic(
            "Server returned error response: <Code>SlowDown</Code>"
        )));
        assert!(!is_throttle(&answered("500 Internal Server Error")));
        assert_eq!(outcome(&answered("503 Service Unavailable")), "throttled");
    }

    #[test]
    fn transport_errors_are_retryable_and_told_apart() {
        let lost = HttpError::new(HttpErrorKind::Timeout, std::io::Error::other("slow"));
        let error = Error::Generic {
            store: "S3",
            source: Box::new(lost),
        };
        assert!(is_retryable(&error) && is_unreachable(&error) && !is_throttle(&error));
        assert_eq!(outcome(&error), "timed_out");
        assert!(!is_unreachable(&answered("500 Internal Server Error")));
    }
}
