//! Frames between agents that know each other, each of which shows that it is of this connection, in its place, and
//! unchanged.
//!
//! ```text
//! length u32, HMAC-SHA256 over the side, the number of the frame and what follows, the bytes
//! ```

use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::handshake::SessionKey;
use super::in_time;

const MAC_BYTES: usize = 32;

/// The longest it may take until a frame that has begun is whole, or is taken.
const STALL: Duration = Duration::from_secs(5);

/// Which side of a connection says something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// Who connected.
    Asker,
    /// Who was connected to.
    Asked,
}

/// What one side says, frame by frame.
pub(super) struct Seal {
    key: SessionKey,
    side: Side,
    frames: u64,
}

impl Seal {
    pub fn new(key: &SessionKey, side: Side) -> Self {
        Self {
            key: key.clone(),
            side,
            frames: 0,
        }
    }

    /// The code of the next frame.
    fn next(&mut self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.key.mac();
        mac.update(&[match self.side {
            Side::Asker => 0,
            Side::Asked => 1,
        }]);
        mac.update(&self.frames.to_be_bytes());
        parts.iter().for_each(|part| mac.update(part));
        self.frames += 1;
        mac
    }

    /// Writes a frame of the parts, one behind the other.
    pub async fn write(
        &mut self,
        to: &mut (impl AsyncWrite + Unpin),
        parts: &[&[u8]],
    ) -> Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).map_err(|_| ErrorKind::InvalidInput)?;
        let code = self.next(parts).finalize().into_bytes();
        let mut frame = BytesMut::with_capacity(4 + MAC_BYTES + length as usize);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&code);
        parts.iter().for_each(|part| frame.extend_from_slice(part));
        in_time(STALL, to.write_all(&frame)).await
    }

    /// Reads a frame of at most `bytes_max` bytes, however long it takes until it begins.
    ///
    /// # Errors
    /// The connection, which is of no use any more: it ended, or says what the other side did not say.
    pub async fn read(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        bytes_max: usize,
    ) -> Result<Bytes> {
        let first = from.read_u8().await?;
        let rest = async {
            let mut length = [first, 0, 0, 0];
            from.read_exact(&mut length[1..]).await?;
            let length = u32::from_be_bytes(length) as usize;
            if length > bytes_max {
                return Err(Error::new(ErrorKind::InvalidData, "a frame is too long"));
            }
            let mut code = [0; MAC_BYTES];
            from.read_exact(&mut code).await?;
            let mut bytes = BytesMut::zeroed(length);
            from.read_exact(&mut bytes).await?;
            let checked = self.next(&[&bytes]).verify_slice(&code);
            checked
                .map_err(|_| Error::new(ErrorKind::InvalidData, "a frame is not the other's"))?;
            Ok(bytes.freeze())
        };
        in_time(STALL, rest).await
    }
}

/// A connection on which both sides say frames.
pub(crate) struct Sealed<S> {
    stream: S,
    said: Seal,
    heard: Seal,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sealed<S> {
    /// Of who connected.
    pub fn asker(stream: S, key: &SessionKey) -> Self {
        Self {
            stream,
            said: Seal::new(key, Side::Asker),
            heard: Seal::new(key, Side::Asked),
        }
    }

    /// Of who was connected to.
    pub fn asked(stream: S, key: &SessionKey) -> Self {
        Self {
            stream,
            said: Seal::new(key, Side::Asked),
            heard: Seal::new(key, Side::Asker),
        }
    }

    /// What is below the frames.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// See [`Seal::write`].
    pub async fn write(&mut self, parts: &[&[u8]]) -> Result<()> {
        self.said.write(&mut self.stream, parts).await
    }

    /// See [`Seal::read`].
    pub async fn read(&mut self, bytes_max: usize) -> Result<Bytes> {
        self.heard.read(&mut self.stream, bytes_max).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seals() -> (Seal, Seal) {
        let key = SessionKey::new([7; 32]);
        let seal = || Seal::new(&key, Side::Asker);
        (seal(), seal())
    }

    async fn written(seal: &mut Seal, parts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        seal.write(&mut bytes, parts).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        let (mut to, mut from) = seals();
        for parts in [&[&b"one"[..], b"and another"][..], &[b""], &[b"x"]] {
            let bytes = written(&mut to, parts).await;
            let read = from.read(&mut &bytes[..], 100).await.unwrap();
            assert_eq!(read, parts.concat());
        }
    }

    #[tokio::test]
    async fn nothing_that_is_cut_or_changed_is_taken() {
        let bytes = written(&mut seals().0, &[b"a frame"]).await;
        for at in 0..bytes.len() {
            let cut = seals().1.read(&mut &bytes[..at], 100).await;
            assert_eq!(cut.unwrap_err().kind(), ErrorKind::UnexpectedEof, "{at}");
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(seals().1.read(&mut &changed[..], 100).await.is_err());
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_taken_twice_or_from_the_other_side() {
        let (mut to, mut from) = seals();
        let bytes = written(&mut to, &[b"once"]).await;
        from.read(&mut &bytes[..], 100).await.unwrap();
        assert!(from.read(&mut &bytes[..], 100).await.is_err());
        let mut mirrored = Seal::new(&SessionKey::new([7; 32]), Side::Asked);
        assert!(mirrored.read(&mut &bytes[..], 100).await.is_err());
        let mut stranger = Seal::new(&SessionKey::new([8; 32]), Side::Asker);
        assert!(stranger.read(&mut &bytes[..], 100).await.is_err());
    }

    #[tokio::test]
    async fn a_length_that_is_too_long_takes_no_memory() {
        let lying = u32::MAX.to_be_bytes();
        let read = seals().1.read(&mut &lying[..], 100).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
