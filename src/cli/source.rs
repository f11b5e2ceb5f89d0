//! Reads the configuration that a command works with.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::Global;
use super::http;
use super::output::Failure;
use super::runtime::block_on;
use crate::code::ErrorCode;
use crate::config::{Config, ConfigError, KeyFileSettings, Loaded, position_of};
use crate::escape;
use crate::keys::SignatureAlg;
use crate::mint::{BuildFault, MOST_LISTED, Mint, listed};
use crate::nearest::nearest;
use crate::oathkeeper::{self, DropIn};
use crate::reload::{self, FileUse, Files, missing_source_error, remote_key_sets};
use crate::remote::{
    FailureCodes, FailureHints, FileKind, RefreshPolicy, RemoteFiles, RemoteSource, WantedFiles, plain_http_proxy,
    without_secrets,
};
use crate::time::{Clock as _, SystemClock};

/// The configuration file if none is named.
const DEFAULT_FILE: &str = "claimsmith.yaml";
/// The variables with the URL of an object store that is not the provider's own.
const OBJECT_STORE_ENDPOINTS: [&str; 5] =
    ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AZURE_ENDPOINT", "AZURE_STORAGE_ENDPOINT"];
/// The largest file of access rules that is fetched from a URL.
const LARGEST_RULES: usize = 8 << 20;

/// Access rules as a remote file. Their content is checked when they are parsed.
static ACCESS_RULES: FileKind = FileKind {
    accept: "application/json, application/yaml",
    check: |_| Ok(()),
    codes: FailureCodes {
        invalid: ErrorCode::ConfigInvalid,
        timeout: ErrorCode::ConfigInvalid,
        too_large: ErrorCode::ConfigInvalid,
        unavailable: ErrorCode::ConfigInvalid,
    },
    hints: FailureHints {
        timeout: "check the source, or mount the rules as a file",
        too_large: "check the URL, or split the rules into several repositories",
    },
};

/// The origin of a configuration: a file, the environment over it, and the profiles of an Oathkeeper configuration.
pub(super) struct Source {
    file: PathBuf,
    /// Whether the file was named explicitly, so that it must exist.
    is_named: bool,
    /// Whether the file may be missing: it was not named, it does not exist, and the environment has the profiles. This is
    /// decided once, otherwise a deleted file would remove the callers that it lists.
    is_dispensable: bool,
    environment: Vec<(String, String)>,
    oathkeeper: Option<oathkeeper::Source>,
}

impl Source {
    /// Determines the origin from the arguments and the environment.
    pub(super) fn of(global: &Global, oathkeeper: &[PathBuf]) -> Self {
        let named = global.config.clone().or_else(|| std::env::var_os("CLAIMSMITH_CONFIG").map(PathBuf::from));
        let is_named = named.is_some();
        let file = named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let has_profiles = std::env::var_os("CLAIMSMITH_PROFILES").is_some();
        Self {
            is_named,
            is_dispensable: has_profiles && !is_named && !file.exists(),
            file,
            environment: environment(),
            oathkeeper: (!oathkeeper.is_empty()).then(|| oathkeeper_source(oathkeeper)),
        }
    }

    /// Returns the file that errors name first.
    pub(super) fn path(&self) -> PathBuf {
        self.oathkeeper.as_ref().map_or(self.file.as_path(), oathkeeper::Source::file).to_path_buf()
    }

    /// Returns `true` if the file was named explicitly.
    pub(super) fn is_named(&self) -> bool {
        self.is_named
    }

    /// Reads the configuration through `files`. `current` is the configuration that is served.
    ///
    /// # Errors
    /// Returns every fault.
    pub(super) fn read(&self, files: &mut Files, current: Option<&Config>) -> Result<Loaded, Vec<BuildFault>> {
        let file = self.file.display().to_string();
        let text = self.text(files)?;
        let base_dir = self.file.parent().unwrap_or(Path::new(""));
        let faults_of = |error: ConfigError| error.build_faults(&file);
        let ours = self.own_variables();
        let Some(oathkeeper) = &self.oathkeeper else {
            let loaded = Config::parse(&text, base_dir, &ours).map_err(faults_of)?;
            return Ok(self.with_proxy_warnings(loaded));
        };
        let files = RefCell::new(files);
        let content = oathkeeper.read(&self.environment, &|path| read_rules(oathkeeper, path, &mut files.borrow_mut()));
        let files = files.into_inner();
        files.record(b"oathkeeper", &content.digest);
        let drop_in = DropIn::new(content.config?, oathkeeper.file().display().to_string(), current);
        let loaded = drop_in.load(|given| {
            let mut loaded = Config::parse_with(&text, base_dir, &ours, given).map_err(faults_of)?;
            let ignored = given.ignored.take().unwrap_or_default().into_list();
            loaded.problems.extend(ignored.iter().map(|fault| fault.build_fault(&file)));
            Ok(loaded)
        })?;
        Ok(self.with_proxy_warnings(loaded))
    }

