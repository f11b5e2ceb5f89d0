//! Data for verifiers.

use super::*;

/// Returns a service with a profile for each name and issuer, all with the key set `key_set`.
fn publishing(profiles: &[(&str, &str)], key_set: &str, public_url: Option<&str>) -> Service {
    let profiles = profiles.iter().map(|(name, issuer)| ProfileSpec {
        name: ProfileName::parse(name).unwrap(),
        issuer: IssuerName::parse(issuer).unwrap(),
        ..profile()
    });
    let public_url = public_url.map(str::to_owned);
    Service::new(ServedGeneration { public_url, ..generation_of(profiles.collect(), key_set, &[]) })
}

const FIRST: &str = "https://first.example/";
const SECOND: &str = "https://second.example/";
const URL: Option<&str> = Some("https://tokens.example/x");

fn keys(service: &Service, profiles: PublishedProfiles<'_>) -> Result<Vec<String>, ErrorCode> {
    let keys = service.issuer.published_keys(&service.issuer.current(), profiles);
    keys.map(|keys| keys.into_iter().collect()).map_err(|refusal| refusal.code)
}

#[test]
fn key_of_several_profiles_is_published_once() {
    let service = publishing(&[("p", FIRST), ("q", SECOND)], &key_set("k"), None);
    let all = keys(&service, PublishedProfiles::All).unwrap();
    assert!(all.len() == 1 && all[0].contains("\"kid\":\"k\"") && !all[0].contains("\"d\":"), "{all:?}");
    for name in ["p", "q"] {
        assert_eq!(keys(&service, PublishedProfiles::One(name)).as_ref(), Ok(&all));
    }
    assert_eq!(keys(&service, PublishedProfiles::One("r")), Err(ErrorCode::ProfileUnknown));
}

#[test]
fn expired_key_is_published_as_long_as_its_last_token_is_valid() {
    let set = key_set("k").replace("\"kty\"", &format!("\"exp\":{},\"kty\"", START + 10));
    let service = publishing(&[("p", FIRST)], &set, URL);
    let published = || {
        let algorithms =
            service.issuer.discovery(&service.issuer.current(), PublishedProfiles::All).unwrap().algorithms.len();
        (keys(&service, PublishedProfiles::All).unwrap().len(), algorithms)
    };
    service.clock.advance(109);
    assert_eq!(published(), (1, 1));
    service.clock.advance(1);
    assert_eq!(published(), (0, 0));
}

#[test]
fn discovery_needs_one_issuer_and_a_known_url() {
    let discover = |service: &Service, profiles| {
        let generation = service.issuer.current();
        let found = service.issuer.discovery(&generation, profiles);
        found.map(|found| (found.issuer.to_owned(), found.public_url.to_owned(), found.algorithms))
    };
    let found = |issuer: &str| Ok((issuer.to_owned(), URL.unwrap().to_owned(), ["ES256"].into()));
    let unknown = Err(Refusal::unknown_profile());

    let one = publishing(&[("p", FIRST), ("q", FIRST)], &key_set("k"), URL);
    assert_eq!(discover(&one, PublishedProfiles::All), found(FIRST));
    assert_eq!(discover(&one, PublishedProfiles::One("q")), found(FIRST));
    assert_eq!(discover(&one, PublishedProfiles::One("r")), unknown);

    let several = publishing(&[("p", FIRST), ("q", SECOND)], &key_set("k"), URL);
    let refusal = discover(&several, PublishedProfiles::All).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RequestPath);
    assert!(refusal.detail.contains("several issuers"), "{refusal}");
    assert_eq!(discover(&several, PublishedProfiles::One("q")), found(SECOND));

    let hidden = publishing(&[("p", FIRST)], &key_set("k"), None);
    let refusal = discover(&hidden, PublishedProfiles::One("p")).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RequestPath);
    assert!(refusal.detail.contains("`public_url`"), "{refusal}");
    assert_eq!(discover(&hidden, PublishedProfiles::One("r")), unknown);
}
