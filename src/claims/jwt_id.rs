//! `jti`: the identifier of one token (RFC 7519 section 4.1.7).

use std::fmt;

use uuid::Uuid;

/// The identifier of one token, a UUID. The caller supplies the randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JwtId(Uuid);

impl JwtId {
    /// Returns the identifier `uuid`, which must be random, so that identifiers are unique.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Returns a number that is evenly distributed for random identifiers, so that tokens issued together are not
    /// renewed together.
    pub fn spread(self) -> u16 {
        let [.., high, low] = *self.0.as_bytes();
        u16::from_be_bytes([high, low])
    }

    /// Appends the identifier as a JSON string.
    pub fn write_json(self, out: &mut String) {
        let mut text = Uuid::encode_buffer();
        out.extend(["\"", self.0.as_hyphenated().encode_lower(&mut text), "\""]);
    }
}

impl fmt::Display for JwtId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_the_end_of_the_identifier() {
        let id = JwtId::new(Uuid::from_u128(0x1234_5678_0000_4000_8000_0000_0000_abcd));
        assert_eq!(id.spread(), 0xabcd);
        assert_eq!(id.to_string(), "12345678-0000-4000-8000-00000000abcd");
        let mut json = String::new();
        id.write_json(&mut json);
        assert_eq!(json, "\"12345678-0000-4000-8000-00000000abcd\"");
    }
}
