//! Common mistakes, and the hint that each of them gets.

use std::fs;

use claimsmith::keys::SignatureAlg;

use crate::support::{Folder, Setup, claimsmith, command, spawn_app, stderr, stdout};

const SESSION: &str =
    r#"{"subject":"ann","extra":{"x":1,"name":"Ann","roles":["a"],"age":0,"objects":[{"name":"one"}]}}"#;
const CONFIG: &str = "profiles:\n  p:\n    issuer: https://id.example.org/\n    jwks: keys.json\n";

/// A mistake.
enum Mistake {
    /// A Handlebars template.
    Handlebars(&'static str),
    /// A Go template.
    Go(&'static str),
    /// A configuration; the rest of the directory is valid.
    Config(&'static str),
    /// A valid configuration and a variable.
    Variable(&'static str, &'static str),
    /// The arguments of a command.
    Command(&'static [&'static str]),
}

use Mistake::{Command, Config, Go, Handlebars, Variable};

/// Each mistake, and the texts that its error has to contain.
const HINTS: &[(&str, Mistake, &[&str])] = &[
    (
        "key file of a profile with an algorithm",
        Config("profiles:\n  p:\n    issuer: https://id.example.org/\n    jwks: new.json\n    alg: RS256\n"),
        &["keys generate --alg RS256 --out new.json"],
    ),
    (
        "certificate given to keys add",
        Command(&["keys", "add", "keys.json", "--from", "cert.pem"]),
        &["found a certificate", "give the key file"],
    ),
    (
        "certificate in place of the key set of keys add",
        Command(&["keys", "add", "cert.pem", "--from", "key.pem"]),
        &["found PEM", "--from"],
    ),
    ("service link of Kubernetes", Variable("CLAIMSMITH_PORT", "tcp://10.0.0.1:4477"), &["enableServiceLinks: false"]),
    (
        "other service link of Kubernetes",
        Variable("CLAIMSMITH_PORT_4477_TCP_PROTO", "tcp"),
        &["enableServiceLinks: false"],
    ),
    (
        "variable without its section",
        Variable("CLAIMSMITH_SERVE_PORT", "4477"),
        &["did you mean CLAIMSMITH_SERVE_ADMIN_PORT or CLAIMSMITH_SERVE_API_PORT or"],
    ),
    ("variable without its profile", Variable("CLAIMSMITH_TTL", "15m"), &["did you mean CLAIMSMITH_PROFILES_P_TTL?"]),
    (
        "duration without a unit",
        Config("profiles:\n  p:\n    issuer: https://id.example.org/\n    jwks: keys.json\n    ttl: 15\n"),
        &["found the number `15`; add the unit: 15s, 15m or 15h", "line 5"],
    ),
    (
        "key of another mapping",
        Config("profiles:\n  p:\n    issuer: https://id.example.org/\n    jwks: keys.json\n    sources: [kratos]\n"),
        &["profiles.p.sources", "`sources` is a key of checks.<name>"],
    ),
    (
        "key without one of its words",
        Config(
            "callers: [{ name: a, bearer: { files: secret } }]\n\
             profiles: { p: { issuer: \"https://id.example.org/\", jwks: keys.json } }\n",
        ),
        &["callers[0].bearer", "did you mean `token_files`?"],
    ),
    ("root variable of Go", Handlebars(r#"{"a": {{$.Extra.x}}}"#), &["1:9", "write {{Extra.x}}"]),
    ("curly quotes in a tag", Handlebars("{\"a\": {{default Extra.x “none”}}}"), &["curly quote", "straight quotes"]),
    ("curly quotes around a name", Handlebars("{“a”: 1}"), &["curly quote", "straight quotes"]),
    ("clock", Handlebars(r#"{"a": {{now}}}"#), &["read no clock", "iat"]),
    ("print of Go", Handlebars(r#"{"a": {{print .Extra.x}}}"#), &["an expression writes its value: {{Extra.x}}"]),
    ("member in brackets and quotes", Handlebars(r#"{"a": {{Extra["name"]}}}"#), &["write {{Extra.name}}"]),
    ("element in brackets", Handlebars(r#"{"a": {{Extra.roles[0]}}}"#), &["write {{Extra.roles.0}}"]),
    ("single braces", Handlebars(r#"{"a": {Extra.x}}"#), &["two braces on each side"]),
    ("Jinja", Handlebars(r#"{% if x %}{"a": 1}{% endif %}"#), &["as in Jinja", "{{#if Extra.x}}"]),
    ("shell variable", Handlebars(r#"{"a": ${Extra.x}}"#), &["`${` as in a shell", "write {{Extra.name}}"]),
    ("Handlebars in a Go template", Go(r#"{"a": {{Extra.x}}}"#), &["this is Handlebars", "claims.hbs"]),
    (
        "Handlebars block in a Go template",
        Go(r#"{{#if Extra.x}}{"a": 1}{{/if}}"#),
        &["this is Handlebars", "claims.hbs"],
    ),
    (
        "path as the name of a template",
        Config(
            "profiles:\n  p:\n    issuer: https://id.example.org/\n    jwks: keys.json\n    template: templates/p/claims.hbs\n",
        ),
        &["profiles.p.template", "a path; write the name", "`p`", "line 5"],
    ),
    (
        "look-ahead",
        Handlebars(r#"{"a": {{regexMatch Extra.name "^(?!admin)"}}}"#),
        &["without look-around, found `(?!`", "two conditions"],
    ),
    (
        "misspelt template",
        Config("profiles:\n  p:\n    issuer: https://id.example.org/\n    jwks: keys.json\n    template: pp\n"),
        &["did you mean `p`?", "line 5, column 15"],
    ),
    (
        "algorithm without a key",
        Config("profiles:\n  p:\n    issuer: https://id.example.org/\n    jwks: keys.json\n    alg: RS256\n"),
        &["keys rotate", "--alg RS256", "line 5, column 10"],
    ),
    (
        "YAML without a space",
        Config("profiles:\n  p:\n    issuer https://id.example.org/\n    jwks: keys.json\n"),
        &["a syntax error", "`issuer https://id.example.org/` in the line before", "a colon and a space"],
    ),
    (
        "issuer that is no URL",
        Config("profiles: { p: { issuer: me, jwks: keys.json } }\n"),
        &["note: profiles.p.issuer: `me` is not an https URL"],
    ),
    (
        "variable in the configuration",
        Config("profiles:\n  p:\n    issuer: https://${HOST}/\n    jwks: keys.json\n    audience: [\"${AUDIENCE}\"]\n"),
        &[
            "note: profiles.p.issuer: contains `${HOST}`",
            "CLAIMSMITH_PROFILES_P_ISSUER",
            "note: profiles.p.audience[0]: contains `${AUDIENCE}`",
        ],
    ),
];

fn fixture(name: &str) -> String {
    fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write("templates/p/claims.hbs", "{\"name\": {{Extra.name}}}");
    folder.write("claimsmith.yaml", CONFIG);
    folder.write("session.json", SESSION);
    folder.write("key.pem", &fixture("pem/p256-pkcs8.pem"));
    folder.write("cert.pem", &fixture("pem/certificate.pem"));
    folder
}

fn output_of(mistake: &Mistake) -> String {
    let folder = folder();
    let render = |syntax: &str, text: &str| {
        claimsmith(folder.path(), &["render", "--syntax", syntax, "--text", text, "--session", "session.json"])
    };
    let output = match mistake {
        Handlebars(text) => render("handlebars", text),
        Go(text) => render("go", text),
        Config(text) => {
            folder.write("claimsmith.yaml", text);
            claimsmith(folder.path(), &["check"])
        }
        Variable(name, value) => command(folder.path()).arg("check").env(name, value).output().unwrap(),
        Command(arguments) => claimsmith(folder.path(), arguments),
    };
    format!("{}{}", stdout(&output), stderr(&output))
}

#[test]
fn common_mistakes_get_hints() {
    let mut wrong = Vec::new();
    for (name, mistake, parts) in HINTS {
        let output = output_of(mistake);
        let missing: Vec<_> = parts.iter().filter(|part| !output.contains(**part)).collect();
        if !missing.is_empty() {
            wrong.push(format!("{name}: {missing:?} not in\n{output}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Templates that fail over a session, and the texts that their error has to contain.
const RUN_TIME: &[(&str, &[&str])] = &[
    (
        r#"{"a": {{Extra.Name}}}"#,
        &[
            "1 | {\"a\": {{Extra.Name}}}",
            "^",
            "help: did you mean `Extra.name`?",
            "{{default Extra.Name null}}",
            "(has Extra.Name)",
        ],
    ),
    (r#"{"a": {{Extra.unrelated}}}"#, &["Extra has x, name, roles, age, objects", "missing: omit"]),
    (r#"{"a": "{{Extra.roles}}"}"#, &["1 | ", "^", "Extra.roles is an array"]),
    (
        r#"{"a": {{#with Extra}}{{nme}}{{else}}1{{/with}}}"#,
        &["Extra.nme is missing", "did you mean `name`?", "{{default nme null}}"],
    ),
    (
        r#"{"a": [{{#each Extra.objects as |one|}}{{one.nmae}}{{/each}}]}"#,
        &["one.nmae is missing", "did you mean `one.name`?", "{{default one.nmae null}}", "(has one.nmae)"],
    ),
    (
        r#"{"a": [{{#each Extra.objects}}{{nmae}}{{/each}}]}"#,
        &["Extra.objects.0.nmae is missing", "did you mean `name`?"],
    ),
    (
        r#"{"a": [{{#each Extra.objects as |one|}}{{#with one as |two|}}{{two.nmae}}{{/with}}{{/each}}]}"#,
        &["did you mean `two.name`?"],
    ),
    (r#"{"a": [{{#each Extra.objects}}{{@root.Extra.nmae}}{{/each}}]}"#, &["did you mean `@root.Extra.name`?"]),
    (r#"{"a": {{#let one=Extra.objects.0}}{{one.nmae}}{{/let}}}"#, &["did you mean `one.name`?"]),
    (
        r#"{"a": [{{#each Extra.objects.0 as |one|}}{{one.nmae}}{{/each}}]}"#,
        &["one.nmae is missing", "help: if it can be missing"],
    ),
    (r#"{{#if (has Extra.age)}}{{fail "no minors"}}{{/if}}{"a": 1}"#, &["no minors [session.refused]", "^"]),
];

#[test]
fn errors_over_a_session_have_the_line_and_a_hint() {
    let folder = folder();
    for (text, parts) in RUN_TIME {
        let output = claimsmith(folder.path(), &["render", "--text", text, "--session", "session.json"]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for part in *parts {
            assert!(stderr(&output).contains(part), "{text}: {part} not in\n{}", stderr(&output));
        }
    }
}

/// Go templates that fail over a session, and the texts that their error has to contain.
const RUN_TIME_GO: &[(&str, &[&str])] = &[
    (
        r#"{"a": {{ .Extra.nmae }}}"#,
        &["1 | ", "^", "did you mean `.Extra.name`?", "{{ .Extra.nmae | toJson }}", "{{ if hasKey .Extra \"nmae\" }}"],
    ),
    (
        r#"{"a": "{{ .Extra.objetcs.name }}"}"#,
        &[
            ".Extra.objetcs is missing or null",
            "did you mean `.Extra.objects`?",
            "{{ with .Extra.objetcs }}{{ .name }}{{ end }}",
        ],
    ),
    (r#"{"a": "{{ upper .Extra.nmae }}"}"#, &["did you mean `.Extra.name`?", "{{ if hasKey .Extra \"nmae\" }}"]),
    (r#"{"a": "{{ .Extra.nmae | upper }}"}"#, &["did you mean `.Extra.name`?"]),
    (r#"{"a": {{ len .Extra.rolse }}}"#, &["did you mean `.Extra.roles`?"]),
    (r#"{"a": "{{ $.Extra.nmae.x }}"}"#, &["did you mean `$.Extra.name`?"]),
    (r#"{"a": "{{ $e := .Extra }}{{ $e.nmae.x }}"}"#, &["did you mean `$e.name`?"]),
    (r#"{"a": [{{ range $i, $one := .Extra.objects }}"{{ $one.nmae.x }}"{{ end }}]}"#, &["did you mean `$one.name`?"]),
    (r#"{"a": [{{ range .Extra.objects }}"{{ .nmae.x }}"{{ end }}]}"#, &["did you mean `.name`?"]),
    (r#"{"a": "{{ with .Extra }}{{ .nmae.x }}{{ end }}"}"#, &["did you mean `.name`?"]),
    (
        r#"{"a": [{{ range $k, $one := (index .Extra.objects 0) }}"{{ $one.nmae.x }}"{{ end }}]}"#,
        &["expected a value with the field nmae, found string"],
    ),
    // Each of these writes quotes in another way.
    (r#"{"a": "{{ toJson .Extra.name }}"}"#, &["remove the quotes around the expression"]),
    (r#"{"a": "an {{ quote .Extra.name }}"}"#, &["remove the function that adds quotes"]),
    (
        r#"{"a": [{{ quote .Extra.name .Extra.name | replace "\" \"" "\",\"" }}]}"#,
        &["a function changed; write each value in an expression of its own"],
    ),
];

#[test]
fn errors_of_go_templates_over_a_session_have_the_line_and_a_hint() {
    let folder = folder();
    for (text, parts) in RUN_TIME_GO {
        let arguments = ["render", "--syntax", "go", "--text", text, "--session", "session.json"];
        let output = claimsmith(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for part in *parts {
            assert!(stderr(&output).contains(part), "{text}: {part} not in\n{}", stderr(&output));
        }
    }
}

#[test]
fn members_that_are_null_get_no_other_name() {
    let folder = folder();
    folder.write("session.json", r#"{"subject":"u","extra":{"nmae":null,"name":"x"}}"#);
    let text = r#"{"a": "{{ .Extra.nmae.x }}"}"#;
    let output = claimsmith(folder.path(), &["render", "--syntax", "go", "--text", text, "--session", "session.json"]);
    let error = stderr(&output);
    assert!(error.contains("{{ with .Extra.nmae }}") && !error.contains("did you mean"), "{error}");
}

#[test]
fn errors_that_follow_from_another_one_are_left_out() {
    let folder = folder();
    let faults = |text: &str| {
        let output = claimsmith(folder.path(), &["render", "--text", text, "--session", "session.json"]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        stderr(&output).matches(" | ").count() / 2
    };
    for (text, count) in [
        (r#"{"a": ${Extra.x}}"#, 1),
        (r#"{"a": ${Extra.x}, "b": [${Extra.name}]}"#, 2),
        (r#"{"a": {Extra.x}, "b": {Extra.name}}"#, 2),
        (r#"{% if x %}{"a": 1}{% endif %}"#, 1),
        (r#"{"a": ${Extra.x}, "b": {{nope}}}"#, 2),
        (r#"{"a": ${Extra.x}, "b" 1}"#, 2),
    ] {
        assert_eq!(faults(text), count, "{text}");
    }
    let check = || stderr(&claimsmith(folder.path(), &["check"]));
    folder.write(
        "claimsmith.yaml",
        "callers: [{ name: proxy, networks: [10.0.0.0/33], profiles: [q] }]\n\
         sources: { kratos: { type: Kratos, public: http://kratos:4433 } }\n\
         checks: { web: { sources: [kratos], profile: q } }\n\
         profiles: { q: { isuer: https://id.example.org/, jwks: keys.json, template: p } }\n",
    );
    let settings = check();
    for fault in ["callers[0].networks", "sources.kratos.type", "profiles.q.isuer"] {
        assert!(settings.contains(fault), "{fault} not in\n{settings}");
    }
    assert!(!settings.contains("checks") && !settings.contains("a configured"), "{settings}");
    folder.write("claimsmith.yaml", CONFIG);
    fs::write(folder.path().join("templates/p/claims.hbs"), b"\xff").unwrap();
    let unreadable = check();
    assert!(unreadable.contains("UTF-8") && unreadable.contains("1 fault\n"), "{unreadable}");
    fs::remove_dir_all(folder.path().join("templates")).unwrap();
    let missing = check();
    assert!(missing.contains("a directory of templates") && missing.contains("1 fault\n"), "{missing}");
}

#[test]
fn errors_show_the_part_of_a_long_line_that_they_are_about() {
    let folder = folder();
    let text = format!("{{\"a\": \"{}\", \"b\": {{{{nope}}}}, \"c\": \"{}\"}}", "x".repeat(5000), "y".repeat(5000));
    let output = claimsmith(folder.path(), &["render", "--text", &text, "--session", "session.json"]);
    let error = stderr(&output);
    let mut lines = error.lines().skip_while(|line| !line.starts_with("  1 | "));
    let (line, caret) = (lines.next().unwrap(), lines.next().unwrap());
    assert!(line.chars().count() < 200 && line.contains("{{nope}}") && line.ends_with('…'), "{error}");
    let column = caret.chars().position(|c| c == '^').unwrap();
    assert!(line.chars().skip(column).collect::<String>().starts_with("nope}}"), "{error}");
}

/// Paths that no session has.
const IMPOSSIBLE: &[(&str, &str)] = &[
    ("Subject.id", "Subject is a string"),
    ("Profile.x", "Profile is a string"),
    ("MatchContext.Url", "did you mean `MatchContext.URL`?"),
    ("MatchContext.Methd", "did you mean `MatchContext.Method`?"),
    ("MatchContext.Body", "data of the session is below Extra"),
];

#[test]
fn check_rejects_paths_that_no_session_has() {
    let folder = folder();
    for (path, hint) in IMPOSSIBLE {
        folder.write("templates/p/claims.hbs", &format!("{{\"a\": {{{{default {path} 1}}}}}}"));
        let output = claimsmith(folder.path(), &["check"]);
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert!(stderr(&output).contains(hint), "{path}: {}", stderr(&output));
    }
}

#[test]
fn check_warns_of_paths_in_go_templates_that_no_session_has() {
    let folder = folder();
    fs::remove_file(folder.path().join("templates/p/claims.hbs")).unwrap();
    let paths = [
        (".Subject.id", "without fields"),
        (".MatchContext.Methd", "did you mean `.MatchContext.Method`?"),
        ("$.extra.x", "did you mean `.Extra`?"),
    ];
    for (path, hint) in paths {
        folder.write(
            "templates/p/claims.gotmpl",
            &format!("{{{{ if false }}}}{{{{ {path} }}}}{{{{ end }}}}{{\"a\": 1}}"),
        );
        let output = claimsmith(folder.path(), &["check"]);
        assert!(
            stderr(&output).contains(hint) && stderr(&output).contains("claims.gotmpl:1:"),
            "{path}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn check_warns_of_conditions_that_drop_false_and_zero() {
    let folder = folder();
    let notes = |text: &str| {
        folder.write("templates/p/claims.hbs", text);
        let output = claimsmith(folder.path(), &["check"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stderr(&output)
    };
    for drops in [
        r#"{ {{#if Extra.age}}"age": {{Extra.age}}{{/if}} }"#,
        r#"{ "age": {{#if Extra.age}}{{Extra.age}}{{else}}null{{/if}} }"#,
        r#"{ {{#if Extra.age}}"age": "{{Extra.age}} years"{{/if}} }"#,
        r#"{ {{#if Extra.age}}"age": {"years": [{{#if Extra.name}}{{Extra.age}}{{/if}}]}{{/if}} }"#,
        r#"{ {{#if Extra.age}}"age": [{{#each Extra.roles}}{{@root.Extra.age}}{{/each}}]{{/if}} }"#,
        r#"{ {{#if Extra.age}}"age": {{string Extra.age}}{{/if}} }"#,
        r#"{ {{#if Extra.age}}"age": {{default (toJson Extra.age) 1}}{{/if}} }"#,
        r#"{ "ages": [{{#each Extra.roles as |role|}}{{#if role}}{{role}}{{/if}}{{/each}}] }"#,
    ] {
        let notes = notes(drops);
        assert!(notes.contains("claims.hbs:1:") && notes.contains("{{#if (has "), "{drops}: {notes}");
    }
    for keeps in [
        r#"{ {{#if (has Extra.age)}}"age": {{Extra.age}}{{/if}} }"#,
        r#"{ {{#if Extra.name}}"age": {{Extra.age}}{{/if}} }"#,
        r#"{ {{#unless Extra.age}}"age": {{Extra.age}}{{/unless}} }"#,
        r#"{ {{#if Extra.age}}"age": {{Extra.age}}{{else}}"none": {{Extra.age}}{{/if}} }"#,
        r#"{ {{#if Extra.age}}"adult": {{gt Extra.age 17}}{{/if}} }"#,
        r#"{ {{#if Extra.age}}{{#if (gt Extra.age 17)}}"age": {{Extra.age}}{{/if}}{{/if}} }"#,
        r#"{ {{#if Extra.name}}"name": {{upper Extra.name}}{{/if}} }"#,
        r#"{ {{#if Extra.roles}}"roles": [{{#each Extra.roles}}{{this}}{{/each}}]{{/if}} }"#,
        r#"{ "roles": [{{#each Extra.roles}}{{#if @index}}{{@index}}{{/if}}{{/each}}] }"#,
    ] {
        // The note about permissions depends on the umask of the test.
        assert!(!notes(keeps).contains("claims.hbs"), "{keeps}");
    }
}

#[test]
fn check_warns_of_conditions_in_go_templates_that_drop_false_and_zero() {
    let folder = folder();
    fs::remove_file(folder.path().join("templates/p/claims.hbs")).unwrap();
    let notes = |text: &str| {
        folder.write("templates/p/claims.gotmpl", text);
        stderr(&claimsmith(folder.path(), &["check"]))
    };
    for drops in [
        r#"{ {{ if .Extra.age }}"age": {{ .Extra.age }}{{ end }} }"#,
        r#"{ {{ if .Extra.age }}"age": {{ $.Extra.age | toJson }}{{ end }} }"#,
        r#"{ {{ if .Extra.age }}"age": [{{ range .Extra.roles }}{{ $.Extra.age }}{{ end }}]{{ end }} }"#,
        r#"{ {{ if .Extra.age }}"age": {{ if .Extra.name }}"{{ printf "%v" .Extra.age }}"{{ else }}1{{ end }}{{ end }} }"#,
        r#"{ "x": [{{ range $i, $o := .Extra.roles }}{{ if $o.age }}{{ toJson $o.age }}{{ end }}{{ end }}] }"#,
        r#"{ "x": [{{ range .Extra.roles }}{{ if .age }}{{ print .age }}{{ end }}{{ end }}] }"#,
    ] {
        let notes = notes(drops);
        assert!(notes.contains("claims.gotmpl:1:") && notes.contains("{{ if hasKey "), "{drops}: {notes}");
    }
    for keeps in [
        r#"{ {{ if hasKey .Extra "age" }}"age": {{ .Extra.age }}{{ end }} }"#,
        r#"{ {{ if .Extra.name }}"age": {{ .Extra.age }}{{ end }} }"#,
        r#"{ {{ if .Extra.age }}"age": {{ .Extra.age }}{{ else }}"none": {{ .Extra.age | toJson }}{{ end }} }"#,
        r#"{ {{ if .Extra.age }}{{ if gt .Extra.age 17.0 }}"age": {{ .Extra.age }}{{ end }}{{ end }} }"#,
        r#"{ {{ if .Extra.age }}"adult": {{ gt .Extra.age 17.0 }}{{ end }} }"#,
        r#"{ {{ if .Extra.age }}"x": [{{ range .Extra.roles }}{{ .Extra.age }}{{ end }}]{{ end }} }"#,
        r#"{ "x": [{{ range $i, $o := .Extra.roles }}{{ if $i }},{{ end }}{{ toJson $o }}{{ end }}] }"#,
    ] {
        assert!(!notes(keeps).contains("leaves out"), "{keeps}");
    }
}

#[test]
fn check_reports_errors_of_templates_and_keys_beside_those_of_settings() {
    let folder = folder();
    folder.write("templates/p/claims.hbs", "{\"a\": {{nope}}}");
    folder.write("keys.json", "{\"keys\":[]}");
    let text = "profiles:\n  p:\n    isuer: https://id.example.org/\n    jwks: keys.json\n    ttl: soon\nserv: 1\n";
    folder.write("claimsmith.yaml", text);
    let output = claimsmith(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(1));
    for part in ["profiles.p.ttl", "did you mean `issuer`?", "serv: expected", "claims.hbs:1:9", "keys.json"] {
        assert!(stderr(&output).contains(part), "{part} not in\n{}", stderr(&output));
    }
    assert!(!stderr(&output).contains(".invalid"), "{}", stderr(&output));
}

#[test]
fn errors_of_requests_name_no_member_that_only_the_session_has() {
    let detail = |template: &str, session: &str| {
        let app = spawn_app(&Setup { template, ..Setup::default() });
        let (status, problem) = app.refusal(session);
        assert_eq!(status, 422, "{problem}");
        problem["detail"].as_str().unwrap().to_owned()
    };
    let of_session = detail(r#"{"a": {{Extra.Name}}}"#, r#"{"subject":"u","extra":{"name":"x"}}"#);
    assert!(of_session.contains("Extra.Name is missing") && of_session.contains("{{default Extra.Name null}}"));
    assert!(!of_session.contains("Extra.name"), "{of_session}");
    let of_template =
        detail(r#"{"b": {{default Extra.name 1}}, "a": {{Extra.Name}}}"#, r#"{"subject":"u","extra":{}}"#);
    assert!(of_template.contains("did you mean `Extra.name`?"), "{of_template}");
    let of_kratos = detail(r#"{"a": {{Extra.identity.trait.email}}}"#, r#"{"subject":"u","extra":{"identity":{}}}"#);
    assert!(of_kratos.contains("did you mean `Extra.identity.traits.email`?"), "{of_kratos}");
    let of_keys =
        detail(r#"{"a": [{{#each Extra}}{{this.b}}{{/each}}]}"#, r#"{"subject":"u","extra":{"canary":{"canary":1}}}"#);
    assert!(!of_keys.contains("canary"), "{of_keys}");
}

#[test]
fn refused_sessions_get_403_with_the_message_of_the_template() {
    let template = r#"{{#if (ne Extra.aal "aal2")}}{{fail "requires aal2"}}{{/if}}{"a": 1}"#;
    let app = spawn_app(&Setup { template, ..Setup::default() });
    let (status, problem) = app.refusal(r#"{"subject":"u","extra":{"aal":"canary"}}"#);
    assert_eq!((status, problem["type"].as_str()), (403, Some("session.refused")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("requires aal2") && !detail.contains("canary"), "{detail}");
    assert_eq!(app.hydrate(r#"{"subject":"u","extra":{"aal":"aal2"}}"#).status, 200);
}

#[test]
fn message_of_fail_is_shown_only_if_it_is_a_literal() {
    let folder = folder();
    let go = |text: &str| {
        stderr(&claimsmith(folder.path(), &["render", "--syntax", "go", "--text", text, "--session", "session.json"]))
    };
    let literal = go(r#"{{ fail "requires aal2" }}"#);
    assert!(literal.contains("requires aal2 [session.refused]"), "{literal}");
    let of_session = go(r#"{{ fail (printf "requires %s" .Extra.name) }}"#);
    assert!(of_session.contains("[session.refused]") && !of_session.contains("Ann"), "{of_session}");
    let rejected = ["{{fail Extra.name}}", "{{fail (concat \"a\" Extra.name)}}", "{{fail \"\"}}", "{{fail 1}}"];
    for call in rejected.into_iter().map(str::to_owned).chain([format!("{{{{fail \"{}\"}}}}", "x".repeat(201))]) {
        let text = format!("{call}{{\"a\": 1}}");
        let output = claimsmith(folder.path(), &["render", "--text", &text, "--session", "session.json"]);
        assert!(stderr(&output).contains("expected a message of 1 to 200 characters"), "{text}: {}", stderr(&output));
    }
}

/// Templates with `fail` at each position; `x` is 1.
const POSITIONS: &[(&str, Option<&str>)] = &[
    (r#"{{fail "no"}}{"a": 1}"#, None),
    (r#"{"a": 1}{{fail "no"}}"#, None),
    (r#"{"a": {{fail "no"}}}"#, None),
    (r#"{"a": [1, {{fail "no"}}]}"#, None),
    (r#"{"a": "b{{fail "no"}}"}"#, None),
    (r#"{"a": {{default Extra.none (fail "no")}}}"#, None),
    (r#"{"a": {{default Extra.x (fail "no")}}}"#, Some(r#"{"a":1}"#)),
    (r#"{"a": {{#if Extra.x}}2{{else}}{{fail "no"}}{{/if}}, "b": 3}"#, Some(r#"{"a":2,"b":3}"#)),
    (r#"{"a": {{#if Extra.none}}2{{else if Extra.x}}{{fail "no"}}{{else}}3{{/if}}}"#, None),
    (
        r#"{ {{#if Extra.none}}{{fail "no"}}{{/if}} "a": 1, {{#unless Extra.x}}{{fail "no"}}{{/unless}} "b": 2 }"#,
        Some(r#"{"a":1,"b":2}"#),
    ),
    (r#"{{#if Extra.x}}{"a": 1}{{else}}{{fail "no"}}{{/if}}"#, Some(r#"{"a":1}"#)),
    (
        r#"{"a": [{{#each Extra.roles}}{{#if (eq this "b")}}{{fail "no"}}{{/if}}{{this}}{{/each}}]}"#,
        Some(r#"{"a":["a"]}"#),
    ),
    (r#"{"a": [{{#each Extra.none}}{{fail "no"}}{{else}}1{{/each}}]}"#, Some(r#"{"a":[1]}"#)),
    (r#"{{#with Extra.none}}{{fail "no"}}{{else}}{"a": 1}{{/with}}"#, Some(r#"{"a":1}"#)),
];

#[test]
fn fail_can_stand_at_each_position() {
    let folder = folder();
    let case = |(template, claims): &(&str, Option<&str>)| {
        let template = serde_json::Value::from(*template);
        format!(
            "{{\"id\":{template},\"template\":{template},\"session\":{SESSION},\"claims\":{}}}",
            claims.unwrap_or("null")
        )
    };
    folder.write("cases.jsonl", &POSITIONS.iter().map(case).collect::<Vec<_>>().join("\n"));
    let output = claimsmith(folder.path(), &["test", "cases.jsonl", "--json"]);
    for line in stdout(&output).lines() {
        let result: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(result["pass"], true, "{line}");
        let code = &result["error"]["code"];
        assert!(code.is_null() || code == "session.refused", "{line}");
    }
    // What follows a `fail` in the same branch does not have to be reachable, but a branch without it has to be JSON.
    for broken in
        [r#"{"a": {{#if Extra.x}}{{else}}{{fail "no"}}{{/if}}}"#, r#"{"a": {{#if Extra.x}}{{fail "no"}}{{/if}}}"#]
    {
        let output = claimsmith(folder.path(), &["render", "--text", broken, "--session", "session.json"]);
        assert!(stderr(&output).contains("[template.position]"), "{broken}: {}", stderr(&output));
    }
}
