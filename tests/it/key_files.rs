//! Changes of key files in place: manual, concurrent, and interrupted by kills.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use claimsmith::keys::{self, EditError, KeyId, KeySet, RotationPolicy, SignatureAlg};
use claimsmith::reload::{KeyFileError, change_key_file};
use claimsmith::time::{Timestamp, Ttl};
use serde_json::Value;

use crate::support::{Folder, NOW, claimsmith, command, stderr, stdout};

fn kids(path: &Path) -> Vec<String> {
    let set: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn run_err(folder: &Folder, arguments: &[&str]) -> String {
    let output = claimsmith(folder.path(), arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    stderr(&output)
}

fn run_ok(folder: &Folder, arguments: &[&str]) -> String {
    let output = claimsmith(folder.path(), arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn manual_rotation_appends_the_next_key_and_the_list_announces_it() {
    let folder = Folder::new();
    let path = folder.write_key("keys.json", SignatureAlg::Es256, "old");
    let printed = run_ok(&folder, &["keys", "rotate", "keys.json", "--json"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let new = printed["added"][0]["kid"].as_str().unwrap();
    assert_eq!(kids(&path), ["old", new]);
    let start = printed["added"][0]["nbf"].as_i64().unwrap();
    assert_eq!(printed["ended"][0]["exp"].as_i64().unwrap(), start + 120);

    let list = run_ok(&folder, &["keys", "list", "keys.json", "--json"]);
    let lines: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["state"], &lines[0]["signs"], &lines[0]["next"]),
        (&"active".into(), &true.into(), &new.into())
    );
    assert_eq!(lines[0]["changes_at"].as_i64(), Some(start));
    assert_eq!(lines[0]["published_until"].as_i64(), Some(start + 120 + 24 * 3600));
    assert_eq!((&lines[1]["state"], lines[1]["changes_at"].as_i64()), (&"pending".into(), Some(start)));

    let again = run_ok(&folder, &["keys", "rotate", "keys.json"]);
    assert!(again.starts_with("pending"), "{again}");
    assert_eq!(kids(&path).len(), 2);
}

#[test]
fn retention_comes_from_the_configuration() {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "old");
    folder.write(
        "claimsmith.yaml",
        "profiles:\n  a: { issuer: i, jwks: keys.json, ttl: 30m }\n  b: { issuer: i, jwks: keys.json, ttl: 2h }\njwks_max_age: 10m\n",
    );
    let found = run_err(&folder, &["keys", "rotate", "./keys.json", "--lead", "10m"]);
    assert!(found.contains("max-age of the published set, which is 600s, found 600s"), "{found}");
    let found = run_err(&folder, &["keys", "rotate", "keys.json", "--retire", "119m"]);
    assert!(found.contains("7200s, found 7140s"), "{found}");
    let printed = run_ok(&folder, &["keys", "rotate", "keys.json", "--lead", "601s"]);
    assert!(printed.contains("may sign until"), "{printed}");
    let list = run_ok(&folder, &["keys", "list", "keys.json", "--json"]);
    let line: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    assert_eq!(line["published_until"].as_i64().unwrap() - line["exp"].as_i64().unwrap(), 7200);
}

#[test]
fn rotation_works_while_another_part_of_the_configuration_is_broken() {
    let folder = Folder::new();
    let path = folder.write_key("keys.json", SignatureAlg::Es256, "old");
    let broken = "serve: { api: { prot: 1 } }\ncallers: [{ name: x }]\n";
    let profile = |settings: &str| format!("{broken}profiles:\n  a: {{ jwks: keys.json, {settings} }}\n");
    let config = |settings: &str| folder.write("claimsmith.yaml", &profile(settings));
    let rotate = ["--config", "claimsmith.yaml", "keys", "rotate", "keys.json"];

    // What the key file depends on must be right.
    config("tll: 2h");
    let refused = claimsmith(folder.path(), &rotate);
    assert_eq!(refused.status.code(), Some(78), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("did you mean `ttl`?") && !stderr(&refused).contains("prot"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(kids(&path), ["old"]);

    config("ttl: 2h, template: ''");
    let rotated = claimsmith(folder.path(), &rotate);
    assert!(rotated.status.success(), "{}", stderr(&rotated));
    assert!(
        stderr(&rotated).contains("claimsmith.yaml has errors that do not concern this file"),
        "{}",
        stderr(&rotated)
    );
    assert_eq!(kids(&path).len(), 2);
    let list = run_ok(&folder, &["keys", "list", "keys.json", "--json"]);
    let line: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    assert_eq!(line["published_until"].as_i64().unwrap() - line["exp"].as_i64().unwrap(), 7200, "the ttl counts");
}

#[test]
fn key_is_kept_for_all_profiles_that_share_its_file() {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write(
        "claimsmith.yaml",
        "profiles:\n  a: { issuer: i, jwks: keys.json, ttl: 30m }\n  b: { issuer: i, jwks: ./keys.json, ttl: 2h }\n  \
         c: { issuer: i, jwks: templates/../keys.json, ttl: 3h }\n",
    );
    folder.write("templates/x", "");
    run_ok(&folder, &["keys", "rotate", "keys.json"]);
    for path in ["keys.json", "./keys.json", "templates/../keys.json"] {
        let list = run_ok(&folder, &["keys", "list", path, "--json"]);
        let line: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
        assert_eq!(line["published_until"].as_i64().unwrap() - line["exp"].as_i64().unwrap(), 3 * 3600, "{path}");
    }
}

#[test]
fn immediate_rotation_removes_the_leaked_key_and_reports_the_impact() {
    let folder = Folder::new();
    let path = folder.write_key("keys.json", SignatureAlg::EdDsa, "leaked");
    let output = claimsmith(folder.path(), &["keys", "rotate", "keys.json", "--now"]);
    assert!(output.status.success());
    assert!(stdout(&output).contains("dropped  leaked"), "{}", stdout(&output));
    assert!(stderr(&output).contains("impact: "), "{}", stderr(&output));
    let set = KeySet::parse(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(set.signing_keys().map(|key| key.alg()).collect::<Vec<_>>(), [SignatureAlg::EdDsa]);
}

#[test]
fn imported_pem_key_signs_after_the_lead_time() {
    let folder = Folder::new();
    let path = folder.write_key("keys.json", SignatureAlg::Es256, "old");
    let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pem/p384-sec1-with-parameters.pem");
    let printed = run_ok(&folder, &["keys", "add", "keys.json", "--from", pem, "--kid", "bought"]);
    assert!(printed.starts_with("added    ES384 bought: signs from "), "{printed}");
    assert_eq!(kids(&path), ["old", "bought"]);
    let found = run_err(&folder, &["keys", "add", "keys.json", "--from", pem, "--kid", "bought"]);
    assert!(found.contains("two keys called \"bought\""), "{found}");
    let encrypted = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pem/encrypted-pkcs8.pem");
    assert!(run_err(&folder, &["keys", "add", "keys.json", "--from", encrypted]).contains("openssl"));
    assert_eq!(kids(&path), ["old", "bought"]);
    let printed = run_ok(&folder, &["keys", "add", "new.json", "--from", pem]);
    assert!(printed.contains("signs at once"), "{printed}");
    assert!(KeySet::parse(&fs::read(folder.path().join("new.json")).unwrap()).is_ok());
}

#[test]
fn file_that_cannot_be_rotated_is_reported_and_unchanged() {
    let folder = Folder::new();
    let found = run_err(&folder, &["keys", "rotate", "none.json"]);
    assert!(found.contains("keys generate --out none.json"), "{found}");
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "no lock is left for a file that is not there");
    let path = folder.write("broken.json", "{\"keys\":[{\"kty\":\"EC\",\"d\":\"canary\"");
    let found = run_err(&folder, &["keys", "rotate", "broken.json"]);
    assert!(found.contains("broken.json") && !found.contains("canary"), "{found}");
    assert!(fs::read_to_string(path).unwrap().ends_with("canary\""));
    assert!(run_err(&folder, &["keys", "rotate", "broken.json", "--lead", "soon"]).contains("found soon"));
}

#[cfg(unix)]
#[test]
fn rotation_keeps_permissions_and_symlinks() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = Folder::new();
    fs::create_dir(folder.path().join("real")).unwrap();
    let real = folder.write_key("real/keys.json", SignatureAlg::Es256, "old");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("keys.json");
    symlink("real/keys.json", &link).unwrap();
    run_ok(&folder, &["keys", "rotate", "keys.json"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(kids(&link).len(), 2);
    let beside: BTreeSet<_> =
        fs::read_dir(folder.path().join("real")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, BTreeSet::from([".keys.json.lock".into(), "keys.json".into()]));

    let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pem/p256-pkcs8.pem");
    run_ok(&folder, &["keys", "add", "fresh.json", "--from", pem]);
    assert_eq!(fs::metadata(folder.path().join("fresh.json")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn concurrent_rotations_add_one_key() {
    let folder = Folder::new();
    let path = folder.write_key("keys.json", SignatureAlg::Es256, "old");
    let policy = RotationPolicy::new(
        Duration::from_secs(3600),
        Duration::from_secs(900),
        Duration::from_secs(300),
        Ttl::new(Duration::from_secs(900)).unwrap(),
    )
    .unwrap();
    let added: usize = std::thread::scope(|scope| {
        let rotate = |index: usize| {
            let path = &path;
            move || {
                change_key_file(path, |bytes| {
                    let mut kid = || KeyId::parse(format!("by-{index}")).unwrap();
                    let mut rotation =
                        keys::rotate(bytes.unwrap(), None, &policy, &Timestamp::from_seconds(NOW), &mut kid)?;
                    Ok::<_, EditError>((rotation.set.take(), rotation.added.len()))
                })
                .unwrap()
            }
        };
        let threads: Vec<_> = (0..8).map(|index| scope.spawn(rotate(index))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(added, 1);
    assert_eq!(kids(&path).len(), 2);
}

#[test]
fn failed_edit_keeps_the_file() {
    let folder = Folder::new();
    let path = folder.write_key("keys.json", SignatureAlg::Es256, "old");
    let before = fs::read(&path).unwrap();
    let failed = change_key_file(&path, |_| Err::<(Option<keys::KeySetText>, ()), _>("no"));
    assert!(matches!(failed, Err(KeyFileError::Edit("no"))));
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Sends SIGKILL at 500 moments throughout a rotation. The file contains the old or the new set each time.
#[test]
fn killed_rotation_leaves_a_usable_file() {
    let folder = Folder::new();
    let path = folder.write_key("keys.json", SignatureAlg::Es256, "old");
    let base = fs::read(&path).unwrap();
    let run = |arguments: &[&str]| {
        command(folder.path()).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let start = Instant::now();
    for _ in 0..5 {
        assert!(run(&["keys", "rotate", "keys.json", "--now"]).wait().unwrap().success());
    }
    let mut typical = start.elapsed() / 5;

    let (mut random, mut before, mut after) = (0x2545_f491_4f6c_dd1d_u64, 0, 0);
    for round in 0..500 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Each second round appends to a set; the others replace the file of the previous round.
        let arguments: &[&str] = if round % 2 == 0 {
            fs::write(&path, &base).unwrap();
            &["keys", "rotate", "keys.json"]
        } else {
            &["keys", "rotate", "keys.json", "--now"]
        };
        let old = fs::read(&path).unwrap();
        let mut child = run(arguments);
        std::thread::sleep(typical.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64 * 1.2));
        let _ = child.kill();
        child.wait().unwrap();
        let now = fs::read(&path).unwrap();
        let set = KeySet::parse(&now).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(
            set.signer(claimsmith::time::Clock::now(&claimsmith::time::SystemClock), None).is_ok(),
            "round {round}"
        );
        assert!(set.skipped().is_empty(), "round {round}");
        // Measure again, because all kills come too early or too late if the host becomes slower or faster.
        let (count, correction) = if now == old { (&mut before, 1.03) } else { (&mut after, 0.97) };
        *count += 1;
        typical = typical.mul_f64(correction);
    }
    println!("{before} killed before the change, {after} after it");
    // Otherwise all kills came too early or too late to prove anything.
    assert!(before >= 25 && after >= 25, "{before} before, {after} after");
    assert!(run(&["keys", "rotate", "keys.json", "--now"]).wait().unwrap().success(), "what kills left is no obstacle");
}
