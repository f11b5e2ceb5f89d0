//! Reads everything that a configuration names, and builds a generation of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::files::Files;
use crate::code::ErrorCode;
use crate::config::{Config, KeySource};
use crate::mint::{BuildError, BuildFault, GenerationParts, Mint, TemplateFiles};
use crate::sources::RemoteSets;
use crate::templates::{Partial, RecordedCase, RenderLimits, Syntax, TemplateText};
use crate::time::{Timestamp, Ttl};
use crate::tls::{Tls, TlsPart, TlsText};

/// What [`exposed`] calls the content of a key file.
const PRIVATE_KEYS: &str = "these private keys";

/// Reads and proves what TLS needs, with what the operator should know of it.
fn read_tls(
    config: &Config,
    files: &mut Files,
    now: Timestamp,
    faults: &mut Vec<BuildFault>,
) -> Option<(Tls, Vec<String>)> {
    let named = config.serve.tls.as_ref()?;
    let mut read = |path: &Path, expected: &str| match files.read(path) {
        Ok(bytes) => Some(Zeroizing::new(bytes)),
        Err(error) => {
            faults.push(unreadable(ErrorCode::TlsInvalid, path, expected, &error));
            None
        }
    };
    let certificates = read(&named.cert_file, "readable certificates");
    let key = read(&named.key_file, "a readable private key");
    let client_ca = named.client.as_ref().map(|client| (read(&client.file, "readable certificates"), client));
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
            let name = named.cert_file.display();
            let notes = notes.into_iter().map(|note| format!("{name}: {note}"));
            Some((tls, notes.chain(exposed(&named.key_file, PRIVATE_KEYS)).collect()))
        }
        Err(fault) => {
            let path = match (fault.part, &named.client) {
                (TlsPart::Key, _) => &named.key_file,
                (TlsPart::ClientCa, Some(client)) => &client.file,
                (TlsPart::Certificates | TlsPart::ClientCa, _) => &named.cert_file,
            };
            let part = path.display().to_string();
            faults.push(BuildFault::new(ErrorCode::TlsInvalid, part, fault.message));
            None
        }
    }
}

/// What one look takes from the files that `config` names.
pub(super) struct Read {
    pub(super) parts: GenerationParts,
    pub(super) tls: Option<Tls>,
    pub(super) notes: Vec<String>,
    pub(super) faults: Vec<BuildFault>,
}

/// Reads everything that `config` names, and a fault for each file or folder that cannot be read.
pub(super) fn read_parts(config: &Config, remote: &RemoteSets, files: &mut Files, now: Timestamp) -> Read {
    let mut faults = Vec::new();
    let mut parts = GenerationParts {
        profiles: config.profile_specs(),
        limits: RenderLimits {
            output_bytes: config.limits.claims,
            work: config.limits.template_work,
            // A template may wrap what it takes, so that every session that is read can go into claims whole.
            depth: config.limits.depth + 32,
        },
        ..GenerationParts::default()
    };
    for (source, name) in config.key_names() {
        match read_keys(source, remote, files) {
            Ok(bytes) => {
                parts.key_sets.insert(name, bytes);
            }
            Err(fault) => faults.push(fault),
        }
    }
    // A folder is asked for only by profiles that do not bring their own template.
    if config.profiles.values().any(|profile| !config.go_templates.contains_key(&profile.spec.template)) {
        (parts.templates, parts.partials) = read_templates(&config.templates, files, &mut faults);
    }
    for (name, text) in &config.go_templates {
        files.found(name.as_str().as_bytes(), text.text.as_bytes());
        let files = TemplateFiles { syntax: Syntax::Go, text: text.clone(), schema: None, cases: Vec::new() };
        parts.templates.insert(name.to_string(), files);
    }
    let (tls, notes) = read_tls(config, files, now, &mut faults).unzip();
    Read { parts, tls, notes: notes.unwrap_or_default(), faults }
}

