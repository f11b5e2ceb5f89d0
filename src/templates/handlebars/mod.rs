//! Handlebars claims templates that no session value can break.
//!
//! A template is JSON text with expressions. When it is compiled, a JSON lexer runs over the literal text and binds
//! each expression to the writer of its position: a whole value is encoded, a part of a string or of a member name is
//! escaped. Brackets and member names come from the template alone, commas are placed by the writer, so the structure
//! of the result is the template's for every session.
//!
//! The handlebars crate parses; its renderer is never used. The engine reads no clock, environment or file.
//!
//! ```
//! use claimsmith::json::Json;
//! use claimsmith::session::SessionValues;
//! use claimsmith::templates::handlebars::{HandlebarsOptions, HandlebarsTemplate, Missing, Source};
//! use claimsmith::templates::{RenderInput, RenderLimits};
//! use claimsmith::time::Timestamp;
//!
//! let source = Source { name: "claims.hbs", text: r#"{"name": "{{Extra.name}}", "age": {{Extra.age}}}"# };
//! let options = HandlebarsOptions { missing: Missing::Error, audience_configured: false };
//! let template = HandlebarsTemplate::compile(source, &[], &options).unwrap();
//! let session = br#"{"name": "\",\"admin\":true", "age": 12345678901234567890}"#;
//! let extra = Json::parse(session, Default::default()).unwrap();
//! let values = SessionValues { extra, header: Json::Null, match_context: Json::Null };
//! let claims = template.render(
//!     &RenderInput::of_values("ann", &values, "id_token", Timestamp::from_seconds(0)),
//!     &RenderLimits::default(),
//! );
//! assert_eq!(claims.unwrap(), r#"{"name":"\",\"admin\":true","age":12345678901234567890}"#);
//! ```

mod blocks;
mod compile;
mod dropped;
mod encode;
mod expressions;
mod helpers;
mod hints;
mod lexer;
mod naming;
mod position;
mod program;
mod reads;
mod render;
mod scan;
#[cfg(test)]
mod tests;
mod value;
mod writer;

pub use helpers::{HelperDoc, helper_reference};

use program::{Op, Site};

use crate::session::Selection;

use super::{CompileError, RenderError, RenderInput, RenderLimits, Rendered, TemplateFault};

/// What a path that leads nowhere does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// The rendering fails and names the path.
    #[default]
    Error,
    /// A whole value becomes `null`, a part of a string nothing.
    AsNull,
    /// The member or array element that lacks it is left out; a string that lacks a part counts as lacking.
    Omit,
}

/// What a template is compiled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlebarsOptions {
    /// What missing paths do.
    pub missing: Missing,
    /// Whether the profile sets `aud`, so that the template may not.
    pub audience_configured: bool,
}

/// The text of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'t> {
    /// Its name as the user knows it, such as `templates/session/claims.hbs`.
    pub name: &'t str,
    /// Its text.
    pub text: &'t str,
}

/// A template that was compiled and found in order.
#[derive(Debug)]
pub struct HandlebarsTemplate {
    program: Vec<Op>,
    selection: Selection,
    missing: Missing,
    /// Name and text of the template and of the partials it uses, for the places of errors.
    sources: Vec<(String, String)>,
    warnings: Vec<TemplateFault>,
}

impl HandlebarsTemplate {
    /// Compiles `template`. `partials` are what it may use as `{{> name}}`, by name; those it does not use are not
    /// read.
    ///
    /// # Errors
    /// Every fault of the template and of the partials it uses.
    pub fn compile(
        template: Source<'_>,
        partials: &[(&str, Source<'_>)],
        options: &HandlebarsOptions,
    ) -> Result<Self, CompileError> {
        compile::compile(template, partials, options)
    }

    /// Faults that did not prevent its use.
    pub fn warnings(&self) -> &[TemplateFault] {
        &self.warnings
    }

    /// What it reads of a session.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Renders the template: the text of one JSON object. Member names that values made may come twice in it or be
    /// registered claims; whoever reads the text back checks that.
    ///
    /// # Errors
    /// The first of: a missing value, a value of a wrong type, a limit that was reached, a result that is no object.
    pub fn render(&self, input: &RenderInput<'_>, limits: &RenderLimits) -> Result<String, RenderError> {
        self.render_marked(input, limits).map(|rendered| rendered.text)
    }

    pub(super) fn render_marked(
        &self,
        input: &RenderInput<'_>,
        limits: &RenderLimits,
    ) -> Result<Rendered, RenderError> {
        render::Renderer::run(self, input, limits)
    }

    fn place(&self, error: RenderError, site: Site) -> RenderError {
        let (name, text) = self.sources.get(site.source as usize).map_or(("", ""), |(name, text)| (name, text));
        error.at(name, text, site.offset as usize)
    }
}
