//! `keys`: generates, changes and lists JWK Sets.

use std::fmt::Display;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::args::{AddArgs, Global, KeysCommand, RotateArgs};
use super::output::{self, Failure};
use super::source::{Source, algorithm};
use crate::config::KeyFileSettings;
use crate::escape;
use crate::keys::{self, EditError, KeyId, KeySet, KeyState, PublicJwk, Rotation, RotationPolicy, SigningKey};
use crate::reload::{FileAccess, FileUse, Files, KeyFileError, is_same_file};
use crate::time::{Clock as _, SystemClock, Timestamp, Ttl, parse_duration};

/// The lead time without a configuration.
const LEAD: Duration = Duration::from_secs(3600);
/// The retention period without a configuration, longer than the lifetime of most tokens.
const RETIRE: Duration = Duration::from_secs(24 * 3600);
/// The max-age of published key sets without a configuration.
const MAX_AGE: Duration = Duration::from_secs(300);
/// The longest time of one change: the generation of a key, and the lock of another process.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn run(command: KeysCommand, global: &Global) -> Result<(), Failure> {
    match command {
        KeysCommand::Generate { out: Some(path), unless_exists: true, .. } if is_key_file(&path)? => {
            if global.json {
                return output::line(
                    &json!({"path": path.display().to_string(), "alg": null, "kid": null}).to_string(),
                );
            }
            output::note(&format!("{} exists already and was not changed", path.display()));
            Ok(())
        }
        KeysCommand::Generate { alg, kid, bits, out, unless_exists: _ } => {
            generate(&alg, kid, bits, out.as_deref(), global.json)
        }
        KeysCommand::Add(args) => add(&args, global),
        KeysCommand::Rotate(args) => rotate(&args, global),
        KeysCommand::List { file } => list(&read(&file)?, &Surroundings::of(&file, global)?, global.json),
        KeysCommand::Public { file } => output::line(&read(&file)?.public_set()),
    }
}

/// Returns `true` if there is a file at `path`, and fails if there is something else.
fn is_key_file(path: &Path) -> Result<bool, Failure> {
    match FileAccess::default().metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(_) => Err(Failure::Refused(format!("{}: expected a regular file, found something else", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(anyhow::Error::new(error).context(format!("cannot find {}", path.display())).into()),
    }
}

fn generate(
    alg: &str,
    kid: Option<String>,
    bits: Option<u32>,
    out: Option<&Path>,
    as_json: bool,
) -> Result<(), Failure> {
    let alg = algorithm(alg)?;
    let kid = key_id(kid)?.unwrap_or_else(random_kid);
    let key = keys::generate(alg, bits, &kid).map_err(|error| Failure::Refused(format!("--bits: {error}")))?;
    match out {
        None => output::bytes(key.to_set().as_bytes()),
        Some(path) => {
            let (access, target, parent) = (FileAccess::default(), path.to_owned(), path.parent().map(Path::to_owned));
            access
                .run(path, CHANGE_TIMEOUT, move || parent.map_or(Ok(()), fs::create_dir_all))
                .with_context(|| format!("cannot create the directory of {}", path.display()))?;
            let create = move || {
                let mut file = output::private_file(&target)?;
                file.write_all(key.to_set().as_bytes())?;
                file.sync_all()
            };
            access.run(path, CHANGE_TIMEOUT, create).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Failure::Refused(format!(
                    "{0}: expected a new file, found one that exists; give another path, or add a key to this set: \
                     claimsmith keys rotate {0}",
                    path.display()
                )),
                _ => anyhow::Error::new(error).context(format!("cannot create {}", path.display())).into(),
            })?;
            if as_json {
                let report = json!({"path": path.display().to_string(), "alg": alg.as_str(), "kid": kid.as_str()});
                return output::line(&report.to_string());
            }
            output::note(&format!("wrote {}: a private {alg} key with kid {kid}", path.display()));
            Ok(())
        }
    }
}

