//! What is known of a connection: whether there is room for it, what its client showed in the TLS handshake, and whether
//! one of its requests is being answered.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::Edge;
use super::attempts::Peer;
use super::problem::Problem;
use crate::code::ErrorCode;
use crate::telemetry::Cut;
use crate::time::Clock;
use crate::tls::{ClientAuthority, ClientChain, HolderNames};

/// Connections of one address above its bound that stay open long enough to be told so; further ones are closed as they
/// come.
const TURNED_AWAY: usize = 16;

/// Where the connections of one listener come in.
pub struct Gate {
    edge: Data<Edge>,
    /// What is counted and bounded; `None` for the admin listener.
    bounds: Option<Bounds>,
}

struct Bounds {
    /// Connections that are served at once.
    most: usize,
    /// Of one address; `None` where one may have all of them.
    per_peer: Option<usize>,
    peers: Mutex<HashMap<Peer, usize>>,
}

impl Gate {
    /// For the api listener, which serves `most` connections at once, and `per_peer` of one address.
    pub fn api(edge: Data<Edge>, most: usize, per_peer: usize) -> Self {
        let per_peer = (per_peer < most).then_some(per_peer);
        Self { edge, bounds: Some(Bounds { most, per_peer, peers: Mutex::default() }) }
    }

    /// For the admin listener.
    pub fn admin(edge: Data<Edge>) -> Self {
        Self { edge, bounds: None }
    }

    /// How long a client may let the service wait.
    pub fn patience(&self) -> Duration {
        self.edge.live.load().limits.request
    }

    /// A connection was closed for what its client did, or did not do.
    pub fn cut(&self, reason: Cut) {
        if self.bounds.is_some() {
            self.edge.metrics.cut(reason);
        }
    }

    /// Takes note of a connection from `address` (`None` for a Unix socket). None is to be closed at once.
    pub fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Connection> {
        let mut connection = Connection {
            gate: Arc::clone(self),
            peer: None,
            excess: None,
            is_tls: false,
            client: None,
            is_used: Cell::new(false),
            is_answering: Cell::new(false),
            arriving: Cell::new(Some(Instant::now())),
        };
        let Some(bounds) = &self.bounds else { return Some(connection) };
        let before = self.edge.admission.connections.fetch_add(1, Ordering::Relaxed);
        connection.excess = (before >= bounds.most).then_some(ErrorCode::ServiceConnections);
        if let (Some(most), Some(address)) = (bounds.per_peer, address) {
            let peer = Peer::of(Some(address));
            let mut peers = bounds.peers.lock().unwrap_or_else(PoisonError::into_inner);
            let count = peers.entry(peer).or_default();
            *count += 1;
            connection.peer = Some(peer);
            if *count > most.saturating_add(TURNED_AWAY) {
                self.cut(Cut::Peer);
                // Its drop takes it off the count again.
                drop(peers);
                return None;
            }
            if *count > most {
                connection.excess = Some(ErrorCode::CallerConnections);
            }
        }
        Some(connection)
    }
}

/// One connection; it is counted for as long as it lives.
pub struct Connection {
    gate: Arc<Gate>,
    /// Where it counts among those of its address.
    peer: Option<Peer>,
    /// What there was no room among, when it came.
    excess: Option<ErrorCode>,
    is_tls: bool,
    client: Option<Client>,
    /// Whether a request came.
    is_used: Cell<bool>,
    /// Whether a request is being answered.
    is_answering: Cell<bool>,
    /// Since when there is something that is no whole request head yet, or that nothing came at all.
    pub(super) arriving: Cell<Option<Instant>>,
}

/// A client that showed certificates.
struct Client {
    chain: ClientChain,
    /// What the authority that was asked last said.
    word: RefCell<Option<Word>>,
}

struct Word {
    authority: Arc<ClientAuthority>,
    names: Option<Arc<HolderNames>>,
}

