//! Failures around the service: disks, files, descriptors, clocks, the process itself. The last good state stays in
//! use, and the failure is reported.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use claimsmith::keys::{self, KeySet, SignatureAlg};
use claimsmith::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::fake_kratos::{FakeKratos, identity, session};
use crate::session_sources;
use crate::support::{
    Folder, NOW, Service, Setup, TestApp, claimsmith, command, command_after, connect, folder_with_keys, post, send,
    serving_folder, spawn_app, stderr, stdout, wait_until,
};

const SESSION: &[u8] = br#"{"subject":"u"}"#;
/// Has the effect of a full disk, for root too: no file can grow.
const FULL: &str = "trap '' XFSZ && ulimit -f 0";

/// Creates a directory that can be served by one worker, with these lines of configuration.
fn folder(config: &str) -> Folder {
    let folder = serving_folder("workers: 1", config);
    folder.write("templates/p/claims.hbs", "{\"v\": 1}");
    folder
}

/// Requests a token, verifies it with the published keys and returns its claims.
fn claims(service: &Service) -> Value {
    let answer = send(service.api, &post("/issue/p", &[], SESSION)).json();
    let token = keys::verify(answer["token"].as_str().unwrap(), &service.get("/.well-known/jwks.json").body).unwrap();
    serde_json::from_str(token.claims()).unwrap()
}

fn has_metric(app: &TestApp, line: &str) -> bool {
    app.get_admin("/metrics").text().lines().any(|found| found == line)
}

fn files_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn full_disk_fails_manual_rotation_and_keeps_the_key_file() {
    let folder = folder("");
    let path = folder.path().join("keys.json");
    let before = fs::read(&path).unwrap();
    let rotate = |command: &mut std::process::Command| command.args(["keys", "rotate", "keys.json"]).output().unwrap();
    let refused = rotate(&mut command_after(folder.path(), FULL));
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("File too large"), "{}", stderr(&refused));
    assert_eq!(fs::read(&path).unwrap(), before);
    let names = files_in(folder.path());
    assert!(names.iter().all(|name| name == ".keys.json.lock" || !name.starts_with('.')), "half a file: {names:?}");
    let done = rotate(&mut command(folder.path()));
    assert!(done.status.success(), "{}", stderr(&done));
}

#[test]
fn full_disk_keeps_issuing_and_reports_the_failed_rotation() {
    let folder = folder("rotation: { every: 24h, lead: 1h }\nreload: { interval: 100ms }");
    let before = fs::read(folder.path().join("keys.json")).unwrap();
    let service = Service::start_after(folder, FULL);
    wait_until(|| service.get_admin("/health/ready").text().contains("\"rotation\":{\"since\""));
    let ready = service.get_admin("/health/ready");
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("File too large"), "{}", ready.text());
    assert_eq!(claims(&service)["v"], 1);
    assert_eq!(fs::read(service.folder.path().join("keys.json")).unwrap(), before);
    assert!(service.has_logged("cannot rotate key file"));
}

#[test]
fn full_disk_keeps_issuing_and_reports_the_audit_log() {
    let folder = folder("audit: { to: 'file://audit.jsonl' }\nreload: { interval: 100ms }");
    // A file that cannot grow fails like a full disk.
    let mut service = Service::start_after(folder, "trap '' XFSZ && ulimit -f 1");
    let issue = || assert_eq!(send(service.api, &post("/issue/p", &[], br#"{"subject":"u"}"#)).status, 200);
    (0..8).for_each(|_| issue());
    wait_until(|| !service.get_admin("/health/ready").json()["audit"].is_null());
    assert!(!service.get_admin("/metrics").text().contains("claimsmith_audit_lines_lost_total 0\n"));
    issue();
    assert_eq!(service.get_admin("/health/ready").status, 200);
    let stopped = Instant::now();
    service.signal("TERM");
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    assert!(stopped.elapsed() < Duration::from_secs(10));
}

#[test]
fn blocked_audit_reader_does_not_delay_requests() {
    let folder = folder("audit: { to: stdout }");
    let mut command = command(folder.path());
    // The pipe is full after about two hundred lines, because nothing reads from it.
    let service = Service::run(folder, {
        command.stdout(Stdio::piped());
        command
    });
    for index in 0..500 {
        let session = format!("{{\"subject\":\"u{index}\"}}");
        assert_eq!(send(service.api, &post("/issue/p", &[], session.as_bytes())).status, 200);
    }
}

#[test]
fn unavailable_trace_collector_does_not_delay_requests() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, is_refused) in [(nobody, true), (silent.local_addr().unwrap(), false)] {
        let config = format!("traces: {{ endpoint: 'http://{address}/v1/traces' }}");
        let folder = folder(&config);
        let service = Service::start(folder);
        for _ in 0..50 {
            let start = Instant::now();
            assert_eq!(send(service.api, &post("/issue/p", &[], SESSION)).status, 200);
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        }
        if is_refused {
            wait_until(|| service.get_admin("/metrics").text().contains("claimsmith_trace_spans_lost_total 50\n"));
        }
    }
}

/// Damage to a file while the service runs.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Deleted,
    Emptied,
    Halved,
    /// A directory replaces the file. It is unreadable for all users, including root.
    Unreadable,
}

