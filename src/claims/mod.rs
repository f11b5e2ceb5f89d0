//! Claims: the claims of a template ([`PrivateClaims`]) and the signed claims of a token ([`ClaimsSet`]).
//!
//! claimsmith sets the registered claims (RFC 7519 section 4.1) itself. A template that sets one is rejected, unless the
//! profile overrides such claims, as Oathkeeper does. The exception is `aud`, which a template can set if the profile
//! configures none.

mod grant;
mod issuer;
mod jwt_id;
mod policy;

pub use grant::{Actor, Grant, Scope};
pub use issuer::Issuer;
pub use jwt_id::JwtId;
pub use policy::{Audience, Lifetime, LifetimeError, SessionExpiry, lifetime};

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use crate::code::ErrorCode;
use crate::json::{self, Json, JsonError, JsonFault, ReadLimits, Reader};
use crate::time::Timestamp;

/// The claim names that RFC 7519 section 4.1 registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisteredClaim {
    /// `aud`
    Audience,
    /// `exp`
    ExpirationTime,
    /// `iat`
    IssuedAt,
    /// `iss`
    Issuer,
    /// `jti`
    JwtId,
    /// `nbf`
    NotBefore,
    /// `sub`
    Subject,
}

impl RegisteredClaim {
    /// All registered claims.
    pub const ALL: [RegisteredClaim; 7] = [
        RegisteredClaim::Audience,
        RegisteredClaim::ExpirationTime,
        RegisteredClaim::IssuedAt,
        RegisteredClaim::Issuer,
        RegisteredClaim::JwtId,
        RegisteredClaim::NotBefore,
        RegisteredClaim::Subject,
    ];

    /// Returns the name of the claim in a token.
    pub fn name(self) -> &'static str {
        match self {
            RegisteredClaim::Audience => "aud",
            RegisteredClaim::ExpirationTime => "exp",
            RegisteredClaim::IssuedAt => "iat",
            RegisteredClaim::Issuer => "iss",
            RegisteredClaim::JwtId => "jti",
            RegisteredClaim::NotBefore => "nbf",
            RegisteredClaim::Subject => "sub",
        }
    }

    /// Returns the registered claim with this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|claim| claim.name() == name)
    }
}

/// The handling of a registered claim that a template sets. A token never contains the template's value, except an
/// allowed `aud`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegisteredInTemplate {
    /// The claim is overridden, as in Oathkeeper.
    Override,
    /// No token is issued.
    #[default]
    Refuse,
}

/// The claims of a template: a JSON object without registered claims, except `aud` if it is allowed.
#[derive(Clone, PartialEq)]
pub struct PrivateClaims {
    /// The object as compact JSON.
    text: String,
}

/// The reason why rendered text is not a valid set of claims.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClaimsError {
    /// `aud` is neither a string nor an array of strings.
    #[error("expected the claim `aud` to be a string or an array of strings, found {found}")]
    AudienceType {
        /// The kind of value that was found.
        found: &'static str,
    },
    /// A member name occurs twice.
    #[error("expected each claim once in its object, found a member name twice in the rendered claims")]
    DuplicateMember,
    /// The text is not JSON.
    #[error("the rendered claims are not JSON: {0}")]
    NotJson(JsonError),
    /// The text is JSON, but not an object.
    #[error("expected the rendered claims to be one JSON object, found {found}")]
    NotAnObject {
        /// The kind of value that was found.
        found: &'static str,
    },
    /// The template sets a claim that the grant of this request determines.
    #[error("the template sets the claim `{claim}`, which the grant of this request decides: remove it")]
    Granted {
        /// `scope` or `act`.
        claim: &'static str,
    },
    /// The claims of the token are too long.
    #[error("expected at most {most} bytes of claims with the registered ones (limits.claims), found more")]
    TooLong {
        /// The limit.
        most: usize,
    },
    /// The template sets a claim that claimsmith sets itself.
    #[error("the template sets the claim `{}`, {}", .0.name(), registered_conflict(*.0))]
    Registered(RegisteredClaim),
}

