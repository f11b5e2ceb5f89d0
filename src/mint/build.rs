//! Builds and validates a generation from bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::identity::ProfileIdentity;
use super::listing::{MOST_NAMED, listed};
use super::parts::{GenerationParts, TemplateFiles};
use super::profile::Profile;
use super::schema::ClaimsSchema;
use super::spec::{ProfileSpec, Validate};
use super::{Mint, ProvenSet};
use crate::claims::RegisteredInTemplate;
use crate::code::ErrorCode;
use crate::escape;
use crate::keys::KeySet;
use crate::nearest::nearest;
use crate::templates::{ClaimTemplate, CompileOptions, TemplateFault};
use crate::time::{Timestamp, Ttl};

/// One reason why a generation cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildFault {
    /// The stable code.
    pub code: ErrorCode,
    /// The affected part: a key set, a template, a profile.
    pub part: String,
    /// The expected and the found content, and the fix.
    pub message: String,
    /// The position, for programs, if it is known.
    pub pointer: Option<Box<FaultPointer>>,
}

/// The position of a fault, and its message without the position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultPointer {
    /// The file.
    pub path: Option<String>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// The dotted path of a key of the configuration.
    pub key: Option<String>,
    /// The environment variable that set it.
    pub variable: Option<String>,
    /// The expected and the found content, and the fix.
    pub message: String,
}

/// Every reason why a generation cannot be used. Never empty.
#[derive(Clone, Debug, Error)]
#[error("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct BuildError {
    /// The reasons.
    pub faults: Vec<BuildFault>,
}

impl BuildFault {
    /// Returns a fault of `part` without a position.
    pub fn new(code: ErrorCode, part: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, part: part.into(), message: message.into(), pointer: None }
    }

    /// Returns this fault with its position.
    #[must_use]
    pub fn at(mut self, pointer: FaultPointer) -> Self {
        self.pointer = Some(Box::new(pointer));
        self
    }

    /// Returns this fault with the setting `key` of the profile `spec` as its position.
    fn of_key(self, spec: &ProfileSpec, key: &str, message: String) -> Self {
        self.at(FaultPointer { key: Some(format!("profiles.{}.{key}", spec.name)), message, ..FaultPointer::default() })
    }

    /// Returns this fault with the file `path` as its position.
    #[must_use]
    pub fn in_file(self, path: impl Into<String>, message: impl Into<String>) -> Self {
        self.at(FaultPointer { path: Some(path.into()), message: message.into(), ..FaultPointer::default() })
    }
}

impl From<&TemplateFault> for FaultPointer {
    fn from(fault: &TemplateFault) -> Self {
        let help = fault.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        Self {
            path: Some(fault.place.template.clone()),
            line: Some(fault.place.line),
            column: Some(fault.place.column),
            message: format!("{}{help}", fault.message),
            ..Self::default()
        }
    }
}

impl fmt::Display for BuildFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = match self.code {
            // Errors of templates show lines of the template, which are escaped. Errors of keys name members of a set, and
            // quote nothing but a `kid`.
            code if ["template.", "keys."].iter().any(|group| code.as_str().starts_with(group)) => {
                escape::lines(&self.message)
            }
            _ => escape::line(&self.message),
        };
        write!(f, "{}: {message}", escape::line(&self.part))
    }
}

impl Mint {
    /// Builds and validates a generation: every key set has a key that can sign, and every template compiles and
    /// renders its recorded cases as recorded. Also returns notes for the operator, such as skipped keys with the
    /// reasons.
    ///
    /// # Errors
    /// Returns [`BuildError`] with every fault of every part.
    pub fn build(parts: &GenerationParts, now: Timestamp) -> Result<(Mint, Vec<String>), BuildError> {
        Self::build_after(None, parts, now)
    }

