//! File changes under a running service: it loads valid files, keeps the last good ones otherwise, and reports errors.

use std::fs;
use std::path::Path;

use claimsmith::keys::{self, KeyId, SignatureAlg};
use serde_json::{Value, json};

use crate::support::{
    Folder, NOW, Service, Setup, TestApp, claimsmith, folder_with_keys, post, send, serving_folder, spawn_app, stderr,
    stdout, wait_until,
};

const SESSION: &str = r#"{"subject":"u","extra":{"a":1}}"#;
const FAST: &str = "reload: { interval: 100ms }";

fn app(template: &str) -> TestApp {
    spawn_app(&Setup { template, config: FAST, ..Setup::default() })
}

fn has_metric(app: &TestApp, line: &str) -> bool {
    app.get_admin("/metrics").text().lines().any(|found| found == line)
}

fn kids(app: &TestApp) -> Vec<String> {
    let set = app.get("/p/.well-known/jwks.json").json();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn changed_template_is_reloaded() {
    let app = app("{\"version\": 1}");
    assert_eq!(app.claims(SESSION)["version"], 1);
    app.folder.write("templates/p/claims.hbs", "{\"version\": 2}");
    wait_until(|| app.claims(SESSION)["version"] == 2);
    assert!(has_metric(&app, "claimsmith_generation 2") && has_metric(&app, "claimsmith_reload_refused 0"));
}

#[test]
fn invalid_template_is_rejected_and_reported_by_readiness() {
    let app = app("{\"version\": 1}");
    app.folder.write("templates/p/claims.hbs", "{\"version\": {{Extra.a}");
    wait_until(|| has_metric(&app, "claimsmith_reload_refused 1"));
    assert_eq!(app.claims(SESSION)["version"], 1);
    let ready = app.get_admin("/health/ready");
    assert_eq!(ready.status, 200);
    let fault = ready.json()["reload"]["faults"][0].as_str().unwrap().to_owned();
    assert!(fault.contains("claims.hbs:1:"), "{fault}");
    let asked = claimsmith(Path::new("."), &["health", "--url", &format!("http://{}/health/ready", app.admin)]);
    assert_eq!((asked.status.code(), stdout(&asked).as_str()), (Some(0), "ready\n"));
    let readiness = stderr(&asked);
    assert!(readiness.starts_with("reload, since ") && readiness.contains("claims.hbs:1:"), "{readiness}");
    assert!(has_metric(&app, r#"claimsmith_reloads_total{result="refused"} 1"#), "it is tried once");

    app.folder.write("templates/p/claims.hbs", "{\"version\": 1}");
    wait_until(|| has_metric(&app, "claimsmith_reload_refused 0"));
    assert_eq!(app.get_admin("/health/ready").json(), json!({"status": "ok"}));
    assert!(has_metric(&app, "claimsmith_generation 1"), "what was served needs not be built again");
}

#[test]
fn template_that_breaks_a_recorded_case_is_rejected() {
    let app = spawn_app(&Setup {
        template: "{\"a\": {{Extra.a}}}",
        config: FAST,
        files: &[("templates/p/one.session.json", SESSION), ("templates/p/one.claims.json", "{\"a\": 1}")],
        ..Setup::default()
    });
    app.folder.write("templates/p/claims.hbs", "{\"a\": \"{{Extra.a}}\"}");
    wait_until(|| has_metric(&app, "claimsmith_reload_refused 1"));
    assert_eq!(app.claims(SESSION)["a"], 1);
    app.folder.write("templates/p/one.claims.json", "{\"a\": \"1\"}");
    wait_until(|| app.claims(SESSION)["a"] == "1");
}

#[test]
fn keys_and_partials_are_reloaded_through_volume_symlinks() {
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        let files = &[("templates/_partials/v.hbs", "1")];
        let app = spawn_app(&Setup { template: "{\"v\": {{> v}}}", config: FAST, files, ..Setup::default() });
        let here = app.folder.path();
        for (version, kid) in [("1", "key-a"), ("2", "key-b")] {
            app.folder.write_key(&format!("mounted/..{version}/keys.json"), SignatureAlg::Es256, kid);
        }
        let swap = |version: &str| {
            symlink(format!("..{version}"), here.join("mounted/..next")).unwrap();
            fs::rename(here.join("mounted/..next"), here.join("mounted/..data")).unwrap();
        };
        swap("1");
        symlink("..data/keys.json", here.join("mounted/keys.json")).unwrap();
        let config = fs::read_to_string(here.join("claimsmith.yaml")).unwrap();
        app.folder.write("claimsmith.yaml", &config.replace("jwks: keys.json", "jwks: mounted/keys.json"));
        wait_until(|| kids(&app) == ["key-a"]);
        assert_eq!(app.token(SESSION).kid().as_str(), "key-a");
        swap("2");
        wait_until(|| kids(&app) == ["key-b"]);
        assert_eq!(app.claims(SESSION)["v"], 1);
        app.folder.write("templates/_partials/v.hbs", "2");
        wait_until(|| app.claims(SESSION)["v"] == 2);
    }
}

#[test]
fn templates_are_reloaded_through_volume_symlinks() {
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        // The template directory is a symlink in one volume, and the directory of one template is a volume of its own.
        for (link, target, file) in [
            ("etc/templates", "..data/templates", "templates/p/claims.hbs"),
            ("templates/p/claims.hbs", "..data/claims.hbs", "claims.hbs"),
        ] {
            let app = app("{\"v\": 0}");
            let here = app.folder.path();
            let volume = here.join(link).parent().unwrap().to_path_buf();
            let write = |version: &str| {
                let path = volume.join(format!("..{version}")).join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, format!("{{\"v\": {version}}}")).unwrap();
            };
            let swap = |version: &str| {
                symlink(format!("..{version}"), volume.join("..next")).unwrap();
                fs::rename(volume.join("..next"), volume.join("..data")).unwrap();
            };
            write("1");
            write("2");
            swap("1");
            let _ = fs::remove_file(here.join(link));
            symlink(target, here.join(link)).unwrap();
            let config = fs::read_to_string(here.join("claimsmith.yaml")).unwrap();
            let folder = if link.starts_with("etc") { "templates: etc/templates\n" } else { "" };
            app.folder.write("claimsmith.yaml", &format!("{folder}{config}"));
            wait_until(|| app.claims(SESSION)["v"] == 1);
            swap("2");
            wait_until(|| app.claims(SESSION)["v"] == 2);
        }
    }
}

