//! Sessions of Ory Kratos: one credential of the request becomes one `GET /sessions/whoami`.
//!
//! Kratos takes the first of `X-Session-Token`, the session cookie and a bearer token. The same order applies here, and
//! only the chosen credential is forwarded.

mod extend;
mod spec;
mod whoami;

pub(crate) use extend::{ExtendSpec, FileSecret};
pub(crate) use spec::{CookieName, KratosSpec};
pub(super) use whoami::read;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Client, StatusCode};
use url::Url;

use super::calls::Calls;
use super::gate::Gate;
use super::http::HttpApi;
use super::{
    AmbiguousCredentials, CallResult, Credential, CredentialKind, Extension, Rejection, RequestCredentials, Resolution,
    Resolved, SourceFailure, SourceLimits, SourceLoad, Start,
};
use crate::time::Timestamp;
use extend::Attempts;

/// Extensions at once. Each of them also delays requests, which wait for its session.
const MOST_EXTENSIONS: usize = 32;

/// A Kratos and the calls to it.
pub(super) struct Kratos {
    calls: Calls,
    api: Arc<Api>,
}

/// The HTTP API of a Kratos.
struct Api {
    spec: KratosSpec,
    limits: SourceLimits,
    whoami: Url,
    public: HttpApi,
    /// The admin API, if sessions are extended.
    admin: Option<HttpApi>,
    /// The calls to the admin API, which fails no request if it is dead.
    admin_gate: Arc<Gate>,
    extensions: Arc<Attempts>,
}

impl Kratos {
    /// Returns the Kratos of `spec`. Of `before`, the calls are kept if they have the same answers, and the attempts to extend
    /// sessions.
    pub(super) fn new(spec: KratosSpec, start: Start, before: Option<&Self>) -> Self {
        let Start { limits, waiting, seed } = start;
        let mut whoami = spec.public.clone();
        // The configuration has only URLs that have a path.
        if let Ok(mut segments) = whoami.path_segments_mut() {
            segments.pop_if_empty().extend(["sessions", "whoami"]);
        }
        let same = before.filter(|before| before.api.spec.has_answers_of(&spec));
        let calls = same.map_or_else(|| Calls::new(spec.cache, waiting, seed), |before| before.calls.clone());
        let api = |url: &Url| HttpApi::new(url.clone(), spec.timeout, limits.body);
        let (public, admin) = (api(&spec.public), spec.extend.as_ref().map(|extend| api(&extend.admin)));
        let admin_url = |spec: &KratosSpec| spec.extend.as_ref().map(|extend| extend.admin.clone());
        let before = before.filter(|before| admin_url(&before.api.spec) == admin_url(&spec));
        let (admin_gate, extensions) = match before {
            Some(before) => (Arc::clone(&before.api.admin_gate), Arc::clone(&before.api.extensions)),
            None => (Arc::new(Gate::new(MOST_EXTENSIONS)), Arc::default()),
        };
        Self { calls, api: Arc::new(Api { spec, limits, whoami, public, admin, admin_gate, extensions }) }
    }

    pub(super) fn credential(
        &self,
        request: &RequestCredentials<'_>,
    ) -> Result<Option<Credential>, AmbiguousCredentials> {
        // Each kind is read, so that a duplicate is refused even if another kind decides.
        let token = request.session_token()?;
        let bearer = request.bearer()?.filter(|token| !is_jwt(token));
        let mut cookie = None;
        for name in &self.api.spec.cookies {
            let found = request.cookie(|other| name.matches(other))?;
            cookie = cookie.or(found);
        }
        let header = |name, value| Credential(CredentialKind::Header { name, value });
        Ok(match (token, cookie, bearer) {
            (Some(token), _, _) => Some(header("x-session-token", token.to_owned())),
            (None, Some((name, value)), _) => Some(header("cookie", format!("{name}={value}"))),
            (None, None, Some(token)) => Some(header("authorization", format!("Bearer {token}"))),
            (None, None, None) => None,
        })
    }

    pub(super) async fn resolve(&self, credential: &Credential, now: Timestamp, is_anew: bool) -> Resolved {
        let CredentialKind::Header { name, value } = &credential.0 else {
            return Resolved::new(Resolution::NoSession(Rejection::Malformed));
        };
        let (api, name, value) = (Arc::clone(&self.api), *name, value.clone());
        let key = self.calls.hash(name, &value);
        self.calls.resolve(key, now, is_anew, move || async move { api.session(name, &value, now).await }).await
    }

    pub(super) fn load(&self) -> SourceLoad {
        self.calls.load()
    }
}