    /// Builds a generation like [`Mint::build`], and reuses the parts of `previous` that were validated from equal
    /// bytes.
    ///
    /// # Errors
    /// As [`Mint::build`].
    pub fn build_after(
        previous: Option<&Mint>,
        parts: &GenerationParts,
        now: Timestamp,
    ) -> Result<(Mint, Vec<String>), BuildError> {
        let mut faults = Vec::new();
        let mut notes = Vec::new();

        let mut key_sets = BTreeMap::new();
        for (name, bytes) in &parts.key_sets {
            let digest: [u8; 32] = Sha256::digest(bytes.as_slice()).into();
            let known = previous.and_then(|mint| mint.key_sets.get(name)).filter(|known| known.digest == digest);
            let set = known.map_or_else(|| KeySet::parse(bytes).map(Arc::new), |known| Ok(Arc::clone(&known.set)));
            match set {
                Ok(set) => {
                    notes.extend(set.skipped().iter().map(|skipped| format!("{name}: {skipped}")));
                    notes.extend(set.notes().iter().map(|note| format!("{name}: {note}")));
                    key_sets.insert(name.clone(), ProvenSet { digest, set });
                }
                Err(error) => {
                    faults.push(BuildFault::new(ErrorCode::KeySetInvalid, name, error.to_string()));
                }
            }
        }

        notes.extend(ambiguous_kids(&key_sets));

        let mut profiles = BTreeMap::new();
        let mut longest_ttl: BTreeMap<String, Ttl> = BTreeMap::new();
        for spec in &parts.profiles {
            let longest = longest_ttl.entry(spec.key_set.clone()).or_insert(spec.ttl);
            *longest = spec.ttl.max(*longest);
            let part = format!("profile {}", spec.name);
            let identity =
                parts.templates.get(spec.template.as_str()).map(|files| ProfileIdentity::new(spec, files, parts));
            let known = previous.and_then(|mint| mint.profiles.get(&spec.name));
            let template = match parts.templates.get(spec.template.as_str()) {
                Some(_) if let Some(known) = known.filter(|known| Some(known.identity) == identity) => {
                    Some((Arc::clone(&known.template), known.recorded_schema.clone()))
                }
                Some(files) => {
                    let validated = validate_template(files, parts, spec, now, &mut faults);
                    let warnings = validated.iter().flat_map(|(template, _)| template.warnings());
                    for warning in warnings.map(|warning| one_line(&part_of(spec), warning)) {
                        if !notes.contains(&warning) {
                            notes.push(warning);
                        }
                    }
                    validated
                }
                None => {
                    let known = listed(parts.templates.keys().cloned(), MOST_NAMED).join(", ");
                    let found = if known.is_empty() { "no template".to_owned() } else { format!("only: {known}") };
                    let near = nearest(spec.template.as_str(), parts.templates.keys().map(String::as_str));
                    let message = format!(
                        "expected its template `{}` in the templates directory, found {found}{}",
                        spec.template,
                        near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
                    );
                    let fault = BuildFault::new(ErrorCode::ConfigInvalid, &part, &message);
                    faults.push(fault.of_key(spec, "template", message));
                    None
                }
            };
            if spec.registered_claims == RegisteredInTemplate::Override
                && let Some((template, _)) = &template
                && let claims = template.registered_claims()
                && !claims.is_empty()
            {
                let names: Vec<_> = claims.iter().map(|claim| claim.name()).collect();
                notes.push(format!("{part}: its template sets {}, which is overridden", names.join(" and ")));
            }
            let (template, schema) = match template {
                Some((template, schema)) => (Some(template), schema),
                None => (None, None),
            };
            if spec.validate == Validate::Always
                && let Some(files) = parts.templates.get(spec.template.as_str())
                && files.schema.is_none()
            {
                let message = "expected claims.schema.json beside its template, because validate is always; found none";
                faults.push(BuildFault::new(ErrorCode::ConfigInvalid, &part, message));
            }
            let Some(keys) = key_sets.get(&spec.key_set).map(|proven| &proven.set) else { continue };
            if let Some(alg) = spec.alg
                && !keys.signing_keys().any(|key| key.alg() == alg)
            {
                let message = format!(
                    "expected a key for {alg} in {0}, found none; add one with `claimsmith keys rotate {0} --alg {alg}`, or \
                     change `alg`",
                    spec.key_set
                );
                faults.push(BuildFault::new(ErrorCode::KeySetInvalid, part, &message).of_key(spec, "alg", message));
                continue;
            }
            if let (Some(template), Some(identity)) = (template, identity) {
                let always = schema.clone().filter(|_| spec.validate == Validate::Always);
                let (spec, keys) = (spec.clone(), Arc::clone(keys));
                let profile = Profile { spec, keys, template, schema: always, recorded_schema: schema, identity };
                profiles.insert(profile.spec.name.clone(), profile);
            }
        }

        if faults.is_empty() {
            Ok((Mint { profiles, key_sets, limits: parts.limits, longest_ttl }, notes))
        } else {
            // A template that several profiles share repeats its faults for each of them.
            let mut known = BTreeSet::new();
            faults.retain(|fault| known.insert((fault.part.clone(), fault.message.clone())));
            Err(BuildError { faults })
        }
    }
}

