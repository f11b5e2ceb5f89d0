//! `snakecase`, `kebabcase` and `camelcase`, by the rules of the library that sprig uses.

use std::sync::LazyLock;

use regex::Regex;

use super::wording::{lower, upper};
use crate::templates::go::text::{Glyph, Origin, Text};

/// What a run of characters consists of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Characters that were no UTF-8, or none at all.
    Nothing,
    Connector,
    Letters,
    Number,
    Other,
    Punctuation,
    Upper,
}

/// A run: its kind and its characters.
type Run<'c> = (Kind, &'c [Glyph]);

/// The words of `text` in small letters with `connector` between them.
pub(super) fn separated(glyphs: &[Glyph], connector: char) -> Text {
    let mut runs = Runs { rest: glyphs };
    let mut out = Text::default();
    let mut current = runs.next();
    while !runs.rest.is_empty() {
        if current.0 != Kind::Connector {
            write(current, connector, &mut out);
        }
        let previous = std::mem::replace(&mut current, runs.next());
        let parts = |kind| !matches!(kind, Kind::Connector | Kind::Punctuation);
        match previous.0 {
            Kind::Connector => write(previous, connector, &mut out),
            Kind::Punctuation => {}
            Kind::Number => current = runs.joined_to_number(current, connector, &mut out),
            _ if current.0 != Kind::Number => {
                if parts(current.0) {
                    out.push_char(connector, Origin::Syntax);
                }
            }
            _ if runs.rest.is_empty() => {}
            _ => {
                let number = std::mem::replace(&mut current, runs.next());
                if current.0 == Kind::Letters {
                    // Small letters after a number belong to it: `http_2xx`.
                    out.push_char(connector, Origin::Syntax);
                    write(number, connector, &mut out);
                    current = runs.joined_to_number(current, connector, &mut out);
                } else {
                    write(number, connector, &mut out);
                    if parts(current.0) {
                        out.push_char(connector, Origin::Syntax);
                    }
                }
            }
        }
    }
    write(current, connector, &mut out);
    out
}

/// The words of `text`, each with a large first letter, without what connects them. Connectors at the start, all but
/// one of several, and one at the end stay.
pub(super) fn pascal(glyphs: &[Glyph]) -> Text {
    let mut out = Text::default();
    let start = glyphs.iter().take_while(|glyph| is_connector(glyph.character)).count();
    glyphs[..start].iter().for_each(|glyph| out.push_glyph(*glyph));
    let Some(Glyph { character: first, origin, .. }) = glyphs.get(start).or(glyphs.last()).copied() else {
        return out;
    };
    let mut is_after_upper = first.is_uppercase();
    // The library writes the last connector of a text of connectors once more.
    let mut pending = (if is_connector(first) { first } else { upper(first) }, origin);
    for Glyph { character, origin, .. } in glyphs.get(start + 1..).unwrap_or_default().iter().copied() {
        match (is_connector(pending.0), is_connector(character)) {
            (true, true) => {
                out.push_char(pending.0, pending.1);
                pending = (character, origin);
            }
            (true, false) => {
                is_after_upper = character.is_uppercase();
                pending = (upper(character), origin);
            }
            (false, _) => {
                out.push_char(pending.0, pending.1);
                let changed = match is_after_upper && character.is_uppercase() {
                    true => lower(character),
                    false => {
                        is_after_upper = false;
                        character
                    }
                };
                pending = (changed, origin);
            }
        }
    }
    out.push_char(pending.0, pending.1);
    out
}

fn write(run: Run<'_>, connector: char, out: &mut Text) {
    let (kind, glyphs) = run;
    for glyph in glyphs {
        match glyph.character {
            _ if !matches!(kind, Kind::Connector | Kind::Upper) => out.push_glyph(*glyph),
            joining if is_connector(joining) => out.push_char(connector, glyph.origin),
            large if large.is_uppercase() => out.push_char(lower(large), glyph.origin),
            other => out.push_char(other, glyph.origin),
        }
    }
}

struct Runs<'c> {
    rest: &'c [Glyph],
}

