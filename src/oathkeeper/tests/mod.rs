//! What becomes of Oathkeeper's configurations and access rules.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::config::ConfigError;

mod strict;

fn parse(text: &str, rules: &str) -> Result<OathkeeperConfig, ConfigError> {
    parse_in(text, rules, &[])
}

fn parse_in(text: &str, rules: &str, environment: &[(&str, &str)]) -> Result<OathkeeperConfig, ConfigError> {
    let environment: Vec<_> = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    OathkeeperConfig::parse("oathkeeper.yml", text, &environment, &|source| match source {
        RuleSource::File("/rules.yml")
        | RuleSource::Url(
            "https://rules.example/r.json" | "s3://rules/r.json" | "gs://rules/r.json" | "azblob://r/r",
        ) => Ok(rules.into()),
        _ => Err("no such thing".to_owned()),
    })
}

/// Returns the name of each profile and its rules.
fn served(config: &OathkeeperConfig) -> Vec<(String, Vec<String>)> {
    config.profiles.iter().map(|profile| (profile.name().to_string(), profile.rules.clone())).collect()
}

/// Returns the messages of what is not served.
fn broken(config: &OathkeeperConfig) -> Vec<String> {
    config.faults().map(|fault| fault.message.clone()).collect()
}

fn pair(name: &str, rules: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), rules.iter().map(|rule| (*rule).to_owned()).collect())
}

mod names;

const GLOBAL: &str = "mutators: { id_token: { enabled: true, config: { issuer_url: /foo, jwks_url: 'file:///k.json', \
                      claims: '{\"a\": 1}' } } }\naccess_rules: { repositories: [ 'file:///rules.yml' ] }\n";

#[test]
fn a_rule_is_merged_over_the_global_configuration() {
    let rules = "- { id: one, mutators: [{ handler: id_token, config: { ttl: 30s, claims: '{}' } }] }\n\
                 - { id: two, mutators: [{ handler: noop }, { handler: id_token }], authenticators: [{ handler: noop }] }\n\
                 - { id: three, mutators: [{ handler: header }] }\n\
                 - { id: 'api:a/b', mutators: [{ handler: id_token, config: { ttl: 5m } }] }\n\
                 - { id: inherits, mutators: [{ handler: id_token, config: null }] }\n";
    let config = parse(GLOBAL, rules).unwrap();
    let expected =
        [pair("id_token", &["inherits"]), pair("one", &["one"]), pair("two", &["two"]), pair("api-a-b", &["api:a/b"])];
    assert_eq!(served(&config), expected);
    let seconds: Vec<_> = config.profiles.iter().map(|profile| profile.profile.spec.ttl.seconds()).collect();
    assert_eq!(seconds, [900, 30, 900, 300]);
    let claims: Vec<_> = config.profiles.iter().map(|profile| profile.claims.clone().unwrap().text).collect();
    assert_eq!(claims, ["{\"a\": 1}", "{}", "{\"a\": 1}", "{\"a\": 1}"]);
    assert_eq!(config.profiles.iter().filter(|profile| profile.profile.spec.allow_empty_subject).count(), 1);
    assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
}

#[test]
fn rules_come_inline_and_from_urls_as_json() {
    let rules = r#"[{"id":"r","description":"\ud83d\ude80","mutators":[{"handler":"id_token"}]}]"#;
    let inline = format!("inline://{}", STANDARD.encode(rules));
    for url in [
        "https://rules.example/r.json",
        "s3://rules/r.json",
        "gs://rules/r.json",
        "azblob://r/r",
        &inline,
        "/rules.yml",
        "FILE:///rules.yml",
    ] {
        let config = parse(&GLOBAL.replace("file:///rules.yml", url), rules).unwrap();
        assert_eq!(served(&config), [pair("id_token", &["r"])], "{url}");
    }
}

