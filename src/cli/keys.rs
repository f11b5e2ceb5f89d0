//! `keys`: making JWK Sets and looking at them.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use uuid::Uuid;

use super::KeysCommand;
use super::output::{self, Failure};
use crate::keys::{self, KeyId, KeySet, SignatureAlg};
use crate::time::{Clock as _, SystemClock};

pub(super) fn run(command: KeysCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        KeysCommand::Generate { alg, kid, bits, out } => generate(&alg, kid, bits, out.as_deref()),
        KeysCommand::List { file } => list(&read(&file)?, as_json),
        KeysCommand::Public { file } => output::line(&read(&file)?.public_set()),
    }
}

fn generate(alg: &str, kid: Option<String>, bits: Option<u32>, out: Option<&Path>) -> Result<(), Failure> {
    let alg = SignatureAlg::parse(alg).ok_or_else(|| {
        Failure::Refused(format!("expected --alg to be one of {}, found {alg}", SignatureAlg::NAMES.join(", ")))
    })?;
    let kid = match kid {
        Some(kid) if kid.is_empty() => {
            return Err(Failure::Refused("expected --kid to name the key, found it empty".to_owned()));
        }
        Some(kid) => KeyId::new(kid),
        None => KeyId::new(Uuid::new_v4().to_string()),
    };
    let key = keys::generate(alg, bits, &kid).map_err(|error| Failure::Refused(format!("--bits: {error}")))?;
    match out {
        None => output::bytes(key.to_set().as_bytes()),
        Some(path) => {
            let mut file = output::private_file(path)
                .with_context(|| format!("expected {} to be a new file in a folder that exists", path.display()))?;
            file.write_all(key.to_set().as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(|| format!("{} cannot be written", path.display()))?;
            output::note(&format!("wrote {}: a private {alg} key called {kid}", path.display()));
            Ok(())
        }
    }
}

fn list(set: &KeySet, as_json: bool) -> Result<(), Failure> {
    let now = SystemClock.now();
    let signs = set.signer(now, None).map(|key| key.kid().clone()).ok();
    for key in set.signing_keys() {
        let is_signer = signs.as_ref() == Some(key.kid());
        if as_json {
            output::line(
                &serde_json::json!({
                    "kid": key.kid().as_str(), "alg": key.alg().as_str(), "state": key.state(now).to_string(),
                    "signs": is_signer, "nbf": key.not_before().map(|time| time.seconds()),
                    "exp": key.expires_at().map(|time| time.seconds()), "published": !key.alg().is_symmetric(),
                })
                .to_string(),
            )?;
            continue;
        }
        let mut line = format!("{:<8} {:<7} {}", key.alg(), key.state(now), key.kid());
        if let Some(time) = key.not_before() {
            line.push_str(&format!("  from {time}"));
        }
        if let Some(time) = key.expires_at() {
            line.push_str(&format!("  until {time}"));
        }
        if is_signer {
            line.push_str("  <- signs now");
        }
        output::line(&line)?;
    }
    for key in set.public_keys() {
        if as_json {
            let line = serde_json::json!({
                "kid": key.kid().as_str(), "alg": key.alg().as_str(), "state": "public", "signs": false, "published": true
            });
            output::line(&line.to_string())?;
        } else {
            output::line(&format!("{:<8} {:<7} {}", key.alg(), "public", key.kid()))?;
        }
    }
    for note in set.notes() {
        output::note(&format!("note: {note}"));
    }
    for skipped in set.skipped() {
        output::note(&format!("note: {skipped}"));
    }
    Ok(())
}

fn read(path: &Path) -> Result<KeySet, Failure> {
    let bytes = fs::read(path).with_context(|| format!("the JWK Set {}", path.display()))?;
    KeySet::parse(&bytes).map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
}
