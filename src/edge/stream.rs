//! The bytes of a connection, and how long its client may let the service wait for them.
//!
//! The HTTP layer times the idle, and nobody else: it would wait for ever for the rest of a head that is not the first
//! of its connection, for the end of a body that nobody reads, and for a client that does not take its answer. Here all
//! of that ends after `limits.request`. The common case costs one reading of the clock for each request.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

use super::connection::Connection;
use crate::telemetry::Cut;

/// The stream of a connection. It fails with [`io::ErrorKind::TimedOut`] where its client takes too long.
pub struct Stream<S> {
    io: S,
    connection: Rc<Connection>,
    /// How long the client may take.
    patience: Duration,
    /// Since when an answer does not go out, or not whole.
    stalled: Option<Instant>,
    /// When something was read, until the reader has to wait.
    read_at: Option<Instant>,
    /// Wakes the task. It may come too early, and is then set anew if anything is still waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Stream<S> {
    /// The stream `io` of `connection`.
    pub fn new(io: S, connection: Connection) -> Self {
        let patience = connection.gate().patience();
        Self { io, connection: Rc::new(connection), patience, stalled: None, read_at: None, timer: None }
    }

    /// The connection.
    pub fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Something came.
    fn note_arrival(&mut self) -> io::Result<()> {
        if self.connection.is_answering() || self.stalled.is_some() {
            return Ok(());
        }
        let now = Instant::now();
        self.read_at = Some(now);
        match self.connection.arriving.get() {
            None => self.connection.arriving.set(Some(now)),
            Some(since) => self.hold(since, now, Cut::Request)?,
        }
        Ok(())
    }

    /// Nothing more has come so far.
    fn wait_for_request<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let read_at = self.read_at.take();
        if self.connection.is_answering() || self.stalled.is_some() {
            return Poll::Pending;
        }
        let Some(since) = self.connection.arriving.get() else { return Poll::Pending };
        let now = read_at.unwrap_or_else(Instant::now);
        self.hold(since, now, Cut::Request)?;
        self.wake_by(since + self.patience, now, context);
        Poll::Pending
    }

    /// The client takes nothing more so far.
    fn wait_for_reader<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let now = Instant::now();
        let since = *self.stalled.get_or_insert(now);
        self.hold(since, now, Cut::Answer)?;
        self.wake_by(since + self.patience, now, context);
        Poll::Pending
    }

    /// Ends what lasts since `since` and may not last any longer.
    fn hold(&self, since: Instant, now: Instant, reason: Cut) -> io::Result<()> {
        if now.saturating_duration_since(since) < self.patience {
            return Ok(());
        }
        self.connection.gate().cut(reason);
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Has the task woken at `deadline`, or earlier.
    fn wake_by(&mut self, deadline: Instant, now: Instant, context: &mut Context<'_>) {
        let is_coming = |timer: &Pin<Box<Sleep>>| {
            let set = timer.deadline().into_std();
            set > now && set <= deadline
        };
        if self.timer.as_ref().is_some_and(is_coming) {
            return;
        }
        let deadline = deadline.into();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().reset(deadline);
        if timer.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.io).poll_read(context, buffer) {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => Poll::Ready(this.note_arrival()),
            Poll::Pending => this.wait_for_request(context),
            ready => ready,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.io).poll_write(context, bytes) {
            Poll::Pending => this.wait_for_reader(context),
            ready => ready,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.io).poll_flush(context) {
            Poll::Pending => this.wait_for_reader(context),
            ready => {
                // The HTTP layer flushes once it has written everything.
                this.stalled = None;
                ready
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.io).poll_shutdown(context) {
            Poll::Pending => this.wait_for_reader(context),
            ready => ready,
        }
    }
}

impl<S> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("connection", &self.connection).finish_non_exhaustive()
    }
}
