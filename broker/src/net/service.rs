//! The seam between connections and the handlers of the Kafka APIs.

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::{ConnectionContext, RequestPermit};
use crate::wire::{Request, ResponseBytes};

/// Answers requests.
pub trait Service: Send + Sync + 'static {
    /// Takes the next request of a connection.
    ///
    /// Called in the order in which the requests arrived, also while earlier ones are unanswered,
    /// and must not block: this is where a Produce gets its position. Everything else belongs into
    /// the returned [`Pending`].
    ///
    /// `permit` stands for the memory of the request's frame. It is held until the response is
    /// written. A handler that keeps slices of the frame for longer keeps a clone; one that has
    /// nothing left of the frame but waits for long (a Fetch without data, a parked JoinGroup)
    /// calls [`RequestPermit::release`].
    fn call(
        &self,
        connection: &Arc<ConnectionContext>,
        request: Request,
        permit: &RequestPermit,
    ) -> Pending;
}

/// How a request is answered.
#[derive(Debug)]
pub enum Reply {
    /// With this response.
    Response(ResponseBytes),
    /// Not at all: a Produce with `acks=0`.
    None,
    /// By closing the connection after the earlier responses, for the reason given (logged).
    Close(String),
}

impl From<ResponseBytes> for Reply {
    fn from(response: ResponseBytes) -> Self {
        Self::Response(response)
    }
}

/// A reply that may not be there yet.
pub enum Pending {
    /// It is there.
    Ready(Reply),
    /// It is worked on at once, whatever the earlier requests of the connection are doing. For a
    /// Produce, whose order was fixed when it was taken. Not polled while the client leaves
    /// earlier responses unread.
    Concurrent(BoxFuture<'static, Reply>),
    /// It is begun when all earlier responses have been written, as Kafka handles one request of a
    /// connection at a time.
    Sequential(BoxFuture<'static, Reply>),
}

impl Pending {
    /// A reply that is worked on at once.
    pub fn concurrent(reply: impl Future<Output = Reply> + Send + 'static) -> Self {
        Self::Concurrent(Box::pin(reply))
    }

    /// A reply that is begun after all earlier ones.
    pub fn sequential(reply: impl Future<Output = Reply> + Send + 'static) -> Self {
        Self::Sequential(Box::pin(reply))
    }

    /// The end of the connection, after the earlier responses.
    pub fn close(reason: impl Into<String>) -> Self {
        Self::Ready(Reply::Close(reason.into()))
    }
}