impl Connection {
    /// The TLS handshake is done, and the client showed `chain`.
    #[must_use]
    pub fn secured(mut self, chain: Option<ClientChain>) -> Self {
        self.is_tls = true;
        self.client = chain.map(|chain| Client { chain, word: RefCell::default() });
        // The time of the first request begins now.
        self.arriving.set(Some(Instant::now()));
        self
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Whether a request is being answered.
    pub(super) fn is_answering(&self) -> bool {
        self.is_answering.get()
    }

    fn of(request: &HttpRequest) -> Option<&Rc<Self>> {
        request.conn_data::<Rc<Self>>()
    }

    fn client_names(&self, authority: &Arc<ClientAuthority>, clock: &dyn Clock) -> Option<Arc<HolderNames>> {
        let client = self.client.as_ref()?;
        let now = clock.now();
        let mut word = client.word.borrow_mut();
        let names = match &*word {
            Some(known) if known.authority.is_same(authority) => known.names.clone(),
            _ => {
                let names = authority.names(&client.chain, now).map(Arc::new);
                *word = Some(Word { authority: Arc::clone(authority), names: names.clone() });
                names
            }
        };
        names.filter(|names| names.last_until(now))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(bounds) = &self.gate.bounds else { return };
        if !self.is_used.get() {
            self.gate.edge.metrics.unused_connection();
        }
        if let Some(peer) = self.peer {
            let mut peers = bounds.peers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = peers.get_mut(&peer) {
                *count -= 1;
                if *count == 0 {
                    peers.remove(&peer);
                }
            }
        }
        self.gate.edge.admission.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// While it lives, its connection answers a request, and what comes in meanwhile is not timed.
pub(super) struct Answering(Option<Rc<Connection>>);

impl Answering {
    /// The head of `request` is there.
    pub(super) fn begin(request: &HttpRequest) -> Self {
        let connection = Connection::of(request);
        if let Some(connection) = connection {
            connection.is_used.set(true);
            connection.arriving.set(None);
            connection.is_answering.set(true);
        }
        Self(connection.cloned())
    }

    /// Refuses the request where there was no room for its connection.
    pub(super) fn refuse_excess(&self) -> Option<Problem> {
        let code = self.0.as_ref()?.excess?;
        let detail = match code {
            ErrorCode::CallerConnections => {
                "expected fewer connections from this address, found as many as limits.connections_per_peer allows"
            }
            _ => "expected fewer open connections, found as many as limits.connections allows",
        };
        Some(Problem::new(code, detail))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.is_answering.set(false);
        }
    }
}

/// Wraps every request of the admin listener.
///
/// # Errors
/// Those of `next`.
pub async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody + 'static>, actix_web::Error> {
    let _answering = Answering::begin(request.request());
    next.call(request).await
}

/// The names of the client of `request`, where it showed a certificate that `authority` vouches for by `clock`. The
/// handshake may be long ago: another authority since then is asked again.
pub(super) fn client_names(
    request: &HttpRequest,
    authority: Option<&Arc<ClientAuthority>>,
    clock: &dyn Clock,
) -> Option<Arc<HolderNames>> {
    Connection::of(request)?.client_names(authority?, clock)
}

/// Refuses a request over TLS where certificates are required and its client has none that is good now. Handshakes see
/// to that; connections that are older than the authority, or outlive their certificate, come here.
pub(super) fn refuse_uncertified(
    request: &HttpRequest,
    authority: Option<&Arc<ClientAuthority>>,
    clock: &dyn Clock,
) -> Option<Problem> {
    let authority = authority.filter(|authority| authority.is_required())?;
    let is_tls = Connection::of(request).is_some_and(|connection| connection.is_tls);
    (is_tls && client_names(request, Some(authority), clock).is_none()).then(|| {
        let detail = "expected a certificate that client_ca_file vouches for now, found none on this connection";
        Problem::new(ErrorCode::CallerUnauthenticated, detail)
    })
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("is_bounded", &self.bounds.is_some()).finish_non_exhaustive()
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
