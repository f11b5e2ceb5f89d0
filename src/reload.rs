//! From files to a generation: reads what the configuration names, and holds the generation that requests use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::claims::{Audience, SessionExpiry};
use crate::code::ErrorCode;
use crate::config::{Config, ExpiresWith, KeySource, Profile};
use crate::mint::{BuildError, BuildFault, GenerationParts, Mint, ProfileSpec, TemplateFiles};
use crate::templates::{Partial, RecordedCase, RenderLimits, Syntax, TemplateText};
use crate::time::Timestamp;

/// The generation that requests use.
#[derive(Clone, Debug)]
pub struct LiveMint {
    current: Arc<Mint>,
}

impl LiveMint {
    /// Uses `mint`.
    pub fn new(mint: Mint) -> Self {
        Self { current: Arc::new(mint) }
    }

    /// The generation now. A request takes it once and uses it to its end.
    pub fn current(&self) -> Arc<Mint> {
        Arc::clone(&self.current)
    }
}

/// Reads everything that `config` names, and a fault for each file or folder that cannot be read.
fn read_parts(config: &Config) -> (GenerationParts, Vec<BuildFault>) {
    let mut faults = Vec::new();
    let mut parts = GenerationParts {
        profiles: profile_specs(config),
        limits: RenderLimits {
            output_bytes: config.limits.claims,
            work: config.limits.template_work,
            // A template may wrap what it takes, so that every session that is read can go into claims whole.
            depth: config.limits.depth + 32,
        },
        ..GenerationParts::default()
    };
    let paths: BTreeSet<&PathBuf> = config
        .profiles
        .values()
        .map(|profile| {
            let KeySource::File(path) = &profile.jwks;
            path
        })
        .collect();
    for path in paths {
        match fs::read(path) {
            Ok(bytes) => {
                parts.key_sets.insert(path.display().to_string(), Zeroizing::new(bytes));
            }
            Err(error) => {
                let mut fault = unreadable(ErrorCode::KeySetInvalid, path, "a readable JWK Set", &error);
                if error.kind() == io::ErrorKind::NotFound {
                    fault.message.push_str(&format!("; make one: claimsmith keys generate --out {}", fault.part));
                }
                faults.push(fault);
            }
        }
    }
    // A folder is asked for only by profiles that do not bring their own template.
    if config.profiles.values().any(|profile| !config.go_templates.contains_key(&profile.template)) {
        (parts.templates, parts.partials) = read_templates(&config.templates, &mut faults);
    }
    for (name, text) in &config.go_templates {
        let files = TemplateFiles { syntax: Syntax::Go, text: text.clone(), schema: None, cases: Vec::new() };
        parts.templates.insert(name.clone(), files);
    }
    (parts, faults)
}

/// Reads a folder of templates: `<name>/claims.hbs`, or `<name>/claims.gotmpl` for a Go template, with `<case>.session.json` and `<case>.claims.json` beside it, and
/// `_partials/<name>.hbs`.
fn read_templates(folder: &Path, faults: &mut Vec<BuildFault>) -> (BTreeMap<String, TemplateFiles>, Vec<Partial>) {
    let mut templates = BTreeMap::new();
    let mut partials = Vec::new();
    for path in entries(folder, "a folder of templates", faults) {
        let name = file_name(&path);
        if name == "_partials" {
            partials = partials_in(&path, faults);
        } else if path.is_dir()
            && !name.starts_with('.')
            && let Some((syntax, text)) = read_template(&path, faults)
        {
            let cases = read_cases(&path, faults);
            let schema = path.join("claims.schema.json");
            let schema = schema.exists().then(|| read_text(&schema, faults)).flatten();
            templates.insert(name, TemplateFiles { syntax, text, schema, cases });
        }
    }
    (templates, partials)
}

/// Reads the one template of `folder`.
fn read_template(folder: &Path, faults: &mut Vec<BuildFault>) -> Option<(Syntax, TemplateText)> {
    let (handlebars, go) = (folder.join("claims.hbs"), folder.join("claims.gotmpl"));
    match (handlebars.exists(), go.exists()) {
        (true, true) => {
            faults.push(BuildFault {
                code: ErrorCode::TemplateSyntax,
                part: folder.display().to_string(),
                message: "expected one template, found claims.hbs and claims.gotmpl: keep one of them".to_owned(),
            });
            None
        }
        (false, true) => Some((Syntax::Go, read_text(&go, faults)?)),
        _ => Some((Syntax::Handlebars, read_text(&handlebars, faults)?)),
    }
}

/// Reads a folder of partials, `<name>.hbs` each.
///
/// # Errors
/// [`BuildError`] with every file that cannot be read.
pub fn read_partials(folder: &Path) -> Result<Vec<Partial>, BuildError> {
    let mut faults = Vec::new();
    let partials = partials_in(folder, &mut faults);
    if faults.is_empty() { Ok(partials) } else { Err(BuildError { faults }) }
}