#[test]
fn global_settings_that_oathkeeper_refuses_are_refused_with_their_place() {
    let text = |global: &str, rules: &str| parse(global, rules).unwrap_err().to_string();
    let error = text(&GLOBAL.replace("claims:", "aud: x, claims:"), "[]");
    assert!(error.contains("mutators.id_token.config.aud: expected one of claims"), "{error}");
    let error = text(&GLOBAL.replace("enabled: true", "enabled: false"), "[]");
    assert!(error.contains("mutators.id_token.enabled"), "{error}");
    let error = text(&GLOBAL.replace("file:///k.json", "vault://canary"), "[]");
    assert!(error.contains("jwks_url: expected a JWK Set: its path") && !error.contains("canary"), "{error}");
}

#[test]
fn a_rejected_rule_does_not_stop_the_others() {
    let good = "- { id: good, mutators: [{ handler: id_token, config: { ttl: 1m } }] }\n";
    for (rule, expected) in [
        (
            "- { id: bad, mutators: [{ handler: id_token, config: { ttl: 1h30m } }] }",
            "access rule bad: /rules.yml: [1].mutators[0].config.ttl: expected a duration",
        ),
        (
            "- { id: bad, mutators: [{ handler: id_token, config: { aud: [orders] } }] }",
            "access rule bad: /rules.yml: [1].mutators[0].config.aud: expected one of claims, issuer_url, jwks_url, ttl, as \
             in Oathkeeper, found an unknown key; remove it (line 2, column 56)",
        ),
        (
            "- { id: bad, mutators: [{ handler: id_token, config: { claims: { a: 1 } } }] }",
            "config.claims: expected a Go template as text, found a mapping",
        ),
        (
            "- { id: bad, mutators: [{ handler: id_token, config: { claims: '{\"a\": \"{{ .Extra.a }\"}' } }] }",
            "access rule bad: /rules.yml ([1].mutators[0].config.claims):1:",
        ),
        (
            "- { id: bad, mutators: { handler: id_token } }",
            "[1].mutators: expected a list of mutators, found a mapping",
        ),
        ("- { id: bad, mutator: { handler: id_token } }", "[1].mutator: expected the list `mutators`"),
        ("- bad", "access rule without an id (/rules.yml, line 2): /rules.yml: [1]: expected an access rule"),
    ] {
        let config = parse(GLOBAL, &format!("{good}{rule}\n")).unwrap();
        assert_eq!(served(&config), [pair("id_token", &[]), pair("good", &["good"])], "{rule}");
        let broken = broken(&config);
        assert!(broken.len() == 1 && broken[0].contains(expected), "{broken:?}\nhas no\n{expected}");
    }
}

#[test]
fn a_source_of_rules_that_cannot_be_read_does_not_stop_the_others() {
    let rules = "- { id: r, mutators: [{ handler: id_token, config: { ttl: 1m } }] }";
    for (source, expected) in [
        ("file:///none", "readable access rules at /none, found no such thing; their rules are not served"),
        ("inline://a", "expected base64 after inline://"),
        ("ftp://x/y", "found a ftp:// URL; mount the rules as a file"),
    ] {
        let two = GLOBAL.replace("'file:///rules.yml'", &format!("'{source}', 'file:///rules.yml'"));
        let config = parse(&two, rules).unwrap();
        assert_eq!(served(&config), [pair("id_token", &[]), pair("r", &["r"])]);
        assert!(config.has_unread_rules);
        let broken = broken(&config);
        assert!(broken.len() == 1 && broken[0].contains(expected), "{broken:?}");
        assert!(!broken[0].contains(": :"), "{broken:?}");
    }
    for (rules, expected) in [
        ("- [", "/rules.yml: expected YAML, found a syntax error"),
        ("id: r\nmutators: []\n", "/rules.yml: expected a list of access rules, found one rule outside of a list"),
        ("apiVersion: v1\nkind: Secret\n", "/rules.yml: expected a list of access rules, or objects of kind Rule"),
    ] {
        let broken = broken(&parse(GLOBAL, rules).unwrap());
        assert!(broken.len() == 1 && broken[0].starts_with(expected), "{broken:?}");
    }
}