    /// Adds a warning for each request that crosses a proxy without encryption.
    fn with_proxy_warnings(&self, mut loaded: Loaded) -> Loaded {
        let keys = loaded.config.remote_sources().into_iter().map(|source| ("jwks", source.url(), source.to_string()));
        let traces = loaded.config.traces.iter().map(|traces| {
            let url = traces.endpoint.to_string();
            ("traces.endpoint", url.clone(), without_secrets(&url))
        });
        let stores = self.environment.iter().filter(|(name, _)| OBJECT_STORE_ENDPOINTS.contains(&name.as_str()));
        let stores = stores.map(|(name, url)| (name.as_str(), url.clone(), without_secrets(url)));
        let warnings = keys.chain(traces).chain(stores).filter_map(|(key, url, shown)| {
            let variable = plain_http_proxy(&url, &self.environment)?;
            Some(format!(
                "{key}: requests to {shown} pass the proxy of {variable} without TLS, so the proxy can read and change \
                 them; use an https URL, or add the host to NO_PROXY"
            ))
        });
        let warnings: Vec<String> = warnings.collect();
        loaded.warnings.extend(warnings);
        loaded
    }

    /// Returns what the key file that `is_wanted` accepts depends on. Other errors of the configuration are ignored.
    ///
    /// # Errors
    /// Returns every fault that these settings depend on.
    pub(super) fn key_settings(&self, is_wanted: impl Fn(&Path) -> bool) -> Result<KeyFileSettings, Vec<BuildFault>> {
        let text = self.text(&mut Files::new())?;
        let base_dir = self.file.parent().unwrap_or(Path::new(""));
        KeyFileSettings::parse(&text, base_dir, &self.own_variables(), is_wanted)
            .map_err(|error| error.build_faults(&self.file.display().to_string()))
    }

    /// Reads the configuration, and builds what it describes. The recorded cases of checks are not run.
    ///
    /// # Errors
    /// Returns a failure with every fault.
    pub(super) fn load(&self) -> Result<(Config, Mint), Failure> {
        let loaded = self.read(&mut Files::new(), None).map_err(|faults| self.failure(&faults))?;
        let config = loaded.config;
        let remote = self.remote_files(&config);
        fetch_key_sets(&remote, &config).map_err(|faults| self.failure(&faults))?;
        let loaded = reload::load_without_check_cases(&config, &remote, SystemClock.now());
        let (mint, _) = loaded.map_err(|error| self.failure(&error.faults))?;
        Ok((config, mint))
    }

    /// Returns the text of the configuration file; empty if there is none and none is needed.
    fn text(&self, files: &mut Files) -> Result<String, Vec<BuildFault>> {
        let has_own_file = self.oathkeeper.is_none() || self.is_named;
        match if has_own_file { files.read_text(&self.file) } else { Ok(String::new()) } {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_dispensable => Ok(String::new()),
            Err(error) => {
                let advice = if error.kind() == io::ErrorKind::NotFound {
                    "; create one with `claimsmith init DIR`, or name it with --config or CLAIMSMITH_CONFIG"
                } else {
                    ""
                };
                let message = format!("expected a readable configuration, found: {error}{advice}");
                Err(vec![BuildFault::new(ErrorCode::ConfigInvalid, self.file.display().to_string(), message)])
            }
        }
    }

    /// Returns the environment variables that are settings.
    fn own_variables(&self) -> Vec<(String, String)> {
        let is_ours = |(name, _): &&(String, String)| name.starts_with("CLAIMSMITH_");
        self.environment.iter().filter(is_ours).cloned().collect()
    }

    /// Reads the parts of the configuration that have no faults, for further checks. `None` for profiles of Oathkeeper, whose
    /// faults do not hide each other.
    pub(super) fn read_rest(&self) -> Option<Loaded> {
        if self.oathkeeper.is_some() {
            return None;
        }
        let text = Files::new().read_text(&self.file).ok()?;
        let base_dir = self.file.parent().unwrap_or(Path::new(""));
        let ours = self.own_variables();
        let error = Config::parse(&text, base_dir, &ours).err()?;
        Config::parse_rest(&text, base_dir, &ours, &error)
    }

