//! Checks that a cached `extra` never changes how a session is read. `tests/it/extra_cache.rs` includes this file.

use std::sync::LazyLock;

use claimsmith::json::ReadLimits;
use claimsmith::session::{CachedExtra, Part, Selected, Selection, Session, SessionDocument, SessionError};

/// A selection and all of its places.
pub struct Reading {
    selection: Selection,
    places: Vec<Selected>,
}

/// Selections that read, copy or only check different members.
pub static READINGS: LazyLock<[Reading; 4]> = LazyLock::new(|| {
    let mut readings = [(); 4].map(|()| Reading { selection: Selection::default(), places: Vec::new() });
    let [nothing, whole, members, nested] = &mut readings;
    for reading in [&mut *nothing, &mut *whole, &mut *members, &mut *nested] {
        reading.places.extend([Part::Extra, Part::Header, Part::MatchContext].map(Part::selected));
    }

    whole.selection.read(Part::Extra.selected());
    whole.selection.read(Part::Header.selected());
    whole.selection.read(Part::MatchContext.selected());

    members.add(&["a"], Selection::read);
    members.add(&["b"], Selection::copy);
    members.add(&["c"], Selection::look_at);
    members.add(&["missing"], Selection::read);

    nested.add(&[], Selection::copy);
    nested.add(&["a"], Selection::copy);
    nested.add(&["a", "b"], Selection::read);
    nested.add(&["a", "b", "c"], Selection::copy);
    nested.add(&["é\""], Selection::look_at);
    readings
});

impl Reading {
    /// Selects the member of `extra` at the path `names`.
    fn add(&mut self, names: &[&str], select: fn(&mut Selection, Selected)) {
        let mut place = Part::Extra.selected();
        for name in names {
            place = self.selection.member(place, name);
            self.places.push(place);
        }
        select(&mut self.selection, place);
    }
}

/// Reads `later` with and without the `extra` that was cached from `earlier`, and compares everything that callers can
/// observe. The sessions may have different limits. Returns `true` if the cached `extra` was used.
///
/// # Panics
/// If the two readings differ.
pub fn check(reading: &Reading, earlier: (&[u8], ReadLimits), later: (&[u8], ReadLimits)) -> bool {
    let Some(cached) = cached(reading, earlier) else { return false };
    let (body, limits) = later;
    let plain = SessionDocument::parse(body, limits, &reading.selection);
    let with_cache = SessionDocument::parse_with_cache(body, limits, &reading.selection, |_| Some(&cached));
    // A session that used the cached `extra` offers none to cache, because it is there already.
    let is_used = with_cache.as_ref().is_ok_and(|(_, session)| session.cacheable_extra().is_none());
    let is_cacheable = plain.as_ref().is_ok_and(|(_, session)| session.cacheable_extra().is_some());
    assert_eq!(observe(reading, plain), observe(reading, with_cache));
    is_used && is_cacheable
}

fn cached(reading: &Reading, (body, limits): (&[u8], ReadLimits)) -> Option<CachedExtra> {
    Session::parse_for(body, limits, &reading.selection).ok()?.cacheable_extra()
}

/// Everything that callers can observe of a session.
#[derive(Debug, PartialEq)]
struct Observed {
    subject: String,
    values: String,
    verbatim: Vec<Option<(String, usize)>>,
    cache_key: Vec<u8>,
    cache_key_len: usize,
    with_header: String,
    with_extra: String,
}

fn observe(
    reading: &Reading,
    read: Result<(SessionDocument<'_>, Session<'_>), SessionError>,
) -> Result<Observed, SessionError> {
    let (document, session) = read?;
    let mut cache_key = Vec::new();
    session.append_cache_key(&mut cache_key);
    let verbatim = |place: &Selected| session.verbatim(*place).map(|found| (found.text.to_owned(), found.depth));
    Ok(Observed {
        subject: session.subject().to_owned(),
        values: format!("{:?}", session.values()),
        verbatim: reading.places.iter().map(verbatim).collect(),
        cache_key,
        cache_key_len: session.cache_key_len(),
        with_header: document.with_header("Authorization", &["Bearer ", "a.b.c"]),
        with_extra: document.with_extra("token", "a.b.c"),
    })
}
