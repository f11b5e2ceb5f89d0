//! The configuration: `claimsmith.yaml` and the environment, checked as a whole before anything starts.
//!
//! [`Config::parse`] takes text, never a file: it reads no file, no environment and no clock, and returns either a
//! configuration in which every value is right, or every fault at once. Secrets are fetched by [`load_callers`],
//! through a reader that the caller brings.
//!
//! ```
//! use claimsmith::config::Config;
//! use std::path::Path;
//!
//! let text = "profiles: { id_token: { issuer: https://id.example.org/, jwks: keys/id_token.jwks.json } }";
//! let loaded = Config::parse(text, Path::new("/etc/claimsmith"), &[]).unwrap();
//! assert_eq!(loaded.config.serve.api.port, 4477);
//!
//! let error = Config::parse("profiles: { id_token: { isuer: x } }", Path::new("."), &[]).unwrap_err();
//! assert!(error.to_string().contains("did you mean `issuer`?"));
//! ```

mod callers;
mod env;
pub(crate) mod fault;
mod field;
mod key_source;
mod raw;
mod read;
mod schema;
mod secret;
mod tells;
#[cfg(test)]
mod tests;
mod validate;
mod values;
pub(crate) mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::claims::RegisteredInTemplate;
use crate::keys::{PolicyError, RotationPolicy, SignatureAlg};
use crate::mint::{Caching, Placement, Validate};
use crate::session::SessionPath;
use crate::sources::{RemoteSource, distinct_names};
use crate::templates::{Missing, TemplateText};
use crate::time::Ttl;
use crate::tls::CertificateName;

pub use fault::{ConfigError, Fault, Place};
pub use key_source::{InlineKeys, KeySource};
pub use schema::schema;
pub use secret::{KnownCaller, KnownCredential, LoadedCallers, SecretSource, load_callers};
pub use tells::{AuditLog, AuditSubject, AuditTarget, SampleRatio, Traces};
pub use values::{Host, ProfileName};

/// A configuration in which every value is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the service listens, and how it starts and stops.
    pub serve: Serve,
    /// What one request and one token may cost.
    pub limits: Limits,
    /// The directory of the claims templates.
    pub templates: PathBuf,
    /// Go templates that the configuration itself holds, by name: those of an Oathkeeper configuration.
    pub go_templates: BTreeMap<String, TemplateText>,
    /// The kinds of token; at least one.
    pub profiles: BTreeMap<ProfileName, Profile>,
    /// Who may ask for a token. Where there is none, everyone who reaches the api listener may.
    pub callers: Vec<Caller>,
    /// How often files are looked at for changes.
    pub reload_interval: Duration,
    /// How keys follow each other in key files; `None` where nobody changes those.
    pub rotation: Option<Rotation>,
    /// How long verifiers may keep a published key set.
    pub jwks_max_age: Duration,
    /// What is logged, and how.
    pub log: Log,
    /// The audit log of issued tokens; `None` where there is none.
    pub audit: Option<AuditLog>,
    /// Where traces go; `None` where there are none.
    pub traces: Option<Traces>,
    /// The URL under which verifiers reach the api listener, without a slash at its end.
    pub public_url: Option<String>,
}

/// A configuration with what is questionable about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Sentences for the operator.
    pub warnings: Vec<String>,
}

/// Where the service listens, and how it starts and stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve {
    /// Issuing, key sets and discovery.
    pub api: Listener,
    /// Whether `api` is opened; not where a Unix socket stands alone.
    pub has_api_address: bool,
    /// TLS on `api`.
    pub tls: Option<TlsFiles>,
    /// A socket beside `api` or instead of it.
    pub unix: Option<UnixSocket>,
    /// Health, version and metrics.
    pub admin: Listener,
    /// Whether `admin` has the playground.
    pub playground: bool,
    /// Whether everyone may ask for tokens on a listener that is not loopback.
    pub allow_unauthenticated: bool,
    /// How long requests in flight may take to finish once the service stops.
    pub shutdown_timeout: Duration,
    /// How long the listeners stay open after readiness has turned 503.
    pub shutdown_delay: Duration,
    /// Threads that serve the api listener; `None` for one for each core.
    pub workers: Option<NonZeroUsize>,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address or name.
    pub host: Host,
    /// The port; 0 for any free one.
    pub port: u16,
}

