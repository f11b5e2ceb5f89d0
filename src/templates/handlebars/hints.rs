//! Hints for common mistakes: habits from other template languages, names that cannot exist, unsupported patterns.

use super::helpers::{find, is_near};
use crate::nearest::nearest;

/// The names at the top of the session.
pub(super) const ROOTS: [&str; 5] = ["Subject", "Extra", "Header", "MatchContext", "Profile"];
/// The most characters of the message of `fail`.
pub(super) const REFUSAL_CHARS: usize = 200;

/// The members of `MatchContext`, as Oathkeeper and as the session name them.
const MATCH_CONTEXT: [&str; 8] =
    ["RegexpCaptureGroups", "URL", "Method", "Header", "regexp_capture_groups", "url", "method", "header"];

/// Returns the fault of a path from the top of the session that no session can have.
pub(super) fn impossible(path: &[String]) -> Option<(String, String)> {
    let (first, second) = (path.first()?.as_str(), path.get(1)?.as_str());
    match first {
        "Subject" => {
            let message = format!("expected `Subject` without members, found `Subject.{second}`");
            let help = "Subject is a string: write {{Subject}}; a Kratos identity is {{Extra.identity.id}}";
            Some((message, help.to_owned()))
        }
        "Profile" => {
            let message = format!("expected `Profile` without members, found `Profile.{second}`");
            Some((message, "Profile is a string, the name of the profile: write {{Profile}}".to_owned()))
        }
        "MatchContext" if !MATCH_CONTEXT.contains(&second) => {
            let message =
                format!("expected RegexpCaptureGroups, URL, Method or Header below MatchContext, found `{second}`");
            let help = match nearest(second, MATCH_CONTEXT.into_iter()) {
                Some(near) => format!("did you mean `MatchContext.{near}`?"),
                None => "data of the session is below Extra".to_owned(),
            };
            Some((message, help))
        }
        _ => None,
    }
}

/// Returns help for a path that starts with `name`, which is not at the top of the session.
pub(super) fn unknown_root(name: &str) -> String {
    let near = ROOTS.iter().find(|root| root.eq_ignore_ascii_case(name) || is_near(root, name));
    match near {
        Some(root) => format!("did you mean `{root}`?"),
        None if let Some(help) = unknown_name(name) => help.to_owned(),
        None if name == "end" => "close a block with its name, such as {{/if}} or {{/each}}".to_owned(),
        None if matches!(name, "match_context" | "matchContext" | "Match") => "did you mean `MatchContext`?".to_owned(),
        None if matches!(name, "session" | "Session" | "user") => "did you mean `Extra`?".to_owned(),
        None if find(name).is_some() => format!(
            "`{name}` is a helper: {{{{{}}}}}",
            find(name).map_or_else(String::new, |helper| helper.signature())
        ),
        None => format!("session data is below Extra: `Extra.{name}`"),
    }
}

/// Returns what is wrong with the message of a `fail`.
pub(super) fn refusal(message: &str) -> Option<&'static str> {
    if message.trim().is_empty() {
        Some("an empty one")
    } else if message.chars().count() > REFUSAL_CHARS {
        Some("a longer one")
    } else if message.chars().any(char::is_control) {
        Some("one with control characters")
    } else {
        None
    }
}

/// Returns help for the name of something that templates do not have.
pub(super) fn unknown_name(name: &str) -> Option<&'static str> {
    match name {
        "now" | "date" | "time" => {
            Some("templates read no clock, so that equal sessions get equal claims; claimsmith sets iat, nbf and exp")
        }
        "env" | "expandenv" | "getenv" => {
            Some("templates read no environment; write the value here, or give each profile a template of its own")
        }
        "uuidv4" | "uuid" | "randAlphaNum" => Some("templates have no random values; claimsmith sets jti"),
        _ => None,
    }
}

/// Returns the message and the help for a pattern that cannot be compiled.
pub(super) fn pattern(text: &str) -> (String, String) {
    let looks = ["(?=", "(?!", "(?<=", "(?<!"].into_iter().find(|group| text.contains(group));
    match looks {
        Some(group) => (
            format!("expected a regular expression without look-around, found `{group}`"),
            "matching has to be linear in time; write two conditions: {{and (regexMatch x \"…\") (not (regexMatch x \
             \"…\"))}}"
                .to_owned(),
        ),
        None => (
            "expected a regular expression of moderate size, found another text".to_owned(),
            "the syntax is that of Rust's regex: no look-around, no back references; write \\\\ for a backslash"
                .to_owned(),
        ),
    }
}

