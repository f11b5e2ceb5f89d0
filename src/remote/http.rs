//! Fetches over HTTP and HTTPS.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, StatusCode};
use url::Url;

use super::blocking::Turns;
use super::client::{built, http_client};
use super::error::FetchFailure;
use super::policy::RefreshPolicy;
use super::proxy::is_local_url;
use super::response::{Body, Fetched, Version, os_error};
use super::schedule::Freshness;

/// HTTP clients, with and without TLS, and with and without the proxy of the environment.
#[derive(Default)]
pub(super) struct HttpClients {
    /// Trust the system root certificates. Built on first use, because a service that needs no HTTPS may run where
    /// there are none.
    https: Routes,
    plain: Routes,
    turns: Turns,
}

#[derive(Default)]
struct Routes {
    direct: OnceLock<Client>,
    proxied: OnceLock<Client>,
}

impl HttpClients {
    /// Fetches `url`, conditionally if `known` is the version of the current bytes.
    ///
    /// # Errors
    /// Returns [`FetchFailure`] for every response but a complete 200 or an expected 304.
    pub(super) async fn fetch(
        &self,
        url: &Url,
        accept: &'static str,
        known: Option<&Version>,
        policy: &RefreshPolicy,
    ) -> Result<Fetched, FetchFailure> {
        let mut request = self.client(url).await?.get(url.clone()).header(header::ACCEPT, accept);
        if let Some(etag) = known.and_then(|known| known.etag.as_ref()) {
            request = request.header(header::IF_NONE_MATCH, etag);
        } else if let Some(time) = known.and_then(|known| known.last_modified.as_ref()) {
            request = request.header(header::IF_MODIFIED_SINCE, time);
        }
        let mut response = request.send().await.map_err(|error| failure(&error, policy))?;
        let headers = response.headers().clone();
        let lifetime = lifetime(&headers, policy);
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if known.is_some() => return Ok(Fetched::Unchanged { lifetime }),
            status if status.is_redirection() => {
                let message = format!("expected 200, found {status}: redirects are not followed; name the final URL");
                return Err(FetchFailure::unavailable(message));
            }
            status => {
                let retry_after = text(&headers, &header::RETRY_AFTER)
                    .and_then(|seconds| seconds.trim().parse().ok())
                    .map(Duration::from_secs);
                let message = format!("expected 200, found {status}");
                return Err(FetchFailure::Unavailable { message, retry_after });
            }
        }
        let mut body = Body::new(policy);
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error, policy))? {
            body.push(&chunk)?;
        }
        let version = Version {
            etag: text(&headers, &header::ETAG).map(str::to_owned),
            last_modified: text(&headers, &header::LAST_MODIFIED).map(str::to_owned),
        };
        Ok(Fetched::New { bytes: body.into_bytes(), version, lifetime })
    }

    async fn client(&self, url: &Url) -> Result<&Client, FetchFailure> {
        let routes = if url.scheme() == "http" { &self.plain } else { &self.https };
        let slot = if is_local_url(url.as_str()) { &routes.direct } else { &routes.proxied };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = built(http_client(url.as_str()), url.as_str(), &self.turns).await;
        let client = client.map_err(FetchFailure::unavailable)?;
        Ok(slot.get_or_init(|| client))
    }
}

/// Describes an error of the HTTP client, whose own text would show the URL with its query.
fn failure(error: &reqwest::Error, policy: &RefreshPolicy) -> FetchFailure {
    if error.is_timeout() {
        return FetchFailure::Timeout(policy.timeout);
    }
    FetchFailure::unavailable(match (error.is_connect(), os_error(error)) {
        (true, Some(reason)) => format!("expected a connection, found: {reason}"),
        (true, None) => "expected a connection, found none; check the host name and the server certificate".to_owned(),
        (false, Some(reason)) => format!("expected a complete HTTP response, found: {reason}"),
        (false, None) => "expected a complete HTTP response, found one that is truncated or not HTTP".to_owned(),
    })
}

fn lifetime(headers: &HeaderMap, policy: &RefreshPolicy) -> Duration {
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let cache_control = lines.collect::<Vec<_>>().join(",");
    Freshness {
        cache_control: Some(&cache_control),
        age: text(headers, &header::AGE),
        expires: text(headers, &header::EXPIRES),
        date: text(headers, &header::DATE),
    }
    .lifetime(policy)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
