//! `serve`, `check`, `health`: what an operator does with a configuration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::{Level, info, warn};

use super::output::{self, Failure};
use super::{Global, demo, oathkeeper};
use crate::app::{Application, Upkeep, make_room, missing_source_error, stop_signal};
use crate::code::ErrorCode;
use crate::config::{Config, ConfigError, Fault, Loaded, LogFormat, LogLevel, Place, load_callers};
use crate::mint::{BuildError, BuildFault, FaultPointer, Mint};
use crate::reload::{self, Files, ReloadOutcome, Reloader, remote_key_sets};
use crate::remote::{RefreshPolicy, RemoteFiles};
use crate::telemetry;
use crate::time::{Clock as _, SystemClock};

/// Where the configuration stands if nothing says otherwise.
const DEFAULT_FILE: &str = "claimsmith.yaml";

pub(super) fn serve(global: &Global, oathkeeper: Option<&Path>) -> Result<(), Failure> {
    let source = Source::of(global, oathkeeper);
    let path = source.path();
    let Loaded { config, .. } = source.read(&mut Files::new()).map_err(|faults| source.failure(&faults))?;
    telemetry::init_logging(level(config.log.level), format(config.log.format));
    let cannot = |error: BuildError| Failure::Configuration(format!("{} cannot be served:\n{error}", path.display()));
    let remote = Arc::new(source.remote_files(&config));
    fetch_key_sets(&remote, &config).map_err(|faults| cannot(BuildError { faults }))?;
    let mut reloader = Reloader::new(Box::new(move |files| source.read(files)), Arc::clone(&remote));
    let generation = match reloader.check(SystemClock.now()) {
        ReloadOutcome::Replaced(generation) => *generation,
        ReloadOutcome::Rejected(error) => return Err(cannot(error)),
        ReloadOutcome::Debouncing
        | ReloadOutcome::MissingKeySets(_)
        | ReloadOutcome::Restored
        | ReloadOutcome::Unchanged => {
            return Err(anyhow::anyhow!("configuration changed during startup; try again").into());
        }
    };
    for note in generation.notes.iter().chain(&make_room(&generation.config)) {
        warn!("{note}");
    }
    let profiles = generation.mint.profiles().count();
    info!(version = env!("CARGO_PKG_VERSION"), config = %path.display(), profiles, "starting");
    run(async move {
        let application = Application::bind(generation, Arc::new(SystemClock))?;
        application.run_with(Upkeep::new(reloader, remote), stop_signal()).await
    })
}