fn partials_in(folder: &Path, faults: &mut Vec<BuildFault>) -> Vec<Partial> {
    let mut partials = Vec::new();
    for path in entries(folder, "a folder of partials", faults) {
        if path.extension().is_some_and(|extension| extension == "hbs")
            && let Some(source) = read_text(&path, faults)
        {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            partials.push(Partial { name, source });
        }
    }
    partials
}

/// Reads, builds and proves the generation that `config` describes; the second part is notes for the operator.
///
/// # Errors
/// [`BuildError`] with every fault, of files first, then of what stands in them.
pub fn load(config: &Config, now: Timestamp) -> Result<(Mint, Vec<String>), BuildError> {
    let (parts, mut faults) = read_parts(config);
    match Mint::build(&parts, now) {
        Ok((mint, mut notes)) if faults.is_empty() => {
            notes.extend(parts.key_sets.keys().filter_map(|path| exposed(Path::new(path))));
            Ok((mint, notes))
        }
        Ok(_) => Err(BuildError { faults }),
        Err(error) => {
            faults.extend(error.faults);
            Err(BuildError { faults })
        }
    }
}

/// The profiles of `config`, as the mint takes them.
pub fn profile_specs(config: &Config) -> Vec<ProfileSpec> {
    config.profiles.iter().map(|(name, profile)| spec(name.as_str(), profile)).collect()
}

fn spec(name: &str, profile: &Profile) -> ProfileSpec {
    let KeySource::File(path) = &profile.jwks;
    ProfileSpec {
        name: name.to_owned(),
        issuer: profile.issuer.clone(),
        key_set: path.display().to_string(),
        alg: profile.alg,
        ttl: profile.ttl,
        audience: profile.audience.clone().and_then(Audience::new),
        template: profile.template.clone(),
        placement: profile.placement.clone(),
        missing: profile.missing,
        expires_with: match &profile.expires_with {
            ExpiresWith::Never => SessionExpiry::None,
            ExpiresWith::Path { path, is_explicit: true } => SessionExpiry::Required(path.clone()),
            ExpiresWith::Path { path, is_explicit: false } => SessionExpiry::IfPresent(path.clone()),
        },
        subject: profile.subject.clone(),
        allow_empty_subject: profile.allow_empty_subject,
        registered_claims: profile.registered_claims,
        validate: profile.validate,
    }
}

fn read_cases(folder: &Path, faults: &mut Vec<BuildFault>) -> Vec<RecordedCase> {
    let mut cases = Vec::new();
    for path in entries(folder, "a template's folder", faults) {
        let name = file_name(&path);
        let (case, counterpart) = if let Some(case) = name.strip_suffix(".session.json") {
            (case, folder.join(format!("{case}.claims.json")))
        } else if let Some(case) = name.strip_suffix(".claims.json") {
            (case, folder.join(format!("{case}.session.json")))
        } else {
            continue;
        };
        if !counterpart.exists() {
            faults.push(BuildFault {
                code: ErrorCode::TemplateRecordedCase,
                part: path.display().to_string(),
                message: format!(
                    "expected {} beside it, found none: a recorded case is a session and its claims",
                    counterpart.display()
                ),
            });
            continue;
        }
        if !name.ends_with(".session.json") {
            continue;
        }
        match (fs::read(&path), fs::read(&counterpart)) {
            (Ok(session), Ok(claims)) => {
                let name = format!("{} (case {case})", path.display());
                cases.push(RecordedCase { name, session, claims });
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

fn entries(folder: &Path, expected: &str, faults: &mut Vec<BuildFault>) -> Vec<PathBuf> {
    let read = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>());
    match read {
        Ok(mut paths) => {
            paths.sort();
            paths
        }
        Err(error) => {
            faults.push(unreadable(ErrorCode::ConfigInvalid, folder, expected, &error));
            Vec::new()
        }
    }
}

fn read_text(path: &Path, faults: &mut Vec<BuildFault>) -> Option<TemplateText> {
    match fs::read_to_string(path) {
        Ok(text) => Some(TemplateText { name: path.display().to_string(), text }),
        Err(error) => {
            faults.push(unreadable(ErrorCode::TemplateSyntax, path, "a readable template in UTF-8", &error));
            None
        }
    }
}

fn unreadable(code: ErrorCode, path: &Path, expected: &str, error: &io::Error) -> BuildFault {
    BuildFault { code, part: path.display().to_string(), message: format!("expected {expected}, found: {error}") }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A warning where others than owner and group may read the private keys in `path`.
#[cfg(unix)]
fn exposed(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        format!(
            "{}: every user of this machine may read these private keys (mode {:o}); make it 600 or 640",
            path.display(),
            mode & 0o777
        )
    })
}

#[cfg(not(unix))]
fn exposed(_path: &Path) -> Option<String> {
    None
}
