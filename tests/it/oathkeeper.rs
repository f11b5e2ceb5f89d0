//! Unchanged Oathkeeper configurations, which the real binary serves, checks and imports.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use claimsmith::keys::{self, SignatureAlg};
use serde_json::{Value, json};

use crate::support::{Folder, claimsmith, command, post, send, stderr, stdout};

/// The service, which stops at the end of its test.
struct Service {
    child: Child,
    api: SocketAddr,
    keys: String,
    /// The log lines before the service was ready.
    log: Vec<String>,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a configuration from Oathkeeper's own documents, with the key in `folder`.
fn quickstart(folder: &Folder) -> String {
    let key = folder.path().join("id_token.jwks.json");
    format!(
        "mutators:\n  id_token:\n    enabled: true\n    config:\n      issuer_url: http://127.0.0.1:4455/\n      \
         jwks_url: file://{}\n      claims: |\n        {{\n          \"session\": {{{{ .Extra | toJson }}}}\n        }}\n",
        key.display()
    )
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write_key("id_token.jwks.json", SignatureAlg::Rs256, "key-1");
    folder
}

fn serve(folder: &Folder, file: &str) -> Service {
    let mut child = command(folder.path())
        .args(["serve", "--oathkeeper", file])
        .env("CLAIMSMITH_SERVE_API_PORT", "0")
        .env("CLAIMSMITH_SERVE_ADMIN_PORT", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = Vec::new();
    let api = loop {
        let line = lines.next().unwrap_or_else(|| panic!("it ended early:\n{}", log.join("\n"))).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        log.push(line);
        if let Some(api) = event["fields"]["api"].as_str().or(event["api"].as_str()) {
            break api.parse().unwrap();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    let keys = fs::read_to_string(folder.path().join("id_token.jwks.json")).unwrap();
    Service { child, api, keys, log }
}

impl Service {
    fn claims(&self, profile: &str, session: &Value) -> Value {
        let answer = send(self.api, &post(&format!("/hydrate/{profile}"), &[], session.to_string().as_bytes()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["subject"], session["subject"]);
        let token = body["header"]["Authorization"][0].as_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
        let verified = keys::verify(&token, self.keys.as_bytes()).unwrap();
        serde_json::from_str(verified.claims()).unwrap()
    }

    fn has_logged(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text))
    }
}

#[test]
fn quickstart_configuration_is_served_unchanged() {
    let folder = folder();
    folder.write("oathkeeper.yml", &quickstart(&folder));
    let service = serve(&folder, "oathkeeper.yml");
    let session = json!({"subject": "zoe", "extra": {"email": "a\",\"admin\":true,\"x\":\"", "n": 1}});
    let claims = service.claims("id_token", &session);
    assert_eq!(claims["session"], session["extra"]);
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("http://127.0.0.1:4455/"), &json!("zoe")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    assert_eq!(claims.get("admin"), None);
}

#[test]
fn rules_become_profiles_and_registered_claims_are_overridden() {
    let folder = folder();
    let rules = r#"[
        {"id": "orders", "mutators": [{"handler": "id_token", "config":
            {"ttl": "60s", "claims": "{\"sub\": \"{{ print .Extra.name }}\", \"aud\": [\"orders\"], \"exp\": 1}"}}]},
        {"id": "inherits", "mutators": [{"handler": "id_token"}]},
        {"id": "other", "mutators": [{"handler": "noop"}]}]"#;
    let rules = folder.write("rules.json", rules);
    let config = format!("{}access_rules:\n  repositories: [\"file://{}\"]\n", quickstart(&folder), rules.display());
    folder.write("oathkeeper.yml", &config);
    let service = serve(&folder, "oathkeeper.yml");
    let session = json!({"subject": "zoe", "extra": {"name": "mallory"}});
    let claims = service.claims("orders", &session);
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("zoe"), &json!(["orders"])));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    assert_eq!(service.claims("inherits", &session)["session"], session["extra"]);
    assert!(service.has_logged("sets sub and exp"), "{}", service.log.join("\n"));
    let answer = send(service.api, &post("/hydrate/other", &[], session.to_string().as_bytes()));
    assert_eq!(answer.status, 404);
}

