//! Sessions: Ory's AuthenticationSession as templates and profiles read it.
//!
//! A [`Session`] is data: a subject and the texts of the members that a [`Selection`] names. It comes from a
//! [`SessionDocument`], the body that a gateway posted, or from [`SessionParts`], which any other source can fill.
//! Only a document can be answered with: it keeps the original text, so that a token is spliced in and every other byte
//! returns as it came. Neither decides who may request a token or what is signed.

mod assurance;
mod document;
mod extra_cache;
mod kratos;
mod path;
mod scan;
mod selection;

pub use assurance::{Assurance, AssuranceLevel};
pub use document::SessionDocument;
pub use extra_cache::CachedExtra;
pub use kratos::kratos_names;
pub use path::SessionPath;
pub use selection::{Part, Selected, Selection};

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use scan::{Found, Scan, shape_of};

use crate::code::ErrorCode;
use crate::json::{Json, JsonError, JsonFault, Object, ReadLimits, Reader};

/// A session, read for one [`Selection`]. `Debug` shows none of its values.
pub struct Session<'b> {
    subject: Cow<'b, str>,
    selection: &'b Selection,
    /// The value at each place of the selection.
    found: Vec<Option<Found<'b>>>,
    /// Whether the next posted session can use this one's `extra`: not if it came from the cache, or in parts.
    is_extra_cacheable: bool,
}

/// A session in parts, from a source that does not send an AuthenticationSession. Each part is JSON text.
#[derive(Clone, Default)]
pub struct SessionParts<'b> {
    /// The subject; may be empty.
    pub subject: Cow<'b, str>,
    /// `extra`: an object or null.
    pub extra: Option<&'b str>,
    /// `header`: an object of arrays of strings, or null.
    pub header: Option<&'b str>,
    /// `match_context`: an object or null.
    pub match_context: Option<&'b str>,
}

/// The values of a session that its selection reads. A member that is not selected can be missing here although the
/// session has it.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionValues<'b> {
    /// The data of the authenticator: an object or null. Untrusted.
    pub extra: Json<'b>,
    /// The headers set so far: an object of arrays of strings, or null.
    pub header: Json<'b>,
    /// The request that the gateway matched: an object or null.
    pub match_context: Json<'b>,
}

/// A value of a session that can be copied without rendering it again.
#[derive(Clone, Copy)]
pub struct Verbatim<'b> {
    /// Compact JSON that was read and found valid.
    pub text: &'b str,
    /// The depth of nested arrays and objects in it.
    pub depth: usize,
}

/// Why a body is not a session. Names members and types, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// A member of the session occurs twice, perhaps in different case, as Go reads names.
    #[error("expected `{member}` once in the session, found it twice (letter case does not count)")]
    DuplicateMember {
        /// The member.
        member: &'static str,
    },
    /// The body is not JSON, or not JSON that is safe to sign from.
    #[error("the session is not readable: {0}")]
    Json(JsonError),
    /// A required member is absent.
    #[error("expected a session with the member `{member}`, found none")]
    MissingMember {
        /// The member.
        member: &'static str,
    },
    /// The body is a session of Kratos, without the members around it.
    #[error(
        "expected a session with the members `subject` and `extra`, found a Kratos session without them; post \
         {{\"subject\": .identity.id, \"extra\": .}}, as jq writes it"
    )]
    Unwrapped,
    /// A member has the wrong type.
    #[error("expected {path} to be {expected}, found {found}")]
    WrongType {
        /// The part, such as `header`; names below it belong to the sender and are not repeated.
        path: &'static str,
        /// The type it must have.
        expected: &'static str,
        /// The type it has.
        found: &'static str,
    },
}

impl SessionError {
    /// Returns the stable code, one of `session.*`.
    pub fn code(&self) -> ErrorCode {
        match self {
            SessionError::DuplicateMember { .. } => ErrorCode::SessionDuplicateMember,
            SessionError::Json(error) => match error.fault() {
                JsonFault::Depth { .. } => ErrorCode::SessionDepth,
                JsonFault::DuplicateMember => ErrorCode::SessionDuplicateMember,
                _ => ErrorCode::SessionMalformed,
            },
            SessionError::MissingMember { .. } | SessionError::Unwrapped | SessionError::WrongType { .. } => {
                ErrorCode::SessionInvalid
            }
        }
    }
}

// Not derived, because `#[from]` would also return the error as the source, which its text already shows.
impl From<JsonError> for SessionError {
    fn from(error: JsonError) -> Self {
        SessionError::Json(error)
    }
}