/// The files of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its intermediates, in PEM.
    pub cert_file: PathBuf,
    /// Its private key, in PEM.
    pub key_file: PathBuf,
    /// Who vouches for callers, and whether others may connect; `None` where callers are not asked for certificates.
    pub client: Option<ClientCa>,
}

/// Who vouches for the certificates of callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCa {
    /// The roots, in PEM.
    pub file: PathBuf,
    /// Whether nobody connects without a certificate.
    pub is_required: bool,
}

/// A socket in the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Where it stands.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
}

/// What one request and one token may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request body.
    pub body: usize,
    /// Arrays and objects inside each other.
    pub depth: usize,
    /// Bytes of rendered claims.
    pub claims: usize,
    /// Steps of one rendering.
    pub template_work: u64,
    /// Bytes of a request's header block.
    pub header: usize,
    /// How long a request may take.
    pub request: Duration,
    /// Connections of the api listener that are served at once, over all workers.
    pub connections: usize,
    /// Of one address; as many as `connections` where one address may have all of them.
    pub connections_per_peer: usize,
    /// Bytes of tokens, and of what they were made from, that are kept; zero keeps none.
    pub token_cache: usize,
    /// Requests for tokens that are worked on at once.
    pub in_flight: usize,
    /// Wrong attempts of one address a minute before it is slowed.
    pub failed_attempts: u32,
    /// How long the answer to a wrong attempt then waits.
    pub failed_delay: Duration,
    /// How long an idle connection stays open; zero closes after each answer.
    pub keep_alive: Duration,
    /// Bytes of a key set from the network.
    pub key_set: usize,
    /// How long such a set may take to come.
    pub key_fetch: Duration,
}

/// One kind of token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The claim `iss`; never empty.
    pub issuer: String,
    /// Where the JWK Set comes from.
    pub jwks: KeySource,
    /// The only algorithm to sign with; `None` lets the key decide.
    pub alg: Option<SignatureAlg>,
    /// How long a token lives at most.
    pub ttl: Ttl,
    /// The claim `aud`; `None` leaves it to the template. Never empty.
    pub audience: Option<Vec<String>>,
    /// The name of the claims template.
    pub template: String,
    /// Where a hydrated session carries the token.
    pub placement: Placement,
    /// What a template gets for a path that the session does not have.
    pub missing: Missing,
    /// The value of the session that no token outlives.
    pub expires_with: ExpiresWith,
    /// Where the claim `sub` comes from.
    pub subject: SessionPath,
    /// Whether sessions without a subject get tokens.
    pub allow_empty_subject: bool,
    /// What happens to a registered claim that the template sets.
    pub registered_claims: RegisteredInTemplate,
    /// When claims are held against the schema beside the template.
    pub validate: Validate,
    /// Whether a token may be given out again.
    pub cache: Caching,
}

/// The value of the session that no token outlives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpiresWith {
    /// None.
    Never,
    /// The one at this path.
    Path {
        /// Where it is.
        path: SessionPath,
        /// Whether the configuration names the path, so that a session without it is refused.
        is_explicit: bool,
    },
}

/// How keys follow each other in key files. No verifier can meet a token without its key, see [`Config::rotation_of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// How long a key signs.
    pub every: Duration,
    /// How long it is published before it signs.
    pub lead: Duration,
    /// How long it stays in the file after its end; `None` for the longest `ttl` of the profiles that sign with it.
    pub retire: Option<Duration>,
}

/// Who may ask for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What logs and metrics call it; no other caller has this name.
    pub name: String,
    /// What it must show.
    pub credential: Credential,
    /// The profiles that it may ask for, all of them configured; `None` for every one.
    pub profiles: Option<Vec<String>>,
    /// How much it may ask for.
    pub limits: CallerLimits,
}

/// What a caller must show, and where the secrets in it come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// HTTP Basic (RFC 7617).
    Basic {
        /// The user name.
        username: String,
        /// The passwords, each of which will do; never empty.
        passwords: Vec<SecretSource>,
    },
    /// A bearer token (RFC 6750).
    Bearer {
        /// The tokens, each of which will do; never empty.
        tokens: Vec<SecretSource>,
    },
    /// A certificate of this name, from the client CA.
    Certificate(CertificateName),
}