impl Damage {
    fn apply(self, path: &Path, good: &[u8]) {
        match self {
            Damage::Deleted => fs::remove_file(path).unwrap(),
            Damage::Emptied => fs::write(path, "").unwrap(),
            Damage::Halved => fs::write(path, &good[..good.len() / 2]).unwrap(),
            Damage::Unreadable => {
                let _ = fs::remove_file(path);
                fs::create_dir(path).unwrap();
            }
        }
    }
}

/// Damages each of `files` in each way. `is_served` checks each time that the last good state is still served.
fn damage_each(app: &TestApp, files: &[(&str, &[Damage])], is_served: impl Fn() -> bool) {
    let mut refused = 0;
    for (name, kinds) in files {
        let path = app.folder.path().join(name);
        let good = fs::read(&path).unwrap();
        for damage in *kinds {
            damage.apply(&path, &good);
            refused += 1;
            let line = format!("claimsmith_reloads_total{{result=\"refused\"}} {refused}");
            wait_until(|| has_metric(app, &line));
            assert!(is_served(), "{name} {damage:?}");
            let ready = app.get_admin("/health/ready");
            let file = name.rsplit('/').next().unwrap();
            assert!(ready.text().contains(file) && ready.status == 200, "{name} {damage:?}: {}", ready.text());
            assert!(has_metric(app, "claimsmith_reload_refused 1"), "{name} {damage:?}");
        }
        let _ = fs::remove_dir(&path);
        fs::write(&path, &good).unwrap();
        wait_until(|| has_metric(app, "claimsmith_reload_refused 0"));
        assert!(is_served(), "{name}");
    }
    assert_eq!(app.get_admin("/health/ready").json(), json!({"status": "ok"}));
    assert!(has_metric(app, "claimsmith_generation 1"), "nothing else was ever served");
}

const ALL: &[Damage] = &[Damage::Deleted, Damage::Emptied, Damage::Halved, Damage::Unreadable];

#[test]
fn last_good_files_are_served_and_readiness_names_the_broken_one() {
    let app = spawn_app(&Setup {
        template: "{\"session\": {{Extra}}}",
        config: "callers: [{ name: c, bearer: { token_file: secret.txt } }]\nreload: { interval: 100ms }",
        files: &[("secret.txt", "a-token-of-some-length")],
        ..Setup::default()
    });
    let right = [("Authorization", "Bearer a-token-of-some-length")];
    // A truncated secret is still a valid secret. The service can only detect an empty or unreadable one.
    let secret = &[Damage::Deleted, Damage::Emptied, Damage::Unreadable];
    let files =
        [("keys.json", ALL), ("templates/p/claims.hbs", ALL), ("claimsmith.yaml", ALL), ("secret.txt", &secret[..])];
    damage_each(&app, &files, || send(app.api, &post("/issue/p", &right, SESSION)).status == 200);
}

#[test]
fn partial_secret_is_loaded_but_rename_is_atomic() {
    let app = spawn_app(&Setup {
        template: "{}",
        config: "callers: [{ name: c, bearer: { token_file: secret.txt } }]\nreload: { interval: 100ms }\n\
                 limits: { failed_attempts: 1000000 }",
        files: &[("secret.txt", "a-token-of-some-length"), ("next.txt", "another-token-of-some-length")],
        ..Setup::default()
    });
    let ask = |token: &str| {
        let header = format!("Bearer {token}");
        send(app.api, &post("/issue/p", &[("Authorization", &header)], SESSION)).status
    };
    app.folder.write("secret.txt", "a-token-of");
    wait_until(|| ask("a-token-of-some-length") == 401);
    assert_eq!(ask("a-token-of"), 200);
    fs::rename(app.folder.path().join("next.txt"), app.folder.path().join("secret.txt")).unwrap();
    wait_until(|| ask("another-token-of-some-length") == 200);
    assert_eq!(ask("a-token-of"), 401);
}

