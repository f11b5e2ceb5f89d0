//! The secrets of callers, fetched from where the configuration says they are.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::caller::{Caller, CallerLimits, Credential, SecretSource};
use super::fault::{ConfigError, Faults, Place};
use crate::secret::Secret;
use crate::tls::CertificateName;

/// Below this, a secret may be guessed.
const SHORTEST_WITHOUT_WARNING: usize = 16;
/// No password or token is larger; a file that is was named by mistake.
const LONGEST: usize = 64 * 1024;

/// A caller whose secrets are at hand.
#[derive(Clone, Debug)]
pub struct KnownCaller {
    /// What logs and metrics call it.
    pub name: String,
    /// What it must show.
    pub credential: KnownCredential,
    /// The profiles that it may ask for; `None` for every one.
    pub profiles: Option<Vec<String>>,
    /// How much it may ask for.
    pub limits: CallerLimits,
}

/// What a caller must show.
#[derive(Clone, Debug)]
pub enum KnownCredential {
    /// HTTP Basic (RFC 7617).
    Basic {
        /// The user name.
        username: String,
        /// The passwords, each of which will do.
        passwords: Vec<Secret>,
    },
    /// A bearer token (RFC 6750).
    Bearer {
        /// The tokens, each of which will do.
        tokens: Vec<Secret>,
    },
    /// A certificate of this name, from the client CA.
    Certificate(CertificateName),
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
        let (path, credential) = match &caller.credential {
            Credential::Basic { username, passwords } => {
                let path = format!("callers[{index}].basic.password");
                let passwords = secrets(passwords, &path, read, &mut faults, &mut warnings);
                (path, KnownCredential::Basic { username: username.clone(), passwords })
            }
            Credential::Bearer { tokens } => {
                let path = format!("callers[{index}].bearer.token");
                let tokens = secrets(tokens, &path, read, &mut faults, &mut warnings);
                (path, KnownCredential::Bearer { tokens })
            }
            Credential::Certificate(name) => {
                (format!("callers[{index}].tls"), KnownCredential::Certificate(name.clone()))
            }
        };
        if let Some(twin) = known.iter().find(|twin| twin.credential.overlaps(&credential)) {
            let found = format!("the same as of caller `{}`", twin.name);
            faults.add(path, "credentials that only this caller sends", found, &Place::Nowhere);
        }
        let Caller { name, profiles, limits, .. } = caller.clone();
        known.push(KnownCaller { name, credential, profiles, limits });
    }
    if faults.is_empty() { Ok(LoadedCallers { callers: known, warnings }) } else { Err(faults.into_error()) }
}

/// The secrets of one caller, each once: while one changes, the old file and the new one may hold the same.
fn secrets(
    sources: &[SecretSource],
    path: &str,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    faults: &mut Faults,
    warnings: &mut Vec<String>,
) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::with_capacity(sources.len());
    for source in sources {
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
        if !secrets.contains(&secret) {
            secrets.push(secret);
        }
    }
    secrets
}

impl KnownCredential {
    /// Whether there is a request that both would send.
    fn overlaps(&self, other: &Self) -> bool {
        let share = |left: &[Secret], right: &[Secret]| left.iter().any(|secret| right.contains(secret));
        match (self, other) {
            (
                KnownCredential::Basic { username, passwords },
                KnownCredential::Basic { username: other_username, passwords: others },
            ) => username == other_username && share(passwords, others),
            (KnownCredential::Bearer { tokens }, KnownCredential::Bearer { tokens: others }) => share(tokens, others),
            (KnownCredential::Certificate(name), KnownCredential::Certificate(other)) => name == other,
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
    use std::path::PathBuf;

    fn bearer(name: &str, file: &str) -> Caller {
        let tokens = file.split('+').map(|file| SecretSource::File(PathBuf::from(file))).collect();
        let credential = Credential::Bearer { tokens };
        Caller { name: name.into(), credential, profiles: None, limits: CallerLimits::default() }
    }

    fn read(path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("long") => Ok(b"a-long-enough-token-of-ours\n".to_vec()),
            Some("long-too") => Ok(b"a-long-enough-token-of-ours\r\n".to_vec()),
            Some("other") => Ok(b"another-long-enough-token".to_vec()),
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
        let KnownCredential::Bearer { tokens } = &loaded.callers[0].credential else {
            panic!("expected a bearer token")
        };
        assert_eq!(tokens[0], Secret::new(b"a-long-enough-token-of-ours".to_vec()));
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
    fn one_secret_in_two_files_of_a_caller_counts_once() {
        let loaded = load_callers(&[bearer("a", "long+long-too+other")], &read).unwrap();
        let KnownCredential::Bearer { tokens } = &loaded.callers[0].credential else {
            panic!("expected a bearer token")
        };
        assert_eq!(tokens.len(), 2);
        let error = load_callers(&[bearer("a", "long"), bearer("b", "other+long-too")], &read).unwrap_err();
        assert!(error.to_string().contains("callers[1].bearer.token: expected credentials that only this"), "{error}");
    }

    #[test]
    fn two_callers_with_one_secret_are_refused() {
        let error = load_callers(&[bearer("a", "long"), bearer("b", "long-too")], &read).unwrap_err().to_string();
        assert!(error.contains("callers[1].bearer.token: expected credentials that only this caller sends"), "{error}");
        assert!(!error.contains("long-enough"));
    }
}
