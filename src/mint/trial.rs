//! Trials of templates and settings that are not served: the claims of a session, and the errors.
//!
//! A trial never signs. It returns the header and the claims of a token, but no token.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::identity::ProfileIdentity;
use super::parts::{CheckCaseFile, TemplateFiles};
use super::profile::Profile;
use super::request::IssueRequest;
use super::spec::ProfileSpec;
use super::token::{Draft, IssueError};
use super::{Mint, complete};
use crate::claims::{ClaimsSet, JwtId, PrivateClaims, RegisteredClaim};
use crate::code::ErrorCode;
use crate::json::{JsonError, ReadLimits, Reader};
use crate::session::{Session, SessionError};
use crate::templates::go::{Conversion, GoTemplate};
use crate::templates::{
    ClaimTemplate, CompileError, CompileOptions, Partial, Place, Syntax, TemplateFault, TemplateText,
};
use crate::time::Timestamp;

/// The template texts of a generation.
#[derive(Default)]
pub struct TemplateSources {
    /// The templates, by name.
    pub templates: BTreeMap<String, TemplateFiles>,
    /// The partials of all templates.
    pub partials: Vec<Partial>,
    /// The recorded cases of checks.
    pub check_cases: Vec<CheckCaseFile>,
}

/// A template and settings to try on a session.
#[derive(Clone, Copy)]
pub struct Trial<'t> {
    /// The settings.
    pub spec: &'t ProfileSpec,
    /// The language of the template.
    pub syntax: Syntax,
    /// The template.
    pub template: &'t str,
    /// The partials that it can call.
    pub partials: &'t [Partial],
    /// The session, as a gateway posts it.
    pub session: &'t str,
    /// The size limit of a session, in bytes.
    pub session_bytes: usize,
    /// The limits for reading the session.
    pub read_limits: ReadLimits,
    /// Set by another thread when nobody waits for the trial any longer.
    pub stop: Option<&'t AtomicBool>,
}

/// The result of a trial.
#[derive(Debug, Default)]
pub struct Tried {
    /// The claims that the template renders, if it renders any.
    pub claims: Option<PrivateClaims>,
    /// The registered claims that the template set and that a token overrides.
    pub overridden: Vec<RegisteredClaim>,
    /// The token, unsigned.
    pub token: Option<UnsignedToken>,
    /// The faults, in the order of each text.
    pub faults: Vec<TrialFault>,
}

/// A token before it is signed.
pub struct UnsignedToken {
    /// The header, as JSON text.
    pub header: String,
    /// The payload.
    pub claims: ClaimsSet,
    /// The size of the signed token, in bytes.
    pub bytes: usize,
}

/// A fault in a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialFault {
    /// The stable code.
    pub code: ErrorCode,
    /// The part that has the fault.
    pub part: TrialPart,
    /// Line and column in that part's text, in characters, from 1.
    pub place: Option<(usize, usize)>,
    /// The partial that has the fault, if it is not the template itself.
    pub partial: Option<String>,
    /// The expected and the found content, without values of the session.
    pub message: String,
    /// A suggested fix, if there is one.
    pub help: Option<String>,
}

/// The part of a trial that has a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialPart {
    /// The text of the session.
    Session,
    /// The template, or its output for this session.
    Template,
    /// The token as a whole: no subject, no lifetime left, no key.
    Token,
}

/// The size limit of a template in a trial. Template files can be larger, but these come from clients.
const TEMPLATE_BYTES: usize = 64 * 1024;

/// The name of the tried template in faults.
const TRIAL_TEMPLATE: &str = "template";

