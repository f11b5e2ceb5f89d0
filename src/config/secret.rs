//! The secrets of callers, fetched from where the configuration says they are.

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::fault::{ConfigError, Faults, Place};
use super::{Caller, Credential};
use crate::secret::Secret;

/// Below this, a secret may be guessed.
const SHORTEST_WITHOUT_WARNING: usize = 16;
/// No password or token is larger; a file that is was named by mistake.
const LONGEST: usize = 64 * 1024;

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that holds it.
    File(PathBuf),
    /// An environment variable held it.
    Inline(Secret),
}

/// A caller whose secret is at hand.
#[derive(Clone, Debug)]
pub struct KnownCaller {
    /// What logs and metrics call it.
    pub name: String,
    /// What it must send.
    pub credential: KnownCredential,
}

/// What a caller must send.
#[derive(Clone, Debug)]
pub enum KnownCredential {
    /// HTTP Basic (RFC 7617).
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A bearer token (RFC 6750).
    Bearer {
        /// The token.
        token: Secret,
    },
}

/// The callers with their secrets, and what is questionable about those.
#[derive(Clone, Debug)]
pub struct LoadedCallers {
    /// In the order of the configuration.
    pub callers: Vec<KnownCaller>,
    /// Sentences for the operator.
    pub warnings: Vec<String>,
}

/// Fetches the secrets of `callers`; `read` reads a file.
///
/// # Errors
/// Every file that cannot be read, is empty or no line of text, and every caller that sends the same as one before it.
pub fn load_callers(
    callers: &[Caller],
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<LoadedCallers, ConfigError> {
    let mut faults = Faults::default();
    let mut warnings = Vec::new();
    let mut known: Vec<KnownCaller> = Vec::with_capacity(callers.len());
    for (index, caller) in callers.iter().enumerate() {
        let (source, path) = match &caller.credential {
            Credential::Basic { password, .. } => (password, format!("callers[{index}].basic.password")),
            Credential::Bearer { token } => (token, format!("callers[{index}].bearer.token")),
        };
        let secret = match source {
            SecretSource::Inline(secret) => secret.clone(),
            SecretSource::File(file) => match secret_in_file(file, read) {
                Ok(secret) => secret,
                Err((expected, found)) => {
                    faults.add(format!("{path}_file"), expected, found, &Place::Nowhere);
                    continue;
                }
            },
        };
        if secret.length() < SHORTEST_WITHOUT_WARNING {
            warnings.push(format!("{path}: shorter than {SHORTEST_WITHOUT_WARNING} bytes, so it may be guessed"));
        }
        let credential = match &caller.credential {
            Credential::Basic { username, .. } => {
                KnownCredential::Basic { username: username.clone(), password: secret }
            }
            Credential::Bearer { .. } => KnownCredential::Bearer { token: secret },
        };
        if let Some(twin) = known.iter().find(|twin| twin.credential.is_same(&credential)) {
            let found = format!("the same as of caller `{}`", twin.name);
            faults.add(path, "credentials that only this caller sends", found, &Place::Nowhere);
        }
        known.push(KnownCaller { name: caller.name.clone(), credential });
    }
    if faults.is_empty() { Ok(LoadedCallers { callers: known, warnings }) } else { Err(faults.into_error()) }
}

impl KnownCredential {
    /// Whether a request cannot tell the two apart.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                KnownCredential::Basic { username, password },
                KnownCredential::Basic { username: other_username, password: other_password },
            ) => username == other_username && password == other_password,
            (KnownCredential::Bearer { token }, KnownCredential::Bearer { token: other }) => token == other,
            _ => false,
        }
    }
}

fn secret_in_file(file: &Path, read: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Secret, (&'static str, String)> {
    let bytes = match read(file) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) => return Err(("a file that can be read", format!("{}: {error}", file.display()))),
    };
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let fault = |found: &str| Err(("one line of text that is not empty", format!("{found} in {}", file.display())));
    match line {
        [] => fault("nothing"),
        _ if line.len() > LONGEST => fault("too much"),
        _ if line.iter().any(u8::is_ascii_control) => fault("control characters"),
        _ if std::str::from_utf8(line).is_err() => fault("bytes that are not UTF-8"),
        _ => Ok(Secret::new(line.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(name: &str, file: &str) -> Caller {
        let token = SecretSource::File(PathBuf::from(file));
        Caller { name: name.into(), credential: Credential::Bearer { token } }
    }

    fn read(path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("long") => Ok(b"a-long-enough-token-of-ours\n".to_vec()),
            Some("long-too") => Ok(b"a-long-enough-token-of-ours\r\n".to_vec()),
            Some("short") => Ok(b"short".to_vec()),
            Some("empty") => Ok(b"\n".to_vec()),
            Some("lines") => Ok(b"one\ntwo\n".to_vec()),
            Some("bytes") => Ok(vec![0xff; 20]),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    #[test]
    fn one_line_end_after_a_secret_does_not_count() {
        let loaded = load_callers(&[bearer("a", "long")], &read).unwrap();
        let KnownCredential::Bearer { token } = &loaded.callers[0].credential else {
            panic!("expected a bearer token")
        };
        assert!(token.matches(b"a-long-enough-token-of-ours"));
        assert_eq!(loaded.warnings, [""; 0]);
    }

    #[test]
    fn a_short_secret_is_warned_about() {
        let loaded = load_callers(&[bearer("a", "short")], &read).unwrap();
        assert_eq!(loaded.warnings, ["callers[0].bearer.token: shorter than 16 bytes, so it may be guessed"]);
    }

    #[test]
    fn every_bad_secret_file_is_named() {
        let callers = ["empty", "lines", "bytes", "absent"].map(|file| bearer(file, file));
        let error = load_callers(&callers, &read).unwrap_err().to_string();
        for text in [
            "callers[0].bearer.token_file: expected one line of text that is not empty, found nothing in empty",
            "callers[1].bearer.token_file: expected one line of text that is not empty, found control characters in l",
            "found bytes that are not UTF-8 in bytes",
            "callers[3].bearer.token_file: expected a file that can be read, found absent: ",
        ] {
            assert!(error.contains(text), "{text}\n{error}");
        }
    }

    #[test]
    fn two_callers_with_one_secret_are_refused() {
        let error = load_callers(&[bearer("a", "long"), bearer("b", "long-too")], &read).unwrap_err().to_string();
        assert!(error.contains("callers[1].bearer.token: expected credentials that only this caller sends"), "{error}");
        assert!(!error.contains("long-enough"));
    }
}
