//! The table of keys, and the schema and reference that are generated from it.

use super::super::field::{Field, Kind, Presence, Section, size_text};
use super::super::root::ROOT;
use super::*;

#[path = "../../../tests/section.rs"]
mod section;

/// Returns a valid configuration with `value` at the path of a field.
fn around(path: &[&str], value: &str) -> String {
    let mut text = String::new();
    let mut rest = path;
    while let Some((key, below)) = rest.split_first() {
        let sibling = match (path, rest.len()) {
            (["serve", "api", "tls", "cert_file"], 1) => "key_file: k, ",
            (["serve", "api", "tls", "key_file"], 1) => "cert_file: c, ",
            (["serve", "api", "tls", "client_auth"], 1) => "cert_file: c, key_file: k, client_ca_file: a, ",
            (["serve", "api", "tls", _], 1) => "cert_file: c, key_file: k, ",
            (["serve", "api", "unix", "mode"], 1) => "path: p, ",
            (["callers", "[]", "limits", "burst"], 1) => "rate: 1/s, ",
            (["callers", "[]", "profiles" | "limits", ..], _) if rest.len() == path.len() - 2 => {
                "name: n, bearer: { token_file: t }, "
            }
            (["callers", "[]", "tls", ..], _) if rest.len() == path.len() => {
                "profiles: { id_token: { issuer: a, jwks: b } }, \
                 serve: { api: { tls: { cert_file: c, key_file: k, client_ca_file: a } } }, "
            }
            (["sources", "*", "type"], 1) => "public: 'http://k', ",
            (["sources", "*", "public"], 1) => "type: kratos, ",
            (["sources", "*", "cache", "ttl"], 1) => "",
            (["sources", "*", "cache", _], 1) => "ttl: 1s, ",
            (["sources", "*", "admin"], 1) => "type: kratos, public: 'http://k', extend: { below: 1h }, ",
            (["sources", "*", "admin_token_file"], 1) => {
                "type: kratos, public: 'http://k', admin: 'http://k', extend: { below: 1h }, "
            }
            (["sources", "*", "extend"], 1) | (["sources", "*", "extend", _], 2) => {
                "type: kratos, public: 'http://k', admin: 'http://k', "
            }
            (["sources", "*", "url"], 1) => "type: introspection, ",
            (["sources", "*", "basic", "username"], 1) => "password_file: p, ",
            (["sources", "*", "basic", "password_file"], 1) => "username: u, ",
            (["sources", "*", "basic" | "bearer"], 1) | (["sources", "*", "basic" | "bearer", _], 2) => {
                "type: introspection, url: 'http://i', "
            }
            (["sources", "*", "issuer"], 1) => "type: jwt, audience: a, algorithms: ES256, ",
            (["sources", "*", "audience"], 1) => "type: jwt, issuer: 'https://i', algorithms: ES256, ",
            (["sources", "*", "algorithms"], 1) => "type: jwt, issuer: 'https://i', audience: a, ",
            (["sources", "*", "assurance", "level"], 1) => "aal2: b, ",
            (["sources", "*", "assurance", "aal1"], 1) => "level: acr, aal2: b, ",
            (["sources", "*", "assurance", "aal2"], 1) => "level: acr, ",
            (["sources", "*", "typ" | "jwks" | "leeway" | "assurance"], 1) | (["sources", "*", "assurance", _], 2) => {
                "type: jwt, issuer: 'https://i', audience: a, algorithms: ES256, "
            }
            (["sources", "*", "cache", _], 2) => "type: kratos, public: 'http://k', ",
            (["sources", "*", _], 1) => "type: kratos, public: 'http://k', ",
            (["checks", "*", "sources"], 1) => "profile: id_token, ",
            (["checks", "*", "profile"], 1) => "sources: kratos, ",
            (["checks", "*", "origins"], 1) => "sources: kratos, profile: id_token, login: 'http://l', ",
            (["checks", "*", ..], _) if rest.len() == path.len() - 2 => "sources: kratos, profile: id_token, ",
            (["checks", ..], _) if rest.len() == path.len() => {
                "profiles: { id_token: { issuer: a, jwks: b } }, sources: { kratos: { type: kratos, public: 'http://k' } }, \
                 callers: [{ name: n, networks: 127.0.0.1 }], "
            }
            (["callers", "[]", "basic", "username"], 1) => "password_file: p, ",
            (["callers", "[]", "basic", _], 1) => "username: u, ",
            (["profiles", "*", "placement", "scheme"], 1) => "header: X, ",
            (["profiles", "*", "issuer"], 1) => "jwks: b, ",
            (["profiles", "*", "jwks"], 1) => "issuer: a, ",
            (["profiles", "*", ..], _) if rest.len() == path.len() - 2 => "issuer: a, jwks: b, ",
            (["audit", "subject" | "refused"], 1) => "to: stdout, ",
            (["serve", "admin", "playground_sources"], 1) => "playground: true, ",
            (["traces", "sample_ratio"], 1) => "endpoint: 'http://c/', ",
            (["callers", "[]", "name"], 1) => "bearer: { token_file: t }, ",
            (["callers", "[]", ..], _) if rest.len() == path.len() - 2 => "name: n, ",
            _ if rest.len() == path.len() && *key != "profiles" => "profiles: { id_token: { issuer: a, jwks: b } }, ",
            _ => "",
        };
        match *key {
            "[]" => text.push_str("[ "),
            "*" => text.push_str("{ name: "),
            _ => text.push_str(&format!("{{ {sibling}{key}: ")),
        }
        rest = below;
    }
    text.push_str(value);
    path.iter().rev().for_each(|key| text.push_str(if *key == "[]" { " ]" } else { " }" }));
    text
}

