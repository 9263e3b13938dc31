//! Owns tasks: every one has a name, one panic policy (it is logged and ends the process in an
//! orderly way), and somebody who waits for it at the end.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio::task::{AbortHandle, Id, JoinError, JoinHandle, JoinSet};

use crate::metric_definitions::TASK_PANICS;
use crate::shutdown::{Reason, Shutdown};

/// The name of a task in the log and in metrics. Few: never a name per connection.
pub type Name = Cow<'static, str>;

/// How long aborted tasks are waited for.
const ABORTING: Duration = Duration::from_secs(1);

/// Spawns `work`. If it panics, that is logged under `name` and begins `shutdown` as failed; its
/// result is `None` then.
pub fn spawn<T: Send + 'static>(
    name: impl Into<Name>,
    shutdown: &Shutdown,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<Option<T>> {
    tokio::spawn(guarded(name.into(), shutdown.clone(), work))
}

async fn guarded<T>(name: Name, shutdown: Shutdown, work: impl Future<Output = T>) -> Option<T> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => Some(done),
        Err(payload) => {
            let message = message(payload.as_ref());
            tracing::error!(task = %name, %message, "a task panicked: shutting down");
            metrics::counter!(TASK_PANICS.name, "task" => name.to_string()).increment(1);
            let task = name.into_owned();
            shutdown.begin_because(Reason::Failed { task, message });
            None
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "panicked without a message".to_string())
}

/// Tasks that are waited for together. Clones are the same group; when the last is dropped, its
/// tasks are aborted.
#[derive(Debug, Clone)]
pub struct TaskGroup {
    shutdown: Shutdown,
    tasks: Arc<Mutex<Tasks>>,
}

#[derive(Debug, Default)]
struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, Name>,
}

impl Tasks {
    /// Forgets what has ended, so that a group that lives long stays as small as what runs.
    fn reap(&mut self) {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.forget(ended);
        }
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(ended) = ready!(self.running.poll_join_next_with_id(cx)) {
            self.forget(ended);
        }
        Poll::Ready(())
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.names.remove(&id);
    }
}

/// Tasks that were still running when the drain was over, by name, and have been aborted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("aborted at the end of the drain: {}", .0.join(", "))]
pub struct Aborted(pub Vec<String>);

impl TaskGroup {
    /// A group whose tasks watch `shutdown`.
    pub fn new(shutdown: &Shutdown) -> Self {
        Self {
            shutdown: shutdown.clone(),
            tasks: Arc::default(),
        }
    }

    /// The shutdown its tasks watch.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// As [`spawn`], in this group.
    pub fn spawn(
        &self,
        name: impl Into<Name>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        let name = name.into();
        let work = guarded(name.clone(), self.shutdown.clone(), work).map(|_| ());
        let mut tasks = self.tasks.lock();
        tasks.reap();
        let handle = tasks.running.spawn(work);
        tasks.names.insert(handle.id(), name);
        handle
    }

    /// How many of its tasks are running.
    pub fn running(&self) -> usize {
        let mut tasks = self.tasks.lock();
        tasks.reap();
        tasks.running.len()
    }

    /// Waits until every task has ended, also those spawned meanwhile; once the shutdown has begun,
    /// no longer than its drain. What runs on then is aborted.
    ///
    /// # Errors
    /// The names of those aborted.
    pub async fn join(&self) -> Result<(), Aborted> {
        let ended = poll_fn(|cx| self.tasks.lock().poll_ended(cx));
        match self.shutdown.drained(ended).await {
            Some(()) => Ok(()),
            None => Err(self.abort().await),
        }
    }

    async fn abort(&self) -> Aborted {
        let Tasks { mut running, names } = std::mem::take(&mut *self.tasks.lock());
        let mut names: Vec<String> = names.into_values().map(Name::into_owned).collect();
        names.sort_unstable();
        // A task that never yields cannot be aborted, and must not be waited for either.
        let _ = tokio::time::timeout(ABORTING, running.shutdown()).await;
        Aborted(names)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panic_begins_the_shutdown_as_failed() {
        let shutdown = Shutdown::default();
        let task = spawn("tail", &shutdown, async { panic!("lost {}", 3) });
        shutdown.begun().await;
        let reason = shutdown.reason().unwrap();
        let expected = Reason::Failed {
            task: "tail".into(),
            message: "lost 3".into(),
        };
        assert_eq!((reason.exit_code(), reason), (1, expected));
        assert!(task.await.unwrap().is_none());
        let fine = spawn("fine", &shutdown, async { 7 });
        assert_eq!(fine.await.unwrap(), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_waits_for_tasks_that_tasks_spawn() {
        let group = TaskGroup::new(&Shutdown::default());
        let ended = Arc::new(AtomicUsize::new(0));
        let (inner, count) = (group.clone(), Arc::clone(&ended));
        group.spawn("outer", async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let also = Arc::clone(&count);
            inner.spawn("inner", async move {
                tokio::time::sleep(Duration::from_secs(60)).await;
                also.fetch_add(1, Ordering::SeqCst);
            });
            count.fetch_add(1, Ordering::SeqCst);
        });
        group.join().await.unwrap();
        assert_eq!(ended.load(Ordering::SeqCst), 2);
        assert_eq!(group.running(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_outlasts_the_drain_is_aborted_and_named() {
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let group = TaskGroup::new(&shutdown);
        group.spawn("stuck", std::future::pending());
        group.spawn("quick", async {});
        let drained = shutdown.clone();
        group.spawn("orderly", async move { drained.begun().await });
        shutdown.begin();
        assert_eq!(group.join().await, Err(Aborted(vec!["stuck".to_string()])));
        assert_eq!(group.running(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_forgets_what_has_ended() {
        let group = TaskGroup::new(&Shutdown::default());
        for _ in 0..100 {
            group.spawn("short", async {});
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        group.spawn("last", std::future::pending());
        let tasks = group.tasks.lock();
        assert_eq!((tasks.running.len(), tasks.names.len()), (1, 1));
    }
}
