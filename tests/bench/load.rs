//! The load: one thread that keeps many connections busy, cheap enough to share two cores with what it measures.
//!
//! Closed, each connection sends its next request once it has its answer. Open, requests are due at fixed times whether or
//! not the server keeps up, and an answer's latency counts from when its request was due.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::LocalSet;

use crate::machine;
use crate::requests::{Ending, Kind, pick};
use crate::servers::Process;

/// How long answers may be out after the last request was sent.
const PATIENCE: Duration = Duration::from_secs(15);

/// What to send, how, and for how long.
pub(crate) struct Load<'k> {
    pub(crate) kinds: &'k [Kind],
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    pub(crate) length: Duration,
    pub(crate) reuse: Reuse,
}

#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// As fast as answers come.
    Closed,
    /// This many requests a second.
    Open(f64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// A connection carries requests until the server closes it.
    Kept,
    /// A new connection for each request.
    New,
}

/// What one load came to.
pub(crate) struct Outcome {
    /// In the order of the kinds.
    pub(crate) kinds: Vec<KindOutcome>,
    pub(crate) seconds: f64,
    /// CPU time of the server.
    pub(crate) server: Duration,
    /// CPU time of this load's thread.
    pub(crate) client: Duration,
}

pub(crate) struct KindOutcome {
    pub(crate) name: &'static str,
    /// Microseconds, of those that were answered as they should be.
    pub(crate) latency: Histogram<u64>,
    /// Requests that got what they should, or whose client vanished.
    pub(crate) done: u64,
    /// What else became of requests, and how often.
    pub(crate) wrong: BTreeMap<String, u64>,
}

impl KindOutcome {
    /// A latency in microseconds that so many hundredths of the answers stayed within.
    pub(crate) fn percentile(&self, hundredths: f64) -> u64 {
        self.latency.value_at_percentile(hundredths)
    }
}

impl Outcome {
    pub(crate) fn done(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.done).sum()
    }

    pub(crate) fn wrong(&self) -> u64 {
        self.kinds.iter().flat_map(|kind| kind.wrong.values()).sum()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.done() as f64 / self.seconds
    }

    /// CPU time of the server for one request, in microseconds.
    pub(crate) fn server_micros(&self) -> f64 {
        self.server.as_secs_f64() * 1e6 / self.done().max(1) as f64
    }

    /// CPU time of this load for one request, in microseconds.
    pub(crate) fn client_micros(&self) -> f64 {
        self.client.as_secs_f64() * 1e6 / self.done().max(1) as f64
    }

    /// All that went wrong, in words; empty if nothing did.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let of = |kind: &KindOutcome| -> Vec<String> {
            kind.wrong.iter().map(|(what, count)| format!("{}: {count} x {what}", kind.name)).collect()
        };
        self.kinds.iter().flat_map(of).collect()
    }
}

impl Load<'_> {
    /// Puts the load on `server` and waits for its end.
    pub(crate) fn run(&self, server: &Process) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client_before = machine::thread_cpu();
        let server_before = server.cpu();
        let started = Instant::now();
        let (pacer, due) = self.pacer(started);
        let shared = Rc::new(Shared {
            address: server.address,
            kinds: self.kinds.iter().map(|kind| RefCell::new(KindOutcome::new(kind.name))).collect(),
            due,
            deadline: started + self.length,
            reuse: self.reuse,
        });
        let still_waiting = Rc::new(Cell::new(self.connections as u64));
        runtime.block_on(async {
            let local = LocalSet::new();
            for _ in 0..self.connections {
                let mut connection = Connection::new(Rc::clone(&shared), self.kinds.to_vec());
                let still_waiting = Rc::clone(&still_waiting);
                local.spawn_local(async move {
                    connection.run().await;
                    still_waiting.set(still_waiting.get() - 1);
                });
            }
            let _ = tokio::time::timeout(self.length + PATIENCE, local).await;
        });
        let seconds = started.elapsed().as_secs_f64();
        let server_spent = server.cpu().since(&server_before);
        let client = machine::thread_cpu().saturating_sub(client_before);
        drop(runtime);
        if let Some(pacer) = pacer {
            pacer.join().unwrap();
        }
        let mut kinds: Vec<KindOutcome> = shared.kinds.iter().map(|kind| kind.replace(KindOutcome::new(""))).collect();
        if still_waiting.get() > 0 {
            kinds[0].wrong.insert("no answer in time".to_owned(), still_waiting.get());
        }
        Outcome { kinds, seconds, server: server_spent, client }
    }

    /// The thread that says when requests are due: it sleeps more exactly than the runtime's timer does.
    fn pacer(&self, started: Instant) -> (Option<std::thread::JoinHandle<()>>, Option<Mutex<Due>>) {
        let Pace::Open(per_second) = self.pace else { return (None, None) };
        let (sender, receiver) = mpsc::unbounded_channel();
        let count = (per_second * self.length.as_secs_f64()) as u64;
        let pacer = std::thread::spawn(move || {
            for number in 0..count {
                let due = started + Duration::from_secs_f64(number as f64 / per_second);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if sender.send(due).is_err() {
                    return;
                }
            }
        });
        (Some(pacer), Some(Mutex::new(receiver)))
    }
}

