//! Reloads: reads everything that the configuration names, and builds and validates the next generation. If that fails, the
//! current generation stays.
//!
//! Nothing here waits or serves. [`Reloader::check`] can be called at any time; the content of the files decides whether
//! anything changed.

mod access;
mod fault;
mod files;
mod held;
mod key_file;
mod key_sets;
mod read;
mod set_aside;

pub use access::FileAccess;
pub(crate) use access::FileUse;
pub use files::Files;
use files::{Content, Obstruction};
use held::Held;
pub use key_file::{KeyFileError, change_key_file};
pub use key_sets::SIGNING_KEY_SET;
use key_sets::with_causes;
pub(crate) use key_sets::{is_same_file, missing_source_error, remote_key_sets};
pub(crate) use read::{load, load_without_check_cases, read_partials};
use set_aside::{Current, set_aside};

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::code::ErrorCode;
use crate::config::{
    Config, KeySource, KnownCaller, Loaded, line_in_file, load_callers, load_source_keys, load_source_secrets,
    secret_in_file,
};
use crate::mint::{BuildError, BuildFault, GenerationParts, Mint, TemplateSources};
use crate::remote::{RemoteFiles, WantedFiles};
use crate::secret::Secret;
use crate::sources::SourceKind;
use crate::time::Timestamp;
use crate::tls::Tls;

/// Everything that requests need, and notes about it for the operator.
#[derive(Debug)]
pub struct Generation {
    /// The validated keys, templates and profiles.
    pub mint: Arc<Mint>,
    /// The configuration that they come from.
    pub config: Config,
    /// The callers with their secrets.
    pub callers: Vec<KnownCaller>,
    /// The API listener certificate.
    pub tls: Option<Arc<Tls>>,
    /// The texts of the templates, for the playground; `None` if it is off.
    pub sources: Option<Arc<TemplateSources>>,
    /// Warnings about questionable values and assumptions.
    pub notes: Vec<String>,
    /// What the configuration has and this generation does not serve, or serves as it was before.
    pub problems: Vec<BuildFault>,
}

/// Reads the configuration again, through the given files. The second argument is the configuration of the current
/// generation, if there is one.
pub type ReadConfig = dyn Fn(&mut Files, Option<&Config>) -> Result<Loaded, Vec<BuildFault>> + Send;

/// Checks for changes and builds the next generation from them. A check reads files and can take seconds, so it must not run
/// on an async thread.
pub struct Reloader {
    read_config: Box<ReadConfig>,
    remote: Arc<RemoteFiles>,
    /// The content that the current generation was built from.
    current: Option<Content>,
    /// The current mint; the next one reuses its unchanged parts.
    mint: Option<Arc<Mint>>,
    /// The configuration of the current generation.
    config: Option<Config>,
    /// What the next generation uses of the current one if files cannot be read.
    held: Held,
    /// The access to the file system.
    access: Arc<FileAccess>,
    /// The files that could not be read in the last check, although the current generation has their content.
    obstructed: Vec<String>,
    /// The reasons why remote key sets are missing, if the next generation is built without them.
    missing: Option<Vec<BuildFault>>,
    /// The content that was rejected since then.
    rejected: Option<Content>,
    /// New content that the last check saw for the first time.
    candidate: Option<Content>,
}

/// The outcome of a check.
#[derive(Debug)]
pub enum ReloadOutcome {
    /// The content is new. The next check must find it again, because a file may be half written, or a directory half copied.
    Debouncing,
    /// These key sets must be fetched before the next check.
    MissingKeySets(WantedFiles),
    /// The content is new and cannot be used.
    Rejected(BuildError),
    /// A new generation.
    Replaced(Box<Generation>),
    /// The content is that of the current generation again, after other content was rejected.
    Restored,
    /// The content is that of the current generation, or was rejected before.
    Unchanged,
}

/// The reason why no generation was built.
enum BuildFailure {
    Invalid(BuildError),
    MissingKeySets(WantedFiles),
}

impl From<BuildError> for BuildFailure {
    fn from(error: BuildError) -> Self {
        Self::Invalid(error)
    }
}

impl Reloader {
    /// Returns a reloader whose first check does not debounce. `remote` holds the key sets that are not files; the caller
    /// has to fetch them.
    pub fn new(read_config: Box<ReadConfig>, remote: Arc<RemoteFiles>) -> Self {
        Self {
            read_config,
            remote,
            current: None,
            mint: None,
            config: None,
            held: Held::default(),
            access: Arc::default(),
            obstructed: Vec::new(),
            missing: None,
            rejected: None,
            candidate: None,
        }
    }

