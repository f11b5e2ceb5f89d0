//! A stream that ends if the service waits too long for its client.
//!
//! The HTTP layer times out idle connections only. It would wait forever for the rest of a later head on a connection,
//! for the end of an unread body, and for a client that does not read its response. This stream ends such connections
//! after `limits.request`. Usually it costs one clock reading for each request.
//!
//! It also ends a connection if a client pipelines more than the HTTP layer buffers (128 KiB behind 16 requests) while
//! the service processes a request or the client does not read a response. The HTTP layer would run its task repeatedly
//! until it can continue.
//!
//! `tests/models` tests it with paused time.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::Connection;
use crate::telemetry::CloseReason;

/// The number of times that the task of a connection runs without progress before the connection ends. Other reasons to
/// run it, such as timers, occur a few times for each request.
const MAX_IDLE_POLLS: u32 = 1000;

/// The stream of a connection. It fails with [`io::ErrorKind::TimedOut`] if its client is too slow.
pub(crate) struct TimeoutStream<S> {
    io: S,
    connection: Rc<Connection>,
    /// The time limit for the client.
    client_timeout: Duration,
    /// The time from which a response has been unsent or partly sent.
    stalled: Option<Instant>,
    /// The time of the last read, until the next read must wait.
    read_at: Option<Instant>,
    /// The timer that wakes the task. If it fires too early, it is set again.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> TimeoutStream<S> {
    /// Returns the stream `io` of `connection`.
    pub(crate) fn new(io: S, connection: Connection) -> Self {
        let client_timeout = connection.gate().client_timeout();
        Self { io, connection: Rc::new(connection), client_timeout, stalled: None, read_at: None, timer: None }
    }

    /// Returns the connection.
    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Records that bytes came.
    fn note_arrival(&mut self) -> io::Result<()> {
        if self.connection.is_answering() {
            return Ok(());
        }
        let now = Instant::now();
        if self.stalled.is_some() {
            // The time for these bytes begins when the response is read.
            self.connection.arriving.set(Some(now));
            return Ok(());
        }
        self.read_at = Some(now);
        match self.connection.arriving.get() {
            None => self.connection.arriving.set(Some(now)),
            Some(since) => self.check_deadline(since, now, CloseReason::Request)?,
        }
        Ok(())
    }

    /// Waits for the rest of a request head.
    fn wait_for_request<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let read_at = self.read_at.take();
        if self.connection.is_answering() || self.stalled.is_some() {
            return Poll::Pending;
        }
        let Some(since) = self.connection.arriving.get() else { return Poll::Pending };
        let now = read_at.unwrap_or_else(Instant::now);
        self.check_deadline(since, now, CloseReason::Request)?;
        self.wake_by(since + self.client_timeout, now, context);
        Poll::Pending
    }

    /// Records that the task of the connection runs.
    fn note_poll(&self) -> io::Result<()> {
        let polls = self.connection.idle_polls.get() + 1;
        self.connection.idle_polls.set(polls);
        if polls < MAX_IDLE_POLLS {
            return Ok(());
        }
        self.connection.gate().count_closed(CloseReason::Pipeline);
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// Waits for the client to read the response.
    fn wait_for_reader<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let now = Instant::now();
        let since = *self.stalled.get_or_insert_with(|| {
            self.connection.set_stalled(true);
            now
        });
        self.check_eviction(context)?;
        self.check_deadline(since, now, CloseReason::Answer)?;
        self.wake_by(since + self.client_timeout, now, context);
        Poll::Pending
    }

    /// Fails if the connection must close for another one.
    fn check_eviction(&self, context: &Context<'_>) -> io::Result<()> {
        if !self.connection.is_evicted(context.waker()) {
            return Ok(());
        }
        self.connection.gate().count_closed(CloseReason::Evicted);
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// Fails if the time limit since `since` has passed.
    fn check_deadline(&self, since: Instant, now: Instant, reason: CloseReason) -> io::Result<()> {
        if now.saturating_duration_since(since) < self.client_timeout {
            return Ok(());
        }
        self.connection.gate().count_closed(reason);
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Wakes the task at `deadline`, or earlier.
    fn wake_by(&mut self, deadline: Instant, now: Instant, context: &mut Context<'_>) {
        let is_coming = |timer: &Pin<Box<Sleep>>| {
            let set = timer.deadline();
            set > now && set <= deadline
        };
        if self.timer.as_ref().is_some_and(is_coming) {
            return;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().reset(deadline);
        if timer.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimeoutStream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.connection.idle_polls.set(0);
        this.check_eviction(context)?;
        let before = buffer.filled().len();
        match Pin::new(&mut this.io).poll_read(context, buffer) {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => Poll::Ready(this.note_arrival()),
            Poll::Pending => this.wait_for_request(context),
            ready => ready,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimeoutStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.io).poll_write(context, bytes) {
            Poll::Pending => {
                this.note_poll()?;
                this.wait_for_reader(context)
            }
            ready => {
                this.connection.idle_polls.set(0);
                ready
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.io).poll_flush(context) {
            Poll::Pending => this.wait_for_reader(context),
            ready => {
                this.note_poll()?;
                // The HTTP layer flushes once it has written everything.
                let stalled = this.stalled.take();
                if stalled.is_some() {
                    this.connection.set_stalled(false);
                }
                // The HTTP layer reads nothing after its last response, so no other event would wake the task for the
                // deadline.
                if let Some(since) = this.connection.arriving.get() {
                    let now = Instant::now();
                    // Bytes that arrived while the response was not read could not be processed.
                    let since = if stalled.is_some_and(|stalled| stalled <= since) { now } else { since };
                    this.connection.arriving.set(Some(since));
                    this.wake_by(since + this.client_timeout, now, context);
                }
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

impl<S> fmt::Debug for TimeoutStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutStream").field("connection", &self.connection).finish_non_exhaustive()
    }
}
