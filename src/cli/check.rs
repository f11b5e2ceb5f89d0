//! `check`: reports every error of a configuration and of the files that it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Global;
use super::output::{self, Failure};
use super::source::{self, Source};
use crate::code::ErrorCode;
use crate::config::{
    Config, Loaded, STAND_IN_KEYS, line_in_file, load_callers, load_source_keys, load_source_secrets, secret_in_file,
};
use crate::escape;
use crate::mint::{BuildFault, MOST_LISTED, Mint, listed};
use crate::oathkeeper;
use crate::reload::{self, FileAccess, FileUse, Files};
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
    let access = FileAccess::default();
    let loaded = match source.read(&mut Files::new(), None) {
        Ok(loaded) => Some(loaded),
        Err(found) => {
            faults.extend(found);
            // Templates and keys are checked as well as possible, so that all errors are reported at once.
            source.read_rest().map(|rest| Loaded { warnings: Vec::new(), ..rest })
        }
    };
    if let Some(Loaded { mut config, warnings, problems }) = loaded {
        faults.extend(problems);
        report_fruitless_templates(&config, &mut faults, &mut notes);
        key_files.extend(config.key_files().into_iter().map(|path| path.display().to_string()));
        notes.extend(warnings);
        match load_callers(&config.callers, &|path| secret_in_file(path, access.read(path, FileUse::Secret))) {
            Ok(callers) => notes.extend(callers.warnings),
            Err(error) => faults.extend(error.build_faults(&file)),
        }
        let read = |path: &Path| line_in_file(path, access.read(path, FileUse::Secret));
        if let Err(error) = load_source_secrets(&mut config.sources, &read) {
            faults.extend(error.build_faults(&file));
        }
        let read = |path: &Path| access.read(path, FileUse::Keys).map(Arc::from);
        if let Err(error) = load_source_keys(&mut config.sources, &read) {
            faults.extend(error.build_faults(&file));
        }
        let remote = source.remote_files(&config);
        let missing = source::fetch_key_sets(&remote, &config).err().unwrap_or_default();
        match reload::load(&config, &remote, SystemClock.now()) {
            Ok((mint, more)) if faults.is_empty() => {
                notes.extend(more);
                summary = summarize(&mint, &config);
            }
            Ok(_) => {}
            Err(error) => {
                let key = |fault: &BuildFault| fault.pointer.as_ref().and_then(|pointer| pointer.key.clone());
                let invalid: Vec<String> = faults.iter().filter_map(key).collect();
                let is_reported = |fault: &BuildFault| {
                    missing.iter().any(|missing| missing.part == fault.part)
                        || fault.part.ends_with(STAND_IN_KEYS)
                        || key(fault).is_some_and(|key| invalid.contains(&key))
                };
                faults.extend(source.located(error.faults).into_iter().filter(|fault| !is_reported(fault)));
            }
        }
        faults.extend(missing);
    }
    if global.json {
        let listed: Vec<_> = faults
            .iter()
            .map(|fault| output::fault_json(fault, |fault| whole_file(fault, &file, &key_files)))
            .collect();
        let report = match faults.first() {
            None => serde_json::json!({"ok": true, "faults": [], "notes": notes}),
            Some(first) => {
                let message = count(&faults);
                output::failure_json(first.code.as_str(), &message, &listed, serde_json::json!({"notes": notes}))
            }
        };
        output::line(&report.to_string())?;
    } else {
        for note in &notes {
            output::remark(note);
        }
        for fault in listed(faults.iter().map(|fault| format!("fault: {fault}")), MOST_LISTED) {
            output::block(&fault);
        }
        if faults.is_empty() {
            output::line(&summary)?;
        } else {
            output::note(&count(&faults));
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

fn count(faults: &[BuildFault]) -> String {
    format!("{} {}", faults.len(), if faults.len() == 1 { "fault" } else { "faults" })
}

/// Returns the file of a fault without a position: its key file or the configuration. A fault of a remote source has none.
fn whole_file(fault: &BuildFault, file: &str, key_files: &[String]) -> Option<String> {
    match fault.code {
        ErrorCode::KeySetInvalid if key_files.contains(&fault.part) => Some(fault.part.clone()),
        ErrorCode::ConfigInvalid => Some(file.to_owned()),
        _ => None,
    }
}

fn summarize(mint: &Mint, config: &Config) -> String {
    let mut lines = vec![match config.go_templates.is_empty() {
        true => {
            let templates = config.templates.display().to_string();
            format!("ok: {} profile(s), templates in {}", mint.profiles().count(), escape::line(&templates))
        }
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
