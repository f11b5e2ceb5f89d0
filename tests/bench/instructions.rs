//! The hottest paths inside one process, for a counter of instructions: the same work on the same bytes, so many times.
//!
//! `tests/bench/instructions.sh` runs this under valgrind.

use std::hint::black_box;

use claimsmith::TokenCache;
use claimsmith::json::ReadLimits;
use claimsmith::mint::Mint;

use crate::fixture::{self, JWT_ID, NOW};

/// A key that is the same in every run; it signs nothing but this.
const KEY: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"instructions",
    "x":"EAg4xBjKG3r6LDYTvNMUh40cuLeOU0kvAmVmlaGYdV4","y":"L0_hwkvO3Rnzr15SKbjNmuYm5KpcVqAmXKy_ctLgChs",
    "d":"9XAccEYxJIloKgzWV5zTbSLMamzJ3lR4AhXRdBNIwUw"}]}"#;

/// Does `case` `count` times: `hit` reads a session of 2 KiB, finds its token of `templates/session` and ES256 in the cache
/// and places it; `miss` reads it, finds nothing, renders and completes the claims. The signature is left out: it takes other
/// instructions each time and on each CPU, and it is not ours.
pub(crate) fn repeat(case: &str, count: u32) {
    let body = fixture::session(2048);
    let mut parts = fixture::parts(1, 1, "session");
    let profile = parts.profiles[0].clone();
    parts.key_sets.insert(profile.key_set, KEY.as_bytes().to_vec().into());
    let (mint, _) = Mint::build(&parts, NOW).unwrap();
    let profile = mint.profile(profile.name.as_str()).unwrap();
    let nothing = TokenCache::new(1 << 20);
    let read = |tokens| {
        let body = black_box(body.as_bytes());
        TokenCache::read_posted(tokens, profile, body, ReadLimits::default()).unwrap()
    };
    let tokens = fixture::cache_of(&mint, &read(&nothing).0);
    let hit = || {
        let (request, document) = read(&tokens);
        let params = mint.token_params(&request, NOW).unwrap();
        let key = request.cache_key(&params).unwrap();
        let token = tokens.find(&key, NOW).unwrap();
        document.with_header("Authorization", &["Bearer", " ", token.jws.as_str()])
    };
    let miss = || {
        let (request, _) = read(&nothing);
        let params = mint.token_params(&request, NOW).unwrap();
        let key = request.cache_key(&params).unwrap();
        assert!(nothing.find(&key, NOW).is_none());
        mint.draft(&request, params, || JWT_ID).unwrap()
    };
    for _ in 0..count {
        match case {
            "hit" => drop(black_box(hit())),
            "miss" => drop(black_box(miss())),
            other => panic!("expected hit or miss, found {other}"),
        }
    }
}
