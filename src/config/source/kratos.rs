//! Sources of the type `kratos`.

use std::path::Path;
use std::time::Duration;

use url::Url;

use super::super::fault::Faults;
use super::super::read::{Mapping, Misfit, duration, path, size, text_as, texts};
use super::super::values::HttpUrl;
use super::MEMBER_PATH;
use crate::json::MemberPath;
use crate::sources::{CacheSpec, CookieName, ExtendSpec, FileSecret, KratosSpec};

pub(super) const KEYS: &[&str] =
    &["public", "cookies", "subject", "timeout", "cache", "admin", "admin_token_file", "extend"];

const COOKIE: &str = "ory_kratos_session";
const SUBJECT: &str = "identity.id";
const TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn source(mapping: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<KratosSpec> {
    if mapping.given("public").is_none() {
        mapping.miss("public", faults);
    }
    let public = mapping.value("public", faults, text_as(url));
    let cookies = match mapping.given("cookies") {
        Some(_) => mapping.value("cookies", faults, |node, kind| {
            let names: Option<Vec<_>> = texts(node, kind)?.iter().map(|name| CookieName::parse(name)).collect();
            names.ok_or_else(|| Misfit::Found("a name that no cookie can have".to_owned()))
        }),
        None => CookieName::parse(COOKIE).map(|name| vec![name]),
    };
    let subject = match mapping.given("subject") {
        Some(_) => mapping.value("subject", faults, |node, kind| {
            let path = text_as(MemberPath::parse)(node, kind);
            path.map_err(|_| Misfit::Found(format!("text that is not {}", MEMBER_PATH.expected)))
        }),
        None => MemberPath::parse(SUBJECT),
    };
    let timeout = mapping.optional("timeout", faults, duration);
    let cache = mapping.optional_mapping("cache", faults, cache);
    let extend = extend(mapping, base_dir, faults);
    Some(KratosSpec {
        public: public?,
        cookies: cookies?,
        subject: subject?,
        timeout: timeout?.unwrap_or(TIMEOUT),
        cache: cache?,
        extend: extend?,
    })
}

fn cache(cache: &Mapping<'_>, faults: &mut Faults) -> Option<CacheSpec> {
    let ttl = cache.value("ttl", faults, duration);
    let stale_if_error = cache.value("stale_if_error", faults, duration);
    let size = cache.value("size", faults, size);
    Some(CacheSpec { ttl: ttl?, stale_if_error: stale_if_error?, size: size? })
}

/// Reads the extension and the keys that only it uses.
fn extend(mapping: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Option<ExtendSpec>> {
    let admin = mapping.optional("admin", faults, text_as(url));
    let file = mapping.optional("admin_token_file", faults, path);
    let below = mapping.optional_mapping("extend", faults, |extend, faults| extend.value("below", faults, duration));
    let (admin, file) = (admin?, file?.map(|file| base_dir.join(file)));
    let Some(below) = below? else {
        for key in ["admin", "admin_token_file"] {
            if mapping.given(key).is_some() {
                let expected = format!("extend beside {key}");
                faults.add(mapping.path_of(key), expected, "no extend", &mapping.place_of(key));
            }
        }
        return Some(None);
    };
    let Some(admin) = admin else {
        mapping.miss("admin", faults);
        return None;
    };
    Some(Some(ExtendSpec { below, admin, token: file.map(|file| FileSecret { file, text: None }) }))
}

fn url(text: &str) -> Option<Url> {
    HttpUrl::parse(text).and_then(|_| Url::parse(text).ok())
}