fn each_field<'f>(
    section: &'static Section,
    path: &[&'static str],
    visit: &mut impl FnMut(&[&'static str], &'f Field),
) {
    for field in section.fields {
        let path = [path, &[field.name]].concat();
        visit(&path, field);
        match field.kind {
            Kind::Section(inner) => each_field(inner, &path, visit),
            Kind::Named(inner) => each_field(inner, &[path.as_slice(), &["*"]].concat(), visit),
            Kind::Many(inner) => each_field(inner, &[path.as_slice(), &["[]"]].concat(), visit),
            _ => {}
        }
    }
}

#[test]
#[cfg_attr(not(feature = "otlp"), ignore = "one of the examples configures traces")]
fn examples_and_defaults_are_accepted() {
    let mut count = 0;
    each_field(&ROOT, &[], &mut |path, field| {
        let default = match field.presence {
            Presence::Default(text) => Some(text),
            _ => None,
        };
        for value in field.examples.iter().copied().chain(default) {
            accepted(&around(path, value), &[]);
            count += 1;
        }
    });
    assert!(count > 60, "{count}");
}

#[test]
fn each_word_of_a_choice_is_accepted() {
    let mut count = 0;
    each_field(&ROOT, &[], &mut |path, field| {
        if let Kind::Choice(words) = field.kind {
            for word in words {
                let text = around(path, word);
                if let Err(error) = parse(&text, &[]) {
                    let error = error.to_string();
                    assert!(!error.contains("expected one of"), "{text}\n{error}");
                }
                count += 1;
            }
        }
    });
    assert!(count > 30, "{count}");
}

#[test]
fn schema_has_exactly_the_keys_of_the_file() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let mut keys = Vec::new();
    each_field(&ROOT, &[], &mut |path, field| {
        let pointer: String = path.iter().fold(String::new(), |pointer, key| match *key {
            "*" => pointer + "/additionalProperties",
            "[]" => pointer + "/items",
            key => format!("{pointer}/properties/{key}"),
        });
        let found = schema.pointer(&pointer);
        assert_eq!(found.is_some(), field.presence != Presence::EnvironmentOnly, "{pointer}");
        if let Some(found) = found {
            assert!(found["title"].is_string() && found["description"].is_string(), "{pointer}");
            assert_eq!(found.get("default").is_some(), matches!(field.presence, Presence::Default(_)), "{pointer}");
            keys.push(pointer);
        }
    });
    assert_eq!(count_properties(&schema), keys.len());
}