#[test]
fn only_the_first_document_of_rules_is_served_and_the_second_is_reported() {
    let rules = "- { id: one, mutators: [{ handler: id_token, config: { ttl: 1m } }] }\n---\n\
                 - { id: two, mutators: [{ handler: id_token, config: { ttl: 2m } }] }\n";
    let config = parse(GLOBAL, rules).unwrap();
    assert_eq!(served(&config), [pair("id_token", &[]), pair("one", &["one"])]);
    let expected = "/rules.yml: expected one YAML document, found a second document, which Oathkeeper ignores; move its \
                    rules to the first one (line 3, column 1)";
    assert_eq!(broken(&config), [expected]);
}

#[test]
fn merge_keys_are_merged_as_oathkeeper_does() {
    let rules = "- &base\n  id: orders\n  mutators: [{ handler: id_token, config: { ttl: 1m } }]\n\
                 - <<: *base\n  id: invoices\n- <<: *base\n  id: own\n  mutators: [{ handler: id_token }]\n";
    let global = "x: &token { issuer_url: /foo, jwks_url: 'file:///k.json', ttl: 9m }\nmutators:\n  id_token:\n    \
                  enabled: true\n    config:\n      <<: *token\n      ttl: 5m\n\
                  access_rules: { repositories: /rules.yml }\n";
    let config = parse(global, rules).unwrap();
    assert_eq!(
        served(&config),
        [pair("id_token", &["own"]), pair("orders", &["orders"]), pair("invoices", &["invoices"])]
    );
    assert_eq!(config.profiles[0].profile.spec.ttl.seconds(), 300);
    assert_eq!(broken(&config), [""; 0]);
}

#[test]
fn a_duplicate_key_in_a_rule_is_reported_and_the_last_one_counts() {
    let rules = "- { id: a, id: b, mutators: [{ handler: id_token, config: { ttl: 1m } }] }\n";
    let config = parse(GLOBAL, rules).unwrap();
    assert_eq!(served(&config)[1], pair("b", &["b"]));
    assert!(config.warnings[0].contains("[0].id is there twice (line 1)"), "{:?}", config.warnings);
}

#[test]
fn members_of_rules_are_read_in_any_case_as_go_does() {
    let rules = "- { ID: a, Mutators: [{ Handler: id_token, CONFIG: { ttl: 1m } }] }\n";
    assert_eq!(served(&parse(GLOBAL, rules).unwrap())[1], pair("a", &["a"]));
}

#[test]
fn a_mutator_that_oathkeeper_does_not_have_is_noted() {
    let config = parse(GLOBAL, "- { id: a, mutators: [{ handler: id-token }] }\n").unwrap();
    assert_eq!(served(&config), [pair("id_token", &[])]);
    assert!(config.warnings[0].contains("no mutator `id-token` (did you mean id_token?)"), "{:?}", config.warnings);
}

#[test]
fn a_source_that_is_named_twice_is_read_once() {
    let twice = GLOBAL.replace("'file:///rules.yml'", "'file:///rules.yml', 'file:///rules.yml'");
    let config = parse(&twice, "- { id: a, mutators: [{ handler: id_token, config: { ttl: 1m } }] }\n").unwrap();
    assert_eq!(served(&config)[1], pair("a", &["a"]));
}

#[test]
fn rules_that_only_inherit_share_a_profile() {
    let mut rules = String::new();
    for number in 0..51 {
        rules.push_str(&format!("- {{ id: r{number}, mutators: [{{ handler: id_token }}] }}\n"));
    }
    let config = parse(GLOBAL, &rules).unwrap();
    assert_eq!(config.profiles.len(), 1);
    assert_eq!(config.profiles[0].rules.len(), 51);
    assert_eq!(config.warnings.len(), 1);
    let warning = &config.warnings[0];
    assert!(
        warning.contains("profile id_token serves the global configuration and the access rules r0, r1"),
        "{warning}"
    );
    assert!(warning.ends_with("and 31 more"), "{warning}");
}

