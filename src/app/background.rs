//! Background tasks: reloading changed files, refreshing remote key sets, rotating keys, and reporting degraded
//! conditions.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web::Data;
use tokio::sync::Notify;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::detached::{NotRun, detached};
use super::{Bound, count_skipped, served};
use crate::config::Config;
use crate::edge::http::Edge;
use crate::keys::{self, KeyId, KeyState, Rotation, SignatureAlg};
use crate::mint::{BuildFault, MOST_LISTED, Profile, listed};
use crate::reload::{
    FileAccess, Generation, KeyFileError, ReloadOutcome, Reloader, change_key_file, is_same_file, missing_source_error,
    remote_key_sets,
};
use crate::remote::{RemoteFiles, SourceStatus, distinct_names};
use crate::service::DegradedCondition;
use crate::telemetry::Audit;
use crate::time::{Clock, Timestamp};

/// The time until a change is checked again before it is applied, so that a writer can finish.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// The limits of the wait between two checks for remote sources that are due.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The longest time that the rotation of one file can take: the generation of its key, and the lock of another process.
const ROTATION_TIMEOUT: Duration = Duration::from_secs(60);

/// The background tasks of a running service.
#[derive(Debug)]
pub struct BackgroundTasks {
    reloader: Reloader,
    remote: Arc<RemoteFiles>,
}

/// The state of the task that checks, reloads and rotates.
struct MaintenanceLoop {
    reloader: Arc<Mutex<Reloader>>,
    access: Arc<FileAccess>,
    remote: Arc<RemoteFiles>,
    edge: Data<Edge>,
    /// The configuration of the current generation.
    config: Config,
    /// The configuration of the startup, which listeners and logs still have.
    started: Config,
    bound: Bound,
}

impl BackgroundTasks {
    /// Returns the tasks. The last check of `reloader` must have built the current generation, with key sets from
    /// `remote`.
    pub fn new(reloader: Reloader, remote: Arc<RemoteFiles>) -> Self {
        Self { reloader, remote }
    }

    /// Runs until it is dropped. `hangup` triggers a check at once.
    pub(super) async fn run(self, edge: Data<Edge>, config: Config, bound: Bound, mut hangup: Hangup) {
        let access = self.reloader.file_access();
        let reloader = Arc::new(Mutex::new(self.reloader));
        let started = config.clone();
        let (remote, change) = (Arc::clone(&self.remote), Notify::new());
        let mut maintenance =
            MaintenanceLoop { reloader, access, remote: self.remote, edge: edge.clone(), started, config, bound };
        let files = async {
            loop {
                maintenance.rotate().await;
                maintenance.reload().await;
                maintenance.report_degraded_conditions();
                tokio::select! {
                    () = tokio::time::sleep(maintenance.config.reload_interval) => {}
                    () = change.notified() => {}
                    () = hangup.wait() => {
                        info!("SIGHUP: checking for changes");
                        maintenance.remote.mark_all_due();
                    }
                }
            }
        };
        let network = async {
            loop {
                if remote.refresh(Instant::now(), &chance).await {
                    change.notify_one();
                }
                report_key_sources(&edge, &remote);
                let now = Instant::now();
                let wait = remote.next_due(now).map_or(LONGEST_WAIT, |due| due.saturating_duration_since(now));
                tokio::time::sleep(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)).await;
            }
        };
        tokio::join!(files, network);
    }
}

/// Reports the state of remote key sources as metrics, readiness and log lines.
fn report_key_sources(edge: &Edge, remote: &RemoteFiles) {
    let mut faults = Vec::new();
    let statuses = remote.status(Instant::now());
    let names = distinct_names(statuses.iter().map(|status| &status.source));
    let readings = names.into_iter().zip(&statuses).map(|(name, status)| (name, status.age, status.error.is_some()));
    edge.issuer.recorder().metrics().key_sources(readings);
    for failure in remote.take_failures() {
        edge.issuer.recorder().metrics().key_source_failed(failure.remote().to_string(), failure.code());
    }
    for SourceStatus { error, .. } in statuses {
        faults.extend(error.map(|error| error.to_string()));
    }
    if faults.is_empty() {
        if edge.conditions.clear(DegradedCondition::KeySources) {
            info!("all key sources recovered");
        }
    } else if edge.conditions.raise(DegradedCondition::KeySources, faults.clone(), edge.issuer.now()) {
        faults.iter().for_each(|fault| warn!(fault, "key source failing, keeping its last good key set"));
    }
}

