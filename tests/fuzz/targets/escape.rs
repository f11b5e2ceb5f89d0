//! Any text in output for people: nothing of it reaches a terminal as it is, JSON keeps its meaning, and so do errors that quote it.
#![no_main]

use std::path::Path;

use claimsmith::config::Config;
use claimsmith::escape;
use claimsmith::keys::{KeyId, KeySet};
use claimsmith::templates::{ClaimTemplate, CompileOptions, Syntax, TemplateText};
use libfuzzer_sys::fuzz_target;

/// Panics if a terminal or a reader of lines would not show `text` as it is.
fn check(text: &str) {
    let hostile = |char: char| char != '\n' && (char.is_control() || ('\u{2028}'..='\u{202e}').contains(&char));
    assert!(!text.contains(hostile), "{text:?}");
}

fuzz_target!(|input: &str| {
    let line = escape::line(input);
    check(&line);
    assert!(!line.contains('\n'));
    assert_eq!(escape::line(&line), line, "escaped text has nothing to escape");
    check(&escape::lines(input));
    let json = serde_json::to_string(input).unwrap();
    assert_eq!(serde_json::from_str::<String>(&escape::line(&json)).unwrap(), input);

    if let Ok(kid) = KeyId::parse(input) {
        assert_eq!(escape::line(kid.as_str()), input, "a kid is shown as it is");
        assert!(input.len() <= 256);
    }
    if let Err(error) = Config::parse(input, Path::new("/etc/claimsmith"), &[]) {
        check(&error.to_string());
        let headline = 1;
        assert_eq!(error.to_string().lines().count(), error.faults().len() + headline, "a fault starts a line");
    }
    if let Err(error) = KeySet::parse(input.as_bytes()) {
        check(&error.to_string());
    }
    let template = TemplateText { name: input.to_owned(), text: input.to_owned() };
    for syntax in [Syntax::Handlebars, Syntax::Go] {
        if let Err(error) = ClaimTemplate::compile(syntax, &template, &[], CompileOptions::default()) {
            check(&error.to_string());
            let lines = error.faults().iter().map(|fault| 3 + usize::from(fault.help.is_some())).sum::<usize>();
            assert_eq!(error.to_string().lines().count(), lines, "a fault starts a line");
        }
    }
});
