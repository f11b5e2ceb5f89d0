//! What was read of a session's `extra` once: where the same bytes stand again, they are compared and not read again.

use std::fmt;

use super::{Found, Selected};

/// The `extra` of a session that was in order, and where in it stands what one selection reads. `Debug` shows nothing
/// of it.
pub struct KnownExtra {
    text: Box<str>,
    depth: usize,
    places: Box<[KnownPlace]>,
}

/// Something selected, by where it stands in the text.
struct KnownPlace {
    selected: Selected,
    start: usize,
    end: usize,
    depth: usize,
    is_compact: bool,
}

impl KnownExtra {
    /// What is not longer is read as fast as it is found and compared.
    pub const SHORTEST: usize = 96;

    /// How many bytes it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.text.len() + size_of_val(&*self.places)
    }

    /// The `extra`, as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Of `extra` and all that was found in the session; `None` where it is null or short.
    pub(super) fn new(extra: Found<'_>, found: &[Option<Found<'_>>]) -> Option<Self> {
        if !extra.text.starts_with('{') || extra.text.len() < Self::SHORTEST {
            return None;
        }
        let within = |(index, place): (usize, &Option<Found<'_>>)| {
            let place = (*place)?;
            let start = place.start.checked_sub(extra.start)?;
            let end = start + place.text.len();
            let (depth, is_compact) = (place.depth, place.is_compact);
            (end <= extra.text.len()).then_some(KnownPlace { selected: Selected(index), start, end, depth, is_compact })
        };
        let places = found.iter().enumerate().filter_map(within).collect();
        Some(Self { text: extra.text.into(), depth: extra.depth, places })
    }

    /// Notes in `found` what this says of the text that begins with the same bytes at `start` of `session`, and may
    /// stand inside one object where `limit` arrays and objects may stand inside each other. Returns how long it is
    /// and how deep; `None` for other bytes, which have to be read.
    pub(super) fn pass<'b>(
        &self,
        session: &'b str,
        start: usize,
        limit: usize,
        found: &mut [Option<Found<'b>>],
    ) -> Option<(usize, usize)> {
        // Whatever follows: an object ends with its closing brace.
        let text = session.get(start..)?.get(..self.text.len()).filter(|text| **text == *self.text)?;
        if self.depth >= limit {
            return None;
        }
        for known in &self.places {
            let (depth, is_compact) = (known.depth, known.is_compact);
            let value = text.get(known.start..known.end)?;
            *found.get_mut(known.selected.index())? =
                Some(Found { text: value, start: start + known.start, depth, is_compact });
        }
        Some((text.len(), self.depth))
    }
}

impl fmt::Debug for KnownExtra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownExtra({} bytes)", self.text.len())
    }
}
