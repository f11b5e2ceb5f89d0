//! Reads everything that a configuration names, and builds a generation from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::access::{FileAccess, FileUse};
use super::fault::{fault_in_file, unreadable};
use super::files::Files;
use super::held::Held;
use super::key_sets::read_keys;
use crate::code::ErrorCode;
use crate::config::{Config, KeySource};
use crate::decision::{CaseContext, run_case_files};
use crate::mint::{BuildError, BuildFault, CheckCaseFile, GenerationParts, Mint, TemplateFiles, TemplateSources};
use crate::remote::RemoteFiles;
use crate::sources::{SourceKind, SourceLimits};
use crate::templates::{Partial, RecordedCase, RenderLimits, Syntax, TemplateText};
use crate::time::Timestamp;
use crate::tls::{Tls, TlsPart, TlsText};

/// The content of a key file, in warnings of [`exposed`].
const PRIVATE_KEYS: &str = "these private keys";

/// Reads and validates the certificates and keys of TLS. The second part is warnings for the operator.
fn read_tls(
    config: &Config,
    files: &mut Files,
    now: Timestamp,
    faults: &mut Vec<BuildFault>,
) -> Option<(Tls, Vec<String>)> {
    let paths = config.serve.tls.as_ref()?;
    let mut read = |path: &Path, expected: &str| match files.read(path, FileUse::Certificates) {
        Ok(bytes) => Some(Zeroizing::new(bytes)),
        Err(error) => {
            faults.push(unreadable(ErrorCode::TlsInvalid, path, expected, &error));
            None
        }
    };
    let certificates = read(&paths.cert_file, "readable certificates");
    let key = read(&paths.key_file, "a readable private key");
    let client_ca = paths.client.as_ref().map(|client| (read(&client.file, "readable certificates"), client));
    let client_ca = match client_ca {
        Some((bytes, client)) => Some((bytes?, client)),
        None => None,
    };
    let (certificates, key) = (certificates?, key?);
    let text = TlsText {
        certificates: &certificates,
        key: &key,
        client_ca: client_ca.as_ref().map(|(bytes, client)| (bytes.as_slice(), client.is_required)),
    };
    match Tls::parse(&text, now) {
        Ok((tls, notes)) => {
            let name = paths.cert_file.display();
            let notes = notes.into_iter().map(|note| format!("{name}: {note}"));
            Some((tls, notes.chain(exposed(files.access(), &paths.key_file, PRIVATE_KEYS)).collect()))
        }
        Err(fault) => {
            let path = match (fault.part, &paths.client) {
                (TlsPart::Key, _) => &paths.key_file,
                (TlsPart::ClientCa, Some(client)) => &client.file,
                (TlsPart::Certificates | TlsPart::ClientCa, _) => &paths.cert_file,
            };
            let part = path.display().to_string();
            faults.push(BuildFault::new(ErrorCode::TlsInvalid, part, fault.message));
            None
        }
    }
}

/// The result of reading all files of a configuration.
pub(super) struct Read {
    pub(super) parts: GenerationParts,
    /// The templates and partials of the templates directory.
    pub(super) mounted: Arc<TemplateSources>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) notes: Vec<String>,
    pub(super) faults: Vec<BuildFault>,
    /// The faults of key sets that cannot be read, by their source.
    pub(super) unread: BTreeMap<KeySource, BuildFault>,
}

