//! Oathkeeper's claims templates: Go's `text/template` with Oathkeeper's `print` and `printIndex` and sprig's data
//! functions.
//!
//! The engine is our own because no crate implements Go's dialect of templates, URLs, dates and numbers, and none
//! escapes by the position in the JSON output, so that no session value can change the structure of the claims.
//!
//! If Go renders JSON and no session value breaks out of its position, the claims are Go's. If a quote or a newline in
//! a value would break the JSON, the claims contain the value unchanged. Functions that read anything but the session
//! (environment, network, randomness, keys) are rejected when the template is parsed. Nothing here reads a clock.

mod ast;
mod context;
mod convert;
mod dates;
mod decode;
mod dropped;
mod exec;
mod fields;
mod floats;
mod funcs;
mod lex;
mod lost;
mod names;
mod numbers;
mod outline;
mod output;
mod parse;
mod print;
mod printf;
mod quoting;
mod reads;
mod text;
mod urls;
mod value;
mod versions;
mod writer;

#[cfg(test)]
mod tests;

pub use convert::{Conversion, Remark, RemarkKind};

use super::{CompileError, RenderError, RenderInput, RenderLimits, TemplateFault};
use crate::code::ErrorCode;
use crate::json::Json;
use crate::session::{Selection, kratos_names};

/// The most faults that are shown.
const FAULTS: usize = 100;

/// A Go template that was read without faults.
#[derive(Debug)]
pub struct GoTemplate {
    name: String,
    text: String,
    tree: ast::Tree,
    reads: reads::Reads,
    warnings: Vec<TemplateFault>,
}

/// Returns help if the action at the byte `at` is Handlebars.
fn handlebars_hint(text: &str, at: usize) -> Option<&'static str> {
    const ROOTS: [&str; 5] = ["Subject", "Extra", "Header", "MatchContext", "Profile"];
    let end = text.len().min(at + 2);
    let start = text.get(..end)?.rfind("{{")?;
    let inner = text.get(start + 2..)?.trim_start_matches(['-', '~']).trim_start();
    let word = inner.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let is_handlebars = inner.starts_with(['#', '>', '!', '{']) || inner.starts_with('/') && !inner.starts_with("/*");
    (is_handlebars || ROOTS.contains(&word)).then_some(
        "this is Handlebars, and the file is a Go template: write {{ .Extra.name }}, or call the file claims.hbs (or use \
         `--syntax handlebars`)",
    )
}

impl GoTemplate {
    /// Reads the template `text`; `name` is what errors call it.
    ///
    /// # Errors
    /// Every fault that can be seen without a session, the first hundred of them: what Go's parser refuses
    /// ([`ErrorCode::TemplateSyntax`]), functions that do not exist ([`ErrorCode::TemplateHelper`]), and functions that
    /// are refused by name ([`ErrorCode::TemplateRefused`]).
    pub fn parse(name: &str, text: &str) -> Result<Self, CompileError> {
        match parse::parse(text) {
            Ok(tree) => {
                let reads = reads::of(&tree);
                let warning = |at: usize, message: &str, help: &str| {
                    TemplateFault::new(ErrorCode::TemplateHelper, name, text, at, message).help(help)
                };
                let impossible = reads.impossible.iter().map(|path| warning(path.at, &path.message, &path.help));
                let dropped = dropped::of(&tree);
                let dropped = dropped.iter().map(|dropped| warning(dropped.at, &dropped.message, &dropped.help));
                let warnings = impossible.chain(dropped).take(FAULTS).collect();
                Ok(Self { name: name.to_owned(), text: text.to_owned(), tree, reads, warnings })
            }
            Err(faults) => {
                let mut faults = faults.into_iter().take(FAULTS).map(|fault| {
                    let described = TemplateFault::new(fault.code, name, text, fault.at, fault.message);
                    match handlebars_hint(text, fault.at).map(str::to_owned).or(fault.help) {
                        Some(help) => described.help(help),
                        None => described,
                    }
                });
                let unknown = || TemplateFault::new(ErrorCode::TemplateSyntax, name, text, 0, "cannot be read");
                let first = faults.next().unwrap_or_else(unknown);
                Err(CompileError::new(first, faults.collect()))
            }
        }
    }

    /// Paths in it that no session has, and tests that leave values out.
    pub fn warnings(&self) -> &[TemplateFault] {
        &self.warnings
    }

    /// What it reads of a session.
    pub fn selection(&self) -> &Selection {
        &self.reads.selection
    }

    /// Whether its claims depend on the time.
    pub fn reads_clock(&self) -> bool {
        self.reads.clock
    }

    fn described(&self, problem: context::Problem, at: usize) -> RenderError {
        let context::Problem { code, message, help, lost } = problem;
        let error = RenderError::new(code, message).at(&self.name, &self.text, at);
        let error = help.into_iter().fold(error, RenderError::help);
        match lost {
            Some(lost) => {
                let path = lost.session_path().unwrap_or_default();
                error.help(lost.help(kratos_names(&path).iter().copied())).lost(*lost)
            }
            None => error,
        }
    }

    /// Renders over a session: the JSON text of one object without duplicate names.
    ///
    /// # Errors
    /// What Go's execution refuses, a value that cannot stand where the template puts it, output that is no JSON object
    /// ([`ErrorCode::ClaimsInvalid`], [`ErrorCode::ClaimsNotAnObject`]), and whatever passes `limits`
    /// ([`ErrorCode::TemplateLimit`]).
    pub fn render(&self, input: &RenderInput<'_>, limits: &RenderLimits) -> Result<String, RenderError> {
        let output = exec::run(&self.tree, input, limits).map_err(|(problem, at)| self.described(problem, at))?;
        let claims = decode::decode_output(&output, limits.depth).map_err(|fault| {
            let message = match fault.code {
                ErrorCode::ClaimsDuplicateMember => format!("expected distinct member names, found {}", fault.found),
                _ => format!("expected the rendered claims to be JSON, found {} at byte {}", fault.found, fault.at),
            };
            RenderError::new(fault.code, message)
        })?;
        if !matches!(claims, Json::Object(_)) {
            let message = format!("expected the rendered claims to be an object, found {}", claims.kind());
            return Err(RenderError::new(ErrorCode::ClaimsNotAnObject, message));
        }
        let claims = claims.to_string();
        if claims.len() > limits.output_bytes {
            let message = format!("expected at most {} bytes of claims, found more", limits.output_bytes);
            return Err(RenderError::new(ErrorCode::TemplateLimit, message));
        }
        Ok(claims)
    }
}
