//! Any bytes, and the same bytes with their magic, length and CRC made right, so that the fuzzer gets
//! past those: nothing panics, and every record of an uncompressed batch that is taken can be read.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use object_format::batch::{self, BatchHeader, Codec, RecordStream};

/// Where magic and CRC are, and from where on the CRC counts.
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

fuzz_target!(|data: &[u8]| {
    check(Bytes::copy_from_slice(data));
    if data.len() >= batch::HEADER_LEN {
        check(repaired(data));
    }
});

fn repaired(data: &[u8]) -> Bytes {
    let mut batch = data.to_vec();
    let length = (batch.len() - batch::LENGTH_OVERHEAD) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[MAGIC_AT] = batch::MAGIC as u8;
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

fn check(bytes: Bytes) {
    for part in batch::split(bytes.clone()).flatten() {
        assert!(part.len() >= batch::HEADER_LEN);
    }
    // What is not taken may still be asked for its records.
    if let Ok(header) = BatchHeader::parse(&bytes)
        && let Ok(records) = batch::records(&bytes, &header)
    {
        records
            .flatten()
            .for_each(|record| record.headers.for_each(drop));
    }
    let _ = stream(&bytes);
    let Ok(header) = batch::validate(&bytes) else {
        return;
    };
    assert_eq!(header.total_len(), bytes.len());
    if header.codec() == Some(Codec::None) {
        let records = batch::records(&bytes, &header).expect("an uncompressed batch was taken");
        let records: Vec<_> = records
            .collect::<Result<_, _>>()
            .expect("its records were checked");
        assert_eq!(records.len(), header.record_count as usize);
        for record in records {
            let said = record.headers.len();
            assert_eq!(record.headers.count(), said);
        }
    }
}

/// Reads the records in whatever codec, and none of them whole.
fn stream(bytes: &Bytes) -> Option<()> {
    let header = BatchHeader::parse(bytes).ok()?;
    let mut records = RecordStream::open(bytes, &header).ok()?;
    let mut key = vec![];
    while let Some(mut record) = records.next_record().ok()? {
        record.key(&mut key).ok()?;
        record.pass_value_and_headers().ok()?;
    }
    records.end().ok()
}
