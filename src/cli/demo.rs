//! `demo`: the full flow on one host, without any setup.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use uuid::Uuid;

use super::http::{client, fetch};
use super::output::{self, Failure};
use super::runtime::block_on;
use crate::app::{Application, stop_signal};
use crate::config::Config;
use crate::json::{Json, ReadLimits};
use crate::keys::{self, KeyId, SignatureAlg};
use crate::mint::{GenerationParts, Mint, TemplateFiles};
use crate::reload::Generation;
use crate::templates::{Syntax, TemplateText};
use crate::time::{Clock as _, SystemClock};

const CONFIG: &str = "
serve:
  api:   { host: 127.0.0.1, port: 0 }
  admin: { host: 127.0.0.1, port: 0 }
profiles:
  identity:
    issuer: http://127.0.0.1:4455/
    jwks: generated-for-the-demo.json
    template: identity
log: { level: warn, format: text }
";
const TEMPLATE: &str = include_str!("../../templates/identity/claims.hbs");
const SESSION: &str = include_str!("../../templates/identity/kratos.session.json");

pub(super) fn demo(once: bool, as_json: bool) -> Result<(), Failure> {
    let config =
        Config::parse(CONFIG, Path::new("."), &[]).context("cannot parse the configuration of the demo")?.config;
    let key = keys::generate(SignatureAlg::Es256, None, &KeyId::from(Uuid::new_v4()))
        .context("cannot generate the key of the demo")?;
    let mut parts = GenerationParts { profiles: config.profile_specs(), ..GenerationParts::default() };
    for profile in &parts.profiles {
        parts.key_sets.insert(profile.key_set.clone(), key.to_set().as_bytes().to_vec().into());
    }
    let text = TemplateText { name: "templates/identity/claims.hbs".to_owned(), text: TEMPLATE.to_owned() };
    parts.templates.insert(
        "identity".to_owned(),
        TemplateFiles { syntax: Syntax::Handlebars, text, schema: None, cases: Vec::new() },
    );
    let (mint, _) =
        Mint::build(&parts, SystemClock.now()).context("cannot build the templates and keys of the demo")?;
    let (callers, notes) = (Vec::new(), Vec::new());
    let generation =
        Generation { mint: Arc::new(mint), config, callers, tls: None, sources: None, notes, problems: Vec::new() };
    crate::telemetry::init_logging(tracing::Level::WARN, crate::config::LogFormat::Text);

    let say = |text: &str| if as_json { Ok(()) } else { print(text) };
    block_on(async move {
        let application = Application::bind(generation, Arc::new(SystemClock))?;
        let address = application.api_address().context("expected an address to listen on")?;
        let api = format!("http://{address}");
        let admin = format!("http://{}", application.admin_address());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let service = actix_web::rt::spawn(application.run(async {
            let _ = stopped.await;
        }));
        let report = show(&api, &admin, &say).await?;
        if as_json {
            print(&report)?;
        }
        if once {
            say("\nDone. Without --once the demo keeps serving.")?;
        } else {
            say("\nServing until you press Ctrl-C.")?;
            stop_signal().await;
        }
        let _ = stop.send(());
        service.await.context("the demo's service task failed")?
    })?;
    Ok(())
}

/// Sends the session through the service, verifies the response, and prints each step with `say`. Returns the result as JSON.
async fn show(api: &str, admin: &str, say: &impl Fn(&str) -> anyhow::Result<()>) -> anyhow::Result<String> {
    let url = format!("{api}/hydrate/identity");
    let client = client(&url)?;
    say(&format!("claimsmith serves on {api}, with health and metrics on {admin}."))?;
    say("\n== 1. A session goes in, as Ory Oathkeeper's hydrator posts it")?;
    say(&format!("POST {url}\n{}", SESSION.trim_end()))?;

    let answer = client
        .post(&url)
        .header("content-type", "application/json")
        .body(SESSION)
        .send()
        .await
        .context("cannot post the session to the demo service")?;
    let status = answer.status();
    let body = answer.bytes().await.context("cannot read the response of the demo service")?;
    ensure!(status == 200, "cannot hydrate the session: expected status 200, found {status}");
    let hydrated = Json::parse(&body, ReadLimits::default()).context("cannot parse the hydrated session")?;
    let header = hydrated.member("header").and_then(|header| header.member("Authorization"));
    let token = header
        .and_then(|values| values.element(0))
        .and_then(Json::as_str)
        .and_then(|value| value.strip_prefix("Bearer "))
        .context("expected the token in header.Authorization of the hydrated session")?;
    say("\n== 2. The same session comes back, with a signed token for the upstream in header.Authorization")?;
    say(&format!("Bearer {token}"))?;

    let jwks_url = format!("{api}/.well-known/jwks.json");
    let jwks = fetch(&client, &jwks_url, 64 * 1024).await?;
    let verified = keys::verify(token, &jwks).context("cannot verify the token with the served JWK Set")?;
    let claims = Json::parse(verified.claims().as_bytes(), ReadLimits::default()).context("cannot parse the claims")?;
    keys::check_times(&claims, SystemClock.now(), 0).context("cannot verify the times of the token")?;
    say(&format!("\n== 3. Verified against {jwks_url}: {} with key {}", verified.alg(), verified.kid()))?;
    say(&claims.to_pretty())?;

    say("\n== 4. Try it")?;
    say(&format!(
        "curl -s {url} -d '{}'\n\
         curl -s {api}/issue/identity -d '{}'\n\
         curl -s {jwks_url}\n\
         curl -s {api}/identity/.well-known/openid-configuration\n\
         curl -s {admin}/metrics",
        session(r#"\",\"admin\":true,\"x\":\""#),
        session("zoe@example.org"),
    ))?;
    let claims = claims.to_string();
    Ok(format!(
        "{{\"hydrate_url\":\"{url}\",\"jwks_url\":\"{jwks_url}\",\"alg\":\"{}\",\"kid\":\"{}\",\"token\":\"{token}\",\
         \"claims\":{claims}}}",
        verified.alg(),
        verified.kid()
    ))
}

/// Returns a session with what the template reads; `email` is JSON text without its quotation marks.
fn session(email: &str) -> String {
    format!(
        r#"{{"subject":"zoe","extra":{{"identity":{{"id":"7","traits":{{"email":"{email}"}}}},"authenticator_assurance_level":"aal1","authenticated_at":"2026-01-01T00:00:00Z"}}}}"#
    )
}

fn print(text: &str) -> anyhow::Result<()> {
    output::line(text).map_err(|_| anyhow::anyhow!("standard output is closed"))
}