impl ClaimsError {
    /// Returns the stable error code, one of `claims.*` or `template.limit`.
    pub fn code(&self) -> ErrorCode {
        match self {
            ClaimsError::AudienceType { .. } | ClaimsError::NotJson(_) => ErrorCode::ClaimsInvalid,
            ClaimsError::DuplicateMember => ErrorCode::ClaimsDuplicateMember,
            ClaimsError::NotAnObject { .. } => ErrorCode::ClaimsNotAnObject,
            ClaimsError::Granted { .. } | ClaimsError::Registered(_) => ErrorCode::ClaimsRegistered,
            ClaimsError::TooLong { .. } => ErrorCode::TemplateLimit,
        }
    }
}

/// Returns why a template cannot set `claim`, and what to do. It cannot set `aud` only if an audience is configured.
fn registered_conflict(claim: RegisteredClaim) -> &'static str {
    match claim {
        RegisteredClaim::Audience => "and the profile configures an audience: keep one of the two",
        _ => "which claimsmith sets itself: take it out",
    }
}

impl PrivateClaims {
    /// Parses the text that a template rendered. `audience` is the audience of the profile.
    ///
    /// # Errors
    /// Returns every variant of [`ClaimsError`].
    pub fn parse(text: &str, audience: Option<&Audience>) -> Result<Self, ClaimsError> {
        Self::parse_with(text, audience, RegisteredInTemplate::Refuse).map(|(claims, _)| claims)
    }

    /// Parses like [`PrivateClaims::parse`]. If `registered` is [`RegisteredInTemplate::Override`], removes the
    /// registered claims of the template and returns them, too.
    ///
    /// # Errors
    /// Every variant of [`ClaimsError`]; [`ClaimsError::Registered`] only for [`RegisteredInTemplate::Refuse`].
    pub fn parse_with(
        text: &str,
        audience: Option<&Audience>,
        registered: RegisteredInTemplate,
    ) -> Result<(Self, Vec<RegisteredClaim>), ClaimsError> {
        Self::parse_marked(text, &[], audience, registered)
    }

    /// Parses like [`PrivateClaims::parse_with`], but skips the values at `in_order`, which must be whole and valid
    /// JSON values without white space.
    ///
    /// # Errors
    /// Returns the errors of [`PrivateClaims::parse_with`].
    pub fn parse_marked(
        text: &str,
        in_order: &[Range<usize>],
        audience: Option<&Audience>,
        registered: RegisteredInTemplate,
    ) -> Result<(Self, Vec<RegisteredClaim>), ClaimsError> {
        let mut reader = Reader::new(text.as_bytes(), READ_LIMITS)?;
        if !matches!(reader.peek(), None | Some(b'{')) {
            let found = reader.value(0)?;
            reader.finish()?;
            return Err(ClaimsError::NotAnObject { found: found.kind() });
        }
        let mut overridden = Vec::new();
        let mut refused = None;
        reader.skip_members::<ClaimsError>(0, |reader, name| {
            let fault = match RegisteredClaim::of(name) {
                Some(RegisteredClaim::Audience) if audience.is_none() => check_audience(&reader.value(1)?).err(),
                Some(claim) => {
                    reader.skip(1)?;
                    match registered {
                        RegisteredInTemplate::Override => {
                            overridden.push(claim);
                            None
                        }
                        RegisteredInTemplate::Refuse => Some(ClaimsError::Registered(claim)),
                    }
                }
                None => {
                    reader.peek();
                    match in_order.binary_search_by_key(&reader.offset(), |value| value.start) {
                        Ok(found) => reader.jump(in_order[found].end),
                        Err(_) => drop(reader.skip(1)?),
                    }
                    None
                }
            };
            refused = refused.take().or(fault);
            Ok(0)
        })?;
        reader.finish()?;
        if let Some(error) = refused {
            return Err(error);
        }
        if overridden.is_empty() && reader.spaces() == 0 {
            return Ok((Self { text: text.to_owned() }, overridden));
        }
        let Json::Object(mut members) = Json::parse(text.as_bytes(), READ_LIMITS)? else {
            return Err(ClaimsError::NotAnObject { found: "another value" });
        };
        for claim in &overridden {
            members.remove(claim.name());
        }
        Ok((Self { text: Json::Object(members).to_string() }, overridden))
    }

