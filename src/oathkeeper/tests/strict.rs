//! Values, merge keys and files that must mean what they mean to Oathkeeper, and texts that must not be shown.

use super::*;

#[test]
fn secrets_in_urls_and_keys_are_not_shown() {
    for url in [
        "https://user:canary@127.0.0.1:9/rules.yml?sig=canary",
        "https://127.0.0.1:9/rules.yml?sig=canary#canary",
        "s3://AK:canary@bucket/rules.yml",
        "canary:canary@http://127.0.0.1/rules.yml",
    ] {
        let in_file = parse(&GLOBAL.replace("file:///rules.yml", url), "[]").unwrap();
        let in_variable = parse_in(GLOBAL, "[]", &[("ACCESS_RULES_REPOSITORIES", url)]).unwrap();
        for config in [in_file, in_variable] {
            let shown = format!("{config:?}");
            assert!(!config.broken.is_empty() && !shown.contains("canary"), "{url}: {shown}");
        }
        let readable = OathkeeperConfig::parse("o.yml", &GLOBAL.replace("file:///rules.yml", url), &[], &|_| {
            Ok(b"- { mutators: 1 }\n- { id: a, mutators: [{ handler: id_token, config: { ttl: 1m } }] }".to_vec())
        });
        let shown = format!("{:?}", readable.unwrap());
        assert!(!shown.contains("canary"), "{url}: {shown}");
    }
    for key in ["{\"keys\":[{\"kty\":\"oct\",\"k\":\"canary\"}]}", "-----BEGIN PRIVATE KEY-----canary"] {
        let error = parse(&GLOBAL.replace("file:///k.json", key), "[]").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        let rule = format!("- {{ id: a, mutators: [{{ handler: id_token, config: {{ jwks_url: '{key}' }} }}] }}");
        let broken = broken(&parse(GLOBAL, &rule).unwrap());
        assert!(broken[0].contains("looks like a key") && !broken[0].contains("canary"), "{broken:?}");
    }
}

#[test]
fn values_that_are_not_text_are_rejected_as_by_oathkeeper() {
    for setting in
        ["claims: null", "claims: 12", "claims: yes", "issuer_url: true", "issuer_url: 12", "jwks_url: 12", "ttl: null"]
    {
        let rule = format!("- {{ id: a, mutators: [{{ handler: id_token, config: {{ {setting} }} }}] }}");
        let config = parse(GLOBAL, &rule).unwrap();
        assert_eq!(served(&config), [pair("id_token", &[])], "{setting}");
        let key = setting.split(':').next().unwrap();
        assert!(broken(&config)[0].contains(&format!("mutators[0].config.{key}: expected")), "{:?}", broken(&config));
        let global = GLOBAL.replace("claims: '{\"a\": 1}'", setting);
        let global = if key == "claims" || key == "ttl" {
            global
        } else {
            let (before, after) = GLOBAL.split_once(&format!("{key}: ")).unwrap();
            format!("{before}{setting}{}", &after[after.find(',').unwrap()..])
        };
        assert!(
            parse(&global, "[]").unwrap_err().to_string().contains(&format!("config.{key}: expected")),
            "{setting}"
        );
    }
    for id in ["123", "yes", "true", "1.5"] {
        let config = parse(GLOBAL, &format!("- {{ id: {id}, mutators: [{{ handler: id_token }}] }}")).unwrap();
        assert_eq!(served(&config), [pair("id_token", &[])], "{id}");
        assert!(broken(&config)[0].contains("[0].id: expected text; put it in quotes"), "{:?}", broken(&config));
    }
    for word in ["'true'", "1", "yes", "t"] {
        let error = parse(&GLOBAL.replace("enabled: true", &format!("enabled: {word}")), "[]").unwrap_err();
        assert!(error.to_string().contains("mutators.id_token.enabled: expected `true`"), "{word}: {error}");
    }
}