impl<'b> Session<'b> {
    /// Reads a posted session whole.
    ///
    /// # Errors
    /// As [`SessionDocument::parse`].
    pub fn parse(body: &'b [u8], limits: ReadLimits) -> Result<Self, SessionError> {
        Self::parse_for(body, limits, Selection::everything())
    }

    /// Reads a posted session for `selection`, without keeping its document.
    ///
    /// # Errors
    /// As [`SessionDocument::parse`].
    pub fn parse_for(body: &'b [u8], limits: ReadLimits, selection: &'b Selection) -> Result<Self, SessionError> {
        SessionDocument::parse(body, limits, selection).map(|(_, session)| session)
    }

    /// Reads a session from its parts for `selection`, by the rules that apply to a posted one.
    ///
    /// # Errors
    /// [`SessionError::Json`] for a part that is not exactly one JSON value within `limits`, and
    /// [`SessionError::WrongType`].
    pub fn from_parts(
        parts: SessionParts<'b>,
        limits: ReadLimits,
        selection: &'b Selection,
    ) -> Result<Self, SessionError> {
        Self::from_parts_with_cache(parts, limits, selection, |_| None::<&CachedExtra>)
    }

    /// Reads a session like [`Session::from_parts`], but skips an `extra` that was read before. `cached` gets its text; its
    /// result must come from [`Session::cacheable_extra`] of a session that was read for the same selection, and is used
    /// only if `extra` has the same bytes.
    ///
    /// # Errors
    /// As [`Session::from_parts`].
    pub fn from_parts_with_cache<K: Deref<Target = CachedExtra>>(
        parts: SessionParts<'b>,
        limits: ReadLimits,
        selection: &'b Selection,
        cached: impl Fn(&str) -> Option<K>,
    ) -> Result<Self, SessionError> {
        let mut scan = Scan::new(selection);
        let mut is_extra_cacheable = true;
        let texts =
            [(Part::Extra, parts.extra), (Part::Header, parts.header), (Part::MatchContext, parts.match_context)];
        for (part, text) in texts.into_iter().filter_map(|(part, text)| Some((part, text?))) {
            // A longer text could have anything after the cached one.
            let known = if part == Part::Extra { cached(text) } else { None };
            let known = known.filter(|known| known.text().len() == text.len());
            if known.and_then(|known| known.skip(text, 0, limits.depth, &mut scan.found)).is_some() {
                is_extra_cacheable = false;
                scan.append_text(text);
                continue;
            }
            let mut reader = Reader::new(text.as_bytes(), limits)?;
            reader.peek();
            // Inside one object, as in a posted session.
            scan.read(&mut reader, 1, shape_of(part), Some(part.selected()))?;
            reader.finish()?;
            scan.append_text(text);
        }
        Ok(Self { subject: parts.subject, selection, found: scan.found, is_extra_cacheable })
    }

    /// Returns the subject; may be empty.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns the selection that the session was read for.
    pub fn selection(&self) -> &Selection {
        self.selection
    }

    /// Returns `extra` in the form that [`SessionDocument::parse_with_cache`] and [`Session::from_parts_with_cache`] take.
    /// `None` if it came from there, or is null, short or absent.
    pub fn cacheable_extra(&self) -> Option<CachedExtra> {
        let extra = self.found(Part::Extra.selected()).filter(|_| self.is_extra_cacheable)?;
        CachedExtra::new(extra, &self.found)
    }

