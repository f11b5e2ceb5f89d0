//! `inspect`: shows the parts of a token without keys. It verifies nothing.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::output::{self, Failure};
use crate::json::{Json, ReadLimits};
use crate::time::{Clock as _, SystemClock, Timestamp};

/// The warning that comes with each result.
const UNVERIFIED: &str = "NOT VERIFIED: the signature was not checked, so anyone can have written these claims; check it with \
                          `claimsmith verify`";

pub(super) fn inspect(token: &str, as_json: bool) -> Result<(), Failure> {
    let token = output::token(token)?;
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        return Err(Failure::Refused(format!(
            "expected a JWS in compact form, three parts with two dots between them, found {}; encrypted tokens have five parts",
            match parts.len() {
                1 => "one part".to_owned(),
                count => format!("{count} parts"),
            }
        )));
    };
    let (header, claims) = (decoded("header", header)?, decoded("payload", payload)?);
    let header = parsed("header", &header)?;
    let claims = parsed("payload", &claims)?;
    if as_json {
        return output::line(&format!("{{\"verified\":false,\"header\":{header},\"claims\":{claims}}}"));
    }
    output::note(&format!("warning: {UNVERIFIED}"));
    let is_unsigned = signature.is_empty() || header.member("alg").and_then(Json::as_str) == Some("none");
    if is_unsigned {
        output::note("warning: the token has no signature");
    }
    output::line(&format!("header: {}", header.to_pretty()))?;
    output::line(&format!("claims: {}", claims.to_pretty()))?;
    for line in times(&claims, SystemClock.now()) {
        output::note(&line);
    }
    Ok(())
}

/// Returns a line for each time among the claims.
fn times(claims: &Json<'_>, now: Timestamp) -> Vec<String> {
    let time = |name: &str| match claims.member(name) {
        Some(Json::Number(number)) => number.token().parse::<i64>().ok().map(Timestamp::from_seconds),
        _ => None,
    };
    let shown = [("iat", "issued"), ("nbf", "valid from"), ("exp", "expires")];
    let lines = shown.into_iter().filter_map(|(name, words)| {
        let at = time(name)?;
        let state = match name {
            "exp" if at <= now => ", EXPIRED",
            "nbf" if at > now => ", NOT YET VALID",
            _ => "",
        };
        Some(format!("{name}: {words} {at}{state}"))
    });
    lines.collect()
}

fn decoded(part: &str, text: &str) -> Result<Vec<u8>, Failure> {
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| {
        Failure::Refused(format!("expected the {part} of the token in base64url without padding, found another text"))
    })
}

fn parsed<'t>(part: &str, bytes: &'t [u8]) -> Result<Json<'t>, Failure> {
    match Json::parse(bytes, ReadLimits::default()) {
        Ok(json @ Json::Object(_)) => Ok(json),
        Ok(json) => {
            Err(Failure::Refused(format!("expected the {part} of the token to be an object, found {}", json.kind())))
        }
        Err(error) => {
            Err(Failure::Refused(format!("expected the {part} of the token to be JSON, found another text: {error}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_name_what_has_passed() {
        let claims = Json::parse(br#"{"iat":10,"nbf":200,"exp":20}"#, ReadLimits::default()).unwrap();
        let lines = times(&claims, Timestamp::from_seconds(100));
        assert!(lines[0].starts_with("iat: issued 1970-01-01T00:00:10Z"), "{lines:?}");
        assert!(lines[1].ends_with("NOT YET VALID") && lines[2].ends_with("EXPIRED"), "{lines:?}");
    }
}
