//! The `extra` of a session that was read before: the same bytes are compared instead of read again.

use std::fmt;

use super::Selected;
use super::scan::Found;

/// A valid `extra`, and where it holds the places of one selection. `Debug` shows only its length.
pub struct CachedExtra {
    text: Box<str>,
    depth: usize,
    places: Box<[CachedPlace]>,
}

/// A selected place, by its offset in the text.
struct CachedPlace {
    selected: Selected,
    start: usize,
    end: usize,
    depth: usize,
    is_compact: bool,
}

impl CachedExtra {
    /// The shortest `extra` that is kept. Reading a shorter one is as fast as a lookup and a comparison.
    pub const SHORTEST: usize = 96;

    /// Returns the bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.text.len() + size_of_val(&*self.places)
    }

    /// Returns `extra` as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Keeps `extra` and all places of `found` that are within it; `None` if it is null or short.
    pub(super) fn new(extra: Found<'_>, found: &[Option<Found<'_>>]) -> Option<Self> {
        if !extra.text.starts_with('{') || extra.text.len() < Self::SHORTEST {
            return None;
        }
        let within = |(index, place): (usize, &Option<Found<'_>>)| {
            let place = (*place)?;
            let start = place.start.checked_sub(extra.start)?;
            let end = start + place.text.len();
            let (depth, is_compact) = (place.depth, place.is_compact);
            (end <= extra.text.len()).then_some(CachedPlace {
                selected: Selected(index),
                start,
                end,
                depth,
                is_compact,
            })
        };
        let places = found.iter().enumerate().filter_map(within).collect();
        Some(Self { text: extra.text.into(), depth: extra.depth, places })
    }

    /// Writes the cached places to `found` if `session` has the same bytes at `start`. `limit` is the depth that `extra`
    /// may not reach, since it is inside one object. Returns its length and depth; `None` if the bytes differ and have
    /// to be read.
    pub(super) fn skip<'b>(
        &self,
        session: &'b str,
        start: usize,
        limit: usize,
        found: &mut [Option<Found<'b>>],
    ) -> Option<(usize, usize)> {
        // The bytes after it do not matter, because an object ends with its closing brace.
        let text = session.get(start..)?.get(..self.text.len()).filter(|text| **text == *self.text)?;
        if self.depth >= limit {
            return None;
        }
        for place in &self.places {
            let (depth, is_compact) = (place.depth, place.is_compact);
            let value = text.get(place.start..place.end)?;
            *found.get_mut(place.selected.index())? =
                Some(Found { text: value, start: start + place.start, depth, is_compact });
        }
        Some((text.len(), self.depth))
    }
}

impl fmt::Debug for CachedExtra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CachedExtra({} bytes)", self.text.len())
    }
}
