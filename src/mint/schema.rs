//! What a template's claims must look like: a JSON Schema (2020-12) beside the template.

use std::fmt;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::claims::PrivateClaims;
use crate::code::ErrorCode;

/// A JSON Schema for the claims of one template.
pub struct ClaimsSchema {
    validator: Validator,
}

/// Why claims do not fit their schema. It names places of the schema, never values or member names of the claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// JSON Pointers (RFC 6901) into the schema, at most ten.
    places: Vec<String>,
}

impl ClaimsSchema {
    /// Reads the schema `text`. Patterns are matched in time linear in the text; nothing is ever fetched.
    ///
    /// # Errors
    /// What is wrong with it, in words.
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

    /// Checks what a template gave, without the registered claims that are added later.
    ///
    /// # Errors
    /// [`SchemaError`] with the places of the schema that the claims do not fit.
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
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::ClaimsSchema
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected claims that fit the template's claims.schema.json, found others at {}",
            self.places.join(", ")
        )
    }
}

impl std::error::Error for SchemaError {}

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
    fn claims_fit_or_are_refused_by_the_place_in_the_schema_alone() {
        assert_eq!(check(r#"{"mail":"aa@x","n":1}"#), Ok(()));
        let error = check(r#"{"mail":"secret","n":1.5,"secret-name":1}"#).unwrap_err().to_string();
        for place in ["/properties/mail/pattern", "/$defs/n/type", "/additionalProperties"] {
            assert!(error.contains(place), "{place} not in {error}");
        }
        assert!(!error.contains("secret"), "{error}");
        assert!(check("{}").unwrap_err().to_string().contains("/required"));
    }

    #[test]
    fn no_text_makes_a_pattern_slow() {
        let claims = format!("{{\"mail\":\"{}\"}}", "a".repeat(60_000));
        assert!(check(&claims).is_err());
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for wrong in
            ["", "{\"type\":\"nonsense\"}", "{\"$ref\":\"https://schemas.example/x.json\"}", "{\"pattern\":\"(?=a)\"}"]
        {
            assert!(ClaimsSchema::parse(wrong).is_err(), "{wrong}");
        }
    }
}
