//! Any bytes, and the same bytes between a header and a footer that are right, so that the fuzzer gets
//! to the index: nothing panics, and what is taken lies within the object.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use object_format::object::{self, Footer, ObjectHeader};
use object_format::{AgentEpoch, ObjectId};

fuzz_target!(|data: &[u8]| {
    check(&Bytes::copy_from_slice(data));
    if let Some((&[a, b], rest)) = data.split_first_chunk::<2>() {
        let index_at = usize::from(u16::from_be_bytes([a, b])).min(rest.len());
        check(&wrapped(rest, index_at));
    }
});

/// An object with these bytes as runs and, from `index_at` on, as index.
fn wrapped(data: &[u8], index_at: usize) -> Bytes {
    let id = ObjectId {
        writer: AgentEpoch(1),
        sequence: 1,
    };
    let header = ObjectHeader { id, created_ms: 0 }.to_bytes();
    let footer = Footer {
        index_position: (object::HEADER_LEN + index_at) as u64,
        index_length: (data.len() - index_at) as u64,
        object_length: (object::HEADER_LEN + data.len() + object::FOOTER_LEN) as u64,
        index_crc: crc32c::crc32c(&data[index_at..]),
    };
    [&header[..], data, &footer.to_bytes()].concat().into()
}

fn check(bytes: &Bytes) {
    let _ = Footer::parse(bytes, bytes.len() as u64);
    if let Ok(parsed) = object::parse_object(bytes) {
        for run in &parsed.index.runs {
            let batches = parsed
                .run(bytes, run)
                .expect("a run that was taken is in the object");
            let _ = object::verify_run(&batches, run);
        }
    }
    let _ = object::verify_object(bytes);
}