fn add(args: &AddArgs, global: &Global) -> Result<(), Failure> {
    let alg = args.alg.as_deref().map(algorithm).transpose()?;
    let kid = key_id(args.kid.clone())?;
    let text = read_bytes(&args.from)?;
    let key = keys::import_pem(&text, alg, kid.as_ref()).map_err(|error| in_file(&args.from, &error))?;
    let surroundings = Surroundings::of(&args.file, global)?;
    let lead = span("--lead", args.lead.as_deref())?.unwrap_or(surroundings.lead());
    if !args.now {
        surroundings.policy(lead, None)?;
    }
    let (added, is_now) = (Arc::new(key), args.now);
    let key = Arc::clone(&added);
    let signs_from = FileAccess::default()
        .change_key_file(&args.file, CHANGE_TIMEOUT, move |bytes| {
            let now = SystemClock.now();
            // The first key of a set signs immediately, because there is no other key.
            let signs_from = match (bytes, is_now) {
                (Some(_), false) => Some(now.after(lead)),
                (Some(_), true) => Some(now),
                (None, _) => None,
            };
            keys::add_key(bytes, &key, signs_from).map(|set| (Some(set), signs_from))
        })
        .map_err(|error| refused(&args.file, &error))?;
    let added = KeySet::parse(added.to_set().as_bytes()).map_err(|error| Failure::Refused(error.to_string()))?;
    for key in added.signing_keys() {
        if global.json {
            output::line(
                &json!({"kid": key.kid().as_str(), "alg": key.alg().as_str(), "nbf": signs_from.map(Timestamp::seconds)})
                    .to_string(),
            )?;
        } else {
            let when = signs_from.map_or_else(|| "at once".to_owned(), |time| format!("from {time}"));
            output::line(&format!("added    {} {}: signs {when}", key.alg(), key.kid()))?;
        }
    }
    Ok(())
}

fn rotate(args: &RotateArgs, global: &Global) -> Result<(), Failure> {
    let alg = args.alg.as_deref().map(algorithm).transpose()?;
    let surroundings = Surroundings::of(&args.file, global)?;
    let lead = span("--lead", args.lead.as_deref())?.unwrap_or(surroundings.lead());
    let retire = span("--retire", args.retire.as_deref())?;
    let path = &args.file;
    let rotation = if args.now {
        changed(path, args.dry_run, |bytes| keys::replace_keys(bytes, SystemClock.now(), &mut random_kid))
    } else {
        let policy = surroundings.policy(lead, retire)?;
        changed(path, args.dry_run, move |bytes| keys::rotate(bytes, alg, &policy, &SystemClock, &mut random_kid))
    }?;
    if global.json {
        let added = |key: &keys::AddedKey| json!({"kid": key.kid.as_str(), "alg": key.alg.as_str(), "nbf": key.signs_from.seconds()});
        let names = |kids: &[KeyId]| kids.iter().map(|kid| kid.as_str().to_owned()).collect::<Vec<_>>();
        let ended = |(kid, end): &(KeyId, Timestamp)| json!({"kid": kid.as_str(), "exp": end.seconds()});
        return output::line(
            &json!({
                "added": rotation.added.iter().map(added).collect::<Vec<_>>(),
                "ended": rotation.ended.iter().map(ended).collect::<Vec<_>>(),
                "dropped": names(&rotation.dropped),
                "pending": rotation.pending.as_ref().map(added),
                "dry_run": args.dry_run,
            })
            .to_string(),
        );
    }
    if args.dry_run {
        output::note(&format!("note: dry run, so {} was not changed; a rotation would do this:", path.display()));
    }
    for key in &rotation.added {
        let when = if args.now { "at once".to_owned() } else { format!("from {}", key.signs_from) };
        output::line(&format!("added    {} {}: published now, signs {when}", key.alg, key.kid))?;
    }
    for (kid, end) in &rotation.ended {
        let published = end.after(surroundings.0.longest_ttl.map_or(RETIRE, duration));
        output::line(&format!("ends     {kid}: may sign until {end}, published until {published}"))?;
    }
    for kid in &rotation.dropped {
        output::line(&format!("dropped  {kid}"))?;
    }
    if let Some(key) = &rotation.pending {
        output::line(&format!("pending  {} {}: signs from {}; none was added", key.alg, key.kid, key.signs_from))?;
    }
    if args.now && !args.dry_run {
        output::note(&format!(
            "impact: verifiers that fetch the JWK Set from now on reject all tokens of the removed keys. A verifier with a \
             cached JWK Set trusts the removed keys for up to {}s more. It rejects tokens of the new keys until then, unless \
             it fetches the JWK Set again for an unknown kid. A running service reloads the file within its reload \
             interval, or immediately on SIGHUP.",
            surroundings.0.jwks_max_age.as_secs()
        ));
    } else if surroundings.0.longest_ttl.is_none() && retire.is_none() {
        output::note(&format!(
            "note: found no configuration that names {}, so tokens are assumed to live at most 24h; set --config or \
             --retire to change that",
            path.display()
        ));
    }
    Ok(())
}

