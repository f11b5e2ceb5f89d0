//! The audit log: a line of JSON for each token that is issued, never the token itself, and optionally for each refused
//! request, never with anything that the client sent except an adopted request ID.
//!
//! Lines go through a bounded queue to a dedicated thread, so that no request waits for a disk or a pipe. If the queue is
//! full or a write fails, lines are dropped and counted; the log, readiness and, once lines can be written again, the
//! audit log itself report the loss.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use sha2::{Digest as _, Sha256};
use tracing::{error, info, warn};

use super::queue::{Bounds, Queue};
use crate::code::ErrorCode;
use crate::config::{AuditLog, AuditSubject, AuditTarget};
use crate::escape;
use crate::json;
use crate::time::{Clock, Timestamp};

/// Some seconds of a busy service; a line has some hundred bytes.
const BOUNDS: Bounds = Bounds { waiting: 8192, portion: 512, linger: Duration::ZERO };

/// The fault while lines are lost because the queue is full.
const OVERFLOW: &str = "expected audit lines to be written as fast as they come, found a full queue";

/// The audit log of one running service.
pub struct Audit {
    queue: Queue<String>,
    subject: AuditSubject,
    records_refused: bool,
    state: Arc<State>,
}

/// What became of audit lines.
#[derive(Clone, Debug, Default)]
pub struct AuditCounts {
    /// Lines that were written.
    pub written: Counter,
    /// Lines that were lost.
    pub lost: Counter,
}

/// The fields of an audit line.
#[derive(Clone, Copy, Debug)]
pub struct Issued<'t> {
    /// The time of the request.
    pub at: Timestamp,
    /// The identifier of the request, as in the log.
    pub request_id: &'t str,
    /// The caller; `None` without configured callers.
    pub caller: Option<&'t str>,
    /// The profile.
    pub profile: &'t str,
    /// `jti`
    pub jti: &'t str,
    /// `sub`
    pub subject: &'t str,
    /// The key that signed.
    pub kid: &'t str,
    /// The algorithm that signed.
    pub alg: &'t str,
    /// `exp`
    pub expires_at: Timestamp,
    /// Whether the token was signed for an earlier request.
    pub cached: bool,
}

/// The fields of the audit line of a refused request.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'r> {
    /// The time of the response.
    pub at: Timestamp,
    /// The identifier of the request, as in the log.
    pub request_id: &'r str,
    /// The caller; `None` if it was not authenticated, or without configured callers.
    pub caller: Option<&'r str>,
    /// The profile; `None` if it is not configured.
    pub profile: Option<&'r str>,
    /// The address of the client; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The status of the response.
    pub status: u16,
    /// Why it was refused.
    pub code: ErrorCode,
}

/// What the thread and the requests share.
#[derive(Debug, Default)]
struct State {
    counts: AuditCounts,
    /// Lines that were lost and that no line tells yet.
    untold: AtomicU64,
    is_overflowing: AtomicBool,
    /// Why lines cannot be written now.
    fault: Mutex<Option<String>>,
}

impl Audit {
    /// Opens the audit log that `config` describes; `clock` dates the lines that are about the log itself. `append` opens a
    /// file to add lines to it, and must not block for long.
    ///
    /// # Errors
    /// Where the file cannot be opened, or no thread be started.
    pub fn open(
        config: &AuditLog,
        counts: AuditCounts,
        clock: Arc<dyn Clock>,
        append: impl Fn(&Path) -> io::Result<File> + Send + 'static,
    ) -> io::Result<Self> {
        match &config.to {
            AuditTarget::File(path) => {
                let mut file = AuditFile::open(path, Box::new(append))?;
                Self::start(config, counts, clock, move |bytes| file.append(bytes))
            }
            AuditTarget::Stdout => Self::start(config, counts, clock, |bytes| {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }),
        }
    }

    fn start(
        config: &AuditLog,
        counts: AuditCounts,
        clock: Arc<dyn Clock>,
        mut write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let state = Arc::new(State { counts, ..State::default() });
        let shared = Arc::clone(&state);
        let mut is_torn = false;
        let queue = Queue::start("audit", BOUNDS, move |lines: Vec<String>| {
            let untold = shared.untold.swap(0, Ordering::Relaxed);
            // What failed may have left half a line.
            let mut text = if is_torn { "\n".to_owned() } else { String::new() };
            if untold > 0 {
                let _ = writeln!(text, "{{\"time\":\"{}\",\"event\":\"lines_lost\",\"count\":{untold}}}", clock.now());
            }
            text.extend(lines.iter().map(String::as_str));
            is_torn = match write(escape::lines(&text).as_bytes()) {
                Ok(()) => {
                    shared.written(lines.len() as u64, untold);
                    false
                }
                Err(error) => {
                    shared.failed(lines.len() as u64, untold, &error);
                    true
                }
            };
        })?;
        Ok(Self { queue, subject: config.subject, records_refused: config.refused, state })
    }

    /// Returns `true` if lines contain the subject or its hash.
    pub fn records_subject(&self) -> bool {
        self.subject != AuditSubject::None
    }

