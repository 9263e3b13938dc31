use std::time::Duration;

use runtime::Rng;
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

const ASKER: AgentEpoch = AgentEpoch(5);
const OWNER: AgentEpoch = AgentEpoch(9);

fn secret(byte: u8) -> PeerSecret {
    PeerSecret::new([byte; 32])
}

async fn as_owner(mut stream: DuplexStream, byte: u8) -> Result<AgentEpoch, HandshakeError> {
    let known = answer(&mut stream, &secret(byte), OWNER, [2; 32]).await;
    known.map(|(asker, _)| asker)
}

async fn as_asker(mut stream: DuplexStream, byte: u8) -> Result<(), HandshakeError> {
    let known = ask(&mut stream, &secret(byte), (ASKER, OWNER), [1; 32]).await;
    known.map(|_| ())
}

#[tokio::test]
async fn two_of_one_cluster_know_each_other() {
    let (one, other) = duplex(1 << 10);
    let (asked, answered) = tokio::join!(as_asker(one, 7), as_owner(other, 7));
    asked.unwrap();
    assert_eq!(answered.unwrap(), ASKER);
}

#[tokio::test]
async fn both_have_the_key_of_the_connection_and_no_other_connection_has_it() {
    let mut codes = Vec::new();
    for nonce in [1, 2] {
        let (mut one, mut other) = duplex(1 << 10);
        let secret = secret(7);
        let (asked, answered) = tokio::join!(
            ask(&mut one, &secret, (ASKER, OWNER), [nonce; 32]),
            answer(&mut other, &secret, OWNER, [2; 32]),
        );
        let code = |key: SessionKey| key.mac().finalize().into_bytes();
        let (asked, answered) = (code(asked.unwrap()), code(answered.unwrap().1));
        assert_eq!(asked, answered);
        codes.push(asked);
    }
    assert_ne!(codes[0], codes[1]);
}

#[tokio::test]
async fn who_has_another_secret_is_refused_by_either_side() {
    let (one, other) = duplex(1 << 10);
    let (asked, answered) = tokio::join!(as_asker(one, 7), as_owner(other, 8));
    assert!(matches!(asked, Err(HandshakeError::Refused)));
    assert!(answered.is_err());
    // One that does not care what the owner proves.
    let (mut one, other) = duplex(1 << 10);
    let careless = async {
        let mut hello = [0; HELLO_BYTES];
        hello[0] = VERSION;
        hello[9..17].copy_from_slice(&OWNER.0.to_be_bytes());
        one.write_all(&hello).await.unwrap();
        let mut challenge = [0; CHALLENGE_BYTES];
        one.read_exact(&mut challenge).await.unwrap();
        // What the owner has just shown is no proof of the asker.
        one.write_all(&challenge[1 + NONCE_BYTES..]).await.unwrap();
    };
    let ((), answered) = tokio::join!(careless, as_owner(other, 7));
    assert!(matches!(answered, Err(HandshakeError::Refused)));
}

#[tokio::test]
async fn who_is_taken_for_another_says_so() {
    let (one, mut other) = duplex(1 << 10);
    let answered = async {
        let answered = answer(&mut other, &secret(7), AgentEpoch(10), [2; 32]).await;
        drop(other);
        answered
    };
    let (asked, answered) = tokio::join!(as_asker(one, 7), answered);
    assert!(matches!(answered, Err(HandshakeError::NotMe(OWNER))));
    assert!(matches!(asked, Err(HandshakeError::Io(_))));
}

#[tokio::test]
async fn a_proof_is_good_for_one_connection() {
    let said = |nonce: u8| Said {
        hello: [3; HELLO_BYTES],
        nonce: [nonce; 32],
    };
    let proof = said(1).proof(&secret(7), Role::Asker);
    assert!(said(1).check(&secret(7), Role::Asker, &proof).is_ok());
    assert!(said(2).check(&secret(7), Role::Asker, &proof).is_err());
    assert!(said(1).check(&secret(7), Role::Owner, &proof).is_err());
    assert!(
        said(1)
            .check(&secret(7), Role::Asker, &proof[..31])
            .is_err()
    );
}

/// Passes on what one side says, with a bit flipped and an end.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    flipped: Option<usize>,
    end: usize,
) {
    for at in 0..end {
        let Ok(mut byte) = from.read_u8().await else {
            break;
        };
        if flipped.is_some_and(|bit| bit / 8 == at) {
            byte ^= 1 << (flipped.unwrap_or_default() % 8);
        }
        if to.write_u8(byte).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

#[tokio::test]
async fn whatever_is_changed_or_cut_nobody_is_let_in() {
    let rng = Rng::from_seed(11);
    let hello_and_proof = HELLO_BYTES + MAC_BYTES;
    for _ in 0..300 {
        let (asker, near) = duplex(1 << 10);
        let (far, owner) = duplex(1 << 10);
        let (near_from, near_to) = tokio::io::split(near);
        let (far_from, far_to) = tokio::io::split(far);
        let (mut up, mut down) = (None, None);
        let (mut up_end, mut down_end) = (hello_and_proof, CHALLENGE_BYTES);
        match rng.below(4) {
            0 => up = Some(rng.below(8 * hello_and_proof as u64) as usize),
            1 => down = Some(rng.below(8 * CHALLENGE_BYTES as u64) as usize),
            2 => up_end = rng.below(hello_and_proof as u64) as usize,
            _ => down_end = rng.below(CHALLENGE_BYTES as u64) as usize,
        }
        let passing = async {
            tokio::join!(
                pass(near_from, far_to, up, up_end),
                pass(far_from, near_to, down, down_end),
            )
        };
        let both = async { tokio::join!(as_asker(asker, 7), as_owner(owner, 7), passing) };
        let (asked, answered, _) = timeout(Duration::from_secs(10), both).await.unwrap();
        // The asker does not learn what became of its proof; the owner lets nobody in.
        assert!(
            answered.is_err(),
            "{up:?} {down:?} {up_end} {down_end}: {asked:?}"
        );
    }
}
