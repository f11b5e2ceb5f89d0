//! What becomes of the names of profiles when access rules change while they are served.

use std::path::Path;

use super::*;

const GLOBAL: &str = "mutators: { id_token: { enabled: true, config: { issuer_url: /global, jwks_url: 'file:///k.json' } } }\n\
                      access_rules: { repositories: [ 'file:///rules.yml' ] }\n";

/// Loads `rules` while `current` is served.
fn load(rules: &str, current: Option<&Loaded>) -> Loaded {
    let fetch = |_: crate::oathkeeper::RuleSource<'_>| Ok(rules.as_bytes().to_vec());
    let oathkeeper = OathkeeperConfig::parse("oathkeeper.yml", GLOBAL, &[], &fetch).unwrap();
    let drop_in = DropIn::new(Arc::new(oathkeeper), "oathkeeper.yml".into(), current.map(|loaded| &loaded.config));
    let parse = |given: &mut GivenProfiles| {
        Config::parse_with("", Path::new(""), &[], given).map_err(|error| error.build_faults("claimsmith.yaml"))
    };
    drop_in.load(parse).unwrap()
}

fn rule(id: &str, url: &str, mutator: &str) -> String {
    format!("- {{ id: '{id}', match: {{ url: {url} }}, mutators: [{{ {mutator} }}] }}\n")
}

/// Returns the mutator of tokens of an issuer.
fn issues(issuer: &str) -> String {
    format!("handler: id_token, config: {{ issuer_url: /{issuer} }}")
}

fn hydrator(name: &str) -> String {
    format!("handler: hydrator, config: {{ api: {{ url: 'http://c:4477/hydrate/{name}' }} }}")
}

/// Returns the issuer of a profile.
fn issuer(loaded: &Loaded, name: &str) -> Option<String> {
    let profile = loaded.config.profiles.get(&ProfileName::parse(name).unwrap())?;
    assert!(loaded.config.go_templates.contains_key(&profile.spec.template));
    Some(profile.spec.issuer.as_str().to_owned())
}

fn has_problem(loaded: &Loaded, text: &str) -> bool {
    loaded.problems.iter().any(|problem| problem.message.contains(text))
}

const BROKEN: &str = "handler: id_token, config: { claims: '{{' }";

#[test]
fn a_renamed_rule_does_not_get_the_name_of_a_removed_one() {
    let first = load(&(rule("a", "/a", &issues("one")) + &rule("b", "/b", &issues("two"))), None);
    // Rule `a` is removed, and rule `b` is called `a`.
    let renamed = load(&rule("a", "/b", &issues("two")), Some(&first));
    assert_eq!(issuer(&renamed, "a").as_deref(), Some("/one"));
    assert!(has_problem(&renamed, "profile a keeps the configuration that it had"));
    // A rule with a new `match` that no rule had is the same rule.
    let moved = load(&(rule("a", "/c", &issues("three")) + &rule("b", "/b", &issues("two"))), Some(&first));
    assert_eq!(issuer(&moved, "a").as_deref(), Some("/three"));
    assert!(moved.problems.is_empty());
}

#[test]
fn a_new_rule_does_not_get_the_name_of_a_broken_one() {
    for (id, other) in [("orders:read", "orders/read"), ("foo", "foo!")] {
        let name = if id == "foo" { "foo" } else { "orders-read" };
        let first = load(&rule(id, "/a", &issues("one")), None);
        assert_eq!(issuer(&first, name).as_deref(), Some("/one"));
        let kept = load(&rule(id, "/a", BROKEN), Some(&first));
        let both = rule(id, "/a", BROKEN) + &rule(other, "/b", &issues("two"));
        for current in [&first, &kept] {
            let changed = load(&both, Some(current));
            assert_eq!(issuer(&changed, name).as_deref(), Some("/one"));
            assert!(has_problem(&changed, &format!("profile {name} keeps the configuration that it had")));
            // A rule that is repaired keeps its old name until a restart, which is reported.
            let repaired = load(&both.replace(BROKEN, &issues("three")), Some(&changed));
            assert_eq!(issuer(&repaired, name).as_deref(), Some("/three"));
            assert!(has_problem(&repaired, &format!("profile {name} of access rule {id} is called {name}-")));
        }
        assert_eq!(issuer(&load(&both, None), name), None);
    }
}

#[test]
fn a_profile_does_not_become_that_of_another_rule() {
    let first = load(&rule("orders:read", "/a", &issues("one")), None);
    let second = load(&rule("orders/read", "/b", &issues("two")), Some(&first));
    let third = load(&rule("orders/read", "/b", &issues("three")), Some(&second));
    for changed in [&second, &third] {
        assert_eq!(issuer(changed, "orders-read").as_deref(), Some("/one"));
        let expected = "profile orders-read was of access rule orders:read and would now be of access rule orders/read";
        assert!(has_problem(changed, expected), "{:?}", changed.problems);
    }
    assert_eq!(issuer(&load(&rule("orders/read", "/b", &issues("two")), None), "orders-read").as_deref(), Some("/two"));
}

#[test]
fn a_rule_with_a_new_match_keeps_its_name() {
    let first = load(&rule("orders", "/a", &issues("one")), None);
    let second = load(&rule("orders", "/b", &issues("two")), Some(&first));
    assert_eq!(issuer(&second, "orders").as_deref(), Some("/two"));
    assert!(second.problems.is_empty(), "{:?}", second.problems);
}

#[test]
fn a_renamed_rule_keeps_the_profile_that_its_hydrator_calls() {
    let first = load(&rule("orders", "/a", &issues("one")), None);
    let second = load(&rule("orders", "/a", &hydrator("orders")), Some(&first));
    for (url, other) in [("/a", "/b"), ("/a/new", "/b"), ("/b", "/a")] {
        let rules = rule("orders-v1", url, &hydrator("orders")) + &rule("orders", other, &issues("two"));
        let third = load(&rules, Some(&second));
        assert_eq!(issuer(&third, "orders").as_deref(), Some("/one"), "{url}");
        assert!(
            has_problem(&third, "profile orders keeps the configuration that it had, so that"),
            "{:?}",
            third.problems
        );
        assert!(has_problem(&third, "the hydrator of access rule orders-v1 calls profile orders, but that is"));
    }
}

#[test]
fn a_profile_that_vanishes_is_reported() {
    let first = load(&rule("orders", "/a", &issues("one")), None);
    let second = load("[]", Some(&first));
    assert_eq!(issuer(&second, "orders"), None);
    assert!(second.warnings.iter().any(|note| note.starts_with("profile orders is gone")), "{:?}", second.warnings);
    // A rule that only inherits from now on is still served under its name.
    let second = load(&rule("orders", "/a", "handler: id_token"), Some(&first));
    assert_eq!(issuer(&second, "orders").as_deref(), Some("/global"));
    assert!(
        has_problem(&second, "profile orders of access rule orders is called id_token now"),
        "{:?}",
        second.problems
    );
}
