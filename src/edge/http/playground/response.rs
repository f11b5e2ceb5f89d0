//! The JSON bodies that the playground's page receives. They contain claims as text, so that browsers do not round
//! numbers.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::request::InvalidSetting;
use crate::json::{Json, ReadLimits, write_string};
use crate::mint::{Profile, TemplateFiles, TrialFault, TrialPart, Tried};
use crate::service::ServedGeneration;
use crate::sources::{Resolution, Source};
use crate::templates::go::{Conversion, RemarkKind};
use crate::templates::{Missing, RecordedCase, Syntax};
use crate::time::{Timestamp, Ttl};

/// The maximum number of samples of one template, and the maximum size of all samples. Samples are recorded cases.
const SAMPLES: usize = 100;
const SAMPLE_BYTES: usize = 4 << 20;

/// Returns every profile with its settings, and every template of these profiles with its recorded sessions.
pub(super) fn profiles(generation: &ServedGeneration, has_sources: bool, now: Timestamp) -> String {
    let profiles: Vec<Value> = generation.mint.profiles().map(|profile| of_profile(profile, now)).collect();
    let sources = generation.sources.as_deref();
    let names: BTreeSet<&str> = generation.mint.profiles().map(|profile| profile.spec().template.as_str()).collect();
    let files = names.into_iter().filter_map(|name| Some((name, sources?.templates.get(name)?)));
    let mut room = SAMPLE_BYTES;
    let templates: Map<String, Value> =
        files.map(|(name, files)| (name.to_owned(), of_template(files, &mut room))).collect();
    let partials = sources.iter().flat_map(|sources| &sources.partials).map(|partial| partial.name.as_str());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "profiles": profiles,
        "templates": templates,
        "partials": partials.collect::<Vec<_>>(),
        "sources": generation.session_sources.iter().filter(|_| has_sources).map(Source::name).collect::<Vec<_>>(),
    })
    .to_string()
}

fn of_profile(profile: &Profile, now: Timestamp) -> Value {
    let spec = profile.spec();
    let signer = profile.keys().signer(now, spec.alg).ok();
    json!({
        "name": spec.name.as_str(),
        "template": spec.template.as_str(),
        "issuer": spec.issuer.as_str(),
        "ttl": go_duration(spec.ttl),
        "audience": spec.audience.as_ref().map(|audience| audience.names()).unwrap_or_default(),
        "missing": match spec.missing {
            Missing::AsNull => "as_null",
            Missing::Error => "error",
            Missing::Omit => "omit",
        },
        "alg": signer.map(|key| key.alg().as_str()),
        "kid": signer.map(|key| key.kid().as_str()),
    })
}

/// Returns a template with as many of its recorded sessions as `room` permits, and the number of omitted sessions.
fn of_template(files: &TemplateFiles, room: &mut usize) -> Value {
    let mut samples = Vec::new();
    for case in &files.cases {
        if let Ok(session) = std::str::from_utf8(&case.session)
            && samples.len() < SAMPLES
            && session.len() <= *room
        {
            *room -= session.len();
            samples.push(json!({"name": sample_name(case), "session": session}));
        }
    }
    json!({
        "syntax": match files.syntax {
            Syntax::Go => "go",
            Syntax::Handlebars => "handlebars",
        },
        "text": files.text.text,
        "left_out": files.cases.len() - samples.len(),
        "samples": samples,
    })
}

/// Returns the name of a sample, such as `kratos` for `templates/session/kratos.session.json`.
fn sample_name(case: &RecordedCase) -> &str {
    let file = case.name.rsplit(['/', '\\']).next().unwrap_or(&case.name);
    file.strip_suffix(".session.json").unwrap_or(file)
}

/// Returns a duration in Go's notation, such as `1h30m` for 5400 seconds.
fn go_duration(ttl: Ttl) -> String {
    let seconds = ttl.seconds();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect()
}

/// Returns the result of a trial.
pub(super) fn tried(tried: &Tried, invalid: &[InvalidSetting]) -> String {
    let settings = invalid.iter().map(|setting| json!({"setting": setting.setting, "message": setting.message}));
    // With an invalid setting, the token would not have the requested settings.
    let token = tried.token.as_ref().filter(|_| invalid.is_empty()).map(|token| {
        json!({
            "header": pretty(&token.header),
            "claims": pretty(token.claims.as_str()),
            "bytes": token.bytes,
        })
    });
    json!({
        "claims": tried.claims.as_ref().map(|claims| pretty(claims.as_str())),
        "overridden": tried.overridden.iter().map(|claim| claim.name()).collect::<Vec<_>>(),
        "token": token,
        "faults": tried.faults.iter().map(fault).collect::<Vec<_>>(),
        "settings": settings.collect::<Vec<_>>(),
    })
    .to_string()
}

/// Returns what a source says about a credential. A session is in the form in which a gateway posts it.
pub(super) fn resolved(resolution: &Resolution) -> String {
    let session = match resolution {
        Resolution::Session(session) => {
            let mut text = String::from("{\"subject\":");
            write_string(&session.subject, &mut text);
            text.push_str(",\"extra\":");
            text.push_str(&session.extra);
            text.push('}');
            Some(pretty(&text))
        }
        _ => None,
    };
    let (reason, message) = match resolution {
        Resolution::NoSession(rejection) => (Some(rejection.as_str()), None),
        Resolution::Unavailable(unavailable) => (None, Some(unavailable.message.as_str())),
        Resolution::RateLimited(_) | Resolution::Session(_) | Resolution::StepUp(_) => (None, None),
    };
    let result = resolution.result().as_str();
    json!({"result": result, "reason": reason, "message": message, "session": session}).to_string()
}

/// Returns the result of a conversion.
pub(super) fn converted(conversion: Result<Conversion, Vec<TrialFault>>) -> String {
    let (handlebars, remarks, faults) = match conversion {
        Ok(Conversion { handlebars, remarks }) => (handlebars, remarks, Vec::new()),
        Err(faults) => (None, Vec::new(), faults),
    };
    let kind = |kind: RemarkKind| match kind {
        RemarkKind::Changed => "changed",
        RemarkKind::Trap => "trap",
        RemarkKind::Unconvertible => "unconvertible",
    };
    let remarks =
        remarks.iter().map(|remark| json!({"kind": kind(remark.kind), "line": remark.line, "message": remark.message}));
    json!({
        "handlebars": handlebars.as_ref().map(|text| format!("{}\n", text.trim_end())),
        "remarks": remarks.collect::<Vec<_>>(),
        "faults": faults.iter().map(fault).collect::<Vec<_>>(),
    })
    .to_string()
}

fn fault(fault: &TrialFault) -> Value {
    json!({
        "code": fault.code.as_str(),
        "part": match fault.part {
            TrialPart::Session => "session",
            TrialPart::Template => "template",
            TrialPart::Token => "token",
        },
        "line": fault.place.map(|(line, _)| line),
        "column": fault.place.map(|(_, column)| column),
        "partial": fault.partial,
        "message": fault.message,
        "help": fault.help,
    })
}

/// Returns the JSON `text` over several lines. The depth is the limit with which the text was read before.
fn pretty(text: &str) -> String {
    Json::parse(text.as_bytes(), ReadLimits { depth: 1024 }).map_or_else(|_| text.to_owned(), |json| json.to_pretty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_duration;

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["1s", "15m", "1h30m", "24h", "1h1s"] {
            let ttl = parse_duration(text).and_then(Ttl::new).unwrap();
            assert_eq!(go_duration(ttl), text);
        }
    }
}