    /// Builds the next generation without the remote key sets that could not be fetched, if only profiles of an Oathkeeper
    /// configuration use them. `reasons` has one fault for each of them, which a rejection reports.
    pub fn accept_missing_key_sets(&mut self, reasons: Vec<BuildFault>) {
        (self.missing, self.rejected) = (Some(reasons), None);
    }

    /// Reads everything. Builds and validates a generation if the content is new and was the same in the last check.
    pub fn check(&mut self, now: Timestamp) -> ReloadOutcome {
        let mut files = Files::after(Arc::clone(&self.access), Arc::clone(&self.held.parts));
        let read = self.read(&mut files, now);
        let (content, digests, obstructions) = files.content();
        let content = Some(content);
        self.obstructed = obstructions
            .iter()
            .map(|Obstruction { path, found }| {
                format!("{}: expected a regular file that can be read, found {found}", path.display())
            })
            .collect();
        let candidate = self.candidate.take();
        if content == self.current {
            self.missing = None;
            return match self.rejected.take() {
                Some(_) => ReloadOutcome::Restored,
                None => ReloadOutcome::Unchanged,
            };
        }
        if content == self.rejected {
            return ReloadOutcome::Unchanged;
        }
        if self.current.is_some() && content != candidate {
            self.candidate = content;
            return ReloadOutcome::Debouncing;
        }
        let built = read.map_err(BuildFailure::from).and_then(|parts| self.build(parts, now));
        let reasons = self.missing.take().unwrap_or_default();
        match built {
            Ok((generation, held)) => {
                (self.current, self.rejected) = (content, None);
                self.held = Held { parts: Arc::new(digests), ..held };
                self.mint = Some(Arc::clone(&generation.mint));
                self.config = Some(generation.config.clone());
                ReloadOutcome::Replaced(Box::new(generation))
            }
            Err(BuildFailure::Invalid(error)) => {
                self.rejected = content;
                ReloadOutcome::Rejected(BuildError { faults: with_causes(error.faults, reasons) })
            }
            Err(BuildFailure::MissingKeySets(wanted)) => {
                // Fetched key sets become part of the content, so the check after the fetch does not find this content.
                self.rejected = content;
                ReloadOutcome::MissingKeySets(wanted)
            }
        }
    }

    /// Returns an error for each file that the last check could not read, and whose content is that of the current generation.
    pub fn obstructed(&self) -> &[String] {
        &self.obstructed
    }

    /// Returns the access to the file system that checks use.
    pub fn file_access(&self) -> Arc<FileAccess> {
        Arc::clone(&self.access)
    }

    fn build(&self, parts: Parts, now: Timestamp) -> Result<(Generation, Held), BuildFailure> {
        let wanted = remote_key_sets(&parts.config);
        if self.missing.is_none() && wanted.keys().any(|source| self.remote.current(source).is_none()) {
            return Err(BuildFailure::MissingKeySets(wanted));
        }
        let current = Current { config: self.config.as_ref(), keys: &self.held.keys };
        Ok(parts.build(self.mint.as_deref(), current, &self.access, now)?)
    }

    fn read(&self, files: &mut Files, now: Timestamp) -> Result<Parts, BuildError> {
        let read = files.part("configuration", |files| (self.read_config)(files, self.config.as_ref()));
        let mut loaded = match (read, &self.held.loaded) {
            (Some(read), _) => read.map_err(|faults| BuildError { faults })?,
            (None, Some(held)) => held.clone(),
            (None, None) => return Err(BuildError { faults: Vec::new() }),
        };
        let read::Read { parts, mounted, tls, notes, mut faults, unread } =
            read::read_parts(&loaded.config, &self.remote, files, &self.held, now);
        let files = RefCell::new(files);
        let read = |path: &Path| read_secret(path, &self.held, &mut files.borrow_mut());
        let callers = load_callers(&loaded.config.callers, &read);
        let (callers, secrets, warnings) = match callers {
            Ok(callers) => (callers.callers, callers.files, callers.warnings),
            Err(error) => {
                let faults_of = error.faults().iter();
                faults.extend(
                    faults_of.map(|fault| BuildFault::new(ErrorCode::ConfigInvalid, "callers", fault.to_string())),
                );
                (Vec::new(), BTreeMap::new(), Vec::new())
            }
        };
        let read = |path: &Path| read_line(path, &self.held, &mut files.borrow_mut());
        let read_keys = |path: &Path| read_source_keys(path, &self.held, &mut files.borrow_mut());
        let sources = &mut loaded.config.sources;
        let unloaded = [load_source_secrets(sources, &read), load_source_keys(sources, &read_keys)];
        for error in unloaded.into_iter().filter_map(Result::err) {
            let faults_of = error.faults().iter();
            faults
                .extend(faults_of.map(|fault| BuildFault::new(ErrorCode::ConfigInvalid, "sources", fault.to_string())));
        }
        let notes = loaded.warnings.iter().cloned().chain(warnings).chain(notes).collect();
        let (config, problems) = (loaded.config.clone(), loaded.problems.clone());
        let held = Held { loaded: Some(loaded), secrets, templates: mounted, tls: tls.clone(), ..Held::default() };
        Ok(Parts { config, parts, callers, tls, notes, problems, faults, unread, held })
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Reloader");
        debug.field("current", &self.current).field("rejected", &self.rejected).finish_non_exhaustive()
    }
}

