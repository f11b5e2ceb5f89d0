//! What is known of a connection: whether there is room for it, and what its client showed in the TLS handshake.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;

use super::Edge;
use super::problem::Problem;
use crate::code::ErrorCode;
use crate::time::Clock;
use crate::tls::{ClientAuthority, ClientChain, HolderNames};

/// One connection of the api listener; it is counted for as long as it lives.
struct Connection {
    edge: Data<Edge>,
    /// Whether a request came.
    is_used: AtomicBool,
    /// Whether it came when there was no room.
    is_excess: bool,
    is_tls: bool,
    client: Option<Client>,
}

/// A client that showed certificates.
struct Client {
    chain: ClientChain,
    /// What the authority that was asked last said.
    word: Mutex<Option<Word>>,
}

struct Word {
    authority: Arc<ClientAuthority>,
    names: Option<Arc<HolderNames>>,
}

/// Takes note of each connection as it opens, into what its requests can see; there is room for `most`.
pub fn on_connect(edge: Data<Edge>, most: usize) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + 'static {
    move |io, extensions| {
        let is_excess = edge.admission.connections.fetch_add(1, Ordering::Relaxed) >= most;
        let tls = io.downcast_ref::<TlsStream<TcpStream>>();
        let chain = tls.and_then(|io| ClientChain::of(io.get_ref().1));
        let client = chain.map(|chain| Client { chain, word: Mutex::default() });
        let (edge, is_used, is_tls) = (edge.clone(), AtomicBool::new(false), tls.is_some());
        extensions.insert(Connection { edge, is_used, is_excess, is_tls, client });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !*self.is_used.get_mut() {
            self.edge.metrics.unused_connection();
        }
        self.edge.admission.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes note that a request came, and refuses it on a connection that there was no room for.
pub(super) fn refuse_excess(request: &HttpRequest) -> Option<Problem> {
    let connection = request.conn_data::<Connection>()?;
    connection.is_used.store(true, Ordering::Relaxed);
    connection.is_excess.then(|| {
        let detail = "expected fewer open connections, found as many as limits.connections allows";
        Problem::new(ErrorCode::ServiceConnections, detail)
    })
}

/// The names of the client of `request`, where it showed a certificate that `authority` vouches for by `clock`. The
/// handshake may be long ago: another authority since then is asked again.
pub(super) fn client_names(
    request: &HttpRequest,
    authority: Option<&Arc<ClientAuthority>>,
    clock: &dyn Clock,
) -> Option<Arc<HolderNames>> {
    let authority = authority?;
    let client = request.conn_data::<Connection>()?.client.as_ref()?;
    let now = clock.now();
    let mut word = client.word.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Refuses a request over TLS where certificates are required and its client has none that is good now. Handshakes see
/// to that; connections that are older than the authority, or outlive their certificate, come here.
pub(super) fn refuse_uncertified(
    request: &HttpRequest,
    authority: Option<&Arc<ClientAuthority>>,
    clock: &dyn Clock,
) -> Option<Problem> {
    let authority = authority.filter(|authority| authority.is_required())?;
    let is_tls = request.conn_data::<Connection>().is_some_and(|connection| connection.is_tls);
    (is_tls && client_names(request, Some(authority), clock).is_none()).then(|| {
        let detail = "expected a certificate that client_ca_file vouches for now, found none on this connection";
        Problem::new(ErrorCode::CallerUnauthenticated, detail)
    })
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_certificate = self.client.is_some();
        f.debug_struct("Connection")
            .field("is_excess", &self.is_excess)
            .field("has_certificate", &has_certificate)
            .finish()
    }
}
