//! Any text as a Handlebars template: compiling never panics, and what it renders is one JSON object. Where nothing is
//! missing, it is the same one whatever a missing value means.
//!
//! The first byte chooses what a missing value means; the rest is the template, which may use the partials `p` and `q`.
#![no_main]

use claimsmith::templates::{Missing, Partial, Syntax, TemplateText};
use claimsmith_fuzz::trial::{Names, compile, render_over_hostile_sessions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let missing = [Missing::AsNull, Missing::Error, Missing::Omit][usize::from(choice % 3)];
    let partials = [("p", "\"p{{Subject}}\""), ("q", "[{{role}}, \"{{role}}\"]")].map(|(name, text)| Partial {
        name: name.to_owned(),
        source: TemplateText { name: name.to_owned(), text: text.to_owned() },
    });
    let rendered = |missing| {
        let template = compile(Syntax::Handlebars, text, &partials, missing)?;
        Some(render_over_hostile_sessions(&template, text, Names::MayRepeat))
    };
    let claims = rendered(missing);
    if missing == Missing::Error
        && let Some(strict) = claims.filter(|claims| claims.iter().any(Option::is_some))
    {
        // Where nothing was missing, it does not matter what a missing value means.
        for other in [Missing::AsNull, Missing::Omit] {
            let lenient = rendered(other).expect("what a missing value means decides nothing when compiling");
            for (strict, lenient) in strict.iter().zip(lenient).filter(|(strict, _)| strict.is_some()) {
                assert_eq!(strict, &lenient, "{other:?} changes claims that lack nothing");
            }
        }
    }
});
