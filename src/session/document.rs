//! The body of a hydrator call: read once, answered with as it came, with a token placed in it.

use std::fmt;
use std::ops::{Deref, Range};

use super::scan::{MEMBERS, Scan, expect_string, is_member, part_of, shape_of};
use super::{CachedExtra, Part, Selection, Session, SessionError};
use crate::json::{self, Json, JsonError, ReadLimits, Reader};

/// The text of an AuthenticationSession, and where a token can be placed in it. Unknown members, number tokens, Go's
/// URL object and white space stay the sender's own bytes.
pub struct SessionDocument<'b> {
    text: &'b str,
    extra: Option<Range<usize>>,
    header: Option<Range<usize>>,
    /// The offset of the closing brace.
    end: usize,
    limits: ReadLimits,
}

/// Names that the objects around one place of a session usually have together.
const USUAL_NAMES: usize = 48;

impl<'b> SessionDocument<'b> {
    /// Reads `body` for `selection`: the whole body must be valid, but only selected members are kept. Member names of
    /// the session match in any letter case, as in Go.
    ///
    /// # Errors
    /// [`SessionError::Json`] for text that is not exactly one JSON value within `limits`; the other variants for JSON
    /// that is not a session.
    pub fn parse(
        body: &'b [u8],
        limits: ReadLimits,
        selection: &'b Selection,
    ) -> Result<(Self, Session<'b>), SessionError> {
        Self::parse_with_cache(body, limits, selection, |_| None::<&CachedExtra>)
    }

    /// Reads `body` like [`SessionDocument::parse`], but skips an `extra` that was read before. `cached` gets the text
    /// from `extra` on; its result must come from [`Session::cacheable_extra`] of a session that was read for the same
    /// selection, and is used only if `extra` has the same bytes.
    ///
    /// # Errors
    /// As [`SessionDocument::parse`].
    pub fn parse_with_cache<K: Deref<Target = CachedExtra>>(
        body: &'b [u8],
        limits: ReadLimits,
        selection: &'b Selection,
        cached: impl Fn(&str) -> Option<K>,
    ) -> Result<(Self, Session<'b>), SessionError> {
        let mut reader = Reader::new(body, limits)?.expecting_names(USUAL_NAMES);
        if !matches!(reader.peek(), None | Some(b'{')) {
            let found = reader.value(0)?.kind();
            return Err(SessionError::WrongType { path: "the session", expected: "an object", found });
        }
        let mut scan = Scan::new(selection);
        let mut spans: [Option<Range<usize>>; 3] = [const { None }; 3];
        let mut subject = None;
        let mut is_extra_cached = false;
        let mut has_identity = false;
        reader.skip_members::<SessionError>(0, |reader, name| {
            let Some(member) = MEMBERS.into_iter().find(|member| is_member(name, member)) else {
                has_identity |= name == "identity" && reader.peek() == Some(b'{');
                return Ok(reader.skip(1)?);
            };
            let twice = SessionError::DuplicateMember { member };
            let Some(part) = part_of(member) else {
                let Json::String(text) = expect_string(reader)? else { return Ok(0) };
                return if subject.replace(text).is_some() { Err(twice) } else { Ok(0) };
            };
            reader.peek();
            let start = reader.offset();
            let skip_cached = |cached: K| cached.skip(reader.text(), start, limits.depth, &mut scan.found);
            let skipped = if part == Part::Extra { cached(reader.rest()).and_then(skip_cached) } else { None };
            let depth = match skipped {
                Some((length, depth)) => {
                    is_extra_cached = true;
                    reader.jump(start + length);
                    depth
                }
                None => scan.read(reader, 1, shape_of(part), Some(part.selected()))?,
            };
            match spans[part as usize].replace(start..reader.offset()) {
                Some(_) => Err(twice),
                None => Ok(depth),
            }
        })?;
        let end = reader.offset() - 1;
        reader.finish()?;
        let [extra, header, _] = spans;
        let subject = subject.ok_or(match has_identity && extra.is_none() {
            true => SessionError::Unwrapped,
            false => SessionError::MissingMember { member: "subject" },
        })?;
        let session = Session { subject, selection, found: scan.found, is_extra_cacheable: !is_extra_cached };
        Ok((Self { text: reader.text_since(0), extra, header, end, limits }, session))
    }

