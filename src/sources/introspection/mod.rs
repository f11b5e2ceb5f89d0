//! Sessions of access tokens that an authorization server knows: `POST` to its introspection endpoint (RFC 7662).

mod answer;
mod spec;

pub(super) use answer::read;
pub(crate) use spec::{ClientCredential, IntrospectionSpec};

use std::fmt;
use std::sync::Arc;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder};
use url::form_urlencoded;

use super::bearer::{self, TokenForm};
use super::calls::Calls;
use super::http::HttpApi;
use super::{Credential, CredentialKind, Rejection, Resolution, Resolved, SourceLimits, SourceLoad, Start};
use crate::time::Timestamp;

/// An introspection endpoint and the calls to it.
pub(super) struct Introspection {
    calls: Calls,
    endpoint: Arc<Endpoint>,
}

struct Endpoint {
    spec: IntrospectionSpec,
    limits: SourceLimits,
    http: HttpApi,
}

impl Introspection {
    /// Returns the endpoint of `spec`. The calls of `before` are kept if they have the same answers.
    pub(super) fn new(spec: IntrospectionSpec, start: Start, before: Option<&Self>) -> Self {
        let Start { limits, waiting, seed } = start;
        let same = before.filter(|before| before.endpoint.spec.has_answers_of(&spec));
        let calls = same.map_or_else(|| Calls::new(spec.cache, waiting, seed), |before| before.calls.clone());
        let http = HttpApi::new(spec.url.clone(), spec.timeout, limits.body);
        Self { calls, endpoint: Arc::new(Endpoint { spec, limits, http }) }
    }

    pub(super) async fn resolve(&self, credential: &Credential, now: Timestamp, is_anew: bool) -> Resolved {
        let rejected = |rejection| Resolved::new(Resolution::NoSession(rejection));
        let CredentialKind::Bearer(token) = &credential.0 else { return rejected(Rejection::Malformed) };
        match bearer::form(token) {
            // The server could trust our keys. The issuer is not verified, so it can only cause a refusal.
            TokenForm::Jwt { issuer: Some(issuer) } if self.endpoint.spec.is_own(&issuer) => {
                return rejected(Rejection::Issuer);
            }
            // The server could read another issuer in it.
            TokenForm::Unreadable => return rejected(Rejection::Malformed),
            _ => {}
        }
        let (endpoint, token) = (Arc::clone(&self.endpoint), token.clone());
        let key = self.calls.hash("bearer", &token);
        let call = move || async move { (endpoint.introspect(&token, now).await, None) };
        self.calls.resolve(key, now, is_anew, call).await
    }

    pub(super) fn load(&self) -> SourceLoad {
        self.calls.load()
    }
}

impl Endpoint {
    async fn introspect(&self, token: &str, now: Timestamp) -> Resolution {
        match self.http.ask(|client| self.request(client, token)).await {
            Ok(answer) => read(answer, &self.spec, self.limits.depth, now),
            Err(resolution) => resolution,
        }
    }

    fn request(&self, client: &Client, token: &str) -> RequestBuilder {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "access_token")
            .finish();
        let request = client
            .post(self.spec.url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        match &self.spec.client {
            None => request,
            Some(ClientCredential::Basic { username, password }) => {
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let password = password.text.as_ref().map(|text| encoded(text));
                request.basic_auth(encoded(username), password)
            }
            Some(ClientCredential::Bearer(token)) => match &token.text {
                Some(text) => request.bearer_auth(text.as_str()),
                None => request,
            },
        }
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Introspection").field(&self.endpoint.spec).finish()
    }
}