/// Reads everything that `config` names. Each file or directory that cannot be read becomes a fault, unless it is obstructed
/// and its content is in `held`.
pub(super) fn read_parts(
    config: &Config,
    remote: &RemoteFiles,
    files: &mut Files,
    held: &Held,
    now: Timestamp,
) -> Read {
    let (mut faults, mut unread) = (Vec::new(), BTreeMap::new());
    let mut parts = GenerationParts {
        profiles: config.profile_specs(),
        limits: RenderLimits {
            output_bytes: config.limits.claims,
            work: config.limits.template_work,
            // Templates wrap values, and the claims must have room for any complete session.
            depth: config.limits.depth + 32,
        },
        ..GenerationParts::default()
    };
    for (source, name) in config.key_names() {
        let alg = config.profiles.values().find(|profile| profile.jwks == *source).and_then(|profile| profile.spec.alg);
        match read_keys(source, alg, remote, files, &held.keys) {
            Ok(bytes) => {
                parts.key_sets.insert(name, bytes);
            }
            Err(fault) => drop(unread.insert(source.clone(), fault)),
        }
    }
    let mut mounted = Arc::default();
    // Profiles from Oathkeeper bring their own templates, so the directory need not exist if all profiles do.
    if config.profiles.values().any(|profile| !config.go_templates.contains_key(&profile.spec.template)) {
        let name = format!("templates {}", config.templates.display());
        let read = |files: &mut Files| {
            let mut faults = Vec::new();
            let (templates, partials) = read_templates(&config.templates, files, &mut faults);
            let check_cases = read_check_cases(&config.templates, templates.keys(), files, &mut faults);
            (TemplateSources { templates, partials, check_cases }, faults)
        };
        mounted = match files.part(&name, read) {
            Some((sources, found)) => {
                faults.extend(found);
                Arc::new(sources)
            }
            None => Arc::clone(&held.templates),
        };
        parts.templates.clone_from(&mounted.templates);
        parts.partials.clone_from(&mounted.partials);
    }
    for (name, text) in &config.go_templates {
        files.record(name.as_str().as_bytes(), text.text.as_bytes());
        let files = TemplateFiles { syntax: Syntax::Go, text: text.clone(), schema: None, cases: Vec::new() };
        parts.templates.insert(name.to_string(), files);
    }
    let (tls, notes) = match &config.serve.tls {
        None => (None, Vec::new()),
        Some(paths) => {
            let read = |files: &mut Files| {
                let mut faults = Vec::new();
                (read_tls(config, files, now, &mut faults), faults)
            };
            match files.part(&format!("tls {paths:?}"), read) {
                Some((read, found)) => {
                    faults.extend(found);
                    read.map_or((None, Vec::new()), |(tls, notes)| (Some(Arc::new(tls)), notes))
                }
                None => (held.tls.clone(), Vec::new()),
            }
        }
    };
    Read { parts, mounted, tls, notes, faults, unread }
}

/// Reads the templates directory: `<name>/claims.hbs`, or `<name>/claims.gotmpl` for a Go template, each with its
/// `<case>.session.json` and `<case>.claims.json`, and `_partials/<name>.hbs`.
fn read_templates(
    directory: &Path,
    files: &mut Files,
    faults: &mut Vec<BuildFault>,
) -> (BTreeMap<String, TemplateFiles>, Vec<Partial>) {
    let mut templates = BTreeMap::new();
    let mut partials = Vec::new();
    for path in entries(directory, directory, "a directory of templates", files, faults) {
        let name = file_name(&path);
        if name == "_partials" {
            partials = partials_in(directory, &path, files, faults);
        } else if !name.starts_with('.')
            && files.is_directory(&path)
            && let Some((syntax, text)) = read_template(directory, &path, files, faults)
        {
            let cases = read_cases(directory, &path, files, faults);
            let schema = path.join("claims.schema.json");
            let schema = files.exists(&schema).then(|| read_text(directory, &schema, files, faults)).flatten();
            templates.insert(name, TemplateFiles { syntax, text, schema, cases });
        }
    }
    (templates, partials)
}

/// Reads the only template of `directory`, which is below `root`.
fn read_template(
    root: &Path,
    directory: &Path,
    files: &mut Files,
    faults: &mut Vec<BuildFault>,
) -> Option<(Syntax, TemplateText)> {
    let (handlebars, go) = (directory.join("claims.hbs"), directory.join("claims.gotmpl"));
    match (files.exists(&handlebars), files.exists(&go)) {
        (true, true) => {
            faults.push(fault_in_file(
                ErrorCode::TemplateSyntax,
                directory,
                "expected one template, found claims.hbs and claims.gotmpl; remove one of them".to_owned(),
            ));
            None
        }
        (false, true) => Some((Syntax::Go, read_text(root, &go, files, faults)?)),
        _ => Some((Syntax::Handlebars, read_text(root, &handlebars, files, faults)?)),
    }
}