fn read_keys(source: &KeySource, remote: &RemoteSets, files: &mut Files) -> Result<Zeroizing<Vec<u8>>, BuildFault> {
    match source {
        KeySource::File(path) => files.read(path).map(Zeroizing::new).map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::NotFound => format!("; make one: claimsmith keys generate --out {}", path.display()),
                _ => String::new(),
            };
            let message = format!("expected a readable JWK Set, found: {error}{advice}");
            of_file(ErrorCode::KeySetInvalid, path, message)
        }),
        KeySource::Inline(keys) => {
            files.found(source.to_string().as_bytes(), keys.as_bytes());
            Ok(Zeroizing::new(keys.as_bytes().to_vec()))
        }
        KeySource::Remote(source) => {
            let bytes = remote.current(source);
            let bytes = bytes.as_ref().map(|bytes| bytes.as_slice());
            files.found(source.url().as_bytes(), bytes.unwrap_or_default());
            bytes.map(|bytes| Zeroizing::new(bytes.to_vec())).ok_or_else(|| {
                let message = "expected one good answer of this source, found none so far";
                BuildFault::new(ErrorCode::KeySetInvalid, source.to_string(), message)
            })
        }
    }
}

/// Reads a folder of templates: `<name>/claims.hbs`, or `<name>/claims.gotmpl` for a Go template, with `<case>.session.json` and `<case>.claims.json` beside it, and
/// `_partials/<name>.hbs`.
fn read_templates(
    folder: &Path,
    files: &mut Files,
    faults: &mut Vec<BuildFault>,
) -> (BTreeMap<String, TemplateFiles>, Vec<Partial>) {
    let mut templates = BTreeMap::new();
    let mut partials = Vec::new();
    for path in entries(folder, "a folder of templates", files, faults) {
        let name = file_name(&path);
        if name == "_partials" {
            partials = partials_in(folder, &path, files, faults);
        } else if path.is_dir()
            && !name.starts_with('.')
            && let Some((syntax, text)) = read_template(folder, &path, files, faults)
        {
            let cases = read_cases(folder, &path, files, faults);
            let schema = path.join("claims.schema.json");
            let schema = schema.exists().then(|| read_text(folder, &schema, files, faults)).flatten();
            templates.insert(name, TemplateFiles { syntax, text, schema, cases });
        }
    }
    (templates, partials)
}

/// Reads the one template of `folder`, which stands in `root`.
fn read_template(
    root: &Path,
    folder: &Path,
    files: &mut Files,
    faults: &mut Vec<BuildFault>,
) -> Option<(Syntax, TemplateText)> {
    let (handlebars, go) = (folder.join("claims.hbs"), folder.join("claims.gotmpl"));
    match (handlebars.exists(), go.exists()) {
        (true, true) => {
            faults.push(of_file(
                ErrorCode::TemplateSyntax,
                folder,
                "expected one template, found claims.hbs and claims.gotmpl: keep one of them".to_owned(),
            ));
            None
        }
        (false, true) => Some((Syntax::Go, read_text(root, &go, files, faults)?)),
        _ => Some((Syntax::Handlebars, read_text(root, &handlebars, files, faults)?)),
    }
}

/// Reads `folder`, the `_partials` of a folder of templates: `<name>.hbs` each.
///
/// # Errors
/// [`BuildError`] with every file that cannot be read, or that stands outside of the folder of templates.
pub fn read_partials(folder: &Path) -> Result<Vec<Partial>, BuildError> {
    let mut faults = Vec::new();
    let partials = partials_in(folder.parent().unwrap_or(folder), folder, &mut Files::new(), &mut faults);
    if faults.is_empty() { Ok(partials) } else { Err(BuildError { faults }) }
}

fn partials_in(root: &Path, folder: &Path, files: &mut Files, faults: &mut Vec<BuildFault>) -> Vec<Partial> {
    let mut partials = Vec::new();
    for path in entries(folder, "a folder of partials", files, faults) {
        if path.extension().is_some_and(|extension| extension == "hbs")
            && let Some(source) = read_text(root, &path, files, faults)
        {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            partials.push(Partial { name, source });
        }
    }
    partials
}