#[test]
fn check_accepts_an_oathkeeper_configuration() {
    let folder = folder();
    folder.write("oathkeeper.yml", &quickstart(&folder));
    let output = claimsmith(folder.path(), &["check", "--oathkeeper", "oathkeeper.yml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("id_token: signs RS256 with key key-1"), "{}", stdout(&output));
    folder.write("oathkeeper.yml", &quickstart(&folder).replace("toJson", "env"));
    let output = claimsmith(folder.path(), &["check", "--oathkeeper", "oathkeeper.yml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the function `env` is refused"), "{}", stderr(&output));
}

/// A configuration with several kinds of templates, one of which cannot be converted.
fn mixed(folder: &Folder) {
    let rules = r#"
- id: people
  mutators:
    - handler: id_token
      config:
        claims: |
          {
            "sub": "{{ print .Subject }}",
            "mail": "{{ print .Extra.identity.traits.mail }}",
            "roles": [{{ range $i, $r := .Extra.roles }}{{ if $i }},{{ end }}{{ $r | toJson }}{{ end }}]
          }
- id: clock
  mutators:
    - handler: id_token
      config: { claims: '{"at": {{ now | unixEpoch | toJson }}}' }
- id: broken
  mutators:
    - handler: id_token
      config: { claims: '{"at": {{ nope }}}' }
"#;
    folder.write("rules.yml", rules);
    let config = quickstart(folder) + "access_rules:\n  repositories: [\"file://rules.yml\"]\n";
    folder.write("oathkeeper.yml", &config);
}

#[test]
fn imported_configuration_serves_the_same_claims() {
    let folder = folder();
    mixed(&folder);
    let output = claimsmith(folder.path(), &["import", "oathkeeper", "oathkeeper.yml", "--out", "new"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("/hydrate/people"), "{}", stdout(&output));
    assert!(stderr(&output).contains("profile broken is left out"), "{}", stderr(&output));
    let read = |name: &str| fs::read_to_string(folder.path().join("new").join(name)).unwrap();
    assert_eq!(read("templates/id_token/claims.hbs"), "{\n  \"session\": {{Extra}}\n}\n");
    assert_eq!(
        read("templates/people/claims.hbs"),
        "{\n  \"mail\": \"{{Extra.identity.traits.mail}}\",\n  \"roles\": [{{#each Extra.roles as |r i|}}{{r}}{{/each}}]\n}\n"
    );
    assert!(read("templates/clock/claims.gotmpl").contains("unixEpoch"));
    assert!(read("templates/people/imported.claims.json").contains("\"mail\""));
    let report = read("REPORT.md");
    for part in ["line 8", "ends the string", "`now` has no counterpart", "sets `sub`", "Oathkeeper makes no token"] {
        assert!(report.contains(part), "{part} not in\n{report}");
    }
    let output = claimsmith(folder.path(), &["check", "--config", "new/claimsmith.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = claimsmith(folder.path(), &["import", "oathkeeper", "oathkeeper.yml", "--out", "new"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("new or empty directory"), "{}", stderr(&output));
}

#[test]
fn import_report_is_available_as_json() {
    let folder = folder();
    mixed(&folder);
    let output = claimsmith(folder.path(), &["import", "oathkeeper", "oathkeeper.yml", "--out", "new", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let profiles = report["profiles"].as_array().unwrap();
    let of = |name: &str| profiles.iter().find(|profile| profile["name"] == name).unwrap();
    assert_eq!(of("id_token")["compared"]["different"], 0);
    assert_eq!(of("clock")["template"], "claims.gotmpl");
    assert_eq!(of("clock")["not_convertible"].as_array().unwrap().len(), 1);
    assert!(of("people")["differences"].as_array().unwrap().iter().any(|one| one["what"].as_str().is_some()));
}
