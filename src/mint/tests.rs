//! How a generation is built, what decides the claims of its profiles, and trials.

use std::collections::HashSet;
use std::time::Duration;

use super::identity::ProfileIdentity;
use super::*;
use crate::claims::{Audience, Grant, Issuer, RegisteredClaim, RegisteredInTemplate, SessionExpiry};
use crate::code::ErrorCode;
use crate::json::ReadLimits;
use crate::keys::{self, KeyId, SignatureAlg, TokenType};
use crate::session::{SessionParts, SessionPath};
use crate::templates::{Missing, Partial, RecordedCase, Syntax, TemplateName, TemplateText};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn ttl(seconds: u64) -> Ttl {
    Ttl::new(Duration::from_secs(seconds)).unwrap()
}

fn path(text: &str) -> SessionPath {
    SessionPath::parse(text).unwrap()
}

fn spec() -> ProfileSpec {
    ProfileSpec {
        name: ProfileName::parse("p").unwrap(),
        issuer: Issuer::parse("https://issuer.example/").unwrap(),
        key_set: "keys".to_owned(),
        alg: None,
        typ: TokenType::JWT,
        ttl: ttl(100),
        audience: None,
        template: TemplateName::parse("t").unwrap(),
        placement: Placement::Extra("token".to_owned()),
        missing: Missing::Error,
        expires_with: SessionExpiry::IfPresent(path("Extra.expires_at")),
        subject: SessionPath::subject(),
        allow_empty_subject: false,
        registered_claims: RegisteredInTemplate::Refuse,
        validate: Validate::Recorded,
        cache: Caching::On,
        shadow: false,
    }
}

fn text(name: &str, text: &str) -> TemplateText {
    TemplateText { name: name.to_owned(), text: text.to_owned() }
}

fn template(source: &str) -> TemplateFiles {
    TemplateFiles { syntax: Syntax::Handlebars, text: text("t.hbs", source), schema: None, cases: Vec::new() }
}

fn key_set(alg: SignatureAlg, kid: &str) -> zeroize::Zeroizing<Vec<u8>> {
    keys::generate(alg, None, &KeyId::parse(kid).unwrap()).unwrap().to_set().as_bytes().to_vec().into()
}

const EMAIL: &str = r#"{"email": {{Extra.email}}}"#;
const SESSION: &str = r#"{"subject":"zoe","extra":{"email":"zoe@example.org"}}"#;

fn parts(profiles: Vec<ProfileSpec>, files: TemplateFiles) -> GenerationParts {
    GenerationParts {
        profiles,
        key_sets: BTreeMap::from([("keys".to_owned(), key_set(SignatureAlg::Es256, "k"))]),
        templates: BTreeMap::from([("t".to_owned(), files)]),
        ..GenerationParts::default()
    }
}

fn faults(parts: &GenerationParts) -> Vec<BuildFault> {
    Mint::build(parts, NOW).unwrap_err().faults
}

fn request<'m>(mint: &'m Mint, session: &'m str) -> IssueRequest<'m> {
    IssueRequest::posted(mint.profile("p").unwrap(), session.as_bytes(), ReadLimits::default()).unwrap().0
}

