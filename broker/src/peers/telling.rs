//! Telling others what was appended to the metadata log, so that they need not read it from the bucket.
//!
//! The connection says nothing but frames of a position and what was appended there, the bytes left out if they are many.

use std::io::Error;

use control_plane::log::Position;
use control_plane::replica::{Replica, Session};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast::error::RecvError;

use super::appending::{LANDED_BYTES_MAX, landed, told};
use super::handshake::SessionKey;
use super::sealed::{Seal, Side};

/// What whoever tells says first.
pub(super) const MAGIC: u64 = 0xffff_5445_4c4c_4501;

/// Tells what this process appends until the connection ends or it does not append any more.
pub(super) async fn tell(
    mut stream: TcpStream,
    key: &SessionKey,
    session: &Session,
) -> Result<(), Error> {
    let mut said = Seal::new(key, Side::Asker);
    let mut news = session.replica().landed();
    let (mut from, mut to) = stream.split();
    // The other side says nothing: this ends when the connection does, and that is noticed at once.
    let ended = from.read_u8();
    tokio::pin!(ended);
    // What was appended while there was no connection.
    let newest = *session.appended().borrow();
    said.write(&mut to, &[&newest.0.to_be_bytes()]).await?;
    loop {
        tokio::select! {
            next = news.recv() => match next {
                Ok((at, appended)) => {
                    let at = at.0.to_be_bytes();
                    said.write(&mut to, &[&at, told(&appended)]).await?;
                }
                // What was missed is read by the other side, once it is told of something later.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
            _ = &mut ended => return Ok(()),
        }
    }
}

/// Takes in what the other side tells.
pub(super) async fn listen(
    stream: &mut (impl AsyncRead + Unpin),
    key: &SessionKey,
    replica: &Replica,
) -> Result<(), Error> {
    let mut heard = Seal::new(key, Side::Asker);
    loop {
        let (at, appended) = landed(heard.read(stream, LANDED_BYTES_MAX).await?)?;
        if at > Position(0) {
            replica.told(at, appended);
        }
    }
}
