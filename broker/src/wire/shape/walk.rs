//! The walk over the bytes of a request.

use super::super::WireError;
use super::super::reader::Reader;
use super::{Field, Kind, Shape};

/// Array elements and tagged fields that one request may have in all.
pub(super) const ELEMENTS_MAX: usize = 1 << 20;

/// About what a decoded struct, and each of its fields, takes in memory.
const STRUCT_BYTES: usize = 32;
const FIELD_BYTES: usize = 24;

/// What a walk found out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Walked {
    /// Array elements and tagged fields.
    pub(in super::super) elements: usize,
    /// An estimate of the memory that the decoded request takes beyond its frame. A struct of a
    /// few bytes on the wire decodes into hundreds.
    pub(in super::super) decoded_bytes: usize,
}

/// Walks the body of a request, which `reader` must be at the beginning of, to its end.
///
/// # Errors
/// If any length, count or size is more than the bytes that are left, if anything has a value that
/// the protocol does not know, or if there are more than a million elements. Bytes that are left over
/// are ignored, as in Kafka.
pub(in super::super) fn walk(
    shape: &Shape,
    version: i16,
    reader: &mut Reader<'_>,
) -> Result<Walked, WireError> {
    let walked = Walked::default();
    let mut walk = Walk {
        reader,
        version,
        flexible: shape.is_flexible(version),
        walked,
    };
    walk.structure(shape.fields)?;
    Ok(walk.walked)
}

struct Walk<'w, 'a> {
    reader: &'w mut Reader<'a>,
    version: i16,
    flexible: bool,
    walked: Walked,
}

impl Walk<'_, '_> {
    fn structure(&mut self, fields: &'static [Field]) -> Result<(), WireError> {
        self.walked.decoded_bytes += STRUCT_BYTES + FIELD_BYTES * fields.len();
        for field in fields {
            if field.tag.is_none() && field.versions.contains(self.version) {
                self.field(field)?;
            }
        }
        if self.flexible {
            self.tagged_fields(fields)
        } else {
            Ok(())
        }
    }

    fn field(&mut self, field: &'static Field) -> Result<(), WireError> {
        let nullable = field.nullable.contains(self.version);
        self.value(&field.kind, nullable, field.name)
    }

    fn value(
        &mut self,
        kind: &'static Kind,
        nullable: bool,
        name: &'static str,
    ) -> Result<(), WireError> {
        match kind {
            Kind::String => {
                let length = self.length16(nullable, name)?;
                self.reader.take(length, name).map(drop)
            }
            Kind::Bytes | Kind::Records => {
                let length = self.length32(nullable, name)?;
                self.reader.take(length, name).map(drop)
            }
            Kind::Array(element) => self.array(element, nullable, name),
            Kind::Struct(fields) if nullable => match self.reader.int8(name)? {
                -1 => Ok(()),
                1 => self.structure(fields),
                value => Err(WireError::Impossible {
                    what: name,
                    value: i64::from(value),
                }),
            },
            Kind::Struct(fields) => self.structure(fields),
            fixed => self
                .reader
                .take(fixed.fixed_bytes().unwrap_or(0), name)
                .map(drop),
        }
    }

    fn array(
        &mut self,
        element: &'static Kind,
        nullable: bool,
        name: &'static str,
    ) -> Result<(), WireError> {
        let count = self.length32(nullable, name)?;
        let least = element.least_bytes(self.version, self.flexible).max(1);
        self.count_elements(count, least, name)?;
        if let Some(bytes) = element.fixed_bytes() {
            // No overflow: `count_elements` has compared the product with the bytes left.
            return self.reader.take(count * bytes, name).map(drop);
        }
        self.walked.decoded_bytes += count * FIELD_BYTES;
        for _ in 0..count {
            self.value(element, false, name)?;
        }
        Ok(())
    }

    fn tagged_fields(&mut self, fields: &'static [Field]) -> Result<(), WireError> {
        let count = self.reader.unsigned_varint("tagged fields")? as usize;
        self.count_elements(count, 2, "tagged fields")?;
        self.walked.decoded_bytes += count * STRUCT_BYTES;
        for _ in 0..count {
            let tag = self.reader.unsigned_varint("tag")?;
            let size = self.reader.unsigned_varint("tagged field")? as usize;
            let known = fields
                .iter()
                .find(|field| field.tag == Some(tag) && field.versions.contains(self.version));
            let Some(field) = known else {
                self.reader.take(size, "tagged field")?;
                continue;
            };
            // The decoder does not look at the size of a field it knows, so it has to be right.
            let start = self.reader.position();
            self.field(field)?;
            let walked = self.reader.position() - start;
            if walked != size {
                return Err(WireError::Impossible {
                    what: field.name,
                    value: size as i64,
                });
            }
        }
        Ok(())
    }

    fn count_elements(
        &mut self,
        count: usize,
        least_bytes: usize,
        what: &'static str,
    ) -> Result<(), WireError> {
        let possible = (self.reader.remaining() / least_bytes)
            .min(ELEMENTS_MAX.saturating_sub(self.walked.elements));
        if count > possible {
            let (claimed, possible) = (count as u64, possible as u64);
            return Err(WireError::Overlong {
                what,
                claimed,
                possible,
            });
        }
        self.walked.elements += count;
        Ok(())
    }

    /// The length of a string; null counts as empty.
    fn length16(&mut self, nullable: bool, name: &'static str) -> Result<usize, WireError> {
        if self.flexible {
            return self.compact_length(nullable, name);
        }
        let length = self.reader.int16(name)?;
        signed_length(i64::from(length), nullable, name)
    }

    /// The length of bytes, or of an array in elements; null counts as empty.
    fn length32(&mut self, nullable: bool, name: &'static str) -> Result<usize, WireError> {
        if self.flexible {
            return self.compact_length(nullable, name);
        }
        let length = self.reader.int32(name)?;
        signed_length(i64::from(length), nullable, name)
    }

    fn compact_length(&mut self, nullable: bool, name: &'static str) -> Result<usize, WireError> {
        match self.reader.unsigned_varint(name)? {
            0 if nullable => Ok(0),
            0 => Err(WireError::Impossible {
                what: name,
                value: -1,
            }),
            length => Ok(length as usize - 1),
        }
    }
}

fn signed_length(length: i64, nullable: bool, what: &'static str) -> Result<usize, WireError> {
    match usize::try_from(length) {
        Ok(length) => Ok(length),
        Err(_) if length == -1 && nullable => Ok(0),
        Err(_) => Err(WireError::Impossible {
            what,
            value: length,
        }),
    }
}
