//! Loads the secrets of callers and session sources.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::caller::{Caller, CallerLimits};
use super::credential::{Credential, SecretSource};
use super::fault::{ConfigError, Faults, Place};
use super::values::Network;
use crate::keys::VerifyingSet;
use crate::secret::Secret;
use crate::sources::SourceKind;
use crate::tls::CertificateName;

/// The shortest secret without a warning; shorter ones can be guessed.
const SHORTEST_WITHOUT_WARNING: usize = 16;
/// The largest secret. A larger file was probably named by mistake.
const LONGEST: usize = 64 * 1024;

/// A caller with its secrets.
#[derive(Clone, Debug)]
pub struct KnownCaller {
    /// The name of the caller in logs and metrics.
    pub name: String,
    /// The credential that it sends.
    pub credential: KnownCredential,
    /// The profiles that it can request; `None` for every profile.
    pub profiles: Option<Vec<String>>,
    /// The limits of its requests.
    pub limits: CallerLimits,
}

/// The credential of a caller.
#[derive(Clone, Debug)]
pub enum KnownCredential {
    /// HTTP Basic (RFC 7617).
    Basic {
        /// The user name.
        username: String,
        /// The accepted passwords.
        passwords: Vec<Secret>,
    },
    /// A bearer token (RFC 6750).
    Bearer {
        /// The accepted tokens.
        tokens: Vec<Secret>,
    },
    /// A client certificate with this name, from the client CA.
    Certificate(CertificateName),
    /// A secret in a header of its own.
    Header {
        /// The accepted secrets.
        secrets: Vec<Secret>,
    },
    /// An address in one of these networks.
    Networks(Vec<Network>),
}

/// The callers with their secrets, and warnings about the secrets.
#[derive(Clone, Debug)]
pub(crate) struct LoadedCallers {
    /// The callers, in the order of the configuration.
    pub callers: Vec<KnownCaller>,
    /// The secrets that come from files.
    pub files: BTreeMap<PathBuf, Secret>,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
}

/// Returns the secret in a file, or what was expected and what was found instead.
pub(crate) type ReadSecret<'r, S = Secret> = dyn Fn(&Path) -> Result<S, (&'static str, String)> + 'r;

/// Loads the secrets of `callers`; `read` reads a file.
///
/// # Errors
/// Returns a fault for each file that cannot be read or is not one line of text, and for each duplicate credential.
pub(crate) fn load_callers(callers: &[Caller], read: &ReadSecret<'_>) -> Result<LoadedCallers, ConfigError> {
    let mut faults = Faults::default();
    let mut warnings = Vec::new();
    let files = RefCell::new(BTreeMap::new());
    let read = &|path: &Path| {
        let secret = read(path)?;
        files.borrow_mut().insert(path.to_owned(), secret.clone());
        Ok(secret)
    };
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
            Credential::Header { secrets: sources } => {
                let path = format!("callers[{index}].header.secret");
                let secrets = secrets(sources, &path, read, &mut faults, &mut warnings);
                (path, KnownCredential::Header { secrets })
            }
            Credential::Networks(networks) => {
                (format!("callers[{index}].networks"), KnownCredential::Networks(networks.clone()))
            }
        };
        if let Some(twin) = known.iter().find(|twin| twin.credential.overlaps(&credential)) {
            let found = format!("the credentials of caller `{}`", twin.name);
            faults.add(path, "credentials that only this caller sends", found, &Place::Nowhere);
        }
        let Caller { name, profiles, limits, .. } = caller.clone();
        known.push(KnownCaller { name, credential, profiles, limits });
    }
    let files = files.into_inner();
    if faults.is_empty() { Ok(LoadedCallers { callers: known, files, warnings }) } else { Err(faults.into_error()) }
}

