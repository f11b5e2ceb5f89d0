//! Reloads: reads everything that the configuration names, and builds and validates the next generation. If that fails, the
//! current generation stays.
//!
//! Nothing here waits or serves. [`Reloader::check`] can be called at any time; the content of the files decides whether
//! anything changed.

mod fault;
mod files;
mod key_file;
mod key_sets;
mod read;
mod set_aside;

use files::Content;
pub use files::Files;
pub(crate) use files::read_regular;
pub use key_file::{KeyFileError, change_key_file};
pub use key_sets::SIGNING_KEY_SET;
pub(crate) use key_sets::{longest_ttl, remote_key_sets};
pub(crate) use read::{load, read_partials};
use set_aside::{Current, KeyBytes, set_aside};

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::code::ErrorCode;
use crate::config::{Config, KeySource, KnownCaller, Loaded, load_callers, load_source_keys, load_source_secrets};
use crate::mint::{BuildError, BuildFault, GenerationParts, Mint, TemplateSources};
use crate::remote::{RemoteFiles, WantedFiles};
use crate::time::Timestamp;
use crate::tls::Tls;

/// Everything that requests need, and notes about it for the operator.
#[derive(Debug)]
pub struct Generation {
    /// The validated keys, templates and profiles.
    pub mint: Arc<Mint>,
    /// The configuration that they come from.
    pub config: Config,
    /// The callers with their secrets.
    pub callers: Vec<KnownCaller>,
    /// The API listener certificate.
    pub tls: Option<Arc<Tls>>,
    /// The texts of the templates, for the playground; `None` if it is off.
    pub sources: Option<Arc<TemplateSources>>,
    /// Warnings about questionable values and assumptions.
    pub notes: Vec<String>,
    /// What the configuration has and this generation does not serve, or serves as it was before.
    pub problems: Vec<BuildFault>,
}

/// Reads the configuration again, through the given files. The second argument is the configuration of the current
/// generation, if there is one.
pub type ReadConfig = dyn Fn(&mut Files, Option<&Config>) -> Result<Loaded, Vec<BuildFault>> + Send;

/// Checks for changes and builds the next generation from them. A check reads files and can take seconds, so it must not run
/// on an async thread.
pub struct Reloader {
    read_config: Box<ReadConfig>,
    remote: Arc<RemoteFiles>,
    /// The content that the current generation was built from.
    current: Option<Content>,
    /// The current mint; the next one reuses its unchanged parts.
    mint: Option<Arc<Mint>>,
    /// The configuration of the current generation.
    config: Option<Config>,
    /// The keys of the current generation.
    keys: KeyBytes,
    /// Whether the next generation is built although remote key sets are missing.
    accepts_missing: bool,
    /// The content that was rejected since then.
    rejected: Option<Content>,
    /// New content that the last check saw for the first time.
    candidate: Option<Content>,
}

/// The outcome of a check.
#[derive(Debug)]
pub enum ReloadOutcome {
    /// The content is new. The next check must find it again, because a file may be half written, or a directory half copied.
    Debouncing,
    /// These key sets must be fetched before the next check.
    MissingKeySets(WantedFiles),
    /// The content is new and cannot be used.
    Rejected(BuildError),
    /// A new generation.
    Replaced(Box<Generation>),
    /// The content is that of the current generation again, after other content was rejected.
    Restored,
    /// The content is that of the current generation, or was rejected before.
    Unchanged,
}

/// The reason why no generation was built.
enum BuildFailure {
    Invalid(BuildError),
    MissingKeySets(WantedFiles),
}

impl From<BuildError> for BuildFailure {
    fn from(error: BuildError) -> Self {
        Self::Invalid(error)
    }
}

impl Reloader {
    /// Returns a reloader whose first check does not debounce. `remote` holds the key sets that are not files; the caller
    /// has to fetch them.
    pub fn new(read_config: Box<ReadConfig>, remote: Arc<RemoteFiles>) -> Self {
        Self {
            read_config,
            remote,
            current: None,
            mint: None,
            config: None,
            keys: KeyBytes::new(),
            accepts_missing: false,
            rejected: None,
            candidate: None,
        }
    }

    /// Builds the next generation without the remote key sets that could not be fetched, if only profiles of an Oathkeeper
    /// configuration use them.
    pub fn accept_missing_key_sets(&mut self) {
        (self.accepts_missing, self.rejected) = (true, None);
    }

