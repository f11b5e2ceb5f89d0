//! Text that knows where each piece of it comes from, which is what makes the output safe: what the template's author
//! wrote may open and close strings and objects, what a session holds may not.

use std::ops::Range;

/// Where a piece of text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Written in the template.
    Template,
    /// Written by a function around session values: quotes, brackets and separators.
    Syntax,
    /// The content of a JSON string, escaped by a function such as `toJson`. It must stay inside a string.
    Encoded,
    /// The content of a string in Go's syntax, escaped by a function such as `quote`. It must stay inside a string.
    Quoted,
    /// A session value as it is.
    Data,
    /// Text of the template and of the session, of which it is no longer known which part came from where.
    Mixed,
}

impl Origin {
    /// The origin of text that a function made from texts of both origins.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (left, right) if left == right => left,
            (Origin::Template, Origin::Syntax) | (Origin::Syntax, Origin::Template) => Origin::Mixed,
            (Origin::Syntax, other) | (other, Origin::Syntax) => other,
            (Origin::Template | Origin::Mixed, _) | (_, Origin::Template | Origin::Mixed) => Origin::Mixed,
            _ => Origin::Data,
        }
    }
}

/// Whether text means something else in a JSON string than by itself: quotes, backslashes and control characters.
pub(super) fn needs_escape(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
}

/// A character and where it comes from.
#[derive(Clone, Copy)]
pub(super) struct Glyph {
    /// U+FFFD for a byte that is not UTF-8.
    pub(super) character: char,
    /// That byte.
    byte: Option<u8>,
    pub(super) origin: Origin,
}

/// Bytes in pieces. Like Go's strings they need not be UTF-8.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    /// Ends of pieces and their origins, ascending, no two neighbours of one origin, no empty piece.
    pieces: Vec<(usize, Origin)>,
}

impl Text {
    pub(super) fn new(bytes: impl Into<Vec<u8>>, origin: Origin) -> Self {
        let bytes = bytes.into();
        let pieces = if bytes.is_empty() { Vec::new() } else { vec![(bytes.len(), origin)] };
        Self { bytes, pieces }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How often the origin changes in it.
    pub(super) fn joints(&self) -> usize {
        self.pieces.len().saturating_sub(1)
    }

    /// For comparing with names that are text.
    pub(super) fn to_str(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// The pieces in order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (&[u8], Origin)> {
        let mut start = 0;
        self.pieces.iter().map(move |(end, origin)| {
            let piece = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            (piece, *origin)
        })
    }

    /// The origin of other text that a function makes from this text as a whole. Quotes and escapes of functions are
    /// not the session's, so they must not be escaped again.
    pub(super) fn origin(&self) -> Origin {
        let is_escaped = |(piece, origin): (&[u8], Origin)| {
            matches!(origin, Origin::Syntax | Origin::Encoded | Origin::Quoted) && needs_escape(piece)
        };
        match self.content_origin() {
            Origin::Data if self.pieces().any(is_escaped) => Origin::Mixed,
            origin => origin,
        }
    }

    /// The origin of the strings in this text, which is JSON.
    pub(super) fn content_origin(&self) -> Origin {
        let origins = self.pieces.iter().map(|(_, origin)| *origin);
        match origins.reduce(Origin::and) {
            None | Some(Origin::Template) => Origin::Template,
            Some(Origin::Mixed) => Origin::Mixed,
            Some(_) => Origin::Data,
        }
    }

    /// The origin of the byte at `at`.
    pub(super) fn origin_at(&self, at: usize) -> Origin {
        let piece = self.pieces.partition_point(|(end, _)| *end <= at);
        self.pieces.get(piece).map_or(Origin::Template, |(_, origin)| *origin)
    }

    /// The characters with their origins.
    pub(super) fn glyphs(&self) -> Vec<Glyph> {
        let mut pieces = self.pieces.iter().peekable();
        characters(&self.bytes)
            .map(|(at, character, _)| {
                while pieces.next_if(|(end, _)| *end <= at).is_some() {}
                let origin = pieces.peek().map_or(Origin::Template, |(_, origin)| *origin);
                let byte = if character.is_none() { self.bytes.get(at).copied() } else { None };
                Glyph { character: character.unwrap_or(char::REPLACEMENT_CHARACTER), byte, origin }
            })
            .collect()
    }

    /// Adds a character as it is, also a byte that is not UTF-8.
    pub(super) fn push_glyph(&mut self, glyph: Glyph) {
        match glyph.byte {
            Some(byte) => self.push(&[byte], glyph.origin),
            None => self.push_char(glyph.character, glyph.origin),
        }
    }

    pub(super) fn push_char(&mut self, character: char, origin: Origin) {
        self.push(character.encode_utf8(&mut [0; 4]).as_bytes(), origin);
    }

    pub(super) fn push(&mut self, bytes: &[u8], origin: Origin) {
        if bytes.is_empty() {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len();
        match self.pieces.last_mut() {
            Some(last) if last.1 == origin => last.0 = end,
            _ => self.pieces.push((end, origin)),
        }
    }

    pub(super) fn push_text(&mut self, text: &Text) {
        for (piece, origin) in text.pieces() {
            self.push(piece, origin);
        }
    }

    /// The part at `range`, which is cut to what there is.
    pub(super) fn slice(&self, range: Range<usize>) -> Text {
        let mut part = Text::default();
        let first = self.pieces.partition_point(|(end, _)| *end <= range.start);
        let mut start = first.checked_sub(1).and_then(|before| self.pieces.get(before)).map_or(0, |(end, _)| *end);
        for (end, origin) in self.pieces.iter().skip(first) {
            if start >= range.end {
                break;
            }
            let from = range.start.max(start);
            let to = range.end.min(*end);
            if from < to {
                part.push(&self.bytes[from..to], *origin);
            }
            start = *end;
        }
        part
    }

    /// Each piece changed by itself.
    pub(super) fn map(&self, change: impl Fn(&[u8]) -> Vec<u8>) -> Text {
        let mut changed = Text::default();
        for (piece, origin) in self.pieces() {
            changed.push(&change(piece), origin);
        }
        changed
    }

    /// Other bytes made from this text as a whole.
    pub(super) fn derived(&self, bytes: impl Into<Vec<u8>>) -> Text {
        Text::new(bytes, self.origin())
    }

    /// How many parts [`Text::split`] makes.
    pub(super) fn count_parts(&self, separator: &[u8], limit: Option<usize>) -> usize {
        let parts = match separator {
            [] => characters(&self.bytes).count(),
            _ => {
                let finder = Finder::new(separator);
                let (mut parts, mut start) = (1, 0);
                while let Some(found) = finder.find(&self.bytes[start..]) {
                    parts += 1;
                    start += found + separator.len();
                }
                parts
            }
        };
        limit.map_or(parts, |limit| parts.min(limit))
    }

    /// The same text as a session's, for what a session chose to repeat.
    pub(super) fn as_data(&self) -> Text {
        let mut data = Text::default();
        for (piece, origin) in self.pieces() {
            data.push(piece, if origin == Origin::Template { Origin::Data } else { origin });
        }
        data
    }

    /// Returns `true` if a session may have decided any of it. An empty text can come from anywhere.
    pub(super) fn is_of_session(&self) -> bool {
        self.is_empty() || self.content_origin() != Origin::Template
    }

    /// The parts between occurrences of `separator`, at most `limit` of them.
    pub(super) fn split(&self, separator: &[u8], limit: Option<usize>) -> Vec<Text> {
        let mut parts = Vec::new();
        let mut start = 0;
        if limit == Some(0) {
            return parts;
        }
        if separator.is_empty() {
            while start < self.len() && limit.is_none_or(|limit| parts.len() + 1 < limit) {
                let end = start + char_length(&self.bytes[start..]);
                parts.push(self.slice(start..end));
                start = end;
            }
            if start < self.len() {
                parts.push(self.slice(start..self.len()));
            }
            return parts;
        }
        let finder = Finder::new(separator);
        while limit.is_none_or(|limit| parts.len() + 1 < limit) {
            let Some(found) = finder.find(&self.bytes[start..]) else {
                break;
            };
            parts.push(self.slice(start..start + found));
            start += found + separator.len();
        }
        parts.push(self.slice(start..self.len()));
        parts
    }
}

/// Where `needle` first stands in `haystack`.
pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    Finder::new(needle).find(haystack)
}

/// Looks for a text in time that grows with the lengths of both, however they are made.
struct Finder<'n> {
    needle: &'n [u8],
    /// How much of the needle's start still stands before each place where a comparison fails.
    kept: Vec<usize>,
}

