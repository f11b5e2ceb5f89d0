//! `serve`, `check`, `health`: what an operator does with a configuration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tracing::{Level, info, warn};

use super::output::{self, Failure};
use super::{Global, demo, oathkeeper};
use crate::app::{Application, stop_signal};
use crate::code::ErrorCode;
use crate::config::{Config, ConfigError, Loaded, LogFormat, LogLevel, load_callers};
use crate::mint::{BuildFault, Mint};
use crate::reload;
use crate::telemetry;
use crate::time::{Clock as _, SystemClock};

/// Where the configuration stands if nothing says otherwise.
const DEFAULT_FILE: &str = "claimsmith.yaml";

pub(super) fn serve(global: &Global, oathkeeper: Option<&Path>) -> Result<(), Failure> {
    let path = oathkeeper.map_or_else(|| config_path(global), Path::to_path_buf);
    let Loaded { config, warnings } = configured(global, oathkeeper)?;
    telemetry::init_logging(level(config.log.level), format(config.log.format));
    let (mint, notes) = reload::load(&config, SystemClock.now())
        .map_err(|error| Failure::Configuration(format!("{} cannot be served:\n{error}", path.display())))?;
    let callers = load_callers(&config.callers, &|path| fs::read(path))
        .map_err(|error| Failure::Configuration(error.to_string()))?;
    for warning in warnings.iter().chain(&callers.warnings).chain(&notes) {
        warn!("{warning}");
    }
    info!(version = env!("CARGO_PKG_VERSION"), config = %path.display(), profiles = mint.profiles().count(), "starting");
    run(async move {
        let application = Application::bind(&config, mint, &callers.callers, Arc::new(SystemClock))?;
        application.run(stop_signal()).await
    })
}

/// Runs `future` on the runtime that the HTTP server needs.
pub(super) fn run<F: Future<Output = anyhow::Result<()>>>(future: F) -> Result<(), Failure> {
    Ok(actix_web::rt::System::new().block_on(future)?)
}

pub(super) fn check(global: &Global, oathkeeper: Option<&Path>) -> Result<(), Failure> {
    let path = oathkeeper.map_or_else(|| config_path(global), Path::to_path_buf);
    let mut faults: Vec<BuildFault> = Vec::new();
    let mut notes = Vec::new();
    let mut summary = String::new();
    match configuration(global, oathkeeper) {
        Err(messages) => faults.extend(messages.into_iter().map(|message| BuildFault {
            code: ErrorCode::ConfigInvalid,
            part: path.display().to_string(),
            message,
        })),
        Ok(Loaded { config, warnings }) => {
            notes.extend(warnings);
            match load_callers(&config.callers, &|path| fs::read(path)) {
                Ok(callers) => notes.extend(callers.warnings),
                Err(error) => faults.extend(error.faults().iter().map(|fault| BuildFault {
                    code: ErrorCode::ConfigInvalid,
                    part: path.display().to_string(),
                    message: fault.to_string(),
                })),
            }
            match reload::load(&config, SystemClock.now()) {
                Ok((mint, more)) => {
                    notes.extend(more);
                    summary = summarise(&mint, &config);
                }
                Err(error) => faults.extend(error.faults),
            }
        }
    }
    if global.json {
        let faults: Vec<_> = faults
            .iter()
            .map(|fault| serde_json::json!({"code": fault.code.as_str(), "part": fault.part, "message": fault.message}))
            .collect();
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
            let loaded = configured(global, None)?;
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
    run(async move {
        let client = demo::client()?;
        let response = client
            .get(&url)
            .timeout(Duration::from_secs(2))
            .send()
            .await
            .with_context(|| format!("expected an answer from {url}, found none"))?;
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        anyhow::ensure!(status.is_success(), "expected 200 from {url}, found {status}: {}", body.trim());
        Ok(())
    })?;
    if global.json { output::line("{\"ready\":true}") } else { output::line("ready") }
}

fn config_path(global: &Global) -> PathBuf {
    global
        .config
        .clone()
        .or_else(|| std::env::var_os("CLAIMSMITH_CONFIG").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(DEFAULT_FILE))
}

/// The configuration, or a failure that names every fault of it.
fn configured(global: &Global, oathkeeper: Option<&Path>) -> Result<Loaded, Failure> {
    let path = oathkeeper.map_or_else(|| config_path(global), Path::to_path_buf);
    configuration(global, oathkeeper).map_err(|faults| {
        Failure::Configuration(format!("{} cannot be used:\n  {}", path.display(), faults.join("\n  ")))
    })
}

/// Reads the configuration file, what the environment says over it, and the profiles of an Oathkeeper configuration;
/// every fault is a line.
fn configuration(global: &Global, oathkeeper: Option<&Path>) -> Result<Loaded, Vec<String>> {
    let path = config_path(global);
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let is_named = global.config.is_some() || environment.iter().any(|(name, _)| name == "CLAIMSMITH_CONFIG");
    let text = match oathkeeper {
        Some(_) if !is_named => String::new(),
        _ => read_configuration(&path)?,
    };
    let base_dir = path.parent().unwrap_or(Path::new(""));
    let faults_of = |error: ConfigError| error.faults().iter().map(ToString::to_string).collect::<Vec<_>>();
    let ours: Vec<_> = environment.iter().filter(|(name, _)| name.starts_with("CLAIMSMITH_")).cloned().collect();
    let Some(file) = oathkeeper else {
        return Config::parse(&text, base_dir, &ours).map_err(faults_of);
    };
    let theirs = oathkeeper::read(file, &environment)?;
    let (profiles, templates) = theirs.profiles();
    let mut loaded = Config::parse_with(&text, base_dir, &ours, profiles).map_err(faults_of)?;
    loaded.config.go_templates = templates;
    loaded.warnings.extend(theirs.warnings);
    Ok(loaded)
}

fn read_configuration(path: &Path) -> Result<String, Vec<String>> {
    fs::read_to_string(path).map_err(|error| {
        let advice = if error.kind() == io::ErrorKind::NotFound {
            "; write one, or name it with --config or CLAIMSMITH_CONFIG"
        } else {
            ""
        };
        vec![format!("expected a readable configuration, found: {error}{advice}")]
    })
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