/// Returns the secrets of one caller without duplicates. During a change, the old and the new file can be equal.
fn secrets(
    sources: &[SecretSource],
    path: &str,
    read: &ReadSecret<'_>,
    faults: &mut Faults,
    warnings: &mut Vec<String>,
) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::with_capacity(sources.len());
    for source in sources {
        let secret = match source {
            SecretSource::Inline(secret) => secret.clone(),
            SecretSource::File(file) => match read(file) {
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
    /// Returns `true` if one request can match both credentials.
    fn overlaps(&self, other: &Self) -> bool {
        let share = |left: &[Secret], right: &[Secret]| left.iter().any(|secret| right.contains(secret));
        match (self, other) {
            (
                KnownCredential::Basic { username, passwords },
                KnownCredential::Basic { username: other_username, passwords: others },
            ) => username == other_username && share(passwords, others),
            (KnownCredential::Bearer { tokens }, KnownCredential::Bearer { tokens: others }) => share(tokens, others),
            (KnownCredential::Certificate(name), KnownCredential::Certificate(other)) => name == other,
            (KnownCredential::Header { secrets }, KnownCredential::Header { secrets: others }) => {
                share(secrets, others)
            }
            (KnownCredential::Networks(networks), KnownCredential::Networks(others)) => {
                networks.iter().any(|network| others.iter().any(|other| network.overlaps(other)))
            }
            _ => false,
        }
    }
}

/// Loads the secrets that `sources` send; `read` returns the secret in a file.
///
/// # Errors
/// Returns a fault for each file that cannot be read or is not one line of text.
pub(crate) fn load_source_secrets(
    sources: &mut BTreeMap<String, SourceKind>,
    read: &ReadSecret<'_, Zeroizing<String>>,
) -> Result<(), ConfigError> {
    let mut faults = Faults::default();
    for (name, source) in sources {
        for (key, secret) in source.secrets() {
            match read(&secret.file) {
                Ok(line) => secret.text = Some(line),
                Err((expected, found)) => {
                    faults.add(format!("sources.{name}.{key}"), expected, found, &Place::Nowhere);
                }
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.into_error()) }
}

/// Loads the key sets that `sources` have in files; `read` reads a file.
///
/// # Errors
/// Returns a fault for each file that cannot be read, or that has no key for the algorithms of its source.
pub(crate) fn load_source_keys(
    sources: &mut BTreeMap<String, SourceKind>,
    read: &dyn Fn(&Path) -> io::Result<Arc<[u8]>>,
) -> Result<(), ConfigError> {
    let mut faults = Faults::default();
    for (name, source) in sources {
        let algorithms = source.algorithms().to_vec();
        let Some(file) = source.key_file() else { continue };
        let path = file.path.display();
        let loaded = read(&file.path).map_err(|error| format!("{path}: {error}")).and_then(|bytes| {
            match VerifyingSet::parse(&bytes, &algorithms) {
                Ok(set) if set.is_empty() => Err(format!("no key for its algorithms in {path}")),
                Ok(_) => Ok(bytes),
                Err(error) => Err(format!("{path}: {error}")),
            }
        });
        match loaded {
            Ok(bytes) => file.bytes = Some(bytes),
            Err(found) => {
                let expected = "a readable JWK Set with public keys for its algorithms";
                faults.add(format!("sources.{name}.jwks"), expected, found, &Place::Nowhere);
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.into_error()) }
}

/// Returns the secret in `file`, whose bytes are `read`.
///
/// # Errors
/// Returns what was expected and what was found.
pub(crate) fn secret_in_file(file: &Path, read: io::Result<Vec<u8>>) -> Result<Secret, (&'static str, String)> {
    line_in_file(file, read).map(|line| Secret::new(line.as_bytes().to_vec()))
}

/// Returns the only line of `file`, whose bytes are `read`.
///
/// # Errors
/// Returns what was expected and what was found.
pub(crate) fn line_in_file(
    file: &Path,
    read: io::Result<Vec<u8>>,
) -> Result<Zeroizing<String>, (&'static str, String)> {
    let bytes = match read {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) => return Err(("a file that can be read", format!("{}: {error}", file.display()))),
    };
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let fault = |found: &str| Err(("one line of text that is not empty", format!("{found} in {}", file.display())));
    match line {
        [] => fault("nothing"),
        _ if line.len() > LONGEST => fault("more than 64 KiB"),
        _ if line.iter().any(u8::is_ascii_control) => fault("control characters"),
        _ => match std::str::from_utf8(line) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            Err(_) => fault("bytes that are not UTF-8"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(name: &str, file: &str) -> Caller {
        let tokens = file.split('+').map(|file| SecretSource::File(PathBuf::from(file))).collect();
        let credential = Credential::Bearer { tokens };
        Caller { name: name.into(), credential, profiles: None, limits: CallerLimits::default() }
    }

    fn read(path: &Path) -> Result<Secret, (&'static str, String)> {
        secret_in_file(path, bytes(path))
    }

    fn bytes(path: &Path) -> io::Result<Vec<u8>> {
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
    fn trailing_newline_of_a_secret_is_ignored() {
        let loaded = load_callers(&[bearer("a", "long")], &read).unwrap();
        let KnownCredential::Bearer { tokens } = &loaded.callers[0].credential else {
            panic!("expected a bearer token")
        };
        assert_eq!(tokens[0], Secret::new(b"a-long-enough-token-of-ours".to_vec()));
        assert_eq!(loaded.warnings, [""; 0]);
    }

    #[test]
    fn short_secret_gets_a_warning() {
        let loaded = load_callers(&[bearer("a", "short")], &read).unwrap();
        assert_eq!(loaded.warnings, ["callers[0].bearer.token: shorter than 16 bytes, so it may be guessed"]);
    }

    #[test]
    fn every_invalid_secret_file_is_reported() {
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
    fn duplicate_secret_of_a_caller_counts_once() {
        let loaded = load_callers(&[bearer("a", "long+long-too+other")], &read).unwrap();
        let KnownCredential::Bearer { tokens } = &loaded.callers[0].credential else {
            panic!("expected a bearer token")
        };
        assert_eq!(tokens.len(), 2);
        let error = load_callers(&[bearer("a", "long"), bearer("b", "other+long-too")], &read).unwrap_err();
        assert!(error.to_string().contains("callers[1].bearer.token: expected credentials that only this"), "{error}");
    }

    #[test]
    fn secret_of_two_callers_is_rejected() {
        let error = load_callers(&[bearer("a", "long"), bearer("b", "long-too")], &read).unwrap_err().to_string();
        assert!(error.contains("callers[1].bearer.token: expected credentials that only this caller sends"), "{error}");
        assert!(!error.contains("long-enough"));
    }
}
