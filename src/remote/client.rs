//! The HTTP clients of the service and the command line.

use reqwest::{Client, ClientBuilder, redirect};

use super::proxy::is_local_url;

/// The error of a client that cannot be built.
pub(crate) const NO_ROOT_CERTIFICATES: &str =
    "expected root certificates of the system, found none that can be used; name them in SSL_CERT_FILE";

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
    if url.starts_with("http://") { builder.tls_certs_only([]) } else { builder }
}
