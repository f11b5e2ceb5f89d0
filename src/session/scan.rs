//! One look at a session's bytes: what its parts must look like, and what stands where its reader looks.

use super::{Found, Part, Selected, Selection, SessionError};
use crate::json::{Json, Reader};

/// Whether Go's decoder would take `name` for `member`: it folds case, and two letters outside ASCII fold into it.
pub(super) fn is_member(name: &str, member: &str) -> bool {
    // Those two letters are the longer ones in UTF-8.
    if name.len() == member.len() {
        return name.eq_ignore_ascii_case(member);
    }
    let folded = name.chars().map(|letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    name.len() > member.len() && !name.is_ascii() && folded.eq(member.chars())
}

/// The part that the member of the session called `member` is, and the shape it must have; none for the subject.
pub(super) fn part_of(member: &str) -> Option<(Part, Shape)> {
    match member {
        "extra" => Some((Part::Extra, Shape::Object("extra"))),
        "header" => Some((Part::Header, Shape::Headers("header"))),
        "match_context" => Some((Part::MatchContext, Shape::MatchContext)),
        _ => None,
    }
}

pub(super) fn expect_string<'b>(reader: &mut Reader<'b>) -> Result<Json<'b>, SessionError> {
    match reader.value(1)? {
        text @ Json::String(_) => Ok(text),
        other => Err(SessionError::WrongType { path: "subject", expected: "a string", found: other.kind() }),
    }
}

/// What a part of a session must look like, and what errors call it.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Anything,
    /// Go's `http.Header`: each value is an array of strings; a nil one is written as null.
    Headers(&'static str),
    /// A value of such headers, which errors call by the headers' name.
    HeaderValues(&'static str),
    MatchContext,
    Object(&'static str),
    /// `match_context.regexp_capture_groups`
    Groups,
    Method,
    Url,
}

impl Shape {
    /// What it is called, what it must be, and the first bytes that it may have.
    fn expectation(self) -> Option<(&'static str, &'static str, &'static [u8])> {
        match self {
            Shape::Anything => None,
            Shape::Headers(path) | Shape::Object(path) => Some((path, "an object or null", b"{n")),
            Shape::HeaderValues(path) => Some((path, "an object whose every value is an array of strings", b"[n")),
            Shape::MatchContext => Some(("match_context", "an object or null", b"{n")),
            Shape::Groups => Some(("match_context.regexp_capture_groups", "an array of strings", b"[n")),
            Shape::Method => Some(("match_context.method", "a string", b"\"n")),
            // A text is what Ory's documentation shows.
            Shape::Url => Some(("match_context.url", "an object or null", b"{n\"")),
        }
    }

    /// What arrays of strings are called where they hold something else.
    fn wrong_elements(self) -> &'static str {
        if matches!(self, Shape::Groups) { "an array" } else { "an array of other things" }
    }

    fn of_member(self, name: &str) -> Shape {
        match self {
            Shape::Headers(path) => Shape::HeaderValues(path),
            Shape::MatchContext if is_member(name, "header") => Shape::Headers("match_context.header"),
            Shape::MatchContext if is_member(name, "method") => Shape::Method,
            Shape::MatchContext if is_member(name, "url") => Shape::Url,
            Shape::MatchContext if is_member(name, "regexp_capture_groups") => Shape::Groups,
            _ => Shape::Anything,
        }
    }
}

/// Passes over a session and notes what stands where its reader looks.
pub(super) struct Scan<'b> {
    pub(super) selection: &'b Selection,
    pub(super) found: Vec<Option<Found<'b>>>,
}

impl<'b> Scan<'b> {
    /// Passes a value of `shape` inside `depth` objects, which stands at `selected`. Returns how deep it is.
    pub(super) fn pass(
        &mut self,
        reader: &mut Reader<'b>,
        depth: usize,
        shape: Shape,
        selected: Option<Selected>,
    ) -> Result<usize, SessionError> {
        let first = reader.peek();
        let (start, spaces) = (reader.offset(), reader.spaces());
        if let (Some((path, expected, allowed)), Some(byte)) = (shape.expectation(), first)
            && !allowed.contains(&byte)
        {
            return Err(SessionError::WrongType { path, expected, found: reader.value(depth)?.kind() });
        }
        let is_watched =
            !matches!(shape, Shape::Anything) || selected.is_some_and(|selected| self.selection.has_members(selected));
        let deep = match (first, shape) {
            (Some(b'{'), _) if is_watched => reader.skip_members(depth, |reader, name| {
                let member = selected.and_then(|selected| self.selection.find(selected, name));
                self.pass(reader, depth + 1, shape.of_member(name), member)
            })?,
            (Some(b'['), Shape::Groups | Shape::HeaderValues(_)) => {
                reader.skip_elements(depth, |reader| match (reader.peek(), shape.expectation()) {
                    (Some(b'"') | None, _) | (_, None) => Ok(reader.skip(depth + 1)?),
                    (Some(_), Some((path, expected, _))) => {
                        reader.skip(depth + 1)?;
                        Err(SessionError::WrongType { path, expected, found: shape.wrong_elements() })
                    }
                })?
            }
            _ => reader.skip(depth)?,
        };
        if let Some(selected) = selected
            && let Some(place) = self.found.get_mut(selected.index())
        {
            let is_compact = reader.spaces() == spaces;
            *place = Some(Found { text: reader.text_since(start), start, depth: deep, is_compact });
        }
        Ok(deep)
    }
}
