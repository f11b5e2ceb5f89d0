//! Connections: their limits, the certificates their clients presented, and whether a request is in flight.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::Instant;

use super::Edge;
use crate::code::ErrorCode;
use crate::service::{Credentials, Issuer, Peer, PeerOrigin, Refusal, SECRET_HEADER, ServedGeneration, Transport};
use crate::telemetry::CloseReason;
use crate::tls::{CertificateIdentity, ClientAuthority, ClientChain};

/// Connections of one address above its limit that stay open for an error response; further ones are closed at once.
const REJECTION_HEADROOM: usize = 16;

/// Counts and limits the connections of one listener.
pub(crate) struct ConnectionGate {
    edge: Data<Edge>,
    /// The limits of the API listener; `None` for the admin listener.
    limits: Option<ConnectionLimits>,
}

struct ConnectionLimits {
    /// Connections that are served at once.
    most: usize,
    /// Connections of one address; `None` if one can have all of them.
    per_peer: Option<usize>,
    origins: Mutex<HashMap<PeerOrigin, usize>>,
}

impl ConnectionGate {
    /// Returns the gate of the API listener, which serves `most` connections at once, and `per_peer` of one address.
    pub(crate) fn api(edge: Data<Edge>, most: usize, per_peer: usize) -> Self {
        let per_peer = (per_peer < most).then_some(per_peer);
        Self { edge, limits: Some(ConnectionLimits { most, per_peer, origins: Mutex::default() }) }
    }

    /// Returns the gate of the admin listener.
    pub(crate) fn admin(edge: Data<Edge>) -> Self {
        Self { edge, limits: None }
    }

    /// Returns how long the service waits for a client.
    pub(crate) fn client_timeout(&self) -> Duration {
        self.edge.issuer.current().limits.request
    }

    /// Counts a connection that was closed for what its client did, or did not do.
    pub(crate) fn count_closed(&self, reason: CloseReason) {
        if self.limits.is_some() {
            self.edge.issuer.recorder().metrics().connection_closed(reason);
        }
    }

    /// Registers a connection from `address` (`None` for a Unix socket). Returns `None` if the connection must be closed
    /// immediately.
    pub(crate) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Connection> {
        let mut connection = Connection {
            gate: Arc::clone(self),
            origin: None,
            excess: None,
            is_tls: false,
            client: None,
            is_used: Cell::new(false),
            is_answering: Cell::new(false),
            is_last: Cell::new(false),
            arriving: Cell::new(Some(Instant::now())),
            idle_polls: Cell::new(0),
        };
        let Some(limits) = &self.limits else { return Some(connection) };
        let before = self.edge.issuer.admission().connections.fetch_add(1, Ordering::Relaxed);
        connection.excess = (before >= limits.most).then_some(ErrorCode::ServiceConnections);
        if let (Some(most), Some(address)) = (limits.per_peer, address) {
            let origin = PeerOrigin::of(Some(address));
            let mut origins = limits.origins.lock().unwrap_or_else(PoisonError::into_inner);
            let count = origins.entry(origin).or_default();
            *count += 1;
            connection.origin = Some(origin);
            if *count > most.saturating_add(REJECTION_HEADROOM) {
                self.count_closed(CloseReason::Peer);
                // Dropping the connection removes it from the count, which needs the lock.
                drop(origins);
                return None;
            }
            if *count > most {
                connection.excess = Some(ErrorCode::CallerConnections);
            }
        }
        Some(connection)
    }
}

/// One connection, counted until it is dropped.
pub(crate) struct Connection {
    gate: Arc<ConnectionGate>,
    /// The address that it is counted for.
    origin: Option<PeerOrigin>,
    /// The limit that it exceeded when it came.
    excess: Option<ErrorCode>,
    is_tls: bool,
    client: Option<Client>,
    /// Whether a request has come.
    is_used: Cell<bool>,
    /// Whether a request is in flight.
    is_answering: Cell<bool>,
    /// Whether the connection ends after the request that came last.
    is_last: Cell<bool>,
    /// The time since which a request head is incomplete, or nothing has come.
    pub(super) arriving: Cell<Option<Instant>>,
    /// How often the task ran since anything was read, written or processed.
    pub(super) idle_polls: Cell<u32>,
}

/// A client that presented certificates.
struct Client {
    chain: ClientChain,
    /// The result of the last check.
    checked: RefCell<Option<Checked>>,
}

struct Checked {
    authority: Arc<ClientAuthority>,
    identity: Option<Arc<CertificateIdentity>>,
}

impl Connection {
    /// Returns the connection after its TLS handshake, in which the client presented `chain`.
    #[must_use]
    pub(crate) fn secured(mut self, chain: Option<ClientChain>) -> Self {
        self.is_tls = true;
        self.client = chain.map(|chain| Client { chain, checked: RefCell::default() });
        // The time for the first request begins now.
        self.arriving.set(Some(Instant::now()));
        self
    }

    pub(super) fn gate(&self) -> &ConnectionGate {
        &self.gate
    }

    /// Returns `true` if a request is in flight.
    pub(super) fn is_answering(&self) -> bool {
        self.is_answering.get()
    }

    fn of(request: &HttpRequest) -> Option<&Rc<Self>> {
        request.conn_data::<Rc<Self>>()
    }

