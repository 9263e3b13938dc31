//! Values of Kafka's configs: their types, what they allow, and Kafka's own words for what they do not. Pure.
//!
//! Kafka's notation is strict: numbers are plain digits, without units. Values are kept in the form that Kafka would
//! show them in (trimmed, lists joined by commas), so that whoever reads one later need not be careful.

use super::share_reset::ShareReset;

/// A config's type; Kafka's DescribeConfigs tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A fraction.
    Double,
    /// Words separated by commas.
    List,
    /// Text that is never shown.
    Password,
}

impl ConfigType {
    /// Its code in DescribeConfigs (KIP-569).
    pub fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Password => 9,
        }
    }

    /// Its name in Kafka's errors and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Password => "PASSWORD",
        }
    }
}

/// What a config allows besides having its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Everything.
    Any,
    /// Numbers from this one on.
    AtLeast(i64),
    /// Numbers from the first to the last.
    Between(i64, i64),
    /// Numbers from the first to the last, and also the third.
    BetweenOr(i64, i64, i64),
    /// One of these words, or for a list any of them.
    Words(&'static [&'static str]),
    /// `*`, or pairs of partition and broker as `0:1,1:2`.
    ThrottledReplicas,
    /// `earliest`, `latest`, or `by_duration:` and a duration.
    ShareReset,
}

/// Why a change of configs is refused, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There is no such topic config.
    #[error("Unknown topic config name: {0}")]
    Unknown(String),
    /// There is no such group config.
    #[error("Unknown group config name: {0}")]
    UnknownOfGroup(String),
    /// A group's config is not as the brokers' settings, or another of its configs, would have it.
    #[error("{name} must be {relation} {bound}")]
    OutOfBounds {
        /// The config.
        name: String,
        /// How it should compare.
        relation: &'static str,
        /// The setting, or the config, with what.
        bound: String,
    },
    /// The config does not take this value.
    #[error("Invalid value {value} for configuration {name}: {why}")]
    Invalid {
        /// The config.
        name: String,
        /// The value, as Kafka shows it.
        value: String,
        /// What it should be.
        why: String,
    },
    /// It is longer than anything that could be meant.
    #[error(
        "The configuration value cannot be added because it exceeds the maximum value size of \
         {VALUE_BYTES_MAX} bytes."
    )]
    TooLong,
    /// Two configs contradict each other.
    #[error(
        "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
    )]
    CompactionLag {
        /// `min.compaction.lag.ms`.
        min: i64,
        /// `max.compaction.lag.ms`.
        max: i64,
    },
    /// Tiered storage is asked for; everything is in the bucket already.
    #[error(
        "Tiered Storage functionality is disabled in the broker. \
         Topic cannot be configured with remote log storage."
    )]
    RemoteStorage,
    /// A word is to be added to, or taken from, a setting of brokers that has no words.
    #[error("Config value {operation} is not allowed for config key: {name}")]
    SettingNotAList {
        /// `append` or `subtract`.
        operation: &'static str,
        /// The setting.
        name: String,
    },
    /// A word is to be added to, or taken from, what has no words.
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NotAList {
        /// `APPEND` or `SUBTRACT`.
        operation: &'static str,
        /// The config.
        name: String,
    },
    /// A topic is created with configs that have no value.
    #[error("Null value not supported for topic configs: {0}")]
    NullAtCreation(String),
    /// Configs are to be set to nothing.
    #[error("Null value not supported for : {0}")]
    Null(String),
    /// A config is named twice.
    #[error("Error due to duplicate config keys")]
    Duplicate,
    /// Not an operation of KIP-339.
    #[error("Unknown operations type {0}")]
    UnknownOperation(i8),
    /// These settings of brokers are read when a broker starts, and then no more.
    #[error("Cannot update these configs dynamically: Set({0})")]
    NotDynamic(String),
    /// A dynamic setting of brokers does not take this value; Kafka has another error code for it than for topics.
    #[error(transparent)]
    OfBroker(Box<ConfigError>),
}

/// Longest value, as in Kafka.
const VALUE_BYTES_MAX: usize = 32_767;

