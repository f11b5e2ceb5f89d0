//! Paths, URLs and versions.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Called, Function, Type, function, map, text};
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::urls::Url;
use crate::templates::go::value::Value;
use crate::templates::go::versions::{self, Version};

const TEXT: &[Type] = &[Type::String];

pub(super) static FUNCTIONS: &[Function] = &[
    function("base", TEXT, |_, values| on_text(values, base)),
    function("osBase", TEXT, |_, values| on_text(values, base)),
    function("dir", TEXT, |_, values| on_text(values, dir)),
    function("osDir", TEXT, |_, values| on_text(values, dir)),
    function("clean", TEXT, |_, values| on_text(values, clean)),
    function("osClean", TEXT, |_, values| on_text(values, clean)),
    function("ext", TEXT, |_, values| on_text(values, extension)),
    function("osExt", TEXT, |_, values| on_text(values, extension)),
    function("isAbs", TEXT, |_, values| Ok(Value::Bool(text(values, 0).bytes().starts_with(b"/")))),
    function("osIsAbs", TEXT, |_, values| Ok(Value::Bool(text(values, 0).bytes().starts_with(b"/")))),
    function("urlParse", TEXT, url_parse),
    function("urlJoin", &[Type::Map], url_join),
    function("semver", TEXT, |_, values| match Version::parse(&text(values, 0).to_str()) {
        Some(version) => Ok(Value::Version(Rc::new(version))),
        None => Err(no_version()),
    }),
    function("semverCompare", &[Type::String, Type::String], |_, values| {
        let version = Version::parse(&text(values, 1).to_str()).ok_or_else(no_version)?;
        match versions::satisfies(&text(values, 0).to_str(), &version) {
            Some(satisfied) => Ok(Value::Bool(satisfied)),
            None => Err(Problem::wrong_type("expected a constraint on versions, found other text")),
        }
    }),
];

fn no_version() -> Problem {
    Problem::wrong_type("expected a semantic version, found other text")
}

fn on_text(values: &[Value], change: fn(&str) -> String) -> Called {
    let text = text(values, 0);
    Ok(Value::text(text.derived(change(&text.to_str()))))
}

/// Go's `path.Clean`.
pub(in crate::templates::go) fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(last) if *last != ".." => {
                    parts.pop();
                }
                _ if is_rooted => {}
                _ => parts.push(".."),
            },
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (is_rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some("") | None => "/".to_owned(),
        Some(last) => last.to_owned(),
    }
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |end| &path[..=end]))
}

fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rfind('.').map_or(String::new(), |at| name[at..].to_owned())
}

fn url_parse(_: &mut Context<'_>, values: &[Value]) -> Called {
    let Some(url) = Url::parse(&text(values, 0).to_str()) else {
        return Err(Problem::wrong_type("expected a URL, found other text"));
    };
    let userinfo = url.user.as_ref().map(|user| user.to_text()).unwrap_or_default();
    let entries: [(&str, &str); 8] = [
        ("scheme", &url.scheme),
        ("host", &url.host),
        ("hostname", url.host_parts().0),
        ("path", &url.path),
        ("query", &url.raw_query),
        ("opaque", &url.opaque),
        ("fragment", &url.fragment),
        ("userinfo", &userinfo),
    ];
    let entries: BTreeMap<_, _> =
        entries.into_iter().map(|(name, part)| (name.as_bytes().to_vec(), Value::data(part))).collect();
    Ok(Value::any_map(entries))
}

fn url_join(_: &mut Context<'_>, values: &[Value]) -> Called {
    let map = map(values, 0)?;
    let entries = map.entries.borrow();
    let part = |name: &str| match entries.get(name.as_bytes()) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.to_str().into_owned()),
        Some(other) => {
            Err(Problem::wrong_type(format!("expected text for the {name} of a URL, found {}", other.type_name())))
        }
    };
    let user = match part("userinfo")? {
        none if none.is_empty() => None,
        // As sprig reads it: a text that ends the host has no user in it.
        text => match Url::parse(&format!("proto://{text}@host")) {
            Some(url) => url.user,
            None => return Err(Problem::wrong_type("expected the user of a URL, found other text")),
        },
    };
    let url = Url {
        scheme: part("scheme")?,
        host: part("host")?,
        path: part("path")?,
        raw_query: part("query")?,
        opaque: part("opaque")?,
        fragment: part("fragment")?,
        user,
        ..Url::default()
    };
    Ok(Value::data(url.to_text()))
}
