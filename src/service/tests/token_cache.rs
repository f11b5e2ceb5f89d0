//! The token cache as the issuer uses it.

use std::panic::AssertUnwindSafe;

use futures_util::future::join;

use super::*;

/// A session whose `extra` is long enough for the cache. Its template reads the same members as of [`SESSION`].
fn long_session() -> String {
    format!(r#"{{"subject":"zoe","extra":{{"email":"zoe@example.org","unread":"{}"}}}}"#, "x".repeat(200))
}

#[test]
fn token_cache_counts_its_tokens_and_their_memory() {
    let (short, long) = (Service::standard(), Service::standard());
    let tokens = short.issuer.tokens();
    assert!(tokens.is_empty());
    assert_eq!((tokens.len(), tokens.bytes()), (0, 0));
    let token = short.issue(SESSION).unwrap().token;
    assert!(!tokens.is_empty());
    assert_eq!(tokens.len(), 1);
    let least = token.jws.as_str().len() as u64 + 256;
    assert!((least..least + 512).contains(&tokens.bytes()), "{}", tokens.bytes());
    assert_eq!(format!("{tokens:?}"), format!("TokenCache {{ tokens: 1, bytes: {} }}", tokens.bytes()));
    assert!(format!("{:?}", short.issuer).contains("tokens: 1"));

    long.issue(&long_session()).unwrap();
    let extra = long.issuer.tokens().bytes() - tokens.bytes();
    // The text, its key and the record of the map.
    let least = long_session().len() as u64 + 96 + 256;
    assert!((least..least + 256).contains(&extra), "{extra}");
}

#[test]
fn resized_token_cache_forgets_what_does_not_fit() {
    let service = Service::standard();
    service.issue(&long_session()).unwrap();
    let keys = key_set("second");
    service.issuer.replace(generation(profile(), &keys, &[]), 0);
    assert_eq!((service.issuer.tokens().len(), service.issuer.tokens().bytes()), (0, 0));
    assert_ne!(jti(&service.issue(SESSION)), jti(&service.issue(SESSION)));
    service.issuer.replace(generation(profile(), &keys, &[]), 1 << 20);
    assert_eq!(jti(&service.issue(SESSION)), jti(&service.issue(SESSION)));
}

#[test]
fn extra_is_read_once_for_cached_profiles_only() {
    for (cache, is_kept) in [(Caching::On, true), (Caching::Off, false)] {
        let service = Service::new(generation(ProfileSpec { cache, ..profile() }, &key_set("k"), &[]));
        let body = long_session();
        let is_read = || {
            let generation = service.issuer.current();
            let permit = block_on(service.issuer.admit(&generation, &ANYONE, "p")).unwrap();
            let (admitted, _) = permit.read_posted(body.as_bytes()).unwrap();
            admitted.request().session().cacheable_extra().is_some()
        };
        assert!(is_read());
        service.issue(&body).unwrap();
        assert_eq!(is_read(), !is_kept, "{cache:?}");
    }
}

#[test]
fn panic_in_a_signature_fails_its_request_and_not_the_equal_one_that_waits() {
    let service = Service::standard();
    let generation = service.issuer.current();
    let permit = block_on(service.issuer.admit(&generation, &ANYONE, "p")).unwrap();
    let (admitted, _) = permit.read_posted(SESSION.as_bytes()).unwrap();
    let (request, now) = (admitted.request(), service.issuer.now());
    let params = generation.mint.token_params(request, now).unwrap();
    let key = request.cache_key(&params).unwrap();
    let signature = async {
        // The other request then waits for this signature.
        tokio::task::yield_now().await;
        panic!("a signer panics")
    };
    let panicking = service.issuer.tokens().find_or_make::<Refusal>(&key, now, signature);
    let waiting = service.issue_to(&ANYONE, "p", SESSION);
    let (panicked, issued) = block_on(join(AssertUnwindSafe(panicking).catch_unwind(), waiting));
    assert!(panicked.is_err());
    assert_eq!(issued.unwrap().cache, CacheUse::Miss);
}
