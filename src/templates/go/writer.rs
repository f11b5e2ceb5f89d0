//! The output of a Go template, which knows at each byte whether it stands inside a JSON string.
//!
//! What the template's author wrote goes out as it is. A session value inside a string is escaped. A session value
//! outside strings has to be exactly one JSON value. What a function such as `toJson` has escaped already goes out as
//! it is, but may not end the string it stands in. So a session can never open, close or add anything.

use super::decode;
use super::text::{Origin, Text};
use crate::code::ErrorCode;
use crate::json::write_escaped;

/// Why something cannot be written: a code and what was expected.
pub(super) type Refusal = (ErrorCode, String);

pub(super) struct Writer {
    out: Vec<u8>,
    limit: usize,
    depth_limit: usize,
    place: Place,
    /// The open arrays and objects, as the template wrote them; `true` for objects.
    open: Vec<bool>,
    /// Whether the next string is a member name, or the current one.
    is_name: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    String,
    /// Inside an escape sequence; how many hexadecimal digits are still to come, or `None` directly after the backslash.
    Escape(Option<u8>),
}

impl Writer {
    pub(super) fn new(limit: usize, depth_limit: usize) -> Self {
        Self { out: Vec::new(), limit, depth_limit, place: Place::Outside, open: Vec::new(), is_name: false }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Writes what the template's author wrote.
    pub(super) fn literal(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.reserve(bytes.len())?;
        for byte in bytes {
            if self.place == Place::Outside {
                self.follow(*byte);
            }
            self.place = match (self.place, *byte) {
                (Place::Outside, b'"') => Place::String,
                (Place::Outside, _) => Place::Outside,
                (Place::String, b'"') => Place::Outside,
                (Place::String, b'\\') => Place::Escape(None),
                (Place::String, _) => Place::String,
                (Place::Escape(None), b'u') => Place::Escape(Some(4)),
                (Place::Escape(Some(left @ 2..)), _) => Place::Escape(Some(left - 1)),
                (Place::Escape(_), _) => Place::String,
            };
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Keeps track of where member names stand.
    fn follow(&mut self, byte: u8) {
        match byte {
            b'{' | b'[' => {
                self.open.push(byte == b'{');
                self.is_name = byte == b'{';
            }
            b'}' | b']' => {
                self.open.pop();
                self.is_name = false;
            }
            b',' => self.is_name = self.open.last() == Some(&true),
            b':' => self.is_name = false,
            _ => {}
        }
    }

    /// Writes what an expression gave.
    pub(super) fn expression(&mut self, text: &Text) -> Result<(), Refusal> {
        if self.place == Place::Outside
            && is_changed_json(text)
            && decode::decode(text.bytes(), self.depth_limit).is_ok()
        {
            self.reserve(text.len())?;
            self.out.extend_from_slice(text.bytes());
            return Ok(());
        }
        for (piece, origin) in text.pieces() {
            match (origin, self.place) {
                (Origin::Template, _) => self.literal(piece)?,
                (_, Place::Escape(_)) => {
                    let message = "expected the rest of an escape sequence, found a value of the session";
                    return Err((ErrorCode::TemplatePosition, message.to_owned()));
                }
                (Origin::Data, Place::String) => self.escaped(piece)?,
                (Origin::Encoded, Place::String) => self.encoded(piece)?,
                (_, Place::Outside) => self.value(piece)?,
            }
        }
        Ok(())
    }

    fn escaped(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        for chunk in piece.utf8_chunks() {
            let mut written = String::with_capacity(chunk.valid().len());
            write_escaped(chunk.valid(), &mut written);
            if self.is_name && written.contains('\\') {
                let message = "expected a value of the session that can be a member name as it is, found one with \
                               quotes, backslashes or control characters";
                return Err((ErrorCode::TemplatePosition, message.to_owned()));
            }
            self.reserve(written.len() + chunk.invalid().len())?;
            self.out.extend_from_slice(written.as_bytes());
            self.out.extend_from_slice(chunk.invalid());
        }
        Ok(())
    }

    fn encoded(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        if !decode::is_inside_of_string(piece) {
            let message = "expected text that can stand inside a JSON string, found JSON or Go syntax with quotes; \
                           write the expression without the quotes around it";
            return Err((ErrorCode::TemplatePosition, message.to_owned()));
        }
        self.reserve(piece.len())?;
        self.out.extend_from_slice(piece);
        Ok(())
    }

    fn value(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        let trimmed = piece.trim_ascii();
        if trimmed.is_empty() {
            return Ok(());
        }
        if decode::decode(trimmed, self.depth_limit).is_err() {
            let message = "expected exactly one JSON value outside of quotes, found other text; put quotes around the \
                           expression or pipe it to toJson";
            return Err((ErrorCode::TemplateWrongType, message.to_owned()));
        }
        self.reserve(piece.len())?;
        self.out.extend_from_slice(piece);
        Ok(())
    }

    fn reserve(&self, more: usize) -> Result<(), Refusal> {
        if self.out.len().saturating_add(more) > self.limit {
            let message = format!("expected at most {} bytes of claims, found more", self.limit);
            return Err((ErrorCode::TemplateLimit, message));
        }
        Ok(())
    }
}

/// Whether `text` is what a function such as `toJson` gave, with pieces of the template put into its middle (`replace`):
/// then it is judged as a whole, because no piece is a value by itself.
fn is_changed_json(text: &Text) -> bool {
    let mut origins = text.pieces().map(|(_, origin)| origin);
    let first = origins.next();
    text.origin() == Origin::Encoded && first == Some(Origin::Encoded) && origins.last() == Some(Origin::Encoded)
}