    /// Returns the values that the selection reads.
    pub fn values(&self) -> SessionValues<'b> {
        let part = |part: Part| self.value(part.selected()).unwrap_or(Json::Null);
        SessionValues { extra: part(Part::Extra), header: part(Part::Header), match_context: part(Part::MatchContext) }
    }

    fn value(&self, selected: Selected) -> Option<Json<'b>> {
        let found = self.found(selected)?;
        let is_read = self.selection.is_read(selected);
        if is_read || !found.text.starts_with('{') || self.selection.is_copied(selected) && !found.is_compact {
            return self.parsed(found);
        }
        let members = self.selection.deciding(selected);
        let known = members.filter_map(|(name, member)| Some((Cow::Owned(name.to_owned()), self.value(member)?)));
        Some(Json::Object(Object::of_distinct(known.collect())))
    }

    /// Returns the value at `selected` if it can be copied as it is.
    pub fn verbatim(&self, selected: Selected) -> Option<Verbatim<'b>> {
        self.found(selected)
            .filter(|found| found.is_compact && self.selection.is_copied(selected))
            .map(|found| Verbatim { text: found.text, depth: found.depth })
    }

    /// Appends everything that decides the claims a template renders from this session. Two sessions that append equal
    /// bytes, with the same selection, differ in nothing that the template reads.
    pub fn append_cache_key(&self, out: &mut Vec<u8>) {
        write_text(&self.subject, out);
        for part in Part::ALL {
            if self.selection.decides(part.selected()) {
                self.write_found(part.selected(), out);
            }
        }
    }

    /// Returns an estimate of the length that [`Session::append_cache_key`] appends, to allocate once.
    pub fn cache_key_len(&self) -> usize {
        let whole = |part: Part| self.found(part.selected()).filter(|_| self.selection.decides(part.selected()));
        let parts = Part::ALL.into_iter().filter_map(whole);
        64 + self.subject.len() + parts.map(|found| found.text.len()).sum::<usize>()
    }

    /// The selection determines the layout of what follows, so one mark for each place keeps texts distinct.
    fn write_found(&self, selected: Selected, out: &mut Vec<u8>) {
        match self.found(selected) {
            None => out.push(b'-'),
            Some(found) if found.text.starts_with('{') && !self.selection.takes_whole(selected) => {
                out.push(b'{');
                self.selection.deciding(selected).for_each(|(_, member)| self.write_found(member, out));
            }
            Some(found) => {
                out.push(b'=');
                write_text(found.text, out);
            }
        }
    }

    fn found(&self, selected: Selected) -> Option<Found<'b>> {
        self.found.get(selected.index()).copied().flatten()
    }

    /// Parses a text that was scanned before.
    fn parsed(&self, found: Found<'b>) -> Option<Json<'b>> {
        let limits = ReadLimits { depth: found.depth };
        Reader::of_text(found.text, limits).value(0).ok()
    }

    /// Returns the value at a dotted path such as `Extra.identity.id` or `Subject`. The path does not have to be
    /// selected, but a selected one is cheaper to read.
    pub fn at(&self, path: &SessionPath) -> Option<Json<'b>> {
        if path.is_subject() {
            return Some(Json::String(self.subject.clone()));
        }
        let mut place = Part::Extra.selected();
        let mut found = self.found(place)?;
        let mut members = path.members();
        while let Some(name) = members.next() {
            match self.selection.find(place, name) {
                Some(member) if found.text.starts_with('{') => {
                    place = member;
                    found = self.found(member)?;
                }
                _ => return below(self.parsed(found)?, std::iter::once(name).chain(members)),
            }
        }
        self.parsed(found)
    }
}

