//! Shadow mode: compares the claims that a profile would issue with the claims of another issuer's token in the
//! session. Results name members, never values.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::outcome::Refusal;
use crate::mint::one_line;

/// Claims that differ between any two tokens.
const IGNORED: [&str; 4] = ["exp", "iat", "jti", "nbf"];
/// The most paths of one result.
const MOST_PATHS: usize = 20;
/// The most characters of a name in a path.
const LONGEST_NAME: usize = 60;
/// The shortest value that is searched in names. Shorter values occur in names by chance.
const SHORTEST_VALUE: usize = 3;
/// Replaces a name that a value of the session contains. A value that breaks out of its string in the other token, or
/// that is JSON itself, makes such names.
const HIDDEN: &str = "(a name from a value of the session)";

/// The result of one comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ShadowResult {
    /// Both tokens have these paths in different forms, or only one of them has them.
    Different(Vec<String>),
    /// The claims are equal.
    Equal,
    /// The session has no token to compare with, for this reason.
    Failed(&'static str),
    /// The profile would not issue a token for this session.
    Refused(Refusal),
}

impl ShadowResult {
    /// Returns the label of the result in metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Different(_) => "different",
            Self::Equal => "equal",
            Self::Failed(_) => "failed",
            Self::Refused(_) => "refused",
        }
    }

    /// Compares `issued`, the claims that the profile would issue, with the token in the session `body`.
    pub(super) fn of(issued: Result<String, Refusal>, body: &[u8]) -> Self {
        let issued = match issued {
            Ok(issued) => issued,
            Err(refusal) => return Self::Refused(refusal),
        };
        let Ok(session) = serde_json::from_slice(body) else {
            return Self::Failed("the session is not JSON, or is nested too deeply to be compared");
        };
        let theirs = match token_claims(&session) {
            Ok(claims) => claims,
            Err(reason) => return Self::Failed(reason),
        };
        let Ok(Value::Object(ours)) = serde_json::from_str(&issued) else {
            return Self::Failed("the claims of the profile are not an object; this is a bug in claimsmith");
        };
        let mut differences = Differences { session: &session, count: 0, paths: Vec::new() };
        differences.find_in_members(&theirs, &ours, "");
        if differences.paths.is_empty() { Self::Equal } else { Self::Different(differences.paths) }
    }
}

/// Returns the claims of the bearer token in `header.Authorization` of `session`. The signature is not verified, because
/// nothing is decided by the claims.
fn token_claims(session: &Value) -> Result<Map<String, Value>, &'static str> {
    let member = |value: &'_ Value, name: &str| match value {
        Value::Object(members) => {
            members.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        }
        _ => None,
    };
    let values = member(session, "header").and_then(|headers| member(&headers, "authorization"));
    let token = values.and_then(|values| Some(values.get(0)?.as_str()?.split_once(' ')?.1.to_owned()));
    let token = token.ok_or(
        "the session has no bearer token in header.Authorization; put the hydrator after id_token in the rule",
    )?;
    let not_a_token = "header.Authorization of the session is not a signed JWT";
    let payload = token.split('.').nth(1).ok_or(not_a_token)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).map_err(|_| not_a_token)?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(claims)) => Ok(claims),
        _ => Err(not_a_token),
    }
}

/// The differences between the claims of two tokens for one session.
struct Differences<'s> {
    session: &'s Value,
    /// The number of members that differ, including members with the same path.
    count: usize,
    paths: Vec<String>,
}

impl Differences<'_> {
    fn find(&mut self, left: &Value, right: &Value, path: &str) {
        match (left, right) {
            (Value::Object(left), Value::Object(right)) => self.find_in_members(left, right, path),
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
                for (index, (left, right)) in left.iter().zip(right).enumerate() {
                    self.find(left, right, &format!("{path}[{index}]"));
                }
            }
            // Oathkeeper decodes numbers as float64.
            (Value::Number(left), Value::Number(right)) if left.as_f64() == right.as_f64() => {}
            _ if left == right => {}
            _ => self.add(path.to_owned()),
        }
    }

    fn find_in_members(&mut self, left: &Map<String, Value>, right: &Map<String, Value>, path: &str) {
        let only_right = right.iter().filter(|(name, _)| !left.contains_key(*name)).map(|(name, _)| (name, None));
        let all = left.iter().map(|(name, value)| (name, right.get(name).map(|other| (value, other))));
        for (name, both) in all.chain(only_right) {
            let is_equal = both.is_some_and(|(left, right)| left == right);
            if is_equal || path.is_empty() && IGNORED.contains(&name.as_str()) {
                continue;
            }
            // Each name is searched in the whole session.
            if self.count == MOST_PATHS {
                return;
            }
            self.count += 1;
            let name = self.shown(name);
            let path = if path.is_empty() { name } else { format!("{path}.{name}") };
            match both {
                Some((left, right)) => self.find(left, right, &path),
                None => self.add(path),
            }
        }
    }

    fn add(&mut self, path: String) {
        if self.paths.len() < MOST_PATHS && !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }

    /// Returns `name` as it appears in a path.
    fn shown(&self, name: &str) -> String {
        let quoted = format!("\"{name}\"");
        let hides = |value: &str| {
            value.contains(&quoted)
                // JSON in a value can have names with escapes.
                || value.contains('\\') && unescaped(value).contains(&quoted)
                // A value such as `email` discloses nothing if it is also the name of a member.
                || (value == name || value.len() >= SHORTEST_VALUE && name.contains(value))
                    && !has_member(self.session, value)
        };
        if has_text(self.session, &hides) {
            return HIDDEN.to_owned();
        }
        one_line(name, LONGEST_NAME)
    }
}

