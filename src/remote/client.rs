//! The HTTP clients of the service and the command line.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, redirect};

use super::blocking::{Turns, within};
use super::proxy::is_local_url;

/// The error of a client that cannot be built.
pub(crate) const NO_ROOT_CERTIFICATES: &str =
    "expected root certificates of the system, found none that can be used; name them in SSL_CERT_FILE";
/// The error of a client whose root certificates cannot be read in time.
const HANGING: &str = "expected root certificates of the system, found files that do not respond; check SSL_CERT_FILE and \
                       SSL_CERT_DIR";

/// The longest time in which root certificates are read.
const DEADLINE: Duration = Duration::from_secs(5);

/// Returns a builder for clients of `url` and of others with its scheme and host.
///
/// The clients use the proxy of the environment, but not for URLs of this host. They follow no redirects, because redirects
/// can lead to a host that nobody configured. Only `https` reads the root certificates of the system, because plain HTTP
/// must work on hosts that have none.
pub(crate) fn http_client(url: &str) -> ClientBuilder {
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .user_agent(concat!("claimsmith/", env!("CARGO_PKG_VERSION")));
    let builder = if is_local_url(url) { builder.no_proxy() } else { builder };
    if is_plain(url) { builder.tls_certs_only([]) } else { builder }
}

/// Builds the client of `url`. Others that take the same turns wait.
///
/// # Errors
/// Returns the reason why root certificates cannot be read.
pub(crate) async fn built(builder: ClientBuilder, url: &str, turns: &Turns) -> Result<Client, &'static str> {
    if is_plain(url) {
        return with_roots(builder);
    }
    let build = turns.run(move || with_roots(builder));
    tokio::time::timeout(DEADLINE, build).await.ok().flatten().unwrap_or(Err(HANGING))
}

/// As [`built`], for the startup and for commands. Blocks for at most [`DEADLINE`].
///
/// # Errors
/// As [`built`].
pub(crate) fn built_now(builder: ClientBuilder, url: &str) -> Result<Client, &'static str> {
    if is_plain(url) {
        return with_roots(builder);
    }
    within(DEADLINE, move || with_roots(builder)).unwrap_or(Err(HANGING))
}

fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}

fn with_roots(builder: ClientBuilder) -> Result<Client, &'static str> {
    builder.build().map_err(|_| NO_ROOT_CERTIFICATES)
}
