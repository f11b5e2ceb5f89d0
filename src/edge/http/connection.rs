//! Connections: their limits, the certificates their clients presented, and whether a request is in progress.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::body::MessageBody;
use actix_web::dev::{RequestHead, ResponseHead, ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use actix_web::http::{ConnectionType, Version};
use actix_web::middleware::Next;
use actix_web::web::Data;
use tokio::time::Instant;

use super::Edge;
use super::framing::BodyLength;
use super::roster::{Member, Roster};
use crate::code::ErrorCode;
use crate::service::{Credentials, Issuer, Peer, PeerOrigin, Refusal, SECRET_HEADER, ServedGeneration, Transport};
use crate::telemetry::CloseReason;
use crate::tls::{CertificateIdentity, ClientAuthority, ClientChain};

/// Connections of one address above its limit that stay open for an error response; further ones are closed at once.
const REJECTION_HEADROOM: usize = 16;

/// The time that a new connection of the API listener has for its request before another one can take its place.
const LEAST_IDLE: Duration = Duration::from_millis(100);

/// Counts and limits the connections of the admin listener, or of all others together.
pub(crate) struct ConnectionGate {
    edge: Data<Edge>,
    /// Connections that are served at once.
    most: usize,
    /// The age after which a response is the last one; `None` if there is no limit.
    most_age: Option<Duration>,
    /// Whether a connection continues after a response.
    is_kept_alive: bool,
    roster: Roster,
    /// `None` for the admin listener.
    limits: Option<ApiLimits>,
}

struct ApiLimits {
    /// Connections of one address; `None` if one can have all of them.
    per_peer: Option<usize>,
    /// Connections that get an error response at once.
    most_refused: usize,
    origins: Mutex<HashMap<PeerOrigin, usize>>,
}

/// The limits of the connections of the API and gRPC listeners.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// Connections that are served at once.
    pub(crate) most: usize,
    /// Connections of one address.
    pub(crate) per_peer: usize,
    /// Connections above the limit that get an error response at once.
    pub(crate) most_refused: usize,
    /// The age after which a response is the last one; zero if there is no limit.
    pub(crate) most_age: Duration,
    /// Whether a connection continues after a response.
    pub(crate) is_kept_alive: bool,
}

impl ConnectionGate {
    /// Returns the gate of the API listener, its Unix socket and the gRPC listener.
    pub(crate) fn api(edge: Data<Edge>, limits: ConnectionLimits) -> Self {
        let ConnectionLimits { most, per_peer, most_refused, most_age, is_kept_alive } = limits;
        let per_peer = (per_peer < most).then_some(per_peer);
        let most_age = (!most_age.is_zero()).then_some(most_age);
        let roster = Roster::new(Instant::now());
        let limits = Some(ApiLimits { per_peer, most_refused, origins: Mutex::default() });
        Self { edge, most, most_age, is_kept_alive, roster, limits }
    }

    /// Returns the gate of the admin listener, which serves `most` connections at once.
    pub(crate) fn admin(edge: Data<Edge>, most: usize) -> Self {
        Self { edge, most, most_age: None, is_kept_alive: true, roster: Roster::new(Instant::now()), limits: None }
    }

