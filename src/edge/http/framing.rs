//! Finds the end of a request in the bytes of a connection.
//!
//! [`Framing`] passes on one request, and holds back pipelined requests until its response was written. The HTTP layer
//! (actix-http 3.20) would decode everything at once, and writes each response in the form that the request decoded
//! last requires. A `HEAD` request behind a `GET` would remove the body from the response of the `GET`.
//!
//! The HTTP layer defines the extent of a request. Usually this module finds the end of the first request itself,
//! because the head arrives as a whole with one plain `Content-Length`. Otherwise it passes on only the head, and gets
//! the length of the body from the HTTP layer ([`Framing::decoded`]). If both disagree, the connection must end.

use memchr::memchr;

/// The body of a request, as the HTTP layer decoded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// In chunks (RFC 9112, section 7.1).
    Chunked,
    /// This many bytes.
    Sized(u64),
}

/// The position in the bytes of a connection.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    /// The length of the body that this module found, until the HTTP layer confirms it.
    found: Option<u64>,
}

#[derive(Debug)]
enum State {
    /// Within a head.
    Head(HeadScan),
    /// Behind a head that the HTTP layer has not decoded yet.
    Decoding,
    /// Within a body of which this many bytes are missing.
    Body(u64),
    /// Within a body in chunks.
    Chunks(ChunkScan),
    /// Behind a request.
    Complete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadScan {
    /// Before the request line. Empty lines are skipped (RFC 9112, section 2.2).
    Start,
    /// Within a line.
    Line,
    /// At the start of a line.
    LineStart,
    /// Behind a CR at the start of a line.
    LineStartCr,
}

#[derive(Debug)]
enum ChunkScan {
    /// Within the digits of a chunk size.
    Size(u64),
    /// Behind the digits, within the line of a chunk size.
    SizeLine(u64),
    /// Within the data of a chunk and the line end behind it.
    Data(u64),
    /// Within the trailer section.
    Trailer(TrailerScan),
}

/// The HTTP layer ends a line of the trailer section only at CR LF, so a lone LF is a part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TrailerScan {
    /// At the start of a line.
    LineStart,
    /// Behind a CR at the start of a line.
    LineStartCr,
    /// Within a line.
    Line,
    /// Behind a CR within a line.
    LineCr,
}

impl Default for Framing {
    fn default() -> Self {
        Self { state: State::Head(HeadScan::Start), found: None }
    }
}

impl Framing {
    /// Returns `true` if bytes can be passed on.
    pub(crate) fn accepts(&self) -> bool {
        !matches!(self.state, State::Decoding | State::Complete)
    }

    /// Returns the number of leading `bytes` to pass on. It is 0 only if `bytes` is empty or [`Framing::accepts`]
    /// returns `false`.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() && self.accepts() {
            passed += self.step(&bytes[passed..]);
        }
        passed
    }

    /// Records that the HTTP layer decoded the head that was passed on. Returns `false` if its length of the body
    /// differs from the length that this module found. The connection must then end.
    #[must_use]
    pub(crate) fn decoded(&mut self, body: BodyLength) -> bool {
        if let Some(found) = self.found.take() {
            return body == BodyLength::Sized(found);
        }
        self.state = match body {
            BodyLength::Chunked => State::Chunks(ChunkScan::Size(0)),
            BodyLength::Sized(0) => State::Complete,
            BodyLength::Sized(length) => State::Body(length),
        };
        true
    }

    /// Records that the response was written. Returns `true` if the next request can be passed on.
    pub(crate) fn answered(&mut self) -> bool {
        let is_complete = matches!(self.state, State::Complete);
        if is_complete {
            self.state = State::Head(HeadScan::Start);
        }
        is_complete
    }

    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.state {
            State::Head(scan) => {
                let is_whole = *scan == HeadScan::Start;
                let (count, is_end) = scan.step(bytes);
                if is_end {
                    self.found = is_whole.then(|| plain_length(&bytes[..count])).flatten();
                    self.state = match self.found {
                        None => State::Decoding,
                        Some(0) => State::Complete,
                        Some(length) => State::Body(length),
                    };
                }
                count
            }
            State::Body(missing) => {
                let count = bytes.len().min(usize::try_from(*missing).unwrap_or(usize::MAX));
                *missing -= count as u64;
                if *missing == 0 {
                    self.state = State::Complete;
                }
                count
            }
            State::Chunks(scan) => {
                let (count, is_end) = scan.step(bytes);
                if is_end {
                    self.state = State::Complete;
                }
                count
            }
            State::Decoding | State::Complete => 0,
        }
    }
}