    /// Returns the identity in the client's certificate if `authority` trusts it now. The handshake can be long ago, so an
    /// authority that was reloaded since then checks again.
    fn identity(&self, authority: &Arc<ClientAuthority>, issuer: &Issuer) -> Option<Arc<CertificateIdentity>> {
        let client = self.client.as_ref()?;
        let now = issuer.now();
        let mut checked = client.checked.borrow_mut();
        let identity = match &*checked {
            Some(known) if known.authority.is_same(authority) => known.identity.clone(),
            _ => {
                let identity = authority.identity(&client.chain, now).map(Arc::new);
                *checked = Some(Checked { authority: Arc::clone(authority), identity: identity.clone() });
                identity
            }
        };
        identity.filter(|identity| !identity.is_expired(now))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(limits) = &self.gate.limits else { return };
        if !self.is_used.get() {
            self.gate.edge.issuer.recorder().metrics().unused_connection();
        }
        if let Some(origin) = self.origin {
            let mut origins = limits.origins.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = origins.get_mut(&origin) {
                *count -= 1;
                if *count == 0 {
                    origins.remove(&origin);
                }
            }
        }
        self.gate.edge.issuer.admission().connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Marks a connection as one with a request in flight until it is dropped. Bytes that come meanwhile are not timed.
pub(super) struct InFlightGuard {
    connection: Option<Rc<Connection>>,
    /// Whether the request came after one that ended the connection.
    is_late: bool,
    /// Whether bytes of the request can be left when it was answered.
    is_unread: Cell<bool>,
}

impl InFlightGuard {
    /// Marks the connection of `request`, whose head is complete.
    pub(super) fn begin(request: &HttpRequest) -> Self {
        let connection = Connection::of(request);
        let mut is_late = false;
        if let Some(connection) = connection {
            connection.is_used.set(true);
            connection.arriving.set(None);
            connection.is_answering.set(true);
            connection.idle_polls.set(0);
            is_late = connection.is_last.get();
            if request.head().connection_type() == ConnectionType::Close {
                connection.is_last.set(true);
            }
        }
        Self { connection: connection.cloned(), is_late, is_unread: Cell::new(false) }
    }

    /// Ends the connection `limits.request` after the response, because its next request cannot be read. Without this, the
    /// HTTP layer would wait without a limit for the rest of a body that is not read.
    pub(super) fn set_last(&self) {
        self.is_unread.set(true);
        if let Some(connection) = &self.connection {
            connection.is_last.set(true);
        }
    }

    /// Returns `true` if the request came after one that ended the connection. The HTTP layer passes on what the client
    /// pipelined, but such a request must not be processed (RFC 9112, section 9.6).
    pub(super) fn is_late(&self) -> bool {
        self.is_late
    }

    /// Returns the refusal of the request if its connection has ended or exceeded a limit.
    pub(super) fn refuse(&self) -> Option<Refusal> {
        if self.is_late {
            let detail = "expected no request after one that closes the connection, found one; open another connection";
            return Some(Refusal::new(ErrorCode::RequestAfterClose, detail));
        }
        let code = self.connection.as_ref()?.excess?;
        let detail = match code {
            ErrorCode::CallerConnections => {
                "as many connections are open from this address as limits.connections_per_peer allows; close some"
            }
            _ => "as many connections are open as limits.connections allows; try again",
        };
        Some(Refusal::new(code, detail))
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.is_answering.set(false);
            if self.is_unread.get() {
                connection.arriving.set(Some(Instant::now()));
            }
        }
    }
}

/// Wraps every request of the admin listener.
///
/// # Errors
/// Those of `next`.
pub(crate) async fn track_admin_request(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody + 'static>, actix_web::Error> {
    let in_flight = InFlightGuard::begin(request.request());
    let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let mut response = if in_flight.is_late() {
        request.into_response(HttpResponse::BadRequest().finish()).map_into_right_body()
    } else {
        next.call(request).await?.map_into_left_body()
    };
    if is_chunked {
        in_flight.set_last();
    }
    if is_chunked || in_flight.is_late() {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

/// Returns the client of `request`, as `generation` trusts it now.
pub(super) fn peer<'r>(request: &'r HttpRequest, generation: &ServedGeneration, issuer: &Issuer) -> Peer<'r> {
    Peer { credentials: credentials(request.headers()), ..proxy(request, generation, issuer) }
}

/// As [`peer`], for a proxy: the `Authorization` header is that of its client.
pub(super) fn proxy<'r>(request: &'r HttpRequest, generation: &ServedGeneration, issuer: &Issuer) -> Peer<'r> {
    let transport = match Connection::of(request) {
        Some(connection) if connection.is_tls => {
            let authority = generation.client_authority.as_ref();
            Transport::Tls { client: authority.and_then(|authority| connection.identity(authority, issuer)) }
        }
        _ => Transport::Plain,
    };
    let address = request.peer_addr().map(|address| address.ip());
    let secrets = request.headers().get_all(SECRET_HEADER).map(|value| value.as_bytes()).collect();
    Peer { address, transport, credentials: Credentials::OfClient, secrets }
}

fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    let mut values = headers.get_all(AUTHORIZATION);
    match (values.next(), values.next()) {
        (None, _) => Credentials::None,
        (Some(value), None) => Credentials::Authorization(value.as_bytes()),
        (Some(_), Some(_)) => Credentials::Several,
    }
}

impl fmt::Debug for ConnectionGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionGate").field("is_limited", &self.limits.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_certificate = self.client.is_some();
        f.debug_struct("Connection")
            .field("excess", &self.excess)
            .field("has_certificate", &has_certificate)
            .finish_non_exhaustive()
    }
}
