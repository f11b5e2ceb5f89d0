//! Tests of `TimeoutStream` with paused time. The clock skips to the next timer if every task waits, so no test sleeps.

#[path = "../../../src/edge/http/stream.rs"]
mod timeout;

/// The part of `src/edge/http/connection.rs` that `TimeoutStream` uses.
mod connection {
    use std::cell::{Cell, RefCell};
    use std::task::Waker;
    use std::time::Duration;

    use tokio::time::Instant;

    use crate::telemetry::CloseReason;

    #[derive(Debug)]
    pub(crate) struct Connection {
        gate: Gate,
        is_answering: Cell<bool>,
        is_evicted: Cell<bool>,
        is_stalled: Cell<bool>,
        waker: RefCell<Option<Waker>>,
        pub(super) arriving: Cell<Option<Instant>>,
        pub(super) idle_polls: Cell<u32>,
    }

    #[derive(Debug, Default)]
    pub(super) struct Gate {
        closed: RefCell<Vec<CloseReason>>,
    }

    impl Gate {
        pub(super) fn client_timeout(&self) -> Duration {
            super::TIMEOUT
        }

        pub(super) fn count_closed(&self, reason: CloseReason) {
            self.closed.borrow_mut().push(reason);
        }

        pub(super) fn closed(&self) -> Vec<CloseReason> {
            self.closed.borrow().clone()
        }
    }

    impl Connection {
        /// Returns a connection that was accepted now.
        pub(super) fn accept() -> Self {
            Self {
                gate: Gate::default(),
                is_answering: Cell::new(false),
                is_evicted: Cell::new(false),
                is_stalled: Cell::new(false),
                waker: RefCell::default(),
                arriving: Cell::new(Some(Instant::now())),
                idle_polls: Cell::new(0),
            }
        }

        pub(super) fn gate(&self) -> &Gate {
            &self.gate
        }

        pub(super) fn is_answering(&self) -> bool {
            self.is_answering.get()
        }

        pub(super) fn set_stalled(&self, is_stalled: bool) {
            self.is_stalled.set(is_stalled);
        }

        pub(super) fn is_stalled(&self) -> bool {
            self.is_stalled.get()
        }

        pub(super) fn is_evicted(&self, waker: &Waker) -> bool {
            *self.waker.borrow_mut() = Some(waker.clone());
            self.is_evicted.get() && !self.is_answering.get()
        }

        /// Makes the connection close for another.
        pub(super) fn evict(&self) {
            self.is_evicted.set(true);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }

        /// Starts a request, as `Connection::begin_request` does.
        pub(super) fn begin_request(&self) {
            self.arriving.set(None);
            self.is_answering.set(true);
            self.idle_polls.set(0);
        }

        /// Ends a request, as `Connection::end_request` does.
        pub(super) fn end_request(&self) {
            self.is_answering.set(false);
        }
    }
}

use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};
use tokio::join;
use tokio::time::{self, Instant, sleep, timeout};

use crate::telemetry::CloseReason;
use connection::Connection;
use timeout::TimeoutStream;

/// The value of `limits.request`.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than any timeout.
const HOUR: Duration = Duration::from_secs(3600);

/// The number of bytes that the operating system would buffer.
const BUFFER: usize = 8;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns a stream that was accepted now, its connection and the end of the client.
fn accept() -> (TimeoutStream<DuplexStream>, Rc<Connection>, DuplexStream) {
    let (client, server) = duplex(BUFFER);
    let stream = TimeoutStream::new(server, Connection::accept());
    let connection = Rc::clone(stream.connection());
    (stream, connection, client)
}

/// Returns a stream on which one request was served.
async fn accept_used() -> (TimeoutStream<DuplexStream>, Rc<Connection>, DuplexStream) {
    let (mut stream, connection, mut client) = accept();
    client.write_all(b"GET").await.unwrap();
    read(&mut stream).await.unwrap();
    connection.begin_request();
    connection.end_request();
    (stream, connection, client)
}