/// Reads `directory`, the `_partials` of a templates directory: each is a file `<name>.hbs`.
///
/// # Errors
/// Returns [`BuildError`] with every file that cannot be read, or that is outside the templates directory.
pub(crate) fn read_partials(directory: &Path) -> Result<Vec<Partial>, BuildError> {
    let mut faults = Vec::new();
    let partials = partials_in(directory.parent().unwrap_or(directory), directory, &mut Files::new(), &mut faults);
    if faults.is_empty() { Ok(partials) } else { Err(BuildError { faults }) }
}

fn partials_in(root: &Path, directory: &Path, files: &mut Files, faults: &mut Vec<BuildFault>) -> Vec<Partial> {
    let mut partials = Vec::new();
    for path in entries(root, directory, "a directory of partials", files, faults) {
        if path.extension().is_some_and(|extension| extension == "hbs")
            && let Some(source) = read_text(root, &path, files, faults)
        {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            partials.push(Partial { name, source });
        }
    }
    partials
}

/// Reads, builds and validates the generation of `config`, with the key sets in `remote`. The second part is warnings for the
/// operator.
///
/// # Errors
/// Returns [`BuildError`] with every fault: files that cannot be read first, then their content.
pub(crate) fn load(config: &Config, remote: &RemoteFiles, now: Timestamp) -> Result<(Mint, Vec<String>), BuildError> {
    load_with(config, remote, now, |templates| &templates.check_cases)
}

/// As [`load`], without running the recorded cases of checks.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_without_check_cases(
    config: &Config,
    remote: &RemoteFiles,
    now: Timestamp,
) -> Result<(Mint, Vec<String>), BuildError> {
    load_with(config, remote, now, |_| &[])
}

fn load_with(
    config: &Config,
    remote: &RemoteFiles,
    now: Timestamp,
    check_cases: impl FnOnce(&TemplateSources) -> &[CheckCaseFile],
) -> Result<(Mint, Vec<String>), BuildError> {
    let mut files = Files::new();
    let read = read_parts(config, remote, &mut files, &Held::default(), now);
    let faults = read.unread.into_values().chain(read.faults).collect();
    let check_cases = check_cases(&read.mounted);
    let (mint, mut notes) = build(config, &read.parts, check_cases, faults, None, files.access(), now)?;
    notes.extend(read.notes);
    Ok((mint, notes))
}

/// Builds and validates the generation of `parts`. `faults` are those of reading them.
pub(super) fn build(
    config: &Config,
    parts: &GenerationParts,
    check_cases: &[CheckCaseFile],
    mut faults: Vec<BuildFault>,
    previous: Option<&Mint>,
    access: &FileAccess,
    now: Timestamp,
) -> Result<(Mint, Vec<String>), BuildError> {
    match Mint::build_after(previous, parts, now) {
        Ok((mint, mut notes)) if faults.is_empty() => {
            notes.extend(config.key_files().into_iter().filter_map(|path| exposed(access, path, PRIVATE_KEYS)));
            let secrets = config.callers.iter().flat_map(|caller| caller.credential.files());
            notes.extend(secrets.filter_map(|path| exposed(access, path, "this caller secret")));
            let secrets = config.sources.values().flat_map(SourceKind::secret_files);
            notes.extend(secrets.filter_map(|path| exposed(access, path, "this secret of a session source")));
            let limits = SourceLimits::new(config.limits.body, config.limits.depth);
            let context = CaseContext { mint: &mint, checks: &config.checks, sources: &config.sources, limits };
            let (faults, more) = run_case_files(check_cases, context);
            notes.extend(more);
            if faults.is_empty() { Ok((mint, notes)) } else { Err(BuildError { faults }) }
        }
        Ok(_) => Err(BuildError { faults }),
        Err(error) => {
            let unread: Vec<_> = faults.iter().filter_map(|fault| fault.pointer.as_ref()?.path.clone()).collect();
            faults.extend(error.faults.into_iter().filter(|fault| !is_about_unread(fault, config, &unread)));
            Err(BuildError { faults })
        }
    }
}