/// Checks `raw` as a value of the config `name` and gives the form it is kept in.
pub fn normalize(
    name: &str,
    kind: ConfigType,
    allowed: Allowed,
    raw: &str,
) -> Result<String, ConfigError> {
    if raw.len() > VALUE_BYTES_MAX {
        return Err(ConfigError::TooLong);
    }
    let refuse = |value: &str, why: String| ConfigError::Invalid {
        name: name.to_owned(),
        value: value.to_owned(),
        why,
    };
    let not_a_number = || refuse(raw, format!("Not a number of type {}", kind.name()));
    let text = raw.trim();
    match kind {
        ConfigType::Boolean => match text.to_ascii_lowercase().as_str() {
            word @ ("true" | "false") => Ok(word.to_owned()),
            _ => Err(refuse(
                raw,
                "Expected value to be either true or false".to_owned(),
            )),
        },
        ConfigType::Int | ConfigType::Long => {
            let number = match kind {
                ConfigType::Int => text.parse::<i32>().map(i64::from),
                _ => text.parse::<i64>(),
            };
            let number = number.map_err(|_| not_a_number())?;
            in_range(number, allowed).map_err(|why| refuse(&number.to_string(), why))?;
            Ok(number.to_string())
        }
        ConfigType::Double => {
            let number: f64 = text.parse().map_err(|_| not_a_number())?;
            fraction_in_range(number, allowed)
                .map_err(|why| refuse(&format!("{number:?}"), why))?;
            Ok(format!("{number:?}"))
        }
        ConfigType::String | ConfigType::Password => match allowed {
            Allowed::Words(words) if !words.contains(&text) => Err(refuse(text, one_of(words))),
            Allowed::ShareReset if ShareReset::parse(text).is_none() => {
                let why = format!(
                    "Invalid value `{text}` for configuration {name}. The value must be either 'earliest', 'latest' \
                     or of the format 'by_duration:<PnDTnHnMn.nS>'."
                );
                Err(refuse(text, why))
            }
            _ => Ok(text.to_owned()),
        },
        ConfigType::List => {
            let items = items(text);
            match allowed {
                Allowed::Words(words) => match items.iter().find(|item| !words.contains(item)) {
                    Some(item) => Err(refuse(item, one_of(words))),
                    None => Ok(items.join(",")),
                },
                Allowed::ThrottledReplicas if !are_throttled_replicas(&items) => {
                    let why = format!(
                        "{name} must be the literal '*' or a list of replicas in the following format: \
                         [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                    );
                    Err(refuse(&format!("[{}]", items.join(", ")), why))
                }
                _ => Ok(items.join(",")),
            }
        }
    }
}

/// The words of a list. The empty text has none; as in Kafka, a comma at the end is followed by an empty word.
pub fn items(text: &str) -> Vec<&str> {
    match text.trim() {
        "" => vec![],
        text => text.split(',').map(str::trim).collect(),
    }
}

fn in_range(number: i64, allowed: Allowed) -> Result<(), String> {
    match allowed {
        Allowed::AtLeast(min) | Allowed::Between(min, _) if number < min => {
            Err(format!("Value must be at least {min}"))
        }
        Allowed::Between(_, max) if number > max => {
            Err(format!("Value must be no more than {max}"))
        }
        Allowed::BetweenOr(min, max, or) if !(min..=max).contains(&number) && number != or => Err(
            format!("Value must be between {min} and {max} or equal to {or}"),
        ),
        _ => Ok(()),
    }
}

fn fraction_in_range(number: f64, allowed: Allowed) -> Result<(), String> {
    let Allowed::Between(min, max) = allowed else {
        return Ok(());
    };
    if number > max as f64 {
        Err(format!("Value must be no more than {max}"))
    } else if number >= min as f64 {
        Ok(())
    } else {
        Err(format!("Value must be at least {min}"))
    }
}

fn one_of(words: &[&str]) -> String {
    format!("String must be one of: {}", words.join(", "))
}

fn are_throttled_replicas(items: &[&str]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_replica = |item: &&str| {
        item.split_once(':')
            .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    items == ["*"] || items.iter().all(is_replica)
}
