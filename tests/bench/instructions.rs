//! The hottest paths inside one process, for a counter of instructions: the same work on the same bytes, so many times.
//!
//! `tests/bench/instructions.sh` runs this under valgrind.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use claimsmith::json::ReadLimits;
use claimsmith::mint::Mint;
use claimsmith::session::Session;

use crate::fixture::{self, NOW};

/// A key that is the same in every run; it signs nothing but this.
const KEY: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"instructions",
    "x":"EAg4xBjKG3r6LDYTvNMUh40cuLeOU0kvAmVmlaGYdV4","y":"L0_hwkvO3Rnzr15SKbjNmuYm5KpcVqAmXKy_ctLgChs",
    "d":"9XAccEYxJIloKgzWV5zTbSLMamzJ3lR4AhXRdBNIwUw"}]}"#;

const JWT_ID: &str = "00000000-0000-4000-8000-000000000000";

/// Does `case` `count` times: `parse` reads a session of 2 KiB, `issue` reads it and issues a token with `templates/session`
/// and ES256, `sign` makes no more than the signature of that token.
pub(crate) fn repeat(case: &str, count: u32) {
    let body = fixture::session(2048);
    let mut parts = fixture::parts(1, 1, "session");
    let profile = parts.profiles[0].clone();
    parts.key_sets.insert(profile.key_set, KEY.as_bytes().to_vec().into());
    let (mint, _) = Mint::build(&parts, NOW).unwrap();
    let profile = mint.profile(&profile.name).unwrap();
    let parse = || Session::parse(black_box(body.as_bytes()), ReadLimits::default()).unwrap();
    let issue = || mint.issue(profile, &parse(), NOW, || JWT_ID.to_owned()).unwrap();
    // The claims are what is signed, so that this signature is the token's own.
    let token = issue().jws;
    let claims = token.as_str().split('.').nth(1).unwrap();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let signer = profile.keys().signer(NOW, None).unwrap();
    for _ in 0..count {
        match case {
            "issue" => drop(black_box(issue())),
            "parse" => drop(black_box(parse())),
            "sign" => drop(black_box(signer.sign(black_box(&claims)).unwrap())),
            other => panic!("expected issue, parse or sign, found {other}"),
        }
    }
}