/// A profile that gets the identity of another would be served the other's tokens from the cache.
#[test]
fn each_setting_and_file_gives_another_identity() {
    type Change = fn(&mut ProfileSpec, &mut TemplateFiles, &mut GenerationParts);
    let changes: &[Change] = &[
        |_, _, _| {},
        |spec, _, _| spec.name = ProfileName::parse("q").unwrap(),
        |spec, _, _| spec.issuer = Issuer::parse("https://other.example/").unwrap(),
        |spec, _, _| spec.key_set = "others".to_owned(),
        |spec, _, _| spec.alg = Some(SignatureAlg::Es256),
        |spec, _, _| spec.alg = Some(SignatureAlg::EdDsa),
        |spec, _, _| spec.typ = TokenType::parse("at+jwt").unwrap(),
        |spec, _, _| spec.ttl = ttl(101),
        |spec, _, _| spec.audience = Audience::new(vec!["a".to_owned()]),
        |spec, _, _| spec.audience = Audience::new(vec!["ab".to_owned()]),
        |spec, _, _| spec.audience = Audience::new(vec!["a".to_owned(), "b".to_owned()]),
        |spec, _, _| spec.template = TemplateName::parse("u").unwrap(),
        |spec, _, _| spec.placement = Placement::Extra("jwt".to_owned()),
        |spec, _, _| spec.placement = Placement::default(),
        |spec, _, _| spec.placement = Placement::Header { name: HeaderName::authorization(), scheme: None },
        |spec, _, _| spec.placement = Placement::Header { name: HeaderName::parse("X-A").unwrap(), scheme: None },
        |spec, _, _| spec.missing = Missing::AsNull,
        |spec, _, _| spec.missing = Missing::Omit,
        |spec, _, _| spec.expires_with = SessionExpiry::None,
        |spec, _, _| spec.expires_with = SessionExpiry::Required(path("Extra.expires_at")),
        |spec, _, _| spec.expires_with = SessionExpiry::IfPresent(path("Extra.exp")),
        |spec, _, _| spec.subject = path("Extra.id"),
        |spec, _, _| spec.allow_empty_subject = true,
        |spec, _, _| spec.registered_claims = RegisteredInTemplate::Override,
        |spec, _, _| spec.validate = Validate::Always,
        |spec, _, _| spec.cache = Caching::Off,
        |_, files, _| files.syntax = Syntax::Go,
        |_, files, _| files.text = text("t.hbs", "{}"),
        |_, files, _| files.text = text("t.hbs{", "}"),
        |_, files, _| files.schema = Some(text("s", "{}")),
        |_, files, _| files.schema = Some(text("s{", "}")),
        |_, files, _| files.cases = vec![case("c", "s", "ab")],
        |_, files, _| files.cases = vec![case("c", "sa", "b")],
        |_, files, _| files.cases = vec![case("cs", "", "ab")],
        |_, files, _| files.cases = vec![case("c", "s", "ab"), case("c", "s", "ab")],
        |_, _, parts| parts.partials = vec![Partial { name: "p".to_owned(), source: text("p", "") }],
        |_, _, parts| parts.partials = vec![Partial { name: "pp".to_owned(), source: text("", "") }],
        |_, _, parts| parts.limits.output_bytes += 1,
        |_, _, parts| parts.limits.depth += 1,
        |_, _, parts| parts.limits.work += 1,
    ];
    let identities: Vec<[u8; 32]> = changes
        .iter()
        .map(|change| {
            let (mut spec, mut files, mut parts) = (spec(), template(EMAIL), GenerationParts::default());
            change(&mut spec, &mut files, &mut parts);
            *ProfileIdentity::new(&spec, &files, &parts).as_bytes()
        })
        .collect();
    for (index, identity) in identities.iter().enumerate() {
        let first = identities.iter().position(|other| other == identity);
        assert_eq!(first, Some(index), "change {index} gives the identity of an earlier one");
    }
    let again = ProfileIdentity::new(&spec(), &template(EMAIL), &GenerationParts::default());
    assert_eq!(*again.as_bytes(), identities[0], "equal settings give equal identities");
    let [first, ..] = identities[0];
    assert!(format!("{again:?}").starts_with(&format!("ProfileIdentity({first:02x}")), "{again:?}");
}

fn case(name: &str, session: &str, claims: &str) -> RecordedCase {
    RecordedCase { name: name.to_owned(), session: session.as_bytes().to_vec(), claims: claims.as_bytes().to_vec() }
}

