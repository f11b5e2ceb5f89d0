//! An authorization server that answers each path as a test sets it, and a key that signs whatever a test writes.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::fake_kratos::response;

/// A server with a response for each path. A path without one is 404. Each response closes its connection.
pub(crate) struct FakeIssuer {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    responses: Mutex<BTreeMap<String, Script>>,
    requests: Mutex<Vec<Request>>,
    is_released: Mutex<bool>,
    released: Condvar,
    is_stopped: AtomicBool,
}

#[derive(Clone)]
struct Script {
    bytes: Vec<u8>,
    /// Whether the response waits for [`FakeIssuer::release`].
    is_held: bool,
}

/// A request that came.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl FakeIssuer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(State::default()));
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.serve(stream));
            }
        });
        Self { address, state, thread: Some(thread) }
    }

    /// Returns the URL of `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sets the response at `path`.
    pub(crate) fn will_send(&self, path: &str, bytes: Vec<u8>) {
        self.state.responses.lock().unwrap().insert(path.to_owned(), Script { bytes, is_held: false });
    }

    /// Sets the JSON at `path`.
    pub(crate) fn will_send_json(&self, path: &str, json: &str) {
        self.will_send(path, response("200 OK", "Content-Type: application/json\r\n", json));
    }

    /// Sets the response at `path`, which is held until [`FakeIssuer::release`].
    pub(crate) fn will_hold(&self, path: &str, bytes: Vec<u8>) {
        *self.state.is_released.lock().unwrap() = false;
        self.state.responses.lock().unwrap().insert(path.to_owned(), Script { bytes, is_held: true });
    }

    /// Sends the responses that are held.
    pub(crate) fn release(&self) {
        *self.state.is_released.lock().unwrap() = true;
        self.state.released.notify_all();
    }

    /// Returns the requests for `path`.
    pub(crate) fn requests(&self, path: &str) -> Vec<Request> {
        let is_wanted = |request: &&Request| request.head.split(' ').nth(1) == Some(path);
        self.state.requests.lock().unwrap().iter().filter(is_wanted).cloned().collect()
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        self.requests.lock().unwrap().push(Request { head, body: String::from_utf8(body).unwrap() });
        let script = self.responses.lock().unwrap().get(&path).cloned();
        let script = script.unwrap_or_else(|| Script { bytes: response("404 Not Found", "", ""), is_held: false });
        let mut is_released = self.is_released.lock().unwrap();
        while script.is_held && !*is_released {
            is_released = self.released.wait(is_released).unwrap();
        }
        drop(is_released);
        let _ = stream.write_all(&script.bytes);
    }
}

impl Drop for FakeIssuer {
    fn drop(&mut self) {
        self.release();
        self.state.is_stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// An ES256 key.
pub(crate) struct IssuerKey {
    pair: EcdsaKeyPair,
    kid: String,
}

impl IssuerKey {
    pub(crate) fn new(kid: &str) -> Self {
        Self { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), kid: kid.to_owned() }
    }

    /// Returns the public JWK.
    pub(crate) fn jwk(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid, "x": x, "y": y })
    }

    /// Returns the JWK Set with this key.
    pub(crate) fn set(&self) -> String {
        json!({ "keys": [self.jwk()] }).to_string()
    }

    /// Signs `claims` with the usual header.
    pub(crate) fn sign(&self, claims: &str) -> String {
        self.sign_with(&json!({ "alg": "ES256", "kid": self.kid, "typ": "JWT" }).to_string(), claims)
    }

    /// Signs exactly this header and these claims.
    pub(crate) fn sign_with(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
