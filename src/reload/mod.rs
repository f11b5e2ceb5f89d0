//! From files to a generation, again and again: reads what the configuration names, builds and proves the next
//! generation aside, and hands it over, or says why the last good one stays.
//!
//! Nothing here waits or serves: [`Reloader::look`] is called whenever it may be time, and content decides whether
//! anything changed.

mod files;
mod key_file;
mod read;

pub use files::{Content, Files};
pub use key_file::{KeyFileError, change_key_file};
pub use read::{load, longest_ttl, read_partials};

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::code::ErrorCode;
use crate::config::{Config, KnownCaller, Loaded, load_callers};
use crate::mint::{BuildError, BuildFault, GenerationParts, Mint, TemplateSources};
use crate::sources::{RemoteSets, RemoteSource};
use crate::time::Timestamp;
use crate::tls::Tls;

/// Everything that requests are answered from, and what the operator should know of it.
#[derive(Debug)]
pub struct Generation {
    /// The proven keys, templates and profiles.
    pub mint: Arc<Mint>,
    /// The configuration that they come from.
    pub config: Config,
    /// Who may ask, with their secrets.
    pub callers: Vec<KnownCaller>,
    /// The certificate of the api listener.
    pub tls: Option<Arc<Tls>>,
    /// What the templates were made of, where somebody wants to try others.
    pub sources: Option<Arc<TemplateSources>>,
    /// What is questionable or was taken for granted.
    pub notes: Vec<String>,
}

/// Reads the configuration anew, through the look's files.
pub type ReadConfig = dyn Fn(&mut Files) -> Result<Loaded, Vec<BuildFault>> + Send;

/// Looks for changes and builds the next generation of them. A look reads files and takes its time: not for an async
/// thread.
pub struct Reloader {
    read_config: Box<ReadConfig>,
    remote: Arc<RemoteSets>,
    /// What the generation in use was built from.
    served: Option<Content>,
    /// Its mint, of which the next one takes over what has not changed.
    mint: Option<Arc<Mint>>,
    /// What was refused since then.
    refused: Option<Content>,
    /// What the last look saw that was neither.
    unsettled: Option<Content>,
}

/// What a look found.
#[derive(Debug)]
pub enum Look {
    /// What is served, or what was refused before.
    Unchanged,
    /// Something new, which the next look has to find again: a file may be half written, and a folder half copied.
    Unsettled,
    /// What is served again, after something that was refused.
    Restored,
    /// These key sets have to be fetched, before the next look can tell.
    Lacking(BTreeSet<RemoteSource>),
    /// A new generation.
    Replaced(Box<Generation>),
    /// Something new that cannot be used.
    Refused(BuildError),
}

impl Reloader {
    /// A reloader that has seen nothing yet: its first look settles at once. `remote` holds the key sets that are not
    /// files; who fetches them is the caller's concern.
    pub fn new(read_config: Box<ReadConfig>, remote: Arc<RemoteSets>) -> Self {
        Self { read_config, remote, served: None, mint: None, refused: None, unsettled: None }
    }

    /// Reads everything; builds and proves a generation of it where it is new and has settled.
    pub fn look(&mut self, now: Timestamp) -> Look {
        let mut files = Files::new();
        let read = self.read(&mut files, now);
        let content = Some(files.content());
        if content == self.served {
            self.unsettled = None;
            return if self.refused.take().is_some() { Look::Restored } else { Look::Unchanged };
        }
        if content == self.refused {
            self.unsettled = None;
            return Look::Unchanged;
        }
        if self.served.is_some() && content != self.unsettled {
            self.unsettled = content;
            return Look::Unsettled;
        }
        self.unsettled = None;
        let build = |parts: Parts| -> Result<Result<Generation, BTreeSet<RemoteSource>>, BuildError> {
            let wanted = parts.config.remote_sources();
            if wanted.iter().any(|source| self.remote.current(source).is_none()) {
                return Ok(Err(wanted));
            }
            parts.build(self.mint.as_deref(), now).map(Ok)
        };
        match read.and_then(build) {
            Ok(Err(lacking)) => {
                // Their bytes are part of the content, so the look after they came sees something else.
                self.refused = content;
                Look::Lacking(lacking)
            }
            Ok(Ok(generation)) => {
                (self.served, self.refused) = (content, None);
                self.mint = Some(Arc::clone(&generation.mint));
                Look::Replaced(Box::new(generation))
            }
            Err(error) => {
                self.refused = content;
                Look::Refused(error)
            }
        }
    }

    fn read(&self, files: &mut Files, now: Timestamp) -> Result<Parts, BuildError> {
        let loaded = (self.read_config)(files).map_err(|faults| BuildError { faults })?;
        let read::Read { parts, tls, notes, mut faults } = read::read_parts(&loaded.config, &self.remote, files, now);
        let secrets = RefCell::new(files);
        let callers = load_callers(&loaded.config.callers, &|path| secrets.borrow_mut().read(path));
        let (callers, warnings) = match callers {
            Ok(callers) => (callers.callers, callers.warnings),
            Err(error) => {
                let faults_of = error.faults().iter();
                faults.extend(
                    faults_of.map(|fault| BuildFault::new(ErrorCode::ConfigInvalid, "callers", fault.to_string())),
                );
                (Vec::new(), Vec::new())
            }
        };
        let notes = loaded.warnings.into_iter().chain(warnings).chain(notes).collect();
        Ok(Parts { config: loaded.config, parts, callers, tls, notes, faults })
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("served", &self.served).field("refused", &self.refused).finish_non_exhaustive()
    }
}

/// What one look read.
struct Parts {
    config: Config,
    parts: GenerationParts,
    callers: Vec<KnownCaller>,
    tls: Option<Tls>,
    notes: Vec<String>,
    faults: Vec<BuildFault>,
}

impl Parts {
    fn build(self, previous: Option<&Mint>, now: Timestamp) -> Result<Generation, BuildError> {
        let Self { config, parts, callers, tls, mut notes, faults } = self;
        let (mint, more) = read::build(&config, &parts, faults, previous, now)?;
        notes.extend(more);
        let GenerationParts { templates, partials, .. } = parts;
        let sources = config.serve.playground.then(|| Arc::new(TemplateSources { templates, partials }));
        Ok(Generation { mint: Arc::new(mint), config, callers, tls: tls.map(Arc::new), sources, notes })
    }
}
