//! Key files that change in place: by hand, by several at once, and under kills.

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

fn refused(folder: &Folder, arguments: &[&str]) -> String {
    let output = claimsmith(folder.path(), arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    stderr(&output)
}

fn done(folder: &Folder, arguments: &[&str]) -> String {
    let output = claimsmith(folder.path(), arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn a_rotation_by_hand_appends_the_next_key_and_the_list_foretells_it() {
    let folder = Folder::new();
    let path = folder.write_key("keys.json", SignatureAlg::Es256, "old");
    let said = done(&folder, &["keys", "rotate", "keys.json", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    let new = said["added"][0]["kid"].as_str().unwrap();
    assert_eq!(kids(&path), ["old", new]);
    let start = said["added"][0]["nbf"].as_i64().unwrap();
    assert_eq!(said["ended"][0]["exp"].as_i64().unwrap(), start + 120);

    let list = done(&folder, &["keys", "list", "keys.json", "--json"]);
    let lines: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["state"], &lines[0]["signs"], &lines[0]["next"]),
        (&"active".into(), &true.into(), &new.into())
    );
    assert_eq!(lines[0]["changes_at"].as_i64(), Some(start));
    assert_eq!(lines[0]["published_until"].as_i64(), Some(start + 120 + 24 * 3600));
    assert_eq!((&lines[1]["state"], lines[1]["changes_at"].as_i64()), (&"pending".into(), Some(start)));

    let again = done(&folder, &["keys", "rotate", "keys.json"]);
    assert!(again.starts_with("pending"), "{again}");
    assert_eq!(kids(&path).len(), 2);
}

#[test]
fn the_configuration_at_hand_says_how_long_keys_are_needed() {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "old");
    folder.write(
        "claimsmith.yaml",
        "profiles:\n  a: { issuer: i, jwks: keys.json, ttl: 30m }\n  b: { issuer: i, jwks: keys.json, ttl: 2h }\njwks_max_age: 10m\n",
    );
    let found = refused(&folder, &["keys", "rotate", "./keys.json", "--lead", "10m"]);
    assert!(found.contains("max-age of the published set, which is 600s, found 600s"), "{found}");
    let found = refused(&folder, &["keys", "rotate", "keys.json", "--retire", "119m"]);
    assert!(found.contains("7200s, found 7140s"), "{found}");
    let said = done(&folder, &["keys", "rotate", "keys.json", "--lead", "601s"]);
    assert!(said.contains("may sign until"), "{said}");
    let list = done(&folder, &["keys", "list", "keys.json", "--json"]);
    let line: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    assert_eq!(line["published_until"].as_i64().unwrap() - line["exp"].as_i64().unwrap(), 7200);
}

#[test]
fn a_key_stays_for_every_profile_that_names_its_file_by_whatever_path() {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write(
        "claimsmith.yaml",
        "profiles:\n  a: { issuer: i, jwks: keys.json, ttl: 30m }\n  b: { issuer: i, jwks: ./keys.json, ttl: 2h }\n  \
         c: { issuer: i, jwks: templates/../keys.json, ttl: 3h }\n",
    );
    folder.write("templates/x", "");
    done(&folder, &["keys", "rotate", "keys.json"]);
    for path in ["keys.json", "./keys.json", "templates/../keys.json"] {
        let list = done(&folder, &["keys", "list", path, "--json"]);
        let line: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
        assert_eq!(line["published_until"].as_i64().unwrap() - line["exp"].as_i64().unwrap(), 3 * 3600, "{path}");
    }
}

#[test]
fn a_leaked_key_goes_at_once_and_it_is_said_what_breaks() {
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
fn a_key_in_pem_joins_a_set_and_signs_after_the_lead() {
    let folder = Folder::new();
    let path = folder.write_key("keys.json", SignatureAlg::Es256, "old");
    let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pem/p384-sec1-with-parameters.pem");
    let said = done(&folder, &["keys", "add", "keys.json", "--from", pem, "--kid", "bought"]);
    assert!(said.starts_with("added    ES384 bought: signs from "), "{said}");
    assert_eq!(kids(&path), ["old", "bought"]);
    let found = refused(&folder, &["keys", "add", "keys.json", "--from", pem, "--kid", "bought"]);
    assert!(found.contains("two keys called \"bought\""), "{found}");
    let encrypted = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pem/encrypted-pkcs8.pem");
    assert!(refused(&folder, &["keys", "add", "keys.json", "--from", encrypted]).contains("openssl"));
    assert_eq!(kids(&path), ["old", "bought"]);
    let said = done(&folder, &["keys", "add", "new.json", "--from", pem]);
    assert!(said.contains("signs at once"), "{said}");
    assert!(KeySet::parse(&fs::read(folder.path().join("new.json")).unwrap()).is_ok());
}

#[test]
fn what_cannot_be_rotated_is_named_and_left_as_it_was() {
    let folder = Folder::new();
    let found = refused(&folder, &["keys", "rotate", "none.json"]);
    assert!(found.contains("keys generate --out none.json"), "{found}");
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "no lock is left for a file that is not there");
    let path = folder.write("broken.json", "{\"keys\":[{\"kty\":\"EC\",\"d\":\"canary\"");
    let found = refused(&folder, &["keys", "rotate", "broken.json"]);
    assert!(found.contains("broken.json") && !found.contains("canary"), "{found}");
    assert!(fs::read_to_string(path).unwrap().ends_with("canary\""));
    assert!(refused(&folder, &["keys", "rotate", "broken.json", "--lead", "soon"]).contains("found soon"));
}

#[cfg(unix)]
#[test]
fn permissions_stay_and_a_link_goes_on_pointing_to_the_file() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = Folder::new();
    fs::create_dir(folder.path().join("real")).unwrap();
    let real = folder.write_key("real/keys.json", SignatureAlg::Es256, "old");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("keys.json");
    symlink("real/keys.json", &link).unwrap();
    done(&folder, &["keys", "rotate", "keys.json"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(kids(&link).len(), 2);
    let beside: BTreeSet<_> =
        fs::read_dir(folder.path().join("real")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, BTreeSet::from([".keys.json.lock".into(), "keys.json".into()]));

    let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pem/p256-pkcs8.pem");
    done(&folder, &["keys", "add", "fresh.json", "--from", pem]);
    assert_eq!(fs::metadata(folder.path().join("fresh.json")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn of_many_that_rotate_at_once_one_does_it() {
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
                    let mut kid = || KeyId::new(format!("by-{index}"));
                    let mut rotation =
                        keys::rotate(bytes.unwrap(), None, &policy, Timestamp::from_seconds(NOW), &mut kid)?;
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
fn an_edit_that_fails_leaves_the_file() {
    let folder = Folder::new();
    let path = folder.write_key("keys.json", SignatureAlg::Es256, "old");
    let before = fs::read(&path).unwrap();
    let failed = change_key_file(&path, |_| Err::<(Option<keys::KeySetText>, ()), _>("no"));
    assert!(matches!(failed, Err(KeyFileError::Edit("no"))));
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// SIGKILL at moments that lie all over a run, 500 times: at each the file holds the old set or the new one.
#[test]
fn no_kill_leaves_a_file_that_cannot_be_used() {
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
        // Every second round has something to append to; the others replace what the one before left.
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
        // A machine that gets slower or faster meanwhile would have all kills come too early or too late.
        let (count, correction) = if now == old { (&mut before, 1.03) } else { (&mut after, 0.97) };
        *count += 1;
        typical = typical.mul_f64(correction);
    }
    println!("{before} killed before the change, {after} after it");
    // Otherwise the kills were all too early or all too late to show anything.
    assert!(before >= 25 && after >= 25, "{before} before, {after} after");
    assert!(run(&["keys", "rotate", "keys.json", "--now"]).wait().unwrap().success(), "what kills left is no obstacle");
}
