//! Helpers on text.

use regex::{Regex, RegexBuilder};

use super::{Arguments, Stop};
use crate::templates::handlebars::value::{Shape, Value};
use crate::templates::pattern::{self, PatternSize};

/// The steps that compiling a pattern costs while a template is rendered.
const PATTERN_STEPS: usize = 2_000;
/// The steps to parse a byte of it.
const STEPS_TO_PARSE: usize = 40;
/// The steps to compile a state of it.
const STEPS_PER_STATE: usize = 4;
/// How often a change of letter case reads and writes each byte.
const READS_OF_CASE: usize = 12;
/// How often a search for all places of a text reads each byte.
const READS_OF_MATCHES: usize = 2;
/// How many of these places one step replaces.
const MATCHES_PER_STEP: usize = 8;
/// The steps to make a text of a part of another one.
const STEPS_PER_PART: usize = 2;

pub(super) fn upper<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let text = arguments.text(0)?;
    arguments.meter.spend_bytes(text.len().saturating_mul(READS_OF_CASE))?;
    Ok(text.to_uppercase().into())
}

pub(super) fn lower<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let text = arguments.text(0)?;
    arguments.meter.spend_bytes(text.len().saturating_mul(READS_OF_CASE))?;
    Ok(text.to_lowercase().into())
}

pub(super) fn trim<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    Ok(arguments.text(0)?.trim().to_owned().into())
}

pub(super) fn replace<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let (text, old, new) = (arguments.text(0)?, arguments.text(1)?, arguments.text(2)?);
    if old.is_empty() {
        return Err(arguments.wrong(1, "a string that is not empty"));
    }
    // Each byte can be a match.
    arguments.meter.spend_bytes(text.len().saturating_mul(READS_OF_MATCHES))?;
    // The result may be as large as the text times the new part, so it is paid for before it is made.
    let count = text.matches(old).count();
    arguments.meter.spend(count / MATCHES_PER_STEP)?;
    arguments.meter.spend_bytes(count.saturating_mul(new.len()))?;
    Ok(text.replace(old, new).into())
}

pub(super) fn has_prefix<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    Ok(Value::Bool(arguments.text(0)?.starts_with(arguments.text(1)?)))
}

pub(super) fn has_suffix<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    Ok(Value::Bool(arguments.text(0)?.ends_with(arguments.text(1)?)))
}

pub(super) fn trim_prefix<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let (text, prefix) = (arguments.text(0)?, arguments.text(1)?);
    Ok(text.strip_prefix(prefix).unwrap_or(text).to_owned().into())
}

pub(super) fn trim_suffix<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let (text, suffix) = (arguments.text(0)?, arguments.text(1)?);
    Ok(text.strip_suffix(suffix).unwrap_or(text).to_owned().into())
}

pub(super) fn split<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let (text, separator) = (arguments.text(0)?, arguments.text(1)?);
    if separator.is_empty() {
        return Err(arguments.wrong(1, "a string that is not empty"));
    }
    arguments.meter.spend_bytes(text.len().saturating_mul(READS_OF_MATCHES))?;
    let parts = text.matches(separator).count().saturating_add(1);
    arguments.meter.spend(parts.saturating_mul(STEPS_PER_PART))?;
    Ok(Value::list(text.split(separator).map(|part| part.to_owned().into()).collect()))
}

pub(super) fn join<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let elements = arguments.elements(0)?;
    let separator = if arguments.len() > 1 { arguments.text(1)? } else { "," };
    arguments.meter.spend_bytes(separator.len().saturating_mul(elements.len()))?;
    let mut joined = String::new();
    for (index, element) in elements.to_vec().iter().enumerate() {
        if index > 0 {
            joined.push_str(separator);
        }
        arguments.push_scalar(element, 0, &mut joined)?;
    }
    Ok(joined.into())
}

pub(super) fn concat<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    if matches!(arguments.present(0)?.shape(), Shape::Array(_)) {
        let mut all = Vec::new();
        for index in 0..arguments.len() {
            all.extend(arguments.elements(index)?.to_vec());
        }
        return Ok(Value::list(all));
    }
    let mut joined = String::new();
    for index in 0..arguments.len() {
        let value = arguments.present(index)?;
        arguments.push_scalar(value, index, &mut joined)?;
    }
    Ok(joined.into())
}

pub(super) fn regex_match<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let (text, pattern) = (arguments.text(0)?, arguments.text(1)?);
    if let Some(compiled) = arguments.pattern {
        return matches(arguments, compiled, text);
    }
    // Compiling costs far more than matching.
    arguments.meter.spend(PATTERN_STEPS + pattern.len() * STEPS_TO_PARSE)?;
    match Pattern::compile(pattern) {
        Ok(compiled) => {
            arguments.meter.spend(compiled.size.states * STEPS_PER_STATE)?;
            matches(arguments, &compiled, text)
        }
        Err(_) => Err(arguments.wrong(1, "a regular expression of moderate size")),
    }
}

/// Matching is linear in the text, with the size of the compiled pattern as the factor.
fn matches<'r>(arguments: &mut Arguments<'_, 'r>, pattern: &Pattern, text: &str) -> Result<Value<'r>, Stop> {
    arguments.meter.spend(pattern.size.search_steps(text.len()))?;
    Ok(Value::Bool(pattern.regex.is_match(text)))
}

/// A compiled pattern.
#[derive(Debug)]
pub(in crate::templates::handlebars) struct Pattern {
    regex: Regex,
    /// The measure of what compiling and matching cost.
    pub(in crate::templates::handlebars) size: PatternSize,
}

impl Pattern {
    /// Compiles a pattern, bounded in size.
    pub(in crate::templates::handlebars) fn compile(text: &str) -> Result<Self, String> {
        let size = PatternSize::of(text)?;
        let regex = RegexBuilder::new(text)
            .size_limit(pattern::LARGEST)
            .dfa_size_limit(pattern::LARGEST)
            .nest_limit(pattern::DEPTH)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { regex, size })
    }
}
