//! An Oathkeeper configuration that is read again and again, to notice changes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::config::OathkeeperConfig;
use super::rules::RuleSource;
use crate::code::ErrorCode;
use crate::mint::BuildFault;

/// Returns the body at a URL, or a few words on why it cannot be fetched.
type Download = dyn Fn(&str) -> Result<Vec<u8>, String> + Send + Sync;

/// An Oathkeeper configuration and the access rules that it names. Files are read at each change check. Responses of URLs
/// are fetched once and kept, because change checks are frequent.
pub(crate) struct Source {
    file: PathBuf,
    download: Box<Download>,
    fetched: Mutex<HashMap<String, Vec<u8>>>,
}

impl Source {
    /// Creates a source for the configuration `file`; `download` fetches the body at a URL.
    pub(crate) fn new(file: &Path, download: impl Fn(&str) -> Result<Vec<u8>, String> + Send + Sync + 'static) -> Self {
        Self { file: file.to_path_buf(), download: Box::new(download), fetched: Mutex::default() }
    }

    /// Returns the path of the configuration.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Reads the configuration and its access rules; `read_file` returns the bytes of a file.
    ///
    /// # Errors
    /// Returns every fault.
    pub(crate) fn read(
        &self,
        environment: &[(String, String)],
        read_file: &mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<OathkeeperConfig, Vec<BuildFault>> {
        let file = self.file.display().to_string();
        let fault = |message: String| vec![BuildFault::new(ErrorCode::ConfigInvalid, &file, message)];
        if self.file.extension().is_some_and(|extension| extension == "toml") {
            let message = "expected an Oathkeeper configuration in YAML or JSON, found TOML: convert it";
            return Err(fault(message.to_owned()));
        }
        let unreadable =
            |error: &dyn fmt::Display| fault(format!("expected a readable Oathkeeper configuration, found: {error}"));
        let bytes = read_file(&self.file).map_err(|error| unreadable(&error))?;
        let text = String::from_utf8(bytes).map_err(|_| unreadable(&"bytes that are not UTF-8"))?;
        let read_file = RefCell::new(read_file);
        let fetch = |source: RuleSource<'_>| match source {
            RuleSource::File(path) => (*read_file.borrow_mut())(Path::new(path)).map_err(|error| error.to_string()),
            RuleSource::Url(url) => self.fetch(url),
        };
        OathkeeperConfig::parse(&file, &text, environment, &fetch).map_err(|error| error.build_faults(&file))
    }

    fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        let mut known = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = known.get(url) {
            return Ok(bytes.clone());
        }
        let bytes = (self.download)(url)?;
        known.insert(url.to_owned(), bytes.clone());
        Ok(bytes)
    }
}