impl fmt::Debug for Session<'_> {
    /// Shows the length of `extra` and none of its values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extra_bytes = self.found(Part::Extra.selected()).map_or(0, |found| found.text.len());
        f.debug_struct("Session").field("extra_bytes", &extra_bytes).finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionParts<'_> {
    /// Shows which parts there are and none of their values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionParts")
            .field("extra", &self.extra.is_some())
            .field("header", &self.header.is_some())
            .field("match_context", &self.match_context.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Verbatim<'_> {
    /// Shows the length of the value and not the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verbatim").field("bytes", &self.text.len()).finish()
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&text.len().to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Follows `names` down from `value`: members of objects, elements of arrays by their index.
fn below<'b, 'n>(value: Json<'b>, names: impl Iterator<Item = &'n str>) -> Option<Json<'b>> {
    names.into_iter().try_fold(value, |value, name| match value {
        Json::Array(elements) => elements.into_iter().nth(name.parse().ok()?),
        Json::Object(mut members) => members.remove(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Session<'_>, SessionError> {
        Session::parse(text.as_bytes(), ReadLimits::default())
    }

    #[test]
    fn path_finds_members_and_array_elements() {
        let session = parse(r#"{"subject":"u","extra":{"a":[{"b":"c"}]}}"#).unwrap();
        let at = |path| session.at(&SessionPath::parse(path).unwrap()).map(|value| value.to_string());
        assert_eq!(at("Extra.a.0.b").as_deref(), Some("\"c\""));
        assert_eq!(at("Subject").as_deref(), Some("\"u\""));
        assert_eq!(at("Extra.a.1"), None);
        for wrong in ["", "Extra", "Extra.", "Extra..a", "extra.a", "Subject.a", "Header.A", "Extra.a b"] {
            assert_eq!(SessionPath::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn parts_are_checked_like_the_members_of_a_posted_session() {
        let read = |parts: SessionParts<'static>| {
            Session::from_parts(parts, ReadLimits { depth: 4 }, Selection::everything()).map(drop)
        };
        let extra = |text| read(SessionParts { extra: Some(text), ..SessionParts::default() });
        assert_eq!(extra(r#" {"a":[{}]} "#), Ok(()));
        assert_eq!(extra("null"), Ok(()));
        for (text, code) in [
            ("[]", ErrorCode::SessionInvalid),
            ("{", ErrorCode::SessionMalformed),
            ("", ErrorCode::SessionMalformed),
            ("{} {}", ErrorCode::SessionMalformed),
            (r#"{"a":1,"a":2}"#, ErrorCode::SessionDuplicateMember),
            (r#"{"a":[[[]]]}"#, ErrorCode::SessionDepth),
        ] {
            assert_eq!(extra(text).unwrap_err().code(), code, "{text}");
        }
        let header = |text| read(SessionParts { header: Some(text), ..SessionParts::default() });
        assert_eq!(header(r#"{"A":["b"]}"#), Ok(()));
        assert_eq!(header(r#"{"A":"b"}"#).unwrap_err().code(), ErrorCode::SessionInvalid);
    }

    #[test]
    fn part_that_is_not_the_cached_extra_is_read() {
        let filler = "x".repeat(CachedExtra::SHORTEST);
        let extra = format!(r#"{{"a":{{"b":"{filler}"}}}}"#);
        let selection = Selection::everything();
        fn parts(text: &str) -> SessionParts<'_> {
            SessionParts { extra: Some(text), ..SessionParts::default() }
        }
        let limits = ReadLimits { depth: 3 };
        let cached = Session::from_parts(parts(&extra), limits, selection).unwrap().cacheable_extra().unwrap();
        let read = |text: &str, depth| {
            let session =
                Session::from_parts_with_cache(parts(text), ReadLimits { depth }, selection, |_| Some(&cached));
            session.map(|session| session.cacheable_extra().is_some()).map_err(|error| error.code())
        };
        let other = extra.replace(&filler, &filler.replace('x', "y"));
        for (text, depth, expected) in [
            (extra.clone(), 3, Ok(false)),
            (other, 3, Ok(true)),
            (format!("{extra} "), 3, Ok(true)),
            (format!("{extra}{{}}"), 3, Err(ErrorCode::SessionMalformed)),
            (extra.clone(), 2, Err(ErrorCode::SessionDepth)),
        ] {
            assert_eq!(read(&text, depth), expected, "{text}");
        }
    }

    #[test]
    fn debug_of_a_session_shows_sizes_and_no_value() {
        let text =
            format!(r#"{{"subject":"s3cret","extra":{{"a":"s3cret{}"}},"header":{{"A":["s3cret"]}}}}"#, "x".repeat(96));
        let mut selection = Selection::default();
        selection.copy(Part::Extra.selected());
        let limits = ReadLimits::default();
        let (document, session) = SessionDocument::parse(text.as_bytes(), limits, &selection).unwrap();
        let extra = session.verbatim(Part::Extra.selected()).unwrap();
        let parts = SessionParts { extra: Some(extra.text), ..SessionParts::default() };
        let cached = session.cacheable_extra().unwrap();
        let length = extra.text.len();
        for (shown, expected) in [
            (format!("{session:?}"), format!("Session {{ extra_bytes: {length}, .. }}")),
            (format!("{document:?}"), format!("SessionDocument {{ bytes: {}, .. }}", text.len())),
            (format!("{extra:?}"), format!("Verbatim {{ bytes: {length} }}")),
            (format!("{parts:?}"), "SessionParts { extra: true, header: false, match_context: false, .. }".to_owned()),
            (format!("{cached:?}"), format!("CachedExtra({length} bytes)")),
        ] {
            assert_eq!(shown, expected);
        }
        assert!(cached.bytes() > length + size_of::<CachedExtra>(), "the text, the record and the places take memory");
    }

    #[test]
    fn cache_key_length_is_estimated_from_the_selected_parts() {
        let long = "x".repeat(1000);
        let text = format!(r#"{{"subject":"zoe","extra":{{"a":"{long}"}},"header":{{"A":["{long}"]}}}}"#);
        let mut selection = Selection::default();
        let key_lengths = |selection: &Selection| {
            let session = Session::parse_for(text.as_bytes(), ReadLimits::default(), selection).unwrap();
            let mut key = Vec::new();
            session.append_cache_key(&mut key);
            (key.len(), session.cache_key_len())
        };
        for (part, least) in [(None, 3), (Some(Part::Extra), 1003), (Some(Part::Header), 2003)] {
            part.into_iter().for_each(|part: Part| selection.read(part.selected()));
            let (actual, estimate) = key_lengths(&selection);
            assert!(least < actual && actual <= estimate && estimate < actual + 100, "{actual} {estimate}");
        }
    }

    #[test]
    fn members_that_are_not_selected_are_left_out_of_the_values() {
        let mut selection = Selection::default();
        let member = selection.member(Part::Extra.selected(), "a");
        let below = selection.member(member, "b");
        selection.read(below);
        let extra = |selection: &Selection, extra: &str| {
            let text = format!(r#"{{"subject":"u","extra":{extra}}}"#);
            let session = Session::parse_for(text.as_bytes(), ReadLimits::default(), selection).unwrap();
            session.values().extra.to_string()
        };
        assert_eq!(extra(&selection, r#"{"a":{"b":1,"c":2},"d":3}"#), r#"{"a":{"b":1}}"#);
        assert_eq!(extra(&selection, r#"{"a":"text"}"#), r#"{"a":"text"}"#, "not an object has no members to select");
        selection.copy(Part::Extra.selected());
        assert_eq!(extra(&selection, r#"{"a":{"b":1},"d":3}"#), r#"{"a":{"b":1}}"#, "it is copied as text instead");
        assert_eq!(extra(&selection, r#"{"a":{"b":1}, "d":3}"#), r#"{"a":{"b":1},"d":3}"#, "white space is not copied");
    }

    #[test]
    fn path_leads_through_selected_arrays() {
        let mut selection = Selection::default();
        let element =
            ["a", "0", "b"].into_iter().fold(Part::Extra.selected(), |place, name| selection.member(place, name));
        selection.read(element);
        let text = br#"{"subject":"u","extra":{"a":[{"b":7}]}}"#;
        let session = Session::parse_for(text, ReadLimits::default(), &selection).unwrap();
        let at = |path| session.at(&SessionPath::parse(path).unwrap()).map(|value| value.to_string());
        assert_eq!((at("Extra.a.0.b").as_deref(), at("Extra.a.1")), (Some("7"), None));
    }

    #[test]
    fn path_is_written_as_it_was_read() {
        for text in ["Subject", "Extra.a", "Extra.identity.traits.0"] {
            assert_eq!(SessionPath::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(SessionPath::subject(), SessionPath::parse("Subject").unwrap());
        assert_eq!(*SessionPath::active(), SessionPath::parse("Extra.active").unwrap());
        for control in ["Extra.a\u{7}", "Extra.a\u{a0}b"] {
            assert_eq!(SessionPath::parse(control), None, "{control:?}");
        }
    }

    proptest! {
        /// One template serves every source, so the same data must read the same, however it arrived.
        #[test]
        fn parts_and_posted_session_read_the_same(
            subject in "\\PC{0,8}", name in "[a-c]", text in "\\PC{0,120}", header in "[a-z]{0,4}"
        ) {
            let quoted = |text: &str| serde_json::to_string(text).unwrap();
            let extra = format!("{{\"{name}\":{{\"b\": [{}]}}}}", quoted(&text));
            let headers = format!("{{\"X\":[{}]}}", quoted(&header));
            let posted = format!("{{\"subject\":{},\"header\":{headers},\"extra\":{extra}}}", quoted(&subject));
            let mut selection = Selection::default();
            let member = selection.member(Part::Extra.selected(), "a");
            selection.read(member);
            selection.copy(Part::Header.selected());
            let limits = ReadLimits::default();
            let parts = SessionParts {
                subject: subject.clone().into(),
                extra: Some(&extra),
                header: Some(&headers),
                match_context: None,
            };
            let from_parts = Session::from_parts(parts, limits, &selection).unwrap();
            let from_post = Session::parse_for(posted.as_bytes(), limits, &selection).unwrap();
            prop_assert_eq!(from_parts.values(), from_post.values());
            let key = |session: &Session<'_>| {
                let mut key = Vec::new();
                session.append_cache_key(&mut key);
                key
            };
            prop_assert_eq!(key(&from_parts), key(&from_post));
            let cached = [from_parts.cacheable_extra(), from_post.cacheable_extra()];
            prop_assert!(cached.iter().all(|cached| cached.is_some() == (extra.len() >= CachedExtra::SHORTEST)));
            for cached in cached.iter().flatten() {
                let parts = SessionParts {
                    subject: subject.clone().into(),
                    extra: Some(&extra),
                    header: Some(&headers),
                    match_context: None,
                };
                let again = Session::from_parts_with_cache(parts, limits, &selection, |_| Some(cached)).unwrap();
                prop_assert_eq!((again.values(), key(&again)), (from_post.values(), key(&from_post)));
                prop_assert!(again.cacheable_extra().is_none());
            }
        }
    }
}