    /// Reads everything. Builds and validates a generation if the content is new and was the same in the last check.
    pub fn check(&mut self, now: Timestamp) -> ReloadOutcome {
        let mut files = Files::new();
        let read = self.read(&mut files, now);
        let content = Some(files.content());
        let candidate = self.candidate.take();
        if content == self.current {
            self.accepts_missing = false;
            return match self.rejected.take() {
                Some(_) => ReloadOutcome::Restored,
                None => ReloadOutcome::Unchanged,
            };
        }
        if content == self.rejected {
            return ReloadOutcome::Unchanged;
        }
        if self.current.is_some() && content != candidate {
            self.candidate = content;
            return ReloadOutcome::Debouncing;
        }
        let built = read.map_err(BuildFailure::from).and_then(|parts| self.build(parts, now));
        self.accepts_missing = false;
        match built {
            Ok((generation, keys)) => {
                (self.current, self.rejected) = (content, None);
                self.keys = keys;
                self.mint = Some(Arc::clone(&generation.mint));
                self.config = Some(generation.config.clone());
                ReloadOutcome::Replaced(Box::new(generation))
            }
            Err(BuildFailure::Invalid(error)) => {
                self.rejected = content;
                ReloadOutcome::Rejected(error)
            }
            Err(BuildFailure::MissingKeySets(wanted)) => {
                // Fetched key sets become part of the content, so the check after the fetch does not find this content.
                self.rejected = content;
                ReloadOutcome::MissingKeySets(wanted)
            }
        }
    }

    fn build(&self, parts: Parts, now: Timestamp) -> Result<(Generation, KeyBytes), BuildFailure> {
        let wanted = remote_key_sets(&parts.config);
        if !self.accepts_missing && wanted.keys().any(|source| self.remote.current(source).is_none()) {
            return Err(BuildFailure::MissingKeySets(wanted));
        }
        let current = Current { config: self.config.as_ref(), keys: &self.keys };
        Ok(parts.build(self.mint.as_deref(), current, now)?)
    }

    fn read(&self, files: &mut Files, now: Timestamp) -> Result<Parts, BuildError> {
        let mut loaded = (self.read_config)(files, self.config.as_ref()).map_err(|faults| BuildError { faults })?;
        let read::Read { parts, tls, notes, mut faults, unread } =
            read::read_parts(&loaded.config, &self.remote, files, now);
        let secrets = RefCell::new(files);
        let callers = load_callers(&loaded.config.callers, &|path| secrets.borrow_mut().read(path));
        let (callers, warnings) = match callers {
            Ok(callers) => (callers.callers, callers.warnings),
            Err(error) => {
                let faults_of = error.faults().iter();
                faults.extend(
                    faults_of.map(|fault| BuildFault::new(ErrorCode::ConfigInvalid, "callers", fault.to_string())),
                );
                (Vec::new(), Vec::new())
            }
        };
        let read_secret = |path: &Path| secrets.borrow_mut().read(path);
        let sources = &mut loaded.config.sources;
        let unloaded = [load_source_secrets(sources, &read_secret), load_source_keys(sources, &read_secret)];
        for error in unloaded.into_iter().filter_map(Result::err) {
            let faults_of = error.faults().iter();
            faults.extend(
                faults_of.map(|fault| BuildFault::new(ErrorCode::ConfigInvalid, "sources", fault.to_string())),
            );
        }
        let notes = loaded.warnings.into_iter().chain(warnings).chain(notes).collect();
        Ok(Parts { config: loaded.config, parts, callers, tls, notes, problems: loaded.problems, faults, unread })
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Reloader");
        debug.field("current", &self.current).field("rejected", &self.rejected).finish_non_exhaustive()
    }
}

/// Everything that one check read.
struct Parts {
    config: Config,
    parts: GenerationParts,
    callers: Vec<KnownCaller>,
    tls: Option<Tls>,
    notes: Vec<String>,
    problems: Vec<BuildFault>,
    faults: Vec<BuildFault>,
    unread: BTreeMap<KeySource, BuildFault>,
}

impl Parts {
    fn build(
        self,
        previous: Option<&Mint>,
        current: Current<'_>,
        now: Timestamp,
    ) -> Result<(Generation, KeyBytes), BuildError> {
        let Self { mut config, mut parts, callers, tls, mut notes, mut problems, faults, unread } = self;
        let found = set_aside(&mut config, &mut parts, unread, current);
        let faults = found.faults.into_iter().chain(faults).collect();
        problems.extend(found.problems);
        let (mint, more) = read::build(&config, &parts, faults, previous, now)?;
        notes.extend(more);
        let GenerationParts { templates, partials, .. } = parts;
        let sources = config.serve.playground.then(|| Arc::new(TemplateSources { templates, partials }));
        let (mint, tls) = (Arc::new(mint), tls.map(Arc::new));
        Ok((Generation { mint, config, callers, tls, sources, notes, problems }, found.keys))
    }
}

#[cfg(test)]
mod tests {
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
            let directory = std::env::temp_dir().join(name);
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
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{set}", set.len())
                .unwrap();
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
        let longest = |name: &str| longest_ttl(&config, &fixture.path(name)).map(|ttl| ttl.seconds());
        #[cfg(unix)]
        assert_eq!(longest("keys.json"), Some(3600));
        assert_eq!(longest("link.json"), Some(3600));
        assert_eq!(longest("other.json"), None);
    }
}
