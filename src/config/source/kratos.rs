//! Sources of the type `kratos`.

use std::time::Duration;

use url::Url;

use super::super::fault::Faults;
use super::super::read::{Mapping, Misfit, duration, text_as, texts};
use super::super::values::HttpUrl;
use super::MEMBER_PATH;
use crate::json::MemberPath;
use crate::sources::{CookieName, KratosSpec};

pub(super) const KEYS: &[&str] = &["public", "cookies", "subject", "timeout"];

const COOKIE: &str = "ory_kratos_session";
const SUBJECT: &str = "identity.id";
const TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn source(mapping: &Mapping<'_>, faults: &mut Faults) -> Option<KratosSpec> {
    if mapping.given("public").is_none() {
        mapping.miss("public", faults);
    }
    let url = |text: &str| HttpUrl::parse(text).and_then(|_| Url::parse(text).ok());
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
    Some(KratosSpec { public: public?, cookies: cookies?, subject: subject?, timeout: timeout?.unwrap_or(TIMEOUT) })
}