/// Reports what the configuration of the current generation has and the generation does not serve.
pub(super) fn report_problems(edge: &Edge, problems: &[BuildFault]) {
    edge.issuer.recorder().metrics().oathkeeper_faults(problems.len());
    if problems.is_empty() {
        if edge.conditions.clear(DegradedCondition::Oathkeeper) {
            info!("the Oathkeeper configuration is served completely again");
        }
        return;
    }
    for problem in problems.iter().take(MOST_LISTED) {
        warn!(code = %problem.code, part = %problem.part, fault = %problem.message,
            "part of the Oathkeeper configuration not served as written");
    }
    if problems.len() > MOST_LISTED {
        warn!(
            more = problems.len() - MOST_LISTED,
            "further parts of the Oathkeeper configuration not served as written"
        );
    }
    let faults = listed(problems.iter().map(|problem| problem.message.clone()), MOST_LISTED);
    edge.conditions.raise(DegradedCondition::Oathkeeper, faults, edge.issuer.now());
}

/// Returns a random number from 0 to 1.
fn chance() -> f64 {
    // The first 48 bits of a random UUID are all random.
    (Uuid::new_v4().as_u128() >> 80) as f64 / (1_u64 << 48) as f64
}

impl MaintenanceLoop {
    /// Applies changes, once two checks in a row found the same content.
    async fn reload(&mut self) {
        loop {
            let (reloader, now) = (Arc::clone(&self.reloader), self.edge.issuer.now());
            let check = move || {
                let mut reloader = reloader.lock().unwrap_or_else(PoisonError::into_inner);
                let outcome = reloader.check(now);
                (outcome, reloader.obstructed().to_vec())
            };
            let (outcome, obstructed) = match detached("reload", check).await {
                Ok(checked) => checked,
                Err(NotRun) => {
                    error!("reload task panicked or got no thread; checking again");
                    return;
                }
            };
            self.report_obstructed(obstructed);
            match outcome {
                ReloadOutcome::Unchanged => {}
                ReloadOutcome::Debouncing => {
                    tokio::time::sleep(DEBOUNCE).await;
                    continue;
                }
                ReloadOutcome::Restored => {
                    self.edge.conditions.clear(DegradedCondition::Reload);
                    self.edge.issuer.recorder().metrics().reload_restored();
                    info!("files match the current generation again");
                }
                ReloadOutcome::MissingKeySets(mut wanted) => {
                    wanted.extend(remote_key_sets(&self.config));
                    match self.remote.track_and_fetch(&wanted, Instant::now()).await {
                        Ok(()) => {}
                        Err(errors) => {
                            let mut reloader = self.reloader.lock().unwrap_or_else(PoisonError::into_inner);
                            reloader.accept_missing_key_sets(errors.iter().map(missing_source_error).collect());
                        }
                    }
                    continue;
                }
                ReloadOutcome::Replaced(generation) => {
                    self.replace(*generation);
                    // No key set is missing; this call stops tracking those that are no longer wanted.
                    let _ = self.remote.track_and_fetch(&remote_key_sets(&self.config), Instant::now()).await;
                }
                ReloadOutcome::Rejected(error) => self.reject(error.faults),
            }
            return;
        }
    }

