//! A Kratos that answers what a test sets, and records its requests.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

/// The behavior of the server.
#[derive(Clone)]
pub(crate) enum Behavior {
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Sends these bytes after [`FakeKratos::release`].
    Held(Vec<u8>),
    /// Sends the session of the identity that the value of the session cookie names, after [`FakeKratos::release`].
    HeldByCookie,
    /// Sends these bytes one by one, 20 ms apart.
    Dripped(Vec<u8>),
    /// Sends nothing for much longer than any timeout.
    Silence,
}

/// A server with configurable responses. Each response closes its connection.
pub(crate) struct FakeKratos {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    behavior: Mutex<Behavior>,
    /// The behavior for a PATCH, and the one for other requests after it.
    extension: Mutex<Option<(Behavior, Behavior)>>,
    heads: Mutex<Vec<String>>,
    calls: AtomicUsize,
    is_released: Mutex<bool>,
    released: Condvar,
    is_stopped: AtomicBool,
}

impl FakeKratos {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            behavior: Mutex::new(Behavior::Bytes(session(&identity("i-1")))),
            extension: Mutex::default(),
            heads: Mutex::default(),
            calls: AtomicUsize::default(),
            is_released: Mutex::default(),
            released: Condvar::new(),
            is_stopped: AtomicBool::default(),
        });
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

    /// Sets the behavior for the next requests.
    pub(crate) fn will(&self, behavior: Behavior) {
        *self.state.behavior.lock().unwrap() = behavior;
    }

    /// Sets the response to the next requests.
    pub(crate) fn will_send(&self, response: Vec<u8>) {
        self.will(Behavior::Bytes(response));
    }

    /// Sets the response to an extension, and the response to all other requests after it.
    pub(crate) fn will_extend(&self, response: Vec<u8>, after: Vec<u8>) {
        self.will_extend_with(Behavior::Bytes(response), after);
    }

    /// Sets the behavior for an extension, and the response to all other requests after it.
    pub(crate) fn will_extend_with(&self, behavior: Behavior, after: Vec<u8>) {
        *self.state.extension.lock().unwrap() = Some((behavior, Behavior::Bytes(after)));
    }

    /// Sends the responses that are held.
    pub(crate) fn release(&self) {
        *self.state.is_released.lock().unwrap() = true;
        self.state.released.notify_all();
    }

    /// Returns the number of requests so far.
    pub(crate) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }

    /// Returns the heads of the requests whose request line starts with `start`.
    pub(crate) fn heads(&self, start: &str) -> Vec<String> {
        self.state.heads.lock().unwrap().iter().filter(|head| head.starts_with(start)).cloned().collect()
    }

    /// Returns the head of the last request.
    pub(crate) fn last_head(&self) -> String {
        self.state.heads.lock().unwrap().last().unwrap().clone()
    }

    /// Returns a source named `kratos` for a configuration, with further `keys`.
    pub(crate) fn source(&self, keys: &str) -> String {
        format!("kratos: {{ type: kratos, public: 'http://{}', {keys} }}", self.address)
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
        let is_extension = head.starts_with(b"PATCH ");
        let head = String::from_utf8(head).unwrap();
        let cookie = head.split("ory_kratos_session=").nth(1).and_then(|rest| rest.split("\r\n").next());
        let cookie = cookie.unwrap_or_default().to_owned();
        self.heads.lock().unwrap().push(head);
        self.calls.fetch_add(1, Ordering::SeqCst);
        let behavior = if is_extension {
            let (response, after) = self.extension.lock().unwrap().clone().unwrap();
            *self.behavior.lock().unwrap() = after;
            response
        } else {
            self.behavior.lock().unwrap().clone()
        };
        match behavior {
            Behavior::Bytes(bytes) => drop(stream.write_all(&bytes)),
            Behavior::Held(bytes) => {
                self.wait_for_release();
                let _ = stream.write_all(&bytes);
            }
            Behavior::Dripped(bytes) => {
                for byte in bytes.chunks(1) {
                    if stream.write_all(byte).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            Behavior::HeldByCookie => {
                self.wait_for_release();
                let _ = stream.write_all(&session(&identity(&cookie)));
            }
            Behavior::Silence => {
                // Until the client gives up.
                let _ = stream.read(&mut byte);
            }
        }
    }
}

impl State {
    fn wait_for_release(&self) {
        let mut is_released = self.is_released.lock().unwrap();
        while !*is_released {
            is_released = self.released.wait(is_released).unwrap();
        }
    }
}

impl Drop for FakeKratos {
    fn drop(&mut self) {
        self.release();
        self.state.is_stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Returns the response with this status, these further headers and this body.
pub(crate) fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Returns the response with `session`.
pub(crate) fn session(session: &serde_json::Value) -> Vec<u8> {
    response("200 OK", "Content-Type: application/json; charset=utf-8\r\n", &session.to_string())
}

/// Returns a session of the identity `id`, which logged in with one factor a minute before the clock of the test.
pub(crate) fn identity(id: &str) -> serde_json::Value {
    json!({
        "id": "6d5f9f2e-8c3a-4e1b-9f27-3b1f0c9a7d11",
        "active": true,
        "expires_at": "2026-11-23T12:10:00.512903Z",
        "authenticated_at": "2026-11-23T11:59:00.118Z",
        "authenticator_assurance_level": "aal1",
        "identity": { "id": id, "traits": { "email": "mina@example.test", "name": "Mina O\"Hara" } },
        "devices": null,
    })
}
