//! The issuer of tokens.

use std::fmt;

/// The issuer of a token (`iss`, RFC 7519 section 4.1.1). Never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issuer(String);

impl Issuer {
    /// Returns the issuer `text`; `None` if it is empty.
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Returns the issuer as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuer_is_never_empty() {
        assert_eq!(Issuer::parse(""), None);
        let issuer = Issuer::parse("https://id.example/").unwrap();
        assert_eq!((issuer.as_str(), issuer.to_string().as_str()), ("https://id.example/", "https://id.example/"));
    }
}