impl Mint {
    /// Runs `trial` at `now` with the keys and schema of `profile`. The limits are those of this generation; `jwt_id`
    /// returns the `jti`.
    pub fn try_out(
        &self,
        profile: &Profile,
        trial: &Trial<'_>,
        now: Timestamp,
        jwt_id: impl FnOnce() -> JwtId,
    ) -> Tried {
        let mut tried = Tried::default();
        let tried_profile = match trial.compile() {
            Ok(template) => Some(Profile {
                spec: trial.spec.clone(),
                keys: Arc::clone(&profile.keys),
                template: Arc::new(template),
                schema: None,
                recorded_schema: None,
                identity: ProfileIdentity::of_trial(),
            }),
            Err(faults) => {
                tried.faults = faults;
                None
            }
        };
        let Some(tried_profile) = &tried_profile else {
            // The session can be checked even if the template does not compile.
            if let Err(fault) = trial.check_session() {
                tried.faults.push(fault);
            }
            return tried;
        };
        let request = match trial.read_session(tried_profile) {
            Ok(request) => request,
            Err(fault) => {
                tried.faults.push(fault);
                return tried;
            }
        };
        let rendered = match self.render_until(&request, now, trial.stop) {
            Ok(rendered) => rendered,
            Err(error) => {
                tried.faults.push(TrialFault::of_issue(&trial.with_names(error)));
                return tried;
            }
        };
        tried.claims = Some(rendered.claims.clone());
        tried.overridden.clone_from(&rendered.overridden);
        // A reload validates the claims of recorded cases against this schema, too.
        if let Some(Err(error)) = profile.recorded_schema.as_ref().map(|schema| schema.check(&rendered.claims)) {
            tried.faults.push(TrialFault::of_issue(&IssueError::Schema(error)));
        }
        match self.token_params(&request, now) {
            Ok(params) => {
                let Draft { signer, typ, claims, .. } = complete(&request, params, rendered, jwt_id());
                if let Err(error) = claims.check_length(self.limits.output_bytes) {
                    tried.faults.push(TrialFault::of_issue(&IssueError::Claims(error)));
                    return tried;
                }
                let (header, bytes) = (signer.header(&typ), signer.token_length(&claims, &typ));
                tried.token = Some(UnsignedToken { header, claims, bytes });
            }
            Err(error) => tried.faults.push(TrialFault::of_issue(&error)),
        }
        tried
    }
}

impl Trial<'_> {
    fn compile(&self) -> Result<ClaimTemplate, Vec<TrialFault>> {
        check_size(self.template).map_err(|fault| vec![fault])?;
        let text = TemplateText { name: TRIAL_TEMPLATE.to_owned(), text: self.template.to_owned() };
        let options = CompileOptions { missing: self.spec.missing, audience_configured: self.spec.audience.is_some() };
        let mut template =
            ClaimTemplate::compile(self.syntax, &text, self.partials, options).map_err(|error| faults_of(&error))?;
        self.spec.reads().for_each(|path| template.select(path));
        Ok(template)
    }

    fn read_session<'s>(&'s self, profile: &'s Profile) -> Result<IssueRequest<'s>, TrialFault> {
        self.check_size()?;
        IssueRequest::posted(profile, self.session.as_bytes(), self.read_limits)
            .map(|(request, _)| request)
            .map_err(|error| TrialFault::of_session(&error, self.session))
    }

    /// Returns `error` with the nearest name of the session: the client of a trial sent the session to see such errors.
    fn with_names(&self, error: IssueError) -> IssueError {
        match (error, Session::parse(self.session.as_bytes(), self.read_limits)) {
            (IssueError::Render(error), Ok(session)) => IssueError::Render(error.with_names_of(&session.values())),
            (error, _) => error,
        }
    }

    fn check_session(&self) -> Result<(), TrialFault> {
        self.check_size()?;
        Session::parse(self.session.as_bytes(), self.read_limits)
            .map(drop)
            .map_err(|error| TrialFault::of_session(&error, self.session))
    }

    fn check_size(&self) -> Result<(), TrialFault> {
        if self.session.len() <= self.session_bytes {
            return Ok(());
        }
        let message =
            format!("expected a session of at most {} bytes (limits.body), found a larger one", self.session_bytes);
        Err(TrialFault::new(ErrorCode::RequestBodyTooLarge, TrialPart::Session, message))
    }
}

/// Converts the Go template `text` to Handlebars, for a profile with `missing: as_null`. Expressions without a valid
/// Handlebars form are left out, with a remark.
///
/// # Errors
/// Returns the faults of the Go template.
pub fn try_conversion(text: &str) -> Result<Conversion, Vec<TrialFault>> {
    check_size(text).map_err(|fault| vec![fault])?;
    let template = GoTemplate::parse(TRIAL_TEMPLATE, text).map_err(|error| faults_of(&error))?;
    let mut conversion = template.to_handlebars();
    conversion.compile(TRIAL_TEMPLATE);
    Ok(conversion)
}

