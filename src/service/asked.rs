//! Unknown profile names: how they are shown, and the nearest configured names.

use std::fmt::{self, Write as _};

use super::generation::ServedGeneration;
use super::outcome::Refusal;
use super::peer::Requester;
use crate::code::ErrorCode;
use crate::config::fault::nearest_of;

/// The longest name that is shown whole, in characters.
const SHOWN: usize = 64;
/// The number of similar names in an error.
const NEAR: usize = 3;

/// A name from a request, shortened and escaped for logs and errors.
pub(super) struct AskedName<'n>(pub(super) &'n str);

impl fmt::Display for AskedName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(SHOWN) {
            match character {
                ' '..='~' if !matches!(character, '"' | '`' | '\\') => f.write_char(character)?,
                _ => write!(f, "{}", character.escape_unicode())?,
            }
        }
        if characters.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}

/// Returns the refusal of the profile `asked`, which is not configured. Only a caller learns the names of profiles.
pub(super) fn unknown_profile(generation: &ServedGeneration, requester: &Requester, asked: &str) -> Refusal {
    if requester.caller().is_none() {
        return Refusal::unknown_profile();
    }
    let mut detail = format!("expected the name of a configured profile in the path, found `{}`", AskedName(asked));
    let names = generation.mint.profiles().map(|profile| profile.spec().name.as_str());
    let near: Vec<_> = nearest_of(asked, names, NEAR).iter().map(|name| format!("`{name}`")).collect();
    if !near.is_empty() {
        // Writing into a String cannot fail.
        let _ = write!(detail, "; did you mean {}?", near.join(" or "));
    }
    Refusal::new(ErrorCode::ProfileUnknown, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_request_is_shortened_and_escaped() {
        assert_eq!(AskedName("id-token.v2 $").to_string(), "id-token.v2 $");
        assert_eq!(AskedName("a\n\"b\u{202e}`\\").to_string(), r"a\u{a}\u{22}b\u{202e}\u{60}\u{5c}");
        let long = AskedName(&"é".repeat(10_000)).to_string();
        assert_eq!(long.matches("\\u{e9}").count(), SHOWN);
        assert!(long.ends_with('…') && long.len() < 600, "{}", long.len());
    }
}
