//! Sources of the type `jwt`.

use std::path::Path;
use std::time::Duration;

use super::super::fault::Faults;
use super::super::key_source::KeySource;
use super::super::read::{Mapping, Misfit, duration, texts, words};
use super::super::values::HttpUrl;
use super::assurance::assurance;
use super::{TIMEOUT, member_path};
use crate::keys::SignatureAlg;
use crate::remote::RemoteSource;
use crate::sources::{JwtSpec, KeyFile, KeyOrigin};

pub(super) const KEYS: &[&str] =
    &["issuer", "audience", "algorithms", "typ", "jwks", "subject", "leeway", "timeout", "assurance"];

const SUBJECT: &str = "sub";
const LEEWAY: Duration = Duration::from_secs(30);
/// A longer leeway would let tokens in that are not valid for a long time.
const LONGEST_LEEWAY: Duration = Duration::from_secs(300);

pub(super) fn source(mapping: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<JwtSpec> {
    for key in ["issuer", "audience", "algorithms"] {
        if mapping.given(key).is_none() {
            mapping.miss(key, faults);
        }
    }
    let issuer = mapping.value("issuer", faults, words);
    let audience = mapping.value("audience", faults, texts);
    let algorithms = mapping.value("algorithms", faults, |node, kind| {
        let algs: Option<Vec<_>> = texts(node, kind)?.iter().map(|name| algorithm(name)).collect();
        algs.ok_or_else(|| Misfit::Found("a name that is none of these".to_owned()))
    });
    let typ = mapping.optional("typ", faults, words);
    let jwks = mapping.optional("jwks", faults, |node, kind| {
        let found = |found| Misfit::Found(found);
        match KeySource::parse(&words(node, kind)?, base_dir).map_err(found)? {
            KeySource::File(path) => Ok(KeyOrigin::File(KeyFile { path, bytes: None })),
            KeySource::Remote(source) if source.is_http() => Ok(KeyOrigin::Url(source)),
            KeySource::Inline(_) | KeySource::Remote(_) => Err(found("a URL with another scheme".to_owned())),
        }
    });
    let subject = member_path(mapping, "subject", SUBJECT, faults);
    let leeway = mapping.optional("leeway", faults, |node, kind| {
        duration(node, kind).and_then(|leeway| if leeway <= LONGEST_LEEWAY { Ok(leeway) } else { Err(Misfit::Kind) })
    });
    let timeout = mapping.optional("timeout", faults, duration);
    let assurance = assurance(mapping, faults);
    let issuer = issuer?;
    let keys = match jwks? {
        Some(keys) => Some(keys),
        None => discovery(mapping, &issuer, faults),
    };
    Some(JwtSpec {
        issuer,
        audience: audience?,
        algorithms: algorithms?,
        typ: typ?,
        keys: keys?,
        subject: subject?,
        leeway: leeway?.unwrap_or(LEEWAY),
        timeout: timeout?.unwrap_or(TIMEOUT),
        assurance: assurance?,
    })
}

/// Returns the discovery document of an issuer (OpenID Connect Discovery 1.0 section 4).
fn discovery(mapping: &Mapping<'_>, issuer: &str, faults: &mut Faults) -> Option<KeyOrigin> {
    let base = HttpUrl::parse_base(issuer);
    let url = base.and_then(|base| RemoteSource::parse(&format!("{base}/.well-known/openid-configuration")).ok());
    if url.is_none() {
        let expected = "an http or https URL for discovery, or jwks beside it";
        faults.add(mapping.path_of("issuer"), expected, "other text", &mapping.place_of("issuer"));
    }
    url.map(KeyOrigin::Discovery)
}

/// Parses an asymmetric algorithm: everyone who verifies with a symmetric key can also sign with it.
fn algorithm(name: &str) -> Option<SignatureAlg> {
    SignatureAlg::parse(name).filter(|alg| !alg.is_symmetric())
}