    /// Returns the text with `value`, joined, as the only element of the header `name`, which must be canonical
    /// (`X-Id-Token`). Headers of that name in other letter case are removed, because Go would let any of them win;
    /// everything else is byte for byte what came.
    pub fn with_header(&self, name: &str, value: &[&str]) -> String {
        let span = self.header.as_ref();
        self.with_member("header", span, name, ("[\"", value, "\"]"), |other| other.eq_ignore_ascii_case(name))
    }

    /// Returns the text with the string `value` as the member `name` of `extra`; everything else is as it came.
    pub fn with_extra(&self, name: &str, value: &str) -> String {
        self.with_member("extra", self.extra.as_ref(), name, ("\"", &[value], "\""), |other| other == name)
    }

    fn with_member(
        &self,
        part: &str,
        span: Option<&Range<usize>>,
        name: &str,
        (opening, value, closing): (&str, &[&str], &str),
        replaces: impl Fn(&str) -> bool,
    ) -> String {
        let length = value.iter().map(|text| text.len()).sum::<usize>();
        let mut out = String::with_capacity(self.text.len() + name.len() + length + 32);
        let span = match span {
            Some(span) => {
                out.push_str(&self.text[..span.start]);
                span.clone()
            }
            None => {
                out.push_str(&self.text[..self.end]);
                out.push(',');
                json::write_string(part, &mut out);
                out.push(':');
                self.end..self.end
            }
        };
        out.push('{');
        for kept in self.members_of(&self.text[span.clone()], replaces) {
            out.push_str(kept);
            out.push(',');
        }
        json::write_string(name, &mut out);
        out.push(':');
        out.push_str(opening);
        value.iter().for_each(|text| json::write_escaped(text, &mut out));
        out.push_str(closing);
        out.push('}');
        out.push_str(&self.text[span.end..]);
        out
    }

    /// Returns the text of each `"name":value` in `object` whose name is not replaced. The text was read before, so it
    /// is either an object or null.
    fn members_of<'o>(&self, object: &'o str, replaces: impl Fn(&str) -> bool) -> Vec<&'o str> {
        let mut kept = Vec::new();
        if !object.starts_with('{') {
            return kept;
        }
        let mut reader = Reader::of_text(object, self.limits);
        let _: Result<(), JsonError> = reader.members(0, |reader, name, start| {
            reader.skip(1)?;
            if !replaces(&name) {
                kept.push(reader.text_since(start));
            }
            Ok(())
        });
        kept
    }
}

