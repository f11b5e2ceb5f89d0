//! The names of profiles when rules share ids, break, or are reordered.

use super::*;

/// Returns a rule that matches `url` and whose mutator is `mutator`.
fn rule(id: &str, url: &str, mutator: &str) -> String {
    format!("- {{ id: '{id}', match: {{ url: {url}, methods: [GET] }}, mutators: [{{ {mutator} }}] }}\n")
}

const ONE: &str = "handler: id_token, config: { ttl: 1m }";
const TWO: &str = "handler: id_token, config: { ttl: 2m }";
const BROKEN: &str = "handler: id_token, config: { claims: '{{' }";
const HEADER: &str = "handler: header";

fn hydrator(name: &str) -> String {
    format!("handler: hydrator, config: {{ api: {{ url: 'http://c:4477/hydrate/{name}' }} }}")
}

/// Returns the name of the profile of the rule called `label`.
fn name_of(config: &OathkeeperConfig, label: &str) -> String {
    let profile = config.profiles.iter().find(|profile| profile.rules.iter().any(|rule| rule.starts_with(label)));
    profile.unwrap().name().to_string()
}

#[test]
fn a_rule_whose_name_another_one_can_have_gets_a_suffix_whatever_that_one_serves() {
    let name = |other: &str| {
        let rules = rule("orders:read", "/a", other) + &rule("orders/read", "/b", TWO);
        name_of(&parse(GLOBAL, &rules).unwrap(), "orders/read")
    };
    let expected = name(ONE);
    assert!(expected.starts_with("orders-read-"), "{expected}");
    for other in [BROKEN, HEADER, "handler: id_token", "x: y", &hydrator("orders-read")] {
        assert_eq!(name(other), expected, "{other}");
    }
    let config = parse(GLOBAL, &(rule("orders:read", "/a", BROKEN) + &rule("orders/read", "/b", TWO))).unwrap();
    assert!(config.broken[0].names[0].as_str().starts_with("orders-read-"));
    assert_ne!(config.broken[0].names[0].as_str(), expected);
}

#[test]
fn a_rule_called_id_token_never_gets_the_name_of_the_global_configuration() {
    let rules = rule("id_token", "/a", "handler: id_token, config: { issuer_url: /own }");
    for global in [GLOBAL.to_owned(), GLOBAL.replace("issuer_url: /foo, ", "")] {
        let name = name_of(&parse(&global, &rules).unwrap(), "id_token");
        assert!(name.starts_with("id_token-"), "{name}");
    }
    let config = parse(&GLOBAL.replace("issuer_url: /foo, ", ""), &rules).unwrap();
    assert_eq!(config.profiles.len(), 1);
    assert!(config.profiles[0].name().as_str().starts_with("id_token-"));
    // Its name is the same when it breaks.
    let broken = parse(GLOBAL, &rule("id_token", "/a", BROKEN)).unwrap();
    assert_eq!(&broken.broken[0].names, &[config.profiles[0].name().clone()]);
}

#[test]
fn rules_with_equal_settings_have_profiles_of_their_own() {
    let (first, second) = (rule("a.evil", "/a", ONE), rule("v.shop", "/b", ONE));
    for rules in [format!("{first}{second}"), format!("{second}{first}")] {
        let config = parse(GLOBAL, &rules).unwrap();
        assert_eq!((name_of(&config, "a.evil"), name_of(&config, "v.shop")), ("a.evil".into(), "v.shop".into()));
    }
    // Settings that happen to be those of the global configuration are settings of the rule.
    let config = parse(GLOBAL, &rule("own", "/a", "handler: id_token, config: { ttl: 15m }")).unwrap();
    assert_eq!(served(&config), [pair("id_token", &[]), pair("own", &["own"])]);
}

#[test]
fn the_order_of_keys_in_a_match_does_not_matter() {
    let rules = rule("api", "/a", ONE) + &rule("api", "/b", TWO);
    let swapped = rules.replace("url: /a, methods: [GET]", "methods: [GET], url: /a");
    assert_ne!(rules, swapped);
    assert_eq!(served(&parse(GLOBAL, &rules).unwrap()), served(&parse(GLOBAL, &swapped).unwrap()));
}

#[test]
fn rules_that_nothing_distinguishes_are_rejected_and_the_others_are_served() {
    let rules = rule("api", "/a", ONE) + &rule("api", "/a", TWO) + &rule("other", "/b", TWO);
    let config = parse(GLOBAL, &rules).unwrap();
    assert_eq!(served(&config), [pair("id_token", &[]), pair("other", &["other"])]);
    let broken = broken(&config);
    let expected = "access rules api (/rules.yml, line 1), api (/rules.yml, line 2): expected different ids";
    assert!(broken.len() == 1 && broken[0].starts_with(expected), "{broken:?}");
    let many: String = (0..2_000).map(|_| rule("api", "/a", ONE)).collect();
    let config = parse(GLOBAL, &many).unwrap();
    assert_eq!(config.broken.len(), 1);
    assert!(config.faults().next().unwrap().message.contains(" and 1980 more: "));
}

#[test]
fn a_hydrator_that_calls_the_profile_of_another_rule_is_reported() {
    let config = parse(GLOBAL, &(rule("orders-v1", "/a", &hydrator("orders")) + &rule("orders", "/b", TWO))).unwrap();
    let found = broken(&config);
    let expected =
        "the hydrator of access rule orders-v1 calls profile orders, but that is the profile of the access rule orders";
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    // The global configuration is for all rules.
    let config = parse(GLOBAL, &rule("orders-v1", "/a", &hydrator("id_token"))).unwrap();
    assert_eq!(broken(&config), [""; 0]);
}

#[test]
fn a_hydrator_of_another_service_beside_id_token_is_only_noted() {
    let both = format!("{ONE} }}, {{ {}", hydrator("session"));
    let global =
        GLOBAL.replacen("mutators: {", "mutators: { hydrator: { config: { api: { url: 'http://e/hydrate/x' } } },", 1);
    let config = parse(&global, &rule("orders", "/a", &both)).unwrap();
    assert_eq!(served(&config)[1], pair("orders", &["orders"]));
    assert_eq!(broken(&config), [""; 0]);
    assert!(config.hydrated.is_empty(), "{:?}", config.hydrated);
    assert!(
        config.warnings.iter().any(|note| note.contains("calls session, which is no profile")),
        "{:?}",
        config.warnings
    );
}