fn count_properties(schema: &serde_json::Value) -> usize {
    let inner = schema["properties"]
        .as_object()
        .map_or(0, |properties| properties.len() + properties.values().map(count_properties).sum::<usize>());
    inner
        + ["additionalProperties", "items"]
            .iter()
            .filter_map(|key| schema.get(key))
            .filter(|schema| schema.is_object())
            .map(count_properties)
            .sum::<usize>()
}

/// What a value must be, for a table.
fn kind_in_words(kind: Kind) -> String {
    match kind {
        Kind::Bool => "boolean".to_owned(),
        Kind::Choice(words) => format!("`{}`", words.join("`, `")),
        Kind::Count { least, most } => format!("{least} to {most}"),
        Kind::Duration { .. } => "duration".to_owned(),
        Kind::Host | Kind::Path | Kind::Text(_) => "text".to_owned(),
        Kind::Many(_) => "list".to_owned(),
        Kind::Named(_) | Kind::Section(_) => "mapping".to_owned(),
        Kind::Port => "port".to_owned(),
        Kind::Ratio => "0 to 1".to_owned(),
        Kind::Size { least, most } => format!("size, {} to {}", size_text(least), size_text(most)),
        Kind::TextMap { .. } => "mapping of text".to_owned(),
        Kind::Texts => "list of text, or text".to_owned(),
    }
}

/// `docs/keys.md` as a link beside it.
fn linked(meaning: &str) -> String {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
    let mut parts = meaning.split("docs/");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, rest| match rest.split_once(".md") {
        Some((name, rest)) if name.chars().all(is_name) => format!("{text}[{name}.md]({name}.md){rest}"),
        _ => format!("{text}docs/{rest}"),
    })
}

#[test]
fn generated_reference_matches_the_table_of_keys() {
    let mut table = "| Key | Type | Default | Meaning | Variable |\n| --- | --- | --- | --- | --- |\n".to_owned();
    each_field(&ROOT, &[], &mut |path, field| {
        let (key, variable) =
            path.iter().fold((String::new(), "CLAIMSMITH".to_owned()), |(key, variable), step| match *step {
                "*" => (key + ".<name>", variable + "_<NAME>"),
                "[]" => (key + "[]", variable + "_<N>"),
                step if key.is_empty() => (step.to_owned(), format!("{variable}_{}", step.to_uppercase())),
                step => (format!("{key}.{step}"), format!("{variable}_{}", step.to_uppercase())),
            });
        let default = match field.presence {
            Presence::Default(text) => format!("`{text}`"),
            Presence::DefaultInWords(words) => words.to_owned(),
            Presence::Required => "required".to_owned(),
            Presence::Optional | Presence::EnvironmentOnly => String::new(),
        };
        let is_whole = matches!(field.kind, Kind::Section(_)) && field.presence == Presence::Optional;
        let variable = if is_whole { String::new() } else { format!("`{variable}`") };
        let (kind, meaning) = (kind_in_words(field.kind), linked(field.meaning));
        table.push_str(&format!("| `{key}` | {kind} | {default} | {meaning} | {variable} |\n"));
    });
    section::hold("docs/configuration.md", "every-key", &table);
}

#[test]
fn invalid_value_of_any_key_is_an_error() {
    each_field(&ROOT, &[], &mut |path, field| {
        let possible: &[&str] = match field.kind {
            Kind::Bool => &["true"],
            Kind::Host | Kind::Path | Kind::Text(_) | Kind::Texts => &["' '", "\"\\0\""],
            Kind::Section(_) | Kind::Named(_) => &["{}"],
            Kind::Many(_) => &["[]"],
            _ => &[],
        };
        for value in
            ["null", "{}", "[]", "[[]]", "{ a: 1 }", "-1", "true", "''", "' '", "\"\\0\"", "99999999999999999999"]
        {
            let text = around(path, value);
            // An empty scheme puts the token alone into the header.
            let possible = possible.contains(&value) || value == "''" && path.ends_with(&["scheme"]);
            assert!(parse(&text, &[]).is_err() || possible, "{text}");
        }
    });
}
