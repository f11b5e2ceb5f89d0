//! Skips values by the rules of [`Json::parse`](super::Json::parse), without building a tree.
//!
//! The parts of a session that no template reads must be valid, too. Skipping them reads each byte once.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{JsonError, JsonFault, Reader};

/// Larger objects use a set with a random seed, so that no sender can make the check for duplicates slow.
const FEW_MEMBERS: usize = 16;

impl<'a> Reader<'a> {
    /// Skips one value inside `depth` arrays and objects. Returns the nesting depth of the value.
    pub(crate) fn skip(&mut self, depth: usize) -> Result<usize, JsonError> {
        match self.peek() {
            Some(b'{') => self.skip_members(depth, |reader, _| reader.skip(depth + 1)),
            Some(b'[') => self.skip_elements(depth, |reader| reader.skip(depth + 1)),
            Some(b'"') => {
                self.pass(1);
                self.skip_rest_of_string().map(|()| 0)
            }
            _ => self.value(depth).map(|_| 0),
        }
    }

    /// Skips an object. `member` gets each name, skips the value and returns its nesting depth. Fails for a duplicate
    /// name.
    pub(crate) fn skip_members<E: From<JsonError>>(
        &mut self,
        depth: usize,
        mut member: impl FnMut(&mut Self, &str) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let first = self.names.len();
        let mut deepest = 0;
        self.members::<E>(depth, |reader, name, start| {
            reader.names.push(Name { mark: mark(&name), text: name.clone(), start });
            deepest = deepest.max(member(reader, &name)?);
            Ok(())
        })?;
        if let Some(start) = duplicate(&self.names[first..]) {
            return Err(self.error(start, JsonFault::DuplicateMember).into());
        }
        self.names.truncate(first);
        Ok(deepest + 1)
    }

    /// Skips an array. `element` skips each value and returns its nesting depth.
    pub(crate) fn skip_elements<E: From<JsonError>>(
        &mut self,
        depth: usize,
        mut element: impl FnMut(&mut Self) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let mut deepest = 0;
        self.elements::<E>(depth, |reader| {
            deepest = deepest.max(element(reader)?);
            Ok(())
        })?;
        Ok(deepest + 1)
    }

    /// Continues at `offset`, after a value that is known to be valid.
    pub(crate) fn jump(&mut self, offset: usize) {
        self.pass(offset.saturating_sub(self.offset()));
    }

    fn skip_rest_of_string(&mut self) -> Result<(), JsonError> {
        loop {
            self.pass_plain();
            match self.byte() {
                Some(b'"') => {
                    self.pass(1);
                    return Ok(());
                }
                Some(b'\\') => drop(self.escape()?),
                other => return Err(self.no_string(other)),
            }
        }
    }
}

/// The name of a skipped member.
pub(super) struct Name<'a> {
    /// Equal for equal names, and different for most different names, so that most comparisons end here.
    mark: u64,
    text: Cow<'a, str>,
    start: usize,
}

/// Returns a mark of the length and the last bytes of `name`, in which names differ most.
fn mark(name: &str) -> u64 {
    let last = match name.as_bytes().last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => name.bytes().fold(0, |mark, byte| mark << 8 | u64::from(byte)),
    };
    last ^ (name.len() as u64) << 56
}

/// Returns the offset of the first duplicate name.
fn duplicate(names: &[Name<'_>]) -> Option<usize> {
    if names.len() > FEW_MEMBERS {
        let mut seen = HashSet::with_capacity(names.len());
        return names.iter().find(|name| !seen.insert(name.text.as_ref())).map(|name| name.start);
    }
    let is_known = |index: usize| {
        let name = &names[index];
        names[..index].iter().any(|known| known.mark == name.mark && known.text == name.text)
    };
    (1..names.len()).find(|&index| is_known(index)).map(|index| names[index].start)
}

/// Returns the number of bytes at the start of `bytes` that need no escape in a string: no quote, backslash or control
/// character.
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    length_without(bytes, b"\"\\")
}

/// Returns the number of bytes at the start of `bytes` that are neither below 0x20 nor one of `others`. Checks eight
/// bytes at a time: a byte is zero if subtracting one borrows into its highest bit. The lowest such bit of a word is
/// always right.
#[inline(always)]
pub(super) fn length_without<const N: usize>(bytes: &[u8], others: &[u8; N]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let mut found = word.wrapping_sub(ONES * 0x20) & !word;
        for other in others {
            let zero = word ^ (ONES * u64::from(*other));
            found |= zero.wrapping_sub(ONES) & !zero;
        }
        found &= HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|byte| **byte >= 0x20 && !others.contains(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::super::{Json, ReadLimits};
    use super::*;
    use proptest::prelude::*;

    fn skip(text: &[u8], limits: ReadLimits) -> Result<usize, JsonError> {
        let mut reader = Reader::new(text, limits)?;
        let depth = reader.skip(0)?;
        reader.finish()?;
        Ok(depth)
    }

    fn depth_of(value: &Json<'_>) -> usize {
        match value {
            Json::Array(elements) => 1 + elements.iter().map(depth_of).max().unwrap_or(0),
            Json::Object(object) => 1 + object.iter().map(|(_, value)| depth_of(value)).max().unwrap_or(0),
            _ => 0,
        }
    }

    #[test]
    fn duplicate_name_is_found_at_every_size_and_depth() {
        let members = |count: usize| (0..count).map(|n| format!("\"m{n}\":0,")).collect::<String>();
        for text in [
            r#"{"a":1,"a":2}"#.to_owned(),
            r#"{"a":1,"\u0061":2}"#.to_owned(),
            r#"{"x":[{"b":{"a":1,"c":2,"a":2}}]}"#.to_owned(),
            format!("{{{}\"m7\":1}}", members(200)),
        ] {
            let error = skip(text.as_bytes(), ReadLimits::default()).unwrap_err();
            assert_eq!(error, Json::parse(text.as_bytes(), ReadLimits::default()).unwrap_err(), "{text}");
            assert_eq!(error.fault(), JsonFault::DuplicateMember, "{text}");
        }
        let same_name_elsewhere = format!("{{{}\"x\":{{\"m7\":1}}}}", members(200));
        assert_eq!(skip(same_name_elsewhere.as_bytes(), ReadLimits::default()).unwrap(), 2);
    }

    proptest! {
        #[test]
        fn skipped_text_is_text_that_would_be_read(text in r#"[\[\]{}",:0-9eE.\-+ \\ua-f\ttrnls\n]{0,40}"#) {
            let limits = ReadLimits { depth: 5 };
            let read = Json::parse(text.as_bytes(), limits).map(|value| depth_of(&value));
            prop_assert_eq!(skip(text.as_bytes(), limits), read);
        }

        #[test]
        fn plain_length_equals_the_count_byte_by_byte(text in "[a-z\"\\\\\u{0}-\u{20}é€𝄞]{0,40}") {
            let slow = text.bytes().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
            prop_assert_eq!(plain_length(text.as_bytes()), slow);
        }
    }
}
