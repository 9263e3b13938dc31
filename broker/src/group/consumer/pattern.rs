//! Subscriptions by regular expression. An expression must match a topic's whole name.

use std::collections::{BTreeMap, BTreeSet};

use crate::group::topics::Topics;
use crate::re2;

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
    let Ok(regex) = re2::compile(expression) else {
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
}
