//! Sources of the type `kratos`.

use std::path::Path;

use super::super::fault::Faults;
use super::super::read::{Mapping, Misfit, duration, path, text_as, texts};
use super::{TIMEOUT, cache, member_path, url};
use crate::sources::{CookieName, ExtendSpec, FileSecret, KratosSpec};

pub(super) const KEYS: &[&str] =
    &["public", "cookies", "subject", "timeout", "cache", "admin", "admin_token_file", "extend"];

const COOKIE: &str = "ory_kratos_session";
const SUBJECT: &str = "identity.id";

pub(super) fn source(mapping: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<KratosSpec> {
    if mapping.given("public").is_none() {
        mapping.miss("public", faults);
    }
    let public = mapping.value("public", faults, |node, kind| {
        let public = text_as(url)(node, kind)?;
        match public.path().trim_end_matches('/').ends_with("/sessions/whoami") {
            true => {
                Err(Misfit::Found("one that ends with /sessions/whoami; remove that, because it is added".to_owned()))
            }
            false => Ok(public),
        }
    });
    let cookies = match mapping.given("cookies") {
        Some(_) => mapping.value("cookies", faults, |node, kind| {
            let names: Option<Vec<_>> = texts(node, kind)?.iter().map(|name| CookieName::parse(name)).collect();
            names.ok_or_else(|| Misfit::Found("a name that no cookie can have".to_owned()))
        }),
        None => CookieName::parse(COOKIE).map(|name| vec![name]),
    };
    let subject = member_path(mapping, "subject", SUBJECT, faults);
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