fn faults_of(error: &CompileError) -> Vec<TrialFault> {
    error.faults().iter().map(TrialFault::from).collect()
}

fn check_size(template: &str) -> Result<(), TrialFault> {
    if template.len() <= TEMPLATE_BYTES {
        return Ok(());
    }
    let message = format!("expected a template of at most {TEMPLATE_BYTES} bytes here, found a larger one");
    Err(TrialFault::new(ErrorCode::TemplateLimit, TrialPart::Template, message))
}

impl TrialFault {
    fn new(code: ErrorCode, part: TrialPart, message: impl Into<String>) -> Self {
        Self { code, part, place: None, partial: None, message: message.into(), help: None }
    }

    fn at(mut self, place: &Place) -> Self {
        self.place = Some((place.line, place.column));
        self.partial = (place.template != TRIAL_TEMPLATE).then(|| place.template.clone());
        self
    }

    fn of_issue(error: &IssueError) -> Self {
        match error {
            IssueError::Render(error) => {
                let mut fault = Self::new(error.code(), TrialPart::Template, error.message());
                fault.help = error.advice().map(str::to_owned);
                error.place().map_or_else(|| fault.clone(), |place| fault.clone().at(place))
            }
            IssueError::Claims(_) => Self::new(error.code(), TrialPart::Template, error.to_string()),
            IssueError::EmptySubject { .. }
            | IssueError::Lifetime(_)
            | IssueError::NoSigner(_)
            | IssueError::Schema(_)
            | IssueError::Sign(_) => Self::new(error.code(), TrialPart::Token, error.to_string()),
        }
    }

    /// Returns the fault for `error`, with its position in the session `text`.
    fn of_session(error: &SessionError, text: &str) -> Self {
        let offset = match error {
            SessionError::Json(error) => Some(error.offset()),
            SessionError::DuplicateMember { member } => members_at(member, text).get(1).copied(),
            SessionError::WrongType { path, .. } => members_at(path, text).first().copied(),
            SessionError::MissingMember { .. } | SessionError::Unwrapped => None,
        };
        let mut message = error.to_string();
        if let SessionError::Json(error) = error {
            // `place` has the position, in characters instead of bytes.
            let place = format!(" (line {}, column {})", error.line(), error.column());
            message.truncate(message.strip_suffix(&place).unwrap_or(&message).len());
        }
        let fault = Self::new(error.code(), TrialPart::Session, message);
        fault.at(&Place::of(TRIAL_TEMPLATE, text, offset.unwrap_or_default()))
    }
}

/// Returns the offsets of the members at the dotted `path` of the JSON object `text`, in any letter case.
fn members_at(path: &str, text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    // A syntax error further on is reported elsewhere.
    let _ = find_members(&mut Reader::of_text(text, ReadLimits::default()), 0, path, &mut found);
    found
}

fn find_members(reader: &mut Reader<'_>, depth: usize, path: &str, found: &mut Vec<usize>) -> Result<(), JsonError> {
    let (name, below) = path.split_once('.').map_or((path, None), |(name, below)| (name, Some(below)));
    reader.members(depth, |reader, member, start| {
        if member.eq_ignore_ascii_case(name) {
            match below {
                None => found.push(start),
                Some(below) if reader.peek() == Some(b'{') => return find_members(reader, depth + 1, below, found),
                Some(_) => {}
            }
        }
        reader.skip(depth + 1).map(drop)
    })
}

impl From<&TemplateFault> for TrialFault {
    fn from(fault: &TemplateFault) -> Self {
        let trial = Self::new(fault.code, TrialPart::Template, &fault.message).at(&fault.place);
        Self { help: fault.help.clone(), ..trial }
    }
}

impl fmt::Debug for TemplateSources {
    /// Shows the numbers of templates and partials, and none of their text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (templates, partials) = (self.templates.len(), self.partials.len());
        f.debug_struct("TemplateSources").field("templates", &templates).field("partials", &partials).finish()
    }
}

impl fmt::Debug for Trial<'_> {
    /// Shows only the name of the profile.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("profile", &self.spec.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for UnsignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsignedToken").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
