//! The two tasks of a connection: one writes frames, one reads responses.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::super::error::{ClientError, Result};
use super::{Outgoing, Queue, Shared, Waiting};

/// Largest response accepted, in bytes. More means that the other side is no Kafka broker.
const RESPONSE_BYTES_MAX: usize = 256 << 20;
/// Slices handed to one vectored write.
const SLICES_MAX: usize = 64;

/// Writes frames until the connection breaks or nobody can send any more.
pub async fn write_frames(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Outgoing>,
    shared: Arc<Shared>,
) {
    while let Some((frame, answer)) = queue.recv().await {
        let mut written = None;
        if frame.answered {
            match &mut *shared.queue.lock() {
                Queue::Open(waiting) => {
                    waiting.push_back(Waiting {
                        correlation: frame.correlation,
                        answer,
                    });
                }
                Queue::Closed => return,
            }
        } else {
            written = Some(answer);
        }
        if let Err(error) = write_chunks(&mut socket, frame.chunks).await {
            let (kind, text) = (error.kind(), error.to_string());
            shared.close(|| ClientError::Io {
                broker: shared.broker.clone(),
                source: std::io::Error::new(kind, text.clone()),
            });
            return;
        }
        if let Some(answer) = written {
            let _ = answer.send(Ok(Bytes::new()));
        }
    }
}

async fn write_chunks(socket: &mut OwnedWriteHalf, chunks: Vec<Bytes>) -> std::io::Result<()> {
    let mut chunks: VecDeque<Bytes> = chunks.into();
    while !chunks.is_empty() {
        let slices: Vec<IoSlice<'_>> = chunks
            .iter()
            .take(SLICES_MAX)
            .map(|chunk| IoSlice::new(chunk))
            .collect();
        let mut written = socket.write_vectored(&slices).await?;
        if written == 0 && chunks.iter().any(|chunk| !chunk.is_empty()) {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        while let Some(first) = chunks.front_mut() {
            if written < first.len() {
                first.advance(written);
                break;
            }
            written -= first.len();
            chunks.pop_front();
        }
    }
    Ok(())
}

/// Reads responses until the connection breaks, handing each to the call that waits for it.
pub async fn read_responses(mut socket: OwnedReadHalf, shared: Arc<Shared>) {
    let mut buffer = BytesMut::with_capacity(64 << 10);
    let error = loop {
        match read_frame(&mut socket, &mut buffer).await {
            Ok(Some(frame)) => {
                if let Err(error) = deliver(&shared, frame) {
                    break error;
                }
            }
            Ok(None) => break ClientError::Closed(shared.broker.clone()),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                break ClientError::Protocol(format!("{}: {error}", shared.broker));
            }
            Err(source) => {
                break ClientError::Io {
                    broker: shared.broker.clone(),
                    source,
                };
            }
        }
    };
    let text = error.to_string();
    let protocol = matches!(error, ClientError::Protocol(_));
    shared.close(|| match protocol {
        true => ClientError::Protocol(text.clone()),
        false => ClientError::Closed(shared.broker.clone()),
    });
}

/// The next frame without its length; none at a clean end.
async fn read_frame(
    socket: &mut OwnedReadHalf,
    buffer: &mut BytesMut,
) -> std::io::Result<Option<Bytes>> {
    while buffer.len() < 4 {
        buffer.reserve(64 << 10);
        if socket.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let length = u32::from_be_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
    if !(4..=RESPONSE_BYTES_MAX).contains(&length) {
        let text = format!("a response of {length} bytes: is this a Kafka broker?");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, text));
    }
    buffer.advance(4);
    buffer.reserve(length.saturating_sub(buffer.len()));
    while buffer.len() < length {
        if socket.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(buffer.split_to(length).freeze()))
}

fn deliver(shared: &Shared, frame: Bytes) -> Result<()> {
    let correlation = i32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
    let call = match &mut *shared.queue.lock() {
        Queue::Open(waiting) => {
            let expected = waiting
                .front()
                .is_some_and(|call| call.correlation == correlation);
            if expected { waiting.pop_front() } else { None }
        }
        Queue::Closed => None,
    };
    let Some(call) = call else {
        return Err(ClientError::Protocol(format!(
            "{}: a response to request {correlation}, which was not next in line",
            shared.broker
        )));
    };
    // The caller may have given up; its response is dropped.
    let _ = call.answer.send(Ok(frame));
    Ok(())
}