type Due = mpsc::UnboundedReceiver<Instant>;

/// Numbers requests over all loads of this process, so that nobody is new twice.
static NUMBER: AtomicU64 = AtomicU64::new(0);

struct Shared {
    address: SocketAddr,
    kinds: Vec<RefCell<KindOutcome>>,
    due: Option<Mutex<Due>>,
    deadline: Instant,
    reuse: Reuse,
}

impl Shared {
    /// When the next request is due; `None` at the end.
    async fn next(&self) -> Option<Instant> {
        match &self.due {
            Some(due) => due.lock().await.recv().await,
            None => Some(Instant::now()).filter(|now| *now < self.deadline),
        }
    }
}

impl KindOutcome {
    fn new(name: &'static str) -> Self {
        // Up to a minute, to two digits.
        let latency = Histogram::new_with_bounds(1, 60_000_000, 2).unwrap();
        Self { name, latency, done: 0, wrong: BTreeMap::new() }
    }
}

struct Connection {
    shared: Rc<Shared>,
    kinds: Vec<Kind>,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// What came back, as far as it matters here.
#[derive(Clone, Copy)]
struct Answer {
    status: u16,
    is_last: bool,
}

impl Connection {
    fn new(shared: Rc<Shared>, kinds: Vec<Kind>) -> Self {
        Self { shared, kinds, stream: None, buffer: vec![0; 16 * 1024] }
    }

    async fn run(&mut self) {
        while let Some(due) = self.shared.next().await {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let index = pick(&self.kinds, number);
            let (ending, status) = (self.kinds[index].ending, self.kinds[index].status);
            let result = self.exchange(index, number).await;
            let shared = Rc::clone(&self.shared);
            let mut outcome = shared.kinds[index].borrow_mut();
            let wrong = match result {
                Ok(Some(answer)) if answer.status == status => {
                    outcome.latency.saturating_record(due.elapsed().as_micros() as u64);
                    outcome.done += 1;
                    continue;
                }
                Ok(None) if ending != Ending::Answered => {
                    outcome.done += 1;
                    continue;
                }
                Ok(Some(answer)) => format!("status {} where {status} was due", answer.status),
                Ok(None) => "no answer".to_owned(),
                Err(error) => format!("{:?}", error.kind()),
            };
            *outcome.wrong.entry(wrong).or_default() += 1;
            self.stream = None;
        }
    }

    /// Sends one request and reads its answer, `None` if nobody waits for it.
    async fn exchange(&mut self, index: usize, number: u64) -> io::Result<Option<Answer>> {
        let stream = match self.stream.take() {
            Some(stream) if self.shared.reuse == Reuse::Kept => stream,
            _ => connect(self.shared.address, number).await?,
        };
        let ending = self.kinds[index].ending;
        let bytes = self.kinds[index].bytes(number);
        if let Ending::Vanish(hundredths) = ending {
            write_all(&stream, &bytes[..bytes.len() * hundredths / 100]).await?;
            return Ok(None);
        }
        write_all(&stream, bytes).await?;
        let answer = read_answer(&stream, &mut self.buffer).await?;
        if !answer.is_last && self.shared.reuse == Reuse::Kept {
            self.stream = Some(stream);
        }
        Ok(Some(answer))
    }
}

/// Connects from one of many loopback addresses, so that a new connection for each request does not run out of ports.
async fn connect(address: SocketAddr, number: u64) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 0, 2 + (number % 250) as u8), 0).into())?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read_answer(stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<Answer> {
    let mut filled = 0;
    let mut head = None;
    loop {
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
        stream.readable().await?;
        match stream.try_read(&mut buffer[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if head.is_none() {
            head = read_head(&buffer[..filled])?;
        }
        match head {
            Some((_, whole)) if filled > whole => return Err(io::ErrorKind::InvalidData.into()),
            Some((answer, whole)) if filled == whole => return Ok(answer),
            _ => {}
        }
    }
}

/// The status, and how long the whole answer is; `None` while its head is incomplete.
fn read_head(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| invalid())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let (mut length, mut is_last) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            is_last = value.eq_ignore_ascii_case("close");
        }
    }
    let answer = Answer { status: status.ok_or_else(invalid)?, is_last };
    Ok(Some((answer, end + 4 + length.ok_or_else(invalid)?)))
}
