use std::ops::Range;

use object_format::{AgentEpoch, ObjectId};
use runtime::SimClock;

use super::super::fixture::{TestStore, batch, cache, cache_with, seal, tp};
use super::*;

fn id(sequence: u64) -> ObjectId {
    ObjectId {
        writer: AgentEpoch(1),
        sequence,
    }
}

fn object(sequence: u64, batches: usize, value_bytes: usize) -> SealedObject {
    let partition = tp(Default::default(), 0);
    let batches: Vec<_> = (0..batches)
        .map(|_| (partition, batch(1, value_bytes)))
        .collect();
    seal(id(sequence), &batches)
}

fn key(object: &SealedObject, index: u64) -> BlockKey {
    BlockKey {
        object: object.id,
        index,
        object_bytes: object.len,
    }
}

async fn read(cache: &BlockCache, key: BlockKey) -> Result<Block, LoadError> {
    cache.block(key, Pool::Tail, &Client::default()).await
}

fn all(block: &Block, range: Range<u64>) -> Vec<u8> {
    block
        .slices(range)
        .flat_map(|slice| slice.to_vec())
        .collect()
}

#[tokio::test]
async fn many_readers_of_one_block_cost_one_get() {
    let store = TestStore::new();
    let object = object(1, 3, 100);
    store.put_object(&object).await;
    let cache = cache(&store, 1 << 20);
    store.hold();
    let readers: Vec<_> = (0..100)
        .map(|_| {
            let (cache, key) = (cache.clone(), key(&object, 0));
            tokio::spawn(async move { read(&cache, key).await })
        })
        .collect();
    store.asked().await;
    store.let_through(1);
    for reader in readers {
        let block = reader.await.unwrap().unwrap();
        assert_eq!(all(&block, 0..object.len), object.to_bytes());
    }
    read(&cache, key(&object, 0)).await.unwrap();
    assert_eq!(store.gets(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_is_told_to_all_who_waited_and_not_kept() {
    let store = TestStore::new();
    let object = object(1, 1, 100);
    store.put_object(&object).await;
    let cache = cache(&store, 1 << 20);
    store.fail(1_000);
    let reads = (0..10).map(|_| read(&cache, key(&object, 0)));
    for read in futures::future::join_all(reads).await {
        assert!(matches!(read, Err(LoadError::Store { .. })), "{read:?}");
    }
    assert!(
        (2..50).contains(&store.gets()),
        "the tries of one read, not of ten: {}",
        store.gets()
    );
    store.fail(0);
    assert!(read(&cache, key(&object, 0)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_read_survives_failures_within_its_budget() {
    let store = TestStore::new();
    let object = object(1, 1, 100);
    store.put_object(&object).await;
    store.fail(3);
    assert!(read(&cache(&store, 1 << 20), key(&object, 0)).await.is_ok());
    assert_eq!(store.gets(), 4);
}

#[tokio::test]
async fn an_object_that_is_not_there_is_asked_for_once() {
    let store = TestStore::new();
    let object = object(1, 1, 100);
    let read = read(&cache(&store, 1 << 20), key(&object, 0)).await;
    assert_eq!(read.unwrap_err(), LoadError::Missing { object: object.id });
    assert_eq!(store.gets(), 1);
}

#[tokio::test]
async fn a_shortened_object_is_found_out() {
    let store = TestStore::new();
    let object = object(1, 1, 100);
    store.put_object(&object).await;
    let longer = BlockKey {
        object_bytes: object.len + 1,
        ..key(&object, 0)
    };
    let (expected, got) = (object.len + 1, object.len);
    let read = read(&cache(&store, 1 << 20), longer).await;
    assert_eq!(
        read.unwrap_err(),
        LoadError::Short {
            object: object.id,
            expected,
            got
        }
    );
}

#[tokio::test]
async fn a_reader_that_goes_away_does_not_take_the_read_from_the_others() {
    let store = TestStore::new();
    let object = object(1, 1, 100);
    store.put_object(&object).await;
    let cache = cache(&store, 1 << 20);
    store.hold();
    let mut first = Box::pin(read(&cache, key(&object, 0)));
    assert!(futures::poll!(&mut first).is_pending());
    let mut second = Box::pin(read(&cache, key(&object, 0)));
    assert!(futures::poll!(&mut second).is_pending());
    drop(first);
    store.let_through(1);
    assert!(second.await.is_ok());
    assert_eq!(store.gets(), 1);
}

#[tokio::test]
async fn a_read_whose_readers_all_went_away_is_begun_again() {
    let store = TestStore::new();
    let object = object(1, 1, 100);
    store.put_object(&object).await;
    let cache = cache(&store, 1 << 20);
    store.hold();
    let mut first = Box::pin(read(&cache, key(&object, 0)));
    assert!(futures::poll!(&mut first).is_pending());
    drop(first);
    assert!(cache.0.flights.lock().under_way.is_empty());
    store.let_through(1);
    assert!(read(&cache, key(&object, 0)).await.is_ok());
}

#[tokio::test]
async fn what_was_written_here_is_read_without_the_store_and_without_copies() {
    let store = TestStore::new();
    let cache = cache(&store, 64 << 20);
    let object = object(1, 20, 1 << 20);
    assert!(object.len > 2 * BLOCK_BYTES);
    cache.insert_written(&object);
    let mut whole = Vec::new();
    for index in BlockKey::covering(object.len, 0..object.len) {
        let key = key(&object, index);
        let block = read(&cache, key).await.unwrap();
        assert_eq!(block.len(), key.len());
        whole.extend(all(&block, 0..object.len));
    }
    assert_eq!(whole, object.to_bytes());
    let block = read(&cache, key(&object, 0)).await.unwrap();
    let first = &object.runs[0].batches[0];
    let range = first.position..first.position + u64::from(first.length);
    let slices: Vec<Bytes> = block.slices(range).collect();
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].as_ptr(), object.chunks[1].as_ptr());
    assert_eq!(store.gets(), 0);
}

#[test]
fn slices_are_the_bytes_of_the_range() {
    let bytes: Vec<u8> = (0..100).collect();
    let chunks = [0..10, 10..11, 11..60, 60..100].map(|r| Bytes::copy_from_slice(&bytes[r]));
    let block = Block::new(1_000, chunks.to_vec(), Origin::Written);
    for from in 0..100 {
        for to in from..=100 {
            let got = all(&block, 1_000 + from as u64..1_000 + to as u64);
            assert_eq!(got, bytes[from..to], "{from}..{to}");
        }
    }
}

#[tokio::test]
async fn the_cache_stays_within_its_bytes() {
    let store = TestStore::new();
    let cache = cache(&store, 4 << 20);
    for sequence in 0..50 {
        let object = object(sequence, 5, 100 << 10);
        cache.insert_written(&object);
        assert!(cache.contains(&key(&object, 0)), "the newest is there");
        assert!(cache.bytes() <= 4 << 20);
    }
    assert!(cache.bytes() > 2 << 20);
}

#[tokio::test]
async fn what_is_written_stays_after_readers_have_gone_through_more_than_the_cache_holds() {
    let store = TestStore::new();
    let cache = cache(&store, 64 << 20);
    let old: Vec<_> = (0..90).map(|n| object(n, 10, 100 << 10)).collect();
    for object in &old {
        store.put_object(object).await;
        cache.insert_written(object);
    }
    for object in &old {
        read(&cache, key(object, 0)).await.unwrap();
    }
    let new: Vec<_> = (100..132).map(|n| object(n, 10, 100 << 10)).collect();
    for object in &new {
        store.put_object(object).await;
        cache.insert_written(object);
    }
    let gets = store.gets();
    for object in &new {
        read(&cache, key(object, 0)).await.unwrap();
    }
    assert_eq!(store.gets(), gets, "half of what the cache holds");
}

/// What readers that are behind read, a block of about a MiB each.
async fn backfill(cache: &BlockCache, store: &TestStore, sequences: Range<u64>) {
    for sequence in sequences {
        let object = object(sequence, 10, 100 << 10);
        store.put_object(&object).await;
        let client = Client::default();
        let read = cache.block(key(&object, 0), Pool::CatchUp, &client);
        read.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_backfill_does_not_sweep_out_what_was_just_written() {
    let store = TestStore::new();
    let options = CacheOptions {
        bytes_max: 16 << 20,
        catch_up_percent: 50,
    };
    let cache = cache_with(&store, Arc::new(SimClock::default()), options);
    let written: Vec<_> = (0..7).map(|n| object(n, 10, 100 << 10)).collect();
    written
        .iter()
        .for_each(|object| cache.insert_written(object));
    backfill(&cache, &store, 100..200).await;
    assert!(written.iter().all(|object| cache.contains(&key(object, 0))));
    assert!(cache.bytes() <= 16 << 20);
    assert!(
        cache.0.blocks.catch_up.weight() > 6 << 20,
        "its part is used"
    );

    for n in 10..30 {
        cache.insert_written(&object(n, 10, 100 << 10));
    }
    assert!(
        cache.0.blocks.tail.weight() <= 8 << 20,
        "while somebody is behind"
    );
    tokio::time::sleep(CATCH_UP_IDLE + Duration::from_secs(1)).await;
    for n in 30..50 {
        cache.insert_written(&object(n, 10, 100 << 10));
    }
    assert!(
        cache.0.blocks.tail.weight() > 12 << 20,
        "all memory is of use"
    );
    assert!(cache.bytes() <= 16 << 20);
    backfill(&cache, &store, 200..201).await;
    assert!(cache.bytes() <= 9 << 20, "and is given back");
}

#[test]
fn blocks_cover_their_object() {
    for bytes in [1, BLOCK_BYTES, 9 << 20, 12 << 20, (12 << 20) + 1, 100 << 20] {
        let id = id(1);
        let blocks = BlockKey::covering(bytes, 0..bytes).map(|index| BlockKey {
            object: id,
            index,
            object_bytes: bytes,
        });
        let mut end = 0;
        for block in blocks {
            assert_eq!(block.range().start, end);
            assert!(!block.is_empty());
            end = block.range().end;
        }
        assert_eq!(end, bytes);
    }
    assert_eq!(BlockKey::covering(9 << 20, 0..9 << 20), 0..1, "one GET");
}
