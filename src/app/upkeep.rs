//! What goes on beside the requests: looking for changes, taking them over or saying why not, rotating keys.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web::Data;
use tokio::sync::Notify;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{Bound, count_skipped, served};
use crate::config::{Config, Serve};
use crate::edge::http::Edge;
use crate::keys::{self, KeyId, KeyState, Rotation, SignatureAlg};
use crate::mint::{BuildFault, Profile};
use crate::reload::{Generation, KeyFileError, ReloadOutcome, Reloader, change_key_file, longest_ttl, remote_key_sets};
use crate::remote::{FetchError, RemoteFiles, SourceStatus, distinct_names};
use crate::service::DegradedCondition;
use crate::telemetry::Audit;
use crate::time::Timestamp;

/// How soon a change is looked at again before it is taken over, for who is writing it to finish.
const SETTLING: Duration = Duration::from_millis(100);
/// Bounds of the wait between two looks at which sources on the network are due.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Looks after a running service.
#[derive(Debug)]
pub struct Upkeep {
    reloader: Reloader,
    remote: Arc<RemoteFiles>,
}

/// The state of one upkeep.
struct Keeper {
    reloader: Arc<Mutex<Reloader>>,
    remote: Arc<RemoteFiles>,
    edge: Data<Edge>,
    /// The configuration of the generation in use.
    config: Config,
    /// What listeners and logs were started with.
    started: Config,
    bound: Bound,
}

impl Upkeep {
    /// Looks with `reloader`, whose last look gave the generation that is served, and which takes key sets from `remote`.
    pub fn new(reloader: Reloader, remote: Arc<RemoteFiles>) -> Self {
        Self { reloader, remote }
    }

    /// Goes on until it is dropped; looks at once when `hangup` comes.
    pub(super) async fn keep(self, edge: Data<Edge>, config: Config, bound: Bound, mut hangup: Hangup) {
        let reloader = Arc::new(Mutex::new(self.reloader));
        let started = config.clone();
        let (remote, change) = (Arc::clone(&self.remote), Notify::new());
        let mut keeper = Keeper { reloader, remote: self.remote, edge: edge.clone(), started, config, bound };
        let files = async {
            loop {
                keeper.rotate().await;
                keeper.look().await;
                keeper.tell_of_lasting_faults();
                tokio::select! {
                    () = tokio::time::sleep(keeper.config.reload_interval) => {}
                    () = change.notified() => {}
                    () = hangup.wait() => {
                        info!("SIGHUP: checking for changes");
                        keeper.remote.mark_all_due();
                    }
                }
            }
        };
        let network = async {
            loop {
                if remote.refresh(Instant::now(), &chance).await {
                    change.notify_one();
                }
                report(&edge, &remote);
                let now = Instant::now();
                let wait = remote.next_due(now).map_or(LONGEST_WAIT, |due| due.saturating_duration_since(now));
                tokio::time::sleep(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)).await;
            }
        };
        tokio::join!(files, network);
    }
}

