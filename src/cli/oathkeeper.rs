//! Oathkeeper configurations, read from files and from the network.

use std::fs;
use std::path::Path;

use super::{demo, serve};
use crate::config::{OathkeeperConfig, RuleSource};

/// How large a file of access rules may be.
const LARGEST_RULES: usize = 8 << 20;

/// Reads the Oathkeeper configuration `file` and its access rules; every fault is a line.
pub(super) fn read(file: &Path, environment: &[(String, String)]) -> Result<OathkeeperConfig, Vec<String>> {
    if file.extension().is_some_and(|extension| extension == "toml") {
        return Err(vec!["expected an Oathkeeper configuration in YAML or JSON, found TOML: convert it".to_owned()]);
    }
    let text = fs::read_to_string(file)
        .map_err(|error| vec![format!("expected a readable Oathkeeper configuration, found: {error}")])?;
    OathkeeperConfig::parse(&file.display().to_string(), &text, environment, &fetch)
        .map_err(|error| error.faults().iter().map(ToString::to_string).collect())
}

fn fetch(source: RuleSource<'_>) -> Result<Vec<u8>, String> {
    match source {
        RuleSource::File(path) => fs::read(path).map_err(|error| error.to_string()),
        RuleSource::Url(url) => {
            let mut fetched = Ok(Vec::new());
            let _ = serve::run(async {
                fetched = demo::fetch(&demo::client()?, url, LARGEST_RULES).await.map_err(|error| format!("{error:#}"));
                Ok(())
            });
            fetched
        }
    }
}
