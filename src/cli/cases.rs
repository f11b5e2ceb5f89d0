//! `render` and `test`: run templates before they are deployed.

use std::io::{self, BufRead, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::args::{Global, RenderArgs};
use super::output::{self, Failure};
use super::source::Source;
use crate::claims::PrivateClaims;
use crate::code::ErrorCode;
use crate::config::Config;
use crate::decision::{CaseContext, CaseResult, CheckCase};
use crate::json::{Json, NumberComparison, ReadLimits};
use crate::mint::Mint;
use crate::reload::{self, FileAccess, FileUse, Files};
use crate::session::Session;
use crate::sources::SourceLimits;
use crate::templates::{
    ClaimTemplate, CompileError, CompileOptions, Partial, RenderInput, RenderLimits, Syntax, TemplateText, differences,
};
use crate::time::{Clock as _, SystemClock};

/// Deeper than the limit of sessions, because a case contains a session, and claims can contain one too.
const CLAIMS_LIMITS: ReadLimits = ReadLimits { depth: 1024 };

pub(super) fn render(args: &RenderArgs, as_json: bool) -> Result<(), Failure> {
    let mut files = Files::new();
    let (template, partials) = match (&args.source.template, &args.source.text) {
        (Some(path), _) => {
            let text = files
                .read_text(path)
                .with_context(|| format!("cannot read the template {}{}", path.display(), template_hint(path)))?;
            (TemplateText { name: path.display().to_string(), text }, partials_beside(path)?)
        }
        (None, text) => {
            (TemplateText { name: "--text".to_owned(), text: text.clone().unwrap_or_default() }, Vec::new())
        }
    };
    let session = if args.session == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin()
            .take(FileUse::Session.most())
            .read_to_end(&mut bytes)
            .context("cannot read the session from standard input")?;
        bytes
    } else {
        let read = files.read(&args.session, FileUse::Session);
        read.with_context(|| format!("cannot read the session {}", args.session.display()))?
    };
    let attempt = Attempt {
        syntax: args.syntax.into(),
        template: &template,
        partials: &partials,
        options: CompileOptions { missing: args.missing.into(), ..CompileOptions::default() },
        profile: &args.profile,
        session: &session,
    };
    let result = attempt.claims();
    let as_compile_error = attempt.compile().is_err();
    match result {
        Ok(claims) if as_json => output::line(&claims.to_string()),
        Ok(claims) => output::line(&claims.to_pretty()),
        // The errors of a template have several lines each and include their codes.
        Err((code, message)) if message.contains('\n') && !as_json => {
            let heading = match as_compile_error {
                true => "the template cannot be used",
                false => "the template makes no claims of this session",
            };
            Err(Failure::Rejected(code, format!("{heading}\n{message}")))
        }
        Err((code, message)) => Err(Failure::Rejected(code, message)),
    }
}

/// Returns a hint if `path` is the directory or the name of a template.
fn template_hint(path: &Path) -> String {
    let candidates = [path.to_path_buf(), Path::new("templates").join(path)];
    let files =
        candidates.iter().flat_map(|directory| ["claims.hbs", "claims.gotmpl"].map(|file| directory.join(file)));
    files
        .filter(|file| file.is_file())
        .map(|file| format!(" (did you mean {}?)", file.display()))
        .next()
        .unwrap_or_default()
}

/// Reads the partials of a template: for `<templates>/<name>/claims.hbs`, they are in `<templates>/_partials`.
fn partials_beside(template: &Path) -> Result<Vec<Partial>, Failure> {
    match template.canonicalize().ok().and_then(|path| Some(path.parent()?.parent()?.join("_partials"))) {
        Some(folder) if folder.is_dir() => {
            reload::read_partials(&folder).map_err(|error| Failure::Lines(error.to_string()))
        }
        _ => Ok(Vec::new()),
    }
}

