//! Where a share group begins to read: `share.auto.offset.reset` (KIP-932), with the durations of ISO 8601. Pure.

use std::time::Duration;

/// A value of `share.auto.offset.reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareReset {
    /// At the log start offset.
    Earliest,
    /// At the high watermark.
    Latest,
    /// At the first record that is at most this old.
    Ago(Duration),
}

impl ShareReset {
    /// The value that `text` says, as Kafka's brokers read it.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            other => {
                let duration = other.strip_prefix("by_duration:")?;
                iso_duration(duration).map(Self::Ago)
            }
        }
    }
}

/// `PnDTnHnMn.nS`, in either case, at least one part of it. Negative ones are none.
fn iso_duration(text: &str) -> Option<Duration> {
    let text = text.to_ascii_uppercase();
    let text = text.strip_prefix('P')?;
    let (days, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (text, ""),
    };
    let mut total = Duration::ZERO;
    let rest = part(days, 'D', 86_400, &mut total)?;
    if !rest.is_empty() || (days.is_empty() && time.is_empty()) {
        return None;
    }
    let rest = part(time, 'H', 3600, &mut total)?;
    let rest = part(rest, 'M', 60, &mut total)?;
    match rest.strip_suffix('S') {
        Some(seconds) => total.checked_add(fraction(seconds)?),
        None => rest.is_empty().then_some(total),
    }
}

/// Adds the number before `unit`, if `text` begins so; what is left of the text.
fn part<'a>(text: &'a str, unit: char, seconds: u64, total: &mut Duration) -> Option<&'a str> {
    let Some((number, rest)) = text.split_once(unit) else {
        return Some(text);
    };
    let seconds = digits(number)?.checked_mul(seconds)?;
    *total = total.checked_add(Duration::from_secs(seconds))?;
    Some(rest)
}

fn fraction(text: &str) -> Option<Duration> {
    let (whole, nanos) = match text.split_once(['.', ',']) {
        Some((whole, "")) => (whole, 0),
        Some((whole, fraction)) if fraction.len() <= 9 => {
            (whole, digits(&format!("{fraction:0<9}"))?)
        }
        Some(_) => return None,
        None => (text, 0),
    };
    Some(Duration::new(digits(whole)?, u32::try_from(nanos).ok()?))
}

fn digits(text: &str) -> Option<u64> {
    let plain = text.strip_prefix('+').unwrap_or(text);
    let is_number = plain.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| plain.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_iso_8601() {
        for (text, seconds) in [
            ("PT1H", 3600.0),
            ("P2D", 172_800.0),
            ("P1DT2H3M4.5S", 93_784.5),
            ("pt0s", 0.0),
            ("PT+5M", 300.0),
            ("PT1.25S", 1.25),
        ] {
            let ago = ShareReset::parse(&format!("by_duration:{text}"));
            let expected = ShareReset::Ago(Duration::from_secs_f64(seconds));
            assert_eq!(ago, Some(expected), "{text}");
        }
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "1H",
            "PT1",
            "PT-1H",
            "PTS",
            "PT1S1H",
            "P1H",
            "PT1.1234567890S",
            "P999999999999999999D",
        ] {
            assert_eq!(
                ShareReset::parse(&format!("by_duration:{text}")),
                None,
                "{text}"
            );
        }
        assert_eq!(ShareReset::parse("earliest"), Some(ShareReset::Earliest));
        assert_eq!(ShareReset::parse("latest"), Some(ShareReset::Latest));
        assert_eq!(ShareReset::parse("Latest"), None);
    }
}