#[test]
fn missing_or_invalid_key_file_keeps_the_current_keys() {
    let app = app("{}");
    let path = app.folder.path().join("keys.json");
    let good = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    wait_until(|| has_metric(&app, "claimsmith_reload_refused 1"));
    assert_eq!(app.token(SESSION).kid().as_str(), "key-1");
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    wait_until(|| has_metric(&app, r#"claimsmith_reloads_total{result="refused"} 2"#));
    assert_eq!(app.token(SESSION).kid().as_str(), "key-1");
    let readiness = app.get_admin("/health/ready").text();
    assert!(readiness.contains("keys.json"), "{readiness}");
    let secret: Value = serde_json::from_slice(&good).unwrap();
    assert!(!readiness.contains(&secret["keys"][0]["d"].as_str().unwrap()[..8]), "{readiness}");
    fs::write(&path, &good).unwrap();
    wait_until(|| has_metric(&app, "claimsmith_reload_refused 0"));
}

#[test]
fn changed_configuration_updates_profiles_callers_and_limits() {
    let app = app("{}");
    assert_eq!(app.post("/issue/q", SESSION).status, 404);
    let path = app.folder.path().join("claimsmith.yaml");
    let config = fs::read_to_string(&path).unwrap();
    app.folder.write("secret", "a long enough secret");
    app.folder.write(
        "claimsmith.yaml",
        &format!(
            "{config}\ncallers: [{{ name: c, bearer: {{ token_file: secret }} }}]\njwks_max_age: 1m\nlog: {{ level: warn }}\n"
        )
        .replace("profiles:\n", "profiles:\n  q: { issuer: j, jwks: keys.json, template: p }\n"),
    );
    let ask = |token: &str| {
        let header = format!("Bearer {token}");
        send(app.api, &post("/issue/q", &[("Authorization", &header)], SESSION.as_bytes())).status
    };
    wait_until(|| ask("a long enough secret") == 200);
    assert_eq!((ask("another"), app.post("/issue/p", SESSION).status), (401, 401));
    assert_eq!(app.get("/q/.well-known/jwks.json").header("cache-control"), Some("public, max-age=60"));
    app.folder.write("secret", "another long secret");
    wait_until(|| ask("another long secret") == 200);
    assert_eq!(ask("a long enough secret"), 401);
    fs::write(&path, "profiles: {}").unwrap();
    wait_until(|| has_metric(&app, "claimsmith_reload_refused 1"));
    assert_eq!(ask("another long secret"), 200);
}

#[test]
fn sighup_triggers_an_immediate_check() {
    let folder = serving_folder("", "reload: { interval: 1h }");
    folder.write("templates/p/claims.hbs", "{\"v\": 1}");
    let service = Service::start(folder);
    let claims = || {
        let answer = send(service.api, &post("/issue/p", &[], SESSION.as_bytes())).json();
        let set = service.get("/.well-known/jwks.json");
        let token = keys::verify(answer["token"].as_str().unwrap(), &set.body).unwrap();
        serde_json::from_str::<Value>(token.claims()).unwrap()
    };
    assert_eq!(claims()["v"], 1);
    // The service checks once right after its start. On a busy machine that check can be late.
    std::thread::sleep(std::time::Duration::from_secs(1));
    service.folder.write("templates/p/claims.hbs", "{\"v\": 2}");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(claims()["v"], 1);
    service.signal("HUP");
    wait_until(|| claims()["v"] == 2);
}

#[test]
fn service_rotates_its_key_file() {
    let app = spawn_app(&Setup {
        template: "{}",
        profile: "    ttl: 10m",
        config: "rotation: { every: 24h, lead: 1h }\nreload: { interval: 100ms }",
        ..Setup::default()
    });
    // The first key has no nbf, so its age is unknown and the next key is due immediately.
    wait_until(|| kids(&app).len() == 2);
    assert_eq!(app.token(SESSION).kid().as_str(), "key-1");
    let set: Value = serde_json::from_slice(&fs::read(app.folder.path().join("keys.json")).unwrap()).unwrap();
    let second = set["keys"][1]["kid"].as_str().unwrap().to_owned();
    assert_eq!(set["keys"][1]["nbf"], NOW + 3600);
    app.clock.set(NOW + 3599);
    assert_eq!(app.token(SESSION).kid().as_str(), "key-1");
    app.clock.set(NOW + 3600);
    assert_eq!(app.token(SESSION).kid().as_str(), second);
    assert!(has_metric(&app, r#"claimsmith_key_rotations_total{result="rotated"} 1"#));

    let end_of_second = NOW + 3600 + 24 * 3600;
    app.clock.set(end_of_second - 3601);
    assert_eq!(app.token(SESSION).kid().as_str(), second);
    app.clock.set(end_of_second - 3600);
    wait_until(|| kids(&app).len() == 2 && !kids(&app).contains(&"key-1".to_owned()));
    let set: Value = serde_json::from_slice(&fs::read(app.folder.path().join("keys.json")).unwrap()).unwrap();
    assert_eq!(set["keys"].as_array().unwrap().len(), 2, "the dead key is dropped from the file");
}

#[test]
fn unusable_key_set_member_is_counted() {
    let app = app("{}");
    assert!(app.get_admin("/metrics").text().contains("keys.json\"} 0"));
    let path = app.folder.path().join("keys.json");
    let mut set: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    set["keys"].as_array_mut().unwrap().push(json!({"kty": "quantum", "kid": "odd"}));
    fs::write(&path, set.to_string()).unwrap();
    wait_until(|| has_metric(&app, "claimsmith_generation 2"));
    let line = format!("claimsmith_keys_skipped{{set=\"{}\"}} 1", path.display());
    assert!(has_metric(&app, &line), "{line}");
}

#[test]
fn one_of_several_services_on_a_volume_rotates() {
    let shared = Folder::new();
    let keys = shared.write_key("keys.json", SignatureAlg::Es256, "first");
    let services: Vec<Service> = (0..3)
        .map(|_| {
            let config = "reload: { interval: 100ms }\nrotation: { every: 24h, lead: 1h }";
            Service::start(folder_with_keys(&keys.display().to_string(), "", config))
        })
        .collect();
    let published = |service: &Service| {
        let set = service.get("/.well-known/jwks.json").json();
        set["keys"].as_array().unwrap().len()
    };
    wait_until(|| services.iter().all(|service| published(service) == 2));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(services.iter().all(|service| published(service) == 2));
    let set: Value = serde_json::from_slice(&fs::read(&keys).unwrap()).unwrap();
    assert_eq!(set["keys"].as_array().unwrap().len(), 2, "one of them added one key");
}

#[test]
fn failed_rotation_is_reported_and_issuing_continues() {
    let app = spawn_app(&Setup { template: "{}", config: FAST, ..Setup::default() });
    // A directory in place of the lock file blocks all users, including root.
    fs::create_dir(app.folder.path().join(".keys.json.lock")).unwrap();
    let config = fs::read_to_string(app.folder.path().join("claimsmith.yaml")).unwrap();
    app.folder.write("claimsmith.yaml", &format!("{config}\nrotation: {{ every: 24h, lead: 1h }}\n"));
    wait_until(|| has_metric(&app, "claimsmith_key_rotation_refused 1"));
    let ready = app.get_admin("/health/ready").json();
    assert!(ready["rotation"]["faults"][0].as_str().unwrap().contains(".keys.json.lock"), "{ready}");
    assert_eq!(app.token(SESSION).kid().as_str(), "key-1");
    fs::remove_dir(app.folder.path().join(".keys.json.lock")).unwrap();
    wait_until(|| kids(&app).len() == 2);
    wait_until(|| app.get_admin("/health/ready").json() == json!({"status": "ok"}));
}

#[test]
fn unused_algorithms_and_symmetric_keys_are_not_rotated() {
    let mut keys = Vec::new();
    for (alg, kid) in [(SignatureAlg::EdDsa, "ed"), (SignatureAlg::Hs256, "hs"), (SignatureAlg::Es256, "es")] {
        let set: Value =
            serde_json::from_str(keys::generate(alg, None, &KeyId::parse(kid).unwrap()).unwrap().to_set()).unwrap();
        keys.push(set["keys"][0].clone());
    }
    let set = json!({ "keys": keys }).to_string();
    let app = spawn_app(&Setup {
        template: "{}",
        profile: "  q: { issuer: i, jwks: keys.json, alg: HS256, template: p }",
        config: "rotation: { every: 24h, lead: 1h }\nreload: { interval: 100ms }",
        files: &[("keys.json", set.as_str())],
        ..Setup::default()
    });
    wait_until(|| kids(&app).len() == 3);
    std::thread::sleep(std::time::Duration::from_millis(500));
    let set: Value = serde_json::from_slice(&fs::read(app.folder.path().join("keys.json")).unwrap()).unwrap();
    let algs: Vec<_> = set["keys"].as_array().unwrap().iter().map(|key| key["alg"].as_str().unwrap()).collect();
    assert_eq!(algs, ["EdDSA", "HS256", "ES256", "ES256"]);
}
