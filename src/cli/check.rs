//! `check`: reports every error of a configuration and of the files that it names.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::Global;
use super::output::{self, Failure};
use super::source::{self, Source};
use crate::code::ErrorCode;
use crate::config::{Config, Loaded, load_callers, load_source_keys, load_source_secrets};
use crate::mint::{BuildFault, Mint, listed};
use crate::oathkeeper;
use crate::reload::{self, Files};
use crate::time::{Clock as _, SystemClock};

/// The most templates that are tried with sessions; others are only compiled.
const MOST_TRIED: usize = 500;

pub(super) fn check(global: &Global, oathkeeper: &[PathBuf]) -> Result<(), Failure> {
    let source = Source::of(global, oathkeeper);
    let file = source.path().display().to_string();
    let mut faults: Vec<BuildFault> = Vec::new();
    let mut key_files = Vec::new();
    let mut notes = Vec::new();
    let mut summary = String::new();
    match source.read(&mut Files::new(), None) {
        Err(found) => faults.extend(found),
        Ok(Loaded { mut config, warnings, problems }) => {
            faults.extend(problems);
            let read = |path: &Path| fs::read(path);
            for loaded in [load_source_secrets(&mut config.sources, &read), load_source_keys(&mut config.sources, &read)] {
                faults.extend(loaded.err().into_iter().flat_map(|error| error.build_faults(&file)));
            }
            report_fruitless_templates(&config, &mut faults, &mut notes);
            key_files.extend(config.key_files().into_iter().map(|path| path.display().to_string()));
            notes.extend(warnings);
            match load_callers(&config.callers, &|path| fs::read(path)) {
                Ok(callers) => notes.extend(callers.warnings),
                Err(error) => faults.extend(error.build_faults(&file)),
            }
            let remote = source.remote_files(&config);
            let missing = source::fetch_key_sets(&remote, &config).err().unwrap_or_default();
            match reload::load(&config, &remote, SystemClock.now()) {
                Ok((mint, more)) => {
                    notes.extend(more);
                    summary = summarize(&mint, &config);
                }
                Err(error) => {
                    let is_reported = |fault: &BuildFault| missing.iter().any(|missing| missing.part == fault.part);
                    faults.extend(error.faults.into_iter().filter(|fault| !is_reported(fault)));
                }
            }
            faults.extend(missing);
        }
    }
    if global.json {
        let faults: Vec<_> = faults.iter().map(|fault| fault_json(fault, &file, &key_files)).collect();
        output::line(&serde_json::json!({"ok": faults.is_empty(), "faults": faults, "notes": notes}).to_string())?;
    } else {
        for note in &notes {
            output::note(&format!("note: {note}"));
        }
        for fault in listed(faults.iter().map(|fault| format!("fault: {fault}")).collect()) {
            output::note(&fault);
        }
        if faults.is_empty() {
            output::line(&summary)?;
        } else {
            output::note(&format!("{} {}", faults.len(), if faults.len() == 1 { "fault" } else { "faults" }));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

/// Runs each template of an Oathkeeper configuration over trial sessions, and reports those that never make claims.
fn report_fruitless_templates(config: &Config, faults: &mut Vec<BuildFault>, notes: &mut Vec<String>) {
    let templates = config.go_templates.iter().take(MOST_TRIED);
    for (name, template, found) in
        templates.filter_map(|(name, template)| Some((name, template, oathkeeper::fruitless(template)?)))
    {
        let message = format!("{}: {}", template.name, found.message);
        match found.is_certain {
            true => faults.push(BuildFault::new(ErrorCode::ClaimsInvalid, format!("template {name}"), message)),
            false => notes.push(format!("template {name}: {message}")),
        }
    }
}

/// Returns a fault as JSON. A fault without a pointer belongs to its key file or to the configuration; a fault of a remote
/// source has no path.
fn fault_json(fault: &BuildFault, file: &str, key_files: &[String]) -> serde_json::Value {
    let pointer = fault.pointer.as_deref();
    let whole_file = || match fault.code {
        ErrorCode::KeySetInvalid if key_files.contains(&fault.part) => Some(fault.part.clone()),
        ErrorCode::ConfigInvalid => Some(file.to_owned()),
        _ => None,
    };
    serde_json::json!({
        "code": fault.code.as_str(),
        "part": fault.part,
        "path": pointer.map_or_else(whole_file, |pointer| pointer.path.clone()),
        "line": pointer.and_then(|pointer| pointer.line),
        "column": pointer.and_then(|pointer| pointer.column),
        "key": pointer.and_then(|pointer| pointer.key.as_deref()),
        "variable": pointer.and_then(|pointer| pointer.variable.as_deref()),
        "message": pointer.map_or(&fault.message, |pointer| &pointer.message),
    })
}

fn summarize(mint: &Mint, config: &Config) -> String {
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