/// Fetches the remote key sets of `config`.
///
/// # Errors
/// Returns a fault for each source without a good key set.
fn fetch_key_sets(remote: &RemoteFiles, config: &Config) -> Result<(), Vec<BuildFault>> {
    let (wanted, mut faults) = (remote_key_sets(config), Vec::new());
    if wanted.is_empty() {
        return Ok(());
    }
    let _ = run(async {
        if let Err(errors) = remote.track_and_fetch(&wanted, Instant::now()).await {
            faults = errors.iter().map(missing_source_error).collect();
        }
        Ok(())
    });
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Runs `future` on the runtime that the HTTP server needs.
pub(super) fn run<T>(future: impl Future<Output = anyhow::Result<T>>) -> Result<T, Failure> {
    Ok(actix_web::rt::System::new().block_on(future)?)
}

pub(super) fn check(global: &Global, oathkeeper: Option<&Path>) -> Result<(), Failure> {
    let source = Source::of(global, oathkeeper);
    let file = source.path().display().to_string();
    let mut faults: Vec<BuildFault> = Vec::new();
    let mut key_files = Vec::new();
    let mut notes = Vec::new();
    let mut summary = String::new();
    match source.read(&mut Files::new()) {
        Err(found) => faults.extend(found),
        Ok(Loaded { config, warnings }) => {
            key_files.extend(config.key_files().into_iter().map(|path| path.display().to_string()));
            notes.extend(warnings);
            match load_callers(&config.callers, &|path| fs::read(path)) {
                Ok(callers) => notes.extend(callers.warnings),
                Err(error) => faults.extend(error.faults().iter().map(|found| config_fault(&file, found))),
            }
            let remote = source.remote_files(&config);
            let missing = fetch_key_sets(&remote, &config).err().unwrap_or_default();
            match reload::load(&config, &remote, SystemClock.now()) {
                Ok((mint, more)) => {
                    notes.extend(more);
                    summary = summarise(&mint, &config);
                }
                Err(error) => {
                    let is_reported = |fault: &BuildFault| missing.iter().any(|missing| missing.part == fault.part);
                    faults.extend(error.faults.into_iter().filter(|fault| !is_reported(fault)));
                }
            }
            faults.extend(missing);
        }
    }
    if global.json {
        let faults: Vec<_> = faults.iter().map(|fault| fault_json(fault, &file, &key_files)).collect();
        output::line(&serde_json::json!({"ok": faults.is_empty(), "faults": faults, "notes": notes}).to_string())?;
    } else {
        for note in &notes {
            output::note(&format!("note: {note}"));
        }
        for fault in &faults {
            output::note(&format!("fault: {fault}"));
        }
        if faults.is_empty() {
            output::line(&summary)?;
        } else {
            output::note(&format!("{} {}", faults.len(), if faults.len() == 1 { "fault" } else { "faults" }));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::Told) }
}

/// A fault for programs. One that is of no file in particular is the configuration's, or that of a source on the
/// network.
fn fault_json(fault: &BuildFault, file: &str, key_files: &[String]) -> serde_json::Value {
    let pointer = fault.pointer.as_deref();
    let of_the_whole = || match fault.code {
        ErrorCode::KeySetInvalid if key_files.contains(&fault.part) => Some(fault.part.clone()),
        ErrorCode::ConfigInvalid => Some(file.to_owned()),
        _ => None,
    };
    serde_json::json!({
        "code": fault.code.as_str(),
        "part": fault.part,
        "path": pointer.map_or_else(of_the_whole, |pointer| pointer.path.clone()),
        "line": pointer.and_then(|pointer| pointer.line),
        "column": pointer.and_then(|pointer| pointer.column),
        "key": pointer.and_then(|pointer| pointer.key.as_deref()),
        "variable": pointer.and_then(|pointer| pointer.variable.as_deref()),
        "message": pointer.map_or(&fault.message, |pointer| &pointer.message),
    })
}

fn summarise(mint: &Mint, config: &Config) -> String {
    let mut lines = vec![match config.go_templates.is_empty() {
        true => format!("ok: {} profile(s), templates in {}", mint.profiles().count(), config.templates.display()),
        false => format!("ok: {} profile(s)", mint.profiles().count()),
    }];
    for profile in mint.profiles() {
        let spec = profile.spec();
        let now = SystemClock.now();
        let signer = profile.keys().signer(now, spec.alg);
        lines.push(match signer {
            Ok(key) => format!("  {}: signs {} with key {}", spec.name, key.alg(), key.kid()),
            Err(error) => format!("  {}: cannot sign now: {error}", spec.name),
        });
    }
    lines.join("\n")
}

pub(super) fn health(global: &Global, url: Option<String>) -> Result<(), Failure> {
    let url = match url {
        Some(url) => url,
        None => {
            let source = Source::of(global, None);
            let loaded = source.read(&mut Files::new()).map_err(|faults| source.failure(&faults))?;
            let admin = &loaded.config.serve.admin;
            let host = match admin.host.text().as_str() {
                "0.0.0.0" => "127.0.0.1".to_owned(),
                "::" => "[::1]".to_owned(),
                host if host.contains(':') => format!("[{host}]"),
                host => host.to_owned(),
            };
            format!("http://{host}:{}/health/ready", admin.port)
        }
    };
    let body = run(async move {
        let client = demo::client(&url)?;
        let response = client
            .get(&url)
            .timeout(Duration::from_secs(2))
            .send()
            .await
            .with_context(|| format!("expected an answer from {url}, found none"))?;
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        anyhow::ensure!(status.is_success(), "expected 200 from {url}, found {status}: {}", body.trim());
        Ok(body)
    })?;
    concerns(&body).iter().for_each(|concern| output::note(concern));
    if global.json { output::line("{\"ready\":true}") } else { output::line("ready") }
}

/// What a readiness document says is wrong although the service is ready.
fn concerns(document: &str) -> Vec<String> {
    let document: serde_json::Map<String, serde_json::Value> = serde_json::from_str(document).unwrap_or_default();
    let told = |(name, concern): (&String, &serde_json::Value)| {
        let since = concern["since"].as_str()?;
        let faults = concern["faults"].as_array()?.iter().filter_map(serde_json::Value::as_str);
        Some(faults.map(|fault| format!("{name}, since {since}: {fault}")).collect::<Vec<_>>())
    };
    document.iter().filter_map(told).flatten().collect()
}

/// Where the configuration comes from: a file, the environment over it, and the profiles of an Oathkeeper configuration.
pub(super) struct Source {
    file: PathBuf,
    /// Whether somebody names the file, so that it has to be there.
    is_named: bool,
    /// Whether there need not be a file: nobody names one, there is none, and the environment has the profiles. That is
    /// decided once, so that a file which vanishes takes no caller with it.
    is_dispensable: bool,
    environment: Vec<(String, String)>,
    oathkeeper: Option<oathkeeper::Source>,
}

impl Source {
    /// What `global` and the environment say.
    pub(super) fn of(global: &Global, oathkeeper: Option<&Path>) -> Self {
        let named = global.config.clone().or_else(|| std::env::var_os("CLAIMSMITH_CONFIG").map(PathBuf::from));
        let is_named = named.is_some();
        let file = named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let has_profiles = std::env::var_os("CLAIMSMITH_PROFILES").is_some();
        Self {
            is_named,
            is_dispensable: has_profiles && !is_named && !file.exists(),
            file,
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            oathkeeper: oathkeeper.map(oathkeeper::Source::new),
        }
    }

    /// The file that a fault is in first of all.
    pub(super) fn path(&self) -> PathBuf {
        self.oathkeeper.as_ref().map_or(&self.file, |oathkeeper| oathkeeper.file()).clone()
    }

    /// Whether somebody named the file.
    pub(super) fn is_named(&self) -> bool {
        self.is_named
    }

    /// Reads it through `files`.
    ///
    /// # Errors
    /// Every fault.
    pub(super) fn read(&self, files: &mut Files) -> Result<Loaded, Vec<BuildFault>> {
        let file = self.file.display().to_string();
        let is_wanted = self.oathkeeper.is_none() || self.is_named;
        let text = match if is_wanted { files.read_text(&self.file) } else { Ok(String::new()) } {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_dispensable => String::new(),
            Err(error) => {
                let advice = if error.kind() == io::ErrorKind::NotFound {
                    "; write one, or name it with --config or CLAIMSMITH_CONFIG"
                } else {
                    ""
                };
                let message = format!("expected a readable configuration, found: {error}{advice}");
                return Err(vec![BuildFault::new(ErrorCode::ConfigInvalid, &file, message)]);
            }
        };
        let base_dir = self.file.parent().unwrap_or(Path::new(""));
        let faults_of = |error: ConfigError| -> Vec<BuildFault> {
            error.faults().iter().map(|fault| config_fault(&file, fault)).collect()
        };
        let is_ours = |(name, _): &&(String, String)| name.starts_with("CLAIMSMITH_");
        let ours: Vec<_> = self.environment.iter().filter(is_ours).cloned().collect();
        let Some(oathkeeper) = &self.oathkeeper else {
            return Config::parse(&text, base_dir, &ours).map_err(faults_of);
        };
        let theirs = oathkeeper.read(&self.environment, files)?;
        let (profiles, templates) = theirs.profiles();
        let mut loaded = Config::parse_with(&text, base_dir, &ours, profiles).map_err(faults_of)?;
        loaded.config.go_templates = templates;
        loaded.warnings.extend(theirs.warnings);
        Ok(loaded)
    }

    /// Returns a store for remote key sets, with the credentials in the environment.
    fn remote_files(&self, config: &Config) -> RemoteFiles {
        let (timeout, max_bytes) = (config.limits.key_fetch, config.limits.key_set);
        RemoteFiles::new(&self.environment, RefreshPolicy { timeout, max_bytes, ..RefreshPolicy::default() })
    }

    /// How a command fails for these faults.
    pub(super) fn failure(&self, faults: &[BuildFault]) -> Failure {
        let messages: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
        Failure::Configuration(format!("{} cannot be used:\n  {}", self.path().display(), messages.join("\n  ")))
    }
}

/// A fault of the configuration in `file`.
pub(super) fn config_fault(file: &str, fault: &Fault) -> BuildFault {
    let (line, column, variable) = match fault.place() {
        Place::File { line, column } => (Some(*line), Some(*column), None),
        Place::Environment(name) => (None, None, Some(name.to_string())),
        Place::Nowhere => (None, None, None),
    };
    // What stands in another document, such as a file of access rules, says so before its path.
    let (path, key) = fault.path().split_once(": ").unwrap_or((file, fault.path()));
    let path = variable.is_none().then(|| path.to_owned());
    let key = (!key.is_empty()).then(|| key.to_owned());
    let pointer = FaultPointer { path, line, column, key, variable, message: fault.message() };
    BuildFault::new(ErrorCode::ConfigInvalid, file, fault.to_string()).at(pointer)
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

fn format(format: LogFormat) -> telemetry::LogFormat {
    match format {
        LogFormat::Json => telemetry::LogFormat::Json,
        LogFormat::Text => telemetry::LogFormat::Text,
    }
}
