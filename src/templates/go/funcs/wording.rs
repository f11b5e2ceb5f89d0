//! sprig's functions that change the case of text.

use super::casing::{pascal, separated};
use super::{Called, Function, Type, function, text};
use crate::templates::go::context::Context;
use crate::templates::go::text::{Glyph, Text};
use crate::templates::go::value::Value;

const TEXT: &[Type] = &[Type::String];

pub(super) static FUNCTIONS: &[Function] = &[
    function("upper", TEXT, |context, values| changed(context, values, |glyphs| each(glyphs, upper))),
    function("lower", TEXT, |context, values| changed(context, values, |glyphs| each(glyphs, lower))),
    function("title", TEXT, |context, values| changed(context, values, title)),
    function("untitle", TEXT, |context, values| changed(context, values, untitle)),
    function("swapcase", TEXT, |context, values| changed(context, values, swap_case)),
    function("initials", TEXT, |context, values| {
        let text = text(values, 0);
        context.charge_bytes(text.len())?;
        Ok(Value::text(initials(&text)))
    }),
    function("snakecase", TEXT, |context, values| changed(context, values, |glyphs| separated(glyphs, '_'))),
    function("kebabcase", TEXT, |context, values| changed(context, values, |glyphs| separated(glyphs, '-'))),
    function("camelcase", TEXT, |context, values| changed(context, values, pascal)),
];

fn changed(context: &mut Context<'_>, values: &[Value], change: fn(&[Glyph]) -> Text) -> Called {
    let text = text(values, 0);
    context.charge_bytes(text.len())?;
    Ok(Value::text(change(&text.glyphs())))
}

/// Each character changed by itself.
fn each(glyphs: &[Glyph], mut change: impl FnMut(char) -> char) -> Text {
    let mut out = Text::default();
    for glyph in glyphs {
        out.push_char(change(glyph.character), glyph.origin);
    }
    out
}

/// Go maps one character to one character.
pub(super) fn upper(character: char) -> char {
    let mut mapped = character.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        // Small Greek letters with an iota below have one large letter besides the two that Unicode writes.
        _ => match character {
            '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shifted(character, 8),
            '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(character, 9),
            _ => character,
        },
    }
}

pub(super) fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// The form that starts a word.
fn titled(character: char) -> char {
    match character {
        'Ǆ'..='ǆ' => 'ǅ',
        'Ǉ'..='ǉ' => 'ǈ',
        'Ǌ'..='ǌ' => 'ǋ',
        'Ǳ'..='ǳ' => 'ǲ',
        '\u{10d0}'..='\u{10ff}' => character,
        other => upper(other),
    }
}

fn shifted(character: char, by: u32) -> char {
    char::from_u32(u32::from(character) + by).unwrap_or(character)
}

fn title(glyphs: &[Glyph]) -> Text {
    let is_separator = |character: char| match character {
        '_' => false,
        ascii if ascii.is_ascii() => !ascii.is_ascii_alphanumeric(),
        other => !other.is_alphanumeric() && other.is_whitespace(),
    };
    let mut previous = ' ';
    each(glyphs, |character| {
        let starts = is_separator(std::mem::replace(&mut previous, character));
        if starts { titled(character) } else { character }
    })
}

fn untitle(glyphs: &[Glyph]) -> Text {
    let mut starts = true;
    each(glyphs, |character| {
        let is_first = std::mem::replace(&mut starts, character.is_whitespace());
        if is_first { lower(character) } else { character }
    })
}

fn swap_case(glyphs: &[Glyph]) -> Text {
    let mut starts = true;
    each(glyphs, |character| {
        let is_large = character.is_uppercase() || matches!(character, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ');
        let is_letter = is_large || character.is_lowercase();
        let is_first = std::mem::replace(&mut starts, !is_letter && character.is_whitespace());
        match (is_large, is_letter) {
            (true, _) => lower(character),
            (false, true) if is_first => titled(character),
            (false, true) => upper(character),
            (false, false) => character,
        }
    })
}

/// sprig's library looks at bytes here, each as if it were a character of Latin-1.
fn initials(text: &Text) -> Text {
    let mut out = Text::default();
    let mut starts = true;
    for (piece, origin) in text.pieces() {
        for character in piece.iter().copied().map(char::from) {
            let was_gap = std::mem::replace(&mut starts, character.is_whitespace());
            if was_gap && !character.is_whitespace() {
                out.push_char(character, origin);
            }
        }
    }
    out
}
