//! `import oathkeeper`: from Oathkeeper's configuration to claimsmith's own, with proof.

mod proof;
mod report;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::oathkeeper;
use super::output::{self, Failure};
use crate::config::{KeySource, OathkeeperConfig, OathkeeperProfile};
use crate::json::{Json, write_string};
use crate::reload::Files;
use crate::templates::go::{Conversion, GoTemplate, Remark};
use crate::templates::{ClaimTemplate, CompileOptions, Missing, Syntax, TemplateText};
use proof::Proof;

/// One profile as it was imported.
pub(super) struct Imported<'o> {
    profile: &'o OathkeeperProfile,
    syntax: Syntax,
    text: String,
    remarks: Vec<Remark>,
    proof: Proof,
}

impl Imported<'_> {
    fn template_file(&self) -> &'static str {
        match self.syntax {
            Syntax::Go => "claims.gotmpl",
            Syntax::Handlebars => "claims.hbs",
        }
    }
}

pub(super) fn oathkeeper(file: &Path, out: &Path, as_json: bool) -> Result<(), Failure> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let refused = |faults: Vec<String>| {
        Failure::Configuration(format!("{} cannot be imported:\n  {}", file.display(), faults.join("\n  ")))
    };
    let mut config = oathkeeper::Source::new(file)
        .read(&environment, &mut Files::new())
        .map_err(|faults| refused(faults.into_iter().map(|fault| fault.message).collect()))?;
    let mut imported = Vec::new();
    let mut left_out = Vec::new();
    for profile in &config.profiles {
        match import(profile) {
            Ok(one) => imported.push(one),
            Err(message) => left_out.push((profile.name.to_string(), message)),
        }
    }
    if imported.is_empty() {
        return Err(refused(left_out.into_iter().map(|(_, message)| message).collect()));
    }
    // Oathkeeper answers such a rule's requests with 500, so nothing that works is lost.
    config.warnings.extend(
        left_out
            .iter()
            .map(|(name, message)| format!("profile {name} is left out, its template is refused: {message}")),
    );
    write(&config, &imported, file, out)?;
    if as_json {
        return output::line(&report::json(&config, &imported));
    }
    config.warnings.iter().for_each(|warning| output::note(&format!("note: {warning}")));
    output::line(&report::summary(&imported, out))?;
    output::line(&report::oathkeeper_change(&imported))
}

/// Converts one profile's template and runs both forms.
fn import(profile: &OathkeeperProfile) -> Result<Imported<'_>, String> {
    let (name, text) = match &profile.claims {
        Some(claims) => (claims.name.as_str(), claims.text.as_str()),
        None => ("no claims", "{}"),
    };
    let go = GoTemplate::parse(name, text).map_err(|error| error.to_string())?;
    let mut conversion = go.to_handlebars();
    let template = conversion.compile(profile.name.as_str());
    let Conversion { handlebars, mut remarks } = conversion;
    // Lines of the report are those of the file where the template stands in one.
    let claims = profile.claims.as_ref();
    let offset = claims.and_then(|claims| claims.line).map_or(0, |line| line.saturating_sub(1));
    let is_block = claims.is_none_or(|claims| claims.is_block || claims.line.is_none());
    for remark in &mut remarks {
        remark.line = offset + if is_block { remark.line } else { 1 };
    }
    let original = compile_go(name, text)?;
    let profile_name = profile.name.as_str();
    let paths = go.session_paths();
    Ok(match template.zip(handlebars) {
        Some((template, handlebars)) => {
            let proof = Proof::of(&original, &template, &paths, profile_name);
            let text = format!("{}\n", handlebars.trim_end());
            Imported { profile, syntax: Syntax::Handlebars, text, remarks, proof }
        }
        None => {
            let proof = Proof::of(&original, &original, &paths, profile_name);
            Imported { profile, syntax: Syntax::Go, text: text.to_owned(), remarks, proof }
        }
    })
}

fn compile_go(name: &str, text: &str) -> Result<ClaimTemplate, String> {
    let template = TemplateText { name: name.to_owned(), text: text.to_owned() };
    let options = CompileOptions { missing: Missing::AsNull, audience_configured: false };
    ClaimTemplate::compile(Syntax::Go, &template, &[], options).map_err(|error| error.to_string())
}

/// Writes the folder; what is there already stays as it is.
fn write(config: &OathkeeperConfig, imported: &[Imported<'_>], file: &Path, out: &Path) -> Result<(), Failure> {
    let is_taken = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if is_taken {
        let message = format!("expected {} to be a new or empty folder, found files in it", out.display());
        return Err(Failure::Refused(message));
    }
    let failed = |error: io::Error| Failure::Refused(format!("{} cannot be written: {error}", out.display()));
    fs::create_dir_all(out.join("templates")).map_err(failed)?;
    for one in imported {
        let folder = out.join("templates").join(one.profile.name.as_str());
        fs::create_dir_all(&folder).map_err(failed)?;
        fs::write(folder.join(one.template_file()), &one.text).map_err(failed)?;
        if let Some((session, claims)) = &one.proof.case {
            fs::write(folder.join("imported.session.json"), pretty(session)).map_err(failed)?;
            fs::write(folder.join("imported.claims.json"), pretty(claims)).map_err(failed)?;
        }
    }
    for one in imported {
        if let KeySource::Inline(keys) = &one.profile.jwks {
            let path = out.join(key_file(one.profile));
            fs::create_dir_all(out.join("keys")).map_err(failed)?;
            output::private_file(&path).and_then(|mut file| file.write_all(keys.as_bytes())).map_err(failed)?;
        }
    }
    fs::write(out.join("claimsmith.yaml"), configuration(imported, file)).map_err(failed)?;
    fs::write(out.join("REPORT.md"), report::markdown(config, imported, file)).map_err(failed)
}

/// Where keys go that stood in the configuration: they do not belong there.
fn key_file(profile: &OathkeeperProfile) -> String {
    format!("keys/{}.jwks.json", profile.name)
}

fn pretty(text: &str) -> String {
    match Json::parse(text.as_bytes(), crate::json::ReadLimits::default()) {
        Ok(value) => value.to_pretty() + "\n",
        Err(_) => text.to_owned(),
    }
}

/// `claimsmith.yaml`
fn configuration(imported: &[Imported<'_>], file: &Path) -> String {
    let quoted = |text: &str| {
        let mut quoted = String::new();
        write_string(text, &mut quoted);
        quoted
    };
    let mut out = format!("# Imported from {}; REPORT.md says what changed.\nprofiles:\n", file.display());
    for Imported { profile, syntax, .. } in imported {
        let jwks = match &profile.jwks {
            KeySource::File(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                format!("file://{}", path.display())
            }
            KeySource::Inline(_) => format!("file://{}", key_file(profile)),
            KeySource::Remote(source) => source.url(),
        };
        out.push_str(&format!("  {}:\n", quoted(profile.name.as_str())));
        out.push_str(&format!("    issuer: {}\n", quoted(&profile.issuer)));
        out.push_str(&format!("    jwks: {}\n", quoted(&jwks)));
        out.push_str(&format!("    ttl: {}s\n", profile.ttl.seconds()));
        match syntax {
            // What Oathkeeper's `print` and `toJson` make of missing values: empty text and null.
            Syntax::Handlebars => out.push_str("    missing: as_null\n"),
            Syntax::Go => out.push_str("    registered_claims: override\n"),
        }
        if profile.allow_empty_subject {
            out.push_str("    allow_empty_subject: true\n");
        }
    }
    out
}
