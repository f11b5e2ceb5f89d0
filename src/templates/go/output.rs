//! The text that a rendering gave, and which parts of it the session decided.

use std::ops::Range;

/// The output of a template.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    pub(super) foreign: Foreign,
}

/// Places in the output that the session decided, in ascending order. A place can be empty.
#[derive(Default)]
pub(super) struct Foreign {
    places: Vec<Range<usize>>,
}

impl Foreign {
    /// Adds a place, which begins where the last one ended or later.
    pub(super) fn add(&mut self, place: Range<usize>) {
        match self.places.last_mut() {
            Some(last) if last.end == place.start => last.end = place.end,
            _ => self.places.push(place),
        }
    }

    /// Adds the places of a text that begins at `offset`.
    pub(super) fn append(&mut self, other: &Self, offset: usize) {
        other.places.iter().for_each(|place| self.add(place.start + offset..place.end + offset));
    }

    /// Returns `true` if the session decided a part of `span`. A place that only touches it counts.
    pub(super) fn touches(&self, span: &Range<usize>) -> bool {
        let first = self.places.partition_point(|place| place.end < span.start);
        self.places.get(first).is_some_and(|place| place.start <= span.end)
    }
}

#[cfg(test)]
mod tests {
    use super::Foreign;

    #[test]
    fn places_that_touch_a_span_count() {
        let mut foreign = Foreign::default();
        [2..4, 4..5, 9..9].into_iter().for_each(|place| foreign.add(place));
        for (span, touches) in [(0..1, false), (0..2, true), (5..6, true), (6..8, false), (8..10, true), (9..9, true)] {
            assert_eq!(foreign.touches(&span), touches, "{span:?}");
        }
        let mut other = Foreign::default();
        other.append(&foreign, 100);
        assert!(other.touches(&(109..120)) && !other.touches(&(0..50)));
    }
}