#[test]
fn tokens_of_another_template_grant_or_key_are_cached_under_other_keys() {
    let bytes_of = |parts: &GenerationParts, grant: Grant| {
        let (mint, _) = Mint::build(parts, NOW).unwrap();
        let request = request(&mint, SESSION).with_grant(grant);
        let params = mint.token_params(&request, NOW).unwrap();
        assert_eq!(params.subject(), "zoe");
        let key = request.cache_key(&params).unwrap();
        assert_eq!(format!("{key:?}"), format!("CacheKey({} bytes)", key.as_bytes().len()));
        key.as_bytes().to_vec()
    };
    let first = parts(vec![spec()], template(EMAIL));
    let mut other_template = parts(vec![spec()], template(r#"{"mail": {{Extra.email}}}"#));
    other_template.key_sets.clone_from(&first.key_sets);
    let other_keys = parts(vec![spec()], template(EMAIL));
    let granted = Grant { audience: Audience::new(vec!["a".to_owned()]), ..Grant::default() };
    let keys = [
        bytes_of(&first, Grant::default()),
        bytes_of(&other_template, Grant::default()),
        bytes_of(&other_keys, Grant::default()),
        bytes_of(&first, granted),
    ];
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    assert_eq!(bytes_of(&first, Grant::default()), keys[0]);
}

#[test]
fn equal_template_and_keys_are_taken_over_from_the_previous_generation() {
    let first_parts = parts(vec![spec()], template(EMAIL));
    let (first, _) = Mint::build(&first_parts, NOW).unwrap();
    let (second, _) = Mint::build_after(Some(&first), &first_parts, NOW).unwrap();
    let both = |mint: &Mint| {
        let profile = mint.profile("p").unwrap();
        (Arc::as_ptr(&profile.template), Arc::as_ptr(&profile.keys))
    };
    assert_eq!(both(&second), both(&first));
    let changed = parts(vec![spec()], template(r#"{"mail": {{Extra.email}}}"#));
    let (third, _) = Mint::build_after(Some(&first), &changed, NOW).unwrap();
    assert_ne!(both(&third).0, both(&first).0);
    assert_ne!(both(&third).1, both(&first).1);
    let rendered = third.render(&request(&third, SESSION), NOW).unwrap();
    assert_eq!(rendered.claims.as_str(), r#"{"mail":"zoe@example.org"}"#);
}

#[test]
fn overridden_registered_claims_are_noted_for_the_operator() {
    let notes = |registered_claims, source: &str| {
        let spec = ProfileSpec { registered_claims, ..spec() };
        Mint::build(&parts(vec![spec], TemplateFiles { syntax: Syntax::Go, ..template(source) }), NOW).unwrap().1
    };
    let notes_of_two = notes(RegisteredInTemplate::Override, r#"{"iss": "a", "exp": 1}"#);
    assert!(notes_of_two.len() == 1 && notes_of_two[0].contains("iss and exp"), "{notes_of_two:?}");
    assert_eq!(notes(RegisteredInTemplate::Override, r#"{"a": 1}"#), [""; 0]);
    assert_eq!(notes(RegisteredInTemplate::Refuse, r#"{"a": 1}"#), [""; 0]);
}

#[test]
fn schema_is_required_and_checked_when_profiles_validate_always() {
    let always = ProfileSpec { validate: Validate::Always, ..spec() };
    let without = faults(&parts(vec![always.clone()], template(EMAIL)));
    assert_eq!(without.len(), 1);
    assert_eq!((without[0].code, without[0].part.as_str()), (ErrorCode::ConfigInvalid, "profile p"));

    let schema = r#"{"properties":{"email":{"type":"string"}}}"#;
    let files = || TemplateFiles { schema: Some(text("claims.schema.json", schema)), ..template(EMAIL) };
    let numeric = r#"{"subject":"zoe","extra":{"email":7}}"#;
    for (spec, is_checked) in [(always, true), (spec(), false)] {
        let (mint, _) = Mint::build(&parts(vec![spec], files()), NOW).unwrap();
        assert!(mint.render(&request(&mint, SESSION), NOW).is_ok());
        let refused = mint.render(&request(&mint, numeric), NOW).map(drop).map_err(|error| error.code());
        assert_eq!(refused, if is_checked { Err(ErrorCode::ClaimsSchema) } else { Ok(()) });
        let profile = mint.profile("p").unwrap();
        assert_eq!(format!("{:?}", profile.recorded_schema.as_ref().unwrap()), "ClaimsSchema { .. }");
    }
}

#[test]
fn algorithm_of_a_profile_needs_a_key() {
    let with = |alg| parts(vec![ProfileSpec { alg: Some(alg), ..spec() }], template(EMAIL));
    assert!(Mint::build(&with(SignatureAlg::Es256), NOW).is_ok());
    let faults = faults(&with(SignatureAlg::EdDsa));
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].code, ErrorCode::KeySetInvalid);
    assert!(faults[0].message.contains("EdDSA"), "{}", faults[0]);
}

#[test]
fn key_id_of_different_keys_in_two_sets_is_noted() {
    let notes = |sets: [zeroize::Zeroizing<Vec<u8>>; 2]| {
        let mut parts = parts(vec![spec()], template(EMAIL));
        parts.key_sets = ["keys", "others"].map(str::to_owned).into_iter().zip(sets).collect();
        Mint::build(&parts, NOW).unwrap().1
    };
    let key = || key_set(SignatureAlg::Es256, "k");
    let ambiguous = notes([key(), key()]);
    assert_eq!(ambiguous.len(), 1);
    for part in ["`k`", "keys", "others"] {
        assert!(ambiguous[0].contains(part), "{ambiguous:?}");
    }
    let shared = key();
    assert_eq!(notes([shared.clone(), shared]), [""; 0], "one key in two sets is one key");
    assert_eq!(notes([key(), key_set(SignatureAlg::Es256, "l")]), [""; 0]);
}

#[test]
fn build_fault_points_to_its_file_and_position() {
    let broken = faults(&parts(vec![spec()], template("{\n  \"a\": {{Extra.}}}")));
    let pointer = broken[0].pointer.as_ref().unwrap();
    assert_eq!((pointer.path.as_deref(), pointer.line), (Some("t.hbs"), Some(2)));
    assert!(pointer.column.is_some_and(|column| column > 1) && !pointer.message.is_empty(), "{pointer:?}");

    let files = TemplateFiles { schema: Some(text("claims.schema.json", "{")), ..template(EMAIL) };
    let schema = faults(&parts(vec![spec()], files));
    let pointer = schema[0].pointer.as_ref().unwrap();
    assert_eq!((schema[0].code, pointer.path.as_deref()), (ErrorCode::ClaimsSchema, Some("claims.schema.json")));
    assert_eq!(schema[0].message, format!("claims.schema.json: {}", pointer.message));
    assert!(!pointer.message.is_empty());
}

#[test]
fn build_error_shows_each_fault_once_on_its_own_line() {
    let twins = ["p", "q"].map(|name| ProfileSpec { name: ProfileName::parse(name).unwrap(), ..spec() });
    let mut parts = parts(twins.to_vec(), template("{{"));
    parts.key_sets.insert("keys".to_owned(), b"[]".to_vec().into());
    let error = Mint::build(&parts, NOW).unwrap_err();
    let shown = error.to_string();
    let lines: Vec<_> = error.faults.iter().map(|fault| format!("{}: {}", fault.part, fault.message)).collect();
    assert_eq!(shown, lines.join("\n"));
    let starts: Vec<_> = error.faults.iter().map(|fault| fault.part.as_str()).collect();
    assert_eq!(starts, ["keys", "template t"], "{shown}");
}

#[test]
fn keys_are_published_for_the_longest_lifetime_of_their_set() {
    let specs = [("p", 100), ("q", 300), ("r", 200)].map(|(name, seconds)| ProfileSpec {
        name: ProfileName::parse(name).unwrap(),
        ttl: ttl(seconds),
        ..spec()
    });
    let mut parts = parts(specs.to_vec(), template(EMAIL));
    let expiring = String::from_utf8(parts.key_sets["keys"].to_vec()).unwrap();
    let expiring = expiring.replacen("\"kty\"", &format!("\"exp\":{},\"kty\"", NOW.seconds() + 10), 1);
    parts.key_sets.insert("keys".to_owned(), expiring.into_bytes().into());
    let (mint, _) = Mint::build(&parts, NOW).unwrap();
    assert_eq!(mint.profiles().map(|profile| profile.spec().name.as_str()).collect::<Vec<_>>(), ["p", "q", "r"]);
    for profile in mint.profiles() {
        assert_eq!(mint.longest_ttl(profile), ttl(300));
        let published = |seconds| mint.published(profile, Timestamp::from_seconds(NOW.seconds() + seconds)).len();
        assert_eq!((published(0), published(309), published(310)), (1, 1, 0));
    }
}

#[test]
fn request_shows_its_profile_and_no_value() {
    let (mint, _) = Mint::build(&parts(vec![spec()], template(EMAIL)), NOW).unwrap();
    let shown = format!("{:?}", request(&mint, SESSION));
    assert!(shown.starts_with("IssueRequest") && shown.contains("\"p\"") && !shown.contains("zoe"), "{shown}");
    let extra = Some(r#"{"email":"zoe@example.org"}"#);
    let parts = SessionParts { subject: "zoe".into(), extra, ..SessionParts::default() };
    let from_parts = IssueRequest::from_parts(mint.profile("p").unwrap(), parts, ReadLimits::default()).unwrap();
    assert_eq!(from_parts.session().subject(), "zoe");
}

/// Tries `source` on `session` with `change` applied to the trial.
fn tried(source: &str, session: &str, change: impl FnOnce(&mut Trial<'_>)) -> Tried {
    let schema = text("claims.schema.json", r#"{"properties":{"email":{"type":"string"}}}"#);
    let files = TemplateFiles { schema: Some(schema), ..template(EMAIL) };
    let (mint, _) = Mint::build(&parts(vec![spec()], files), NOW).unwrap();
    let partials = [Partial { name: "broken".to_owned(), source: text("broken.hbs", "\n{{") }];
    let spec = spec();
    let mut trial = Trial {
        spec: &spec,
        syntax: Syntax::Handlebars,
        template: source,
        partials: &[],
        session,
        session_bytes: 1 << 20,
        read_limits: ReadLimits::default(),
        stop: None,
    };
    change(&mut trial);
    if source.contains("{{> broken") {
        trial.partials = &partials;
    }
    assert_eq!(format!("{trial:?}"), "Trial { profile: ProfileName(TemplateName(\"p\")), .. }");
    mint.try_out(mint.profile("p").unwrap(), &trial, NOW, || JwtId::new(uuid::Uuid::nil()))
}

/// What failed, in which part, and at which line and column.
type Failure = (ErrorCode, TrialPart, Option<(usize, usize)>);

fn codes(tried: &Tried) -> Vec<Failure> {
    tried.faults.iter().map(|fault| (fault.code, fault.part, fault.place)).collect()
}

#[test]
fn trial_shows_what_a_token_would_contain() {
    let tried = tried(EMAIL, SESSION, |_| {});
    assert_eq!(tried.faults, []);
    assert_eq!(tried.claims.unwrap().as_str(), r#"{"email":"zoe@example.org"}"#);
    let token = tried.token.unwrap();
    assert_eq!(format!("{token:?}"), format!("UnsignedToken {{ bytes: {}, .. }}", token.bytes));
    let (mint, _) = Mint::build(&parts(vec![spec()], template(EMAIL)), NOW).unwrap();
    let request = request(&mint, SESSION);
    let params = mint.token_params(&request, NOW).unwrap();
    let draft = mint.draft(&request, params, || JwtId::new(uuid::Uuid::nil())).unwrap();
    assert_eq!(draft.claims.as_str(), token.claims.as_str());
    assert_eq!(draft.sign().unwrap().jws.as_str().len(), token.bytes);
}

#[test]
fn trial_reports_faults_of_template_session_and_token() {
    let invalid = r#"{"subject":7}"#;
    let broken = tried("{\n{{", invalid, |_| {});
    let parts: Vec<_> = broken.faults.iter().map(|fault| fault.part).collect();
    assert_eq!(parts, [TrialPart::Template, TrialPart::Session], "a session is checked without a template too");
    assert!(broken.claims.is_none() && broken.token.is_none());

    let anonymous = tried(EMAIL, r#"{"subject":"","extra":{"email":"a"}}"#, |_| {});
    assert_eq!(codes(&anonymous), [(ErrorCode::SessionEmptySubject, TrialPart::Token, None)]);
    assert!(anonymous.claims.is_some(), "the claims do not depend on the subject");

    let numeric = tried(EMAIL, r#"{"subject":"zoe","extra":{"email":7}}"#, |_| {});
    assert_eq!(codes(&numeric), [(ErrorCode::ClaimsSchema, TrialPart::Token, None)]);

    let in_partial = tried("{{> broken}}", SESSION, |_| {});
    assert_eq!(in_partial.faults[0].partial.as_deref(), Some("broken.hbs"));
    assert_eq!(broken.faults[0].partial, None);
}

#[test]
fn trial_finds_the_position_of_a_session_fault() {
    let position = |session: &str| tried(EMAIL, session, |_| {}).faults[0].place;
    for (session, place) in [
        ("{\n \"subject\":7}", (2, 2)),
        ("{\"subject\":\"u\",\n  \"Subject\":\"v\"}", (2, 3)),
        ("{\"subject\":\"u\",\"extra\":{},\n\"match_context\":{\"method\":\"GET\",\n   \"url\":5}}", (3, 4)),
        ("{\"url\":1,\"subject\":\"u\",\n\"Match_Context\":{\"URL\":5}}", (2, 18)),
        ("{\"subject\":\"u\"\n ]", (2, 2)),
        ("{\"extra\":{}}", (1, 1)),
    ] {
        assert_eq!(position(session), Some(place), "{session}");
    }
}

#[test]
fn trial_limits_the_bytes_of_template_and_session() {
    let limit = 64 * 1024;
    let template_of = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
    assert_eq!(tried(&template_of(limit), SESSION, |_| {}).faults, []);
    let large = tried(&template_of(limit + 1), SESSION, |_| {});
    assert_eq!(codes(&large), [(ErrorCode::TemplateLimit, TrialPart::Template, None)]);
    assert!(try_conversion(&"a".repeat(limit + 1)).is_err_and(|faults| faults[0].code == ErrorCode::TemplateLimit));
    assert!(try_conversion("{{ .Subject }}").is_ok());
    assert!(try_conversion("{{ .Subject").is_err_and(|faults| !faults.is_empty()));

    assert_eq!(tried(EMAIL, SESSION, |trial| trial.session_bytes = SESSION.len()).faults, []);
    let large = tried(EMAIL, SESSION, |trial| trial.session_bytes = SESSION.len() - 1);
    assert_eq!(codes(&large), [(ErrorCode::RequestBodyTooLarge, TrialPart::Session, None)]);
}

#[test]
fn trial_names_the_registered_claims_that_are_overridden() {
    let spec = ProfileSpec { registered_claims: RegisteredInTemplate::Override, ..spec() };
    let (mint, _) = Mint::build(&parts(vec![spec.clone()], template(EMAIL)), NOW).unwrap();
    let trial = Trial {
        spec: &spec,
        syntax: Syntax::Go,
        template: r#"{"iss": "other"}"#,
        partials: &[],
        session: SESSION,
        session_bytes: 1 << 20,
        read_limits: ReadLimits::default(),
        stop: None,
    };
    let tried = mint.try_out(mint.profile("p").unwrap(), &trial, NOW, || JwtId::new(uuid::Uuid::nil()));
    assert_eq!(tried.overridden, [RegisteredClaim::Issuer]);
}

#[test]
fn template_sources_show_their_number_and_no_text() {
    let sources = TemplateSources {
        check_cases: Vec::new(),
        templates: BTreeMap::from([("t".to_owned(), template(EMAIL))]),
        partials: vec![Partial { name: "p".to_owned(), source: text("p", "s3cret") }],
    };
    assert_eq!(format!("{sources:?}"), "TemplateSources { templates: 1, partials: 1 }");
}

#[test]
fn limit_of_claims_counts_the_registered_ones() {
    let (mint, _) = Mint::build(&parts(vec![spec()], template("{}")), NOW).unwrap();
    let draft = |length: usize| {
        let session = format!("{{\"subject\":\"{}\",\"extra\":{{}}}}", "s".repeat(length));
        let request = request(&mint, &session);
        let params = mint.token_params(&request, NOW).unwrap();
        mint.draft(&request, params, || JwtId::new(uuid::Uuid::nil())).map(drop).map_err(|error| error.code())
    };
    let most = RenderLimits::default().output_bytes;
    assert_eq!(draft(most / 2), Ok(()));
    assert_eq!(draft(most), Err(ErrorCode::TemplateLimit));
    let session = format!("{{\"subject\":\"{}\"}}", "s".repeat(most));
    let tried = tried("{}", &session, |_| {});
    assert_eq!(tried.faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), [ErrorCode::TemplateLimit]);
    assert!(tried.token.is_none());
}
