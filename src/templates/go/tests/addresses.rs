//! URLs, headers and their methods.

use super::{Json, ReadLimits, refused, render, texts, values};
use crate::code::ErrorCode;

#[test]
fn urls_are_read_as_in_go() {
    for (url, expected) in [
        ("https://u:p%40@h:1/a%2Fb?q#f%20g", "https|h:1|h|/a/b|q||f g|u:p%40"),
        ("mailto:a@b?x", "mailto||||x|a@b||"),
        ("//h/a", "|h|h|/a||||"),
        ("/a?b?c", "|||/a|b?c|||"),
        ("", "|||||||"),
        ("*", "|||*||||"),
        ("HTTP://[::1]:80/", "http|[::1]:80|::1|/||||"),
        ("https://h?", "https|h|h|||||"),
        ("1a:b/c", "refused"),
        ("://x", "refused"),
        ("a:b/c", "a|||||b/c||"),
        ("./a:b", "|||./a:b||||"),
        ("http://h:a/", "refused"),
        ("http://a:1:2/", "refused"),
        ("http://a b/", "refused"),
        ("http://%41/", "refused"),
        ("http://h/%zz", "refused"),
        ("http://[1.2.3.4]/", "refused"),
        ("http://[::1/", "refused"),
        ("http://a b@h/", "refused"),
    ] {
        let fields = ["scheme", "host", "hostname", "path", "query", "opaque", "fragment", "userinfo"];
        let parts: Vec<_> = fields.iter().map(|field| format!("{{{{ $u.{field} }}}}")).collect();
        let template = format!("{{{{ $u := urlParse `{url}` }}}}{{\"v\": \"{}\"}}", parts.join("|"));
        let found = render(&template).map(|text| {
            let json = Json::parse(text.as_bytes(), ReadLimits::default()).unwrap();
            json.member("v").and_then(Json::as_str).unwrap().to_owned()
        });
        match expected {
            "refused" => assert_eq!(found, Err(ErrorCode::TemplateWrongType), "{url}"),
            _ => assert_eq!(found.as_deref(), Ok(expected), "{url}"),
        }
    }
}

#[test]
fn urls_are_joined_and_resolved_as_in_go() {
    texts(&[
        (
            "{{ urlJoin (dict `scheme` `https` `host` `h` `path` `/a b;c,d` `query` `x=1` `fragment` `f` `userinfo` `u:p@x`) }}",
            "https://u:p%40x@h/a%20b;c,d?x=1#f",
        ),
        (
            "{{ urlJoin (dict `host` `h` `path` `a`) }}|{{ urlJoin (dict `path` `a:b`) }}|{{ urlJoin dict }}",
            "//h/a|./a:b|",
        ),
        ("{{ urlJoin (dict `scheme` `s` `opaque` `o`) }}|{{ urlJoin (dict `host` `h` `userinfo` `a/b`) }}", "s:o|//h"),
        ("{{ .MatchContext.URL.JoinPath `x/` `../y` }}", "https://example.com:8443/a%20b/c/y?q=1&q=2&e=%20"),
        ("{{ .MatchContext.URL.JoinPath `/z/` }}", "https://example.com:8443/a%20b/c/z/?q=1&q=2&e=%20"),
        ("{{ .MatchContext.URL.Parse `../d?x#y` }}", "https://example.com:8443/d?x#y"),
        ("{{ .MatchContext.URL.Parse `//o/./p/..` }}", "https://o/"),
        ("{{ (.MatchContext.URL.Parse `https://u:p@h/`).Redacted }}", "https://u:xxxxx@h/"),
        ("{{ (.MatchContext.URL.Parse `https://u:p@h/`).User.Username }}", "u"),
        ("{{ .MatchContext.URL.ResolveReference (.MatchContext.URL.Parse `/k`) }}", "https://example.com:8443/k"),
        ("{{ .MatchContext.URL.User }}|{{ .MatchContext.URL.User.Username }}", "|"),
        (
            "{{ .MatchContext.URL.User.String }}|{{ toString .MatchContext.URL.User }}|{{ with .MatchContext.URL.User }}u{{ end }}",
            "||",
        ),
        ("{{ (.MatchContext.URL.Parse `//:@h`).String }}", "https://:@h"),
        ("{{ .MatchContext.URL.MarshalBinary | toString }}", "https://example.com:8443/a%20b/c?q=1&q=2&e=%20"),
        ("{{ (.MatchContext.URL.JoinPath `%`).Path }}", "/a b/c"),
        ("{{ .MatchContext.URL.Query.Encode }}|{{ .MatchContext.URL.Query.q }}", "e=+&q=1&q=2|[1 2]"),
        ("{{ .Header.Clone.Get `x-role` }}|{{ .Header.Get `x role` }}|{{ .Header.Values `no` }}", "a||[]"),
    ]);
    values(&[("{{ .MatchContext.URL.IsAbs }}", "true"), ("{{ .MatchContext.URL.Query.Has `q` }}", "true")]);
    refused(&[
        ("{\"v\": \"{{ .MatchContext.URL.User.Password }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ .Header.Del `X-Role` }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ .Header.Set }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ .MatchContext.URL.Parse `a b:c` }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ urlJoin (dict `host` 1) }}\"}", ErrorCode::TemplateWrongType),
    ]);
}
