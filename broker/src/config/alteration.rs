//! Changes of configs: what AlterConfigs and IncrementalAlterConfigs (KIP-133, KIP-339) make of what is set. Pure.

use std::collections::BTreeSet;

use control_plane::state::Configs;

use super::topic_table::topic_key;
use super::value::{ConfigError, ConfigType, items};

/// Whose configs are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A topic's.
    Topic,
    /// One broker's, or all brokers'.
    Brokers,
    /// A group's.
    Group,
}

/// One change of IncrementalAlterConfigs, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of which config.
    pub name: String,
    /// 0 sets, 1 deletes, 2 appends, 3 subtracts.
    pub operation: i8,
    /// Needed for all but deleting.
    pub value: Option<String>,
}

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// What is to be done to the configs of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// AlterConfigs: these, and nothing else.
    Replace(Vec<(String, Option<String>)>),
    /// IncrementalAlterConfigs: change these.
    Change(Vec<Change>),
}

impl Edit {
    /// Everything that is to be set from now on; not yet checked. `in_force` tells the value that a config of this name
    /// has while it is not set: words are appended to that.
    pub fn next(
        &self,
        whose: Whose,
        current: &Configs,
        in_force: impl Fn(&str) -> String,
    ) -> Result<Configs, ConfigError> {
        match self {
            Self::Replace(configs) => replace(configs.clone()),
            Self::Change(changes) => change(whose, current, changes.clone(), in_force),
        }
    }
}

fn replace(changes: Vec<(String, Option<String>)>) -> Result<Configs, ConfigError> {
    refuse_duplicates(changes.iter().map(|(name, _)| name))?;
    refuse_null(
        changes
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name),
    )?;
    let set = changes
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    Ok(set.collect())
}

fn change(
    whose: Whose,
    current: &Configs,
    changes: Vec<Change>,
    in_force: impl Fn(&str) -> String,
) -> Result<Configs, ConfigError> {
    refuse_duplicates(changes.iter().map(|change| &change.name))?;
    let null = changes
        .iter()
        .filter(|change| change.operation != DELETE && change.value.is_none());
    refuse_null(null.map(|change| &change.name))?;
    let mut next = current.clone();
    for Change {
        name,
        operation,
        value,
    } in changes
    {
        let value = value.unwrap_or_default();
        match operation {
            SET => next.insert(name, value),
            DELETE => next.remove(&name),
            APPEND | SUBTRACT => {
                if !whose.is_list(&name) {
                    return Err(whose.not_a_list(operation, name));
                }
                let before = next.get(&name).cloned().unwrap_or_else(|| in_force(&name));
                let after = combine(&before, &value, operation == APPEND);
                next.insert(name, after)
            }
            unknown => return Err(ConfigError::UnknownOperation(unknown)),
        };
    }
    Ok(next)
}

/// What leads from `current` to `next`, for the metadata's command.
pub fn difference(current: &Configs, next: &Configs) -> Vec<(String, Option<String>)> {
    let gone = current.keys().filter(|name| !next.contains_key(*name));
    let gone = gone.map(|name| (name.clone(), None));
    let set = next
        .iter()
        .filter(|(name, value)| current.get(*name) != Some(value));
    gone.chain(set.map(|(name, value)| (name.clone(), Some(value.clone()))))
        .collect()
}

fn combine(before: &str, words: &str, append: bool) -> String {
    let mut list = items(before);
    for word in items(words) {
        if !append {
            list.retain(|item| *item != word);
        } else if !list.contains(&word) {
            list.push(word);
        }
    }
    list.join(",")
}

impl Whose {
    /// Whether the config called so is a list of words.
    fn is_list(self, name: &str) -> bool {
        match self {
            Self::Topic => topic_key(name).is_some_and(|key| key.kind == ConfigType::List),
            Self::Brokers => name == "log.cleanup.policy",
            Self::Group => false,
        }
    }

    fn not_a_list(self, operation: i8, name: String) -> ConfigError {
        let appends = operation == APPEND;
        match self {
            Self::Topic | Self::Group => ConfigError::NotAList {
                operation: if appends { "APPEND" } else { "SUBTRACT" },
                name,
            },
            Self::Brokers => ConfigError::SettingNotAList {
                operation: if appends { "append" } else { "subtract" },
                name,
            },
        }
    }
}

fn refuse_duplicates<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ConfigError::Duplicate);
        }
    }
    Ok(())
}