/// Returns `true` if `is_match` accepts a text value of `json`.
fn has_text(json: &Value, is_match: &dyn Fn(&str) -> bool) -> bool {
    match json {
        Value::String(value) => is_match(value),
        Value::Array(items) => items.iter().any(|item| has_text(item, is_match)),
        Value::Object(members) => members.values().any(|value| has_text(value, is_match)),
        _ => false,
    }
}

/// Returns `text` with its JSON escapes decoded.
fn unescaped(text: &str) -> String {
    let mut rest = text.chars();
    let mut out = String::with_capacity(text.len());
    while let Some(first) = rest.next() {
        let escaped = if first == '\\' { rest.next() } else { None };
        match escaped {
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => out.push(first),
        }
    }
    out
}

/// Returns `true` if `json` has a member with this name.
fn has_member(json: &Value, name: &str) -> bool {
    match json {
        Value::Array(items) => items.iter().any(|item| has_member(item, name)),
        Value::Object(members) => members.contains_key(name) || members.values().any(|value| has_member(value, name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::ErrorCode;

    fn session(claims: &str) -> Vec<u8> {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        format!("{{\"subject\":\"s\",\"header\":{{\"Authorization\":[\"Bearer {token}\"]}}}}").into_bytes()
    }

    #[test]
    fn differences_are_paths_without_values() {
        let theirs = r#"{"a":1,"b":{"c":["x",{"d":"canary"}]},"e":1700000000.0,"exp":1,"jti":"a","only":true}"#;
        let ours = r#"{"a":2,"b":{"c":["x",{"d":"z"}]},"e":1700000000,"exp":2,"jti":"b","more":null}"#;
        let ShadowResult::Different(mut paths) = ShadowResult::of(Ok(ours.to_owned()), &session(theirs)) else {
            panic!("not different")
        };
        paths.sort();
        assert_eq!(paths, ["a", "b.c[1].d", "more", "only"]);
        assert_eq!(ShadowResult::of(Ok(theirs.to_owned()), &session(theirs)), ShadowResult::Equal);
        let other = session("{}");
        let values = r#"{"name":"x","admin":"y","email":1,"acme":1,"user-z@example.org":2,"xy":3,"deep":{"k":1}}"#;
        let session = session(values).strip_suffix(b"}").unwrap().to_vec();
        let more = br#","extra":{"email":"\",\"admin\":\"y","via":"email","tenant":"acme","mail":"z@example.org","odd":"\"x\\u0079\":1","prefs":"{\"k\":1}"}}"#;
        let ShadowResult::Different(paths) = ShadowResult::of(Ok("{}".to_owned()), &[&session[..], more].concat())
        else {
            panic!("not different")
        };
        assert_eq!(paths, ["name", HIDDEN, "email", "deep"]);
        let many: Vec<String> = (0..100).map(|number| format!("\"c{number}\":1")).collect();
        let result = ShadowResult::of(Ok(format!("{{{}}}", many.join(","))), &other);
        assert!(matches!(result, ShadowResult::Different(paths) if paths.len() == MOST_PATHS));
    }

    #[test]
    fn sessions_without_a_token_fail_and_refusals_are_kept() {
        for body in [
            "{}",
            "[",
            r#"{"header":null}"#,
            r#"{"header":{"Authorization":[]}}"#,
            r#"{"header":{"Authorization":["Bearer x"]}}"#,
            r#"{"header":{"Authorization":["Bearer x.!.y"]}}"#,
        ] {
            let result = ShadowResult::of(Ok("{}".to_owned()), body.as_bytes());
            assert!(matches!(result, ShadowResult::Failed(_)), "{body}");
        }
        let refusal = Refusal::new(ErrorCode::SessionExpired, "canary");
        assert_eq!(ShadowResult::of(Err(refusal.clone()), b"{}"), ShadowResult::Refused(refusal));
    }
}
