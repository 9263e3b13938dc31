//! The shape of every request that may come in, and the walk that holds a frame against it.
//!
//! SUBTLE: the `kafka-protocol` crate allocates for as many array elements as the wire claims, and
//! a failed allocation aborts the process. So nothing is decoded that was not walked here: every
//! length, count and size is checked against the bytes that are there, and nothing is allocated.

mod table;
mod walk;

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

pub(super) use walk::{Walked, walk};

/// A request: its fields over all its versions.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) api_key: i16,
    pub(super) name: &'static str,
    versions: Versions,
    /// The first version with compact lengths and tagged fields (KIP-482).
    flexible_from: i16,
    fields: &'static [Field],
}

/// A field and the versions that have it.
#[derive(Debug)]
struct Field {
    name: &'static str,
    kind: Kind,
    versions: Versions,
    nullable: Versions,
    tag: Option<u32>,
}

/// The types of Kafka's schemas.
#[derive(Debug)]
enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Array(&'static Kind),
    Struct(&'static [Field]),
}

/// An inclusive range of versions.
#[derive(Debug, Clone, Copy)]
struct Versions {
    first: i16,
    last: i16,
}

impl Versions {
    const NONE: Self = Self { first: 1, last: 0 };

    const fn of(range: RangeInclusive<i16>) -> Self {
        Self {
            first: *range.start(),
            last: *range.end(),
        }
    }

    fn contains(self, version: i16) -> bool {
        version >= self.first && version <= self.last
    }
}

const fn field(name: &'static str, kind: Kind, versions: RangeInclusive<i16>) -> Field {
    Field {
        name,
        kind,
        versions: Versions::of(versions),
        nullable: Versions::NONE,
        tag: None,
    }
}

impl Field {
    /// May be null in these versions.
    const fn null(self, versions: RangeInclusive<i16>) -> Self {
        Self {
            nullable: Versions::of(versions),
            ..self
        }
    }

    /// Is a tagged field, absent when it has its default value.
    const fn tag(self, tag: u32) -> Self {
        Self {
            tag: Some(tag),
            ..self
        }
    }
}

impl Shape {
    const fn new(
        api_key: i16,
        name: &'static str,
        versions: RangeInclusive<i16>,
        flexible_from: i16,
        fields: &'static [Field],
    ) -> Self {
        Self {
            api_key,
            name,
            versions: Versions::of(versions),
            flexible_from,
            fields,
        }
    }

    /// The shape of the requests with this API key, if they are known.
    pub(super) fn of(api_key: i16) -> Option<&'static Self> {
        table::find(api_key)
    }

    /// Whether the schema has this version.
    pub(super) fn has_version(&self, version: i16) -> bool {
        self.versions.contains(version)
    }

    /// Whether this version has tagged fields, in the body as in the header.
    pub(super) fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }
}

impl Kind {
    /// The bytes of a value whose type alone tells its length.
    fn fixed_bytes(&self) -> Option<usize> {
        match self {
            Self::Bool | Self::Int8 => Some(1),
            Self::Int16 | Self::Uint16 => Some(2),
            Self::Int32 => Some(4),
            Self::Int64 | Self::Float64 => Some(8),
            Self::Uuid => Some(16),
            Self::String | Self::Bytes | Self::Records | Self::Array(_) | Self::Struct(_) => None,
        }
    }

    /// The fewest bytes that a value, not null, can take.
    fn least_bytes(&self, version: i16, flexible: bool) -> usize {
        match self {
            Self::String => {
                if flexible {
                    1
                } else {
                    2
                }
            }
            Self::Bytes | Self::Records | Self::Array(_) => {
                if flexible {
                    1
                } else {
                    4
                }
            }
            Self::Struct(fields) => {
                let present = fields
                    .iter()
                    .filter(|field| field.versions.contains(version));
                let least = present.filter(|field| field.tag.is_none()).map(|field| {
                    let is_nullable_struct =
                        matches!(field.kind, Self::Struct(_)) && field.nullable.contains(version);
                    if is_nullable_struct {
                        1
                    } else {
                        field.kind.least_bytes(version, flexible)
                    }
                });
                least.sum::<usize>() + usize::from(flexible)
            }
            fixed => fixed.fixed_bytes().unwrap_or(0),
        }
    }
}
