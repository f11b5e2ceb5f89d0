//! What is measured with: Kratos sessions of an exact size, and generations of any number of profiles and keys.

use std::collections::BTreeMap;
use std::path::Path;

use claimsmith::TokenCache;
use claimsmith::claims::JwtId;
use claimsmith::config::Config;
use claimsmith::keys::{self, KeyId, SignatureAlg};
use claimsmith::mint::{GenerationParts, IssueRequest, Mint, ProfileSpec, TemplateFiles};
use claimsmith::templates::{Syntax, TemplateText};
use claimsmith::time::Timestamp;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use uuid::Uuid;

/// Twelve digits that differ with every request: in `match_context.header`, where real traffic carries cookies.
pub(crate) const REQUEST_DIGITS: &str = "700000000001";
/// Twelve digits that differ with every person: the end of `subject` and of `extra.identity.id`.
pub(crate) const PERSON_DIGITS: &str = "700000000002";

/// When everything that takes the time as an argument happens: after the session began, before it ends.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_780_000_000);

/// The recorded Kratos session of `templates/session` as a gateway sends it, without white space, grown by devices to
/// exactly `bytes`.
pub(crate) fn session(bytes: usize) -> String {
    let mut session: Value =
        serde_json::from_str(include_str!("../../templates/session/kratos.session.json")).expect("it is JSON");
    let person = format!("4c1d7a52-93c6-4f0e-8a55-{PERSON_DIGITS}");
    session["subject"] = json!(person);
    session["extra"]["identity"]["id"] = json!(person);
    session["match_context"]["header"]["Cookie"] = json!([format!("ory_kratos_session=MTc2{REQUEST_DIGITS}")]);
    let mut index = 0;
    loop {
        let room = bytes.checked_sub(session.to_string().len()).expect("a session is no smaller than the recorded one");
        let devices = session["extra"]["devices"].as_array_mut().expect("the recorded session has devices");
        if room < 300 {
            let last = devices.last_mut().expect("the recorded session has a device");
            let agent = last["user_agent"].as_str().expect("devices have one").to_owned();
            last["user_agent"] = json!(agent + &"x".repeat(room));
            return session.to_string();
        }
        devices.push(json!({"id": format!("f0b8a4de-5b0a-4a4f-8f39-{index:012}"), "ip_address": "198.51.100.24",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64)", "location": "Porto, PT"}));
        index += 1;
    }
}

/// A JWK Set of `count` new keys. The first signs; the others are published ahead, one an hour, as rotation leaves them.
pub(crate) fn key_set(alg: SignatureAlg, bits: Option<u32>, count: usize) -> String {
    let mut members = Vec::new();
    for index in 0..count {
        let kid = KeyId::parse(format!("key-{index}")).expect("the key ID is not empty");
        let key = keys::generate(alg, bits, &kid).expect("keys can be made");
        let mut set: Value = serde_json::from_str(key.to_set()).expect("a key set is JSON");
        if index > 0 {
            set["keys"][0]["nbf"] = json!(4_000_000_000_u64 + 3600 * index as u64);
        }
        members.push(set["keys"][0].take());
    }
    json!({ "keys": members }).to_string()
}

/// A generation of `profiles` profiles that all use `templates/<template>`, each with `keys` ES256 keys of its own; all else
/// is as the configuration has it by default.
pub(crate) fn parts(profiles: usize, keys: usize, template: &str) -> GenerationParts {
    let mut text = String::from("profiles:\n");
    for index in 0..profiles {
        let name = format!("p{index:03}");
        text.push_str(&format!("  {name}: {{ issuer: i, jwks: {name}.json, template: {template} }}\n"));
    }
    let config = Config::parse(&text, Path::new("/"), &[]).expect("it is a configuration").config;
    let profiles = config.profile_specs();
    let set = |spec: &ProfileSpec| (spec.key_set.clone(), key_set(SignatureAlg::Es256, None, keys).into_bytes().into());
    GenerationParts {
        key_sets: profiles.iter().map(set).collect(),
        profiles,
        templates: BTreeMap::from([(template.to_owned(), template_files(template))]),
        ..GenerationParts::default()
    }
}

/// The shipped template `name` alone, without its recorded cases.
pub(crate) fn template_files(name: &str) -> TemplateFiles {
    let text = TemplateText { name: format!("templates/{name}/claims.hbs"), text: template_text(name).to_owned() };
    TemplateFiles { syntax: Syntax::Handlebars, text, schema: None, cases: Vec::new() }
}

/// The text of the shipped template `name`.
pub(crate) fn template_text(name: &str) -> &'static str {
    match name {
        "identity" => include_str!("../../templates/identity/claims.hbs"),
        "session" => include_str!("../../templates/session/claims.hbs"),
        other => panic!("expected identity or session, found {other}"),
    }
}

/// The identifier of every token.
pub(crate) const JWT_ID: JwtId = JwtId::new(Uuid::from_u128(0x4000_8000_0000_0000_0000));

/// A cache that has the token of `request` and what was read of its session.
pub(crate) fn cache_of(mint: &Mint, request: &IssueRequest<'_>) -> TokenCache {
    let tokens = TokenCache::new(1 << 20);
    let params = mint.token_params(request, NOW).expect("the session gets a token");
    let key = request.cache_key(&params).expect("the profile caches");
    let make = async { mint.draft(request, params, || JWT_ID)?.sign() };
    tokens.find_or_make(&key, NOW, make).now_or_never().expect("nobody else makes it").expect("it is made");
    tokens.keep_extra(request);
    tokens
}
