//! JSON Schemas (2020-12) for the claims of templates.

use std::cell::Cell;
use std::fmt;

use jsonschema::{Draft, Keyword, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::claims::PrivateClaims;
use crate::code::ErrorCode;
use crate::templates::pattern::{LARGEST, PatternBudget, PatternSize, search_steps};

/// A JSON Schema for the claims of one template.
pub struct ClaimsSchema {
    validator: Validator,
    /// States of the patterns of `patternProperties`, which every member name can be searched with.
    name_states: usize,
}

/// Why claims are rejected. Names positions in the schema, never values or member names of the claims.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// Claims that do not match their schema.
    #[error(
        "expected claims that match the template's claims.schema.json, found a mismatch at {}",
        places.join(", ")
    )]
    Mismatch {
        /// JSON Pointers (RFC 6901) into the schema, at most ten.
        places: Vec<String>,
    },
    /// Claims that are too long for the patterns of their schema.
    #[error(
        "expected at most {limit} steps of work for the patterns of the template's claims.schema.json, found more; write \
         smaller patterns, or a maxLength beside them"
    )]
    Work {
        /// The most steps.
        limit: u64,
    },
}

thread_local! {
    /// The steps that the patterns of the validation in progress have left. A keyword gets nothing besides the value.
    static STEPS_LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

impl ClaimsSchema {
    /// Parses the schema `text`. Patterns take time linear in the text, and references are never fetched.
    ///
    /// # Errors
    /// Returns a message that describes the error.
    pub fn parse(text: &str) -> Result<Self, String> {
        let schema: Value = serde_json::from_str(text).map_err(|error| format!("expected JSON, found: {error}"))?;
        let mut patterns = Patterns::default();
        patterns.add_all_of(&schema).map_err(|(place, error)| format!("{error} (at {place})"))?;
        let validator = jsonschema::options()
            .offline()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex().size_limit(LARGEST).dfa_size_limit(LARGEST))
            .with_keyword("pattern", |_, value, _| Ok(Box::new(SearchedPattern::parse(value)?)))
            .build(&schema)
            .map_err(|error| format!("expected a JSON Schema (2020-12), found: {error}"))?;
        Ok(Self { validator, name_states: patterns.name_states })
    }

    /// Validates the claims of a template, before the registered claims are added. The patterns of the schema may take `work`
    /// steps, as searches of a template do.
    ///
    /// # Errors
    /// Returns [`SchemaError`] with the positions in the schema that the claims do not match.
    pub fn check(&self, claims: &PrivateClaims, work: u64) -> Result<(), SchemaError> {
        let unreadable = |_| SchemaError::Mismatch { places: vec!["/".to_owned()] };
        let claims: Value = serde_json::from_str(&claims.to_json().to_string()).map_err(unreadable)?;
        let too_much = SchemaError::Work { limit: work };
        let names = search_steps(self.name_states, bytes_of_names(&claims));
        let Some(left) = work.checked_sub(names as u64) else { return Err(too_much) };
        STEPS_LEFT.set(Some(left));
        let mut places: Vec<String> =
            self.validator.iter_errors(&claims).take(10).map(|error| error.schema_path().to_string()).collect();
        if STEPS_LEFT.take().is_none() {
            return Err(too_much);
        }
        places.dedup();
        if places.is_empty() { Ok(()) } else { Err(SchemaError::Mismatch { places }) }
    }
}

impl SchemaError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Mismatch { .. } => ErrorCode::ClaimsSchema,
            Self::Work { .. } => ErrorCode::TemplateLimit,
        }
    }
}

impl fmt::Debug for ClaimsSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimsSchema").finish_non_exhaustive()
    }
}

/// How many bytes the member names in `claims` have.
fn bytes_of_names(claims: &Value) -> usize {
    match claims {
        Value::Array(elements) => elements.iter().map(bytes_of_names).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + bytes_of_names(value)).sum(),
        _ => 0,
    }
}

/// The patterns of a schema.
#[derive(Default)]
struct Patterns {
    budget: PatternBudget,
    name_states: usize,
}

impl Patterns {
    /// Counts the patterns that stand in `schema`. Where a member that is called `pattern` is data, it counts, too.
    ///
    /// # Errors
    /// Returns the keyword of the first pattern that is not within the budget, and what is wrong with it.
    fn add_all_of(&mut self, schema: &Value) -> Result<(), (&'static str, String)> {
        match schema {
            Value::Array(elements) => elements.iter().try_for_each(|element| self.add_all_of(element)),
            Value::Object(members) => {
                if let Some(pattern) = members.get("pattern").and_then(Value::as_str) {
                    self.add(pattern).map_err(|error| ("pattern", error))?;
                }
                if let Some(properties) = members.get("patternProperties").and_then(Value::as_object) {
                    for pattern in properties.keys() {
                        let size = self.add(pattern).map_err(|error| ("patternProperties", error))?;
                        self.name_states = self.name_states.saturating_add(size.states);
                    }
                }
                members.values().try_for_each(|member| self.add_all_of(member))
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, pattern: &str) -> Result<PatternSize, String> {
        let size = size_of(pattern);
        self.budget.take(size).map_err(|error| error.to_string())?;
        Ok(size)
    }
}

/// The size of a pattern in the syntax of ECMAScript. What Rust does not have of that syntax counts as the largest one.
fn size_of(pattern: &str) -> PatternSize {
    PatternSize::of(pattern).unwrap_or_else(|_| PatternSize::largest())
}

/// The keyword `pattern`, which is paid for before the text is searched.
struct SearchedPattern {
    validator: Validator,
    size: PatternSize,
}

impl SearchedPattern {
    fn parse(pattern: &Value) -> Result<Self, ValidationError<'static>> {
        let schema = Value::Object(Map::from_iter([("pattern".to_owned(), pattern.clone())]));
        let validator = jsonschema::options()
            .offline()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex().size_limit(LARGEST).dfa_size_limit(LARGEST))
            .build(&schema)
            .map_err(|error| ValidationError::custom(error.to_string()))?;
        Ok(Self { validator, size: size_of(pattern.as_str().unwrap_or_default()) })
    }
}