    /// Reports the files that cannot be read, and whose last good content is in use.
    fn report_obstructed(&self, faults: Vec<String>) {
        self.edge.issuer.recorder().metrics().files_failing(faults.len());
        if faults.is_empty() {
            if self.edge.conditions.clear(DegradedCondition::Files) {
                info!("all files can be read again");
            }
            return;
        }
        let faults = listed(faults.into_iter(), MOST_LISTED);
        if self.edge.conditions.raise(DegradedCondition::Files, faults.clone(), self.edge.issuer.now()) {
            faults.iter().for_each(|fault| warn!(fault, "file cannot be read, keeping its last good content"));
        }
    }

    /// Reports why the current generation is kept.
    fn reject(&self, faults: Vec<BuildFault>) {
        for fault in &faults {
            warn!(code = %fault.code, part = %fault.part, fault = %fault.message,
                "reload rejected, keeping the current generation");
        }
        self.edge.issuer.recorder().metrics().reload_refused();
        let faults = faults.iter().map(ToString::to_string).collect();
        self.edge.conditions.raise(DegradedCondition::Reload, faults, self.edge.issuer.now());
    }

    fn replace(&mut self, generation: Generation) {
        for note in &generation.notes {
            warn!("{note}");
        }
        report_problems(&self.edge, &generation.problems);
        let needs_restart = self.started.needs_restart(&generation.config);
        if !needs_restart.is_empty() {
            warn!(keys = needs_restart.join(" "), "changed configuration keys require a restart");
        }
        let profiles = generation.mint.profiles().count();
        self.config = generation.config.clone();
        count_skipped(self.edge.issuer.recorder().metrics(), &generation.mint);
        if let (Some(live), Some(tls)) = (&self.bound.tls, &generation.tls) {
            live.replace(Arc::clone(tls));
        }
        let cache_bytes = generation.config.limits.token_cache as u64;
        self.remote.set_limits(generation.config.limits.key_fetch, generation.config.limits.key_set);
        let issuer = &self.edge.issuer;
        let before = issuer.current();
        let next = served(generation, &self.bound, Some(&before), issuer.recorder().metrics());
        issuer.replace(next, cache_bytes);
        self.edge.conditions.clear(DegradedCondition::Reload);
        self.edge.issuer.recorder().metrics().reloaded(self.edge.issuer.now());
        info!(profiles, "reloaded");
    }

    /// Reports profiles without a key that can sign now, and an audit log that cannot be written.
    fn report_degraded_conditions(&self) {
        let (generation, now) = (self.edge.issuer.current(), self.edge.issuer.now());
        let cannot_sign = |profile: &Profile| {
            let error = profile.keys().signer(now, profile.spec().alg).err()?;
            Some(format!("profile {}: {error}", profile.spec().name))
        };
        let faults: Vec<String> = generation.mint.profiles().filter_map(cannot_sign).collect();
        if faults.is_empty() {
            if self.edge.conditions.clear(DegradedCondition::SigningKeys) {
                info!("every profile has an active key again");
            }
        } else if self.edge.conditions.raise(DegradedCondition::SigningKeys, faults.clone(), now) {
            faults.iter().for_each(|fault| warn!(fault, "profile has no active key and issues no tokens"));
        }
        match self.edge.issuer.recorder().audit().and_then(Audit::fault) {
            Some(fault) => drop(self.edge.conditions.raise(DegradedCondition::Audit, vec![fault], now)),
            None => drop(self.edge.conditions.clear(DegradedCondition::Audit)),
        }
    }