impl<'n> Finder<'n> {
    fn new(needle: &'n [u8]) -> Self {
        let mut kept = vec![0; needle.len()];
        let mut matched = 0;
        for at in 1..needle.len() {
            while matched > 0 && needle[at] != needle[matched] {
                matched = kept[matched - 1];
            }
            matched += usize::from(needle[at] == needle[matched]);
            kept[at] = matched;
        }
        Self { needle, kept }
    }

    fn find(&self, haystack: &[u8]) -> Option<usize> {
        let Some(first) = self.needle.first() else {
            return Some(0);
        };
        let (mut at, mut matched) = (0, 0);
        while at < haystack.len() {
            if matched == 0 {
                at += haystack[at..].iter().position(|byte| byte == first)?;
            }
            while matched > 0 && haystack[at] != self.needle[matched] {
                matched = self.kept[matched - 1];
            }
            matched += usize::from(haystack[at] == self.needle[matched]);
            at += 1;
            if matched == self.needle.len() {
                return Some(at - matched);
            }
        }
        None
    }
}

/// The bytes of the character at the start of `bytes`: one where they are no UTF-8, as in Go.
pub(super) fn char_length(bytes: &[u8]) -> usize {
    decode(bytes).1
}

/// The character at the start of `bytes`, `None` where they are no UTF-8, and its length.
pub(super) fn decode(bytes: &[u8]) -> (Option<char>, usize) {
    let length = match bytes.first() {
        None => return (None, 0),
        Some(0..=0x7f) => 1,
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        Some(_) => return (None, 1),
    };
    match bytes.get(..length).and_then(|head| std::str::from_utf8(head).ok()).and_then(|head| head.chars().next()) {
        Some(character) => (Some(character), length),
        None => (None, 1),
    }
}

/// The characters of `bytes`, `None` for bytes that are no UTF-8, with their places and lengths.
pub(super) fn characters(bytes: &[u8]) -> impl Iterator<Item = (usize, Option<char>, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (character, length) = decode(bytes.get(at..)?);
        if length == 0 {
            return None;
        }
        at += length;
        Some((at - length, character, length))
    })
}

#[cfg(test)]
mod tests {
    use super::find;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_found_where_it_first_stands(haystack in "[ab]{0,20}", needle in "[ab]{0,6}") {
            prop_assert_eq!(find(haystack.as_bytes(), needle.as_bytes()), haystack.find(&needle));
        }
    }
}
