//! How a record is printed.

use std::io::{Result, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::records::RecordView;

/// A form of output; each record ends with a newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The value.
    Value,
    /// Key, separator, value.
    KeyValue,
    /// One JSON object with everything.
    Json,
}

impl Format {
    /// Prints one record. Null keys and values print as nothing, and as null in JSON.
    pub fn write(
        self,
        out: &mut impl Write,
        topic: &str,
        partition: i32,
        record: &RecordView<'_>,
        separator: &str,
    ) -> Result<()> {
        match self {
            Self::Value => out.write_all(record.value.unwrap_or_default())?,
            Self::KeyValue => {
                out.write_all(record.key.unwrap_or_default())?;
                out.write_all(separator.as_bytes())?;
                out.write_all(record.value.unwrap_or_default())?;
            }
            Self::Json => {
                let header = |(name, value): &(&[u8], Option<&[u8]>)| json!({"name": text(Some(name)), "value": text(*value)});
                let object = json!({
                    "topic": topic,
                    "partition": partition,
                    "offset": record.offset,
                    "timestamp": record.timestamp,
                    "key": text(record.key),
                    "value": text(record.value),
                    "headers": record.headers().iter().map(header).collect::<Vec<_>>(),
                });
                serde_json::to_writer(&mut *out, &object)?;
            }
        }
        out.write_all(b"\n")
    }
}

/// A string if the bytes are UTF-8, else their base64.
fn text(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => Value::String(text.to_owned()),
        Some((bytes, Err(_))) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::records::{BatchEncoder, Compression, seal, split_batches};

    fn printed(format: Format) -> Vec<String> {
        let mut encoder = BatchEncoder::default();
        encoder.push(
            1_000,
            Some(b"k"),
            Some(b"v"),
            &[(b"a", Some(b"1")), (b"a", None)],
        );
        encoder.push(1_001, None, Some(&[0xff, 0xfe]), &[]);
        let mut batch = encoder.finish(Compression::None).unwrap();
        seal(
            &mut batch,
            crate::client::records::ProducerIdentity::NONE,
            -1,
        );
        let batches = split_batches(batch.freeze()).unwrap();
        let records = batches[0].records().unwrap();
        let print = |record| {
            let mut out = Vec::new();
            format.write(&mut out, "t", 4, &record, "|").unwrap();
            String::from_utf8_lossy(&out).into_owned()
        };
        records
            .iter()
            .map(|record| print(record.unwrap()))
            .collect()
    }

    #[test]
    fn text_formats_print_the_bytes() {
        assert_eq!(printed(Format::Value)[0], "v\n");
        assert_eq!(printed(Format::KeyValue)[0], "k|v\n");
        assert_eq!(printed(Format::KeyValue)[1], "|\u{fffd}\u{fffd}\n");
    }

    #[test]
    fn json_keeps_everything() {
        let lines = printed(Format::Json);
        let first: Value = serde_json::from_str(&lines[0]).unwrap();
        let headers = json!([{"name": "a", "value": "1"}, {"name": "a", "value": null}]);
        let expected = json!({
            "topic": "t", "partition": 4, "offset": 0, "timestamp": 1000,
            "key": "k", "value": "v", "headers": headers,
        });
        assert_eq!(first, expected);
        let second: Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!(
            (&second["key"], &second["value"]),
            (&Value::Null, &json!({"base64": "//4="}))
        );
    }
}
