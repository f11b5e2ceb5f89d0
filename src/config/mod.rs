//! The configuration: `claimsmith.yaml` and the environment, validated as a whole before the service starts.
//!
//! [`Config::parse`] reads text; it accesses no file, no environment and no clock. It returns either a valid configuration
//! or every fault at once. [`load_callers`] reads secrets, through a function that the caller passes.
//!
//! Each section has one file with its types, its table of keys and its reader. The reader, the environment variables, the
//! JSON Schema and the documentation share the table, so that they cannot disagree. The files in import order, each of
//! which uses only those before it: `fault`, `yaml`, `field`, `values`, `key_source`, `read`, the sections (`serve`,
//! `limits`, `profile`, `credential`, `caller`, `source`, `check`, `rotation`, `log`, `audit`, `traces`), `secret`, `root`, `restart`,
//! `schema`, `env`, `key_settings`.
//!
//! ```
//! use claimsmith::config::Config;
//! use std::path::Path;
//!
//! let text = "profiles: { id_token: { issuer: https://id.example.org/, jwks: keys/id_token.jwks.json } }";
//! let loaded = Config::parse(text, Path::new("/etc/claimsmith"), &[]).unwrap();
//! assert_eq!(loaded.config.profile_specs()[0].ttl.seconds(), 900);
//!
//! let error = Config::parse("profiles: { id_token: { isuer: x } }", Path::new("."), &[]).unwrap_err();
//! assert!(error.to_string().contains("did you mean `issuer`?"));
//! ```

mod audit;
mod caller;
mod check;
mod credential;
mod env;
pub(crate) mod fault;
mod field;
mod key_settings;
mod key_source;
mod limits;
mod log;
mod profile;
mod read;
mod rest;
mod restart;
mod root;
mod rotation;
mod schema;
mod secret;
mod serve;
mod source;
#[cfg(test)]
mod tests;
mod traces;
mod values;
pub(crate) mod yaml;

use std::path::Path;

use crate::mint::BuildFault;

pub use audit::{AuditLog, AuditSubject, AuditTarget};
pub use caller::{CallerLimits, Rate};
pub use fault::{ConfigError, Fault, Place};
pub use key_source::{InlineKeys, KeySource};
pub use profile::Profile;
pub(crate) use profile::{GivenProfiles, RuleOrigin};
pub use root::Config;
pub use schema::schema;
pub use secret::{KnownCaller, KnownCredential};
pub use traces::{SampleRatio, Traces};
pub use values::{Host, HttpUrl, Network};

pub(crate) use key_settings::KeyFileSettings;
pub(crate) use log::{LogFormat, LogLevel};
pub(crate) use rest::{STAND_IN_KEYS, position_of};
pub(crate) use secret::{line_in_file, load_callers, load_source_keys, load_source_secrets, secret_in_file};
pub(crate) use serve::{Listener, UnixSocket};

/// A valid configuration and its warnings.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
    /// What is not served, or served with the configuration that it had before, although all else is.
    pub problems: Vec<BuildFault>,
}

impl Config {
    /// Parses `text`, with the variables of `environment` over it. Paths in it are relative to `base_dir`, the directory of
    /// the file. If `text` is empty, all settings come from the environment.
    ///
    /// # Errors
    /// Returns every fault: text that is not YAML, unknown keys and variables, invalid types and values, contradictions.
    pub fn parse(text: &str, base_dir: &Path, environment: &[(String, String)]) -> Result<Loaded, ConfigError> {
        Self::parse_with(text, base_dir, environment, &mut GivenProfiles::default())
    }

    /// As [`Config::parse`], with profiles from another source. `text` and `environment` can then override their settings,
    /// and add profiles. Kept profiles that `text` defines itself are removed from `given`.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub(crate) fn parse_with(
        text: &str,
        base_dir: &Path,
        environment: &[(String, String)],
        given: &mut GivenProfiles,
    ) -> Result<Loaded, ConfigError> {
        let mut faults = fault::Faults::default();
        let Some(root) = yaml::parse(text, None, yaml::Quoting::Shown, &mut faults) else {
            return Err(faults.into_error());
        };
        match Self::read(root, base_dir, environment, given) {
            Ok(loaded) if faults.is_empty() => Ok(loaded),
            Ok(_) => Err(faults.into_error()),
            Err(found) => {
                faults.extend(found.into_list());
                Err(faults.into_error())
            }
        }
    }

    fn read(
        mut root: yaml::Node,
        base_dir: &Path,
        environment: &[(String, String)],
        given: &mut GivenProfiles,
    ) -> Result<Loaded, fault::Faults> {
        let mut faults = fault::Faults::default();
        let mut ignored = given.ignored.take();
        env::apply(&mut root, environment, given.names(), &mut ignored, &mut faults);
        given.ignored = ignored;
        let mut warnings = Vec::new();
        let config = root::config(&root, base_dir, given, &mut faults, &mut warnings);
        faults.name_owners(root::owners_of);
        if let (Some(config), true) = (config, faults.is_empty()) {
            return Ok(Loaded { config, warnings, problems: Vec::new() });
        }
        if faults.is_empty() {
            let expected = "sizes and counts within the address space of this host";
            faults.add("limits", expected, "a larger number; reduce the limits", &Place::Nowhere);
        }
        Err(faults)
    }
}