/// Returns the secret in the file at `path`, or the one that the current generation has if the file is obstructed.
fn read_secret(path: &Path, held: &Held, files: &mut Files) -> Result<Secret, (&'static str, String)> {
    let name = format!("secret {}", path.display());
    let read = files.part(&name, |files| secret_in_file(path, files.read(path, FileUse::Secret)));
    match (read, held.secrets.get(path)) {
        (Some(read), _) => read,
        (None, Some(secret)) => Ok(secret.clone()),
        (None, None) => Err(("a file that can be read", path.display().to_string())),
    }
}

/// As [`read_secret`], for a secret that is sent.
fn read_line(path: &Path, held: &Held, files: &mut Files) -> Result<Zeroizing<String>, (&'static str, String)> {
    let name = format!("secret {}", path.display());
    let read = files.part(&name, |files| line_in_file(path, files.read(path, FileUse::Secret)));
    let of_source = |source: &SourceKind| source.secret_of(path);
    let held = held.loaded.iter().flat_map(|loaded| loaded.config.sources.values()).find_map(of_source);
    read.unwrap_or_else(|| held.ok_or_else(|| ("a file that can be read", path.display().to_string())))
}

/// Returns the key set of a session source in the file at `path`, or the one that the current generation has if the file is
/// obstructed.
fn read_source_keys(path: &Path, held: &Held, files: &mut Files) -> io::Result<Arc<[u8]>> {
    let name = format!("source keys {}", path.display());
    let read = files.part(&name, |files| files.read(path, FileUse::Keys));
    let of_source = |source: &SourceKind| source.keys_of(path);
    let held = held.loaded.iter().flat_map(|loaded| loaded.config.sources.values()).find_map(of_source);
    match (read, held) {
        (Some(read), _) => read.map(Arc::from),
        (None, Some(keys)) => Ok(keys),
        (None, None) => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Everything that one check read.
struct Parts {
    config: Config,
    parts: GenerationParts,
    callers: Vec<KnownCaller>,
    tls: Option<Arc<Tls>>,
    notes: Vec<String>,
    problems: Vec<BuildFault>,
    faults: Vec<BuildFault>,
    unread: BTreeMap<KeySource, BuildFault>,
    /// What the generation after this one can use of it, except its keys.
    held: Held,
}

impl Parts {
    fn build(
        self,
        previous: Option<&Mint>,
        current: Current<'_>,
        access: &FileAccess,
        now: Timestamp,
    ) -> Result<(Generation, Held), BuildError> {
        let Self { mut config, mut parts, callers, tls, mut notes, mut problems, faults, unread, held } = self;
        let found = set_aside(&mut config, &mut parts, unread, current);
        let faults = found.faults.into_iter().chain(faults).collect();
        problems.extend(found.problems);
        let check_cases = held.templates.check_cases.clone();
        let (mint, more) = read::build(&config, &parts, &check_cases, faults, previous, access, now)?;
        notes.extend(more);
        let GenerationParts { templates, partials, .. } = parts;
        let sources = config.serve.playground.then(|| Arc::new(TemplateSources { templates, partials, check_cases }));
        let held = Held { keys: found.keys, ..held };
        Ok((Generation { mint: Arc::new(mint), config, callers, tls, sources, notes, problems }, held))
    }
}

#[cfg(test)]
mod tests;
