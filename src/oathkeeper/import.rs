//! The import: a directory that claimsmith can serve, made from an Oathkeeper configuration.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::config::{OathkeeperConfig, OathkeeperProfile};
use super::imported::Imported;
use super::report;
use super::settings::Broken;
use crate::config::KeySource;
use crate::json::{Json, ReadLimits, write_string};
use crate::mint::{MOST_LISTED, listed};
use crate::templates::Syntax;

/// An Oathkeeper configuration converted to claimsmith's own.
pub(crate) struct Import {
    /// The path of Oathkeeper's configuration.
    file: PathBuf,
    profiles: Vec<Imported>,
    warnings: Vec<String>,
}

/// A file of the imported directory. No `Debug`: it may contain private keys.
pub(crate) struct ImportedFile {
    /// The path below the directory.
    pub(crate) path: PathBuf,
    /// The content.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Whether only the owner may read it.
    pub(crate) is_private: bool,
}

impl Import {
    /// Converts `config`, which was read from `file`. What Oathkeeper rejects is left out with a warning: Oathkeeper answers
    /// these requests with 500, so nothing that works is lost.
    ///
    /// # Errors
    /// Returns the reasons if nothing is left.
    pub(crate) fn of(config: OathkeeperConfig, file: &Path) -> Result<Self, Vec<String>> {
        let OathkeeperConfig { profiles, mut warnings, broken, hydrated, .. } = config;
        let mut imported = Vec::new();
        let mut left_out = Vec::new();
        for profile in profiles {
            let name = profile.name().clone();
            match Imported::of(profile) {
                Ok(one) => imported.push(one),
                Err(message) => left_out.push((name, message)),
            }
        }
        let rejected = broken.into_iter().flat_map(|Broken { names, faults }| {
            faults.into_iter().map(move |fault| match names.first() {
                Some(name) => format!("profile {name} is left out: {}", fault.message),
                None => fault.message,
            })
        });
        let left_out = left_out.into_iter().map(|(name, message)| format!("profile {name} is left out: {message}"));
        warnings.extend(listed(left_out.chain(rejected), MOST_LISTED));
        for (name, origin) in hydrated {
            if !imported.iter().any(|one| *one.profile.name() == name) {
                warnings.push(format!(
                    "{origin} calls /hydrate/{name}, but no rule defines profile {name} any longer: import the files from \
                     before that change"
                ));
            }
        }
        if imported.is_empty() {
            return Err(warnings);
        }
        Ok(Self { file: file.to_path_buf(), profiles: imported, warnings })
    }

    /// Returns the warnings for the operator.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the report as JSON.
    pub(crate) fn report_json(&self) -> String {
        report::json(&self.warnings, &self.profiles)
    }

    /// Returns a short report for the terminal; `out` is the imported directory.
    pub(crate) fn summary(&self, out: &Path) -> String {
        report::summary(&self.profiles, out)
    }

    /// Returns the change that Oathkeeper's configuration and rules need.
    pub(crate) fn oathkeeper_change(&self) -> String {
        report::oathkeeper_change(&self.profiles)
    }

    /// Returns the files of the imported directory.
    pub(crate) fn files(&self) -> Vec<ImportedFile> {
        let mut files = Vec::new();
        let mut add = |path: PathBuf, text: String| {
            files.push(ImportedFile { path, bytes: Zeroizing::new(text.into_bytes()), is_private: false });
        };
        for one in &self.profiles {
            let directory = Path::new("templates").join(one.profile.name().as_str());
            add(directory.join(one.template_file()), one.text.clone());
            if let Some((session, claims)) = &one.proof.case {
                add(directory.join("imported.session.json"), pretty(session));
                add(directory.join("imported.claims.json"), pretty(claims));
            }
        }
        add("claimsmith.yaml".into(), self.configuration());
        add("REPORT.md".into(), report::markdown(&self.warnings, &self.profiles, &self.file));
        for one in &self.profiles {
            if let KeySource::Inline(keys) = &one.profile.profile.jwks {
                let bytes = Zeroizing::new(keys.as_bytes().to_vec());
                files.push(ImportedFile { path: key_file(&one.profile).into(), bytes, is_private: true });
            }
        }
        files
    }

    /// Returns the text of `claimsmith.yaml`.
    fn configuration(&self) -> String {
        let mut out = format!("# Imported from {}; see REPORT.md for what changed.\nprofiles:\n", self.file.display());
        for Imported { profile, syntax, .. } in &self.profiles {
            let spec = &profile.profile.spec;
            let jwks = match &profile.profile.jwks {
                KeySource::File(path) => {
                    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                    format!("file://{}", path.display())
                }
                KeySource::Inline(_) => format!("file://{}", key_file(profile)),
                KeySource::Remote(source) => source.url(),
            };
            out.push_str(&format!("  # from {}\n", profile.origin().replace(char::is_control, " ")));
            out.push_str(&format!("  {}:\n", quoted(profile.name().as_str())));
            out.push_str(&format!("    issuer: {}\n", quoted(spec.issuer.as_str())));
            out.push_str(&format!("    jwks: {}\n", quoted(&jwks)));
            out.push_str(&format!("    ttl: {}s\n", spec.ttl.seconds()));
            match syntax {
                // Oathkeeper's `print` and `toJson` turn missing values into empty text and null.
                Syntax::Handlebars => out.push_str("    missing: as_null\n"),
                Syntax::Go => out.push_str("    registered_claims: override\n"),
            }
            if spec.allow_empty_subject {
                out.push_str("    allow_empty_subject: true\n");
            }
        }
        out
    }
}

/// Returns the path for keys that Oathkeeper's configuration contains. They move to a file, because a configuration is
/// no place for private keys.
fn key_file(profile: &OathkeeperProfile) -> String {
    format!("keys/{}.jwks.json", profile.name())
}

fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    write_string(text, &mut quoted);
    quoted
}

fn pretty(text: &str) -> String {
    match Json::parse(text.as_bytes(), ReadLimits::default()) {
        Ok(value) => value.to_pretty() + "\n",
        Err(_) => text.to_owned(),
    }
}
