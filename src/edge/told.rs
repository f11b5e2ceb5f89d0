//! What is told of a token besides the answer: its audit line, and what the span of its request says of it.

use actix_web::{HttpRequest, HttpResponse};

use super::{Edge, RequestId};
use crate::json::Json;
use crate::mint::{IssuedToken, Origin, Profile};
use crate::session::Session;
use crate::telemetry::{Issued, TokenFacts};
use crate::time::Timestamp;

/// Tells of the one token that a request gets. Costs two looks at an option where nothing is to be told.
pub(crate) struct Told<'t> {
    edge: &'t Edge,
    request: &'t HttpRequest,
    caller: Option<&'t str>,
    facts: Option<TokenFacts>,
}

impl<'t> Told<'t> {
    /// Of the request that `caller` sent, if callers are told apart.
    pub(crate) fn new(edge: &'t Edge, request: &'t HttpRequest, caller: Option<&'t str>) -> Self {
        Self { edge, request, caller, facts: None }
    }

    /// `token` of `profile` was made for `session` at `now`; `origin` says whether it was signed for it.
    pub(crate) fn issued(
        &mut self,
        profile: &Profile,
        session: &Session<'_>,
        token: &IssuedToken,
        now: Timestamp,
        origin: Origin,
    ) {
        let cached = origin == Origin::Cached;
        if let Some(audit) = &self.edge.audit {
            let subject = if audit.tells_subject() { session.at(&profile.spec().subject) } else { None };
            audit.issued(&Issued {
                at: now,
                request_id: &RequestId::of(self.request).to_string(),
                caller: self.caller,
                profile: profile.spec().name.as_str(),
                jti: &token.jti,
                subject: subject.as_ref().and_then(Json::as_str).unwrap_or_default(),
                kid: token.kid.as_str(),
                alg: token.alg.as_str(),
                expires_at: token.expires_at,
                cached,
            });
        }
        if self.edge.traces.is_some() {
            let (kid, alg) = (token.kid.as_str().to_owned(), token.alg.as_str());
            self.facts = Some(TokenFacts { kid, alg, cached });
        }
    }

    /// Leaves what the span says in the answer, where [`observe`](super::observe) ends it.
    pub(crate) fn leave_in(self, response: &mut HttpResponse) {
        if let Some(facts) = self.facts {
            response.extensions_mut().insert(facts);
        }
    }
}
