//! A digest of everything that determines the claims of a profile.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::parts::{GenerationParts, TemplateFiles};
use super::spec::{Caching, Placement, ProfileSpec, Validate};
use crate::claims::{RegisteredInTemplate, SessionExpiry};
use crate::templates::{Missing, Partial, RecordedCase, RenderLimits, Syntax, TemplateText};

/// A digest of a profile's settings, its template and all files that the template was validated with, and the render
/// limits. Two profiles with the same identity render the same claims for the same session.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ProfileIdentity([u8; 32]);

impl ProfileIdentity {
    /// Returns the identity of the profile `spec` with the template `files`.
    ///
    /// Every struct is destructured by its fields, so that a new field does not compile until it is counted.
    pub(super) fn new(spec: &ProfileSpec, files: &TemplateFiles, parts: &GenerationParts) -> Self {
        let GenerationParts { profiles: _, key_sets: _, templates: _, partials, limits } = parts;
        let mut digest = Fields(Sha256::new());
        digest.spec(spec);
        let RenderLimits { output_bytes, depth, work } = *limits;
        digest.number(output_bytes as u64);
        digest.number(depth as u64);
        digest.number(work);
        let TemplateFiles { syntax, text, schema, cases } = files;
        digest.tag(match syntax {
            Syntax::Go => 0,
            Syntax::Handlebars => 1,
        });
        digest.template_text(text);
        digest.option(schema.as_ref(), Fields::template_text);
        digest.list(cases, |digest, RecordedCase { name, session, claims }| {
            digest.text(name);
            digest.bytes(session);
            digest.bytes(claims);
        });
        digest.list(partials, |digest, Partial { name, source }| {
            digest.text(name);
            digest.template_text(source);
        });
        Self(digest.0.finalize().into())
    }

    /// Returns an identity that no built profile has, for trials that are never cached.
    pub(super) const fn of_trial() -> Self {
        Self([0; 32])
    }

    /// Returns the digest.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ProfileIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = self.0;
        write!(f, "ProfileIdentity({first:02x}{second:02x}{third:02x}{fourth:02x})")
    }
}

/// Writes fields so that different values never give the same bytes: texts with their length, variants with a tag.
struct Fields(Sha256);

impl Fields {
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn tag(&mut self, tag: u8) {
        self.0.update([tag]);
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|item| write(self, item));
    }

    fn option<T>(&mut self, item: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.tag(u8::from(item.is_some()));
        if let Some(item) = item {
            write(self, item);
        }
    }

    fn template_text(&mut self, TemplateText { name, text }: &TemplateText) {
        self.text(name);
        self.text(text);
    }

    fn spec(&mut self, spec: &ProfileSpec) {
        let ProfileSpec {
            name,
            issuer,
            key_set,
            alg,
            typ,
            ttl,
            audience,
            template,
            placement,
            missing,
            expires_with,
            subject,
            allow_empty_subject,
            registered_claims,
            validate,
            cache,
            shadow,
        } = spec;
        self.text(name.as_str());
        self.text(issuer.as_str());
        self.text(key_set);
        self.option(*alg, |fields, alg| fields.text(alg.as_str()));
        self.text(typ.as_str());
        self.number(u64::from(ttl.seconds()));
        self.option(audience.as_ref(), |fields, audience| {
            fields.list(audience.names(), |fields, name| fields.text(name));
        });
        self.text(template.as_str());
        match placement {
            Placement::Extra(name) => {
                self.tag(0);
                self.text(name);
            }
            Placement::Header { name, scheme } => {
                self.tag(1);
                self.text(name.as_str());
                self.option(scheme.as_ref(), |fields, scheme| fields.text(scheme));
            }
        }
        self.tag(match missing {
            Missing::AsNull => 0,
            Missing::Error => 1,
            Missing::Omit => 2,
        });
        match expires_with {
            SessionExpiry::None => self.tag(0),
            SessionExpiry::IfPresent(path) => {
                self.tag(1);
                self.text(&path.to_string());
            }
            SessionExpiry::Required(path) => {
                self.tag(2);
                self.text(&path.to_string());
            }
        }
        self.text(&subject.to_string());
        self.tag(u8::from(*allow_empty_subject));
        self.tag(match registered_claims {
            RegisteredInTemplate::Override => 0,
            RegisteredInTemplate::Refuse => 1,
        });
        self.tag(match validate {
            Validate::Always => 0,
            Validate::Recorded => 1,
        });
        self.tag(match cache {
            Caching::Off => 0,
            Caching::On => 1,
        });
        self.tag(u8::from(*shadow));
    }
}