/// Reads what arrives next.
async fn read(stream: &mut TimeoutStream<DuplexStream>) -> io::Result<usize> {
    stream.read(&mut [0; BUFFER]).await
}

/// Reads until the stream fails. Returns the error and the time since `start`.
async fn read_until_error(stream: &mut TimeoutStream<DuplexStream>, start: Instant) -> (io::ErrorKind, Duration) {
    let reading = async {
        loop {
            if let Err(error) = read(stream).await {
                return (error.kind(), start.elapsed());
            }
        }
    };
    timeout(2 * HOUR, reading).await.expect("the stream fails")
}

/// Writes a byte each second until the stream is closed.
async fn write_byte_by_byte(client: &mut DuplexStream) {
    while client.write_all(b"x").await.is_ok() {
        sleep(seconds(1)).await;
    }
}

/// Asserts that `elapsed` is `expected`. Timers of tokio have a resolution of a millisecond.
#[track_caller]
fn assert_elapsed(elapsed: Duration, expected: Duration) {
    assert!(elapsed >= expected && elapsed <= expected + Duration::from_millis(2), "{elapsed:?} is not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn connection_without_a_request_times_out() {
    let (mut stream, connection, _client) = accept();
    let (error, elapsed) = read_until_error(&mut stream, Instant::now()).await;
    assert_eq!(error, io::ErrorKind::TimedOut);
    assert_elapsed(elapsed, TIMEOUT);
    assert_eq!(connection.gate().closed(), [CloseReason::Request]);
}

#[tokio::test(start_paused = true)]
async fn first_head_times_out_although_bytes_arrive() {
    let (mut stream, connection, mut client) = accept();
    let start = Instant::now();
    let (error, elapsed) = tokio::select! {
        ended = read_until_error(&mut stream, start) => ended,
        () = write_byte_by_byte(&mut client) => unreachable!("the stream is open"),
    };
    assert_eq!(error, io::ErrorKind::TimedOut);
    assert_elapsed(elapsed, TIMEOUT);
    assert_eq!(connection.gate().closed(), [CloseReason::Request]);
}

#[tokio::test(start_paused = true)]
async fn later_head_is_timed_from_its_first_byte() {
    let (mut stream, connection, mut client) = accept_used().await;
    let start = Instant::now();
    let writing = async {
        sleep(HOUR).await;
        client.write_all(b"GET").await.unwrap();
        pending::<()>().await
    };
    let (error, elapsed) = tokio::select! {
        ended = read_until_error(&mut stream, start) => ended,
        () = writing => unreachable!("the client waits"),
    };
    assert_eq!(error, io::ErrorKind::TimedOut);
    assert_elapsed(elapsed, HOUR + TIMEOUT);
    assert_eq!(connection.gate().closed(), [CloseReason::Request]);
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_not_timed() {
    let (mut stream, connection, _client) = accept_used().await;
    assert!(timeout(HOUR, read(&mut stream)).await.is_err());
    assert_eq!(connection.gate().closed(), []);
}

#[tokio::test(start_paused = true)]
async fn complete_head_is_no_longer_timed() {
    let (mut stream, connection, mut client) = accept();
    let writing = async {
        sleep(TIMEOUT - seconds(1)).await;
        client.write_all(b"GET").await.unwrap();
    };
    let (read_result, ()) = join!(read(&mut stream), writing);
    assert_eq!(read_result.unwrap(), 3);
    connection.begin_request();
    assert!(timeout(HOUR, read(&mut stream)).await.is_err());
    assert_eq!(connection.gate().closed(), []);
}

#[tokio::test(start_paused = true)]
async fn slow_body_of_a_request_in_flight_is_not_timed() {
    let (mut stream, connection, mut client) = accept();
    connection.begin_request();
    let reading = async {
        loop {
            read(&mut stream).await.unwrap();
        }
    };
    tokio::select! {
        ended = timeout(HOUR, reading) => assert!(ended.is_err()),
        () = write_byte_by_byte(&mut client) => unreachable!("the stream is open"),
    }
    assert_eq!(connection.gate().closed(), []);
}

#[tokio::test(start_paused = true)]
async fn slow_body_times_out_after_its_response() {
    let (mut stream, connection, mut client) = accept();
    connection.begin_request();
    client.write_all(b"x").await.unwrap();
    read(&mut stream).await.unwrap();
    sleep(HOUR).await;
    connection.end_request();
    let start = Instant::now();
    let (error, elapsed) = tokio::select! {
        ended = read_until_error(&mut stream, start) => ended,
        () = write_byte_by_byte(&mut client) => unreachable!("the stream is open"),
    };
    assert_eq!(error, io::ErrorKind::TimedOut);
    assert_elapsed(elapsed, TIMEOUT);
    assert_eq!(connection.gate().closed(), [CloseReason::Request]);
}

#[tokio::test(start_paused = true)]
async fn unread_response_times_out() {
    let (mut stream, connection, _client) = accept();
    connection.begin_request();
    let start = Instant::now();
    let error = stream.write_all(&[0; 2 * BUFFER]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_elapsed(start.elapsed(), TIMEOUT);
    assert_eq!(connection.gate().closed(), [CloseReason::Answer]);
}

#[tokio::test(start_paused = true)]
async fn response_that_is_read_byte_by_byte_times_out() {
    let (mut stream, connection, mut client) = accept();
    connection.begin_request();
    let start = Instant::now();
    let reading = async {
        loop {
            sleep(seconds(1)).await;
            client.read_u8().await.unwrap();
        }
    };
    let written = tokio::select! {
        written = stream.write_all(&[0; 4 * BUFFER]) => written,
        () = reading => unreachable!("the client reads without an end"),
    };
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_elapsed(start.elapsed(), TIMEOUT);
    assert_eq!(connection.gate().closed(), [CloseReason::Answer]);
}

#[tokio::test(start_paused = true)]
async fn each_response_has_the_whole_time() {
    let (mut stream, connection, mut client) = accept();
    connection.begin_request();
    let mut response = [0; 2 * BUFFER];
    for _ in 0..3 {
        let reading = async {
            sleep(TIMEOUT - seconds(1)).await;
            client.read_exact(&mut response).await.unwrap();
        };
        let writing = async {
            stream.write_all(&[0; 2 * BUFFER]).await.unwrap();
            stream.flush().await.unwrap();
        };
        join!(reading, writing);
    }
    assert_eq!(connection.gate().closed(), []);
}

#[tokio::test(start_paused = true)]
async fn request_is_not_timed_while_a_response_is_unread() {
    let (mut stream, connection, mut client) = accept_used().await;
    // The buffer is full, and the response is not sent completely.
    assert!(timeout(seconds(1), stream.write_all(&[0; 2 * BUFFER])).await.is_err());
    client.write_all(b"GET").await.unwrap();
    read(&mut stream).await.unwrap();
    assert!(timeout(HOUR, read(&mut stream)).await.is_err());
    assert_eq!(connection.gate().closed(), []);
}

#[tokio::test(start_paused = true)]
async fn head_that_began_while_a_response_was_unread_is_timed_from_its_end() {
    let (mut stream, connection, mut client) = accept_used().await;
    assert!(timeout(seconds(1), stream.write_all(&[0; 2 * BUFFER])).await.is_err());
    client.write_all(b"GET").await.unwrap();
    read(&mut stream).await.unwrap();
    sleep(seconds(3)).await;
    client.read_exact(&mut [0; BUFFER]).await.unwrap();
    stream.flush().await.unwrap();
    let (error, elapsed) = read_until_error(&mut stream, Instant::now()).await;
    assert_eq!(error, io::ErrorKind::TimedOut);
    assert_elapsed(elapsed, TIMEOUT);
    assert_eq!(connection.gate().closed(), [CloseReason::Request]);
}

/// Runs the task of a connection, as the HTTP layer does if it has no space for more bytes. Returns how it ends.
async fn poll_until_error(stream: &mut TimeoutStream<DuplexStream>, bytes: &[u8], most: u32) -> Option<io::ErrorKind> {
    for _ in 0..most {
        let polled = poll_fn(|context| {
            let mut stream = Pin::new(&mut *stream);
            Poll::Ready(match stream.as_mut().poll_write(context, bytes) {
                Poll::Ready(Ok(_)) => stream.poll_flush(context),
                other => other.map_ok(|_| ()),
            })
        });
        if let Poll::Ready(Err(error)) = polled.await {
            return Some(error.kind());
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn task_that_runs_without_progress_ends_the_connection() {
    let (mut stream, connection, _client) = accept();
    connection.begin_request();
    let ended = poll_until_error(&mut stream, &[0; BUFFER], 2000).await;
    assert_eq!(ended, Some(io::ErrorKind::ConnectionAborted), "the response is not read");
    assert_eq!(connection.gate().closed(), [CloseReason::Pipeline]);

    let (mut stream, connection, _client) = accept();
    connection.begin_request();
    let mut polls = 0;
    let flushed = loop {
        polls += 1;
        if let Err(error) = stream.flush().await {
            break error.kind();
        }
        assert!(polls < 2000, "there is no response yet");
    };
    assert_eq!(flushed, io::ErrorKind::ConnectionAborted);
    assert_eq!(connection.gate().closed(), [CloseReason::Pipeline]);
}

#[tokio::test(start_paused = true)]
async fn progress_of_any_kind_keeps_the_connection() {
    let (mut stream, connection, mut client) = accept();
    for round in 0..30 {
        for _ in 0..500 {
            stream.flush().await.unwrap();
        }
        match round % 3 {
            0 => connection.begin_request(),
            1 => {
                stream.write_all(b"x").await.unwrap();
                client.read_u8().await.unwrap();
            }
            _ => {
                client.write_all(b"x").await.unwrap();
                read(&mut stream).await.unwrap();
            }
        }
    }
    assert_eq!(connection.gate().closed(), []);
}

#[tokio::test(start_paused = true)]
async fn first_head_is_not_timed_while_a_response_is_unread() {
    let (mut stream, connection, _client) = accept();
    assert!(timeout(seconds(1), stream.write_all(&[0; 2 * BUFFER])).await.is_err());
    assert!(timeout(HOUR, read(&mut stream)).await.is_err());
    assert_eq!(connection.gate().closed(), []);
}

#[tokio::test(start_paused = true)]
async fn late_byte_of_a_head_fails_although_the_read_does_not_wait() {
    let (mut stream, connection, mut client) = accept();
    client.write_all(b"G").await.unwrap();
    read(&mut stream).await.unwrap();
    time::advance(TIMEOUT).await;
    client.write_all(b"E").await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(connection.gate().closed(), [CloseReason::Request]);
}

#[tokio::test(start_paused = true)]
async fn timer_that_fires_too_late_is_set_again() {
    let (mut stream, _connection, mut client) = accept();
    let start = Instant::now();
    sleep(seconds(2)).await;
    // The unread response sets the timer to 7 s, the first head must be complete at 5 s.
    assert!(timeout(seconds(1), stream.write_all(&[0; 2 * BUFFER])).await.is_err());
    client.read_exact(&mut [0; BUFFER]).await.unwrap();
    stream.flush().await.unwrap();
    let (error, elapsed) = read_until_error(&mut stream, start).await;
    assert_eq!(error, io::ErrorKind::TimedOut);
    assert_elapsed(elapsed, TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn timer_that_fires_too_early_is_set_again() {
    let (mut stream, connection, mut client) = accept();
    let start = Instant::now();
    let writing = async {
        // The first head sets the timer to 5 s, the second head begins at 3 s.
        sleep(seconds(1)).await;
        client.write_all(b"GET").await.unwrap();
        sleep(seconds(2)).await;
        client.write_all(b"GET").await.unwrap();
        pending::<()>().await
    };
    let reading = async {
        read(&mut stream).await.unwrap();
        connection.begin_request();
        connection.end_request();
        read_until_error(&mut stream, start).await
    };
    let (error, elapsed) = tokio::select! {
        ended = reading => ended,
        () = writing => unreachable!("the client waits"),
    };
    assert_eq!(error, io::ErrorKind::TimedOut);
    assert_elapsed(elapsed, seconds(3) + TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn deadline_that_passed_since_the_last_read_fails_at_once() {
    let (mut stream, connection, mut client) = accept();
    client.write_all(b"GET").await.unwrap();
    read(&mut stream).await.unwrap();
    time::advance(TIMEOUT + seconds(1)).await;
    // The first poll uses the time of the last read. The timer is due already, so it wakes the task.
    let (error, elapsed) = read_until_error(&mut stream, Instant::now()).await;
    assert_eq!(error, io::ErrorKind::TimedOut);
    assert_elapsed(elapsed, Duration::ZERO);
    assert_eq!(connection.gate().closed(), [CloseReason::Request]);
}

/// A stream that never becomes ready.
struct Stuck;

impl AsyncRead for Stuck {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Stuck {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn stuck_flush_and_shutdown_time_out() {
    let start = Instant::now();
    let mut stream = TimeoutStream::new(Stuck, Connection::accept());
    assert_eq!(timeout(HOUR, stream.flush()).await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_elapsed(start.elapsed(), TIMEOUT);
    assert_eq!(stream.connection().gate().closed(), [CloseReason::Answer]);

    let start = Instant::now();
    let mut stream = TimeoutStream::new(Stuck, Connection::accept());
    assert_eq!(timeout(HOUR, stream.shutdown()).await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_elapsed(start.elapsed(), TIMEOUT);
    assert_eq!(stream.connection().gate().closed(), [CloseReason::Answer]);
}

#[tokio::test(start_paused = true)]
async fn evicted_connection_fails_at_once() {
    let (mut stream, connection, _client) = accept_used().await;
    let start = Instant::now();
    let evicting = async {
        sleep(seconds(1)).await;
        connection.evict();
    };
    let (read_result, ()) = join!(read(&mut stream), evicting);
    assert_eq!(read_result.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    assert_elapsed(start.elapsed(), seconds(1));
    assert_eq!(connection.gate().closed(), [CloseReason::Evicted]);
}

#[tokio::test(start_paused = true)]
async fn evicted_connection_answers_its_request_first() {
    let (mut stream, connection, mut client) = accept();
    connection.begin_request();
    connection.evict();
    assert!(timeout(seconds(1), read(&mut stream)).await.is_err());
    stream.write_all(b"x").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    connection.end_request();
    assert_eq!(read(&mut stream).await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
}

#[tokio::test(start_paused = true)]
async fn connection_with_an_unread_response_can_be_evicted() {
    let (mut stream, connection, _client) = accept();
    let evicting = async {
        sleep(seconds(1)).await;
        assert!(connection.is_stalled());
        connection.evict();
    };
    let (written, ()) = join!(stream.write_all(&[0; 2 * BUFFER]), evicting);
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    assert_eq!(connection.gate().closed(), [CloseReason::Evicted]);
}

#[tokio::test(start_paused = true)]
async fn end_of_stream_is_not_a_timeout() {
    let (mut stream, connection, client) = accept();
    drop(client);
    time::advance(HOUR).await;
    assert_eq!(read(&mut stream).await.unwrap(), 0);
    assert_eq!(connection.gate().closed(), []);
}
