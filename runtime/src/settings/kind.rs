//! Owns what values a setting takes, and how they are written. Pure.

use std::time::Duration;

/// The kind of a setting's values. Bounds are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A number of bytes: `1048576`, `1MiB`. `-1`, where `min` allows it, stands for no bound.
    Bytes {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A time: `250` or `250ms`, `30s`, `5m`, `1h`, `7d`. `-1`, where `min` allows it, stands for
    /// no bound.
    DurationMs {
        /// The least, in milliseconds.
        min: i64,
        /// The greatest, in milliseconds.
        max: i64,
    },
    /// A number that is not negative, with up to nine digits after the point: `0.005`.
    Decimal,
    /// Any text. Empty means not set.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Texts separated by commas. Empty means none.
    List,
}

/// A value that its setting takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    /// In units of 10^-9.
    Decimal(u64),
    Text(String),
    List(Vec<String>),
}

const BYTE_UNITS: [(&str, i64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];
const TIME_UNITS: [(&str, i64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Kind {
    /// Reads `text`; the error says what is allowed.
    pub(super) fn parse(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let value = match self {
            Self::Bool => match text.to_ascii_lowercase().as_str() {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Int { min, max } => number(text, &[], min, max),
            Self::Bytes { min, max } => number(text, &BYTE_UNITS, min, max),
            Self::DurationMs { min, max } => number(text, &TIME_UNITS, min, max),
            Self::Decimal => decimal(text).map(Value::Decimal),
            Self::Text => Some(Value::Text(text.to_string())),
            Self::Choice(words) => words
                .iter()
                .find(|word| word.eq_ignore_ascii_case(text))
                .map(|word| Value::Text((*word).to_string())),
            Self::List => Some(Value::List(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(str::to_string)
                    .collect(),
            )),
        };
        value.ok_or_else(|| self.allowed())
    }

    /// What is allowed, for errors and documentation.
    pub fn allowed(self) -> String {
        let bound = |value: i64, shown: String| if value == i64::MAX { None } else { Some(shown) };
        let range = |min: i64, max: i64, show: fn(i64) -> String| match bound(max, show(max)) {
            Some(max) => format!("{} to {max}", show(min)),
            None => format!("at least {}", show(min)),
        };
        match self {
            Self::Bool => "true or false".to_string(),
            Self::Int { min, max } => {
                format!("a whole number, {}", range(min, max, |n| n.to_string()))
            }
            Self::Bytes { min, max } => {
                format!("bytes (1048576, 1MiB), {}", range(min, max, show_bytes))
            }
            Self::DurationMs { min, max } => {
                format!(
                    "milliseconds or a time (250, 250ms, 30s, 5m, 1h, 7d), {}",
                    range(min, max, show_time)
                )
            }
            Self::Decimal => "a number such as 0.005, not negative".to_string(),
            Self::Text => "text".to_string(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::List => "a list separated by commas".to_string(),
        }
    }
}

/// Reads digits, perhaps with a point among them, in units of 10^-9.
fn decimal(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(fraction)
}

fn number(text: &str, units: &[(&str, i64)], min: i64, max: i64) -> Option<Value> {
    let end = text
        .char_indices()
        .find(|&(at, c)| !(c.is_ascii_digit() || (at == 0 && c == '-')))
        .map_or(text.len(), |(at, _)| at);
    let (digits, unit) = text.split_at(end);
    let factor = match unit.trim() {
        "" => 1,
        unit => {
            units
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))?
                .1
        }
    };
    let value = digits.parse::<i64>().ok()?.checked_mul(factor)?;
    (min..=max).contains(&value).then_some(Value::Int(value))
}

/// `bytes` in the largest binary unit that divides it.
pub(super) fn show_bytes(bytes: i64) -> String {
    show(bytes, &BYTE_UNITS[..4])
}

/// `millis` in the largest unit that divides it.
pub(super) fn show_time(millis: i64) -> String {
    show(millis, &TIME_UNITS)
}

fn show(value: i64, units: &[(&str, i64)]) -> String {
    let fitting = units
        .iter()
        .rev()
        .find(|(_, factor)| value > 0 && value % factor == 0);
    match fitting {
        Some((unit, factor)) => format!("{}{unit}", value / factor),
        None => value.to_string(),
    }
}

/// A time of `millis`, or without end where it is negative.
pub(super) fn duration(millis: i64) -> Duration {
    u64::try_from(millis).map_or(Duration::MAX, Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: (i64, i64) = (i64::MIN, i64::MAX);

    #[test]
    fn numbers_take_their_units_and_bounds() {
        let bytes = Kind::Bytes {
            min: -1,
            max: 1 << 40,
        };
        let time = Kind::DurationMs { min: 0, max: ANY.1 };
        let int = Kind::Int { min: 1, max: 10 };
        for (kind, text, expected) in [
            (int, "1", Some(1)),
            (int, "10", Some(10)),
            (int, "0", None),
            (int, "11", None),
            (int, "3s", None),
            (int, "", None),
            (int, "1.5", None),
            (bytes, "1048576", Some(1_048_576)),
            (bytes, "1MiB", Some(1_048_576)),
            (bytes, "1 mib", Some(1_048_576)),
            (bytes, "64kB", Some(64_000)),
            (bytes, "-1", Some(-1)),
            (bytes, "-2", None),
            (bytes, "2TiB", None),
            (bytes, "9223372036854775807KiB", None),
            (bytes, "1parsec", None),
            (time, "250", Some(250)),
            (time, "250ms", Some(250)),
            (time, "5m", Some(300_000)),
            (time, "7d", Some(604_800_000)),
            (time, "-1", None),
            (time, "s", None),
        ] {
            assert_eq!(
                kind.parse(text).ok(),
                expected.map(Value::Int),
                "{text} as {kind:?}"
            );
        }
    }

    #[test]
    fn decimals_are_exact() {
        for (text, expected) in [
            ("0.005", Some(5_000_000)),
            ("12", Some(12_000_000_000)),
            ("0.000000001", Some(1)),
            ("18446744073.709551615", Some(u64::MAX)),
            ("18446744073.709551616", None),
            ("0.0000000001", None),
            ("-1", None),
            ("+1", None),
            (".5", None),
            ("5.", None),
            ("1e3", None),
            ("1.2.3", None),
            ("", None),
        ] {
            let parsed = Kind::Decimal.parse(text).ok();
            assert_eq!(parsed, expected.map(Value::Decimal), "{text}");
        }
    }

    #[test]
    fn words_and_lists() {
        let choice = Kind::Choice(&["readable", "json"]);
        assert_eq!(choice.parse("JSON"), Ok(Value::Text("json".to_string())));
        assert_eq!(
            choice.parse("xml"),
            Err("one of readable, json".to_string())
        );
        assert_eq!(Kind::Bool.parse("True"), Ok(Value::Bool(true)));
        assert!(Kind::Bool.parse("yes").is_err());
        let list = |items: &[&str]| Value::List(items.iter().map(ToString::to_string).collect());
        assert_eq!(Kind::List.parse(" a, b ,,c"), Ok(list(&["a", "b", "c"])));
        assert_eq!(Kind::List.parse(""), Ok(list(&[])));
    }

    #[test]
    fn bounds_are_shown_in_the_largest_unit_that_fits() {
        let bytes = Kind::Bytes {
            min: 1024,
            max: 3 << 30,
        };
        assert!(
            bytes.allowed().ends_with("1KiB to 3GiB"),
            "{}",
            bytes.allowed()
        );
        let time = Kind::DurationMs {
            min: 0,
            max: 90_000,
        };
        assert!(time.allowed().ends_with("0 to 90s"), "{}", time.allowed());
        let open = Kind::Int {
            min: 1,
            max: i64::MAX,
        };
        assert!(open.allowed().ends_with("at least 1"), "{}", open.allowed());
    }
}
