//! `*url.URL` and its methods, and the names of headers.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::text::{Origin, Text};
use super::value::{MapType, Value};
use crate::json::Json;

/// Go's `url.URL`, as the session carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: String,
    pub(super) opaque: String,
    pub(super) user: Option<Rc<User>>,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) raw_path: String,
    pub(super) omit_host: bool,
    pub(super) force_query: bool,
    pub(super) raw_query: String,
    pub(super) fragment: String,
    pub(super) raw_fragment: String,
    /// Whether the template's author wrote some of it, so that its quotes may be the author's.
    pub(super) is_mixed: bool,
}

/// Go's `url.Userinfo`. A session that travels as JSON has lost what was in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    password: Option<String>,
}

impl User {
    /// How many bytes its parts have.
    pub(super) fn len(&self) -> usize {
        self.name.len() + self.password.as_ref().map_or(0, String::len)
    }

    fn parse(text: &str) -> Option<Self> {
        let is_right = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
        if !text.bytes().all(is_right) {
            return None;
        }
        let (name, password) = match text.split_once(':') {
            Some((name, password)) => (name, Some(unescape(password, Part::User)?)),
            None => (text, None),
        };
        Some(Self { name: unescape(name, Part::User)?, password })
    }

    pub(super) fn to_text(&self) -> String {
        let name = escape(self.name.as_bytes(), Part::User);
        match &self.password {
            Some(password) => format!("{name}:{}", escape(password.as_bytes(), Part::User)),
            None => name,
        }
    }
}