/// How much a caller may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallerLimits {
    /// Requests that are worked on at once.
    pub concurrency: Option<NonZeroU32>,
    /// Requests over time.
    pub rate: Option<Rate>,
}

/// Requests over time: `burst` at once, and then one each `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time that brings one more request; not zero.
    pub period: Duration,
    /// Requests that may come at once.
    pub burst: NonZeroU32,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important kind of event that is logged.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
}

/// How important an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are all there is to say")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For programs.
    Json,
    /// For people.
    Text,
}

impl Config {
    /// Reads the configuration that `text` and the variables of `environment` make together; paths in it are
    /// relative to `base_dir`, the directory of the file. An empty text leaves everything to the environment.
    ///
    /// # Errors
    /// Every fault: text that is not YAML, unknown keys and variables, wrong types and values, contradictions.
    pub fn parse(text: &str, base_dir: &Path, environment: &[(String, String)]) -> Result<Loaded, ConfigError> {
        Self::parse_with(text, base_dir, environment, BTreeMap::new())
    }

    /// As [`Config::parse`], with profiles that come from elsewhere: `text` then needs none and may name more.
    ///
    /// # Errors
    /// As [`Config::parse`]; a profile that is named twice is a fault.
    pub fn parse_with(
        text: &str,
        base_dir: &Path,
        environment: &[(String, String)],
        given: BTreeMap<ProfileName, Profile>,
    ) -> Result<Loaded, ConfigError> {
        let mut faults = fault::Faults::default();
        let root = yaml::parse(text, None, yaml::Quoting::Shown, &mut faults);
        if let Some(mut root) = root {
            env::apply(&mut root, environment, &mut faults);
            let mut warnings = Vec::new();
            let config = validate::config(&root, base_dir, given, &mut faults, &mut warnings);
            if let (Some(config), true) = (config, faults.is_empty()) {
                return Ok(Loaded { config, warnings });
            }
            if faults.is_empty() {
                faults.add("limits", "numbers that this machine can count to", "larger ones", &Place::Nowhere);
            }
        }
        Err(faults.into_error())
    }
}

impl Config {
    /// The key files, each once.
    pub fn key_files(&self) -> BTreeSet<&Path> {
        let sources = self.profiles.values().map(|profile| &profile.jwks);
        sources
            .filter_map(|source| match source {
                KeySource::File(path) => Some(path.as_path()),
                KeySource::Inline(_) | KeySource::Remote(_) => None,
            })
            .collect()
    }

    /// The sources of key sets, each once, with a name that no other has. What profiles sign with is found by it.
    pub fn key_names(&self) -> BTreeMap<&KeySource, String> {
        let sources: BTreeSet<&KeySource> = self.profiles.values().map(|profile| &profile.jwks).collect();
        let names = distinct_names(&sources);
        sources.into_iter().zip(names).collect()
    }

    /// The key sets on the network, each once.
    pub fn remote_sources(&self) -> BTreeSet<RemoteSource> {
        let sources = self.profiles.values().map(|profile| &profile.jwks);
        sources
            .filter_map(|source| match source {
                KeySource::Remote(source) => Some(source.clone()),
                KeySource::File(_) | KeySource::Inline(_) => None,
            })
            .collect()
    }
}

impl Config {
    /// How long a token of any profile with the keys of `file` lives at most; `None` where no profile has them.
    pub fn longest_ttl(&self, file: &Path) -> Option<Ttl> {
        let has_them = |profile: &&Profile| matches!(&profile.jwks, KeySource::File(path) if path == file);
        self.profiles.values().filter(has_them).map(|profile| profile.ttl).max()
    }

    /// The policy of `rotation` for the keys of `file`, whose tokens live for `longest_ttl` at most.
    ///
    /// # Errors
    /// [`PolicyError`] where a token would be lost.
    pub fn rotation_of(&self, rotation: &Rotation, longest_ttl: Ttl) -> Result<RotationPolicy, PolicyError> {
        let retire = rotation.retire.unwrap_or(Duration::from_secs(longest_ttl.seconds().into()));
        RotationPolicy::new(rotation.lead, retire, self.jwks_max_age, longest_ttl)
    }
}

impl LogLevel {
    /// The level as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}