impl Api {
    /// Returns the session of a credential at `now`, extended if that is due. Both together take at most the timeout.
    async fn session(&self, name: &'static str, value: &str, now: Timestamp) -> (Resolution, Option<Extension>) {
        let deadline = tokio::time::Instant::now() + self.spec.timeout;
        let resolution = self.whoami(name, value).await;
        let (Some(extend), Some(admin), Resolution::Session(session)) = (&self.spec.extend, &self.admin, &resolution)
        else {
            return (resolution, None);
        };
        let id =
            whoami::session_id(&session.extra, self.limits.depth).filter(|_| extend.is_due(session.expires_at, now));
        let Some(id) = id.filter(|id| self.extensions.begin(id, now)) else { return (resolution, None) };
        let pass = match self.admin_gate.enter(Instant::now()) {
            Ok(pass) => pass,
            Err(_) => {
                self.extensions.forget(&id);
                return (resolution, Some(Extension::Skipped));
            }
        };
        let extended = tokio::time::timeout_at(deadline, extend.send(admin, &id)).await;
        let extended = extended.unwrap_or(Err(CallResult::Failed(SourceFailure::Timeout)));
        pass.record(extended.map_or_else(|failed| failed, |_| CallResult::Session), Instant::now());
        drop(pass);
        let Ok(status) = extended else { return (resolution, Some(Extension::Failed)) };
        // The response can be empty, and a 404 can mean that another client extends the session at this moment.
        match tokio::time::timeout_at(deadline, self.whoami(name, value)).await {
            Ok(Resolution::Session(later)) => {
                let extension = match status {
                    StatusCode::NOT_FOUND => Extension::NotFound,
                    _ if later.expires_at > session.expires_at => Extension::Extended,
                    _ => Extension::Unchanged,
                };
                (Resolution::Session(later), Some(extension))
            }
            Ok(ended @ Resolution::NoSession(_)) => (ended, Some(Extension::NotFound)),
            // The session is still valid.
            Ok(_) | Err(_) => (resolution, Some(Extension::Failed)),
        }
    }

    /// Asks for the session of a credential.
    async fn whoami(&self, name: &'static str, value: &str) -> Resolution {
        let Ok(mut value) = HeaderValue::from_str(value) else { return Resolution::NoSession(Rejection::Malformed) };
        value.set_sensitive(true);
        let request = |client: &Client| {
            client.get(self.whoami.clone()).header(ACCEPT, "application/json").header(name, value.clone())
        };
        match self.public.ask(request).await {
            Ok(answer) => read(answer, &self.spec, self.limits.depth),
            Err(resolution) => resolution,
        }
    }
}

/// Returns `true` if `token` has the form of a compact JWS, which no Kratos session token has.
fn is_jwt(token: &str) -> bool {
    token.split('.').count() >= 3
}

impl fmt::Debug for Kratos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kratos").field(&self.api.spec).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::MemberPath;
    use crate::sources::slots::Waiting;
    use std::time::Duration;

    fn kratos(public: &str, cookies: &[&str]) -> Kratos {
        let spec = KratosSpec {
            public: Url::parse(public).unwrap(),
            cookies: cookies.iter().map(|name| CookieName::parse(name).unwrap()).collect(),
            subject: MemberPath::parse("identity.id").unwrap(),
            timeout: Duration::from_secs(1),
            cache: None,
            extend: None,
        };
        let limits = SourceLimits { body: 1024, depth: 8 };
        let waiting = Waiting::new(8, &Waiting::everywhere(8));
        Kratos::new(spec, Start { limits, waiting, seed: [7; 32] }, None)
    }

    #[test]
    fn whoami_is_below_the_path_of_the_public_url() {
        for (public, expected) in [
            ("http://kratos:4433", "http://kratos:4433/sessions/whoami"),
            ("http://kratos:4433/", "http://kratos:4433/sessions/whoami"),
            ("https://id.example/kratos/", "https://id.example/kratos/sessions/whoami"),
            ("https://id.example/kratos", "https://id.example/kratos/sessions/whoami"),
        ] {
            assert_eq!(kratos(public, &["s"]).api.whoami.as_str(), expected);
        }
    }

    /// The values of `X-Session-Token`, `Cookie` and `Authorization`, and the credential of the request.
    type Case =
        (&'static [&'static str], &'static [&'static str], &'static [&'static str], Result<Option<&'static str>, ()>);

    #[test]
    fn one_credential_is_forwarded_in_the_order_of_kratos() {
        let kratos = kratos("http://kratos", &["ory_kratos_session", "ory_session_*"]);
        let cases: &[Case] = &[
            (&["t"], &["ory_kratos_session=c"], &["Bearer b"], Ok(Some("x-session-token: t"))),
            (&[], &["a=b; ory_kratos_session=c"], &["Bearer b"], Ok(Some("cookie: ory_kratos_session=c"))),
            (&[], &["a=b"], &["Bearer b"], Ok(Some("authorization: Bearer b"))),
            (&[], &["ory_session_x=c"], &[], Ok(Some("cookie: ory_session_x=c"))),
            (&[], &["ory_session_x=c; ory_kratos_session=d"], &[], Ok(Some("cookie: ory_kratos_session=d"))),
            (&[], &["a=b"], &["Bearer a.b.c"], Ok(None)),
            (&[], &[], &["Basic b"], Ok(None)),
            (&[], &["ory_session_x=c; ory_session_y=d"], &[], Err(())),
            (&["t", "t"], &[], &[], Err(())),
            (&["t"], &["ory_kratos_session=c; ory_kratos_session=c"], &[], Err(())),
            (&["t"], &[], &["Bearer a", "Bearer b"], Err(())),
        ];
        for (tokens, cookies, authorization, expected) in cases {
            let bytes = |texts: &[&'static str]| texts.iter().map(|text| text.as_bytes()).collect();
            let request = RequestCredentials {
                authorization: bytes(authorization),
                cookies: bytes(cookies),
                session_tokens: bytes(tokens),
                verified: &[],
            };
            let found = kratos.credential(&request).map_err(drop).map(|credential| {
                credential.map(|credential| match credential.0 {
                    CredentialKind::Header { name, value } => format!("{name}: {value}"),
                    _ => panic!("a Kratos needs a header"),
                })
            });
            assert_eq!(found.as_ref().map(Option::as_deref), expected.as_ref().copied(), "{request:?}");
        }
    }
}