impl Url {
    pub(super) fn from_json(json: &Json<'_>) -> Option<Self> {
        if !matches!(json, Json::Object(_)) {
            return None;
        }
        let text = |name| json.member(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let is_true = |name| json.member(name) == Some(&Json::Bool(true));
        Some(Self {
            scheme: text("Scheme"),
            opaque: text("Opaque"),
            user: json.member("User").filter(|user| matches!(user, Json::Object(_))).map(|_| Rc::default()),
            host: text("Host"),
            path: text("Path"),
            raw_path: text("RawPath"),
            omit_host: is_true("OmitHost"),
            force_query: is_true("ForceQuery"),
            raw_query: text("RawQuery"),
            fragment: text("Fragment"),
            raw_fragment: text("RawFragment"),
            is_mixed: false,
        })
    }

    /// A part of it as text.
    pub(super) fn part(&self, part: impl Into<Vec<u8>>) -> Value {
        Value::text(Text::new(part, if self.is_mixed { Origin::Mixed } else { Origin::Data }))
    }

    /// The exported fields in Go's order.
    pub(super) fn fields(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &String| self.part(text.as_str());
        vec![
            ("Scheme", text(&self.scheme)),
            ("Opaque", text(&self.opaque)),
            ("User", Value::UserInfo(self.user.clone())),
            ("Host", text(&self.host)),
            ("Path", text(&self.path)),
            ("Fragment", text(&self.fragment)),
            ("RawQuery", text(&self.raw_query)),
            ("RawPath", text(&self.raw_path)),
            ("RawFragment", text(&self.raw_fragment)),
            ("ForceQuery", Value::Bool(self.force_query)),
            ("OmitHost", Value::Bool(self.omit_host)),
        ]
    }

    /// Reads an absolute or relative reference, as Go's `url.Parse` does.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut url = Url::default();
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        if rest.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return None;
        }
        url.fragment = unescape(fragment, Part::Fragment)?;
        if escape(url.fragment.as_bytes(), Part::Fragment) != fragment {
            url.raw_fragment = fragment.to_owned();
        }
        if rest == "*" {
            url.path = rest.to_owned();
            return Some(url);
        }
        let mut rest = rest;
        let scheme_end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
        if let Some(end) = scheme_end
            && rest[end..].starts_with(':')
        {
            if end == 0 {
                return None;
            }
            if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
                url.scheme = rest[..end].to_ascii_lowercase();
                rest = &rest[end + 1..];
            }
        }
        if let Some((before, query)) = rest.split_once('?') {
            url.force_query = query.is_empty();
            url.raw_query = query.to_owned();
            rest = before;
        }
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                url.opaque = rest.to_owned();
                return Some(url);
            }
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return None;
            }
        }
        let mut path = rest;
        if let Some(after) = rest.strip_prefix("//")
            && (!url.scheme.is_empty() || !rest.starts_with("///"))
        {
            let end = after.find('/').unwrap_or(after.len());
            let (authority, remaining) = after.split_at(end);
            let (user, host) = match authority.rsplit_once('@') {
                Some((user, host)) => (Some(user), host),
                None => (None, authority),
            };
            url.host = host_of(host)?;
            url.user = match user {
                Some(user) => Some(Rc::new(User::parse(user)?)),
                None => None,
            };
            path = remaining;
        } else if !url.scheme.is_empty() && rest.starts_with('/') && !rest.starts_with("//") {
            url.omit_host = true;
        }
        url.set_path(path)?;
        Some(url)
    }

    /// Whether a path has only escapes that Go reads.
    pub(super) fn has_right_escapes(path: &str) -> bool {
        unescape_bytes(path, Part::Path).is_some()
    }

    /// Takes an escaped path.
    pub(super) fn set_path(&mut self, path: &str) -> Option<()> {
        self.path = unescape(path, Part::Path)?;
        if escape(self.path.as_bytes(), Part::Path) != path {
            path.clone_into(&mut self.raw_path);
        } else {
            self.raw_path.clear();
        }
        Some(())
    }

    /// Go's `EscapedPath`.
    pub(super) fn escaped_path(&self) -> String {
        if is_escaped(&self.raw_path, Part::Path) && unescape(&self.raw_path, Part::Path).as_ref() == Some(&self.path) {
            return self.raw_path.clone();
        }
        if self.path == "*" {
            return self.path.clone();
        }
        escape(self.path.as_bytes(), Part::Path)
    }

    /// Go's `EscapedFragment`.
    pub(super) fn escaped_fragment(&self) -> String {
        if is_escaped(&self.raw_fragment, Part::Fragment)
            && unescape(&self.raw_fragment, Part::Fragment).as_ref() == Some(&self.fragment)
        {
            return self.raw_fragment.clone();
        }
        escape(self.fragment.as_bytes(), Part::Fragment)
    }

    /// Go's `String`.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        if !self.scheme.is_empty() {
            text.push_str(&self.scheme);
            text.push(':');
        }
        if !self.opaque.is_empty() {
            text.push_str(&self.opaque);
        } else {
            if !self.scheme.is_empty() || !self.host.is_empty() || self.user.is_some() {
                let omitted = self.omit_host && self.host.is_empty() && self.user.is_none();
                if !omitted {
                    if !self.host.is_empty() || !self.path.is_empty() || self.user.is_some() {
                        text.push_str("//");
                    }
                    if let Some(user) = &self.user {
                        text.push_str(&user.to_text());
                        text.push('@');
                    }
                    text.push_str(&escape(self.host.as_bytes(), Part::Host));
                }
            }
            let path = self.escaped_path();
            if !path.is_empty() && !path.starts_with('/') && !self.host.is_empty() {
                text.push('/');
            }
            if text.is_empty() && path.split('/').next().is_some_and(|segment| segment.contains(':')) {
                text.push_str("./");
            }
            text.push_str(&path);
        }
        if self.force_query || !self.raw_query.is_empty() {
            text.push('?');
            text.push_str(&self.raw_query);
        }
        if !self.fragment.is_empty() {
            text.push('#');
            text.push_str(&self.escaped_fragment());
        }
        text
    }

    /// Go's `Redacted`.
    pub(super) fn redacted(&self) -> String {
        let hidden = |user: &Rc<User>| match &user.password {
            Some(_) => Rc::new(User { name: user.name.clone(), password: Some("xxxxx".to_owned()) }),
            None => Rc::clone(user),
        };
        Self { user: self.user.as_ref().map(hidden), ..self.clone() }.to_text()
    }

    /// Go's `ResolveReference`: where `reference` leads from here.
    pub(super) fn resolved(&self, reference: &Self) -> Option<Self> {
        let mut url = reference.clone();
        url.is_mixed |= self.is_mixed;
        if reference.scheme.is_empty() {
            url.scheme.clone_from(&self.scheme);
        }
        if !reference.scheme.is_empty() || !reference.host.is_empty() || reference.user.is_some() {
            url.set_path(&resolved_path(&reference.escaped_path(), ""))?;
            return Some(url);
        }
        if reference.opaque.is_empty() {
            if reference.path.is_empty() && !reference.force_query && reference.raw_query.is_empty() {
                url.raw_query.clone_from(&self.raw_query);
                if reference.fragment.is_empty() {
                    url.fragment.clone_from(&self.fragment);
                    url.raw_fragment.clone_from(&self.raw_fragment);
                }
            }
            if !reference.path.is_empty() || self.opaque.is_empty() {
                url.host.clone_from(&self.host);
                url.user.clone_from(&self.user);
                url.set_path(&resolved_path(&self.escaped_path(), &reference.escaped_path()))?;
                return Some(url);
            }
            url.opaque.clone_from(&self.opaque);
        }
        Some(Self { user: None, host: String::new(), path: String::new(), ..url })
    }

    /// Go's `Hostname` and `Port`.
    pub(super) fn host_parts(&self) -> (&str, &str) {
        let (mut host, mut port) = (self.host.as_str(), "");
        if let Some(colon) = host.rfind(':')
            && host[colon + 1..].bytes().all(|byte| byte.is_ascii_digit())
        {
            (host, port) = (&host[..colon], &host[colon + 1..]);
        }
        let host = host.strip_prefix('[').and_then(|inside| inside.strip_suffix(']')).unwrap_or(host);
        (host, port)
    }

    /// Go's `RequestURI`.
    pub(super) fn request_uri(&self) -> String {
        let mut text = if self.opaque.is_empty() {
            let path = self.escaped_path();
            if path.is_empty() { "/".to_owned() } else { path }
        } else if self.opaque.starts_with("//") {
            format!("{}:{}", self.scheme, self.opaque)
        } else {
            self.opaque.clone()
        };
        if self.force_query || !self.raw_query.is_empty() {
            text.push('?');
            text.push_str(&self.raw_query);
        }
        text
    }

    /// Go's `Query`: pairs that cannot be read are left out.
    pub(super) fn query(&self) -> Value {
        let mut values: BTreeMap<Vec<u8>, Vec<Value>> = BTreeMap::new();
        for pair in self.raw_query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(name), Some(value)) = (unescape_bytes(name, Part::Query), unescape_bytes(value, Part::Query)) {
                values.entry(name).or_default().push(self.part(value));
            }
        }
        let entries =
            values.into_iter().map(|(name, items)| (name, Value::list(super::value::Element::String, items))).collect();
        Value::map(MapType::Values, entries)
    }
}