impl<'c> Runs<'c> {
    /// Writes the letters and numbers from `current` on; the run after them.
    fn joined_to_number(&mut self, mut current: Run<'c>, connector: char, out: &mut Text) -> Run<'c> {
        while matches!(current.0, Kind::Letters | Kind::Number) {
            write(current, connector, out);
            current = self.next();
        }
        if !matches!(current.0, Kind::Nothing | Kind::Punctuation | Kind::Connector) {
            out.push_char(connector, Origin::Syntax);
        }
        current
    }

    fn next(&mut self) -> Run<'c> {
        let Some((first, mut end)) = self.valid(0, None) else {
            return self.cut(Kind::Nothing, self.rest.len());
        };
        let kind = match first {
            connector if is_connector(connector) => Kind::Connector,
            mark if is_punctuation(mark) => Kind::Punctuation,
            large if large.is_uppercase() => Kind::Upper,
            letter if is_letter(letter) => Kind::Letters,
            digit if digit.is_numeric() => Kind::Number,
            _ => Kind::Other,
        };
        let is_small = |c: char| is_letter(c) && !c.is_uppercase();
        match kind {
            Kind::Connector => end = self.extended(end, first, is_connector),
            Kind::Punctuation => end = self.extended(end, first, is_punctuation),
            Kind::Letters => end = self.extended(end, first, is_small),
            Kind::Number => end = self.extended(end, first, char::is_numeric),
            Kind::Upper => match self.valid(end, Some(first)) {
                Some((second, next)) if second.is_uppercase() => {
                    let (mut last_start, mut at) = (end, next);
                    let mut following = second;
                    while let Some((character, next)) = self.valid(at, Some(following)) {
                        following = character;
                        if !character.is_uppercase() {
                            break;
                        }
                        (last_start, at) = (at, next);
                    }
                    // The last large letter starts the next word: `http_server`.
                    end = if at < self.rest.len() && is_letter(following) { last_start } else { at };
                }
                Some((second, next)) if is_letter(second) => end = self.extended(next, second, is_small),
                _ => {}
            },
            Kind::Nothing | Kind::Other => {
                let is_other = |c: char| !(is_connector(c) || is_letter(c) || c.is_numeric() || is_punctuation(c));
                end = self.extended(end, first, is_other);
            }
        }
        self.cut(kind, end)
    }

    fn cut(&mut self, kind: Kind, end: usize) -> Run<'c> {
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        (kind, run)
    }

    /// The next character from `at` on that was UTF-8, and where it ends; `previous` stands for any that were not at the
    /// end of the text.
    fn valid(&self, at: usize, previous: Option<char>) -> Option<(char, usize)> {
        let rest = self.rest.get(at..).filter(|rest| !rest.is_empty())?;
        match rest.iter().position(|glyph| glyph.character != char::REPLACEMENT_CHARACTER) {
            Some(index) => Some((rest[index].character, at + index + 1)),
            None => previous.map(|previous| (previous, self.rest.len())),
        }
    }

    fn extended(&self, end: usize, first: char, fits: impl Fn(char) -> bool) -> usize {
        let (mut end, mut last) = (end, first);
        while let Some((character, next)) = self.valid(end, Some(last)).filter(|(character, _)| fits(*character)) {
            (end, last) = (next, character);
        }
        end
    }
}

fn is_connector(character: char) -> bool {
    matches!(character, '-' | '_') || character.is_whitespace()
}

/// Letters of alphabets: Chinese characters are not.
fn is_letter(character: char) -> bool {
    let is_chinese = matches!(
        character,
        '\u{4e00}'..='\u{9fcc}' | '\u{3400}'..='\u{4d85}' | '\u{20000}'..='\u{2b81d}'
    );
    character.is_alphabetic() && !is_chinese
}

fn is_punctuation(character: char) -> bool {
    static PUNCTUATION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{P}$").ok());
    if character.is_ascii() {
        return character.is_ascii_punctuation() && !"$+<=>^`|~".contains(character);
    }
    PUNCTUATION.as_ref().is_some_and(|punctuation| punctuation.is_match(character.encode_utf8(&mut [0; 4])))
}
