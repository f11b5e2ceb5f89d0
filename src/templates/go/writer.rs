//! The output of a Go template, which knows at each byte whether it stands inside a JSON string.
//!
//! What the template's author wrote goes out as it is. In a string of the author, session values are escaped, and what a
//! function such as `toJson` wrote around them must have no quotes. Outside of strings, everything that a function made of
//! session values must be complete: one JSON value, or whole members of an object or items of an array where such a list
//! stands. So a session can never open, close or add anything.

use super::decode;
use super::output::{Foreign, Output};
use super::quoting::to_json_content;
use super::text::{Origin, Text, needs_escape};
use crate::code::ErrorCode;
use crate::json::write_escaped;

/// Why something cannot be written: a code and what was expected.
pub(super) type Refusal = (ErrorCode, String);

pub(super) struct Writer {
    out: Vec<u8>,
    limit: usize,
    depth_limit: usize,
    place: Place,
    /// The open arrays (`false`) and objects (`true`) of the author.
    open: Vec<bool>,
    /// Whether the next string is a member name, or the current one.
    is_name: bool,
    /// What expressions wrote that the session decided.
    foreign: Foreign,
    /// Writes everything as Go does, to compare it.
    #[cfg(test)]
    pub(super) is_raw: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    String,
    /// Inside an escape sequence; how many hexadecimal digits are still to come, or `None` directly after the backslash.
    Escape(Option<u8>),
}

/// What the pieces of an expression between those of the author add up to.
#[derive(Default)]
struct Run {
    json: Vec<u8>,
    foreign: Foreign,
    is_in_string: bool,
    /// The brackets that are open.
    depth: i64,
    /// Whether a function wrote a part of it.
    has_syntax: bool,
}

impl Writer {
    pub(super) fn new(limit: usize, depth_limit: usize) -> Self {
        Self {
            out: Vec::new(),
            limit,
            depth_limit,
            place: Place::Outside,
            open: Vec::new(),
            is_name: false,
            foreign: Foreign::default(),
            #[cfg(test)]
            is_raw: false,
        }
    }

    pub(super) fn into_output(self) -> Output {
        Output { bytes: self.out, foreign: self.foreign }
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

    /// Keeps track of where member names stand, and of brackets.
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
            b',' => self.is_name = self.open.last().is_some_and(|is_object| *is_object),
            b':' => self.is_name = false,
            _ => {}
        }
    }

    /// Writes what an expression gave. `is_constant` is `true` if no session can change it.
    pub(super) fn expression(&mut self, text: &Text, is_constant: bool) -> Result<(), Refusal> {
        // In a string it counts even if it is empty or text of the author, because the session decided that.
        let mark = |writer: &mut Self| {
            if !is_constant && writer.place != Place::Outside {
                writer.foreign.add(writer.out.len()..writer.out.len());
            }
        };
        mark(self);
        self.pieces(text)?;
        mark(self);
        Ok(())
    }

    fn pieces(&mut self, text: &Text) -> Result<(), Refusal> {
        #[cfg(test)]
        if self.is_raw {
            self.reserve(text.len())?;
            self.out.extend_from_slice(text.bytes());
            return Ok(());
        }
        let mut run = Run::default();
        for (piece, origin) in text.pieces() {
            if origin == Origin::Template && !run.is_in_string && run.depth <= 0 {
                self.run(&std::mem::take(&mut run))?;
                self.literal(piece)?;
            } else if self.place == Place::Outside {
                run.push(piece, origin)?;
            } else {
                self.inside(piece, origin)?;
            }
        }
        self.run(&run)
    }

    /// Writes a piece inside of a string of the author.
    fn inside(&mut self, piece: &[u8], origin: Origin) -> Result<(), Refusal> {
        if self.place != Place::String {
            let message = "expected the rest of an escape sequence, found a value of the session";
            return Err((ErrorCode::TemplatePosition, message.to_owned()));
        }
        let start = self.out.len();
        self.write_inside(piece, origin)?;
        if origin != Origin::Template {
            self.foreign.add(start..self.out.len());
        }
        Ok(())
    }

    fn write_inside(&mut self, piece: &[u8], origin: Origin) -> Result<(), Refusal> {
        match origin {
            Origin::Data => self.escaped(piece),
            Origin::Encoded => self.encoded(piece),
            Origin::Quoted => self.encoded(&to_json_content(piece).ok_or_else(|| self.quotes_in_string())?),
            Origin::Mixed => self.unchanged(piece),
            // Quotes of a function never end a string of the author.
            Origin::Syntax | Origin::Template if needs_escape(piece) => Err(self.quotes_in_string()),
            Origin::Syntax | Origin::Template => self.encoded(piece),
        }
    }

    /// Writes what stands outside of strings, if it is complete.
    fn run(&mut self, run: &Run) -> Result<(), Refusal> {
        let trimmed = run.json.trim_ascii();
        self.reserve(run.json.len())?;
        if trimmed.is_empty() {
            self.out.extend_from_slice(&run.json);
            return Ok(());
        }
        let is_complete =
            |open: &[u8], close: &[u8]| decode::decode(&[open, trimmed, close].concat(), self.depth_limit).is_ok();
        let is_accepted = !run.is_in_string
            && (is_complete(b"", b"")
                || run.has_syntax
                    && match self.open.last() {
                        Some(true) => self.is_name && is_complete(b"{", b"}"),
                        Some(false) => is_complete(b"[", b"]"),
                        None => false,
                    });
        if !is_accepted {
            return Err(if run.has_syntax { incomplete() } else { no_value() });
        }
        self.foreign.append(&run.foreign, self.out.len());
        self.out.extend_from_slice(&run.json);
        Ok(())
    }

    fn escaped(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        if self.is_name {
            if needs_escape(piece) {
                let message = "expected a value of the session that can be a member name as it is, found one with \
                               quotes, backslashes or control characters";
                return Err((ErrorCode::TemplatePosition, message.to_owned()));
            }
            return self.encoded(piece);
        }
        for chunk in piece.utf8_chunks() {
            let mut written = String::with_capacity(chunk.valid().len());
            write_escaped(chunk.valid(), &mut written);
            self.reserve(written.len() + chunk.invalid().len())?;
            self.out.extend_from_slice(written.as_bytes());
            self.out.extend_from_slice(chunk.invalid());
        }
        Ok(())
    }

    fn encoded(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        if !decode::is_inside_of_string(piece) {
            return Err(self.quotes_in_string());
        }
        self.reserve(piece.len())?;
        self.out.extend_from_slice(piece);
        Ok(())
    }

    /// Text whose quotes may be the author's or the session's.
    fn unchanged(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        if needs_escape(piece) {
            return Err(mixed());
        }
        self.encoded(piece)
    }

    fn quotes_in_string(&self) -> Refusal {
        quotes_in_string(self.out.last() == Some(&b'"'))
    }

    fn reserve(&self, more: usize) -> Result<(), Refusal> {
        if self.out.len().saturating_add(more) > self.limit {
            let message = format!("expected at most {} bytes of claims, found more", self.limit);
            return Err((ErrorCode::TemplateLimit, message));
        }
        Ok(())
    }
}