/// One template over one session.
struct Attempt<'a> {
    syntax: Syntax,
    template: &'a TemplateText,
    partials: &'a [Partial],
    options: CompileOptions,
    profile: &'a str,
    session: &'a [u8],
}

impl Attempt<'_> {
    fn compile(&self) -> Result<ClaimTemplate, CompileError> {
        ClaimTemplate::compile(self.syntax, self.template, self.partials, self.options)
    }

    fn claims(&self) -> Result<Json<'static>, (ErrorCode, String)> {
        let template = self.compile().map_err(|error| (error.code(), error.to_string()))?;
        let session =
            Session::parse(self.session, ReadLimits::default()).map_err(|error| (error.code(), error.to_string()))?;
        let values = session.values();
        let input = RenderInput::new(&session, &values, self.profile, SystemClock.now());
        let text = template.render(&input, &RenderLimits::default()).map_err(|error| {
            // The session is a local file, so its names can be shown.
            let error = error.with_names_of(&values);
            (error.code(), error.fault().map_or_else(|| error.to_string(), |fault| fault.to_string()))
        })?;
        // A Go template can set registered claims, because Oathkeeper overrides them.
        if self.syntax == Syntax::Go {
            return Json::parse(text.as_bytes(), CLAIMS_LIMITS)
                .map(Json::into_owned)
                .map_err(|error| (ErrorCode::ClaimsInvalid, error.to_string()));
        }
        let claims = PrivateClaims::parse(&text, None).map_err(|error| (error.code(), error.to_string()))?;
        Ok(claims.to_json())
    }
}

pub(super) fn test(files: &[PathBuf], global: &Global) -> Result<(), Failure> {
    let as_json = global.json;
    let mut checks = None;
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for file in files {
        let reader: Box<dyn BufRead> = if file == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            let read = FileAccess::default().read(file, FileUse::RecordedCases);
            Box::new(io::Cursor::new(
                read.with_context(|| format!("cannot read the recorded cases {}", file.display()))?,
            ))
        };
        for (index, line) in reader.split(b'\n').enumerate() {
            let line = line.with_context(|| format!("cannot read the recorded cases {}", file.display()))?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let place = format!("{}:{}", file.display(), index + 1);
            let outcome = match is_check_case(&line) {
                false => run_case(&line, &place),
                true => {
                    let (config, mint) = match &checks {
                        Some(loaded) => loaded,
                        None => checks.insert(Source::of(global, &[]).load()?),
                    };
                    run_check_case(&line, &place, config, mint)
                }
            };
            if outcome.differences.is_empty() {
                passed += 1;
            } else {
                failed += 1;
            }
            outcome.print(as_json)?;
        }
    }
    if !as_json {
        output::line(&format!("{passed} passed, {failed} failed"))?;
    }
    match (failed, as_json) {
        (0, _) => Ok(()),
        (_, false) => Err(Failure::Reported),
        (_, true) => Err(Failure::Rejected(
            ErrorCode::TemplateRecordedCase,
            format!("{failed} of {} cases failed", passed + failed),
        )),
    }
}

/// The result of one recorded case. It passed if there are no `differences`.
struct Outcome {
    id: Json<'static>,
    claims: Option<Json<'static>>,
    error: Option<(ErrorCode, String)>,
    differences: Vec<String>,
}

impl Outcome {
    fn unreadable(id: Json<'static>, place: &str, message: String) -> Self {
        let error = Some((ErrorCode::TemplateRecordedCase, format!("{place}: {message}")));
        Self { id, claims: None, differences: vec![message], error }
    }

    fn print(&self, as_json: bool) -> Result<(), Failure> {
        let is_pass = self.differences.is_empty();
        if as_json {
            let claims = self.claims.as_ref().map_or_else(|| "null".to_owned(), Json::to_string);
            let error = self
                .error
                .as_ref()
                .map_or_else(|| "null".to_owned(), |(code, message)| output::error_json(*code, message));
            return output::line(&format!(
                "{{\"id\":{},\"pass\":{is_pass},\"claims\":{claims},\"error\":{error}}}",
                self.id
            ));
        }
        if is_pass {
            return Ok(());
        }
        output::line(&format!("FAIL {}\n  {}", self.id, self.differences.join("\n  ")))
    }
}

