//! sprig's functions that change the case of text.

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
fn upper(character: char) -> char {
    let mut mapped = character.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        _ => character,
    }
}

fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
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
            if starts { upper(character) } else { character }
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
    let changed = |character: char| match character {
        large if large.is_uppercase() => lower(large),
        small if small.is_lowercase() => upper(small),
        other => other,
    };
    text.chars().map(changed).collect()
}

fn initials(text: &str) -> String {
    text.split_whitespace().filter_map(|word| word.chars().next()).collect()
}

/// The words of `text`: separators and changes of case or between letters and digits part them.
fn words(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut words: Vec<String> = vec![String::new()];
    for (index, character) in characters.iter().copied().enumerate() {
        if matches!(character, '_' | '-' | ' ') || character.is_whitespace() {
            words.push(String::new());
            continue;
        }
        let previous = index.checked_sub(1).and_then(|index| characters.get(index)).copied();
        let next = characters.get(index + 1).copied();
        let starts = match previous {
            Some(previous) if character.is_uppercase() => {
                !previous.is_uppercase() || next.is_some_and(char::is_lowercase)
            }
            Some(previous) => character.is_numeric() != previous.is_numeric() && !previous.is_uppercase(),
            None => false,
        };
        if starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(character);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn separated(text: &str, separator: char) -> String {
    let lowered: Vec<String> = words(text).iter().map(|word| word.chars().map(lower).collect()).collect();
    lowered.join(&separator.to_string())
}

fn pascal(text: &str) -> String {
    text.split(['_', '-', ' '])
        .filter(|word| !word.is_empty())
        .map(|word| {
            let mut characters = word.chars();
            let first = characters.next().map(upper).into_iter();
            first.chain(characters).collect::<String>()
        })
        .collect()
}