/// Returns `true` if `fault` is about a template that is missing only because one of the paths in `unread` cannot be read.
fn is_about_unread(fault: &BuildFault, config: &Config, unread: &[String]) -> bool {
    let key = fault.pointer.as_ref().and_then(|pointer| pointer.key.as_deref());
    let name = key.and_then(|key| key.strip_prefix("profiles.")?.strip_suffix(".template"));
    let profile = name.and_then(|name| config.profiles.iter().find(|(known, _)| known.as_str() == name));
    profile.is_some_and(|(_, profile)| {
        let directory = config.templates.join(profile.spec.template.as_str());
        unread
            .iter()
            .map(Path::new)
            .any(|path| path == config.templates || path == directory || path.parent() == Some(directory.as_path()))
    })
}

fn read_cases(root: &Path, directory: &Path, files: &mut Files, faults: &mut Vec<BuildFault>) -> Vec<RecordedCase> {
    let mut cases = Vec::new();
    for path in entries(root, directory, "the directory of a template", files, faults) {
        let name = file_name(&path);
        let counterpart = if let Some(case) = name.strip_suffix(".session.json") {
            directory.join(format!("{case}.claims.json"))
        } else if let Some(case) = name.strip_suffix(".claims.json") {
            directory.join(format!("{case}.session.json"))
        } else {
            continue;
        };
        if !files.exists(&counterpart) {
            let message = format!(
                "expected {} beside it, found none: a recorded case is a session and its claims",
                counterpart.display()
            );
            faults.push(fault_in_file(ErrorCode::TemplateRecordedCase, &path, message));
            continue;
        }
        if !name.ends_with(".session.json") {
            continue;
        }
        match (files.read_within(root, &path), files.read_within(root, &counterpart)) {
            (Ok(session), Ok(claims)) => {
                cases.push(RecordedCase { name: path.display().to_string(), session, claims });
            }
            (Err(error), _) => {
                faults.push(unreadable(ErrorCode::TemplateRecordedCase, &path, "a readable session", &error));
            }
            (_, Err(error)) => {
                faults.push(unreadable(ErrorCode::TemplateRecordedCase, &counterpart, "readable claims", &error));
            }
        }
    }
    cases
}

/// Reads the recorded cases of checks beside the templates `names`: each is a file `<case>.check.json`.
fn read_check_cases<'n>(
    root: &Path,
    names: impl Iterator<Item = &'n String>,
    files: &mut Files,
    faults: &mut Vec<BuildFault>,
) -> Vec<CheckCaseFile> {
    let mut cases = Vec::new();
    for template in names {
        for path in entries(root, &root.join(template), "the directory of a template", files, faults) {
            if !file_name(&path).ends_with(".check.json") {
                continue;
            }
            match files.read_within(root, &path) {
                Ok(text) => {
                    let (name, template) = (path.display().to_string(), template.clone());
                    cases.push(CheckCaseFile { name, template, text });
                }
                Err(error) => {
                    faults.push(unreadable(ErrorCode::TemplateRecordedCase, &path, "a readable case", &error));
                }
            }
        }
    }
    cases
}

fn entries(
    root: &Path,
    directory: &Path,
    expected: &str,
    files: &mut Files,
    faults: &mut Vec<BuildFault>,
) -> Vec<PathBuf> {
    files.entries(root, directory).unwrap_or_else(|error| {
        faults.push(unreadable(ErrorCode::ConfigInvalid, directory, expected, &error));
        Vec::new()
    })
}

fn read_text(root: &Path, path: &Path, files: &mut Files, faults: &mut Vec<BuildFault>) -> Option<TemplateText> {
    match files.read_text_within(root, path) {
        Ok(text) => Some(TemplateText { name: path.display().to_string(), text }),
        Err(error) => {
            faults.push(unreadable(ErrorCode::TemplateSyntax, path, "a readable template in UTF-8", &error));
            None
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns a warning if users other than the owner and the group can read `what` in `path`.
#[cfg(unix)]
fn exposed(access: &FileAccess, path: &Path, what: &str) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = access.metadata(path).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        format!(
            "{}: every user of this host can read {what} (mode {:o}); make it 600 or 640",
            path.display(),
            mode & 0o777
        )
    })
}

#[cfg(not(unix))]
fn exposed(_access: &FileAccess, _path: &Path, _what: &str) -> Option<String> {
    None
}