#[test]
fn last_good_certificate_is_served_when_files_break() {
    let (certificate, key) = crate::tls::server_pair();
    let app = spawn_app(&Setup {
        template: "{}",
        config: "serve: { api: { tls: { cert_file: tls.crt, key_file: tls.key } } }\nreload: { interval: 100ms }",
        files: &[("tls.crt", &certificate), ("tls.key", &key)],
        ..Setup::default()
    });
    damage_each(&app, &[("tls.crt", ALL), ("tls.key", ALL)], || crate::tls::is_served(app.api));
}

#[test]
fn set_with_duplicate_members_or_mismatched_key_pair_is_not_loaded() {
    let app = spawn_app(&Setup { template: "{}", config: "reload: { interval: 100ms }", ..Setup::default() });
    for set in [crate::remote::twice("key-2"), crate::remote::mixed("key-2")] {
        app.folder.write("keys.json", &set);
        wait_until(|| app.get_admin("/health/ready").text().contains("keys.json"));
        assert_eq!(app.token(r#"{"subject":"u"}"#).kid().as_str(), "key-1");
        app.folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
        wait_until(|| app.get_admin("/health/ready").json() == json!({"status": "ok"}));
    }
}

/// Returns the processor time of a process in seconds.
fn processor_time(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // utime and stime, in hundredths of a second on each Linux that Rust supports.
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) as f64 / 100.0
}

#[test]
fn descriptor_exhaustion_neither_spins_nor_stops_the_service() {
    let folder = folder("limits: { request: 60s }\nreload: { interval: 100ms }");
    let mut service = Service::start_after(folder, "ulimit -n 64");
    assert!(service.has_logged("limits.connections: expected at least"), "{}", service.log.lock().unwrap());
    assert_eq!(claims(&service)["v"], 1);
    let held: Vec<TcpStream> = (0..100).map(|_| connect(service.api)).collect();
    wait_until(|| service.has_logged("Error accepting connection: "));
    service.folder.write("templates/p/claims.hbs", "{\"v\": 2}");
    wait_until(|| service.has_logged("reload rejected"));
    assert!(service.has_logged("os error 24"), "{}", service.log.lock().unwrap());
    let (before, start) = (processor_time(service.child.id()), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let share = (processor_time(service.child.id()) - before) / start.elapsed().as_secs_f64();
    assert!(share < 0.5, "it takes {share} of a core while it can do nothing");
    assert!(service.child.try_wait().unwrap().is_none(), "it lives");
    drop(held);
    wait_until(|| claims(&service)["v"] == 2);
    wait_until(|| service.get_admin("/health/ready").text() == "{\"status\":\"ok\"}");
}

#[test]
fn service_raises_the_descriptor_limit() {
    let service = Service::start_after(folder(""), "ulimit -Sn 256");
    let limits = fs::read_to_string(format!("/proc/{}/limits", service.child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(words[0] > 1024 || words[0] == words[1], "{line}");
    assert_eq!(words[0] < 1344, service.has_logged("limits.connections: expected at least"), "{line}");
}

#[test]
fn clock_jumps_of_an_hour_leave_each_token_verifiable() {
    let app = spawn_app(&Setup {
        template: "{}",
        profile: "    ttl: 10m",
        config: "rotation: { every: 24h, lead: 2h }\nreload: { interval: 100ms }",
        ..Setup::default()
    });
    let file = app.folder.path().join("keys.json");
    let count = || KeySet::parse(&fs::read(&file).unwrap()).unwrap().signing_keys().count();
    wait_until(|| count() == 2);
    wait_until(|| app.get("/.well-known/jwks.json").json()["keys"].as_array().unwrap().len() == 2);
    let session = r#"{"subject":"u"}"#;
    for now in [NOW, NOW + 3600, NOW, NOW - 3600, NOW, NOW + 7199, NOW + 3599, NOW + 7200, NOW + 3600, NOW + 7200] {
        app.clock.set(now);
        // `token` verifies the token with the keys that are published at that time.
        let token = app.token(session);
        let claims: Value = serde_json::from_str(token.claims()).unwrap();
        let issued = claims["iat"].as_i64().unwrap();
        assert!(issued <= now && claims["nbf"].as_i64().unwrap() <= now, "from the future at {}: {claims}", now - NOW);
        assert!(claims["exp"].as_i64().unwrap() > now, "ended at {}: {claims}", now - NOW);
        assert_eq!(token.kid().as_str() == "key-1", now < NOW + 7200, "the key of its time signs at {}", now - NOW);
        assert_eq!(count(), 2, "no further rotation is due");
    }
    assert_eq!(app.get_admin("/health/ready").json(), json!({"status": "ok"}));
}

#[test]
fn clock_jumps_do_not_throttle_callers() {
    let app = spawn_app(&Setup {
        template: "{}",
        config: "callers: [{ name: c, bearer: { token_file: t }, limits: { rate: 1/h, burst: 3 } }]\n\
                 limits: { failed_attempts: 2, failed_delay: 1ms }",
        files: &[("t", "a-token-of-some-length")],
        ..Setup::default()
    });
    let ask = |token: &str| {
        let header = format!("Bearer {token}");
        let answer = send(app.api, &post("/issue/p", &[("Authorization", &header)], SESSION));
        (answer.status, answer.json()["type"].as_str().unwrap_or_default().to_owned())
    };
    let right = || ask("a-token-of-some-length");
    for _ in 0..3 {
        ask("wrong");
    }
    assert_eq!(ask("wrong").1, "caller.slowed");
    app.clock.set(NOW - 3600);
    assert_eq!(right().0, 200, "right credentials are never slowed");
    assert_eq!(ask("wrong").1, "caller.slowed", "a step back forgives nothing");
    app.clock.set(NOW - 3600 + 60);
    assert_eq!(ask("wrong").1, "caller.unauthenticated", "and is over a minute later");
    // Rate limits use the monotonic clock, which cannot be set.
    app.clock.set(NOW + 3600);
    assert_eq!([right().0, right().0], [200, 200]);
    assert_eq!(right().1, "caller.rate");
    app.clock.set(NOW + 8 * 3600);
    assert_eq!(right().1, "caller.rate");
}

/// Sends SIGKILL at moments throughout a startup with a rotation, and often shortly after the first write.
#[test]
fn killed_service_leaves_a_usable_key_file() {
    let folder = folder("rotation: { every: 24h, lead: 1h }\nreload: { interval: 100ms }");
    let path = folder.path().join("keys.json");
    let base = fs::read(&path).unwrap();
    let run = || command(folder.path()).arg("serve").stderr(Stdio::null()).spawn().unwrap();
    let has_rotated = || KeySet::parse(&fs::read(&path).unwrap()).unwrap().signing_keys().count() == 2;
    let lock = folder.path().join(".keys.json.lock");
    let start = Instant::now();
    let mut first = run();
    wait_until(has_rotated);
    let typical = start.elapsed();
    first.kill().unwrap();
    first.wait().unwrap();
    let (mut random, mut after) = (0x2545_f491_4f6c_dd1d_u64, 0);
    for round in 0..16 {
        fs::write(&path, &base).unwrap();
        fs::remove_file(&lock).unwrap();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut child = run();
        let chance = (random >> 11) as f64 / (1_u64 << 53) as f64;
        match round {
            // The first two kills are before and after the rotation, however slow the machine is.
            0 => {}
            1 => wait_until(has_rotated),
            _ if round % 4 == 0 => std::thread::sleep(typical.mul_f64(chance)),
            _ => {
                while !lock.exists() {
                    std::thread::yield_now();
                }
                std::thread::sleep(Duration::from_millis(8).mul_f64(chance));
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let set = KeySet::parse(&fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(set.signer(SystemClock.now(), None).is_ok() && set.skipped().is_empty(), "round {round}");
        after += usize::from(has_rotated());
        if !lock.exists() {
            fs::write(&lock, "").unwrap();
        }
    }
    assert!((1..16).contains(&after), "{after} of 16 kills came after the rotation: they show nothing");
    let service = Service::start(folder);
    assert_eq!(claims(&service)["v"], 1);
    let names = files_in(service.folder.path());
    assert!(names.len() < 8, "what kills left behind piles up: {names:?}");
}

#[test]
fn missing_root_certificates_affect_only_https() {
    let bare = |folder: &Folder| {
        let mut command = command(folder.path());
        command.env("SSL_CERT_FILE", "/nowhere/roots.pem").env("SSL_CERT_DIR", "/nowhere");
        command
    };
    let output = bare(&folder("")).args(["demo", "--once"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let files = folder("traces: { endpoint: 'http://127.0.0.1:9/v1/traces' }");
    let command = bare(&files);
    let service = Service::run(files, command);
    assert_eq!(claims(&service)["v"], 1);
    let url = format!("http://{}/health/ready", service.admin);
    let health = bare(&service.folder).args(["health", "--url", &url]).output().unwrap();
    assert_eq!(stdout(&health), "ready\n", "{}", stderr(&health));

    let kratos = FakeKratos::start();
    let mut endless = identity("i-1");
    endless.as_object_mut().unwrap().remove("expires_at");
    kratos.will_send(session(&endless));
    let files = folder(&format!(
        "callers: [{{ name: proxy, networks: 127.0.0.1 }}]\nsources: {{ {} }}\n\
         checks: {{ web: {{ sources: kratos, profile: p }} }}",
        kratos.source("")
    ));
    let command = bare(&files);
    let service = Service::run(files, command);
    assert_eq!(send(service.api, &session_sources::request(session_sources::COOKIE)).status, 200);

    let remote = folder_with_keys("https://127.0.0.1:9/keys.json", "", "");
    let output = bare(&remote).arg("serve").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("expected root certificates of the system"), "{}", stderr(&output));
    assert!(!claimsmith(remote.path(), &["check"]).status.success());
}

#[test]
fn pipe_in_place_of_a_key_file_stops_neither_reloads_nor_the_shutdown() {
    let folder = folder("reload: { interval: 100ms }");
    let config = fs::read_to_string(folder.path().join("claimsmith.yaml")).unwrap();
    folder.write(
        "claimsmith.yaml",
        &config.replace("profiles: {", "profiles: { q: { issuer: i, jwks: q.json, template: p },"),
    );
    folder.write_key("q.json", SignatureAlg::Es256, "q-1");
    let mut service = Service::start(folder);
    let path = service.folder.path().join("keys.json");
    let kept = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let ready = || service.get_admin("/health/ready").json();
    wait_until(|| !ready()["files"].is_null());
    let fault = ready()["files"]["faults"][0].as_str().unwrap().to_owned();
    assert!(
        fault.ends_with(
            "keys.json: expected a regular file that can be read, found something that is not a regular file"
        ),
        "{fault}"
    );
    let metrics = || service.get_admin("/metrics").text();
    assert!(metrics().contains("claimsmith_files_failing 1\n"), "{}", metrics());
    service.folder.write_key("q.json", SignatureAlg::Es256, "q-2");
    wait_until(|| service.get("/q/.well-known/jwks.json").text().contains("q-2"));
    assert_eq!(claims(&service)["v"], 1, "the profile with the pipe keeps its keys");
    assert!(ready()["reload"].is_null());

    fs::remove_file(&path).unwrap();
    fs::write(&path, kept).unwrap();
    wait_until(|| ready() == json!({"status": "ok"}));
    assert!(metrics().contains("claimsmith_files_failing 0\n"), "{}", metrics());

    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let stopped = Instant::now();
    service.signal("TERM");
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    assert!(stopped.elapsed() < Duration::from_secs(10));
}

#[test]
fn commands_read_regular_files_only() {
    let folder = folder("");
    let make_pipe = |name: &str| {
        let path = folder.path().join(name);
        let _ = fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    make_pipe("pipe");
    fs::File::create(folder.path().join("large")).unwrap().set_len(2 << 30).unwrap();
    for (file, found) in [
        ("pipe", "something that is not a regular file"),
        ("/dev/zero", "something that is not a regular file"),
        ("templates", "something that is not a regular file"),
        ("large", "a file of more than "),
    ] {
        for arguments in [
            vec!["check", "--config", file],
            vec!["serve", "--config", file],
            vec!["check", "--oathkeeper", file],
            vec!["import", "oathkeeper", file, "--out", "out"],
            vec!["keys", "list", file],
            vec!["keys", "rotate", file],
            vec!["keys", "add", "new.json", "--from", file],
            vec!["render", "--template", file, "--session", "keys.json"],
            vec!["render", "--text", "{}", "--session", file],
            vec!["test", file],
            vec!["verify", "e30.e30.e30", "--jwks", file],
        ] {
            let output = claimsmith(folder.path(), &arguments);
            assert!(matches!(output.status.code(), Some(1 | 78)), "{arguments:?}: {}", stderr(&output));
            assert!(stderr(&output).contains(found), "{arguments:?}: {}", stderr(&output));
        }
    }
    make_pipe(".keys.json.lock");
    let output = claimsmith(folder.path(), &["keys", "rotate", "keys.json"]);
    assert!(stderr(&output).contains("cannot open the lock file"), "{}", stderr(&output));
}