    /// Returns the claims as a JSON object.
    pub fn to_json(&self) -> Json<'static> {
        Json::parse(self.text.as_bytes(), READ_LIMITS).map_or(Json::Null, Json::into_owned)
    }

    /// Returns the claims as compact JSON text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Checks that the template sets no claim that `grant` decides.
    ///
    /// # Errors
    /// Returns [`ClaimsError::Granted`] for such a claim.
    pub fn check_grant(&self, grant: &Grant) -> Result<(), ClaimsError> {
        let granted = [("scope", grant.scope.is_some()), ("act", grant.actor.is_some())];
        let is_set_twice = |claim: &str| self.to_json().member(claim).is_some();
        match granted.into_iter().find(|(claim, is_granted)| *is_granted && is_set_twice(claim)) {
            Some((claim, _)) => Err(ClaimsError::Granted { claim }),
            None => Ok(()),
        }
    }
}

impl From<JsonError> for ClaimsError {
    fn from(error: JsonError) -> Self {
        match error.fault() {
            JsonFault::DuplicateMember => ClaimsError::DuplicateMember,
            _ => ClaimsError::NotJson(error),
        }
    }
}

impl fmt::Debug for PrivateClaims {
    /// Shows the length of the claims, not their content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateClaims").field("bytes", &self.text.len()).finish()
    }
}

/// The complete claims of a token. Only this type can be signed.
pub struct ClaimsSet {
    text: String,
}

/// The claims that claimsmith adds to the claims of the template.
#[derive(Clone, Copy)]
pub struct Registered<'a> {
    /// `iss`
    pub issuer: &'a str,
    /// `sub`
    pub subject: &'a str,
    /// `aud`, if the profile or the grant has one
    pub audience: Option<&'a Audience>,
    /// `iat` and `nbf`
    pub issued_at: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
    /// `jti`
    pub jwt_id: JwtId,
    /// `scope` (RFC 8693 section 4.2), if one was granted
    pub scope: Option<&'a Scope>,
    /// `act` (RFC 8693 section 4.1), if another party acts for the subject
    pub actor: Option<&'a Actor>,
}

impl ClaimsSet {
    /// Combines the claims of a template with the registered claims.
    pub fn new(private: &PrivateClaims, registered: &Registered<'_>) -> Self {
        let Registered { issuer, subject, audience, issued_at, expires_at, jwt_id, scope, actor } = *registered;
        let mut text = String::with_capacity(private.text.len() + issuer.len() + subject.len() + 256);
        text.push_str(private.text.strip_suffix('}').unwrap_or("{"));
        let mut claim = |name: &str, write: &dyn Fn(&mut String)| {
            if !text.ends_with('{') {
                text.push(',');
            }
            text.extend(["\"", name, "\":"]);
            write(&mut text);
        };
        let time = |time: Timestamp| move |out: &mut String| out.push_str(&time.seconds().to_string());
        claim(RegisteredClaim::Issuer.name(), &|out| json::write_string(issuer, out));
        claim(RegisteredClaim::Subject.name(), &|out| json::write_string(subject, out));
        if let Some(audience) = audience {
            claim(RegisteredClaim::Audience.name(), &|out| audience.to_json().write(out));
        }
        claim(RegisteredClaim::IssuedAt.name(), &time(issued_at));
        claim(RegisteredClaim::NotBefore.name(), &time(issued_at));
        claim(RegisteredClaim::ExpirationTime.name(), &time(expires_at));
        claim(RegisteredClaim::JwtId.name(), &|out| jwt_id.write_json(out));
        if let Some(scope) = scope {
            claim("scope", &|out| json::write_string(scope.as_str(), out));
        }
        if let Some(actor) = actor {
            claim("act", &|out| actor.write_json(out));
        }
        text.push('}');
        Self { text }
    }

    /// Checks that the payload has at most `most` bytes.
    ///
    /// # Errors
    /// Returns [`ClaimsError::TooLong`] if the payload is longer.
    pub fn check_length(&self, most: usize) -> Result<(), ClaimsError> {
        if self.text.len() > most { Err(ClaimsError::TooLong { most }) } else { Ok(()) }
    }

    /// Returns the JSON text that becomes the payload of the token.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for ClaimsSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimsSet").field("bytes", &self.text.len()).finish()
    }
}