impl fmt::Debug for SessionDocument<'_> {
    /// Shows the length of the document and none of its values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionDocument").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<(SessionDocument<'_>, Session<'_>), SessionError> {
        SessionDocument::parse(text.as_bytes(), ReadLimits::default(), Selection::everything())
    }

    fn document(text: &str) -> SessionDocument<'_> {
        read(text).unwrap().0
    }

    const WHOLE: &str = r#" { "subject" : "zoe", "extra": {"n": 12345678901234567890, "e": 1e21, "f": 2.0},
      "header": null, "match_context": {"url": {"Scheme": "https", "User": null}, "method": "GET"}, "new": [1.0] } "#;

    #[test]
    fn placed_header_changes_no_other_byte() {
        let placed = document(WHOLE).with_header("Authorization", &["Bearer ", "a.b.c"]);
        assert_eq!(placed, WHOLE.replace("\"header\": null", "\"header\": {\"Authorization\":[\"Bearer a.b.c\"]}"));
    }

    #[test]
    fn placed_extra_keeps_members_and_replaces_an_old_token() {
        let placed = document(WHOLE).with_extra("token", "a.b.c");
        assert!(placed.contains(r#"{"n": 12345678901234567890,"e": 1e21,"f": 2.0,"token":"a.b.c"}"#), "{placed}");
        let again = document(&placed).with_extra("token", "d.e.f");
        assert!(again.contains(r#""f": 2.0,"token":"d.e.f"}"#), "{again}");
    }

    #[test]
    fn placed_header_replaces_its_name_in_any_case() {
        let session = document(r#"{"subject":"u","header":{"authorization":["Bearer evil"],"X-A":["1"]}}"#);
        let placed = session.with_header("Authorization", &["Bearer good"]);
        assert_eq!(placed, r#"{"subject":"u","header":{"X-A":["1"],"Authorization":["Bearer good"]}}"#);
    }

    #[test]
    fn absent_header_or_extra_is_appended() {
        let placed = document(r#"{"subject":"u"}"#).with_header("X-Id-Token", &["t"]);
        assert_eq!(placed, r#"{"subject":"u","header":{"X-Id-Token":["t"]}}"#);
        let placed = document(r#"{"subject":"u"}"#).with_extra("token", "t");
        assert_eq!(placed, r#"{"subject":"u","extra":{"token":"t"}}"#);
    }

    #[test]
    fn member_names_match_in_any_case_as_in_go() {
        let (document, session) =
            read(r#"{"SUBJECT":"u","Extra":{"Email":"a"},"HEADER":{},"Match_Context":{"Method":"GET"}}"#).unwrap();
        assert_eq!(session.subject(), "u");
        assert_eq!(session.values().extra.member("Email").and_then(Json::as_str), Some("a"));
        assert_eq!(
            document.with_header("A", &["b"]),
            r#"{"SUBJECT":"u","Extra":{"Email":"a"},"HEADER":{"A":["b"]},"Match_Context":{"Method":"GET"}}"#
        );
        for twice in [r#"{"subject":"a","Subject":"b"}"#, "{\"subject\":\"a\",\"\u{17f}ubject\":\"b\"}"] {
            assert_eq!(read(twice).map(drop).unwrap_err(), SessionError::DuplicateMember { member: "subject" });
        }
    }

    #[test]
    fn invalid_session_is_rejected_by_member_without_its_value() {
        let cases = [
            (r#"[]"#, "expected the session to be an object, found an array"),
            (r#"{"extra":{}}"#, "expected a session with the member `subject`, found none"),
            (r#"{"subject":null}"#, "expected subject to be a string, found null"),
            (r#"{"subject":42}"#, "expected subject to be a string, found a number"),
            (r#"{"subject":"u","extra":"s3cret"}"#, "expected extra to be an object or null, found a string"),
            (r#"{"subject":"u","extra":[]}"#, "expected extra to be an object or null, found an array"),
            (
                r#"{"subject":"u","header":{"s3cret":"b"}}"#,
                "expected header to be an object whose every value is an array of strings, found a string",
            ),
            (
                r#"{"subject":"u","match_context":{"url":5}}"#,
                "expected match_context.url to be an object or null, found a number",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(read(text).map(drop).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn placed_token_is_the_only_change(
            name in "\\PC{0,8}", text in any::<String>(), token in "[A-Za-z0-9_.-]{1,40}"
        ) {
            let mut session = String::from("{\"subject\":\"u\",\"extra\":{");
            json::write_string(&name, &mut session);
            session.push(':');
            json::write_string(&text, &mut session);
            session.push_str("},\"header\":{\"X-A\":[\"1\"]}}");
            let parsed = document(&session);
            let mut placed: serde_json::Value = serde_json::from_str(&parsed.with_header("X-T", &[&token])).unwrap();
            prop_assert_eq!(&placed["header"]["X-T"][0], &serde_json::Value::from(token));
            placed["header"].as_object_mut().unwrap().remove("X-T");
            let original: serde_json::Value = serde_json::from_str(&session).unwrap();
            prop_assert_eq!(placed, original);
        }
    }
}
