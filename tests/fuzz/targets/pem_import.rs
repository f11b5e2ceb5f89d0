//! Any bytes as a PEM file: import never panics, an imported key signs, and messages never show the file.
#![no_main]

use claimsmith::keys::{KeyId, KeySet, SignatureAlg, TokenType, import_pem, verify};
use claimsmith::time::Timestamp;
use claimsmith_fuzz::shown::{check_published, claims, is_telling, occurrences};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The length chooses the algorithm, so that the input stays a file.
    let chosen = SignatureAlg::ALL[data.len() % SignatureAlg::ALL.len()];
    for alg in [None, Some(chosen)] {
        match import_pem(data, alg, alg.map(|_| KeyId::parse("k").expect("it is not empty")).as_ref()) {
            Ok(imported) => check_imported(imported.to_set(), alg),
            Err(error) => check_message(&format!("{error} {error:?}"), data),
        }
    }
});

fn check_imported(text: &str, alg: Option<SignatureAlg>) {
    let set = KeySet::parse(text.as_bytes()).expect("an imported key is a usable set");
    let public = set.public_set();
    check_published(&public);
    let signer = set.signer(Timestamp::from_seconds(0), None).expect("an imported key signs");
    assert!(alg.is_none_or(|alg| alg == signer.alg()), "the key has another algorithm: {:?}", signer.alg());
    assert!(alg.is_none() || signer.kid().as_str() == "k", "the key has another name: {:?}", signer.kid());
    let token = signer.sign(&claims(), &TokenType::JWT).expect("an imported key signs");
    let verified = verify(token.as_str(), public.as_bytes()).expect("an imported key verifies");
    assert_eq!(verified.claims(), claims().as_str());
}

fn check_message(message: &str, data: &[u8]) {
    for line in data.split(|byte| byte.is_ascii_whitespace()).filter(|line| is_telling(line)) {
        assert_eq!(occurrences(message.as_bytes(), line), 0, "the message shows a line of the file: {message}");
    }
}
