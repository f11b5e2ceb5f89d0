//! Paths to a member of a JSON value.

use std::fmt;

use super::Json;

/// A dotted path to a member, such as `identity.traits.email` or `groups.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPath(String);

impl MemberPath {
    /// Parses a path: names without spaces, joined by dots.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = |name: &str| !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control());
        text.split('.').all(is_name).then(|| Self(text.to_owned()))
    }

    /// Returns the value at the path in `value`. A member whose name is the rest of the path takes precedence, so that
    /// `https://example.org/roles` is one name.
    pub fn find<'v, 'a>(&self, value: &'v Json<'a>) -> Option<&'v Json<'a>> {
        let (mut value, mut rest) = (value, self.0.as_str());
        loop {
            if let Some(found) = step(value, rest) {
                return Some(found);
            }
            let (name, below) = rest.split_once('.')?;
            (value, rest) = (step(value, name)?, below);
        }
    }
}

/// Returns the member `name` of an object, or the element with this index of an array.
fn step<'v, 'a>(value: &'v Json<'a>, name: &str) -> Option<&'v Json<'a>> {
    match value {
        Json::Array(_) => value.element(name.parse().ok()?),
        _ => value.member(name),
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::ReadLimits;

    #[test]
    fn path_finds_members_elements_and_names_with_dots() {
        let text = br#"{"a":{"b":["x",{"c":1}]},"https://e.org/r":"roles","a.b":{"d":2}}"#;
        let value = Json::parse(text, ReadLimits::default()).unwrap();
        let find = |path| MemberPath::parse(path).unwrap().find(&value).map(ToString::to_string);
        assert_eq!(find("a.b.1.c").as_deref(), Some("1"));
        assert_eq!(find("a.b.0").as_deref(), Some("\"x\""));
        assert_eq!(find("https://e.org/r").as_deref(), Some("\"roles\""));
        assert_eq!(find("a.b").as_deref(), Some("{\"d\":2}"), "the whole name comes first");
        for missing in ["b", "a.c", "a.b.2", "a.b.0.x", "a.b.x"] {
            assert_eq!(find(missing), None, "{missing}");
        }
        for wrong in ["", ".", "a.", ".a", "a..b", "a b"] {
            assert_eq!(MemberPath::parse(wrong), None, "{wrong}");
        }
    }
}