/// Returns `true` if nothing has the name `path`.
fn is_missing(path: &Path) -> bool {
    FileAccess::default().metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Applies `edit` to the existing file `path`, and changes the file unless this is a dry run.
fn changed(
    path: &Path,
    is_dry_run: bool,
    edit: impl FnOnce(&[u8]) -> Result<Rotation, EditError> + Send + 'static,
) -> Result<Rotation, Failure> {
    if is_missing(path) {
        return Err(Failure::Refused(format!(
            "expected {} to be a JWK Set, found no such file; create one: claimsmith keys generate --out {}",
            path.display(),
            path.display()
        )));
    }
    if is_dry_run {
        let bytes = read_set(path)?;
        return edit(&bytes).map_err(|error| Failure::Refused(format!("{}: {error}", path.display())));
    }
    FileAccess::default()
        .change_key_file(path, CHANGE_TIMEOUT, |bytes| {
            let mut rotation = edit(bytes.unwrap_or_default())?;
            Ok((rotation.set.take(), rotation))
        })
        .map_err(|error| refused(path, &error))
}

/// Returns the failure because of the keys in a file. Their errors name each member on a line of its own.
fn in_file(path: &Path, error: &impl Display) -> Failure {
    Failure::Lines(format!("{}: {error}", escape::line(&path.display().to_string())))
}

fn refused(path: &Path, error: &KeyFileError<EditError>) -> Failure {
    match error {
        KeyFileError::Edit(error) => in_file(path, error),
        KeyFileError::Io { .. } => Failure::Refused(format!("{error}; the file was not changed")),
    }
}

/// The settings of a key file, from a configuration that names the file.
struct Surroundings(KeyFileSettings);

impl Surroundings {
    fn of(file: &Path, global: &Global) -> Result<Self, Failure> {
        let unknown = Self(KeyFileSettings { jwks_max_age: MAX_AGE, longest_ttl: None, rotation: None });
        let source = Source::of(global, &[]);
        if !source.is_named() && !source.path().exists() {
            return Ok(unknown);
        }
        let path = source.path();
        match source.key_settings(is_same_file(file)) {
            Ok(settings) => {
                if source.read(&mut Files::new(), None).is_err() {
                    output::note(&format!(
                        "note: {} has errors that do not concern this file; run `claimsmith check`",
                        path.display()
                    ));
                }
                Ok(Self(settings))
            }
            Err(faults) if source.is_named() => Err(source.failure(&faults)),
            Err(_) => {
                output::note(&format!(
                    "note: {} is invalid, so its settings for this file are unknown; run `claimsmith check`",
                    path.display()
                ));
                Ok(unknown)
            }
        }
    }

    fn lead(&self) -> Duration {
        self.0.rotation.map_or(LEAD.max(self.0.jwks_max_age * 2), |rotation| rotation.lead)
    }

    /// Returns the policy with this lead time. `retire` overrides the retention period of the configuration.
    fn policy(&self, lead: Duration, retire: Option<Duration>) -> Result<RotationPolicy, Failure> {
        let KeyFileSettings { jwks_max_age, longest_ttl, rotation } = self.0;
        let configured = rotation.and_then(|rotation| rotation.retire).or(longest_ttl.map(duration));
        let retire = retire.or(configured).unwrap_or(RETIRE);
        RotationPolicy::new(lead, retire, jwks_max_age, longest_ttl.unwrap_or(Ttl::ONE_SECOND))
            .map_err(|error| Failure::Refused(error.to_string()))
    }
}

fn list(set: &KeySet, surroundings: &Surroundings, as_json: bool) -> Result<(), Failure> {
    let now = SystemClock.now();
    let longest_ttl = surroundings.0.longest_ttl.or(Ttl::new(RETIRE)).unwrap_or(Ttl::ONE_SECOND);
    let signs = set.signer(now, None).map(|key| key.kid().clone()).ok();
    for key in set.signing_keys() {
        let line = KeyLine::of(set, key, signs.as_ref(), now, longest_ttl);
        output::line(&if as_json { line.json() } else { line.text() })?;
    }
    for key in set.public_keys() {
        output::line(&if as_json {
            public_json(key)
        } else {
            format!("{:<8} {:<8} {}", key.alg(), "public", key.kid())
        })?;
    }
    for note in set.notes() {
        output::remark(note);
    }
    for skipped in set.skipped() {
        output::remark(skipped);
    }
    if surroundings.0.longest_ttl.is_none() && set.signing_keys().any(|key| key.expires_at().is_some()) {
        output::note("note: found no configuration that names this file, so tokens are assumed to live at most 24h");
    }
    Ok(())
}

/// The line of one private key in `list`.
struct KeyLine<'k> {
    key: &'k SigningKey,
    state: KeyState,
    /// Whether it signs for profiles without `alg`.
    signs: bool,
    /// Whether it signs for profiles with its algorithm.
    signs_for_alg: bool,
    changes_at: Option<Timestamp>,
    next: Option<&'k KeyId>,
    published_until: Option<Timestamp>,
    is_published: bool,
}