#[test]
fn rules_with_equal_ids_get_names_of_their_own() {
    let rule = |id: &str, path: &str, ttl: &str| {
        format!(
            "- {{ {id} match: {{ url: {path} }}, mutators: [{{ handler: id_token, config: {{ ttl: {ttl} }} }}] }}\n"
        )
    };
    let rules = [
        rule("id: api,", "/a", "1m"),
        rule("id: api,", "/b", "2m"),
        rule("id: 'x:y',", "/c", "3m"),
        rule("id: x/y,", "/d", "4m"),
        rule("id: id_token,", "/e", "5m"),
        rule("", "/f", "6m"),
        rule("id: api,", "/g", "2m"),
    ];
    let config = parse(GLOBAL, &rules.concat()).unwrap();
    assert_eq!(broken(&config), [""; 0]);
    let served = served(&config);
    let labels: Vec<_> = served.iter().flat_map(|(_, rules)| rules.clone()).collect();
    assert_eq!(
        labels,
        [
            "api (/rules.yml, line 1)",
            "api (/rules.yml, line 2)",
            "x:y",
            "x/y",
            "id_token",
            "without an id (/rules.yml, line 6)",
            "api (/rules.yml, line 7)"
        ]
    );
    let names: Vec<&str> = served.iter().map(|(name, _)| name.as_str()).collect();
    for (name, start) in names.iter().zip(["id_token", "api-", "api-", "x-y-", "x-y-", "id_token-", "rule-", "api-"]) {
        assert!(name.starts_with(start), "{names:?}");
    }
    // The names do not depend on the order, and each is in a warning.
    let reversed = parse(GLOBAL, &rules.iter().rev().cloned().collect::<String>()).unwrap();
    let mut sorted: Vec<_> = reversed.profiles.iter().map(|profile| profile.name().to_string()).collect();
    sorted.sort();
    let mut expected: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    expected.sort();
    assert_eq!(sorted, expected);
    for name in &names[1..] {
        assert!(config.warnings.iter().any(|warning| warning.starts_with(&format!("profile {name} serves"))), "{name}");
    }
}

#[test]
fn a_rule_keeps_its_name_when_its_namesake_becomes_a_hydrator() {
    let rules = |first: &str| {
        format!(
            "- {{ id: api, match: {{ url: /a }}, mutators: [{{ {first} }}] }}\n\
             - {{ id: api, match: {{ url: /b }}, mutators: [{{ handler: id_token, config: {{ ttl: 2m }} }}] }}\n"
        )
    };
    let before = parse(GLOBAL, &rules("handler: id_token, config: { ttl: 1m }")).unwrap();
    let (first, second) = (before.profiles[1].name(), before.profiles[2].name());
    let url = format!("handler: hydrator, config: {{ api: {{ url: 'http://c:4477/hydrate/{first}' }} }}");
    let after = parse(GLOBAL, &rules(&url)).unwrap();
    assert_eq!(after.profiles.len(), 2);
    assert_eq!(after.profiles[1].name(), second);
    assert_eq!(after.hydrated[first], "the hydrator of access rule api (/rules.yml, line 1)");
    // A rule that is rejected does not give up its name, either.
    for broken in ["handler: id_token, config: { ttl: 1h30m }", "handler: id_token, config: { claims: '{{' }"] {
        let after = parse(GLOBAL, &rules(broken)).unwrap();
        assert_eq!(served(&after)[1..], [pair(second.as_str(), &["api (/rules.yml, line 2)"])]);
        assert_eq!(after.broken[0].names.last(), Some(first));
    }
    let no_list = rules("x: y").replacen("mutators: [{ x: y }]", "mutators: 1", 1);
    assert_eq!(parse(GLOBAL, &no_list).unwrap().profiles[1].name(), second);
}

