//! Claims templates: text that becomes one JSON object over a session.
//!
//! [`ClaimTemplate`] is the one door. Behind it stand two engines, Handlebars for claimsmith's own templates and Go's
//! text/template for Oathkeeper's; both decide escaping by the JSON position, so no session value can change the
//! structure of a token. A template reads a [`RenderInput`] and nothing else: no file, no environment, no secret.

mod cases;
mod error;
pub mod go;
pub mod handlebars;
mod name;

pub(crate) use cases::differences;
pub use cases::{CaseFault, RecordedCase};
pub use error::{CompileError, LostMember, LostUsage, Place, RenderError, TemplateFault};
pub use handlebars::{HelperDoc, Missing, helper_reference};
pub use name::TemplateName;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use crate::claims::RegisteredClaim;
use crate::code::ErrorCode;
use crate::json::Json;
use crate::session::{Part, Selected, Selection, Session, SessionPath, SessionValues, Verbatim};
use crate::time::Timestamp;
use go::GoTemplate;
use handlebars::{HandlebarsOptions, HandlebarsTemplate, Source};

/// The language of a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// Go's text/template with the functions that Oathkeeper adds.
    Go,
    /// Handlebars, claimsmith's own.
    #[default]
    Handlebars,
}

/// A template as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateText {
    /// The name that errors use, usually the file.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A partial and the name that templates call it by.
#[derive(Clone, Debug)]
pub struct Partial {
    /// What stands in `{{> name}}`.
    pub name: String,
    /// Its text.
    pub source: TemplateText,
}

/// How a template is compiled for a profile.
#[derive(Clone, Copy, Debug)]
pub struct CompileOptions {
    /// What a missing value means.
    pub missing: Missing,
    /// Whether the profile sets `aud`, so that the template may not.
    pub audience_configured: bool,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self { missing: Missing::Error, audience_configured: false }
    }
}

/// A compiled template: everything that can be refused without a session has been.
#[derive(Debug)]
pub struct ClaimTemplate {
    engine: Engine,
    /// What the engine reads of a session, and what was added to it.
    selection: Selection,
}

#[derive(Debug)]
enum Engine {
    Go(GoTemplate),
    Handlebars(HandlebarsTemplate),
}

/// Rendered claims, not yet checked.
pub struct Rendered {
    text: String,
    /// What of the text was copied from a session as it stands: whole values that were read and found in order there.
    copied: Vec<Range<usize>>,
}

impl Rendered {
    /// The text of the claims.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where values stand in it that were copied from a session, which are in order.
    pub fn copied(&self) -> &[Range<usize>] {
        &self.copied
    }
}

impl fmt::Debug for Rendered {
    /// Says how long the claims are and nothing of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// What a template may read. The same input gives the same claims.
#[derive(Clone, Copy)]
pub struct RenderInput<'s> {
    /// The session that the values are of, for what can be copied from its text.
    session: Option<&'s Session<'s>>,
    /// The session's subject.
    pub subject: &'s str,
    /// `extra`: an object or null.
    pub extra: &'s Json<'s>,
    /// `header`: an object of arrays of strings, or null.
    pub header: &'s Json<'s>,
    /// `match_context`: an object or null, member names as on the wire.
    pub match_context: &'s Json<'s>,
    /// The name of the profile that a token is made for.
    pub profile: &'s str,
    /// The time now. Only Go templates can read it.
    pub now: Timestamp,
    stop: Option<&'s AtomicBool>,
}

/// What one rendering may cost.
#[derive(Clone, Copy, Debug)]
pub struct RenderLimits {
    /// Bytes of rendered claims.
    pub output_bytes: usize,
    /// Blocks, partials and values inside each other.
    pub depth: usize,
    /// Steps: an expression, an iteration, and each value a helper looks at count one.
    pub work: u64,
}

impl Default for RenderLimits {
    fn default() -> Self {
        Self { output_bytes: 64 * 1024, depth: 224, work: 100_000 }
    }
}