/// Deeper than the limit for sessions, because a template may nest session values in other values.
const READ_LIMITS: ReadLimits = ReadLimits { depth: 1024 };

fn check_audience(value: &Json<'_>) -> Result<(), ClaimsError> {
    match value {
        Json::String(_) => Ok(()),
        Json::Array(values) if values.iter().all(|value| value.as_str().is_some()) => Ok(()),
        Json::Array(_) => Err(ClaimsError::AudienceType { found: "an array of other things" }),
        other => Err(ClaimsError::AudienceType { found: other.kind() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn audience() -> Audience {
        Audience::new(vec!["orders".to_owned()]).unwrap()
    }

    #[test]
    fn a_registered_claim_in_a_template_is_refused() {
        for claim in RegisteredClaim::ALL {
            let text = format!("{{\"{}\":\"x\"}}", claim.name());
            let audience = audience();
            assert_eq!(PrivateClaims::parse(&text, Some(&audience)), Err(ClaimsError::Registered(claim)));
        }
        assert!(PrivateClaims::parse("{\"Iss\":1}", None).is_ok());
    }

    #[test]
    fn a_registered_claim_in_a_template_is_overridden_where_the_profile_says_so() {
        let text = r#"{"iss":"evil","exp":1,"aud":"a","name":"zoe"}"#;
        let (claims, overridden) = PrivateClaims::parse_with(text, None, RegisteredInTemplate::Override).unwrap();
        assert_eq!(claims.to_json().to_string(), r#"{"aud":"a","name":"zoe"}"#);
        assert_eq!(overridden, [RegisteredClaim::Issuer, RegisteredClaim::ExpirationTime]);
        let audience = audience();
        let (claims, _) = PrivateClaims::parse_with(text, Some(&audience), RegisteredInTemplate::Override).unwrap();
        assert_eq!(claims.to_json().to_string(), r#"{"name":"zoe"}"#);
    }

    #[test]
    fn a_template_may_set_the_audience_where_the_profile_sets_none() {
        assert!(PrivateClaims::parse(r#"{"aud":["a","b"]}"#, None).is_ok());
        assert!(PrivateClaims::parse(r#"{"aud":"a"}"#, None).is_ok());
        let wrong = PrivateClaims::parse(r#"{"aud":[1]}"#, None);
        assert_eq!(wrong, Err(ClaimsError::AudienceType { found: "an array of other things" }));
    }

    #[test]
    fn what_is_in_order_is_passed_over_and_everything_around_it_is_read() {
        let text = r#"{"a":{"x":1},"b":[2],"iss":3}"#;
        let marked = |text: &str, marks: &[Range<usize>]| {
            PrivateClaims::parse_marked(text, marks, None, RegisteredInTemplate::Override)
                .map(|(claims, _)| claims.text)
        };
        let marks = [5..12, 17..20];
        assert_eq!(marked(text, &marks), marked(text, &[]));
        assert_eq!(marked(r#"{"a":{"x":1},"b":[2],"b":3}"#, &marks), Err(ClaimsError::DuplicateMember));
        assert!(marked(r#"{"a":{"x":1},"b":[2] 3}"#, &marks).is_err());
    }

    #[test]
    fn only_one_object_without_duplicates_is_taken() {
        assert_eq!(PrivateClaims::parse("[]", None), Err(ClaimsError::NotAnObject { found: "an array" }));
        assert_eq!(PrivateClaims::parse("null", None), Err(ClaimsError::NotAnObject { found: "null" }));
        assert_eq!(PrivateClaims::parse(r#"{"a":1,"a":2}"#, None), Err(ClaimsError::DuplicateMember));
        assert!(matches!(PrivateClaims::parse("{} {}", None), Err(ClaimsError::NotJson(_))));
    }

    #[test]
    fn the_complete_set_holds_the_claims_in_order() {
        let private = PrivateClaims::parse(r#"{ "name" : "zoe", "n": 1.0 }"#, Some(&audience())).unwrap();
        let set = ClaimsSet::new(
            &private,
            &Registered {
                issuer: "http://i/",
                subject: "u",
                audience: Some(&audience()),
                issued_at: Timestamp::from_seconds(100),
                expires_at: Timestamp::from_seconds(160),
                jwt_id: JwtId::new(uuid::Uuid::nil()),
                scope: None,
                actor: None,
            },
        );
        assert_eq!(
            set.as_str(),
            r#"{"name":"zoe","n":1.0,"iss":"http://i/","sub":"u","aud":["orders"],"iat":100,"nbf":100,"exp":160,"jti":"00000000-0000-0000-0000-000000000000"}"#
        );
    }

    #[test]
    fn granted_claims_are_added_and_cannot_be_set_by_the_template() {
        let grant = Grant { scope: Scope::parse("read write"), actor: Actor::new("job", None), ..Grant::default() };
        let private = PrivateClaims::parse(r#"{"n":{"scope":1,"act":2}}"#, None).unwrap();
        assert_eq!(private.check_grant(&grant), Ok(()), "members of other objects are not claims");
        let set = ClaimsSet::new(
            &private,
            &Registered {
                issuer: "i",
                subject: "u",
                audience: None,
                issued_at: Timestamp::from_seconds(1),
                expires_at: Timestamp::from_seconds(2),
                jwt_id: JwtId::new(uuid::Uuid::nil()),
                scope: grant.scope.as_ref(),
                actor: grant.actor.as_ref(),
            },
        );
        assert!(set.as_str().ends_with(r#","scope":"read write","act":{"sub":"job"}}"#), "{}", set.as_str());
        for claim in ["scope", "act"] {
            let private = PrivateClaims::parse(&format!("{{\"{claim}\":1}}"), None).unwrap();
            assert_eq!(private.check_grant(&Grant::default()), Ok(()), "{claim}");
            assert_eq!(private.check_grant(&grant), Err(ClaimsError::Granted { claim }));
        }
    }

    #[test]
    fn claims_error_names_the_claim_and_what_was_found() {
        let audience = audience();
        let cases: [(&str, Option<&Audience>, ErrorCode, &[&str]); 7] = [
            (r#"{"aud":7}"#, None, ErrorCode::ClaimsInvalid, &["`aud`", "found a number"]),
            (r#"{"aud":"x"}"#, Some(&audience), ErrorCode::ClaimsRegistered, &["`aud`", "the profile configures"]),
            (r#"{"exp":7}"#, None, ErrorCode::ClaimsRegistered, &["`exp`", "claimsmith sets itself"]),
            (r#"{"a":7,"a":8}"#, None, ErrorCode::ClaimsDuplicateMember, &["a member name twice"]),
            ("[7]", None, ErrorCode::ClaimsNotAnObject, &["one JSON object", "found an array"]),
            ("{} 7", None, ErrorCode::ClaimsInvalid, &["are not JSON", "line 1"]),
            ("", None, ErrorCode::ClaimsInvalid, &["are not JSON"]),
        ];
        for (text, audience, code, parts) in cases {
            let error = PrivateClaims::parse(text, audience).unwrap_err();
            assert_eq!(error.code(), code, "{text}");
            let message = error.to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{text}: {message}");
        }
        let granted = ClaimsError::Granted { claim: "act" };
        assert!(granted.to_string().contains("`act`"), "{granted}");
        assert_eq!(granted.code(), ErrorCode::ClaimsRegistered);
    }

    #[test]
    fn debug_of_claims_shows_their_length_and_no_value() {
        let private = PrivateClaims::parse(r#"{"name":"zoe"}"#, None).unwrap();
        assert_eq!(format!("{private:?}"), "PrivateClaims { bytes: 14 }");
        let set = ClaimsSet { text: r#"{"sub":"zoe"}"#.to_owned() };
        assert_eq!(format!("{set:?}"), "ClaimsSet { bytes: 13 }");
    }

    proptest! {
        #[test]
        fn no_member_name_smuggles_a_registered_claim(name in "(iss|sub|exp|nbf|iat|jti|\\PC{0,6})") {
            let mut text = String::from("{");
            json::write_string(&name, &mut text);
            text.push_str(":1}");
            let parsed = PrivateClaims::parse(&text, None);
            prop_assert_eq!(parsed.is_err(), RegisteredClaim::of(&name).is_some());
        }
    }
}
