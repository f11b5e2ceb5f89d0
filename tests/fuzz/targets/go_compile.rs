//! Any text as a Go template: reading never panics, and what it renders is one JSON object without repeated names.
#![no_main]

use claimsmith::templates::{Missing, Syntax};
use claimsmith_fuzz::trial::{Names, compile, render_over_hostile_sessions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(template) = compile(Syntax::Go, text, &[], Missing::Error) {
        render_over_hostile_sessions(&template, text, Names::Unique);
    }
});
