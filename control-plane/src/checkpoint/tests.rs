use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use super::*;

fn in_memory() -> (Arc<dyn ObjectStore>, CheckpointStore) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    (Arc::clone(&store), CheckpointStore::new(store))
}

fn state(seed: u8, bytes: usize) -> Bytes {
    (0..bytes)
        .map(|at| seed.wrapping_add((at % 251) as u8))
        .collect::<Vec<u8>>()
        .into()
}

async fn write(checkpoints: &CheckpointStore, position: u64) {
    let bytes = state(position as u8, 100);
    checkpoints
        .write(Position(position), bytes, position * 10, 1)
        .await
        .unwrap();
}

async fn newest(checkpoints: &CheckpointStore) -> Option<u64> {
    checkpoints
        .newest()
        .await
        .unwrap()
        .map(|checkpoint| checkpoint.position.0)
}

async fn keys(store: &Arc<dyn ObjectStore>, position: u64) -> Vec<Path> {
    let prefix = Path::from(path::checkpoint(position));
    let listed = store.list(Some(&prefix)).map_ok(|meta| meta.location);
    listed.try_collect().await.unwrap()
}

async fn flip_last_byte(store: &Arc<dyn ObjectStore>, path: &Path) {
    let mut bytes = store
        .get(path)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
        .to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    store.put(path, bytes.into()).await.unwrap();
}

#[tokio::test]
async fn what_was_written_comes_back_whatever_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let files: Arc<dyn ObjectStore> =
        Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    for checkpoints in [in_memory().1, CheckpointStore::new(files)] {
        assert_eq!(checkpoints.newest().await.unwrap(), None);
        let sizes = [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES + 77];
        for (at, size) in (1..).zip(sizes) {
            let expected = Checkpoint {
                position: Position(at),
                state: state(7, size),
                hash: u64::MAX - at,
                metadata_version: 3,
            };
            let Checkpoint {
                position,
                state,
                hash,
                metadata_version,
            } = expected.clone();
            checkpoints
                .write(position, state, hash, metadata_version)
                .await
                .unwrap();
            assert!(
                checkpoints.newest().await.unwrap() == Some(expected),
                "{size} bytes"
            );
        }
    }
}

#[tokio::test]
async fn writing_the_same_twice_is_fine_and_something_else_is_not() {
    let (_, checkpoints) = in_memory();
    write(&checkpoints, 5).await;
    write(&checkpoints, 5).await;
    let other = checkpoints.write(Position(5), state(9, 100), 99, 1).await;
    let Err(CheckpointError::Disagrees {
        position,
        ours,
        theirs,
    }) = other
    else {
        panic!("{other:?}")
    };
    assert_eq!((position, ours, theirs), (Position(5), 99, 50));
    assert_eq!(
        newest(&checkpoints).await,
        Some(5),
        "the first is not harmed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_damaged_or_unfinished_checkpoint_is_passed_over() {
    for broken in 0..4 {
        let (store, checkpoints) = in_memory();
        write(&checkpoints, 10).await;
        write(&checkpoints, 20).await;
        let files = keys(&store, 20).await;
        let (manifest, chunk) = (&files[1], &files[0]);
        assert!(manifest.as_ref().ends_with(MANIFEST), "{files:?}");
        match broken {
            0 => flip_last_byte(&store, manifest).await,
            1 => flip_last_byte(&store, chunk).await,
            2 => store.delete(manifest).await.unwrap(),
            _ => store.delete(chunk).await.unwrap(),
        }
        assert_eq!(newest(&checkpoints).await, Some(10), "case {broken}");
    }
}

#[tokio::test(start_paused = true)]
async fn if_none_can_be_read_that_is_said() {
    let (store, checkpoints) = in_memory();
    write(&checkpoints, 10).await;
    flip_last_byte(&store, &file(Position(10), MANIFEST)).await;
    let error = checkpoints.newest().await.unwrap_err();
    assert!(matches!(error, CheckpointError::Unreadable(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("meta/checkpoint/00000000000000000010/manifest"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_first_checkpoint_is_none_at_all() {
    let (store, checkpoints) = in_memory();
    write(&checkpoints, 10).await;
    store.delete(&file(Position(10), MANIFEST)).await.unwrap();
    assert_eq!(newest(&checkpoints).await, None);
}

#[tokio::test]
async fn old_checkpoints_are_deleted_and_the_newest_kept() {
    let (store, checkpoints) = in_memory();
    assert_eq!(checkpoints.keep_newest(2).await.unwrap(), 0);
    for position in [10, 20, 30, 40, 50] {
        write(&checkpoints, position).await;
    }
    for unfinished in [20, 45, 60] {
        write(&checkpoints, unfinished).await;
        store
            .delete(&file(Position(unfinished), MANIFEST))
            .await
            .unwrap();
    }
    assert_eq!(checkpoints.keep_newest(2).await.unwrap(), 3);
    for gone in [10, 20, 30] {
        assert_eq!(keys(&store, gone).await, [], "{gone}");
    }
    assert_eq!(
        keys(&store, 45).await.len(),
        1,
        "somebody may be writing it"
    );
    assert_eq!(newest(&checkpoints).await, Some(50));
    assert_eq!(checkpoints.keep_newest(0).await.unwrap(), 2, "45 and 40");
    assert_eq!(newest(&checkpoints).await, Some(50));
}