#[test]
fn hydrator_urls_are_read_from_rules_and_the_global_configuration() {
    let global = "mutators: { hydrator: { enabled: true, config: { api: { url: 'http://c:4477/hydrate/id_token?x' } } } }\n\
                  access_rules: { repositories: [ 'file:///rules.yml' ] }\n";
    let rules = "- { id: a, mutators: [{ handler: hydrator }] }\n\
                 - { id: b, mutators: [{ handler: hydrator, config: { api: { url: 'http://c/hydrate/people' } } }] }\n\
                 - { id: c, mutators: [{ handler: hydrator, config: { api: { url: 'http://other/roles' } } }] }\n";
    let config = parse(global, rules).unwrap();
    assert!(config.profiles.is_empty());
    let hydrated: Vec<_> = config.hydrated.iter().map(|(name, origin)| format!("{name}: {origin}")).collect();
    assert_eq!(hydrated, ["id_token: the hydrator of access rule a", "people: the hydrator of access rule b"]);
    // A rule that still has the mutator, which is off, is rejected as by Oathkeeper.
    let rules = format!("{rules}- {{ id: d, mutators: [{{ handler: id_token }}] }}\n");
    let broken = broken(&parse(global, &rules).unwrap());
    assert!(broken[0].starts_with("access rule d: mutators.id_token.enabled: expected `true`"), "{broken:?}");
}

#[test]
fn the_environment_overrides_as_with_oathkeeper() {
    let config = parse_in(GLOBAL, "[]", &[("MUTATORS_ID_TOKEN_CONFIG_ISSUER_URL", "/bar")]).unwrap();
    assert_eq!(config.profiles[0].profile.spec.issuer.as_str(), "/bar");
    let off = GLOBAL.replace("enabled: true", "enabled: false");
    for word in ["1", "t", "T", "TRUE", "True", "true"] {
        assert!(parse_in(&off, "[]", &[("MUTATORS_ID_TOKEN_ENABLED", word)]).is_ok(), "{word}");
    }
    for word in ["0", "yes", "tRUE", ""] {
        assert!(parse_in(GLOBAL, "[]", &[("MUTATORS_ID_TOKEN_ENABLED", word)]).is_err(), "{word}");
    }
    let config = parse_in(GLOBAL, "[]", &[("MUTATORS_ID_TOKEN_CONFIG", "{\"ttl\": \"5m\"}")]).unwrap();
    assert_eq!(config.profiles[0].profile.spec.ttl.seconds(), 300);
    assert_eq!(config.profiles[0].claims.as_ref().unwrap().text, "{\"a\": 1}");
    let rules = "- { id: r, mutators: [{ handler: id_token, config: { ttl: 1m } }] }";
    let none = GLOBAL.replace("file:///rules.yml", "file:///none");
    for (name, value) in [
        ("ACCESS_RULES_REPOSITORIES", "[\"file:///rules.yml\"]"),
        ("ACCESS_RULES_REPOSITORIES", "file:///rules.yml"),
        ("ACCESS_RULES_REPOSITORIES_0", "/rules.yml"),
    ] {
        let config = parse_in(&none, rules, &[(name, value)]).unwrap();
        assert_eq!(served(&config)[1..], [pair("r", &["r"])], "{name}={value}");
        assert_eq!(broken(&config), [""; 0]);
    }
    let secret = "https://user:canary,half,canary@rules.example/a.yml, /etc/rules@2.yml, https://h:80,/rules.yml";
    let asked = std::cell::RefCell::new(Vec::new());
    let fetch = |source: RuleSource<'_>| {
        let (RuleSource::File(name) | RuleSource::Url(name)) = source;
        asked.borrow_mut().push(name.to_owned());
        Err("no response".to_owned())
    };
    let config = OathkeeperConfig::parse(
        "oathkeeper.yml",
        GLOBAL,
        &[("ACCESS_RULES_REPOSITORIES".into(), secret.into())],
        &fetch,
    )
    .unwrap();
    assert_eq!(
        asked.into_inner(),
        ["https://user:canary,half,canary@rules.example/a.yml", "/etc/rules@2.yml", "https://h:80", "/rules.yml"]
    );
    assert!(!format!("{:?}", broken(&config)).contains("canary"), "{:?}", broken(&config));
    let config = parse_in(GLOBAL, rules, &[("ACCESS_RULES_REPOSITORIES", "[\"/rules.yml\"")]).unwrap();
    assert!(broken(&config)[0].contains("(from ACCESS_RULES_REPOSITORIES)"));
}