/// Reports the state of remote key sources as metrics, readiness and log lines.
fn report(edge: &Edge, remote: &RemoteFiles) {
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

/// A number from 0 to 1.
fn chance() -> f64 {
    // The first 48 bits of a random UUID are all random.
    (Uuid::new_v4().as_u128() >> 80) as f64 / (1_u64 << 48) as f64
}

impl Keeper {
    /// Takes over what has changed, once it stands still.
    async fn look(&mut self) {
        loop {
            let (reloader, now) = (Arc::clone(&self.reloader), self.edge.issuer.now());
            let check = move || reloader.lock().unwrap_or_else(PoisonError::into_inner).check(now);
            let Ok(outcome) = tokio::task::spawn_blocking(check).await else {
                error!("reload task panicked; this is a bug in claimsmith");
                return;
            };
            match outcome {
                ReloadOutcome::Unchanged => {}
                ReloadOutcome::Debouncing => {
                    tokio::time::sleep(SETTLING).await;
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
                        Ok(()) => continue,
                        Err(errors) => self.refuse(errors.iter().map(missing_source_error).collect()),
                    }
                }
                ReloadOutcome::Replaced(generation) => {
                    self.replace(*generation);
                    // No key set is missing; this call stops tracking those that are no longer wanted.
                    let _ = self.remote.track_and_fetch(&remote_key_sets(&self.config), Instant::now()).await;
                }
                ReloadOutcome::Rejected(error) => self.refuse(error.faults),
            }
            return;
        }
    }

    /// Keeps what is served, and says why.
    fn refuse(&self, faults: Vec<BuildFault>) {
        for fault in &faults {
            warn!(code = %fault.code, part = %fault.part, fault = %fault.message,
                "a change is refused, the last good generation stays");
        }
        self.edge.issuer.recorder().metrics().reload_refused();
        let faults = faults.iter().map(ToString::to_string).collect();
        self.edge.conditions.raise(DegradedCondition::Reload, faults, self.edge.issuer.now());
    }

    fn replace(&mut self, generation: Generation) {
        for note in &generation.notes {
            warn!("{note}");
        }
        let needs_restart = needs_restart(&self.started, &generation.config);
        if !needs_restart.is_empty() {
            warn!(keys = needs_restart.join(" "), "changed keys of the configuration that need a restart");
        }
        let profiles = generation.mint.profiles().count();
        self.config = generation.config.clone();
        count_skipped(&self.edge.issuer.recorder().metrics(), &generation.mint);
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

    /// Tells of profiles that cannot sign at this time, and of an audit log that cannot be written.
    fn tell_of_lasting_faults(&self) {
        let (generation, now) = (self.edge.issuer.current(), self.edge.issuer.now());
        let cannot_sign = |profile: &Profile| {
            let error = profile.keys().signer(now, profile.spec().alg).err()?;
            Some(format!("profile {}: {error}", profile.spec().name))
        };
        let faults: Vec<String> = generation.mint.profiles().filter_map(cannot_sign).collect();
        if faults.is_empty() {
            if self.edge.conditions.clear(DegradedCondition::SigningKeys) {
                info!("every profile has a key that signs again");
            }
        } else if self.edge.conditions.raise(DegradedCondition::SigningKeys, faults.clone(), now) {
            faults.iter().for_each(|fault| warn!(fault, "a profile issues no tokens"));
        }
        match self.edge.issuer.recorder().audit().and_then(Audit::fault) {
            Some(fault) => drop(self.edge.conditions.raise(DegradedCondition::Audit, vec![fault], now)),
            None => drop(self.edge.conditions.clear(DegradedCondition::Audit)),
        }
    }

    /// Adds the next key to every key file that it is time for.
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
            let rotated = tokio::task::spawn_blocking(move || rotate_file(&config, &path, alg, now)).await;
            match rotated {
                Ok(Ok(rotation)) => {
                    count += u64::from(!rotation.added.is_empty());
                    for key in &rotation.added {
                        info!(file = %name, kid = %key.kid, alg = %key.alg, signs_from = %key.signs_from, "key added");
                    }
                    for kid in &rotation.dropped {
                        info!(file = %name, kid = %kid, "key dropped");
                    }
                }
                Ok(Err(message)) => faults.push(format!("{name}: {message}")),
                Err(_) => faults.push(format!("{name}: the rotation broke off; this is a fault of claimsmith")),
            }
        }
        if faults.is_empty() {
            self.edge.issuer.recorder().metrics().rotated(count);
            self.edge.conditions.clear(DegradedCondition::Rotation);
        } else {
            self.edge.issuer.recorder().metrics().rotation_refused();
            if self.edge.conditions.raise(DegradedCondition::Rotation, faults.clone(), now) {
                faults.iter().for_each(|fault| warn!(fault, "a key file cannot be rotated"));
            }
        }
    }

    /// The key files of the generation in use that need their next key, and of which algorithm. Symmetric keys are known
    /// elsewhere, so they are never changed by themselves.
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

/// Returns the fault of a remote key set that was never fetched, because of `error`.
pub(crate) fn missing_source_error(error: &FetchError) -> BuildFault {
    BuildFault::new(error.code(), error.remote().to_string(), error.failure().to_string())
}

/// Rotates one file, unless another process has done so since it was read.
fn rotate_file(config: &Config, path: &Path, alg: SignatureAlg, now: Timestamp) -> Result<Rotation, String> {
    let unused = Rotation { set: None, added: vec![], ended: vec![], dropped: vec![], pending: None };
    let policy = config.rotation.zip(longest_ttl(config, path));
    let Some((rotation, longest_ttl)) = policy else { return Ok(unused) };
    let policy = config.rotation_of(&rotation, longest_ttl).map_err(|error| error.to_string())?;
    change_key_file(path, |bytes| {
        let bytes = bytes.ok_or("expected the key file, found none")?;
        let set = keys::KeySet::parse(bytes).map_err(|error| error.to_string())?;
        if !policy.is_due(&set, alg, rotation.every, now) {
            return Ok((None, unused));
        }
        let mut kid = || KeyId::from(Uuid::new_v4());
        let mut rotation = keys::rotate(bytes, Some(alg), &policy, now, &mut kid).map_err(|error| error.to_string())?;
        Ok((rotation.set.take(), rotation))
    })
    .map_err(|error: KeyFileError<String>| error.to_string())
}

/// The keys of the configuration that changed and are read at start alone.
fn needs_restart(started: &Config, now: &Config) -> Vec<&'static str> {
    let (old, new) = (&started.limits, &now.limits);
    // Certificates and client CAs are taken over; only whether there is TLS at all is not.
    let tls = if now.serve.tls.is_some() { started.serve.tls.clone().or(now.serve.tls.clone()) } else { None };
    let now_serve = Serve { tls: now.serve.tls.as_ref().and(tls), ..now.serve.clone() };
    [
        (started.serve != now_serve, "serve"),
        (started.log != now.log, "log"),
        (started.audit != now.audit, "audit"),
        (started.traces != now.traces, "traces"),
        (old.connections != new.connections, "limits.connections"),
        (old.connections_per_peer != new.connections_per_peer, "limits.connections_per_peer"),
        (old.keep_alive != new.keep_alive, "limits.keep_alive"),
    ]
    .into_iter()
    .filter_map(|(has_changed, key)| has_changed.then_some(key))
    .collect()
}

/// SIGHUP, where there is such a thing. From the moment that this is made it ends the process no more.
pub(super) struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    pub(super) fn new() -> Self {
        #[cfg(unix)]
        {
            let signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
            Self { signal: signal.ok() }
        }
        #[cfg(not(unix))]
        Self {}
    }

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
