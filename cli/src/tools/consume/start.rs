//! Where reading begins.

use std::collections::BTreeMap;

use chrono::DateTime;

use crate::client::{Client, OffsetQuery, Result};

/// A place in every partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The first record there is.
    Beginning,
    /// After the last record.
    End,
    /// This offset; in a partition that does not reach to it or has lost it, the offset that is nearest.
    Offset(i64),
    /// So many offsets before the end.
    BeforeEnd(i64),
    /// The first record at or after a time, in milliseconds since the epoch.
    Timestamp(i64),
}

/// Parses a place.
pub fn parse(text: &str) -> std::result::Result<Start, String> {
    if let Some(offset) = text.strip_prefix("offset:") {
        return number(offset).map(Start::Offset);
    }
    if let Some(time) = text.strip_prefix("timestamp:") {
        return number(time)
            .or_else(|_| rfc3339(time))
            .map(Start::Timestamp);
    }
    match text {
        "beginning" => Ok(Start::Beginning),
        "end" => Ok(Start::End),
        _ => match text.parse::<i64>() {
            Ok(offset) if offset < 0 => Ok(Start::BeforeEnd(offset.saturating_neg())),
            Ok(offset) => Ok(Start::Offset(offset)),
            Err(_) => rfc3339(text).map(Start::Timestamp),
        },
    }
}

fn number(text: &str) -> std::result::Result<i64, String> {
    let parsed = text.parse().ok().filter(|number| *number >= 0);
    parsed.ok_or_else(|| "not a number from 0".to_owned())
}

fn rfc3339(text: &str) -> std::result::Result<i64, String> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.timestamp_millis()).map_err(|_| {
        "beginning, end, offset:N, N, -N, timestamp:MS, or a time like 2026-01-31T12:00:00Z".into()
    })
}

/// The offsets from which to read.
pub async fn positions(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    start: Start,
) -> Result<BTreeMap<i32, i64>> {
    let ask = async |query| -> Result<BTreeMap<i32, i64>> {
        let listed = client.offsets(topic, partitions, query).await?;
        Ok(listed
            .into_iter()
            .map(|(index, listed)| (index, listed.offset))
            .collect())
    };
    match start {
        Start::Beginning => ask(OffsetQuery::Beginning).await,
        Start::End => ask(OffsetQuery::End).await,
        Start::Offset(offset) => {
            let first = ask(OffsetQuery::Beginning).await?;
            let end = ask(OffsetQuery::End).await?;
            Ok(nearest(offset, &first, &end))
        }
        Start::BeforeEnd(count) => {
            let first = ask(OffsetQuery::Beginning).await?;
            let end = ask(OffsetQuery::End).await?;
            let back = |(index, end): (i32, i64)| {
                (
                    index,
                    (end - count).max(first.get(&index).copied().unwrap_or(0)),
                )
            };
            Ok(end.into_iter().map(back).collect())
        }
        Start::Timestamp(time) => {
            let mut found = ask(OffsetQuery::Timestamp(time)).await?;
            let end = ask(OffsetQuery::End).await?;
            for (index, offset) in &mut found {
                // No record is that young: begin at the end.
                if *offset < 0 {
                    *offset = end.get(index).copied().unwrap_or(0);
                }
            }
            Ok(found)
        }
    }
}

/// What each partition has that is nearest to `offset`.
fn nearest(
    offset: i64,
    first: &BTreeMap<i32, i64>,
    end: &BTreeMap<i32, i64>,
) -> BTreeMap<i32, i64> {
    let of = |(&index, &end): (&i32, &i64)| {
        let first = first.get(&index).copied().unwrap_or(0);
        (index, offset.min(end).max(first))
    };
    end.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_a_partition_lacks_is_no_error_but_the_nearest() {
        let (first, end) = (
            [(0, 0), (1, 0), (2, 7)].into(),
            [(0, 9), (1, 0), (2, 9)].into(),
        );
        let expected = [(0, 3), (1, 0), (2, 7)].into();
        assert_eq!(nearest(3, &first, &end), expected);
    }

    #[test]
    fn places_parse() {
        assert_eq!(parse("beginning"), Ok(Start::Beginning));
        assert_eq!(parse("offset:17"), Ok(Start::Offset(17)));
        assert_eq!(parse("17"), Ok(Start::Offset(17)));
        assert_eq!(parse("-5"), Ok(Start::BeforeEnd(5)));
        assert_eq!(
            parse("timestamp:1700000000000"),
            Ok(Start::Timestamp(1_700_000_000_000))
        );
        assert_eq!(
            parse("2023-11-14T23:13:20+01:00"),
            Ok(Start::Timestamp(1_700_000_000_000))
        );
        assert_eq!(
            parse("timestamp:2023-11-14T22:13:20.5Z"),
            Ok(Start::Timestamp(1_700_000_000_500))
        );
        assert!(parse("yesterday").is_err());
        assert!(parse("offset:-1").is_err());
    }
}