/// Returns `true` if a case is one of a check.
fn is_check_case(line: &[u8]) -> bool {
    Json::parse(line, CLAIMS_LIMITS).is_ok_and(|case| case.member("check").is_some())
}

fn run_check_case(line: &[u8], place: &str, config: &Config, mint: &Mint) -> Outcome {
    let id = Json::parse(line, CLAIMS_LIMITS).ok().and_then(|case| Some(case.member("id")?.clone().into_owned()));
    let id = id.unwrap_or_else(|| Json::String(place.to_owned().into()));
    let limits = SourceLimits::new(config.limits.body, config.limits.depth);
    let context = CaseContext { mint, checks: &config.checks, sources: &config.sources, limits };
    match CheckCase::parse(line).and_then(|case| case.run(context)) {
        Ok(CaseResult { claims, denial, differences }) => Outcome { id, claims, error: denial, differences },
        Err(message) => Outcome::unreadable(id, place, message),
    }
}

fn run_case(line: &[u8], place: &str) -> Outcome {
    let unreadable = |id: Json<'static>, message: String| Outcome::unreadable(id, place, message);
    let nameless = || Json::String(place.to_owned().into());
    let case = match Json::parse(line, CLAIMS_LIMITS) {
        Ok(case) => case,
        Err(error) => {
            return unreadable(
                nameless(),
                format!(
                    "cannot read the case: {error}; a case is one line: {{\"id\", \"template\", \"session\", \"claims\"}}"
                ),
            );
        }
    };
    let id = case.member("id").map_or_else(nameless, |id| id.clone().into_owned());
    let Some(template) = case.member("template").and_then(Json::as_str) else {
        return unreadable(id, "expected the member `template`, a string".to_owned());
    };
    let syntax = match case.member("syntax").map(Json::as_str) {
        None | Some(Some("handlebars")) => Syntax::Handlebars,
        Some(Some("go")) => Syntax::Go,
        Some(_) => return unreadable(id, "expected `syntax` to be \"handlebars\" or \"go\"".to_owned()),
    };
    let Some(session) = case.member("session") else {
        return unreadable(id, "expected the member `session`".to_owned());
    };
    let Some(expected) = case.member("claims") else {
        return unreadable(id, "expected the member `claims`, an object, or null for a refusal".to_owned());
    };
    // Go decodes numbers as float64, so compare the claims of its templates as float64 too.
    let numbers = match syntax {
        Syntax::Go => NumberComparison::AsFloat64,
        Syntax::Handlebars => NumberComparison::Exact,
    };
    let source = TemplateText { name: id.as_str().unwrap_or(place).to_owned(), text: template.to_owned() };
    let session = session.to_string();
    let attempt = Attempt {
        syntax,
        template: &source,
        partials: &[],
        options: CompileOptions::default(),
        profile: "test",
        session: session.as_bytes(),
    };
    match (attempt.claims(), expected) {
        (Ok(claims), Json::Null) => {
            let differences = vec!["expected the case to be refused, found claims".to_owned()];
            Outcome { id, claims: Some(claims), error: None, differences }
        }
        (Ok(claims), expected) => {
            let differences = differences(expected, &claims, numbers);
            Outcome { id, claims: Some(claims), error: None, differences }
        }
        (Err(error), Json::Null) => Outcome { id, claims: None, error: Some(error), differences: Vec::new() },
        (Err((code, message)), _) => {
            let differences = vec![format!("expected claims, found: {message} [{code}]")];
            Outcome { id, claims: None, error: Some((code, message)), differences }
        }
    }
}
