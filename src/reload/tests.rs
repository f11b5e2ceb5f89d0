//! Tests of reloads.

use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::*;
use crate::keys::{KeyId, SignatureAlg, generate};
use crate::remote::RefreshPolicy;

const NOW: Timestamp = Timestamp::from_seconds(1_768_554_753);

/// A directory with a configuration, and a reloader for it.
struct Fixture {
    directory: PathBuf,
    remote: Arc<RemoteFiles>,
    reloader: Reloader,
}

impl Fixture {
    /// Returns a fixture with the profile `p`, whose key set is `jwks`.
    fn new(jwks: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("claimsmith-reload-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let directory = env::temp_dir().join(name);
        let remote = Arc::new(RemoteFiles::new(&[], RefreshPolicy::default()));
        let reloader = Reloader::new(Box::new(read_config(directory.clone())), Arc::clone(&remote));
        let fixture = Self { directory, remote, reloader };
        fixture.write("claimsmith.yaml", &format!("profiles: {{ p: {{ issuer: i, jwks: '{jwks}' }} }}\n"));
        fixture.write("templates/p/claims.hbs", "{\"v\": 1}");
        fixture
    }

    /// Returns a fixture whose first generation is built.
    fn started() -> Self {
        let mut fixture = Self::new("keys.json");
        fixture.write("keys.json", &key_set("first"));
        assert_eq!(fixture.replaced_kid().as_deref(), Some("first"));
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn check(&mut self) -> ReloadOutcome {
        self.reloader.check(NOW)
    }

    /// Checks once, and returns the `kid` of the new generation; `None` if the outcome is not `Replaced`.
    fn replaced_kid(&mut self) -> Option<String> {
        let ReloadOutcome::Replaced(generation) = self.check() else { return None };
        let profile = generation.mint.profiles().next().unwrap();
        Some(profile.keys().signer(NOW, None).unwrap().kid().as_str().to_owned())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn read_config(directory: PathBuf) -> impl Fn(&mut Files, Option<&Config>) -> Result<Loaded, Vec<BuildFault>> {
    move |files, _| {
        let file = directory.join("claimsmith.yaml");
        let text = files.read_text(&file).map_err(|error| vec![config_fault(&file, &error.to_string())])?;
        Config::parse(&text, &directory, &[]).map_err(|error| vec![config_fault(&file, &error.to_string())])
    }
}

fn config_fault(file: &Path, message: &str) -> BuildFault {
    BuildFault::new(ErrorCode::ConfigInvalid, file.display().to_string(), message)
}

fn key_set(kid: &str) -> String {
    generate(SignatureAlg::Es256, None, &KeyId::parse(kid).unwrap()).unwrap().to_set().to_owned()
}

#[test]
fn unchanged_files_keep_the_generation() {
    let mut fixture = Fixture::started();
    assert!(matches!(fixture.check(), ReloadOutcome::Unchanged));
    let text = fs::read(fixture.path("keys.json")).unwrap();
    fs::remove_file(fixture.path("keys.json")).unwrap();
    fs::write(fixture.path("keys.json"), text).unwrap();
    assert!(matches!(fixture.check(), ReloadOutcome::Unchanged), "a new file with the current content");
}

#[test]
fn changed_content_is_debounced_then_replaces_the_generation() {
    let mut fixture = Fixture::started();
    fixture.write("keys.json", &key_set("second"));
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing));
    assert_eq!(fixture.replaced_kid().as_deref(), Some("second"));
    assert!(matches!(fixture.check(), ReloadOutcome::Unchanged));
}

#[test]
fn unchanged_parts_are_reused_by_the_next_generation() {
    let mut fixture = Fixture::new("keys.json");
    fixture.write("keys.json", &key_set("first"));
    let ReloadOutcome::Replaced(first) = fixture.check() else { panic!("no first generation") };
    fixture.write("templates/p/claims.hbs", "{\"v\": 2}");
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing));
    let ReloadOutcome::Replaced(second) = fixture.check() else { panic!("no second generation") };
    let keys = |generation: &Generation| std::ptr::from_ref(generation.mint.profiles().next().unwrap().keys());
    assert_eq!(keys(&first), keys(&second));
}

