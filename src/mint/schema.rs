//! JSON Schemas (2020-12) for the claims of templates.

use std::fmt;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;
use thiserror::Error;

use crate::claims::PrivateClaims;
use crate::code::ErrorCode;

/// A JSON Schema for the claims of one template.
pub struct ClaimsSchema {
    validator: Validator,
}

/// Claims that do not match their schema. Names positions in the schema, never values or member names of the claims.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected claims that match the template's claims.schema.json, found a mismatch at {}",
    places.join(", ")
)]
pub struct SchemaError {
    /// JSON Pointers (RFC 6901) into the schema, at most ten.
    places: Vec<String>,
}

impl ClaimsSchema {
    /// Parses the schema `text`. Patterns take time linear in the text, and references are never fetched.
    ///
    /// # Errors
    /// Returns a message that describes the error.
    pub fn parse(text: &str) -> Result<Self, String> {
        let schema: Value = serde_json::from_str(text).map_err(|error| format!("expected JSON, found: {error}"))?;
        let validator = jsonschema::options()
            .offline()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map_err(|error| format!("expected a JSON Schema (2020-12), found: {error}"))?;
        Ok(Self { validator })
    }

    /// Validates the claims of a template, before the registered claims are added.
    ///
    /// # Errors
    /// Returns [`SchemaError`] with the positions in the schema that the claims do not match.
    pub fn check(&self, claims: &PrivateClaims) -> Result<(), SchemaError> {
        let unreadable = |_| SchemaError { places: vec!["/".to_owned()] };
        let claims: Value = serde_json::from_str(&claims.to_json().to_string()).map_err(unreadable)?;
        let mut places: Vec<String> =
            self.validator.iter_errors(&claims).take(10).map(|error| error.schema_path().to_string()).collect();
        places.dedup();
        if places.is_empty() { Ok(()) } else { Err(SchemaError { places }) }
    }
}

impl SchemaError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::ClaimsSchema
    }
}

impl fmt::Debug for ClaimsSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimsSchema").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"object","required":["mail"],"additionalProperties":false,
        "properties":{"mail":{"type":"string","pattern":"^(a+)+@x$"},"n":{"$ref":"REF"}},"$defs":{"n":{"type":"integer"}}}"#;

    fn schema() -> ClaimsSchema {
        ClaimsSchema::parse(&SCHEMA.replace("REF", "#/$defs/n")).unwrap()
    }

    fn check(claims: &str) -> Result<(), SchemaError> {
        schema().check(&PrivateClaims::parse(claims, None).unwrap())
    }

    #[test]
    fn mismatch_names_schema_positions_and_no_claims() {
        assert_eq!(check(r#"{"mail":"aa@x","n":1}"#), Ok(()));
        let error = check(r#"{"mail":"secret","n":1.5,"secret-name":1}"#).unwrap_err().to_string();
        for place in ["/properties/mail/pattern", "/$defs/n/type", "/additionalProperties"] {
            assert!(error.contains(place), "{place} not in {error}");
        }
        assert!(!error.contains("secret"), "{error}");
        assert!(check("{}").unwrap_err().to_string().contains("/required"));
    }

    #[test]
    fn pattern_takes_linear_time() {
        let claims = format!("{{\"mail\":\"{}\"}}", "a".repeat(60_000));
        assert!(check(&claims).is_err());
    }

    #[test]
    fn invalid_schema_is_rejected() {
        for wrong in
            ["", "{\"type\":\"nonsense\"}", "{\"$ref\":\"https://schemas.example/x.json\"}", "{\"pattern\":\"(?=a)\"}"]
        {
            assert!(ClaimsSchema::parse(wrong).is_err(), "{wrong}");
        }
    }
}