impl<'k> KeyLine<'k> {
    fn of(set: &'k KeySet, key: &'k SigningKey, signs: Option<&KeyId>, now: Timestamp, longest_ttl: Ttl) -> Self {
        let state = key.state(now);
        let alg = Some(key.alg());
        let signs_for_alg = set.signer(now, alg).is_ok_and(|signer| signer.kid() == key.kid());
        let published_until = key.publication_end(longest_ttl).filter(|_| !key.alg().is_symmetric());
        let change = set.next_change(now, alg).filter(|_| signs_for_alg);
        Self {
            key,
            state,
            signs: signs == Some(key.kid()),
            signs_for_alg,
            changes_at: match state {
                KeyState::Pending => key.not_before(),
                KeyState::Active => change.map(|(time, _)| time).or(key.expires_at()),
                KeyState::Retired => published_until.filter(|end| now < *end),
            },
            next: change.and_then(|(_, next)| next).map(SigningKey::kid),
            published_until,
            is_published: !key.alg().is_symmetric() && published_until.is_none_or(|end| now < end),
        }
    }

    fn json(&self) -> String {
        let seconds = |time: Option<Timestamp>| time.map(Timestamp::seconds);
        json!({
            "kid": self.key.kid().as_str(), "alg": self.key.alg().as_str(), "state": self.state.to_string(),
            "signs": self.signs, "signs_for_alg": self.signs_for_alg,
            "nbf": seconds(self.key.not_before()), "exp": seconds(self.key.expires_at()),
            "changes_at": seconds(self.changes_at), "next": self.next.map(KeyId::as_str),
            "published": self.is_published, "published_until": seconds(self.published_until),
        })
        .to_string()
    }

    fn text(&self) -> String {
        let mut line = format!("{:<8} {:<8} {}", self.key.alg(), self.state, self.key.kid());
        match (self.state, self.signs, self.signs_for_alg) {
            (KeyState::Active, true, _) => line.push_str("  signs now"),
            (KeyState::Active, false, true) => {
                line.push_str(&format!("  signs where a profile says alg: {}", self.key.alg()));
            }
            (KeyState::Active, false, false) => line.push_str("  superseded"),
            (KeyState::Pending | KeyState::Retired, _, _) => {}
        }
        match (self.state, self.changes_at) {
            (KeyState::Pending, Some(time)) => line.push_str(&format!("  signs from {time}")),
            (KeyState::Active, Some(time)) => {
                line.push_str(&format!(" until {time}"));
                match self.next {
                    Some(next) => line.push_str(&format!(", then {next}")),
                    None if self.signs_for_alg => line.push_str(", then NO KEY"),
                    None => {}
                }
            }
            _ => {}
        }
        match self.published_until {
            Some(end) if self.is_published => line.push_str(&format!("  published until {end}")),
            Some(_) => line.push_str("  no longer published"),
            None if self.key.alg().is_symmetric() => line.push_str("  never published"),
            None => {}
        }
        line
    }
}

fn public_json(key: &PublicJwk) -> String {
    json!({"kid": key.kid().as_str(), "alg": key.alg().as_str(), "state": "public", "signs": false, "published": true})
        .to_string()
}

fn key_id(kid: Option<String>) -> Result<Option<KeyId>, Failure> {
    kid.map(KeyId::parse).transpose().map_err(|error| Failure::Refused(format!("--kid: {error}")))
}

fn random_kid() -> KeyId {
    KeyId::from(Uuid::new_v4())
}

fn span(flag: &str, text: Option<&str>) -> Result<Option<Duration>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let expected = || Failure::Refused(format!("expected {flag} to be a duration such as 1h or 90m, found {text}"));
    parse_duration(text).filter(|span| span.as_secs() > 0).map(Some).ok_or_else(expected)
}

fn duration(ttl: Ttl) -> Duration {
    Duration::from_secs(ttl.seconds().into())
}

fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = if path.as_os_str() == "-" {
        io::stdin().take(1 << 20).read_to_end(&mut bytes)
    } else {
        FileAccess::default().read(path, FileUse::Keys).map(|read| {
            *bytes = read;
            bytes.len()
        })
    };
    read.with_context(|| format!("cannot read the private key {}", path.display()))?;
    Ok(bytes)
}

fn read_set(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bytes = FileAccess::default().read(path, FileUse::Keys);
    Ok(Zeroizing::new(bytes.with_context(|| format!("cannot read the JWK Set {}", path.display()))?))
}

fn read(path: &Path) -> Result<KeySet, Failure> {
    let bytes = read_set(path)?;
    KeySet::parse(&bytes).map_err(|error| in_file(path, &error))
}