    /// Records a token. Never blocks.
    pub fn issued(&self, token: &Issued<'_>) {
        self.push(line(token, self.subject));
    }

    /// Records a refused request, if the log has them. Never blocks.
    pub fn refused(&self, request: &Refused<'_>) {
        if self.records_refused {
            self.push(refused_line(request));
        }
    }

    fn push(&self, line: String) {
        if self.queue.push(line) {
            return;
        }
        self.state.lose(1);
        if !self.state.is_overflowing.swap(true, Ordering::Relaxed) {
            warn!("audit lines are lost: they come faster than they can be written");
        }
    }

    /// Why lines cannot be written now, or not as fast as they come.
    pub fn fault(&self) -> Option<String> {
        let fault = self.state.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_overflowing = || self.state.is_overflowing.load(Ordering::Relaxed);
        fault.or_else(|| is_overflowing().then(|| OVERFLOW.to_owned()))
    }

    /// Writes what is waiting and ends; gives up after `within`.
    pub fn close(&self, within: Duration) {
        if !self.queue.close(within) {
            warn!(seconds = within.as_secs(), "audit lines may be lost: they could not be written in time");
        }
    }
}

impl State {
    fn lose(&self, count: u64) {
        self.counts.lost.inc_by(count);
        self.untold.fetch_add(count, Ordering::Relaxed);
    }

    fn written(&self, count: u64, told: u64) {
        self.counts.written.inc_by(count);
        self.is_overflowing.store(false, Ordering::Relaxed);
        let had_fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take().is_some();
        if had_fault || told > 0 {
            info!(lost = told, "audit lines are written again");
        }
    }

    fn failed(&self, count: u64, untold: u64, cause: &io::Error) {
        self.untold.fetch_add(untold, Ordering::Relaxed);
        self.lose(count);
        let fault = format!("expected audit lines to be written, found: {cause}");
        let known = self.fault.lock().unwrap_or_else(PoisonError::into_inner).replace(fault.clone());
        if known.as_deref() != Some(&fault) {
            error!(fault, "audit lines are lost");
        }
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("subject", &self.subject).field("state", &self.state).finish_non_exhaustive()
    }
}

/// The line, with its end.
fn line(token: &Issued<'_>, subject: AuditSubject) -> String {
    let mut line = String::with_capacity(384);
    // Writing into a String cannot fail.
    let _ = write!(line, "{{\"time\":\"{}\",\"event\":\"token_issued\"", token.at);
    member("request_id", token.request_id, &mut line);
    optional_member("caller", token.caller, &mut line);
    member("profile", token.profile, &mut line);
    member("jti", token.jti, &mut line);
    match subject {
        AuditSubject::Hash => member("sub_sha256", &hexadecimal(&Sha256::digest(token.subject.as_bytes())), &mut line),
        AuditSubject::None => {}
        AuditSubject::Plain => member("sub", token.subject, &mut line),
    }
    member("kid", token.kid, &mut line);
    member("alg", token.alg, &mut line);
    let _ = writeln!(line, ",\"exp\":{},\"cached\":{}}}", token.expires_at.seconds(), token.cached);
    line
}

/// The line of a refused request, with its end.
fn refused_line(request: &Refused<'_>) -> String {
    let mut line = String::with_capacity(256);
    // Writing into a String cannot fail.
    let _ = write!(line, "{{\"time\":\"{}\",\"event\":\"request_refused\"", request.at);
    member("request_id", request.request_id, &mut line);
    optional_member("caller", request.caller, &mut line);
    optional_member("profile", request.profile, &mut line);
    optional_member("peer", request.peer.map(|peer| peer.to_string()).as_deref(), &mut line);
    let _ = write!(line, ",\"status\":{}", request.status);
    member("code", request.code.as_str(), &mut line);
    line.push_str("}\n");
    line
}

fn member(name: &str, value: &str, line: &mut String) {
    let _ = write!(line, ",\"{name}\":");
    json::write_string(value, line);
}

fn optional_member(name: &str, value: Option<&str>, line: &mut String) {
    match value {
        Some(value) => member(name, value, line),
        None => {
            let _ = write!(line, ",\"{name}\":null");
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A file that lines are added to, and that is opened again where it was moved or has failed.
struct AuditFile {
    path: PathBuf,
    file: Option<File>,
    open: Box<Append>,
}

/// Opens a file to add lines to it.
type Append = dyn Fn(&Path) -> io::Result<File> + Send;

impl AuditFile {
    fn open(path: &Path, open: Box<Append>) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: Some(open(path)?), open })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take().filter(|file| is_at(file, &self.path)) {
            Some(file) => file,
            None => (self.open)(&self.path)?,
        };
        file.write_all(bytes)?;
        self.file = Some(file);
        Ok(())
    }
}

