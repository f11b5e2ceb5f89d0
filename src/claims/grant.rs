//! Grants of a single request beyond its profile: audience, scope and actor (RFC 6749, RFC 8693).

use std::fmt;

use super::Audience;
use crate::json;
use crate::time::Timestamp;

/// The properties of one request, besides its profile and session, that determine the claims of its token. The default
/// grants only what the profile configures.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// The value of `aud`, which replaces the profile's.
    pub audience: Option<Audience>,
    /// `scope`
    pub scope: Option<Scope>,
    /// `act`
    pub actor: Option<Actor>,
    /// A limit for the expiry of the token, besides the session expiry.
    pub ends_by: Option<Timestamp>,
}

impl Grant {
    /// Appends everything that determines the token. Grants that append equal bytes are equal.
    pub fn append_cache_key(&self, out: &mut Vec<u8>) {
        // `ends_by` is part of the lifetime, which is in each cache key.
        let Self { audience, scope, actor, ends_by: _ } = self;
        let names = audience.as_ref().map_or(&[][..], |audience| audience.names());
        append_count(names.len(), out);
        names.iter().for_each(|name| append_text(name, out));
        append_text(scope.as_ref().map_or("", Scope::as_str), out);
        let mut actors = Vec::new();
        let mut next = actor.as_ref();
        while let Some(actor) = next {
            actors.push(actor);
            next = actor.actor.as_deref();
        }
        append_count(actors.len(), out);
        for Actor { subject, issuer, actor: _ } in actors {
            append_text(subject, out);
            // An issuer is never empty, so the empty string means no issuer.
            append_text(issuer.as_deref().unwrap_or_default(), out);
        }
    }
}

fn append_count(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&count.to_le_bytes());
}

fn append_text(text: &str, out: &mut Vec<u8>) {
    append_count(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Scope tokens, separated by single spaces (RFC 6749 section 3.3). Never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Scope(String);

impl Scope {
    /// Parses `text`; `None` if it is empty or not in the form of RFC 6749 section 3.3.
    pub fn parse(text: &str) -> Option<Self> {
        let is_scope_character = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let is_token = |token: &str| !token.is_empty() && token.bytes().all(is_scope_character);
        text.split(' ').all(is_token).then(|| Self(text.to_owned()))
    }

    /// Returns the value of the claim.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the scope tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }
}

/// The party that acts for the subject (`act`, RFC 8693 section 4.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Actor {
    subject: String,
    issuer: Option<String>,
    actor: Option<Box<Actor>>,
}

impl Actor {
    /// Returns an actor with the `sub` and `iss` claims of its own token; `None` if either is empty.
    pub fn new(subject: impl Into<String>, issuer: Option<String>) -> Option<Self> {
        let subject = subject.into();
        let is_complete = !subject.is_empty() && issuer.as_ref().is_none_or(|issuer| !issuer.is_empty());
        is_complete.then_some(Self { subject, issuer, actor: None })
    }

    /// Returns this actor with `earlier`, the previous actor, nested inside.
    #[must_use]
    pub fn after(self, earlier: Actor) -> Self {
        Self { actor: Some(Box::new(earlier)), ..self }
    }

    /// Appends the value of the claim, a JSON object.
    pub(super) fn write_json(&self, out: &mut String) {
        out.push_str("{\"sub\":");
        json::write_string(&self.subject, out);
        if let Some(issuer) = &self.issuer {
            out.push_str(",\"iss\":");
            json::write_string(issuer, out);
        }
        if let Some(actor) = &self.actor {
            out.push_str(",\"act\":");
            actor.write_json(out);
        }
        out.push('}');
    }
}

impl fmt::Debug for Grant {
    /// Shows which properties are granted, without values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("audience", &self.audience.is_some())
            .field("scope", &self.scope.is_some())
            .field("actor", &self.actor)
            .finish()
    }
}

impl fmt::Debug for Scope {
    /// Shows the number of tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({} tokens)", self.tokens().count())
    }
}

impl fmt::Debug for Actor {
    /// Shows the length of the chain, without values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let depth = std::iter::successors(Some(self), |actor| actor.actor.as_deref()).count();
        f.debug_struct("Actor").field("depth", &depth).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_has_the_form_of_rfc_6749() {
        for valid in ["a", "read write", "urn:x!#[]~"] {
            assert_eq!(Scope::parse(valid).unwrap().as_str(), valid);
        }
        for invalid in ["", " ", "a ", " a", "a  b", "a\tb", "\"a\"", "a\\b", "\u{e9}"] {
            assert_eq!(Scope::parse(invalid), None, "{invalid:?}");
        }
        assert_eq!(Scope::parse("a b").unwrap().tokens().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn actor_nests_the_earlier_one() {
        let gateway = Actor::new("gateway", Some("https://idp.example".to_owned())).unwrap();
        let job = Actor::new("job\"", None).unwrap().after(gateway);
        let mut out = String::new();
        job.write_json(&mut out);
        assert_eq!(out, r#"{"sub":"job\"","act":{"sub":"gateway","iss":"https://idp.example"}}"#);
        assert_eq!(Actor::new("", None), None);
        assert_eq!(Actor::new("a", Some(String::new())), None);
        assert_eq!(format!("{job:?}"), "Actor { depth: 2, .. }");
    }

    #[test]
    fn different_grants_have_different_cache_keys() {
        let audience = |names: &[&str]| Audience::new(names.iter().map(|name| (*name).to_owned()).collect());
        let scope = |text| Scope::parse(text);
        let actor = |subject: &str, issuer: Option<&str>| Actor::new(subject, issuer.map(str::to_owned));
        let grants = [
            Grant::default(),
            Grant { audience: audience(&["a"]), ..Grant::default() },
            Grant { audience: audience(&["a", "b"]), ..Grant::default() },
            Grant { audience: audience(&["ab"]), ..Grant::default() },
            Grant { scope: scope("a"), ..Grant::default() },
            Grant { scope: scope("a b"), ..Grant::default() },
            Grant { actor: actor("a", None), ..Grant::default() },
            Grant { actor: actor("a", Some("b")), ..Grant::default() },
            Grant { actor: actor("a", None).map(|last| last.after(actor("b", None).unwrap())), ..Grant::default() },
            Grant { audience: audience(&["a"]), scope: scope("a"), actor: actor("a", None), ends_by: None },
        ];
        let key = |grant: &Grant| {
            let mut key = Vec::new();
            grant.append_cache_key(&mut key);
            key
        };
        for (index, left) in grants.iter().enumerate() {
            for (other, right) in grants.iter().enumerate() {
                assert_eq!(key(left) == key(right), index == other, "{left:?} {right:?}");
            }
        }
    }
}