/// Returns a note for each `kid` that two key sets use for different keys, because `/.well-known/jwks.json` publishes
/// both.
fn ambiguous_kids(key_sets: &BTreeMap<String, ProvenSet>) -> Vec<String> {
    let mut known: BTreeMap<String, (&str, String)> = BTreeMap::new();
    let mut notes = Vec::new();
    for (name, ProvenSet { set, .. }) in key_sets {
        for key in set.signing_keys().filter_map(|key| key.public()).chain(set.public_keys()) {
            let (other, json) = known.entry(key.kid().as_str().to_owned()).or_insert_with(|| (name, key.to_json()));
            if *other != name && *json != key.to_json() {
                notes.push(format!(
                    "key id `{}` is used for different keys in {other} and {name}: /.well-known/jwks.json publishes \
                     both, and a verifier may try the wrong one, so verifiers must use the JWK Set of their profile",
                    key.kid()
                ));
            }
        }
    }
    notes
}

/// Compiles a template and runs its recorded cases. Returns `None` if this adds a fault.
fn validate_template(
    files: &TemplateFiles,
    parts: &GenerationParts,
    spec: &ProfileSpec,
    now: Timestamp,
    faults: &mut Vec<BuildFault>,
) -> Option<ValidatedTemplate> {
    let options = CompileOptions { missing: spec.missing, audience_configured: spec.audience.is_some() };
    let part = part_of(spec);
    let mut template = match ClaimTemplate::compile(files.syntax, &files.text, &parts.partials, options) {
        Ok(template) => template,
        Err(error) => {
            let faults_of = error.faults().iter();
            faults
                .extend(faults_of.map(|fault| BuildFault::new(fault.code, &part, fault.to_string()).at(fault.into())));
            return None;
        }
    };
    spec.reads().for_each(|path| template.select(path));
    let before = faults.len();
    let schema = files.schema.as_ref().and_then(|schema| match ClaimsSchema::parse(&schema.text) {
        Ok(parsed) => Some(parsed),
        Err(message) => {
            let whole = format!("{}: {message}", schema.name);
            faults.push(BuildFault::new(ErrorCode::ClaimsSchema, &part, whole).in_file(&schema.name, message));
            None
        }
    });
    for case in &files.cases {
        match case.run(&template, spec.name.as_str(), spec.registered_claims, now, &parts.limits) {
            Err(fault) => {
                let whole = BuildFault::new(fault.code, &part, fault.to_string());
                faults.push(whole.in_file(fault.case, fault.message));
            }
            Ok(claims) => {
                if let Some(Err(error)) = schema.as_ref().map(|schema| schema.check(&claims, parts.limits.work)) {
                    let whole = BuildFault::new(error.code(), &part, format!("{}: {error}", case.name));
                    faults.push(whole.in_file(&case.name, error.to_string()));
                }
            }
        }
    }
    (faults.len() == before).then(|| (Arc::new(template), schema.map(Arc::new)))
}

fn part_of(spec: &ProfileSpec) -> String {
    format!("template {}", spec.template)
}

/// Returns a fault of a template in one line.
fn one_line(part: &str, fault: &TemplateFault) -> String {
    let help = fault.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
    format!("{part}: {}: {}{help}", fault.place, fault.message)
}

type ValidatedTemplate = (Arc<ClaimTemplate>, Option<Arc<ClaimsSchema>>);