    /// Returns `faults` with the line and the column of the keys that they name.
    pub(super) fn located(&self, mut faults: Vec<BuildFault>) -> Vec<BuildFault> {
        let Ok(text) = Files::new().read_text(&self.file) else { return faults };
        for fault in &mut faults {
            let Some(pointer) = &mut fault.pointer else { continue };
            let Some(key) = pointer.key.as_deref().filter(|_| pointer.line.is_none() && pointer.variable.is_none())
            else {
                continue;
            };
            // Of a key that is not set, the mapping that could have it counts.
            let owner = || position_of(&text, key.rsplit_once('.').map_or(key, |(owner, _)| owner));
            if let Some((line, column)) = position_of(&text, key).or_else(owner) {
                fault.message = format!("{} ({}, line {line}, column {column})", fault.message, self.file.display());
                pointer.path = Some(self.file.display().to_string());
                (pointer.line, pointer.column) = (Some(line), Some(column));
            }
        }
        faults
    }

    /// Creates the remote key sets, with their credentials from the environment.
    pub(super) fn remote_files(&self, config: &Config) -> RemoteFiles {
        let (timeout, bytes) = (config.limits.key_fetch, config.limits.key_set);
        RemoteFiles::new(&self.environment, RefreshPolicy { timeout, max_bytes: bytes, ..RefreshPolicy::default() })
    }

    /// Returns the failure of a command because of these faults.
    pub(super) fn failure(&self, faults: &[BuildFault]) -> Failure {
        let messages = listed(faults.iter().map(|fault| escape::line(&fault.message).into_owned()), MOST_LISTED);
        let path = self.path().display().to_string();
        let message = format!("{} cannot be used:\n  {}", escape::line(&path), messages.join("\n  "));
        Failure::Configuration(message, faults.to_vec())
    }
}

/// Returns the environment variables that are UTF-8.
pub(super) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Creates the source of the Oathkeeper configuration in `files`.
pub(super) fn oathkeeper_source(files: &[PathBuf]) -> oathkeeper::Source {
    oathkeeper::Source::new(files, download_rules)
}

/// Reads a file of the Oathkeeper configuration, or the access rules that it names.
pub(super) fn read_rules(oathkeeper: &oathkeeper::Source, path: &Path, files: &mut Files) -> io::Result<Vec<u8>> {
    // The digest has the content of the source as a whole.
    files.read_unrecorded(path, if oathkeeper.names(path) { FileUse::Configuration } else { FileUse::AccessRules })
}

/// Returns the access rules at `url`.
fn download_rules(url: &str) -> Result<Vec<u8>, String> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return http::download(url, LARGEST_RULES).map_err(|error| format!("{error:#}"));
    }
    let source = RemoteSource::parse(url).map_err(|invalid| {
        format!("{invalid}; set endpoint and region with the variables of the object store, such as AWS_ENDPOINT")
    })?;
    let policy = RefreshPolicy { max_bytes: LARGEST_RULES, ..RefreshPolicy::default() };
    let remote = RemoteFiles::new(&environment(), policy);
    let wanted = WantedFiles::from([(source.clone(), &ACCESS_RULES)]);
    let mut errors = Vec::new();
    let _ = block_on(async {
        errors = remote.track_and_fetch(&wanted, Instant::now()).await.err().unwrap_or_default();
        Ok(())
    });
    match remote.current(&source) {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Err(errors.first().map_or_else(|| "no response".to_owned(), |error| error.cause())),
    }
}

/// Fetches the remote key sets of `config`.
///
/// # Errors
/// Returns a fault for each set that cannot be fetched.
pub(super) fn fetch_key_sets(remote: &RemoteFiles, config: &Config) -> Result<(), Vec<BuildFault>> {
    let (wanted, mut faults) = (remote_key_sets(config), Vec::new());
    if wanted.is_empty() {
        return Ok(());
    }
    let _ = block_on(async {
        if let Err(errors) = remote.track_and_fetch(&wanted, Instant::now()).await {
            faults = errors.iter().map(missing_source_error).collect();
        }
        Ok(())
    });
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Returns the signature algorithm that `--alg` names.
pub(super) fn algorithm(name: &str) -> Result<SignatureAlg, Failure> {
    SignatureAlg::parse(name).ok_or_else(|| {
        let near = nearest(name, SignatureAlg::NAMES.into_iter());
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        Failure::Refused(format!("expected --alg to be one of {}, found {name}{hint}", SignatureAlg::NAMES.join(", ")))
    })
}