#[test]
fn merge_keys_of_rules_win_over_keys_before_them() {
    // These are the lifetimes in the tokens of Oathkeeper 0.40.9.
    for (settings, seconds) in [
        ("ttl: 2m, <<: { ttl: 1m }", 60),
        ("<<: { ttl: 1m }, ttl: 2m", 120),
        ("<<: { ttl: 1m }, ttl: 2m, <<: { ttl: 3m }", 180),
        ("<<: [{ ttl: 1m }, { ttl: 2m }]", 60),
        ("<<: [{ ttl: 1m }, { ttl: 2m }], <<: { ttl: 3m }", 180),
    ] {
        let rule = format!("- {{ id: r, mutators: [{{ handler: id_token, config: {{ {settings} }} }}] }}");
        for files in [vec![GLOBAL.to_owned()], vec![GLOBAL.replace("'file:///rules.yml'", ""), rule.clone()]] {
            let files: Vec<_> =
                files.into_iter().zip(["o.yml", "r.yml"]).map(|(text, name)| (name.into(), text)).collect();
            let config = OathkeeperConfig::parse_files(&files, &[], &|_| Ok(rule.clone().into_bytes())).unwrap();
            let ttls: Vec<_> = config.profiles.iter().map(|one| one.profile.spec.ttl.seconds()).collect();
            assert_eq!(ttls, [900, seconds], "{settings}");
            assert!(!config.warnings.iter().any(|warning| warning.contains("twice")), "{:?}", config.warnings);
        }
    }
}

#[test]
fn keys_of_the_configuration_win_over_its_merge_key() {
    let text = |settings: &str| GLOBAL.replace("issuer_url: /foo", settings);
    let config = parse(&text("issuer_url: /own, <<: { issuer_url: /merged, ttl: 1m }"), "[]").unwrap();
    let spec = &config.profiles[0].profile.spec;
    assert_eq!((spec.issuer.as_str(), spec.ttl.seconds()), ("/own", 60));
    let error = parse(&text("<<: { issuer_url: /a }, <<: { ttl: 1m }"), "[]").unwrap_err().to_string();
    assert!(error.contains("expected each key once, found a second `<<`"), "{error}");
}

#[test]
fn files_in_a_config_map_stand_for_one_repository_each() {
    let text = |repositories: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  config.yaml: |\n    mutators: {{ id_token: {{ enabled: true, config: {{ \
             issuer_url: /foo, jwks_url: k.json }} }} }}\n    access_rules: {{ repositories: [ {repositories} ] }}\n  \
             rules.yml: '[{{\"id\": \"inside\", \"mutators\": [{{\"handler\": \"id_token\"}}]}}]'\n  \
             old.yml: '[{{\"id\": \"old\", \"mutators\": [{{\"handler\": \"id_token\"}}]}}]'\n"
        )
    };
    let outside = "- { id: outside, mutators: [{ handler: id_token }] }";
    let config = parse(&text("'file:///etc/rules.yml', 'file:///rules.yml'"), outside).unwrap();
    assert_eq!(served(&config), [pair("id_token", &["inside", "outside"])]);
    for note in ["file:///etc/rules.yml: read from rules.yml", "old.yml: no repository names these access rules"] {
        assert!(config.warnings.iter().any(|warning| warning.contains(note)), "{:?}", config.warnings);
    }
    let config = parse(&text("'http://rules.example/rules.yml'"), outside).unwrap();
    assert_eq!(served(&config), [pair("id_token", &[])]);
    assert!(broken(&config)[0].contains("readable access rules at http://rules.example/rules.yml"));
}

#[test]
fn ids_are_shown_as_a_part_of_one_line() {
    let id = format!("a\\n\\e[31m\\u202e{}", "x".repeat(1000));
    let config =
        parse(GLOBAL, &format!("- {{ id: \"{id}\", mutators: [{{ handler: id_token, config: {{ aud: x }} }}] }}"));
    let message = &broken(&config.unwrap())[0];
    assert!(message.starts_with("access rule a  [31m xxx") && message.len() < 600, "{message}");
    assert!(!message.contains(['\n', '\u{1b}', '\u{202e}']), "{message}");
}