#[test]
fn half_written_file_is_never_built() {
    let mut fixture = Fixture::started();
    let next = key_set("second");
    fixture.write("keys.json", &next[..next.len() / 2]);
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing), "half of the file");
    fixture.write("keys.json", &next);
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing), "the file is complete, but differs from before");
    assert_eq!(fixture.replaced_kid().as_deref(), Some("second"));
}

#[test]
fn change_that_is_reverted_while_debouncing_has_no_effect() {
    let mut fixture = Fixture::started();
    let first = fs::read_to_string(fixture.path("keys.json")).unwrap();
    let second = key_set("second");
    fixture.write("keys.json", &second);
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing));
    fixture.write("keys.json", &first);
    assert!(matches!(fixture.check(), ReloadOutcome::Unchanged));
    fixture.write("keys.json", &second);
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing), "the change is new again");
}

#[test]
fn invalid_content_is_rejected_once_and_can_be_restored() {
    let mut fixture = Fixture::started();
    let first = fs::read_to_string(fixture.path("keys.json")).unwrap();
    fixture.write("keys.json", "{\"keys\": []}");
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing));
    let ReloadOutcome::Rejected(error) = fixture.check() else { panic!("an empty key set was not rejected") };
    assert_eq!(error.faults[0].code, ErrorCode::KeySetInvalid);
    assert!(matches!(fixture.check(), ReloadOutcome::Unchanged), "the rejection is reported once");

    fixture.write("keys.json", &first);
    assert!(matches!(fixture.check(), ReloadOutcome::Restored));
    assert!(matches!(fixture.check(), ReloadOutcome::Unchanged));
}

#[test]
fn all_faults_of_one_check_are_reported() {
    let mut fixture = Fixture::started();
    fs::remove_file(fixture.path("keys.json")).unwrap();
    fixture.write("templates/p/claims.hbs", "{\"v\": {{#if}}");
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing));
    let ReloadOutcome::Rejected(error) = fixture.check() else { panic!("two broken files were not rejected") };
    let codes: Vec<ErrorCode> = error.faults.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, [ErrorCode::KeySetInvalid, ErrorCode::TemplateSyntax]);
}

#[test]
fn rejected_content_can_be_replaced_by_valid_content() {
    let mut fixture = Fixture::started();
    fixture.write("claimsmith.yaml", "profiles: {}\n");
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing));
    assert!(matches!(fixture.check(), ReloadOutcome::Rejected(_)));
    fixture.write("claimsmith.yaml", "profiles: { p: { issuer: j, jwks: keys.json } }\n");
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing));
    assert_eq!(fixture.replaced_kid().as_deref(), Some("first"));
}

#[test]
fn missing_key_sets_are_reported_once_and_used_after_the_fetch() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys.json", listener.local_addr().unwrap());
    let mut fixture = Fixture::new(&url);
    let ReloadOutcome::MissingKeySets(wanted) = fixture.check() else { panic!("no key set is missing") };
    assert_eq!(wanted.keys().map(ToString::to_string).collect::<Vec<_>>(), [url]);
    assert!(matches!(fixture.check(), ReloadOutcome::Unchanged), "the missing key set is reported once");

    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let set = key_set("remote");
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{set}", set.len()).unwrap();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(fixture.remote.track_and_fetch(&wanted, Instant::now())).unwrap();
    server.join().unwrap();
    assert_eq!(fixture.replaced_kid().as_deref(), Some("remote"));
}

#[test]
fn first_check_does_not_debounce_and_can_reject() {
    let mut fixture = Fixture::new("keys.json");
    assert!(matches!(fixture.check(), ReloadOutcome::Rejected(_)), "there is no key file");
    fixture.write("keys.json", &key_set("first"));
    assert_eq!(fixture.replaced_kid().as_deref(), Some("first"));
}

