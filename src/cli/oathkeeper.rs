//! Oathkeeper configurations, read from files and from the network.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{demo, serve};
use crate::code::ErrorCode;
use crate::config::{OathkeeperConfig, RuleSource};
use crate::mint::BuildFault;
use crate::reload::Files;

/// How large a file of access rules may be.
const LARGEST_RULES: usize = 8 << 20;

/// An Oathkeeper configuration and the access rules that it names. Files are read at each look; what URLs answer is kept
/// from the first time on, because looks are frequent.
pub(super) struct Source {
    file: PathBuf,
    fetched: Mutex<HashMap<String, Vec<u8>>>,
}

impl Source {
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.to_path_buf(), fetched: Mutex::default() }
    }

    pub(super) fn file(&self) -> &PathBuf {
        &self.file
    }

    /// Reads everything through `files`.
    ///
    /// # Errors
    /// Every fault.
    pub(super) fn read(
        &self,
        environment: &[(String, String)],
        files: &mut Files,
    ) -> Result<OathkeeperConfig, Vec<BuildFault>> {
        let file = self.file.display().to_string();
        let fault = |message: String| vec![BuildFault::new(ErrorCode::ConfigInvalid, &file, message)];
        if self.file.extension().is_some_and(|extension| extension == "toml") {
            let message = "expected an Oathkeeper configuration in YAML or JSON, found TOML: convert it";
            return Err(fault(message.to_owned()));
        }
        let text = files
            .read_text(&self.file)
            .map_err(|error| fault(format!("expected a readable Oathkeeper configuration, found: {error}")))?;
        let files = RefCell::new(files);
        let fetch = |source: RuleSource<'_>| match source {
            RuleSource::File(path) => files.borrow_mut().read(Path::new(path)).map_err(|error| error.to_string()),
            RuleSource::Url(url) => self.fetch(url),
        };
        OathkeeperConfig::parse(&self.file.display().to_string(), &text, environment, &fetch)
            .map_err(|error| error.faults().iter().map(|found| serve::config_fault(&file, found)).collect())
    }

    fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        let mut known = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = known.get(url) {
            return Ok(bytes.clone());
        }
        let mut fetched = Ok(Vec::new());
        let _ = serve::run(async {
            fetched = demo::fetch(&demo::client(url)?, url, LARGEST_RULES).await.map_err(|error| format!("{error:#}"));
            Ok(())
        });
        let bytes = fetched?;
        known.insert(url.to_owned(), bytes.clone());
        Ok(bytes)
    }
}