/// A hint for literal text that is not JSON.
pub(super) struct BareText {
    pub(super) message: &'static str,
    pub(super) help: &'static str,
    /// How many bytes from there on have only errors that follow from this one.
    pub(super) covers: usize,
}

/// Returns the hint for literal text at `at` of the template `text` that is not JSON, if it looks like an expression of another
/// language.
pub(super) fn bare_text(text: &str, at: usize) -> Option<BareText> {
    let (before, after) = text.split_at_checked(at)?;
    let is_braced = before.trim_end().ends_with('{');
    let to_brace = || after.find('}').unwrap_or_default();
    if after.starts_with("${") || after == "$" {
        let message = "expected JSON, found `${` as in a shell";
        return Some(BareText {
            message,
            help: "write {{Extra.name}}, and nothing before the braces",
            covers: to_brace(),
        });
    }
    if is_braced && after.starts_with('%') {
        let message = "expected JSON, found `{%` as in Jinja or Liquid";
        // The tags of such a template are everywhere in it.
        let covers = usize::MAX;
        return Some(BareText { message, help: "write {{#if Extra.x}}…{{/if}} or {{Extra.x}}", covers });
    }
    if after.starts_with(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']) {
        return Some(BareText { message: CURLY_QUOTE, help: "write straight quotes: \"name\"", covers: 0 });
    }
    let word: &str = after.split(|c: char| !c.is_alphanumeric() && !"._".contains(c)).next().unwrap_or_default();
    let is_path = word.trim_start_matches('.').split('.').next().is_some_and(|root| ROOTS.contains(&root));
    if is_path {
        return Some(BareText {
            message: "expected JSON, found a path without double braces",
            help: "write {{Extra.name}} with two braces on each side",
            covers: if is_braced { to_brace() } else { 0 },
        });
    }
    None
}

/// The message for typographic quotes.
pub(super) const CURLY_QUOTE: &str = "expected straight quotes, found a curly quote as word processors write it";

/// Returns the message and the help for something in a tag that is a habit from another language: at the byte `at` of the text
/// of the tag, which starts at `start`.
pub(super) fn in_tag(text: &str, start: usize, at: usize) -> Option<(&'static str, String)> {
    let rest = text.get(at..)?;
    let before = text.get(start..at)?.chars().next_back();
    let starts_word = before.is_none_or(|c| c.is_whitespace() || "(=".contains(c));
    if rest.starts_with(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']) {
        return Some((CURLY_QUOTE, "write straight quotes: \"text\"".to_owned()));
    }
    if starts_word && rest.starts_with('$') {
        let word = word_of(rest.trim_start_matches(['$', '.']));
        let help = match word {
            "" => "write @root for the whole session, or name a member: {{Extra}}".to_owned(),
            word => format!("write {{{{{word}}}}}; inside {{{{#each}}}} and {{{{#with}}}}, write {{{{@root.{word}}}}}"),
        };
        return Some(("expected a path, found `$` as in a Go template", help));
    }
    if rest.starts_with('?') {
        let help = match rest.starts_with("??") {
            true => "write the helper `default`: {{default Extra.x \"none\"}}",
            false => {
                "write {{#if Extra.x}}…{{else}}…{{/if}}; `default` and `has` help with members that can be missing"
            }
        };
        return Some(("expected a Handlebars expression, found an operator", help.to_owned()));
    }
    let follows_name = before.is_some_and(|c| c.is_alphanumeric() || "_-]".contains(c));
    if follows_name && rest.starts_with('[') {
        let owner = text.get(start..at)?.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
        let inner = rest.get(1..)?.split(']').next()?.trim_matches(['"', '\'', ' ']);
        let is_plain = !inner.is_empty() && inner.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
        let step = if is_plain { inner.to_owned() } else { format!("[{inner}]") };
        return Some((
            "expected a dot between the names of a path, found `[`",
            format!("write {{{{{owner}.{step}}}}}"),
        ));
    }
    None
}

fn word_of(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && !"._-".contains(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default().trim_end_matches('.')
}