    /// Adds the next key to every key file that is due.
    async fn rotate(&mut self) {
        if self.config.rotation.is_none() {
            return;
        }
        let now = self.edge.issuer.now();
        let due = self.due(now);
        let mut faults = Vec::new();
        let mut count = 0;
        for (path, alg) in due {
            let (config, name) = (self.config.clone(), path.display().to_string());
            let clock = Arc::clone(self.edge.issuer.clock());
            let access = Arc::clone(&self.access);
            let rotate = move || {
                let file = path.clone();
                access.run(&path, ROTATION_TIMEOUT, move || Ok(rotate_file(&config, &file, alg, &*clock)))
            };
            let rotated = detached("rotation", rotate).await;
            match rotated.map(|rotated| rotated.unwrap_or_else(|error| Err(format!("cannot change the file: {error}"))))
            {
                Ok(Ok(rotation)) => {
                    count += u64::from(!rotation.added.is_empty());
                    for key in &rotation.added {
                        info!(file = %name, kid = %key.kid, alg = %key.alg, signs_from = %key.signs_from, "key added");
                    }
                    for kid in &rotation.dropped {
                        info!(file = %name, kid = %kid, "key removed");
                    }
                }
                Ok(Err(message)) => faults.push(format!("{name}: {message}")),
                Err(NotRun) => faults.push(format!("{name}: the rotation panicked or got no thread")),
            }
        }
        if faults.is_empty() {
            self.edge.issuer.recorder().metrics().rotated(count);
            self.edge.conditions.clear(DegradedCondition::Rotation);
        } else {
            self.edge.issuer.recorder().metrics().rotation_refused();
            if self.edge.conditions.raise(DegradedCondition::Rotation, faults.clone(), now) {
                faults.iter().for_each(|fault| warn!(fault, "cannot rotate key file"));
            }
        }
    }

    /// Returns the key files of the current generation that need their next key, each with its algorithm. Symmetric
    /// keys are never rotated automatically, because verifiers have copies of them.
    fn due(&self, now: Timestamp) -> Vec<(PathBuf, SignatureAlg)> {
        let mut due = Vec::new();
        let Some(rotation) = &self.config.rotation else { return due };
        let generation = self.edge.issuer.current();
        for path in self.config.key_files() {
            let policy = self
                .config
                .longest_ttl(|file| file == path)
                .and_then(|ttl| self.config.rotation_of(rotation, ttl).ok());
            let Some(policy) = policy else { continue };
            let name = path.display().to_string();
            for profile in generation.mint.profiles().filter(|profile| profile.spec().key_set == name) {
                let keys = profile.keys();
                let newest = || keys.signing_keys().filter(|key| key.state(now) != KeyState::Pending).last();
                let signer = keys.signer(now, profile.spec().alg).ok().map(Arc::as_ref).or_else(newest);
                let Some(alg) = signer.map(|key| key.alg()).filter(|alg| !alg.is_symmetric()) else { continue };
                let entry = (path.to_path_buf(), alg);
                if policy.is_due(keys, alg, rotation.every, now) && !due.contains(&entry) {
                    due.push(entry);
                }
            }
        }
        due
    }
}

/// Rotates one key file, unless another process has rotated it since it was read.
fn rotate_file(config: &Config, path: &Path, alg: SignatureAlg, clock: &dyn Clock) -> Result<Rotation, String> {
    let unused = Rotation { set: None, added: vec![], ended: vec![], dropped: vec![], pending: None };
    let policy = config.rotation.zip(config.longest_ttl(is_same_file(path)));
    let Some((rotation, longest_ttl)) = policy else { return Ok(unused) };
    let policy = config.rotation_of(&rotation, longest_ttl).map_err(|error| error.to_string())?;
    change_key_file(path, |bytes| {
        let bytes = bytes.ok_or("expected a key file, found none")?;
        let set = keys::KeySet::parse(bytes).map_err(|error| error.to_string())?;
        if !policy.is_due(&set, alg, rotation.every, clock.now()) {
            return Ok((None, unused));
        }
        let mut kid = || KeyId::from(Uuid::new_v4());
        let mut rotation =
            keys::rotate(bytes, Some(alg), &policy, clock, &mut kid).map_err(|error| error.to_string())?;
        Ok((rotation.set.take(), rotation))
    })
    .map_err(|error: KeyFileError<String>| error.to_string())
}

/// SIGHUP, on systems that have it. Once this exists, SIGHUP no longer ends the process.
pub(super) struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    /// Registers the signal.
    pub(super) fn new() -> Self {
        #[cfg(unix)]
        {
            let signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
            Self { signal: signal.ok() }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Completes when the signal arrives.
    async fn wait(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
