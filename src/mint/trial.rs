//! Tries templates and settings that are not served: what they would make of a session, and what is wrong with them.
//! Nothing is ever signed here: what comes out is what a token would say, and no token.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::identity::ProfileIdentity;
use super::parts::TemplateFiles;
use super::profile::{Profile, ProfileSpec};
use super::request::IssueRequest;
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

/// The texts that the templates of a generation were made of.
pub struct TemplateSources {
    /// The templates, by name.
    pub templates: BTreeMap<String, TemplateFiles>,
    /// The partials of all templates.
    pub partials: Vec<Partial>,
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
    /// The partials that it may call.
    pub partials: &'t [Partial],
    /// The session, as a gateway would send it.
    pub session: &'t str,
    /// The most bytes of a session.
    pub session_bytes: usize,
    /// How deep it may nest.
    pub read_limits: ReadLimits,
}

/// What came of a trial.
#[derive(Debug, Default)]
pub struct Tried {
    /// What the template makes of the session, where it makes claims at all.
    pub claims: Option<PrivateClaims>,
    /// The registered claims that the template set and that are claimsmith's own in a token.
    pub overridden: Vec<RegisteredClaim>,
    /// What a token would say.
    pub token: Option<UnsignedToken>,
    /// What is wrong, in the order of each text.
    pub faults: Vec<TrialFault>,
}

/// What a token would say if it were signed.
pub struct UnsignedToken {
    /// The header, as JSON text.
    pub header: String,
    /// The payload.
    pub claims: ClaimsSet,
    /// How many bytes the signed token would have.
    pub bytes: usize,
}

/// One thing that is wrong with what was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialFault {
    /// The stable code.
    pub code: ErrorCode,
    /// What it is a fault of.
    pub part: TrialPart,
    /// Line and column in that part's text, in characters, from 1.
    pub place: Option<(usize, usize)>,
    /// The partial that it stands in, if it is not the template itself.
    pub partial: Option<String>,
    /// What was expected and what was found; no value of the session.
    pub message: String,
    /// What to write instead, where that can be said.
    pub help: Option<String>,
}

/// What a fault is a fault of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialPart {
    /// The session's text.
    Session,
    /// The template, or what it makes of this session.
    Template,
    /// The token as a whole: no subject, no life left, no key.
    Token,
}

/// The largest template that can be tried. Those of files may be larger; these come from whoever asks.
const TEMPLATE_BYTES: usize = 64 * 1024;

/// What faults call the template that is tried.
const TRIAL_TEMPLATE: &str = "template";

impl Mint {
    /// Tries `trial` at `now` as if it were of `profile`, with the limits of this generation; `jwt_id` makes the `jti`.
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
            // The template cannot be read, but the session can still be checked.
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
        let rendered = match self.render(&request, now) {
            Ok(rendered) => rendered,
            Err(error) => {
                tried.faults.push(TrialFault::of_issue(&error));
                return tried;
            }
        };
        tried.claims = Some(rendered.claims.clone());
        tried.overridden.clone_from(&rendered.overridden);
        // A reload does the same for the claims of recorded cases.
        if let Some(Err(error)) = profile.recorded_schema.as_ref().map(|schema| schema.check(&rendered.claims)) {
            tried.faults.push(TrialFault::of_issue(&IssueError::Schema(error)));
        }
        match self.token_params(&request, now) {
            Ok(params) => {
                let Draft { signer, typ, claims, .. } = complete(&request, params, rendered, jwt_id());
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
            ClaimTemplate::compile(self.syntax, &text, self.partials, options).map_err(|error| told(&error))?;
        self.spec.reads().for_each(|path| template.select(path));
        Ok(template)
    }

    fn read_session<'s>(&'s self, profile: &'s Profile) -> Result<IssueRequest<'s>, TrialFault> {
        self.check_size()?;
        IssueRequest::posted(profile, self.session.as_bytes(), self.read_limits)
            .map(|(request, _)| request)
            .map_err(|error| TrialFault::of_session(&error, self.session))
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

/// Converts the Go template `text` to Handlebars, for a profile with `missing: as_null`; a form that would be refused is
/// left out, with a remark.
///
/// # Errors
/// What is wrong with the Go template itself.
pub fn try_conversion(text: &str) -> Result<Conversion, Vec<TrialFault>> {
    check_size(text).map_err(|fault| vec![fault])?;
    let template = GoTemplate::parse(TRIAL_TEMPLATE, text).map_err(|error| told(&error))?;
    let mut conversion = template.to_handlebars();
    conversion.compile(TRIAL_TEMPLATE);
    Ok(conversion)
}

fn told(error: &CompileError) -> Vec<TrialFault> {
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
                let fault = Self::new(error.code(), TrialPart::Template, error.message());
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

    /// The fault `error` of the session `text`, where it stands there.
    fn of_session(error: &SessionError, text: &str) -> Self {
        let offset = match error {
            SessionError::Json(error) => Some(error.offset()),
            SessionError::DuplicateMember { member } => members_at(member, text).get(1).copied(),
            SessionError::WrongType { path, .. } => members_at(path, text).first().copied(),
            SessionError::MissingMember { .. } => None,
        };
        let mut message = error.to_string();
        if let SessionError::Json(error) = error {
            // The place is told apart, and in characters.
            let place = format!(" (line {}, column {})", error.line(), error.column());
            message.truncate(message.strip_suffix(&place).unwrap_or(&message).len());
        }
        let fault = Self::new(error.code(), TrialPart::Session, message);
        fault.at(&Place::of(TRIAL_TEMPLATE, text, offset.unwrap_or_default()))
    }
}

/// Where the members of the JSON object `text` start that stand at the dotted `path`, in any letter case.
fn members_at(path: &str, text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    // What is wrong further on is told elsewhere.
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
        let told = Self::new(fault.code, TrialPart::Template, &fault.message).at(&fault.place);
        Self { help: fault.help.clone(), ..told }
    }
}

impl fmt::Debug for TemplateSources {
    /// Says how many there are and nothing of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (templates, partials) = (self.templates.len(), self.partials.len());
        f.debug_struct("TemplateSources").field("templates", &templates).field("partials", &partials).finish()
    }
}

impl fmt::Debug for Trial<'_> {
    /// Names the profile and nothing of what is tried.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("profile", &self.spec.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for UnsignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsignedToken").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
