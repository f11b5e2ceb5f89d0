//! The API listener on a Unix socket: beside an address, without one, and in place of a stale socket.

#![cfg(unix)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use claimsmith::keys::SignatureAlg;
use serde_json::Value;

use crate::support::{Folder, Setup, claimsmith, command, post, spawn_app, stderr};

const SESSION: &[u8] = br#"{"subject":"u"}"#;

fn request_token(socket: &Path, headers: &[(&str, &str)]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(&post("/issue/p", headers, SESSION)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn folder(api: &str) -> Folder {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write("templates/p/claims.hbs", "{}");
    let config = format!(
        "serve: {{ api: {{ {api} }}, admin: {{ port: 0 }} }}\nprofiles: {{ p: {{ issuer: i, jwks: keys.json }} }}\n"
    );
    folder.write("claimsmith.yaml", &config);
    folder
}

#[test]
fn socket_and_address_serve_the_same_callers() {
    let app = spawn_app(&Setup {
        template: "{}",
        config: "serve: { api: { unix: { path: api.sock, mode: \"600\" } } }
callers: [{ name: c, bearer: { token_file: token } }]
limits: { failed_attempts: 1, failed_delay: 0s }",
        files: &[("token", "a-token-of-some-length")],
        ..Setup::default()
    });
    let socket = app.folder.path().join("api.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let right = [("Authorization", "Bearer a-token-of-some-length")];
    let wrong = [("Authorization", "Bearer another-token")];
    assert!(request_token(&socket, &right).starts_with("HTTP/1.1 200"));
    assert!(request_token(&socket, &[]).starts_with("HTTP/1.1 401"));
    assert!(request_token(&socket, &wrong).contains("caller.unauthenticated"));
    assert!(request_token(&socket, &wrong).contains("caller.slowed"), "those on the socket are one peer");
    assert!(request_token(&socket, &right).starts_with("HTTP/1.1 200"));
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 401);
}

#[test]
fn stale_socket_is_replaced_and_removed_at_shutdown() {
    let folder = folder("unix: { path: api.sock }");
    let socket = folder.path().join("api.sock");
    drop(UnixListener::bind(&socket).unwrap());
    assert!(UnixStream::connect(&socket).is_err(), "nobody listens on the stale one");
    let mut child = command(folder.path()).arg("serve").stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let serving: Value = loop {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the service ended before it served");
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "serving" {
            break event;
        }
    };
    assert_eq!(serving["api"], "unix:api.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    assert!(request_token(&socket, &[]).starts_with("HTTP/1.1 200"));

    let second = claimsmith(folder.path(), &["serve"]);
    assert_eq!(second.status.code(), Some(1), "{}", stderr(&second));
    assert!(stderr(&second).contains("another process listens on api.sock"));
    assert!(request_token(&socket, &[]).starts_with("HTTP/1.1 200"), "the second one took nothing away");

    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn file_that_is_not_a_socket_is_kept() {
    let folder = folder("unix: { path: api.sock }");
    folder.write("api.sock", "a file of somebody else");
    let output = claimsmith(folder.path(), &["serve"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("api.sock exists and is not a socket"));
    let metadata = fs::symlink_metadata(folder.path().join("api.sock")).unwrap();
    assert!(metadata.is_file() && !metadata.file_type().is_socket());
}
