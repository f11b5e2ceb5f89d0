//! Sources of the type `envoy_metadata`.

use std::collections::BTreeSet;

use super::super::fault::Faults;
use super::super::read::{Mapping, words};
use super::assurance::assurance;
use super::member_path;
use crate::sources::EnvoyMetadataSpec;

pub(super) const KEYS: &[&str] = &["filter", "key", "issuer", "subject", "assurance"];

const FILTER: &str = "envoy.filters.http.jwt_authn";
const SUBJECT: &str = "sub";

pub(super) fn source(
    mapping: &Mapping<'_>,
    own_issuers: &BTreeSet<String>,
    faults: &mut Faults,
) -> Option<EnvoyMetadataSpec> {
    if mapping.given("key").is_none() {
        mapping.miss("key", faults);
    }
    let filter = mapping.optional("filter", faults, words);
    let key = mapping.value("key", faults, words);
    let issuer = mapping.optional("issuer", faults, words);
    let subject = member_path(mapping, "subject", SUBJECT, faults);
    let assurance = assurance(mapping, faults);
    Some(EnvoyMetadataSpec {
        filter: filter?.unwrap_or_else(|| FILTER.to_owned()),
        key: key?,
        issuer: issuer?,
        subject: subject?,
        assurance: assurance?,
        own_issuers: own_issuers.clone(),
    })
}