fn refuse_null<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), ConfigError> {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(ConfigError::Null(names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Configs {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn to(name: &str, operation: i8, value: Option<&str>) -> Change {
        Change {
            name: name.to_owned(),
            operation,
            value: value.map(str::to_owned),
        }
    }

    fn changed(current: &[(&str, &str)], changes: &[Change]) -> Result<Configs, String> {
        let in_force = |_: &str| "delete".to_owned();
        change(Whose::Topic, &map(current), changes.to_vec(), in_force)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn words_are_appended_to_what_is_in_force() {
        let policy = |operation, value| [to("cleanup.policy", operation, Some(value))];
        for (before, operation, value, after) in [
            (None, APPEND, "compact", "delete,compact"),
            (None, APPEND, "delete", "delete"),
            (None, SUBTRACT, "delete", ""),
            (None, SUBTRACT, "compact", "delete"),
            (Some(""), APPEND, " compact ", "compact"),
            (Some("delete,compact"), SUBTRACT, "delete, compact", ""),
        ] {
            let current: Vec<_> = before
                .map(|value| ("cleanup.policy", value))
                .into_iter()
                .collect();
            let next = changed(&current, &policy(operation, value));
            assert_eq!(
                next,
                Ok(map(&[("cleanup.policy", after)])),
                "{before:?} {operation} {value}"
            );
        }
    }

    #[test]
    fn setting_and_deleting_leave_the_rest_alone() {
        let current = [("retention.ms", "1"), ("segment.ms", "2")];
        let next = changed(
            &current,
            &[
                to("retention.ms", SET, Some("3")),
                to("segment.ms", DELETE, None),
            ],
        );
        assert_eq!(next, Ok(map(&[("retention.ms", "3")])));
        let next = changed(&current, &[to("foo", DELETE, Some("x"))]);
        assert_eq!(next, Ok(map(&current)), "what is not set can be deleted");
    }

    #[test]
    fn impossible_changes_have_kafkas_words() {
        for (changes, why) in [
            (
                vec![to("retention.ms", APPEND, Some("5"))],
                "Can't APPEND to key retention.ms because its type is not LIST.",
            ),
            (
                vec![to("foo", SUBTRACT, Some("5"))],
                "Can't SUBTRACT to key foo because its type is not LIST.",
            ),
            (
                vec![to("retention.ms", SET, None)],
                "Null value not supported for : retention.ms",
            ),
            (
                vec![to("a", SET, Some("1")), to("a", DELETE, None)],
                "Error due to duplicate config keys",
            ),
            (vec![to("a", 4, Some("1"))], "Unknown operations type 4"),
        ] {
            assert_eq!(changed(&[], &changes), Err(why.to_owned()));
        }
    }

    #[test]
    fn words_are_for_lists_of_the_same_kind_of_thing() {
        let append = |whose, name: &str| {
            let changes = vec![to(name, APPEND, Some("compact"))];
            let changed = change(whose, &Configs::new(), changes, |_| String::new());
            changed.map_err(|error| error.to_string())
        };
        let policy = "log.cleanup.policy";
        assert_eq!(
            append(Whose::Brokers, policy),
            Ok(map(&[(policy, "compact")]))
        );
        assert_eq!(
            append(Whose::Brokers, "message.max.bytes"),
            Err("Config value append is not allowed for config key: message.max.bytes".to_owned())
        );
        for whose in [Whose::Topic, Whose::Group] {
            assert_eq!(
                append(whose, policy),
                Err(format!(
                    "Can't APPEND to key {policy} because its type is not LIST."
                ))
            );
        }
    }

    #[test]
    fn replacing_forgets_what_is_not_named() {
        let current = map(&[
            ("retention.ms", "1"),
            ("segment.ms", "2"),
            ("preallocate", "true"),
        ]);
        let named = [("segment.ms", "5"), ("preallocate", "true")];
        let next = replace(
            named
                .map(|(n, v)| (n.to_owned(), Some(v.to_owned())))
                .to_vec(),
        )
        .unwrap();
        assert_eq!(
            difference(&current, &next),
            [
                ("retention.ms".to_owned(), None),
                ("segment.ms".to_owned(), Some("5".to_owned()))
            ]
        );
        assert_eq!(
            replace(vec![("a".to_owned(), None)]),
            Err(ConfigError::Null("a".to_owned()))
        );
        let twice = vec![("a".to_owned(), Some(String::new())); 2];
        assert_eq!(replace(twice), Err(ConfigError::Duplicate));
    }
}
