//! `init`: creates a directory with everything that `serve` needs.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use uuid::Uuid;

use super::output::{self, Failure};
use super::source::algorithm;
use crate::claims::Issuer;
use crate::keys::{self, KeyId};

const FILES: [(&str, &str); 3] = [
    ("templates/identity/claims.hbs", include_str!("../../templates/identity/claims.hbs")),
    ("templates/identity/kratos.session.json", include_str!("../../templates/identity/kratos.session.json")),
    ("templates/identity/kratos.claims.json", include_str!("../../templates/identity/kratos.claims.json")),
];
const CONFIG_FILE: &str = "claimsmith.yaml";
const KEY_FILE: &str = "keys/id_token.jwks.json";

pub(super) fn init(directory: &Path, alg: &str, issuer: &str, as_json: bool) -> Result<(), Failure> {
    let shown = directory.display();
    let alg = algorithm(alg)?;
    if Issuer::parse(issuer).is_none() || issuer.chars().any(char::is_control) {
        let message =
            "expected --issuer to be a URL, such as https://id.example.org/, found empty text or control characters";
        return Err(Failure::Refused(message.to_owned()));
    }
    if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::Refused(format!(
            "cannot create files in {shown}: expected a new or empty directory, found files in it; choose another directory"
        )));
    }
    let kid = KeyId::from(Uuid::new_v4());
    let key = keys::generate(alg, None, &kid).map_err(|error| Failure::Refused(error.to_string()))?;
    let config = config(issuer);
    let write = || -> std::io::Result<()> {
        for (name, text) in FILES.into_iter().chain([(CONFIG_FILE, config.as_str())]) {
            let path = directory.join(name);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, text)?;
        }
        let path = directory.join(KEY_FILE);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = output::private_file(&path)?;
        file.write_all(key.to_set().as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| Failure::Refused(format!("cannot create files in {shown}: {error}")))?;
    let files: Vec<&str> = [CONFIG_FILE, KEY_FILE].into_iter().chain(FILES.map(|(name, _)| name)).collect();
    if as_json {
        let report = serde_json::json!({"directory": shown.to_string(), "files": files, "alg": alg.as_str(), "kid": kid.as_str()});
        return output::line(&report.to_string());
    }
    output::line(&format!("created in {shown}:\n  {}", files.join("\n  ")))?;
    output::line(&format!(
        "next:\n  cd {shown}\n  claimsmith check\n  claimsmith serve\n  curl -s http://127.0.0.1:4477/hydrate/id_token -d \
         @templates/identity/kratos.session.json"
    ))
}

fn config(issuer: &str) -> String {
    let issuer = serde_json::Value::String(issuer.to_owned());
    format!(
        "# `claimsmith check` checks this file. `claimsmith schema` prints its JSON Schema.\n\
         serve:\n  \
           api: {{ host: 127.0.0.1, port: 4477 }} # tokens and key sets\n  \
           admin: {{ host: 127.0.0.1, port: 4478 }} # health and metrics\n\
         profiles:\n  \
           id_token: # POST /hydrate/id_token\n    \
             issuer: {issuer}\n    \
             jwks: file://{KEY_FILE}\n    \
             ttl: 15m\n    \
             template: identity # templates/identity/claims.hbs\n"
    )
}