/// The path to which `reference` leads from `base`, without dots that are names of folders.
fn resolved_path(base: &str, reference: &str) -> String {
    let folder = base.rfind('/').map_or("", |end| &base[..=end]);
    let full = match reference {
        "" => base.to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative => format!("{folder}{relative}"),
    };
    if full.is_empty() {
        return full;
    }
    let mut parts = Vec::new();
    for part in full.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    if matches!(full.rsplit('/').next(), Some("." | "..")) {
        parts.push("");
    }
    let joined = parts.join("/");
    if joined.starts_with('/') { joined } else { format!("/{joined}") }
}

fn host_of(text: &str) -> Option<String> {
    let is_port = |text: &str| match text.strip_prefix(':') {
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()),
        None => text.is_empty(),
    };
    if let Some(inside) = text.strip_prefix('[') {
        let (literal, port) = inside.rsplit_once(']')?;
        let (address, zone) = literal.split_once("%25").unwrap_or((literal, ""));
        address.parse::<std::net::Ipv6Addr>().ok().filter(|_| is_port(port))?;
        let zone = if literal.contains("%25") { format!("%{}", unescape(zone, Part::Path)?) } else { String::new() };
        return Some(format!("[{address}{zone}]{port}"));
    }
    // A second colon would make it unclear where the port starts.
    let port = text.find(':').map_or("", |colon| &text[colon..]);
    if text.contains('[') || !is_port(port) {
        return None;
    }
    unescape(text, Part::Host)
}

/// Whether text that is not empty can stand in a URL as it is.
fn is_escaped(text: &str, part: Part) -> bool {
    !text.is_empty() && text.bytes().all(|byte| b"!$&'()*+,;=:@[]%".contains(&byte) || is_kept(byte, part))
}

/// Whether Go leaves `byte` as it is.
fn is_kept(byte: u8, part: Part) -> bool {
    byte.is_ascii_alphanumeric()
        || b"-_.~".contains(&byte)
        || match part {
            Part::Host => b"!$&'()*+,;=:[]<>\"".contains(&byte),
            Part::Path => b"$&+,/:;=@".contains(&byte),
            Part::Query => false,
            Part::Fragment => b"$&+,/:;=?@!()*".contains(&byte),
            Part::User => b"$&+,;=".contains(&byte),
        }
}

/// The part of a URL that text stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Fragment,
    Host,
    Path,
    Query,
    User,
}

/// Go's `url.escape`.
pub(super) fn escape(bytes: &[u8], part: Part) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if is_kept(*byte, part) {
            out.push(char::from(*byte));
        } else if *byte == b' ' && part == Part::Query {
            out.push('+');
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unescape(text: &str, part: Part) -> Option<String> {
    // Bytes that are not UTF-8 cannot be kept here, so they are refused.
    unescape_bytes(text, part).and_then(|bytes| String::from_utf8(bytes).ok())
}

fn unescape_bytes(text: &str, part: Part) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                let decoded = u8::try_from(high * 16 + low).ok()?;
                // In names of hosts only what is no ASCII may be escaped, and the percent sign.
                if part == Part::Host && decoded < 0x80 && decoded != b'%' {
                    return None;
                }
                decoded
            }
            other if part == Part::Host && other < 0x80 && !is_kept(other, part) => return None,
            b'+' if part == Part::Query => b' ',
            other => other,
        });
    }
    Some(out)
}

/// Go's `textproto.CanonicalMIMEHeaderKey`.
pub(super) fn canonical_header(name: &[u8]) -> Vec<u8> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if !name.iter().all(is_token) {
        return name.to_vec();
    }
    let mut upper = true;
    name.iter()
        .map(|byte| {
            let canonical = if upper { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
            upper = *byte == b'-';
            canonical
        })
        .collect()
}
