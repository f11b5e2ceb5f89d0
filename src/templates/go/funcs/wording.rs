//! sprig's functions that change the case of text.

use super::casing::{pascal, separated};
use super::{Called, Function, Type, function, text};
use crate::templates::go::context::Context;
use crate::templates::go::value::Value;

const TEXT: &[Type] = &[Type::String];

pub(super) static FUNCTIONS: &[Function] = &[
    function("upper", TEXT, |context, values| pieces(context, values, |piece| piece.chars().map(upper).collect())),
    function("lower", TEXT, |context, values| pieces(context, values, |piece| piece.chars().map(lower).collect())),
    function("title", TEXT, |context, values| whole(context, values, title)),
    function("untitle", TEXT, |context, values| whole(context, values, untitle)),
    function("swapcase", TEXT, |context, values| whole(context, values, swap_case)),
    function("initials", TEXT, |context, values| whole(context, values, initials)),
    function("snakecase", TEXT, |context, values| whole(context, values, |text| separated(text, '_'))),
    function("kebabcase", TEXT, |context, values| whole(context, values, |text| separated(text, '-'))),
    function("camelcase", TEXT, |context, values| whole(context, values, pascal)),
];

fn pieces(context: &mut Context<'_>, values: &[Value], change: fn(&str) -> String) -> Called {
    let text = text(values, 0);
    context.charge_bytes(text.len())?;
    Ok(Value::text(text.map(|piece| change(&String::from_utf8_lossy(piece)).into_bytes())))
}

fn whole(context: &mut Context<'_>, values: &[Value], change: fn(&str) -> String) -> Called {
    let text = text(values, 0);
    context.charge_bytes(text.len())?;
    Ok(Value::text(text.derived(change(&text.to_str()))))
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

fn title(text: &str) -> String {
    let is_separator = |character: char| match character {
        '_' => false,
        ascii if ascii.is_ascii() => !ascii.is_ascii_alphanumeric(),
        other => !other.is_alphanumeric() && other.is_whitespace(),
    };
    let mut previous = ' ';
    text.chars()
        .map(|character| {
            let starts = is_separator(std::mem::replace(&mut previous, character));
            if starts { titled(character) } else { character }
        })
        .collect()
}

fn untitle(text: &str) -> String {
    let mut starts = true;
    text.chars()
        .map(|character| {
            let is_first = std::mem::replace(&mut starts, character.is_whitespace());
            if is_first { lower(character) } else { character }
        })
        .collect()
}

fn swap_case(text: &str) -> String {
    let mut starts = true;
    text.chars()
        .map(|character| {
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
        .collect()
}

/// sprig's library looks at bytes here, each as if it were a character of Latin-1.
fn initials(text: &str) -> String {
    let mut starts = true;
    let characters = text.bytes().map(char::from);
    characters
        .filter(|character| {
            let was_gap = std::mem::replace(&mut starts, character.is_whitespace());
            was_gap && !character.is_whitespace()
        })
        .collect()
}
