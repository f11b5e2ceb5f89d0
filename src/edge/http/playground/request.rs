//! The JSON bodies that the playground's page sends.

use std::sync::atomic::AtomicBool;

use crate::claims::{Audience, Issuer, RegisteredInTemplate};
use crate::code::ErrorCode;
use crate::json::{Json, Object, ReadLimits};
use crate::mint::{Mint, Profile, ProfileSpec, Trial};
use crate::service::{Refusal, ServiceLimits};
use crate::sources::RequestCredentials;
use crate::templates::{Missing, Partial, Syntax};
use crate::time::{Timestamp, Ttl, parse_duration};

/// A template, a session and settings to try.
pub(super) struct TrialRequest<'m> {
    pub(super) profile: &'m Profile,
    /// The time of the trial, if it is not now.
    pub(super) at: Option<Timestamp>,
    /// Invalid settings. The profile's settings are used instead.
    pub(super) invalid: Vec<InvalidSetting>,
    /// The profile's settings, replaced by the requested ones.
    spec: ProfileSpec,
    syntax: Syntax,
    template: String,
    session: String,
}

/// An invalid setting, and the expected value.
pub(super) struct InvalidSetting {
    pub(super) setting: &'static str,
    pub(super) message: &'static str,
}

/// A credential to resolve.
pub(super) struct ResolveRequest {
    pub(super) source: String,
    header: String,
    value: String,
}

/// A Go template to convert.
pub(super) struct ConversionRequest {
    pub(super) template: String,
}

const TRIAL: [&str; 9] = ["profile", "syntax", "template", "session", "missing", "issuer", "ttl", "audience", "at"];

impl<'m> TrialRequest<'m> {
    /// Parses `body`; `mint` has the profiles. Absent settings have the profile's values.
    ///
    /// # Errors
    /// `request.malformed` if `body` does not have this form, `profile.unknown`.
    pub(super) fn parse(body: &[u8], mint: &'m Mint) -> Result<Self, Refusal> {
        let body = Body::parse(body, &TRIAL)?;
        let Some(profile) = mint.profile(body.text("profile")?) else {
            let detail = "expected the name of a configured profile in `profile`, found another";
            return Err(Refusal::new(ErrorCode::ProfileUnknown, detail));
        };
        let mut spec = profile.spec().clone();
        let mut invalid = Vec::new();
        let mut reject = |setting, message| invalid.push(InvalidSetting { setting, message });
        let syntax = match body.text("syntax")? {
            "handlebars" => Syntax::Handlebars,
            "go" => Syntax::Go,
            _ => return Err(malformed("expected `syntax` to be \"handlebars\" or \"go\", found other text")),
        };
        // Oathkeeper overrides registered claims of a Go template, so such a template can set them.
        if syntax == Syntax::Go {
            spec.registered_claims = RegisteredInTemplate::Override;
        }
        match body.optional_text("missing")? {
            None => {}
            Some("error") => spec.missing = Missing::Error,
            Some("as_null") => spec.missing = Missing::AsNull,
            Some("omit") => spec.missing = Missing::Omit,
            Some(_) => reject("missing", "expected error, as_null or omit"),
        }
        match body.optional_text("issuer")? {
            None => {}
            Some(issuer) => match Issuer::parse(issuer) {
                Some(issuer) => spec.issuer = issuer,
                None => reject("issuer", "expected text that is not empty"),
            },
        }
        match body.optional_text("ttl")?.map(|text| parse_duration(text).and_then(Ttl::new)) {
            None => {}
            Some(Some(ttl)) => spec.ttl = ttl,
            Some(None) => reject("ttl", "expected a duration of at least one second, such as 90s, 15m or 1h30m"),
        }
        match body.optional_texts("audience")? {
            None => {}
            Some(names) if names.is_empty() => spec.audience = None,
            Some(names) => match Audience::new(names) {
                Some(audience) => spec.audience = Some(audience),
                None => reject("audience", "expected names that are not empty"),
            },
        }
        let at = body.optional_text("at")?.map(Timestamp::parse_rfc3339);
        if at == Some(None) {
            reject("at", "expected a time as RFC 3339 writes it, such as 2026-01-16T09:12:33Z");
        }
        let (template, session) = (body.text("template")?.to_owned(), body.text("session")?.to_owned());
        Ok(Self { profile, at: at.flatten(), invalid, spec, syntax, template, session })
    }

    /// Returns the trial, with `partials` and within `limits`.
    pub(super) fn trial<'t>(
        &'t self,
        partials: &'t [Partial],
        limits: &ServiceLimits,
        stop: &'t AtomicBool,
    ) -> Trial<'t> {
        Trial {
            spec: &self.spec,
            syntax: self.syntax,
            template: &self.template,
            partials,
            session: &self.session,
            session_bytes: limits.body,
            read_limits: limits.read_limits(),
            stop: Some(stop),
        }
    }
}

impl ResolveRequest {
    /// Parses `body`.
    ///
    /// # Errors
    /// `request.malformed`
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let body = Body::parse(body, &["source", "header", "value"])?;
        let text = |name: &str| body.text(name).map(str::to_owned);
        let (source, header, value) = (text("source")?, text("header")?, text("value")?);
        match header.as_str() {
            "Authorization" | "Cookie" | "X-Session-Token" => Ok(Self { source, header, value }),
            _ => Err(malformed("expected `header` to be Authorization, Cookie or X-Session-Token, found other text")),
        }
    }

    /// Returns the credential as one of a request behind a proxy.
    pub(super) fn credentials(&self) -> RequestCredentials<'_> {
        let values = |name: &str| if self.header == name { vec![self.value.as_bytes()] } else { Vec::new() };
        RequestCredentials {
            authorization: values("Authorization"),
            cookies: values("Cookie"),
            session_tokens: values("X-Session-Token"),
        }
    }
}

impl ConversionRequest {
    /// Parses `body`.
    ///
    /// # Errors
    /// `request.malformed`
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let body = Body::parse(body, &["template"])?;
        Ok(Self { template: body.text("template")?.to_owned() })
    }
}

/// A body: an object without unknown members.
struct Body<'b>(Object<'b>);

impl<'b> Body<'b> {
    fn parse(text: &'b [u8], known: &[&str]) -> Result<Self, Refusal> {
        let body = Json::parse(text, ReadLimits { depth: 4 })
            .map_err(|error| malformed(format!("the body is not readable: {error}")))?;
        let Json::Object(members) = body else {
            return Err(malformed(format!("expected the body to be an object, found {}", body.kind())));
        };
        if members.iter().any(|(name, _)| !known.contains(&name)) {
            return Err(malformed(format!("expected only the members {}, found another one", known.join(", "))));
        }
        Ok(Self(members))
    }

    fn text(&self, name: &str) -> Result<&str, Refusal> {
        self.optional_text(name)?
            .ok_or_else(|| malformed(format!("expected the member `{name}`, a string, found none")))
    }

    fn optional_text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.0.member(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(malformed(format!("expected `{name}` to be a string, found {}", other.kind()))),
        }
    }

    fn optional_texts(&self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let wrong = |found: &str| malformed(format!("expected `{name}` to be an array of strings, found {found}"));
        let texts = match self.0.member(name) {
            None => return Ok(None),
            Some(Json::Array(texts)) => texts,
            Some(other) => return Err(wrong(other.kind())),
        };
        let text = |value: &Json<'_>| value.as_str().map(str::to_owned).ok_or_else(|| wrong("other elements"));
        texts.iter().map(text).collect::<Result<_, _>>().map(Some)
    }
}

fn malformed(detail: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::RequestMalformed, detail)
}
