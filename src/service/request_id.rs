//! The identifier of a request.

use std::fmt;

use uuid::Uuid;

/// The longest identifier that is adopted. Every JWT is longer.
const LONGEST: usize = 64;

/// The identifier of one request, in its response, its log line and its audit line. It comes from the gateway or is a
/// UUID.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    /// ASCII, filled up with zeros.
    text: [u8; LONGEST],
    length: usize,
}

impl RequestId {
    /// Returns the identifier `uuid`, which must be random.
    pub fn new(uuid: Uuid) -> Self {
        let mut text = [0; LONGEST];
        let length = uuid.hyphenated().encode_lower(&mut text).len();
        Self { text, length }
    }

    /// Returns the identifier that a gateway sent, if it is 1 to 64 letters, digits and characters of `-._:/+=@#`. An
    /// end user may have chosen it, so only characters without escapes in headers, JSON and logs are permitted.
    pub fn adopt(sent: &[u8]) -> Option<Self> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:/+=@#".contains(byte);
        if sent.is_empty() || !sent.iter().all(is_plain) {
            return None;
        }
        let mut text = [0; LONGEST];
        text.get_mut(..sent.len())?.copy_from_slice(sent);
        Some(Self { text, length: sent.len() })
    }

    /// Returns the identifier as text.
    pub fn as_str(&self) -> &str {
        self.text.get(..self.length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// Returns the identifier as a URI reference (RFC 3986): a URN if it is a UUID, otherwise a fragment.
    pub fn to_uri(self) -> String {
        match Uuid::try_parse(self.as_str()) {
            Ok(uuid) => format!("urn:uuid:{uuid}"),
            Err(_) => format!("#{}", self.as_str().replace('#', "%23")),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestId").field(&self.as_str()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifier_of_a_gateway_is_adopted_if_it_is_short_and_plain() {
        let longest = "a".repeat(LONGEST);
        for sent in ["1", "0b54f1e2-3c1d-4d0f-9c51-0a4f8c1b2d3e", "Root=1-67891233-abcdef", "a.b_c:d/e+f@g#1", &longest]
        {
            assert_eq!(RequestId::adopt(sent.as_bytes()).unwrap().as_str(), sent);
        }
        let too_long = "a".repeat(LONGEST + 1);
        for sent in ["", "a b", "a\"b", "a\r\nb", "<a>", "{a}", "a%41", "a\\b", "ä", "a,b", &too_long] {
            assert_eq!(RequestId::adopt(sent.as_bytes()), None, "{sent}");
        }
        assert_eq!(RequestId::adopt(&[0xff]), None);
    }

    #[test]
    fn identifier_is_a_urn_or_a_fragment_in_a_problem_document() {
        let uri = |sent: &str| RequestId::adopt(sent.as_bytes()).unwrap().to_uri();
        let uuid = "00000000-0000-0000-0000-00000000000a";
        assert_eq!(RequestId::new(Uuid::from_u128(10)).to_uri(), format!("urn:uuid:{uuid}"));
        assert_eq!(uri(&uuid.to_uppercase()), format!("urn:uuid:{uuid}"));
        assert_eq!(uri("kong#7"), "#kong%237");
    }
}
