//! Subscriptions by regular expression.
//!
//! Kafka uses RE2; the `regex` crate has its syntax and, like it, takes time linear in the input. An
//! expression must match a topic's whole name.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};

use crate::group::topics::Topics;

/// Most bytes that a compiled expression may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Compiles an expression; the error says what is wrong with it.
pub(super) fn compile(expression: &str) -> Result<Regex, String> {
    // Alone first: parentheses of its own must not close those around it.
    let whole = format!("^(?:{expression})$");
    for source in [expression, &whole] {
        let built = RegexBuilder::new(source)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build();
        match built {
            Ok(regex) if source == whole => return Ok(regex),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("empty".to_owned())
}

/// What the expressions of a group's members match.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    topics_epoch: Option<u64>,
    matched: BTreeMap<String, BTreeSet<String>>,
}

impl Patterns {
    /// Matches anew what has changed: expressions nobody has any longer are forgotten.
    pub(super) fn refresh<'a>(
        &mut self,
        expressions: impl Iterator<Item = &'a str>,
        topics: &Topics,
    ) {
        let mut former = std::mem::take(&mut self.matched);
        if self.topics_epoch != Some(topics.epoch) {
            former.clear();
            self.topics_epoch = Some(topics.epoch);
        }
        for expression in expressions {
            if self.matched.contains_key(expression) {
                continue;
            }
            let matched = former
                .remove(expression)
                .unwrap_or_else(|| matching(expression, topics));
            self.matched.insert(expression.to_owned(), matched);
        }
    }

    /// The topics that an expression matches.
    pub(super) fn of(&self, expression: &str) -> impl Iterator<Item = &str> {
        let matched = self.matched.get(expression).into_iter().flatten();
        matched.map(String::as_str)
    }
}

fn matching(expression: &str, topics: &Topics) -> BTreeSet<String> {
    let Ok(regex) = compile(expression) else {
        return BTreeSet::new();
    };
    let names = topics.names().filter(|name| regex.is_match(name));
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use object_format::TopicId;
    use uuid::Uuid;

    use super::*;

    fn topics(epoch: u64, names: &[&str]) -> Topics {
        let topic = |(i, name): (usize, &&str)| {
            ((*name).to_owned(), TopicId(Uuid::from_u128(i as u128)), 1)
        };
        Topics::new(epoch, names.iter().enumerate().map(topic))
    }

    #[test]
    fn an_expression_matches_whole_names_of_the_topics_there_are() {
        let mut patterns = Patterns::default();
        patterns.refresh(
            ["a|b", "b.*"].into_iter(),
            &topics(1, &["a", "ab", "b", "bc"]),
        );
        assert_eq!(patterns.of("a|b").collect::<String>(), "ab");
        assert_eq!(patterns.of("b.*").collect::<Vec<_>>(), ["b", "bc"]);
        patterns.refresh(["b.*"].into_iter(), &topics(2, &["b"]));
        assert_eq!(patterns.of("b.*").collect::<Vec<_>>(), ["b"]);
        assert_eq!(patterns.of("a|b").count(), 0);
    }

    #[test]
    fn what_is_no_expression_or_too_large_is_refused() {
        for bad in ["(", "a)(b", "[", "(?<=a)b", "((a{1000}){1000}){1000}"] {
            assert!(compile(bad).is_err(), "{bad}");
        }
        assert!(compile("").is_ok());
    }
}
