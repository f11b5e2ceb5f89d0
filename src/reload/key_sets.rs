//! Key sets of profiles: where their bytes come from, and how long their tokens live.

use std::fs;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::access::FileUse;
use super::fault::fault_in_file;
use super::files::Files;
use super::set_aside::KeyBytes;
use crate::code::ErrorCode;
use crate::config::{Config, KeySource};
use crate::keys::{KeySet, SignatureAlg};
use crate::mint::BuildFault;
use crate::remote::{FailureCodes, FailureHints, FetchError, FileKind, RemoteFiles, WantedFiles};

/// A JWK Set with private keys, as a remote file.
pub static SIGNING_KEY_SET: FileKind = FileKind {
    accept: "application/jwk-set+json, application/json",
    check: |bytes| match KeySet::parse(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("expected a JWK Set that can be used, found: {error}")),
    },
    codes: FailureCodes {
        invalid: ErrorCode::KeySetInvalid,
        timeout: ErrorCode::KeySourceTimeout,
        too_large: ErrorCode::KeySourceTooLarge,
        unavailable: ErrorCode::KeySourceUnavailable,
    },
    hints: FailureHints {
        timeout: "check the source or increase limits.key_fetch",
        too_large: "check the URL or increase limits.key_set",
    },
};

/// Returns the remote key sets of `config`, to be tracked by [`RemoteFiles`].
pub(crate) fn remote_key_sets(config: &Config) -> WantedFiles {
    config.remote_sources().into_iter().map(|source| (source, &SIGNING_KEY_SET)).collect()
}

/// Returns `faults`; those of a remote source are replaced by the reasons in `missing` why it cannot be fetched.
pub(super) fn with_causes(faults: Vec<BuildFault>, missing: Vec<BuildFault>) -> Vec<BuildFault> {
    let is_other = |fault: &BuildFault| !missing.iter().any(|missing| missing.part == fault.part);
    let others: Vec<_> = faults.into_iter().filter(is_other).collect();
    missing.into_iter().chain(others).collect()
}

/// Returns the fault of a remote key set that was never fetched; `error` is the reason.
pub(crate) fn missing_source_error(error: &FetchError) -> BuildFault {
    BuildFault::new(error.code(), error.remote().to_string(), error.cause())
}

/// Reads the key set of `source`, which needs a key for `alg`, if that is given. If its file is obstructed, returns the bytes
/// in `held`.
///
/// # Errors
/// Returns a fault if the file cannot be read, or if `remote` has no good bytes of the source.
pub(super) fn read_keys(
    source: &KeySource,
    alg: Option<SignatureAlg>,
    remote: &RemoteFiles,
    files: &mut Files,
    held: &KeyBytes,
) -> Result<Zeroizing<Vec<u8>>, BuildFault> {
    match source {
        KeySource::File(path) => {
            let name = format!("keys {}", path.display());
            match (files.part(&name, |files| read_key_file(path, alg, files)), held.get(source)) {
                (Some(read), _) => read,
                (None, Some(bytes)) => Ok(bytes.clone()),
                (None, None) => {
                    let message = "expected a readable JWK Set, found none".to_owned();
                    Err(fault_in_file(ErrorCode::KeySetInvalid, path, message))
                }
            }
        }
        KeySource::Inline(keys) => {
            files.record(source.to_string().as_bytes(), keys.as_bytes());
            Ok(Zeroizing::new(keys.as_bytes().to_vec()))
        }
        KeySource::Remote(source) => {
            let bytes = remote.current(source);
            let bytes = bytes.as_ref().map(|bytes| bytes.as_slice());
            files.record(source.url().as_bytes(), bytes.unwrap_or_default());
            bytes.map(|bytes| Zeroizing::new(bytes.to_vec())).ok_or_else(|| {
                let message = "expected a JWK Set from this source, found none so far";
                BuildFault::new(ErrorCode::KeySetInvalid, source.to_string(), message)
            })
        }
    }
}

fn read_key_file(path: &Path, alg: Option<SignatureAlg>, files: &mut Files) -> Result<Zeroizing<Vec<u8>>, BuildFault> {
    files.read(path, FileUse::Keys).map(Zeroizing::new).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => {
                let alg = alg.map_or_else(String::new, |alg| format!("--alg {alg} "));
                format!("; make one: claimsmith keys generate {alg}--out {}", path.display())
            }
            _ => String::new(),
        };
        let message = format!("expected a readable JWK Set, found: {error}{advice}");
        fault_in_file(ErrorCode::KeySetInvalid, path, message)
    })
}

/// Returns a function that is `true` for each path and each link to `file`.
///
/// A rotated key must be published for as long as any of its tokens lives, so two profiles that reach one file by different
/// paths count together.
pub(crate) fn is_same_file(file: &Path) -> impl Fn(&Path) -> bool + '_ {
    let wanted = fs::canonicalize(file).ok();
    move |path: &Path| path == file || wanted.is_some() && fs::canonicalize(path).ok() == wanted
}