#[test]
#[cfg(unix)]
fn symlink_swap_of_a_mounted_volume_is_a_change() {
    use std::os::unix::fs::symlink;
    let mut fixture = Fixture::new("volume/keys.json");
    fixture.write("volume/..1/keys.json", &key_set("first"));
    fixture.write("volume/..2/keys.json", &key_set("second"));
    let swap = |fixture: &Fixture, version: &str| {
        symlink(version, fixture.path("volume/..next")).unwrap();
        fs::rename(fixture.path("volume/..next"), fixture.path("volume/..data")).unwrap();
    };
    swap(&fixture, "..1");
    symlink("..data/keys.json", fixture.path("volume/keys.json")).unwrap();
    assert_eq!(fixture.replaced_kid().as_deref(), Some("first"));
    swap(&fixture, "..2");
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing));
    assert_eq!(fixture.replaced_kid().as_deref(), Some("second"));
}

#[test]
fn longest_ttl_covers_every_path_to_a_file() {
    let fixture = Fixture::started();
    #[cfg(unix)]
    std::os::unix::fs::symlink("keys.json", fixture.path("link.json")).unwrap();
    #[cfg(not(unix))]
    fs::copy(fixture.path("keys.json"), fixture.path("link.json")).unwrap();
    let text =
        "profiles:\n  p: { issuer: i, jwks: keys.json, ttl: 1m }\n  q: { issuer: i, jwks: link.json, ttl: 1h }\n";
    let config = Config::parse(text, &fixture.directory, &[]).unwrap().config;
    let longest = |name: &str| config.longest_ttl(is_same_file(&fixture.path(name))).map(|ttl| ttl.seconds());
    #[cfg(unix)]
    assert_eq!(longest("keys.json"), Some(3600));
    assert_eq!(longest("link.json"), Some(3600));
    assert_eq!(longest("other.json"), None);
}

/// Each file of [`Fixture::with_all_parts`] that can be obstructed.
const PARTS: [&str; 6] = [
    "claimsmith.yaml",
    "keys.json",
    "token",
    "templates/p/claims.hbs",
    "templates/p/one.session.json",
    "templates/_partials/x.hbs",
];

impl Fixture {
    /// Returns a fixture whose first generation has the profiles `p` and `q`, callers, a partial and a recorded case.
    fn with_all_parts() -> Self {
        let mut fixture = Self::new("keys.json");
        let profiles = "profiles: { p: { issuer: i, jwks: keys.json }, q: { issuer: i, jwks: other.json } }\n";
        let callers =
            "callers: [{ name: a, bearer: { token_file: token } }, { name: b, bearer: { token_file: revoked } }]";
        fixture.write("claimsmith.yaml", &format!("{profiles}{callers}\n"));
        fixture.write("templates/q/claims.hbs", "{\"v\": 1}");
        fixture.write("templates/p/one.session.json", "{\"subject\": \"s\"}");
        fixture.write("templates/p/one.claims.json", "{\"v\": 1}");
        fixture.write("templates/_partials/x.hbs", "1");
        fixture.write("token", "a-token-that-is-long-enough");
        fixture.write("revoked", "another-token-that-is-long-enough");
        fixture.write("keys.json", &key_set("first"));
        fixture.write("other.json", &key_set("other"));
        assert!(fixture.replaced_kid().is_some());
        fixture
    }

