//! An Oathkeeper configuration that is read again and again, to notice changes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::config::OathkeeperConfig;
use super::rules::RuleSource;
use crate::code::ErrorCode;
use crate::mint::BuildFault;

/// Returns the body at a URL, or a few words on why it cannot be fetched.
type Download = dyn Fn(&str) -> Result<Vec<u8>, String> + Send + Sync;
/// Returns the bytes of a file.
type ReadFile<'r> = dyn Fn(&Path) -> io::Result<Vec<u8>> + 'r;

/// The number of change checks after which a failed download is tried again.
const CHECKS_UNTIL_RETRY: u32 = 12;

/// An Oathkeeper configuration and the access rules that it names. Files are read at each change check, and parsed if they
/// changed. Responses of URLs are fetched once and kept, because change checks are frequent.
pub(crate) struct Source {
    files: Vec<PathBuf>,
    download: Box<Download>,
    fetched: Mutex<HashMap<String, Fetched>>,
    last: Mutex<Option<Last>>,
}

/// The result of a download. A failure has the number of change checks since then.
enum Fetched {
    Bytes(Vec<u8>),
    Failed(String, u32),
}

/// What one read found.
#[derive(Clone)]
pub(crate) struct SourceContent {
    /// The configuration, or every reason to serve nothing.
    pub(crate) config: Result<Arc<OathkeeperConfig>, Vec<BuildFault>>,
    /// The digest of everything that it was made from.
    pub(crate) digest: [u8; 32],
}

/// The last content, with the digest of each source in the order in which they were read.
struct Last {
    inputs: Vec<(Input, [u8; 32])>,
    content: SourceContent,
}

/// A source of bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Input {
    File(PathBuf),
    Url(String),
}

type Bytes = Result<Arc<Vec<u8>>, String>;

impl Source {
    /// Creates a source for a configuration that consists of `files`; `download` fetches the body at a URL.
    pub(crate) fn new(
        files: &[PathBuf],
        download: impl Fn(&str) -> Result<Vec<u8>, String> + Send + Sync + 'static,
    ) -> Self {
        let (fetched, last) = (Mutex::default(), Mutex::default());
        Self { files: files.to_vec(), download: Box::new(download), fetched, last }
    }

    /// Returns the path of the first file.
    pub(crate) fn file(&self) -> &Path {
        self.files.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Returns `true` if `path` is a file of the configuration itself.
    pub(crate) fn names(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file == path)
    }

    /// Reads the configuration and its access rules; `read_file` returns the bytes of a file.
    pub(crate) fn read(&self, environment: &[(String, String)], read_file: &ReadFile<'_>) -> SourceContent {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = HashMap::new();
        if let Some(last) = last.as_ref() {
            let mut is_unchanged = true;
            for (input, digest) in &last.inputs {
                let bytes = self.bytes(input, read_file);
                is_unchanged &= digest_of(&bytes) == *digest;
                known.insert(input.clone(), bytes);
            }
            if is_unchanged {
                return last.content.clone();
            }
        }
        let inputs = RefCell::new(Vec::new());
        let read = |input: Input| {
            let bytes = known.get(&input).cloned().unwrap_or_else(|| self.bytes(&input, read_file));
            inputs.borrow_mut().push((input, digest_of(&bytes)));
            bytes
        };
        let config = self.parse(environment, &read).map(Arc::new);
        let inputs = inputs.into_inner();
        let digest = inputs.iter().fold(Sha256::new(), |digest, (_, input)| digest.chain_update(input)).finalize();
        let content = SourceContent { config, digest: digest.into() };
        *last = Some(Last { inputs, content: content.clone() });
        content
    }

    fn parse(
        &self,
        environment: &[(String, String)],
        read: &dyn Fn(Input) -> Bytes,
    ) -> Result<OathkeeperConfig, Vec<BuildFault>> {
        let (mut files, mut faults) = (Vec::new(), Vec::new());
        for path in &self.files {
            let name = path.display().to_string();
            let mut fault = |message: String| faults.push(BuildFault::new(ErrorCode::ConfigInvalid, &name, message));
            if path.extension().is_some_and(|extension| extension == "toml") {
                fault("expected an Oathkeeper configuration in YAML or JSON, found TOML; convert it".to_owned());
                continue;
            }
            let text = read(Input::File(path.clone())).and_then(|bytes| {
                let text = String::from_utf8(bytes.to_vec());
                text.map_err(|_| "bytes that are not UTF-8; convert the file".to_owned())
            });
            match text {
                Ok(text) => files.push((name, text)),
                Err(found) => fault(format!("expected a readable Oathkeeper configuration, found: {found}")),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let fetch = |source: RuleSource<'_>| {
            let input = match source {
                RuleSource::File(path) => Input::File(PathBuf::from(path)),
                RuleSource::Url(url) => Input::Url(url.to_owned()),
            };
            read(input).map(|bytes| bytes.to_vec())
        };
        let file = self.file().display().to_string();
        OathkeeperConfig::parse_all(&files, environment, &fetch).map_err(|(error, others)| {
            let mut faults = error.build_faults(&file);
            faults.extend(others);
            faults
        })
    }

    fn bytes(&self, input: &Input, read_file: &ReadFile<'_>) -> Bytes {
        match input {
            Input::File(path) => read_file(path).map(Arc::new).map_err(|error| error.to_string()),
            Input::Url(url) => self.fetch(url).map(Arc::new),
        }
    }

    fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        let mut known = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get_mut(url) {
            Some(Fetched::Bytes(bytes)) => return Ok(bytes.clone()),
            Some(Fetched::Failed(message, checks)) if *checks < CHECKS_UNTIL_RETRY => {
                *checks += 1;
                return Err(message.clone());
            }
            Some(Fetched::Failed(..)) | None => {}
        }
        let result = (self.download)(url);
        let fetched = match &result {
            Ok(bytes) => Fetched::Bytes(bytes.clone()),
            Err(message) => Fetched::Failed(message.clone(), 0),
        };
        known.insert(url.to_owned(), fetched);
        result
    }
}

fn digest_of(bytes: &Bytes) -> [u8; 32] {
    let (tag, bytes) = match bytes {
        Ok(bytes) => (b"bytes:", bytes.as_slice()),
        Err(message) => (b"error:", message.as_bytes()),
    };
    Sha256::new().chain_update(tag).chain_update(bytes).finalize().into()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("files", &self.files).finish_non_exhaustive()
    }
}