impl HeadScan {
    /// Returns the number of bytes that belong to the head, and `true` if the head ends there.
    fn step(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            *self = match (*self, byte) {
                (HeadScan::Start, b'\r' | b'\n') => HeadScan::Start,
                (HeadScan::LineStart | HeadScan::LineStartCr, b'\n') => return (at, true),
                (HeadScan::LineStart, b'\r') => HeadScan::LineStartCr,
                (_, b'\n') => HeadScan::LineStart,
                _ => match memchr(b'\n', &bytes[at..]) {
                    Some(end) => {
                        at += end + 1;
                        HeadScan::LineStart
                    }
                    None => {
                        *self = HeadScan::Line;
                        return (bytes.len(), false);
                    }
                },
            };
        }
        (at, false)
    }
}

impl ChunkScan {
    /// Returns the number of bytes that belong to the body, and `true` if the body ends there. The HTTP layer rejects
    /// invalid chunks, so this function can read them in any way.
    fn step(&mut self, bytes: &[u8]) -> (usize, bool) {
        let Some(&first) = bytes.first() else { return (0, false) };
        match self {
            ChunkScan::Size(size) => match (first as char).to_digit(16) {
                Some(digit) => *size = size.saturating_mul(16).saturating_add(u64::from(digit)),
                None => {
                    *self = ChunkScan::SizeLine(*size);
                    return (0, false);
                }
            },
            ChunkScan::SizeLine(size) => {
                let Some(end) = memchr(b'\n', bytes) else { return (bytes.len(), false) };
                *self = match *size {
                    0 => ChunkScan::Trailer(TrailerScan::LineStart),
                    size => ChunkScan::Data(size.saturating_add(2)),
                };
                return (end + 1, false);
            }
            ChunkScan::Data(missing) => {
                let count = bytes.len().min(usize::try_from(*missing).unwrap_or(usize::MAX));
                *missing -= count as u64;
                if *missing == 0 {
                    *self = ChunkScan::Size(0);
                }
                return (count, false);
            }
            ChunkScan::Trailer(scan) => {
                *scan = match (*scan, first) {
                    (TrailerScan::LineStartCr, b'\n') => return (1, true),
                    (TrailerScan::LineStart, b'\r') => TrailerScan::LineStartCr,
                    (TrailerScan::LineCr, b'\n') => TrailerScan::LineStart,
                    (_, b'\r') => TrailerScan::LineCr,
                    _ => TrailerScan::Line,
                };
            }
        }
        (1, false)
    }
}

/// Returns the length of the body of the request with this head; `None` if the length is not given by a single
/// `Content-Length` of digits.
fn plain_length(head: &[u8]) -> Option<u64> {
    let mut lines = Lines(head.trim_ascii_start());
    if lines.next()?.starts_with(b"CONNECT") {
        return None;
    }
    let mut length = None;
    for line in lines {
        match line.first()? {
            b'c' | b'C' | b't' | b'T' | b'u' | b'U' => {}
            // A folded line, which the HTTP layer rejects.
            b' ' | b'\t' => return None,
            _ => continue,
        }
        let colon = memchr(b':', line)?;
        let name = &line[..colon];
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = line[colon + 1..].trim_ascii();
            if length.is_some() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            length = Some(std::str::from_utf8(digits).ok()?.parse().ok()?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") || name.eq_ignore_ascii_case(b"upgrade") {
            return None;
        }
    }
    Some(length.unwrap_or(0))
}

