//! Any bytes of a connection in parts of any size: one request at a time is passed on, and the HTTP layer decodes the same
//! requests as without that.
#![no_main]

use actix_http::h1::{Codec, Message};
use actix_http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use actix_http::{Method, Request, ServiceConfig};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio_util::codec::Decoder as _;

#[path = "../../../src/edge/http/framing.rs"]
mod framing;

use framing::{BodyLength, Framing};

fuzz_target!(|data: &[u8]| {
    let Some((&size, bytes)) = data.split_first() else { return };
    let size = if size == 0 { bytes.len().max(1) } else { usize::from(size) };
    CONFIG.with(|(config, ..)| assert_eq!(decode_paced(bytes, size, config), decode_at_once(bytes, config)));
});

thread_local! {
    /// The settings of all codecs. Each of them starts a task for its clock, which ends only while the runtime runs.
    static CONFIG: (ServiceConfig, LocalSet, Runtime) = {
        let (runtime, tasks) = (Builder::new_current_thread().enable_time().build().expect("a runtime starts"), LocalSet::new());
        let config = tasks.block_on(&runtime, async { ServiceConfig::default() });
        (config, tasks, runtime)
    };
}

/// The line of a request, and its body.
type Decoded = (String, Vec<u8>);

/// What the HTTP layer decoded of a connection.
struct Decoder {
    codec: Codec,
    buffer: BytesMut,
    requests: Vec<Decoded>,
    /// The body of a request, if it was decoded since this was taken.
    head: Option<BodyLength>,
    /// Whether nothing more is decoded: after an error, or a request whose body ends with the connection.
    is_over: bool,
}

impl Decoder {
    fn new(config: &ServiceConfig) -> Self {
        let codec = Codec::new(config.clone());
        Self { codec, buffer: BytesMut::new(), requests: Vec::new(), head: None, is_over: false }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while !self.is_over {
            match self.codec.decode(&mut self.buffer) {
                Ok(Some(Message::Item(request))) => self.begin(&request),
                Ok(Some(Message::Chunk(Some(chunk)))) => {
                    self.requests.last_mut().expect("a body has a head").1.extend_from_slice(&chunk);
                }
                Ok(Some(Message::Chunk(None))) => {}
                Ok(None) => return,
                Err(_) => self.is_over = true,
            }
        }
    }

    fn begin(&mut self, request: &Request) {
        let headers = request.head().headers();
        let length = headers.get(CONTENT_LENGTH).map(|length| length.to_str().unwrap().trim().parse().unwrap());
        let body = match headers.contains_key(TRANSFER_ENCODING) {
            true => BodyLength::Chunked,
            false => BodyLength::Sized(length.unwrap_or(0)),
        };
        assert_eq!(self.head.replace(body), None, "two requests were passed on at once");
        self.is_over = request.method() == Method::CONNECT || headers.contains_key(UPGRADE);
        self.requests.push((format!("{} {} {:?}", request.method(), request.uri(), request.version()), Vec::new()));
    }
}

fn decode_at_once(bytes: &[u8], config: &ServiceConfig) -> Vec<Decoded> {
    let mut decoder = Decoder::new(config);
    // `begin` allows one request between two calls, so the bytes come one by one.
    for byte in bytes {
        decoder.feed(&[*byte]);
        decoder.head = None;
    }
    decoder.requests
}

fn decode_paced(bytes: &[u8], size: usize, config: &ServiceConfig) -> Vec<Decoded> {
    let (mut framing, mut decoder, mut at, mut is_decoded) = (Framing::default(), Decoder::new(config), 0, false);
    while at < bytes.len() && !decoder.is_over {
        let part = &bytes[at..bytes.len().min(at + size)];
        let count = framing.pass(part);
        assert!(count > 0 && count <= part.len(), "the connection cannot go on");
        decoder.feed(&part[..count]);
        at += count;
        if let Some(body) = decoder.head.take() {
            assert!(!is_decoded, "a request was passed on before the response to another");
            is_decoded = true;
            assert!(framing.decoded(body), "the HTTP layer reads another length");
        }
        if !framing.accepts() && !decoder.is_over {
            assert!(is_decoded, "the HTTP layer waits for more of a request");
            assert!(decoder.buffer.is_empty(), "the HTTP layer did not take the whole request");
            assert!(framing.answered());
            is_decoded = false;
        }
    }
    decoder.requests
}
