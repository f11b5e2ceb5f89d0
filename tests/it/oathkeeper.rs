//! Unchanged Oathkeeper configurations, which the real binary serves, checks and imports.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use claimsmith::keys::{self, SignatureAlg};
use serde_json::{Value, json};

use crate::support::{Folder, claimsmith, command, post, send, stderr, stdout};

/// The service, which stops at the end of its test.
struct Service {
    child: Child,
    api: SocketAddr,
    admin: SocketAddr,
    keys: String,
    /// The log lines so far.
    log: Arc<Mutex<Vec<String>>>,
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
    serve_with(folder, &["--oathkeeper", file], &[])
}

fn serve_with(folder: &Folder, arguments: &[&str], environment: &[(&str, &str)]) -> Service {
    let mut child = command(folder.path())
        .arg("serve")
        .args(arguments)
        .env("CLAIMSMITH_SERVE_API_PORT", "0")
        .env("CLAIMSMITH_SERVE_ADMIN_PORT", "0")
        .env("CLAIMSMITH_RELOAD_INTERVAL", "100ms")
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let log = Arc::new(Mutex::new(Vec::new()));
    let (api, admin) = loop {
        let line =
            lines.next().unwrap_or_else(|| panic!("it ended early:\n{}", log.lock().unwrap().join("\n"))).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        log.lock().unwrap().push(line);
        let address =
            |key: &str| event["fields"][key].as_str().or(event[key].as_str()).map(|text| text.parse().unwrap());
        if let (Some(api), Some(admin)) = (address("api"), address("admin")) {
            break (api, admin);
        }
    };
    let further = Arc::clone(&log);
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| further.lock().unwrap().push(line)));
    let keys = fs::read_to_string(folder.path().join("id_token.jwks.json")).unwrap();
    Service { child, api, admin, keys, log }
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
        self.log.lock().unwrap().iter().any(|line| line.contains(text))
    }

    /// Waits until the log has `text`.
    fn await_log(&self, text: &str) {
        let has_logged = (0..600).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            self.has_logged(text)
        });
        assert!(has_logged, "{text} is not in\n{}", self.log.lock().unwrap().join("\n"));
    }

    fn metrics(&self) -> String {
        send(self.admin, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").text()
    }

    fn status(&self, profile: &str, session: &Value) -> u16 {
        send(self.api, &post(&format!("/hydrate/{profile}"), &[], session.to_string().as_bytes())).status
    }

    /// Returns the faults of the degraded condition in readiness; `None` if it is not there.
    fn faults(&self, condition: &str) -> Option<String> {
        let answer = send(self.admin, b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(answer.status, 200);
        let document = answer.json();
        Some(document.get(condition)?["faults"].to_string())
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
    assert_eq!(service.claims("id_token", &session)["session"], session["extra"]);
    assert!(service.has_logged("sets sub and exp"), "{}", service.log.lock().unwrap().join("\n"));
    assert!(service.has_logged("profile id_token serves the global configuration and the access rule inherits"));
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

#[test]
fn shadow_mode_compares_with_the_token_of_the_session() {
    let folder = folder();
    folder.write("oathkeeper.yml", &(quickstart(&folder) + RULES));
    write_people(&folder, PEOPLE);
    let session = json!({"subject": "zoe", "extra": {"team": "blue"}});
    let token = {
        let service = serve(&folder, "oathkeeper.yml");
        let answer = send(service.api, &post("/hydrate/people", &[], session.to_string().as_bytes()));
        answer.json()["header"]["Authorization"][0].as_str().unwrap().to_owned()
    };
    let variables = [("CLAIMSMITH_PROFILES_PEOPLE_SHADOW", "true")];
    let service = serve_with(&folder, &["--oathkeeper", "oathkeeper.yml"], &variables);
    let with = |subject: &str, team: &str, token: &str| {
        json!({"subject": subject, "extra": {"team": team}, "header": {"Authorization": [token]}}).to_string()
    };
    for body in [
        with("zoe", "blue", &token),
        with("zoe", "canary-red", &token),
        with("zoe", "canary-green", &token),
        with("", "blue", &token),
        with("zoe", "blue", "Basic x"),
        "{\"subject\": \"zoe\", \"extra\": {\"a\": 1, \"a\": 2}}".to_owned(),
    ] {
        let answer = send(service.api, &post("/hydrate/people", &[], body.as_bytes()));
        assert_eq!((answer.status, answer.text()), (200, body));
    }
    let metrics = service.metrics();
    for (result, count) in [("equal", 1), ("different", 2), ("refused", 2), ("failed", 1)] {
        let line = format!("claimsmith_shadow_comparisons_total{{profile=\"people\",result=\"{result}\"}} {count}");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    // A later line, because the log is read by a thread.
    service.await_log("shadow: nothing to compare with");
    let count = |text: &str| service.log.lock().unwrap().iter().filter(|line| line.contains(text)).count();
    assert_eq!(count(r#""paths":"[\"team\"]""#), 1, "equal lines are logged once a minute");
    for event in ["claims differ", "nothing to compare with", "session would get no token"] {
        let lines = service.log.lock().unwrap();
        let line = lines.iter().find(|line| line.contains(&format!("shadow: {event}"))).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        let fields = &line["fields"];
        let field = |name: &str| fields.get(name).or_else(|| line.get(name)).and_then(|value| value.as_str());
        assert_eq!(field("profile"), Some("people"), "{line}");
        assert_eq!(field("caller"), Some("unknown"), "{line}");
        assert_eq!(field("route"), Some("/hydrate/{profile}"), "{line}");
        assert_eq!(field("peer"), Some("127.0.0.1"), "{line}");
    }
    assert!(!service.has_logged("canary") && !service.has_logged(&token[20..]));
    assert_eq!(service.claims("orders", &session)["session"], session["extra"], "other profiles issue tokens");
}

#[test]
fn check_reports_errors_of_settings_and_templates_at_once() {
    let folder = folder();
    let text = quickstart(&folder) + RULES;
    folder.write("oathkeeper.yml", &text);
    let check = |rule: &str| {
        let claims = r#"claims: '{"team": "{{ prnt .Extra.team }}"}'"#;
        write_people(&folder, &format!("{{ handler: id_token, config: {{ {claims}{rule} }} }}"));
        let output =
            claimsmith(folder.path(), &["check", "--config", "claimsmith.yaml", "--oathkeeper", "oathkeeper.yml"]);
        assert_eq!(output.status.code(), Some(1));
        stderr(&output)
    };
    folder.write("claimsmith.yaml", "serv: 1\nprofiles: { people: { template: own } }\n");
    folder.write("templates/own/claims.hbs", "{{nope}}");
    let own = check("");
    for part in ["serv: expected a known key", "function `prnt`"] {
        assert!(own.contains(part), "{part} not in\n{own}");
    }
    folder.write("claimsmith.yaml", "{}");
    let of_rule = check(", ttl: soon");
    for part in ["config.ttl: expected a duration", "function `prnt`"] {
        assert!(of_rule.contains(part), "{part} not in\n{of_rule}");
    }
    folder.write("oathkeeper.yml", &text.replace("issuer_url:", "ttl: soon\n      issuer_url:"));
    let global = check("");
    for part in ["mutators.id_token.config.ttl: expected a duration", "function `prnt`"] {
        assert!(global.contains(part), "{part} not in\n{global}");
    }
}

/// Writes a configuration and the rule `people`, whose mutators are `mutators`.
fn write_people(folder: &Folder, mutators: &str) {
    let rules = format!(
        "- {{ id: people, match: {{ url: 'http://gw/people' }}, mutators: [{mutators}] }}\n\
         - {{ id: orders, match: {{ url: 'http://gw/orders' }}, mutators: [{{ handler: id_token, config: {{ ttl: 2m }} }}] }}\n"
    );
    folder.write("rules.yml", &rules);
}

const PEOPLE: &str = "{ handler: id_token, config: { claims: '{\"team\": \"{{ print .Extra.team }}\"}' } }";
const PEOPLE_CHANGED: &str = "{ handler: hydrator, config: { api: { url: 'http://127.0.0.1:4477/hydrate/people' } } }";
const RULES: &str = "access_rules:\n  repositories: [\"file://rules.yml\"]\n";

#[test]
fn profile_stays_when_its_rule_becomes_a_hydrator_while_it_is_served() {
    let folder = folder();
    let hydrator =
        "  hydrator:\n    enabled: true\n    config: { api: { url: 'http://127.0.0.1:4477/hydrate/id_token' } }\n";
    let both = quickstart(&folder).replacen("mutators:\n", &format!("mutators:\n{hydrator}"), 1) + RULES;
    folder.write("oathkeeper.yml", &both);
    write_people(&folder, PEOPLE);
    let service = serve(&folder, "oathkeeper.yml");
    let session = json!({"subject": "zoe", "extra": {"team": "blue"}});
    assert_eq!(service.claims("people", &session)["team"], "blue");
    assert_eq!(service.faults("oathkeeper"), None);

    // The change of the guide, made in the files that claimsmith reads.
    write_people(&folder, PEOPLE_CHANGED);
    service
        .await_log("the hydrator of access rule people calls profile people, but no access rule defines it any longer");
    assert_eq!(service.claims("people", &session)["team"], "blue");
    assert!(service.faults("oathkeeper").unwrap().contains("is lost when claimsmith restarts"));
    let output = claimsmith(folder.path(), &["check", "--oathkeeper", "oathkeeper.yml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("calls profile people, but no access rule defines it"), "{}", stderr(&output));

    // The id_token mutator is removed as well.
    folder.write("oathkeeper.yml", &format!("mutators:\n{hydrator}{RULES}"));
    service.await_log("access rule orders: mutators.id_token.enabled: expected `true`");
    service.await_log("calls profile id_token, but no access rule defines it any longer");
    for profile in ["people", "id_token", "orders"] {
        assert_eq!(service.status(profile, &session), 200, "{profile}");
    }
    drop(service);

    // After a restart, nothing is left to serve.
    let output = claimsmith(folder.path(), &["serve", "--oathkeeper", "oathkeeper.yml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("calls profile people, but no access rule defines it, so that its requests fail"));

    // With the mutator, the other profiles are served, and the lost one is reported.
    folder.write("oathkeeper.yml", &both);
    let service = serve(&folder, "oathkeeper.yml");
    assert_eq!(service.status("people", &session), 404);
    assert_eq!(service.status("id_token", &session), 200);
    assert!(service.faults("oathkeeper").unwrap().contains("calls profile people"));
    assert!(service.has_logged("calls profile people, but no access rule defines it, so that its requests fail"));

    // The rule as it was brings the profile back.
    write_people(&folder, PEOPLE);
    service.await_log("the Oathkeeper configuration is served completely again");
    assert_eq!(service.claims("people", &session)["team"], "blue");
    assert_eq!(service.faults("oathkeeper"), None);
}

#[test]
fn broken_rules_and_missing_files_do_not_stop_the_others() {
    let folder = folder();
    let rules = "access_rules:\n  repositories: [rules.yml, missing.yml]\n";
    folder.write("oathkeeper.yml", &(quickstart(&folder) + rules));
    write_people(&folder, "{ handler: id_token, config: { aud: [people] } }");
    let output = claimsmith(folder.path(), &["check", "--oathkeeper", "oathkeeper.yml"]);
    assert_eq!(output.status.code(), Some(1));
    for part in ["access rule people: rules.yml: [0].mutators[0].config.aud: expected one of", "rules at missing.yml"] {
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    let service = serve(&folder, "oathkeeper.yml");
    let session = json!({"subject": "zoe", "extra": {"team": "blue"}});
    assert_eq!(service.status("orders", &session), 200);
    assert_eq!(service.status("people", &session), 404);
    let faults = service.faults("oathkeeper").unwrap();
    assert!(faults.contains("access rule people") && faults.contains("missing.yml"), "{faults}");
    assert!(service.has_logged("access rule people"));
    assert!(service.metrics().contains("claimsmith_oathkeeper_faults 2\n"), "{}", service.metrics());

    // A repaired rule is served, and keeps its configuration when it is broken again.
    write_people(&folder, PEOPLE);
    service.await_log("reloaded");
    assert_eq!(service.claims("people", &session)["team"], "blue");
    write_people(&folder, "{ handler: id_token, config: { claims: '{\"team\": {{ }' } }");
    service.await_log("profile people keeps the configuration that it had");
    assert_eq!(service.claims("people", &session)["team"], "blue");
    // A file that is complete again is served.
    folder.write("missing.yml", "- { id: late, mutators: [{ handler: id_token, config: { ttl: 3m } }] }\n");
    write_people(&folder, PEOPLE);
    service.await_log("the Oathkeeper configuration is served completely again");
    assert_eq!(service.status("late", &session), 200);
}

#[test]
fn settings_of_profiles_come_from_the_environment_and_a_file() {
    let folder = folder();
    folder.write("oathkeeper.yml", &(quickstart(&folder) + RULES));
    write_people(&folder, PEOPLE);
    let never = json!({"subject": "zoe", "extra": {"team": "blue", "expires_at": "never"}});
    let zero = json!({"subject": "zoe", "extra": {"team": "blue", "expires_at": "0001-01-01T00:00:00Z"}});
    let nobody = json!({"subject": "", "extra": {"team": "blue"}});
    let service = serve(&folder, "oathkeeper.yml");
    for (session, advice) in [
        (&never, "CLAIMSMITH_PROFILES_<NAME>_EXPIRES_WITH"),
        (&nobody, "CLAIMSMITH_PROFILES_<NAME>_ALLOW_EMPTY_SUBJECT"),
        (&zero, "found zero or a time before 1970 at Extra.expires_at"),
    ] {
        let answer = send(service.api, &post("/hydrate/people", &[], session.to_string().as_bytes()));
        assert_eq!(answer.status, 422);
        assert!(answer.text().contains(advice), "{}", answer.text());
    }
    drop(service);

    let variables = [
        ("CLAIMSMITH_PROFILES_PEOPLE_EXPIRES_WITH", "none"),
        ("CLAIMSMITH_PROFILES_PEOPLE_ALLOW_EMPTY_SUBJECT", "true"),
    ];
    let service = serve_with(&folder, &["--oathkeeper", "oathkeeper.yml"], &variables);
    assert_eq!(service.claims("people", &never)["team"], "blue");
    assert_eq!(service.claims("people", &nobody)["sub"], "");
    assert_eq!(service.status("orders", &never), 422, "other profiles stay as they are");
    drop(service);

    folder.write(
        "settings.yaml",
        "profiles:\n  people: { expires_with: none, ttl: 1m, audience: [people] }\n  orders: { cache: off }\n",
    );
    let service = serve_with(&folder, &["--oathkeeper", "oathkeeper.yml", "--config", "settings.yaml"], &[]);
    let claims = service.claims("people", &never);
    assert_eq!((&claims["team"], &claims["aud"]), (&json!("blue"), &json!(["people"])));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    drop(service);

    // Settings of a rule that is broken or gone for the time being do not stop the others.
    for mutators in ["{ handler: id_token, config: { aud: x } }", PEOPLE_CHANGED] {
        write_people(&folder, mutators);
        let service = serve_with(&folder, &["--oathkeeper", "oathkeeper.yml", "--config", "settings.yaml"], &variables);
        assert_eq!(service.status("orders", &json!({"subject": "zoe"})), 200);
    }
    let mut unknown = command(folder.path());
    unknown.args(["check", "--oathkeeper", "oathkeeper.yml"]).env("CLAIMSMITH_PROFILES_PEPLE_TTL", "1m");
    let output = unknown.output().unwrap();
    assert!(stderr(&output).contains("did you mean") || stderr(&output).contains("known: "), "{}", stderr(&output));
}

#[test]
fn several_files_and_rule_objects_are_served() {
    let folder = folder();
    folder.write("oathkeeper.yml", &quickstart(&folder));
    folder.write("more.yml", "mutators: { id_token: { config: { ttl: 5m } } }\n");
    folder.write(
        "rule.yaml",
        "apiVersion: oathkeeper.ory.sh/v1alpha1\nkind: Rule\nmetadata: { name: people, namespace: shop }\n\
         spec: { mutators: [{ handler: id_token, config: { ttl: 1m } }] }\n",
    );
    let files = ["--oathkeeper", "oathkeeper.yml", "--oathkeeper", "more.yml", "--oathkeeper", "rule.yaml"];
    let service = serve_with(&folder, &files, &[]);
    let session = json!({"subject": "zoe", "extra": {}});
    for (profile, seconds) in [("id_token", 300), ("people.shop", 60)] {
        let claims = service.claims(profile, &session);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), seconds, "{profile}");
    }
    let output =
        claimsmith(folder.path(), &["import", "oathkeeper", "oathkeeper.yml", "more.yml", "rule.yaml", "--out", "new"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = fs::read_to_string(folder.path().join("new/REPORT.md")).unwrap();
    assert!(report.contains("| people.shop | `/hydrate/people.shop` |"), "{report}");
}

#[test]
fn template_that_never_makes_claims_fails_the_check() {
    let folder = folder();
    folder.write("oathkeeper.yml", &quickstart(&folder).replace("{{ .Extra | toJson }}", ""));
    let output = claimsmith(folder.path(), &["check", "--oathkeeper", "oathkeeper.yml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("makes no claims for any of"), "{}", stderr(&output));
    // Claims that depend on the session are only noted.
    let text = quickstart(&folder).replace("{{ .Extra | toJson }}", "{{ (index .Extra.rows 0).name | toJson }}");
    folder.write("oathkeeper.yml", &text);
    let output = claimsmith(folder.path(), &["check", "--oathkeeper", "oathkeeper.yml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("note: template id_token"), "{}", stderr(&output));
}

#[test]
fn rules_with_unusable_keys_do_not_stop_the_others() {
    let folder = folder();
    folder.write("oathkeeper.yml", &(quickstart(&folder) + RULES));
    let rules = |keys: &str| {
        let rule = |id: &str, more: &str| {
            format!(
                "- {{ id: {id}, match: {{ url: 'http://gw/{id}' }}, mutators: [{{ handler: id_token, config: {{ ttl: 2m{more} \
                 }} }}] }}\n"
            )
        };
        folder.write("rules.yml", &(rule("orders", "") + &rule("b", &format!(", jwks_url: '{keys}'"))));
    };
    let session = json!({"subject": "zoe"});
    folder.write("bad.json", "{");
    folder.write("empty.json", "{\"keys\": []}");
    for keys in ["file://missing.json", "bad.json", "empty.json", "http://127.0.0.1:9/keys.json"] {
        rules(keys);
        let output = claimsmith(folder.path(), &["check", "--oathkeeper", "oathkeeper.yml"]);
        assert_eq!(output.status.code(), Some(1), "{keys}");
        let service = serve(&folder, "oathkeeper.yml");
        assert_eq!((service.status("orders", &session), service.status("b", &session)), (200, 404), "{keys}");
        let faults = service.faults("oathkeeper").unwrap();
        assert!(faults.contains("profile b, which serves the access rule b, is not served"), "{keys}: {faults}");
    }
    // Keys that are there later are used, and kept if they are gone again.
    rules("file://late.json");
    let service = serve(&folder, "oathkeeper.yml");
    assert_eq!(service.status("b", &session), 404);
    fs::copy(folder.path().join("id_token.jwks.json"), folder.path().join("late.json")).unwrap();
    service.await_log("the Oathkeeper configuration is served completely again");
    assert_eq!(service.status("b", &session), 200);
    fs::remove_file(folder.path().join("late.json")).unwrap();
    service.await_log("profile b, which serves the access rule b, keeps the keys that it had");
    assert_eq!(service.status("b", &session), 200);
    rules("http://127.0.0.1:9/keys.json");
    service.await_log("profile b, which serves the access rule b, keeps the configuration that it had");
    assert_eq!((service.status("orders", &session), service.status("b", &session)), (200, 200));
    rules("bad.json");
    fs::remove_file(folder.path().join("id_token.jwks.json")).unwrap();
    service.await_log("profile orders, which serves the access rule orders, keeps the keys that it had");
    assert_eq!((service.status("orders", &session), service.status("b", &session)), (200, 200));
    drop(service);
    let output = claimsmith(folder.path(), &["serve", "--oathkeeper", "oathkeeper.yml"]);
    assert_eq!(output.status.code(), Some(78), "nothing is left");
    assert!(stderr(&output).contains("make one: claimsmith keys generate"), "{}", stderr(&output));
}

#[test]
fn settings_without_a_rule_do_not_stop_the_others() {
    let folder = folder();
    folder.write("oathkeeper.yml", &(quickstart(&folder) + RULES));
    folder.write("settings.yaml", "profiles:\n  gone: { cache: off }\n  orders: { ttl: 1m }\n");
    write_people(&folder, PEOPLE);
    let arguments = ["--oathkeeper", "oathkeeper.yml", "--config", "settings.yaml"];
    let variables = [("CLAIMSMITH_PROFILES_PAST_TTL", "1m"), ("CLAIMSMITH_PROFILES_ID_TOKEN_TTL", "3m")];
    let service = serve_with(&folder, &arguments, &variables);
    let session = json!({"subject": "zoe", "extra": {"team": "blue"}});
    let ttl = |service: &Service, profile: &str| {
        let claims = service.claims(profile, &session);
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()
    };
    assert_eq!((ttl(&service, "orders"), ttl(&service, "id_token")), (60, 180));
    let faults = service.faults("oathkeeper").unwrap();
    assert!(faults.contains("profiles.gone: expected a profile that an access rule defines"), "{faults}");
    assert!(faults.contains("CLAIMSMITH_PROFILES_PAST_TTL"), "{faults}");
    // A rule whose name leads to the same variable does not stop the reload, and does not get the setting.
    let rule = "- { id: id.token, mutators: [{ handler: id_token, config: { ttl: 4m } }] }\n\
                - { id: orders, mutators: [{ handler: id_token, config: { aud: x } }] }\n";
    folder.write("rules.yml", rule);
    service.await_log("expected a variable that names one key");
    assert_eq!((ttl(&service, "id_token"), ttl(&service, "id.token"), ttl(&service, "orders")), (180, 240, 60));
    let mut check = command(folder.path());
    check.arg("check").args(arguments).envs(variables);
    assert_eq!(check.output().unwrap().status.code(), Some(1));
}

#[test]
#[cfg(target_os = "linux")]
fn rules_are_read_from_regular_files_only() {
    let folder = folder();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
    assert!(made.success());
    folder.write("large", &" ".repeat((8 << 20) + 1));
    for (file, found) in [
        ("pipe", "something that is not a regular file"),
        ("/dev/zero", "something that is not a regular file"),
        ("large", "a file of more than 8 MiB"),
    ] {
        folder.write("oathkeeper.yml", &(quickstart(&folder) + &RULES.replace("rules.yml", file)));
        let output = claimsmith(folder.path(), &["check", "--oathkeeper", "oathkeeper.yml"]);
        assert_eq!(output.status.code(), Some(1), "{file}");
        assert!(stderr(&output).contains(found), "{file}: {}", stderr(&output));
    }
}

#[test]
fn many_broken_rules_are_not_all_listed() {
    let folder = folder();
    folder.write("oathkeeper.yml", &(quickstart(&folder) + RULES));
    let rule = |number| format!("- {{ id: r{number}, mutators: [{{ handler: id_token, config: {{ aud: x }} }}] }}\n");
    folder.write("rules.yml", &(0..300).map(rule).collect::<String>());
    let output = claimsmith(folder.path(), &["check", "--oathkeeper", "oathkeeper.yml"]);
    assert_eq!(stderr(&output).matches("fault: ").count(), 100);
    assert!(stderr(&output).contains("and 200 more") && stderr(&output).contains("300 faults"), "{}", stderr(&output));
    let service = serve(&folder, "oathkeeper.yml");
    let faults = service.faults("oathkeeper").unwrap();
    assert!(faults.contains("and 200 more") && faults.matches("access rule").count() == 100, "{faults}");
    assert!(service.metrics().contains("claimsmith_oathkeeper_faults 300\n"), "{}", service.metrics());
}