#[test]
fn helm_values_are_read_as_they_are() {
    let values = "replicaCount: 1\noathkeeper:\n  config:\n    access_rules:\n      repositories:\n        - \
                  file:///etc/rules/access-rules.json\n    mutators:\n      id_token:\n        enabled: true\n        \
                  config:\n          issuer_url: /foo\n          jwks_url: file:///etc/secrets/mutator.id_token.jwks.json\n  \
                  accessRules: |\n    [ { \"id\": \"api\", \"mutators\": [ { \"handler\": \"id_token\" } ] } ]\n  \
                  mutatorIdTokenJWKs: '{\"keys\": []}'\n";
    for text in
        [values.to_owned(), format!("umbrella:\n  oathkeeper: 1\n{values}").replace("umbrella:\n  oathkeeper: 1\n", "")]
    {
        let config = parse(&text, "").unwrap();
        assert_eq!(served(&config), [pair("id_token", &["api"])]);
        assert_eq!(broken(&config), [""; 0]);
        let jwks = config.profiles[0].profile.jwks.to_string();
        assert!(jwks.starts_with("base64://"), "{jwks}");
    }
    let nested: String = values.lines().map(|line| format!("  {line}\n")).collect();
    let config = parse(&format!("oathkeeper:\n{nested}"), "").unwrap();
    assert_eq!(served(&config), [pair("id_token", &["api"])]);
}

#[test]
fn a_config_map_is_read_as_it_is() {
    let text = "apiVersion: v1\nkind: ConfigMap\ndata:\n  config.yaml: |\n    mutators: { id_token: { enabled: true, config: { \
                issuer_url: /foo, jwks_url: k.json } } }\n    access_rules: { repositories: [ 'file:///etc/rules.json' ] }\n  \
                rules.json: '[{\"id\": \"r\", \"mutators\": [{\"handler\": \"id_token\"}]}]'\n";
    let config = parse(text, "").unwrap();
    assert_eq!(served(&config), [pair("id_token", &["r"])]);
    assert_eq!(broken(&config), [""; 0]);
}

#[test]
fn rule_objects_of_maester_are_read_as_they_are() {
    let object = |name: &str| {
        format!(
            "apiVersion: oathkeeper.ory.sh/v1alpha1\nkind: Rule\nmetadata: {{ name: {name}, namespace: shop }}\n\
             spec: {{ mutators: [{{ handler: id_token, config: {{ ttl: 1m }} }}] }}\n"
        )
    };
    let two = format!("{}---\n{}", object("people"), object("orders"));
    let config = parse(GLOBAL, &two).unwrap();
    assert_eq!(served(&config)[1..], [pair("people.shop", &["people.shop"]), pair("orders.shop", &["orders.shop"])]);
    let item = object("x").lines().map(|line| format!("  {line}\n")).collect::<String>().replacen("  ", "- ", 1);
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{item}");
    assert_eq!(served(&parse(GLOBAL, &list).unwrap())[1], pair("x.shop", &["x.shop"]));
    // They can be passed as a further file, too.
    let files = [("o.yml".to_owned(), GLOBAL.replace("'file:///rules.yml'", "")), ("cr.yml".to_owned(), two.clone())];
    let config = OathkeeperConfig::parse_files(&files, &[], &|_| Err("none".to_owned())).unwrap();
    assert_eq!(served(&config)[1..], [pair("people.shop", &["people.shop"]), pair("orders.shop", &["orders.shop"])]);
    for alone in [two.as_str(), "[]", "- { id: a }"] {
        let error = parse(alone, "").unwrap_err().to_string();
        let expected = "oathkeeper.yml: expected Oathkeeper's configuration, found only access rules; pass the configuration \
                        too (--oathkeeper oathkeeper.yml";
        assert!(error.contains(expected), "{error}");
    }
    let error = parse("apiVersion: v1\nkind: Deployment\n", "").unwrap_err().to_string();
    assert!(error.contains("found a Kubernetes object of kind Deployment; extract the configuration"), "{error}");
}

