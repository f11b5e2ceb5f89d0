//! Calls over HTTP within limits of time and size, and what their answers have in common.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use url::Url;

use super::{RateLimited, Resolution, SourceFailure};
use crate::remote::{Turns, built, http_client};

/// How long an unused connection to a source stays open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The headers of a 429 that describe the limit, besides those that start with [`LIMIT_PREFIXES`].
const RETRY_AFTER: &str = "retry-after";
const LIMIT_PREFIXES: [&str; 2] = ["ratelimit", "x-ratelimit-"];

/// The client of one source.
pub(super) struct HttpApi {
    /// A URL of the source, for the choice of the client.
    url: Url,
    timeout: Duration,
    most_bytes: usize,
    /// Built on first use, because a service that needs no HTTPS may run where there are no root certificates.
    client: OnceLock<Client>,
    turns: Turns,
}

/// A complete response.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl HttpApi {
    pub(super) fn new(url: Url, timeout: Duration, most_bytes: usize) -> Self {
        Self { url, timeout, most_bytes, client: OnceLock::new(), turns: Turns::default() }
    }

    /// Sends the question that `request` makes. A question changes nothing, so it is sent again if its connection ends without
    /// a response.
    ///
    /// # Errors
    /// Returns [`Resolution::Unavailable`] if there is no complete response within the limits.
    pub(super) async fn ask(&self, request: impl Fn(&Client) -> RequestBuilder) -> Result<Answer, Resolution> {
        self.within_timeout(async { self.read(send_again(self.client().await?, request).await).await }).await
    }

    /// Sends a request that changes something, once.
    ///
    /// # Errors
    /// As [`HttpApi::ask`].
    pub(super) async fn change(&self, request: impl FnOnce(&Client) -> RequestBuilder) -> Result<Answer, Resolution> {
        self.within_timeout(async { self.read(request(self.client().await?).send().await).await }).await
    }

    async fn within_timeout(
        &self,
        call: impl Future<Output = Result<Answer, Resolution>>,
    ) -> Result<Answer, Resolution> {
        tokio::time::timeout(self.timeout, call).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    async fn read(&self, response: reqwest::Result<Response>) -> Result<Answer, Resolution> {
        let mut response = response.map_err(|error| self.no_response(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.truncated(&error))? {
            if body.len() + chunk.len() > self.most_bytes {
                let message = format!("expected at most {} bytes (limits.body), found more", self.most_bytes);
                return Err(Resolution::unavailable(SourceFailure::TooLarge, message));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status(), headers: response.headers().clone(), body })
    }

    async fn client(&self) -> Result<&Client, Resolution> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let builder = http_client(self.url.as_str())
            // A proxy from the environment would see the credentials of all users.
            .no_proxy()
            .pool_idle_timeout(IDLE_TIMEOUT)
            .connect_timeout(self.timeout);
        let client = built(builder, self.url.as_str(), &self.turns).await;
        let client = client.map_err(|message| Resolution::unavailable(SourceFailure::Unreachable, message))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Describes an error of the HTTP client before a response. The text of the error would show the URL.
    fn no_response(&self, error: &reqwest::Error) -> Resolution {
        if error.is_timeout() {
            return self.timed_out();
        }
        if error.is_connect() {
            let message = "expected a connection, found none; check the URL and the server";
            return Resolution::unavailable(SourceFailure::Unreachable, message);
        }
        let message = "expected an HTTP response, found a connection that ended before one or does not use HTTP";
        Resolution::unavailable(SourceFailure::Reset, message)
    }

    /// Describes an error of the HTTP client within a response.
    fn truncated(&self, error: &reqwest::Error) -> Resolution {
        if error.is_timeout() {
            return self.timed_out();
        }
        let message = "expected a complete HTTP response, found one that is truncated";
        Resolution::unavailable(SourceFailure::Truncated, message)
    }

    fn timed_out(&self) -> Resolution {
        let message = format!("expected a complete response within {:?} (timeout), found none", self.timeout);
        Resolution::unavailable(SourceFailure::Timeout, message)
    }
}

/// Sends the request that `request` makes, and sends it again if its connection ends without a response.
///
/// A connection is used by several workers, and ends with the worker that opened it. A server can close it, too, while a
/// request is on its way.
async fn send_again(client: &Client, request: impl Fn(&Client) -> RequestBuilder) -> reqwest::Result<Response> {
    match request(client).send().await {
        Err(error) if !error.is_timeout() && !error.is_connect() => request(client).send().await,
        result => result,
    }
}

impl Answer {
    /// Returns `true` if the media type is JSON.
    pub(super) fn is_json(&self) -> bool {
        let media = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        media.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
    }

    /// Returns what the headers of a 429 say about the limit.
    pub(super) fn rate_limit(&self) -> RateLimited {
        let is_limit = |name: &str| name == RETRY_AFTER || LIMIT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let passed_on = self
            .headers
            .iter()
            .filter(|(name, _)| is_limit(name.as_str()))
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
        RateLimited { headers: passed_on.collect() }
    }

    /// Returns the failure that a status is which says nothing about the session. `key` names the URL in the configuration.
    pub(super) fn unexpected(&self, key: &str) -> Resolution {
        let status = self.status;
        if status.is_redirection() {
            let message =
                format!("expected 200, found {status}: redirects are not followed; set `{key}` to the final URL");
            return Resolution::unavailable(SourceFailure::Status, message);
        }
        let is_gateway =
            matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
        let failure = match is_gateway {
            true => SourceFailure::Gateway,
            false if status.is_server_error() => SourceFailure::ServerError,
            false => SourceFailure::Status,
        };
        Resolution::unavailable(failure, format!("expected 200, found {status}"))
    }
}
