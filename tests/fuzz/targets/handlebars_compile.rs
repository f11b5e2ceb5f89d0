//! Any text as a Handlebars template: compiling never panics, and what it renders is one JSON object.
//!
//! The first byte chooses what a missing value means; the rest is the template, which may use the partials `p` and `q`.
#![no_main]

use claimsmith_fuzz::templates::{Missing, Partial, Syntax, TemplateText};
use claimsmith_fuzz::trial::{Names, compile, render_over_hostile_sessions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let missing = match choice % 3 {
        0 => Missing::AsNull,
        1 => Missing::Error,
        _ => Missing::Omit,
    };
    let partials = [("p", "\"p{{Subject}}\""), ("q", "[{{role}}, \"{{role}}\"]")].map(|(name, text)| Partial {
        name: name.to_owned(),
        source: TemplateText { name: name.to_owned(), text: text.to_owned() },
    });
    if let Some(template) = compile(Syntax::Handlebars, text, &partials, missing) {
        render_over_hostile_sessions(&template, text, Names::MayRepeat);
    }
});
