//! One profile of an Oathkeeper configuration, with its template converted to Handlebars as far as that is possible.

use super::config::OathkeeperProfile;
use super::proof::Proof;
use super::template::compile;
use crate::templates::Syntax;
use crate::templates::go::{Conversion, GoTemplate, Remark};

/// A profile after the import.
pub(super) struct Imported {
    pub(super) profile: OathkeeperProfile,
    /// The language of the template after the import.
    pub(super) syntax: Syntax,
    /// The template after the import.
    pub(super) text: String,
    pub(super) remarks: Vec<Remark>,
    pub(super) proof: Proof,
}

impl Imported {
    /// Converts the template of `profile` and runs both forms.
    ///
    /// # Errors
    /// Returns the errors of a template that Go does not compile.
    pub(super) fn of(profile: OathkeeperProfile) -> Result<Self, String> {
        let (name, text) = match &profile.claims {
            Some(claims) => (claims.name.as_str(), claims.text.as_str()),
            None => ("no claims", "{}"),
        };
        let go = GoTemplate::parse(name, text).map_err(|error| error.to_string())?;
        let mut conversion = go.to_handlebars();
        let template = conversion.compile(profile.name().as_str());
        let Conversion { handlebars, mut remarks } = conversion;
        // The report counts lines in the file, if the template is part of one.
        let claims = profile.claims.as_ref();
        let offset = claims.and_then(|claims| claims.line).map_or(0, |line| line.saturating_sub(1));
        let is_block = claims.is_none_or(|claims| claims.is_block || claims.line.is_none());
        for remark in &mut remarks {
            remark.line = offset + if is_block { remark.line } else { 1 };
        }
        let original = compile(name, text)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let paths = go.session_paths();
        let (syntax, text, proof) = match template.zip(handlebars) {
            Some((template, handlebars)) => {
                let proof = Proof::of(&original, &template, &paths, profile.name().as_str());
                (Syntax::Handlebars, format!("{}\n", handlebars.trim_end()), proof)
            }
            None => {
                let proof = Proof::of(&original, &original, &paths, profile.name().as_str());
                (Syntax::Go, text.to_owned(), proof)
            }
        };
        Ok(Self { profile, syntax, text, remarks, proof })
    }

    /// Returns the name of the template file.
    pub(super) fn template_file(&self) -> &'static str {
        match self.syntax {
            Syntax::Go => "claims.gotmpl",
            Syntax::Handlebars => "claims.hbs",
        }
    }
}
