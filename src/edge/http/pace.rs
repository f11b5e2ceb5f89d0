//! A stream that passes on one request at a time.
//!
//! Pipelined requests wait until the response before them was written. Bytes behind the last request of a connection
//! are not passed on (RFC 9112, section 9.6). See [`Framing`] for the reasons. At most [`MAX_HELD`] bytes wait; more is
//! read only after the response was written.
//!
//! If a client sends more than is read, closing the connection would discard the last response before the client has
//! read it. The stream therefore closes its own half first and reads for a short time (RFC 9112, section 9.6).

use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connection::Connection;
use super::framing::Framing;
use super::stream::TimeoutStream;

/// The maximum number of bytes behind a request that are read before its response was written.
const MAX_HELD: usize = 8 << 10;

/// The time for which bytes behind the last request are read.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum number of bytes that are read behind the last response. Reading more would waste time.
const MAX_LINGERED: usize = 1 << 20;

/// The stream of a connection, which the HTTP layer reads.
pub(crate) struct PacedStream<S> {
    io: TimeoutStream<S>,
    framing: Framing,
    /// Bytes behind the request that is processed.
    held: Vec<u8>,
    /// `true` if the client closed its half behind the bytes in `held`.
    is_ended: bool,
    /// `true` if the HTTP layer decoded the request that was passed on.
    is_decoded: bool,
    /// `true` if its response was written.
    is_answered: bool,
    /// The bytes that were read behind the last response.
    lingered: usize,
    closing: Closing,
}

/// The progress of closing a connection.
#[derive(Debug)]
enum Closing {
    Open,
    /// Our half is closed.
    HalfClosed,
    /// Incoming bytes are read until the timer ends.
    Lingering(Pin<Box<Sleep>>),
}

impl<S> PacedStream<S> {
    /// Returns a stream around `io`.
    pub(crate) fn new(io: TimeoutStream<S>) -> Self {
        Self {
            io,
            framing: Framing::default(),
            held: Vec::new(),
            is_ended: false,
            is_decoded: false,
            is_answered: false,
            lingered: 0,
            closing: Closing::Open,
        }
    }

    /// Returns the connection.
    pub(crate) fn connection(&self) -> &Rc<Connection> {
        self.io.connection()
    }

    /// Returns `true` if no further request on this connection is answered.
    fn is_over(&self) -> bool {
        self.is_answered && self.connection().is_last() && !self.framing.accepts()
    }

    /// Counts `count` bytes. Returns `false` if the client has sent too many bytes behind the last response.
    fn can_linger(&mut self, count: usize) -> bool {
        let is_lingering = self.is_decoded && self.is_answered;
        self.lingered += if is_lingering { count } else { 0 };
        self.lingered <= MAX_LINGERED
    }

    /// Continues with the body or the next request, if the HTTP layer is ready for it. Returns `true` if held bytes, or
    /// bytes that were not read, can be passed on now.
    fn advance(&mut self) -> bool {
        let could_accept = self.framing.accepts();
        if let Some(body) = self.connection().take_decoded() {
            self.is_decoded = true;
            self.is_answered = false;
            if !self.framing.decoded(body) {
                self.connection().set_last();
            }
        }
        !could_accept && self.framing.accepts()
    }

    /// Records that everything was written. Returns `true` if the next request can be passed on now.
    fn note_written(&mut self) -> bool {
        if !self.is_decoded || self.connection().is_answering() {
            return false;
        }
        self.is_answered = true;
        if self.connection().is_last() || !self.framing.answered() {
            return false;
        }
        self.is_decoded = false;
        true
    }
}

impl<S: AsyncRead + Unpin> PacedStream<S> {
    /// Passes on bytes that were held back. Returns `false` if there are none.
    fn pass_held(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let room = self.held.len().min(buffer.remaining());
        let count = self.framing.pass(&self.held[..room]);
        buffer.put_slice(&self.held[..count]);
        match count == self.held.len() {
            // Do not keep the memory on an idle connection.
            true => drop(mem::take(&mut self.held)),
            false => drop(self.held.drain(..count)),
        }
        if count > 0 {
            self.connection().note_arrival();
        }
        count > 0
    }

    /// Reads and discards incoming bytes. Returns `false` if bytes came, and `true` at the end of the stream or if too
    /// many came.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut some = mem::take(&mut self.held);
        let mut is_any = !some.is_empty();
        some.resize(MAX_HELD, 0);
        loop {
            let mut buffer = ReadBuf::new(&mut some);
            match Pin::new(&mut self.io).poll_read(context, &mut buffer)? {
                Poll::Ready(()) => {
                    let count = buffer.filled().len();
                    if count == 0 || !self.can_linger(count) {
                        return Poll::Ready(Ok(true));
                    }
                    is_any = true;
                }
                Poll::Pending if is_any => return Poll::Ready(Ok(false)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.advance();
        if this.is_over() {
            return match ready!(this.poll_discard(context))? {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            };
        }
        if this.pass_held(buffer) {
            return Poll::Ready(Ok(()));
        }
        if this.is_ended {
            return if this.held.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let before = buffer.filled().len();
        while this.framing.accepts() || this.held.len() < MAX_HELD {
            ready!(Pin::new(&mut this.io).poll_read(context, buffer))?;
            let bytes = &buffer.filled()[before..];
            if bytes.is_empty() {
                this.is_ended = true;
                return if this.held.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            let count = bytes.len();
            if !this.can_linger(count) {
                // The HTTP layer treats this as the end of the stream.
                buffer.set_filled(before);
                return Poll::Ready(Ok(()));
            }
            let bytes = &buffer.filled()[before..];
            let count = this.framing.pass(bytes);
            this.held.extend_from_slice(&bytes[count..]);
            buffer.set_filled(before + count);
            if count > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut can_continue = this.advance();
        let flushed = Pin::new(&mut this.io).poll_flush(context)?;
        if flushed.is_ready() {
            can_continue |= this.note_written();
        }
        // Without held bytes, the end of the stream or a full buffer, the socket wakes the task.
        if can_continue && (!this.held.is_empty() || this.is_ended) {
            context.waker().wake_by_ref();
        }
        flushed.map(Ok)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.closing, Closing::Open) {
            ready!(Pin::new(&mut this.io).poll_shutdown(context))?;
            this.closing = Closing::HalfClosed;
        }
        loop {
            match this.poll_discard(context) {
                Poll::Ready(Ok(false)) => {
                    if matches!(this.closing, Closing::HalfClosed) {
                        this.closing = Closing::Lingering(Box::pin(sleep(LINGER_TIMEOUT)));
                    }
                }
                // The client has read everything, or has disconnected.
                Poll::Ready(Ok(true) | Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        match &mut this.closing {
            Closing::Lingering(timer) => timer.as_mut().poll(context).map(Ok),
            Closing::Open | Closing::HalfClosed => Poll::Ready(Ok(())),
        }
    }
}

impl<S> fmt::Debug for PacedStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacedStream").field("io", &self.io).field("held", &self.held.len()).finish_non_exhaustive()
    }
}
