//! The check of a Go template that an Oathkeeper configuration contains.

use super::proof::{Fruitless, Proof};
use super::settings::ClaimsText;
use crate::code::ErrorCode;
use crate::mint::{BuildFault, FaultPointer};
use crate::templates::go::GoTemplate;
use crate::templates::{ClaimTemplate, CompileOptions, Missing, Syntax, TemplateFault, TemplateText};

/// Returns the errors of the template that `what` has; none if it compiles. `file` is the configuration.
pub(super) fn faults(claims: &ClaimsText, what: &str, file: &str) -> Vec<BuildFault> {
    let Err(error) = compile(&claims.name, &claims.text) else { return Vec::new() };
    let backslash = backslash(&claims.text).map(|offset| {
        let message = "expected no backslash outside of a string, found one";
        TemplateFault::new(ErrorCode::TemplateSyntax, &claims.name, &claims.text, offset, message)
            .help("remove the backslash; YAML keeps it, because the text is not in double quotes")
    });
    let faults: Vec<&TemplateFault> = match &backslash {
        Some(fault) => vec![fault],
        None => error.iter().collect(),
    };
    let build = |fault: &&TemplateFault| {
        BuildFault::new(fault.code, file, format!("{what}: {fault}")).at(FaultPointer::from(*fault))
    };
    faults.iter().map(build).collect()
}

/// Compiles a Go template.
///
/// # Errors
/// Returns its errors.
pub(super) fn compile(name: &str, text: &str) -> Result<ClaimTemplate, Vec<TemplateFault>> {
    let template = TemplateText { name: name.to_owned(), text: text.to_owned() };
    let options = CompileOptions { missing: Missing::AsNull, audience_configured: false };
    ClaimTemplate::compile(Syntax::Go, &template, &[], options).map_err(|error| error.faults().to_vec())
}

/// Runs a template over the trials of the import. Returns `None` if at least one of them makes claims, or if the template
/// does not compile.
pub(crate) fn fruitless(template: &TemplateText) -> Option<Fruitless> {
    let paths = GoTemplate::parse(&template.name, &template.text).ok()?.session_paths();
    let compiled = compile(&template.name, &template.text).ok()?;
    Proof::fruitless(&compiled, &paths)
}

/// Returns the offset of the first backslash in an action that is not in a string. Go's templates have no such escape, but
/// texts that were copied out of a JSON string have them.
fn backslash(text: &str) -> Option<usize> {
    let mut rest = 0;
    while let Some(start) = text.get(rest..)?.find("{{").map(|at| rest + at + 2) {
        let (mut quote, mut is_escaped) = (None, false);
        let mut end = text.len();
        for (at, character) in text.get(start..)?.char_indices() {
            match (quote, character) {
                (Some('"'), _) if is_escaped => is_escaped = false,
                (Some('"'), '\\') => is_escaped = true,
                (Some(open), _) if open == character => quote = None,
                (Some(_), _) => {}
                (None, '"' | '`') => quote = Some(character),
                (None, '\\') => return Some(start + at),
                (None, '}') if text[start + at..].starts_with("}}") => {
                    end = start + at + 2;
                    break;
                }
                (None, _) => {}
            }
        }
        rest = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backslashes_outside_of_strings_are_found() {
        assert_eq!(backslash(r#"{"o": "{{ if has \"staff\" .Extra.roles }}x{{ end }}"}"#), Some(17));
        assert_eq!(backslash(r#"{"o": "{{ print "a\"b" }}\n{{ print `\` }}"}"#), None);
        assert_eq!(backslash(r#"{"o": "{{ print "a" }}", "p": {{ print \ }}}"#), Some(39));
        assert_eq!(backslash("{{"), None);
    }

    #[test]
    fn templates_that_never_make_claims_are_found() {
        let run = |text: &str| fruitless(&TemplateText { name: "t".to_owned(), text: text.to_owned() });
        for text in ["[{{ .Subject | toJson }}]", "{\"a\": }", "null", "{{ .Subject | toJson }}"] {
            assert!(run(text).is_some_and(|found| found.is_certain), "{text}");
        }
        for text in ["{}", "{\"a\": {{ .Extra.a | toJson }}}", "{\"a\": {{ .Extra.a.b }}}"] {
            assert!(run(text).is_none(), "{text}");
        }
    }
}
