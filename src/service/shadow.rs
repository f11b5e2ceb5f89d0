//! Shadow mode: compares the claims that a profile would issue with those in the token of another issuer, which the
//! session already carries. Results name members, never values.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::outcome::Refusal;

/// Claims that differ between any two tokens.
const IGNORED: [&str; 4] = ["exp", "iat", "jti", "nbf"];
/// The most paths of one result.
const MOST_PATHS: usize = 20;

/// The result of one comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShadowResult {
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
    /// Compares `issued`, the claims that the profile would issue, with the token in the session `body`.
    pub(super) fn of(issued: Result<String, Refusal>, body: &[u8]) -> Self {
        let issued = match issued {
            Ok(issued) => issued,
            Err(refusal) => return Self::Refused(refusal),
        };
        let theirs = match token_claims(body) {
            Ok(claims) => claims,
            Err(reason) => return Self::Failed(reason),
        };
        let Ok(Value::Object(ours)) = serde_json::from_str(&issued) else {
            return Self::Failed("the claims of the profile are not an object; this is a bug in claimsmith");
        };
        let mut paths = Vec::new();
        compare_members(&theirs, &ours, "", &mut paths);
        paths.truncate(MOST_PATHS);
        if paths.is_empty() { Self::Equal } else { Self::Different(paths) }
    }
}

/// Returns the claims of the bearer token in `header.Authorization` of a session. The signature is not verified,
/// because nothing is decided by the claims.
fn token_claims(body: &[u8]) -> Result<Map<String, Value>, &'static str> {
    let session: Value = serde_json::from_slice(body).map_err(|_| "the session is not JSON")?;
    let member = |value: &Value, name: &str| match value {
        Value::Object(members) => {
            members.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        }
        _ => None,
    };
    let values = member(&session, "header").and_then(|headers| member(&headers, "authorization"));
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

fn compare(left: &Value, right: &Value, path: &str, paths: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => compare_members(left, right, path, paths),
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(left, right, &format!("{path}[{index}]"), paths);
            }
        }
        // Oathkeeper decodes numbers as float64.
        (Value::Number(left), Value::Number(right)) if left.as_f64() == right.as_f64() => {}
        _ if left == right => {}
        _ => paths.push(path.to_owned()),
    }
}

fn compare_members(left: &Map<String, Value>, right: &Map<String, Value>, path: &str, paths: &mut Vec<String>) {
    let only_right = right.iter().filter(|(name, _)| !left.contains_key(*name)).map(|(name, _)| (name, None));
    let all = left.iter().map(|(name, value)| (name, right.get(name).map(|other| (value, other))));
    for (name, both) in all.chain(only_right) {
        if paths.len() > MOST_PATHS || path.is_empty() && IGNORED.contains(&name.as_str()) {
            continue;
        }
        let name: String = name.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let path = if path.is_empty() { name } else { format!("{path}.{name}") };
        match both {
            Some((left, right)) => compare(left, right, &path, paths),
            None => paths.push(path),
        }
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
        let many: Vec<String> = (0..100).map(|number| format!("\"c{number}\":1")).collect();
        let result = ShadowResult::of(Ok(format!("{{{}}}", many.join(","))), &session("{}"));
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