impl Run {
    /// Adds a piece, which stands outside of strings of the author.
    fn push(&mut self, piece: &[u8], origin: Origin) -> Result<(), Refusal> {
        let start = self.json.len();
        self.add(piece, origin)?;
        if !matches!(origin, Origin::Template | Origin::Syntax) {
            self.foreign.add(start..self.json.len());
        }
        Ok(())
    }

    fn add(&mut self, piece: &[u8], origin: Origin) -> Result<(), Refusal> {
        match (origin, self.is_in_string) {
            (Origin::Syntax, _) => {
                self.has_syntax = true;
                self.scan(piece)?;
            }
            // The author's part of an object or array that a function began. Its strings are whole.
            (Origin::Template, false) => {
                self.scan(piece)?;
                if self.is_in_string {
                    return Err(incomplete());
                }
            }
            (Origin::Data | Origin::Mixed, false) => self.json.extend_from_slice(piece),
            (Origin::Encoded | Origin::Quoted, false) => return Err(no_value()),
            (Origin::Data, true) => {
                for chunk in piece.utf8_chunks() {
                    let mut written = String::with_capacity(chunk.valid().len());
                    write_escaped(chunk.valid(), &mut written);
                    self.json.extend_from_slice(written.as_bytes());
                    self.json.extend_from_slice(chunk.invalid());
                }
            }
            (Origin::Mixed, true) if needs_escape(piece) => return Err(mixed()),
            (Origin::Quoted, true) => {
                let content = to_json_content(piece).ok_or_else(changed_quotes)?;
                self.json.extend_from_slice(&content);
            }
            (Origin::Encoded | Origin::Mixed | Origin::Template, true) => {
                if !decode::is_inside_of_string(piece) {
                    return Err(changed_quotes());
                }
                self.json.extend_from_slice(piece);
            }
        }
        Ok(())
    }

    /// Adds JSON whose quotes and brackets count.
    fn scan(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        let mut is_escaped = false;
        for byte in piece {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'"' => self.is_in_string = !self.is_in_string,
                b'\\' if self.is_in_string => is_escaped = true,
                b'{' | b'[' if !self.is_in_string => self.depth += 1,
                b'}' | b']' if !self.is_in_string => self.depth -= 1,
                _ => {}
            }
        }
        if is_escaped {
            return Err(changed_quotes());
        }
        self.json.extend_from_slice(piece);
        Ok(())
    }
}

fn no_value() -> Refusal {
    let message = "expected exactly one JSON value outside of quotes, found other text; put quotes around the \
                   expression or pipe it to toJson";
    (ErrorCode::TemplateWrongType, message.to_owned())
}

/// Returns the refusal of JSON or Go syntax inside of a string of the author.
fn quotes_in_string(is_first: bool) -> Refusal {
    let advice = match is_first {
        true => "remove the quotes around the expression, or the function that adds quotes, such as quote or toJson",
        false => "the text around it is in quotes, so remove the function that adds quotes, such as quote or toJson",
    };
    let message =
        format!("expected text that can stand inside a JSON string, found JSON or Go syntax with quotes; {advice}");
    (ErrorCode::TemplatePosition, message)
}

/// Returns the refusal of quoted text that another function changed, outside of strings of the author.
fn changed_quotes() -> Refusal {
    let message = "expected one whole JSON value, or whole members of an object or items of an array, found quoted text that a \
                   function changed; write each value in an expression of its own, such as {{ quote .Extra.a }}, or change \
                   values before quote or toJson";
    (ErrorCode::TemplatePosition, message.to_owned())
}

fn mixed() -> Refusal {
    let message = "expected text without quotes, backslashes and control characters, because text of the template and \
                   of the session were changed together; change them one by one";
    (ErrorCode::TemplatePosition, message.to_owned())
}

fn incomplete() -> Refusal {
    let message = "expected one whole JSON value, or whole members of an object or items of an array, found cut JSON; \
                   use toJson unchanged, or merge or concat before it";
    (ErrorCode::TemplatePosition, message.to_owned())
}
