//! What the playground's page asks: JSON bodies, taken apart.

use crate::claims::{Audience, Issuer, RegisteredInTemplate};
use crate::code::ErrorCode;
use crate::json::{Json, Object, ReadLimits};
use crate::mint::{Mint, Profile, ProfileSpec, Trial};
use crate::templates::{Missing, Partial, Syntax};
use crate::time::{Timestamp, Ttl, parse_duration};

use super::super::EdgeLimits;
use super::super::problem::Problem;

/// A template, a session and settings to try.
pub(super) struct Asked<'m> {
    pub(super) profile: &'m Profile,
    /// When, if not now.
    pub(super) at: Option<Timestamp>,
    /// Settings that cannot be; what the profile says stands in their place.
    pub(super) misfits: Vec<Misfit>,
    /// The profile's settings, with those that were asked for in their place.
    spec: ProfileSpec,
    syntax: Syntax,
    template: String,
    session: String,
}

/// A setting that cannot be, and what was expected.
pub(super) struct Misfit {
    pub(super) setting: &'static str,
    pub(super) message: &'static str,
}

/// A Go template to convert.
pub(super) struct Conversion {
    pub(super) template: String,
}

const TRIAL: [&str; 9] = ["profile", "syntax", "template", "session", "missing", "issuer", "ttl", "audience", "at"];

impl<'m> Asked<'m> {
    /// Takes `body` apart; `mint` has the profiles. A setting that is not named is the profile's.
    ///
    /// # Errors
    /// `request.malformed` for another form, `profile.unknown`.
    pub(super) fn parse(body: &[u8], mint: &'m Mint) -> Result<Self, Problem> {
        let body = Body::parse(body, &TRIAL)?;
        let Some(profile) = mint.profile(body.text("profile")?) else {
            let detail = "expected the name of a configured profile in `profile`, found another";
            return Err(Problem::new(ErrorCode::ProfileUnknown, detail));
        };
        let mut spec = profile.spec().clone();
        let mut misfits = Vec::new();
        let mut misfit = |setting, message| misfits.push(Misfit { setting, message });
        let syntax = match body.text("syntax")? {
            "handlebars" => Syntax::Handlebars,
            "go" => Syntax::Go,
            _ => return Err(malformed("expected `syntax` to be \"handlebars\" or \"go\", found other text")),
        };
        // Oathkeeper writes its registered claims over those of a Go template, so such a template may hold them.
        if syntax == Syntax::Go {
            spec.registered_claims = RegisteredInTemplate::Override;
        }
        match body.optional_text("missing")? {
            None => {}
            Some("error") => spec.missing = Missing::Error,
            Some("as_null") => spec.missing = Missing::AsNull,
            Some("omit") => spec.missing = Missing::Omit,
            Some(_) => misfit("missing", "expected error, as_null or omit"),
        }
        match body.optional_text("issuer")? {
            None => {}
            Some(issuer) => match Issuer::parse(issuer) {
                Some(issuer) => spec.issuer = issuer,
                None => misfit("issuer", "expected text that is not empty"),
            },
        }
        match body.optional_text("ttl")?.map(|text| parse_duration(text).and_then(Ttl::new)) {
            None => {}
            Some(Some(ttl)) => spec.ttl = ttl,
            Some(None) => misfit("ttl", "expected a duration of at least one second, such as 90s, 15m or 1h30m"),
        }
        match body.optional_texts("audience")? {
            None => {}
            Some(names) if names.is_empty() => spec.audience = None,
            Some(names) => match Audience::new(names) {
                Some(audience) => spec.audience = Some(audience),
                None => misfit("audience", "expected names that are not empty"),
            },
        }
        let at = body.optional_text("at")?.map(Timestamp::parse_rfc3339);
        if at == Some(None) {
            misfit("at", "expected a time as RFC 3339 writes it, such as 2026-01-16T09:12:33Z");
        }
        let (template, session) = (body.text("template")?.to_owned(), body.text("session")?.to_owned());
        Ok(Self { profile, at: at.flatten(), misfits, spec, syntax, template, session })
    }

    /// The trial, with `partials` and within `limits`.
    pub(super) fn trial<'t>(&'t self, partials: &'t [Partial], limits: &EdgeLimits) -> Trial<'t> {
        Trial {
            spec: &self.spec,
            syntax: self.syntax,
            template: &self.template,
            partials,
            session: &self.session,
            session_bytes: limits.body,
            read_limits: limits.read_limits(),
        }
    }
}

impl Conversion {
    /// Takes `body` apart.
    ///
    /// # Errors
    /// `request.malformed`
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let body = Body::parse(body, &["template"])?;
        Ok(Self { template: body.text("template")?.to_owned() })
    }
}

/// A body: an object of known members.
struct Body<'b>(Object<'b>);

impl<'b> Body<'b> {
    fn parse(text: &'b [u8], known: &[&str]) -> Result<Self, Problem> {
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

    fn text(&self, name: &str) -> Result<&str, Problem> {
        self.optional_text(name)?
            .ok_or_else(|| malformed(format!("expected the member `{name}`, a string, found none")))
    }

    fn optional_text(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.0.member(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(malformed(format!("expected `{name}` to be a string, found {}", other.kind()))),
        }
    }

    fn optional_texts(&self, name: &str) -> Result<Option<Vec<String>>, Problem> {
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

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::RequestMalformed, detail)
}
