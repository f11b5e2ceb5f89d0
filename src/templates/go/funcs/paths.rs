//! Paths, URLs and versions.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Called, Function, Type, function, map, text};
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::text::{Origin, Text};
use crate::templates::go::urls::Url;
use crate::templates::go::value::Value;
use crate::templates::go::versions::{self, Version};

const TEXT: &[Type] = &[Type::String];

/// How often the parts of a URL are read and written until they are its text.
const READS_OF_URL: usize = 32;

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

fn on_text(values: &[Value], change: fn(&Text) -> Text) -> Called {
    Ok(Value::text(change(&text(values, 0))))
}

/// Go's `path.Clean`.
pub(in crate::templates::go) fn clean(path: &Text) -> Text {
    let is_rooted = path.bytes().starts_with(b"/");
    let mut parts: Vec<Text> = Vec::new();
    for part in path.split(b"/", None) {
        match part.bytes() {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(last) if last.bytes() != b".." => {
                    parts.pop();
                }
                _ if is_rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let mut out = Text::default();
    if is_rooted || parts.is_empty() {
        out.push(if is_rooted { b"/" } else { b"." }, Origin::Syntax);
    }
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push(b"/", Origin::Syntax);
        }
        out.push_text(part);
    }
    out
}

fn last_slash(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|byte| *byte == b'/')
}

fn base(path: &Text) -> Text {
    let bytes = path.bytes();
    let Some(last) = bytes.iter().rposition(|byte| *byte != b'/') else {
        return Text::new(if bytes.is_empty() { "." } else { "/" }, Origin::Syntax);
    };
    path.slice(last_slash(&bytes[..last]).map_or(0, |slash| slash + 1)..last + 1)
}

fn dir(path: &Text) -> Text {
    clean(&path.slice(0..last_slash(path.bytes()).map_or(0, |slash| slash + 1)))
}

fn extension(path: &Text) -> Text {
    let bytes = path.bytes();
    let name = last_slash(bytes).map_or(0, |slash| slash + 1);
    let dot = bytes[name..].iter().rposition(|byte| *byte == b'.');
    path.slice(dot.map_or(bytes.len(), |dot| name + dot)..bytes.len())
}

fn url_parse(_: &mut Context<'_>, values: &[Value]) -> Called {
    let text = text(values, 0);
    let Some(url) = std::str::from_utf8(text.bytes()).ok().and_then(Url::parse) else {
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
        entries.into_iter().map(|(name, part)| (name.as_bytes().to_vec(), Value::text(text.derived(part)))).collect();
    Ok(Value::any_map(entries))
}

fn url_join(context: &mut Context<'_>, values: &[Value]) -> Called {
    let map = map(values, 0)?;
    let entries = map.entries.borrow();
    context.steps(entries.len() as u64)?;
    for value in entries.values() {
        if let Value::String(text) = value {
            context.charge_text(text, READS_OF_URL)?;
        }
    }
    let mut origins = Text::default();
    for text in entries.values() {
        if let Value::String(text) = text {
            origins.push_text(text);
        }
    }
    let part = |name: &str| match entries.get(name.as_bytes()) {
        None => Ok(String::new()),
        Some(Value::String(text)) => match std::str::from_utf8(text.bytes()) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Problem::wrong_type(format!("expected the {name} of a URL to be UTF-8, found other bytes"))),
        },
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
    Ok(Value::text(origins.derived(url.to_text())))
}