    /// Returns the age after which a connection ends; `None` if there is no limit.
    pub(in crate::edge) fn most_age(&self) -> Option<Duration> {
        self.most_age
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
        let now = Instant::now();
        let (member, before) = self.roster.add(now);
        let mut connection = Connection {
            gate: Arc::clone(self),
            member,
            origin: None,
            excess: None,
            ends: self.most_age.and_then(|age| now.checked_add(age)),
            is_tls: false,
            client: None,
            is_used: Cell::new(false),
            is_answering: Cell::new(false),
            is_last: Cell::new(false),
            decoded: Cell::new(None),
            arriving: Cell::new(Some(now)),
            idle_polls: Cell::new(0),
        };
        let is_full = before >= self.most;
        let Some(limits) = &self.limits else {
            if is_full {
                self.roster.evict(&connection.member, Duration::ZERO, now);
            }
            return Some(connection);
        };
        self.edge.issuer.admission().connections.fetch_add(1, Ordering::Relaxed);
        if is_full && !self.roster.evict(&connection.member, LEAST_IDLE, now) {
            connection.excess = Some(ErrorCode::ServiceConnections);
            if before >= self.most.saturating_add(limits.most_refused) {
                self.roster.evict(&connection.member, Duration::ZERO, now);
            }
        }
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
    member: Arc<Member>,
    /// The address that it is counted for.
    origin: Option<PeerOrigin>,
    /// The limit that it exceeded when it came.
    excess: Option<ErrorCode>,
    /// The time after which a response is the last one.
    ends: Option<Instant>,
    is_tls: bool,
    client: Option<Client>,
    /// Whether a request has come.
    is_used: Cell<bool>,
    /// Whether a request is in progress.
    is_answering: Cell<bool>,
    /// Whether the connection ends after the request that came last.
    is_last: Cell<bool>,
    /// The body of a request that was decoded, until the stream knows it.
    decoded: Cell<Option<BodyLength>>,
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

    /// Begins a request, whose head is complete. Bytes that come meanwhile are not timed. Returns `true` if it has a body.
    pub(crate) fn begin_request(&self, head: &RequestHead) -> bool {
        if let Some(since) = self.arriving.take() {
            self.gate.roster.note_request(&self.member, since);
            // The time of arrival is known already, so the age of a connection needs no clock.
            if self.ends.is_some_and(|ends| since >= ends) {
                self.is_last.set(true);
            }
        }
        self.member.begin();
        self.is_used.set(true);
        self.is_answering.set(true);
        self.idle_polls.set(0);
        let body = body_length(head);
        self.decoded.set(Some(body));
        // A connection does not continue after an upgrade that is ignored.
        if !self.gate.is_kept_alive || head.connection_type() != ConnectionType::KeepAlive {
            self.is_last.set(true);
        }
        body != BodyLength::Sized(0)
    }

    /// Ends a request with the response `head`, which announces the end of the connection if it is the last one.
    ///
    /// The client has `limits.request` from the last response on for the rest of its body. The HTTP layer would wait for
    /// it without a limit.
    pub(crate) fn end_request(&self, head: &mut ResponseHead) {
        self.is_answering.set(false);
        self.member.end();
        // The HTTP layer reuses heads and sets the version later. With an older version, the default would be `Close`.
        head.version = Version::HTTP_11;
        if head.connection_type() == ConnectionType::Close || self.member.is_evicted() {
            self.is_last.set(true);
        }
        if self.is_last.get() {
            head.set_connection_type(ConnectionType::Close);
            self.arriving.set(Some(Instant::now()));
        }
    }

    /// Ends a request without a response of ours, after which the connection ends.
    pub(crate) fn fail_request(&self) {
        self.is_answering.set(false);
        self.member.end();
        self.set_last();
    }

    /// Returns the body of a request that was decoded since the last call.
    pub(super) fn take_decoded(&self) -> Option<BodyLength> {
        self.decoded.take()
    }

    /// Returns `true` if the connection ends after the request that came last.
    pub(super) fn is_last(&self) -> bool {
        self.is_last.get()
    }

    /// Ends the connection after the request that came last.
    pub(super) fn set_last(&self) {
        self.is_last.set(true);
    }

    /// Notes that a request head begins with bytes that came before.
    pub(super) fn note_arrival(&self) {
        if !self.is_answering.get() && self.arriving.get().is_none() {
            self.arriving.set(Some(Instant::now()));
        }
    }

    /// Returns `true` if a request is in progress.
    pub(super) fn is_answering(&self) -> bool {
        self.is_answering.get()
    }

    /// Sets whether the client has to read a response before the connection continues.
    pub(super) fn set_stalled(&self, is_stalled: bool) {
        self.member.set_stalled(is_stalled);
    }

    /// Returns `true` if the connection must make room for another. Otherwise wakes the task when it must.
    pub(super) fn is_evicted(&self, waker: &Waker) -> bool {
        if self.is_answering.get() {
            return false;
        }
        self.member.register(waker);
        self.member.is_evicted()
    }

    /// Completes when the connection must make room for another.
    pub(crate) async fn evicted(&self) {
        poll_fn(|context| if self.is_evicted(context.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Returns the refusal of a request if the connection of `request` exceeded a limit.
    pub(super) fn refuse(request: &HttpRequest) -> Option<Refusal> {
        Self::of(request)?.excess()
    }

    /// Returns the refusal of requests if the connection exceeded a limit.
    pub(in crate::edge) fn excess(&self) -> Option<Refusal> {
        let code = self.excess?;
        let detail = match code {
            ErrorCode::CallerConnections => {
                "as many connections are open from this address as limits.connections_per_peer allows; close some"
            }
            _ => "as many connections are open as limits.connections allows; try again",
        };
        Some(Refusal::new(code, detail))
    }

    /// Notes that the caller that sent `request` authenticated.
    pub(super) fn note_authenticated(request: &HttpRequest) {
        if let Some(connection) = Self::of(request) {
            connection.set_known();
        }
    }

    /// Notes that the caller of the connection authenticated.
    pub(in crate::edge) fn set_known(&self) {
        self.member.set_known();
    }

    /// Returns `true` if a caller authenticated on the connection.
    pub(in crate::edge) fn is_known(&self) -> bool {
        self.member.is_known()
    }

    /// Notes that the first of several concurrent requests began.
    pub(in crate::edge) fn begin_streams(&self) {
        self.gate.roster.note_request(&self.member, Instant::now());
        self.member.begin();
        self.is_used.set(true);
        self.is_answering.set(true);
    }

    /// Notes that the last of several concurrent requests ended.
    pub(in crate::edge) fn end_streams(&self) {
        self.is_answering.set(false);
        self.member.end();
    }

    /// Returns `true` if a request has come.
    pub(in crate::edge) fn is_used(&self) -> bool {
        self.is_used.get()
    }

    /// Returns the gate that the connection came through.
    pub(in crate::edge) fn entered(&self) -> &Arc<ConnectionGate> {
        &self.gate
    }

    /// Returns the transport, with the client as `generation` trusts it now.
    pub(in crate::edge) fn transport(&self, generation: &ServedGeneration, issuer: &Issuer) -> Transport {
        if !self.is_tls {
            return Transport::Plain;
        }
        let authority = generation.client_authority.as_ref();
        Transport::Tls { client: authority.and_then(|authority| self.identity(authority, issuer)) }
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
        self.gate.roster.remove(&self.member);
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

/// Returns the body of the request with this head, as the HTTP layer reads it.
fn body_length(head: &RequestHead) -> BodyLength {
    if head.headers().contains_key(TRANSFER_ENCODING) {
        return BodyLength::Chunked;
    }
    let length = head.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
    BodyLength::Sized(length.unwrap_or(0))
}

/// Ends connections of the admin listener after a request in chunks, because no endpoint reads the rest of it.
///
/// # Errors
/// Those of `next`.
pub(crate) async fn close_after_chunks(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody + 'static>, actix_web::Error> {
    let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let mut response = next.call(request).await?;
    if is_chunked {
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
    let transport =
        Connection::of(request).map_or(Transport::Plain, |connection| connection.transport(generation, issuer));
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
