//! What must hold of every configuration error.

use claimsmith::config::{ConfigError, Place};

/// Checks that `error` has faults, and that each one has a place: a position inside one of the `documents`, or a variable
/// of `environment`. A missing key has its path instead.
///
/// # Panics
/// If there is no fault, or a fault has no place.
pub fn check(error: &ConfigError, documents: &[&str], environment: &[(String, String)]) {
    assert!(!error.faults().is_empty(), "an error without a fault");
    let message = error.to_string();
    for fault in error.faults() {
        assert!(message.contains(&fault.to_string()), "{fault} is not in {message}");
        match fault.place() {
            // A text inside of another one, such as the rules in Helm values, has its own lines.
            Place::In { document, .. } if document.contains(" (") => {}
            Place::File { line, column } | Place::In { line, column, .. } => {
                let is_inside = documents.iter().any(|text| contains(text, *line, *column));
                assert!(is_inside, "line {line}, column {column} is outside of the text: {fault}");
            }
            Place::Environment(name) => {
                assert!(environment.iter().any(|(known, _)| **known == **name), "{name} is not set: {fault}");
            }
            Place::Nowhere => assert!(!fault.path().is_empty(), "no place: {fault}"),
        }
    }
}

/// Returns `true` if the position is inside `text` or directly after one of its lines.
fn contains(text: &str, line: usize, column: usize) -> bool {
    // YAML breaks lines at CR too. An error at the end of the text is on the line after the last break.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines = text.split('\n').chain([""]);
    let length = line.checked_sub(1).and_then(|index| lines.into_iter().nth(index)).map(|line| line.chars().count());
    length.is_some_and(|length| (1..=length + 1).contains(&column))
}

/// Splits `input` at the first NUL. After it come environment variables, one `NAME=value` on each line.
pub fn split_environment(input: &str) -> (&str, Vec<(String, String)>) {
    let (text, variables) = input.split_once('\0').unwrap_or((input, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    (text, variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