    /// Changes what is not obstructed, and checks that the next generation has the change, and all else as before.
    fn assert_the_rest_is_reloaded(&mut self, obstructed: &str) {
        assert!(matches!(self.check(), ReloadOutcome::Unchanged), "{obstructed}");
        let found = self.reloader.obstructed();
        assert!(found.len() == 1 && found[0].contains(obstructed), "{obstructed}: {found:?}");
        self.write("other.json", &key_set("rotated"));
        self.write("revoked", "a-third-token-that-is-long-enough");
        assert!(matches!(self.check(), ReloadOutcome::Debouncing), "{obstructed}");
        let ReloadOutcome::Replaced(generation) = self.check() else { panic!("{obstructed}: nothing was replaced") };
        let kids: Vec<String> = generation
            .mint
            .profiles()
            .map(|profile| profile.keys().signer(NOW, None).unwrap().kid().to_string())
            .collect();
        assert_eq!(kids, ["first", "rotated"], "{obstructed}");
        let has = |index: usize, token: &str| match &generation.callers[index].credential {
            crate::config::KnownCredential::Bearer { tokens } => tokens == &[Secret::new(token.as_bytes().to_vec())],
            other => panic!("expected a bearer token, found {other:?}"),
        };
        assert!(has(0, "a-token-that-is-long-enough") && has(1, "a-third-token-that-is-long-enough"), "{obstructed}");
        assert!(matches!(self.check(), ReloadOutcome::Unchanged), "{obstructed}");
    }
}

#[test]
fn hanging_file_keeps_its_content_while_the_rest_is_reloaded() {
    for name in PARTS {
        let mut fixture = Fixture::with_all_parts();
        let hangs = access::testing::Hangs::default();
        fixture.reloader.access = Arc::new(hangs.access(std::time::Duration::from_secs(1)));
        hangs.set(&[name]);
        fixture.assert_the_rest_is_reloaded(name);
        hangs.set(&[]);
        let mut recovered = || {
            let outcome = fixture.check();
            assert!(matches!(outcome, ReloadOutcome::Unchanged), "{name}: {outcome:?}");
            fixture.reloader.obstructed().is_empty()
        };
        assert!(std::iter::repeat_with(&mut recovered).take(1000).any(|has_recovered| has_recovered), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_keep_the_content_while_the_rest_is_reloaded() {
    for name in PARTS {
        for device in [None, Some("/dev/zero")] {
            let mut fixture = Fixture::with_all_parts();
            let (path, kept) = (fixture.path(name), fixture.path("kept"));
            fs::rename(&path, &kept).unwrap();
            match device {
                Some(device) => std::os::unix::fs::symlink(device, &path).unwrap(),
                None => assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success()),
            }
            fixture.assert_the_rest_is_reloaded(name);
            fs::remove_file(&path).unwrap();
            fs::rename(&kept, &path).unwrap();
            assert!(matches!(fixture.check(), ReloadOutcome::Unchanged), "{name}");
            assert!(fixture.reloader.obstructed().is_empty(), "{name}");
        }
    }
}

#[test]
fn obstructed_file_that_was_never_read_is_an_error() {
    let mut fixture = Fixture::started();
    fs::create_dir(fixture.path("next.json")).unwrap();
    fixture.write("claimsmith.yaml", "profiles: { p: { issuer: i, jwks: next.json } }\n");
    assert!(matches!(fixture.check(), ReloadOutcome::Debouncing));
    let ReloadOutcome::Rejected(error) = fixture.check() else { panic!("the directory was accepted") };
    assert!(error.to_string().contains("something that is not a regular file"), "{error}");
    assert!(fixture.reloader.obstructed().is_empty());
}

/// Without its schema, a template would issue claims that nobody validates.
#[cfg(unix)]
#[test]
fn schema_that_cannot_be_accessed_is_not_ignored() {
    let mut fixture = Fixture::started();
    std::os::unix::fs::symlink("claims.schema.json", fixture.path("templates/p/claims.schema.json")).unwrap();
    assert!(matches!(fixture.check(), ReloadOutcome::Unchanged));
    assert!(fixture.reloader.obstructed()[0].contains("claims.schema.json"), "{:?}", fixture.reloader.obstructed());
    let mut next = Fixture::new("keys.json");
    next.write("keys.json", &key_set("first"));
    std::os::unix::fs::symlink("claims.schema.json", next.path("templates/p/claims.schema.json")).unwrap();
    let ReloadOutcome::Rejected(error) = next.check() else { panic!("the schema was ignored") };
    assert!(error.to_string().contains("claims.schema.json"), "{error}");
}