impl ClaimTemplate {
    /// Compiles `template`. Go templates know neither partials nor options: Oathkeeper has none.
    ///
    /// # Errors
    /// Every fault of the template and its partials that can be seen without a session.
    pub fn compile(
        syntax: Syntax,
        template: &TemplateText,
        partials: &[Partial],
        options: CompileOptions,
    ) -> Result<Self, CompileError> {
        let engine = match syntax {
            Syntax::Go => Engine::Go(GoTemplate::parse(&template.name, &template.text)?),
            Syntax::Handlebars => {
                let partials: Vec<(&str, Source<'_>)> =
                    partials.iter().map(|partial| (partial.name.as_str(), source(&partial.source))).collect();
                let options =
                    HandlebarsOptions { missing: options.missing, audience_configured: options.audience_configured };
                Engine::Handlebars(HandlebarsTemplate::compile(source(template), &partials, &options)?)
            }
        };
        let selection = match &engine {
            Engine::Go(template) => template.selection(),
            Engine::Handlebars(template) => template.selection(),
        };
        Ok(Self { selection: selection.clone(), engine })
    }

    /// Faults that did not prevent its use.
    pub fn warnings(&self) -> &[TemplateFault] {
        match &self.engine {
            Engine::Go(template) => template.warnings(),
            Engine::Handlebars(template) => template.warnings(),
        }
    }

    /// What has to be read of a session for it.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Lets `path` be read of a session as well, for somebody else than the template.
    pub fn select(&mut self, path: &SessionPath) {
        if !path.is_subject() {
            path.members().fold(Part::Extra.selected(), |place, name| self.selection.member(place, name));
        }
    }

    /// Whether the same session can give other claims at another time.
    pub fn reads_clock(&self) -> bool {
        match &self.engine {
            Engine::Go(template) => template.reads_clock(),
            Engine::Handlebars(_) => false,
        }
    }

    /// The registered claims, but `aud`, that the template's own text sets. A Handlebars template sets none, because it
    /// would not have compiled.
    pub fn registered_claims(&self) -> Vec<RegisteredClaim> {
        match &self.engine {
            Engine::Go(template) => template.registered_claims(),
            Engine::Handlebars(_) => Vec::new(),
        }
    }

    /// Returns `true` if `session` was read for this template, or whole. Selections are compared by address: every template
    /// has its own, which its sessions borrow.
    fn can_read(&self, session: &Session<'_>) -> bool {
        let selection = session.selection();
        std::ptr::eq(selection, &self.selection) || std::ptr::eq(selection, Selection::everything())
    }

    /// Renders the claims over `input`, as the text of one JSON value.
    ///
    /// # Errors
    /// [`RenderError`] with the place in the template and the path in the session, never with a value of it.
    pub fn render(&self, input: &RenderInput<'_>, limits: &RenderLimits) -> Result<String, RenderError> {
        self.render_marked(input, limits).map(|rendered| rendered.text)
    }

    /// As [`ClaimTemplate::render`], with marks on what was copied from the session.
    ///
    /// # Errors
    /// The same.
    pub fn render_marked(&self, input: &RenderInput<'_>, limits: &RenderLimits) -> Result<Rendered, RenderError> {
        // A member that another selection left out would look absent, and a condition on it would sign wrong claims.
        // `mint::IssueRequest` prevents this, but callers of this public function can bypass it. So the check also runs in
        // release builds: it compares two addresses, and fails closed.
        if input.session.is_some_and(|session| !self.can_read(session)) {
            let message = "expected a session that was read for this template, found one that was read for another";
            return Err(RenderError::new(ErrorCode::Internal, message));
        }
        match &self.engine {
            Engine::Go(template) => template.render(input, limits).map(|text| Rendered { text, copied: Vec::new() }),
            Engine::Handlebars(template) => template.render_marked(input, limits),
        }
    }
}

impl<'s> RenderInput<'s> {
    /// What a template sees of `session`, whose `values` these are.
    pub fn new(session: &'s Session<'_>, values: &'s SessionValues<'_>, profile: &'s str, now: Timestamp) -> Self {
        Self { session: Some(session), ..Self::of_values(session.subject(), values, profile, now) }
    }

    /// What a template sees of values that are of no session.
    pub fn of_values(subject: &'s str, values: &'s SessionValues<'_>, profile: &'s str, now: Timestamp) -> Self {
        let SessionValues { extra, header, match_context } = values;
        Self { session: None, subject, extra, header, match_context, profile, now, stop: None }
    }

    /// The same input for a rendering that ends with an error when another thread sets `stop`.
    #[must_use]
    pub fn until(self, stop: Option<&'s AtomicBool>) -> Self {
        Self { stop, ..self }
    }

    fn verbatim(&self, selected: Selected) -> Option<Verbatim<'s>> {
        self.session.and_then(|session| session.verbatim(selected))
    }
}

fn source(text: &TemplateText) -> Source<'_> {
    Source { name: &text.name, text: &text.text }
}

impl fmt::Debug for RenderInput<'_> {
    /// Names the profile and nothing of the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderInput").field("profile", &self.profile).finish_non_exhaustive()
    }
}
