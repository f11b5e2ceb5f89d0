//! `serve`: the service itself.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::{Level, info, warn};

use super::args::Global;
use super::output::Failure;
use super::runtime::block_on_last;
use super::source::{self, Source};
use crate::app::{Application, BackgroundTasks, raise_nofile_limit, stop_signal};
use crate::config::{Loaded, LogLevel};
use crate::escape;
use crate::mint::{BuildError, BuildFault};
use crate::reload::{Files, ReloadOutcome, Reloader};
use crate::telemetry;
use crate::time::{Clock as _, SystemClock};

pub(super) fn serve(global: &Global, oathkeeper: &[PathBuf]) -> Result<(), Failure> {
    let source = Source::of(global, oathkeeper);
    let path = source.path();
    let Loaded { config, .. } = source.read(&mut Files::new(), None).map_err(|faults| source.failure(&faults))?;
    telemetry::init_logging(level(config.log.level), config.log.format);
    let name = escape::line(&path.display().to_string()).into_owned();
    let cannot = |faults: Vec<BuildFault>| {
        let error = BuildError { faults };
        Failure::Configuration(format!("{name} cannot be served:\n{error}"), error.faults)
    };
    let locator = Source::of(global, oathkeeper);
    let remote = Arc::new(source.remote_files(&config));
    let missing = source::fetch_key_sets(&remote, &config).err().unwrap_or_default();
    let mut reloader = Reloader::new(Box::new(move |files, current| source.read(files, current)), Arc::clone(&remote));
    if !missing.is_empty() {
        reloader.accept_missing_key_sets(missing);
    }
    let generation = match reloader.check(SystemClock.now()) {
        ReloadOutcome::Replaced(generation) => *generation,
        ReloadOutcome::Rejected(error) => return Err(cannot(locator.located(error.faults))),
        ReloadOutcome::Debouncing
        | ReloadOutcome::MissingKeySets(_)
        | ReloadOutcome::Restored
        | ReloadOutcome::Unchanged => {
            return Err(anyhow::anyhow!("configuration changed during startup; try again").into());
        }
    };
    for note in generation.notes.iter().chain(&raise_nofile_limit(&generation.config)) {
        warn!("{note}");
    }
    let profiles = generation.mint.profiles().count();
    info!(version = env!("CARGO_PKG_VERSION"), config = %path.display(), profiles, "starting");
    block_on_last(async move {
        let application = Application::bind(generation, Arc::new(SystemClock))?;
        application.run_with(BackgroundTasks::new(reloader, remote), stop_signal()).await
    })?;
    Ok(())
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