#[test]
fn several_files_are_merged() {
    let files = [
        ("a.yml".to_owned(), GLOBAL.to_owned()),
        ("b.yml".to_owned(), "mutators: { id_token: { config: { ttl: 5m, clams: x } } }".to_owned()),
    ];
    let error = OathkeeperConfig::parse_files(&files, &[], &|_| Ok(b"[]".to_vec())).unwrap_err();
    let expected =
        "b.yml: mutators.id_token.config.clams: expected a key that Oathkeeper knows (did you mean `claims`?)";
    assert!(error.to_string().contains(expected), "{error}");
    let files = [files[0].clone(), ("b.yml".to_owned(), files[1].1.replace(", clams: x", ""))];
    let config = OathkeeperConfig::parse_files(&files, &[], &|_| Ok(b"[]".to_vec())).unwrap();
    assert_eq!(config.profiles[0].profile.spec.ttl.seconds(), 300);
}

#[test]
fn misplaced_settings_are_pointed_at() {
    let text = "mutators:\n  id_token:\n    enabled: true\n    issuer_url: /foo\n    jwks_url: k.json\n";
    let error = parse(text, "").unwrap_err().to_string();
    let expected = "mutators.id_token.issuer_url: expected mutators.id_token.config.issuer_url, found the key here; move it \
                    (line 4, column 5)";
    assert!(error.contains(expected), "{error}");
    let error = parse("credentials_issuers: { id_token: { jwks_url: k.json } }", "").unwrap_err().to_string();
    assert!(
        error.contains("credentials_issuers.id_token.jwks_url: expected mutators.id_token.config.jwks_url"),
        "{error}"
    );
}

#[test]
fn a_backslash_in_a_template_is_reported_at_its_place() {
    let text = GLOBAL.replace("'{\"a\": 1}'", "'{\"o\": {{ if has \\\"staff\\\" .Extra.roles }}1{{ end }}}'");
    let config = parse(&text, "[]").unwrap();
    assert!(config.profiles.is_empty());
    let message = &broken(&config)[0];
    assert!(message.contains(":1:17: expected no backslash outside of a string"), "{message}");
    assert!(message.contains("remove the backslash"), "{message}");
}

#[test]
fn ten_thousand_rules_are_read() {
    let rules: Vec<_> = (0..10_000)
        .map(|number| {
            format!(
                r#"{{"id":"svc-{number}","match":{{"methods":["GET"],"url":"<https|http>://api/{number}/<.*>"}},"authenticators":[{{"handler":"jwt","config":{{"required_scope":["a"]}}}}],"authorizer":{{"handler":"allow"}},"mutators":[{{"handler":"id_token","config":{{}}}}],"errors":[{{"handler":"json"}}],"upstream":{{"url":"http://b"}}}}"#
            )
        })
        .collect();
    let config = parse(GLOBAL, &format!("[{}]", rules.join(","))).unwrap();
    assert_eq!(broken(&config), [""; 0]);
    assert_eq!((config.profiles.len(), config.profiles[0].rules.len()), (1, 10_000));
    let too_large = format!("[{}]", " ".repeat(8 << 20));
    let broken = broken(&parse(GLOBAL, &too_large).unwrap());
    assert!(
        broken[0].starts_with("/rules.yml: expected at most 8388608 bytes, found 8388610 bytes; split"),
        "{broken:?}"
    );
}