impl<'i> Keyword<'i> for SearchedPattern {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) { Ok(()) } else { Err(ValidationError::custom("does not match the pattern")) }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        let Value::String(text) = instance else { return true };
        let steps = self.size.search_steps(text.len()) as u64;
        let left = STEPS_LEFT.get().and_then(|left| left.checked_sub(steps));
        STEPS_LEFT.set(left);
        left.is_some() && self.validator.is_valid(instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SCHEMA: &str = r#"{"type":"object","required":["mail"],"additionalProperties":false,
        "properties":{"mail":{"type":"string","pattern":"^(a+)+@x$"},"n":{"$ref":"REF"}},"$defs":{"n":{"type":"integer"}}}"#;
    const WORK: u64 = 100_000;

    fn schema() -> ClaimsSchema {
        ClaimsSchema::parse(&SCHEMA.replace("REF", "#/$defs/n")).unwrap()
    }

    fn check(claims: &str) -> Result<(), SchemaError> {
        schema().check(&PrivateClaims::parse(claims, None).unwrap(), WORK)
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
    fn searches_of_patterns_are_paid_for_by_their_size_and_text() {
        let text = "ab".repeat(30_000);
        let texts = json!({ "v": vec!["ab"; 12_000] }).to_string();
        let names = json!({ "v": (0..5_000).map(|index| (format!("ab{index}"), json!(1))).collect::<Map<_, _>>() });
        for (schema, claims) in [
            (r#"{"properties":{"v":{"pattern":"a[ab]{500}c"}}}"#, json!({ "v": text }).to_string()),
            (r#"{"properties":{"v":{"items":{"pattern":"a[ab]{500}c"}}}}"#, texts.clone()),
            (
                r##"{"properties":{"v":{"items":{"anyOf":[{"$ref":"#/$defs/p"},{"$ref":"#/$defs/p"},{"$ref":"#/$defs/p"}]}}},
                "$defs":{"p":{"pattern":"a[ab]{200}c"}}}"##,
                texts,
            ),
            (r#"{"properties":{"v":{"patternProperties":{"a[ab]{500}c":false}}}}"#, names.to_string()),
            (r#"{"properties":{"v":{"propertyNames":{"pattern":"a[ab]{500}c|b"}}}}"#, names.to_string()),
        ] {
            let schema = ClaimsSchema::parse(schema).unwrap();
            let error = schema.check(&PrivateClaims::parse(&claims, None).unwrap(), WORK).unwrap_err();
            assert_eq!((error.code(), error.clone()), (ErrorCode::TemplateLimit, SchemaError::Work { limit: WORK }));
            let small = PrivateClaims::parse(r#"{"v":"aac"}"#, None).unwrap();
            assert_ne!(schema.check(&small, WORK).map_err(|error| error.code()), Err(ErrorCode::TemplateLimit));
        }
    }

    #[test]
    fn one_validation_leaves_the_work_of_the_next_one_alone() {
        let schema = schema();
        let claims = PrivateClaims::parse(r#"{"mail":"aa@x"}"#, None).unwrap();
        assert!(matches!(schema.check(&claims, 1), Err(SchemaError::Work { .. })));
        assert_eq!(schema.check(&claims, 1_000), Ok(()));
        assert_eq!(schema.check(&claims, 1_000), Ok(()));
    }

    #[test]
    fn patterns_have_a_budget() {
        let many = |count: usize, pattern: &str| {
            let list: Vec<Value> = (0..count).map(|index| json!({ "pattern": format!("{pattern}{index}") })).collect();
            ClaimsSchema::parse(&json!({ "anyOf": list }).to_string()).map(|_| ())
        };
        assert_eq!(many(64, "a"), Ok(()));
        assert!(many(65, "a").unwrap_err().contains("at most 64 different regular expressions"));
        assert!(many(20, "\\pL{6}").unwrap_err().contains("bytes together"), "the size counts");
        let names = (0..65).map(|index| (format!("a{index}"), json!(true))).collect::<Map<_, _>>();
        assert!(ClaimsSchema::parse(&json!({ "patternProperties": names }).to_string()).is_err());
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
