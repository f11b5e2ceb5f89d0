//! The source of a JWK Set: the value of `jwks`, and of Oathkeeper's `jwks_url`.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::remote::RemoteSource;

/// The source of a JWK Set. `Display` is its name in errors and notes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// A `base64://` URL, which contains the set.
    Inline(InlineKeys),
    /// A remote key source.
    Remote(RemoteSource),
}

/// A JWK Set in the configuration. Neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct InlineKeys(Zeroizing<Vec<u8>>);

impl InlineKeys {
    /// Returns the bytes of the set.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Ord for InlineKeys {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_slice().cmp(other.0.as_slice())
    }
}

impl PartialOrd for InlineKeys {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for InlineKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InlineKeys({} bytes)", self.0.len())
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::File(path) => path.display().fmt(f),
            // The digest distinguishes two sets and reveals no private key.
            KeySource::Inline(keys) => {
                f.write_str("base64://(sha256 ")?;
                Sha256::digest(&*keys.0).iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str("…)")
            }
            KeySource::Remote(source) => source.fmt(f),
        }
    }
}

impl KeySource {
    /// The values that [`KeySource::parse`] accepts, for errors.
    pub(crate) const EXPECTED: &str = "a JWK Set: its path, or its file, base64, http, https, s3, gs or azblob URL";

    /// Parses a URL, or a path, which is relative to `base_dir`.
    ///
    /// # Errors
    /// Returns a description that does not quote `text`, because that may be a key or contain a password.
    pub(crate) fn parse(text: &str, base_dir: &Path) -> Result<Self, String> {
        // A path becomes a part of errors, so a key must not be taken for a path.
        let is_base64 = text.starts_with("base64://");
        if !is_base64 && (text.contains(['{', '\n', '\r']) || text.contains("-----BEGIN")) {
            return Err("a text that looks like a key; write the JWK Set to a file, and its path here".to_owned());
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(KeySource::File(base_dir.join(text)));
        };
        match scheme {
            "file" if rest.is_empty() => Err("a URL with the scheme file and without a path".to_owned()),
            "file" => Ok(KeySource::File(base_dir.join(rest))),
            "base64" => inline(rest).map(KeySource::Inline),
            "http" | "https" | "s3" | "gs" | "azblob" => {
                RemoteSource::parse(text).map(KeySource::Remote).map_err(|invalid| invalid.to_string())
            }
            _ => Err("a URL with an unsupported scheme".to_owned()),
        }
    }
}

/// Decodes base64 of either alphabet, with or without padding and line breaks.
fn inline(text: &str) -> Result<InlineKeys, String> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let is_url_safe = text.contains(['-', '_']);
    let alphabet = if is_url_safe { alphabet::URL_SAFE } else { alphabet::STANDARD };
    let text: Zeroizing<String> = Zeroizing::new(text.chars().filter(|char| !char.is_ascii_whitespace()).collect());
    match GeneralPurpose::new(&alphabet, config).decode(text.as_bytes()) {
        Ok(bytes) if bytes.is_empty() => Err("a URL with the scheme base64 and without data".to_owned()),
        Ok(bytes) => Ok(InlineKeys(Zeroizing::new(bytes))),
        Err(_) => Err("a URL with the scheme base64 and invalid base64".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    #[test]
    fn keys_are_not_taken_for_paths() {
        for key in [
            r#"{"keys":[{"kty":"oct","k":"canary"}]}"#,
            "-----BEGIN PRIVATE KEY----- canary",
            "canary\ncanary",
            r#"file://{"keys":["canary"]}"#,
            "https://id.example/\n-----BEGIN canary",
        ] {
            let found = KeySource::parse(key, Path::new("/x")).unwrap_err();
            assert!(found.contains("looks like a key") && !found.contains("canary"), "{found}");
        }
    }

    #[test]
    fn base64_of_either_alphabet_is_read_and_never_shown() {
        let bytes = b"{\"keys\":[\"\xc3\xbf\xc3\xbe canary\"]}";
        for text in [STANDARD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes), STANDARD.encode(bytes) + "\n"] {
            let source = KeySource::parse(&format!("base64://{text}"), Path::new("/x")).unwrap();
            let KeySource::Inline(keys) = &source else { panic!("{source}") };
            assert_eq!(keys.as_bytes(), bytes);
            let shown = format!("{source:?} {source}");
            assert!(!shown.contains("canary") && !shown.contains(&text[..16]), "{shown}");
        }
        for wrong in ["base64://", "base64://ca!nary", "base64://Y2FuYXJ5Y"] {
            let found = KeySource::parse(wrong, Path::new("/x")).unwrap_err();
            assert!(!found.contains("nary") && !found.contains("Y2Fu"), "{found}");
        }
    }
}