/// Whether `file` is what stands at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SystemClock;
    use std::sync::mpsc::{Sender, channel};

    const TOKEN: Issued<'_> = Issued {
        at: Timestamp::from_seconds(0),
        request_id: "r",
        caller: Some("gate\"way"),
        profile: "p",
        jti: "j",
        subject: "zoe@example.org",
        kid: "k",
        alg: "ES256",
        expires_at: Timestamp::from_seconds(900),
        cached: false,
    };

    #[test]
    fn a_line_says_of_the_subject_what_it_should() {
        let whole = line(&TOKEN, AuditSubject::Plain);
        assert_eq!(
            whole,
            "{\"time\":\"1970-01-01T00:00:00Z\",\"event\":\"token_issued\",\"request_id\":\"r\",\
             \"caller\":\"gate\\\"way\",\"profile\":\"p\",\"jti\":\"j\",\"sub\":\"zoe@example.org\",\"kid\":\"k\",\"alg\":\"ES256\",\"exp\":900,\
             \"cached\":false}\n"
        );
        let hashed = line(&Issued { caller: None, ..TOKEN }, AuditSubject::Hash);
        // printf %s zoe@example.org | sha256sum
        let digest = "\"sub_sha256\":\"1763c758c09a8e6db400562ecd27c5f6ef6d3cefb5c88c0164adf2e4d79802c1\"";
        assert!(hashed.contains(digest) && !hashed.contains("zoe"), "{hashed}");
        assert!(hashed.contains("\"caller\":null"), "{hashed}");
        assert!(!line(&TOKEN, AuditSubject::None).contains("sub"));
    }

    #[test]
    fn line_of_a_refused_request_names_who_was_refused_and_why() {
        let request = Refused {
            at: Timestamp::from_seconds(0),
            request_id: "r",
            caller: Some("gateway"),
            profile: Some("p"),
            peer: Some([127, 0, 0, 1].into()),
            status: 422,
            code: ErrorCode::SessionExpired,
        };
        assert_eq!(
            refused_line(&request),
            "{\"time\":\"1970-01-01T00:00:00Z\",\"event\":\"request_refused\",\"request_id\":\"r\",\"caller\":\"gateway\",\
             \"profile\":\"p\",\"peer\":\"127.0.0.1\",\"status\":422,\"code\":\"session.expired\"}\n"
        );
        let unknown = refused_line(&Refused { caller: None, profile: None, peer: None, ..request });
        assert!(unknown.contains(r#""caller":null,"profile":null,"peer":null,"status""#), "{unknown}");
    }

    /// An audit log whose every write waits for a word, and then fails or gives out what it would have written.
    fn held() -> (Audit, Sender<bool>, std::sync::mpsc::Receiver<String>) {
        let (release, released) = channel();
        let (tell, told) = channel();
        let config = AuditLog { to: AuditTarget::Stdout, subject: AuditSubject::None, refused: true };
        let audit = Audit::start(&config, AuditCounts::default(), Arc::new(SystemClock), move |bytes| {
            if !released.recv().unwrap_or(true) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let _ = tell.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(())
        });
        (audit.unwrap(), release, told)
    }

    #[test]
    fn hostile_characters_of_a_subject_are_escaped() {
        let (release, released) = channel();
        let config = AuditLog { to: AuditTarget::Stdout, subject: AuditSubject::Plain, refused: false };
        let audit = Audit::start(&config, AuditCounts::default(), Arc::new(SystemClock), move |bytes| {
            let _ = release.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(())
        })
        .unwrap();
        let subject: String = escape::testing::HOSTILE.iter().collect();
        audit.issued(&Issued { subject: &subject, ..TOKEN });
        let text = released.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(escape::line(text.trim_end_matches('\n')) + "\n", text);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["sub"], subject);
        audit.close(Duration::from_secs(10));
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_by_a_line() {
        let (audit, release, told) = held();
        let count = BOUNDS.waiting as u64 + BOUNDS.portion as u64 + 10;
        (0..count).for_each(|_| audit.issued(&TOKEN));
        let lost = audit.state.counts.lost.get();
        assert!(lost >= 10, "{lost}");
        assert_eq!(audit.fault().as_deref(), Some(OVERFLOW), "nothing failed, but lines are lost");
        drop(release);
        audit.close(Duration::from_secs(10));
        let text: String = told.iter().collect();
        assert_eq!(text.matches("token_issued").count() as u64, count - lost);
        assert_eq!(audit.state.counts.written.get(), count - lost);
        assert!(text.contains(&format!("\"event\":\"lines_lost\",\"count\":{lost}}}")), "{lost}");
        assert_eq!(audit.fault(), None);
    }

    #[test]
    fn what_cannot_be_written_is_a_fault_until_it_can() {
        let (audit, release, told) = held();
        audit.issued(&TOKEN);
        release.send(false).unwrap();
        while audit.fault().is_none() {
            std::thread::yield_now();
        }
        audit.issued(&TOKEN);
        release.send(true).unwrap();
        let text = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(
            text.starts_with("\n{\"time\":") && text.contains("\"event\":\"lines_lost\",\"count\":1}\n{"),
            "{text}"
        );
        audit.close(Duration::from_secs(10));
        assert_eq!(audit.fault(), None);
        assert_eq!((audit.state.counts.written.get(), audit.state.counts.lost.get()), (1, 1));
    }
}
