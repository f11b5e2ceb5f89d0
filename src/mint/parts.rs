//! What a generation is built from.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::spec::ProfileSpec;
use crate::templates::{Partial, RecordedCase, RenderLimits, Syntax, TemplateText};

/// Everything that a generation is built from, as it was read.
#[derive(Default)]
pub struct GenerationParts {
    /// The profiles.
    pub profiles: Vec<ProfileSpec>,
    /// The JWK Sets, by the name that profiles use.
    pub key_sets: BTreeMap<String, Zeroizing<Vec<u8>>>,
    /// The templates, by name.
    pub templates: BTreeMap<String, TemplateFiles>,
    /// The partials of all templates.
    pub partials: Vec<Partial>,
    /// The limits of one rendering.
    pub limits: RenderLimits,
}

/// A template and the files beside it.
#[derive(Clone)]
pub struct TemplateFiles {
    /// Its language.
    pub syntax: Syntax,
    /// Its text.
    pub text: TemplateText,
    /// The JSON Schema of its claims.
    pub schema: Option<TemplateText>,
    /// Its recorded cases.
    pub cases: Vec<RecordedCase>,
}

/// A recorded case of a check, as it was read. `Debug` does not show its text.
#[derive(Clone)]
pub struct CheckCaseFile {
    /// The file.
    pub name: String,
    /// The template beside it.
    pub template: String,
    /// The text.
    pub text: Vec<u8>,
}
