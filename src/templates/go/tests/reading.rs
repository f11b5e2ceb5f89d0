//! What a Go template is said to read.

use crate::json::ReadLimits;
use crate::session::Session;
use crate::templates::go::GoTemplate;

/// Which parts of a session decide what `template` gives, and whether the time does.
fn reads(template: &str) -> (Vec<&'static str>, bool) {
    let template = GoTemplate::parse("t", template).unwrap_or_else(|error| panic!("{template}\n{error}"));
    let deciding = |session: &str| {
        let mut bytes = Vec::new();
        let session = Session::parse_for(session.as_bytes(), ReadLimits::default(), template.selection()).unwrap();
        session.append_cache_key(&mut bytes);
        bytes
    };
    let session = |changed: &str| {
        let at = |part: &str| if part == changed { "new" } else { "old" };
        let [extra, header, context] = ["Extra", "Header", "MatchContext"].map(at);
        format!(
            r#"{{"subject":"u","extra":{{"a":"{extra}"}},"header":{{"A":["{header}"]}},
                "match_context":{{"method":"{context}"}}}}"#
        )
    };
    let parts = ["Extra", "Header", "MatchContext"];
    let read = parts.into_iter().filter(|part| deciding(&session(part)) != deciding(&session("")));
    (read.collect(), template.reads_clock())
}

#[test]
fn the_parts_that_are_named_are_read() {
    let all = vec!["Extra", "Header", "MatchContext"];
    for (template, parts) in [
        ("{{ .Subject }}", vec![]),
        ("{{ print .Extra.a }}", vec!["Extra"]),
        ("{{ .Extra | toJson }}", vec!["Extra"]),
        ("{{ (index .Extra \"a\") }}{{ .Header.Get \"A\" }}", vec!["Extra", "Header"]),
        ("{{ with .Extra }}{{ .a }}{{ else }}{{ .Header }}{{ end }}", vec!["Extra", "Header"]),
        ("{{ with .Extra }}{{ .Header }}{{ $.MatchContext.Method }}{{ end }}", vec!["Extra", "MatchContext"]),
        ("{{ range $k, $v := .MatchContext.Header }}{{ $k }}{{ . }}{{ end }}", vec!["MatchContext"]),
        ("{{ $x := .Extra }}{{ $x.Header }}{{ if $x.a }}{{ .Header }}{{ end }}", vec!["Extra", "Header"]),
        ("{{ define \"d\" }}{{ .MatchContext }}{{ end }}{{ template \"d\" .Extra }}", vec!["Extra"]),
        ("{{ . | toJson }}", all.clone()),
        ("{{ $ | toJson }}", all.clone()),
        ("{{ $x := . }}{{ $x.Extra }}", all.clone()),
        ("{{ with $x := . }}{{ .Extra }}{{ end }}", all.clone()),
        ("{{ define \"d\" }}{{ .Extra }}{{ end }}{{ template \"d\" . }}", all.clone()),
        ("{{ print (list . .Extra) }}", all.clone()),
        ("{{ .Unknown }}", all),
    ] {
        assert_eq!(reads(template), (parts, false), "{template}");
    }
}

#[test]
fn functions_on_dates_read_the_time() {
    for template in ["{{ now | unixEpoch }}", "{{ date \"2006\" .Extra.a }}", "{{ with .Extra }}{{ ago .a }}{{ end }}"]
    {
        assert!(reads(template).1, "{template}");
    }
}
