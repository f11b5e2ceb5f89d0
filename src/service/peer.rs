//! The client that requests a token, as a protocol adapter describes it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::tls::CertificateIdentity;

/// The sender of a request, as far as admission could determine it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Requester {
    /// Anyone, because no callers are configured.
    Anyone,
    /// A configured caller.
    Caller(CallerName),
    /// A client that was not authenticated.
    #[default]
    Unauthenticated,
}

impl Requester {
    /// Returns the caller, if it is one.
    pub(super) fn caller(&self) -> Option<&CallerName> {
        match self {
            Requester::Caller(name) => Some(name),
            Requester::Anyone | Requester::Unauthenticated => None,
        }
    }
}

/// The name of a caller that sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CallerName(Arc<str>);

impl CallerName {
    pub(super) fn new(name: &str) -> Self {
        Self(name.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The client of one request. `Debug` shows no credentials.
pub struct Peer<'r> {
    /// Its address; `None` on a Unix socket.
    pub address: Option<IpAddr>,
    /// The connection it uses.
    pub transport: Transport,
    /// The credentials of the request.
    pub credentials: Credentials<'r>,
    /// The values of its header with a secret, [`SECRET_HEADER`].
    pub secrets: Vec<&'r [u8]>,
}

/// The header, or the gRPC metadata, in which a caller sends its secret.
pub(crate) const SECRET_HEADER: &str = "x-claimsmith-secret";

/// The connection of a peer.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Without TLS.
    Plain,
    /// With TLS.
    Tls {
        /// The identity of the client certificate, if a trusted one was presented and is valid now.
        client: Option<Arc<CertificateIdentity>>,
    },
}

impl Transport {
    /// Returns the identity of the client certificate, if it is trusted.
    pub(super) fn client(&self) -> Option<&CertificateIdentity> {
        match self {
            Transport::Plain => None,
            Transport::Tls { client } => client.as_deref(),
        }
    }
}

/// The credentials of a request. They are parsed only if callers are configured.
#[derive(Clone, Copy)]
pub enum Credentials<'r> {
    /// None.
    None,
    /// The value of an HTTP `Authorization` header, or of the gRPC metadata with the same name (RFC 9110 section
    /// 11.6.2).
    Authorization(&'r [u8]),
    /// More than one such value, so the sender is ambiguous.
    Several,
    /// The peer is a proxy, so this header belongs to its client and does not authenticate the peer.
    OfClient,
}

impl fmt::Debug for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("address", &self.address)
            .field("transport", &self.transport)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Authorization(_) => "Authorization",
            Credentials::Several => "Several",
            Credentials::OfClient => "OfClient",
        })
    }
}