/// Reads, builds and proves the generation that `config` describes, with what `remote` holds; the second part is notes for the operator.
///
/// # Errors
/// [`BuildError`] with every fault, of files first, then of what stands in them.
pub fn load(config: &Config, remote: &RemoteSets, now: Timestamp) -> Result<(Mint, Vec<String>), BuildError> {
    let read = read_parts(config, remote, &mut Files::new(), now);
    let (mint, mut notes) = build(config, &read.parts, read.faults, None, now)?;
    notes.extend(read.notes);
    Ok((mint, notes))
}

/// Builds and proves the generation of `parts`, which were read with `faults`.
pub(super) fn build(
    config: &Config,
    parts: &GenerationParts,
    mut faults: Vec<BuildFault>,
    previous: Option<&Mint>,
    now: Timestamp,
) -> Result<(Mint, Vec<String>), BuildError> {
    match Mint::build_after(previous, parts, now) {
        Ok((mint, mut notes)) if faults.is_empty() => {
            notes.extend(config.key_files().into_iter().filter_map(|path| exposed(path, PRIVATE_KEYS)));
            let secrets = config.callers.iter().flat_map(|caller| caller.credential.files());
            notes.extend(secrets.filter_map(|path| exposed(path, "this secret of a caller")));
            Ok((mint, notes))
        }
        Ok(_) => Err(BuildError { faults }),
        Err(error) => {
            faults.extend(error.faults);
            Err(BuildError { faults })
        }
    }
}

/// How long a token of any profile with the keys of `file` lives at most, whichever paths and links profiles name the file
/// by; `None` where no profile has them.
pub fn longest_ttl(config: &Config, file: &Path) -> Option<Ttl> {
    let wanted = fs::canonicalize(file).ok();
    let is_it = |path: &Path| path == file || wanted.is_some() && fs::canonicalize(path).ok() == wanted;
    config.longest_ttl(is_it)
}

fn read_cases(root: &Path, folder: &Path, files: &mut Files, faults: &mut Vec<BuildFault>) -> Vec<RecordedCase> {
    let mut cases = Vec::new();
    for path in entries(folder, "a template's folder", files, faults) {
        let name = file_name(&path);
        let counterpart = if let Some(case) = name.strip_suffix(".session.json") {
            folder.join(format!("{case}.claims.json"))
        } else if let Some(case) = name.strip_suffix(".claims.json") {
            folder.join(format!("{case}.session.json"))
        } else {
            continue;
        };
        if !counterpart.exists() {
            let message = format!(
                "expected {} beside it, found none: a recorded case is a session and its claims",
                counterpart.display()
            );
            faults.push(of_file(ErrorCode::TemplateRecordedCase, &path, message));
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

fn entries(folder: &Path, expected: &str, files: &mut Files, faults: &mut Vec<BuildFault>) -> Vec<PathBuf> {
    files.entries(folder).unwrap_or_else(|error| {
        faults.push(unreadable(ErrorCode::ConfigInvalid, folder, expected, &error));
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

fn unreadable(code: ErrorCode, path: &Path, expected: &str, error: &io::Error) -> BuildFault {
    of_file(code, path, format!("expected {expected}, found: {error}"))
}

/// A fault of the file or folder at `path`.
fn of_file(code: ErrorCode, path: &Path, message: String) -> BuildFault {
    let path = path.display().to_string();
    BuildFault::new(code, &path, &message).in_file(path, message)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A warning where others than owner and group may read `what` in `path`.
#[cfg(unix)]
fn exposed(path: &Path, what: &str) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        format!(
            "{}: every user of this machine may read {what} (mode {:o}); make it 600 or 640",
            path.display(),
            mode & 0o777
        )
    })
}

#[cfg(not(unix))]
fn exposed(_path: &Path, _what: &str) -> Option<String> {
    None
}