/// The lines of a head up to the empty line, without their line ends.
struct Lines<'h>(&'h [u8]);

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let end = memchr(b'\n', self.0)?;
        let line = self.0[..end].strip_suffix(b"\r").unwrap_or(&self.0[..end]);
        self.0 = &self.0[end + 1..];
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes on `bytes` in parts of `size`, and decodes each head like the HTTP layer. Returns the parts that are
    /// passed on for each request.
    fn requests(bytes: &[u8], size: usize, bodies: &[BodyLength]) -> Vec<String> {
        let (mut framing, mut requests, mut bodies) = (Framing::default(), vec![Vec::new()], bodies.iter());
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = framing.pass(&rest[..rest.len().min(size)]);
            requests.last_mut().unwrap().extend_from_slice(&rest[..count]);
            rest = &rest[count..];
            if matches!(framing.state, State::Decoding) {
                assert!(framing.decoded(*bodies.next().unwrap()));
            }
            if framing.answered() {
                requests.push(Vec::new());
            }
        }
        requests.into_iter().filter(|bytes| !bytes.is_empty()).map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    #[test]
    fn each_request_is_passed_on_alone_at_every_split() {
        use BodyLength::{Chunked, Sized};
        let all: [(&str, BodyLength); 8] = [
            ("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n", Sized(0)),
            ("POST /b HTTP/1.1\r\nContent-Length: 9\r\n\r\n\r\n\r\nGET /", Sized(9)),
            ("\r\n\nGET /c HTTP/1.0\nHost: x\n\n", Sized(0)),
            (
                "POST /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\na;x=y\r\n\r\n0\r\n\r\n12\n\r\n00\r\nA: b\r\nR\nS\r\n\r\n",
                Chunked,
            ),
            ("POST /e HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nF\r\n0123456789abcde\r\n0\r\n\r\n", Chunked),
            ("POST /f HTTP/1.1\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}", Sized(2)),
            ("CONNECT /g HTTP/1.1\r\n\r\n", Sized(0)),
            ("POST /h HTTP/1.1\r\nCONTENT-length:\t5 \r\n\r\n12345", Sized(5)),
        ];
        let bytes: String = all.iter().map(|(text, _)| *text).collect();
        let expected: Vec<_> = all.iter().map(|(text, _)| *text).collect();
        for size in 1..=bytes.len() {
            // For whole heads with a plain length, the length is found without the HTTP layer.
            let needed: Vec<_> = decoded_bodies(&all, &bytes, size);
            assert_eq!(requests(bytes.as_bytes(), size, &needed), expected, "in parts of {size} bytes");
        }
    }

    /// Returns the bodies of the requests whose head only the HTTP layer decodes.
    fn decoded_bodies(all: &[(&str, BodyLength)], bytes: &str, size: usize) -> Vec<BodyLength> {
        let (mut at, mut needed) = (0, Vec::new());
        let mut framing = Framing::default();
        for (text, body) in all {
            let end = at + text.len();
            let mut is_needed = false;
            while at < end {
                at += framing.pass(&bytes.as_bytes()[at..(at + size).min(bytes.len())]);
                if matches!(framing.state, State::Decoding) {
                    is_needed = true;
                    assert!(framing.decoded(*body));
                }
            }
            assert!(framing.answered());
            framing.found = None;
            if is_needed {
                needed.push(*body);
            }
        }
        needed
    }

    #[test]
    fn length_is_found_only_if_it_is_plain() {
        let length = |lines: &str| plain_length(format!("POST / HTTP/1.1\r\n{lines}\r\n").as_bytes());
        assert_eq!(length("Content-Length: 12\r\nHost: x\r\n"), Some(12));
        assert_eq!(length("X: Content-Length: 12\r\nContent-Language: 3\r\nCookie: Upgrade: 1\r\n"), Some(0));
        assert_eq!(length("Content-Length: 00012\n"), Some(12));
        for lines in [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: \r\n",
            "Content-Length: 1,1\r\n",
            "Content-Length: 9999999999999999999\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "transfer-encoding: identity\r\n",
            "Upgrade: h2c\r\n",
            "Content-Length: 1\r\n 2\r\n",
            "Upgrade\r\n",
        ] {
            assert_eq!(length(lines), None, "{lines:?}");
        }
        assert_eq!(plain_length(b"CONNECT x:1 HTTP/1.1\r\nContent-Length: 1\r\n\r\n"), None);
    }

    #[test]
    fn length_that_the_http_layer_reads_differently_is_reported() {
        let mut framing = Framing::default();
        assert_eq!(framing.pass(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET"), 40);
        assert!(!framing.decoded(BodyLength::Sized(5)));
        assert!(framing.answered(), "the caller ends the connection");
    }

    #[test]
    fn head_without_a_plain_length_is_passed_on_alone() {
        let mut framing = Framing::default();
        let head = b"POST / HTTP/1.1\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(framing.pass(&[head.as_slice(), b"{}"].concat()), head.len());
        assert!(!framing.accepts() && !framing.answered());
        assert!(framing.decoded(BodyLength::Sized(2)));
        assert_eq!(framing.pass(b"{}GET"), 2);
        assert!(!framing.accepts() && framing.answered());
    }
}
