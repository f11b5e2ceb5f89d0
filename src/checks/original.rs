//! The request that a proxy asks about.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::json::write_string;

/// The original request, from the metadata that a trusted proxy sent. It decides nothing but where a browser returns to,
/// and what templates read as `MatchContext`. `Debug` does not show it.
#[derive(Clone, Copy, Default)]
pub struct OriginalRequest<'r> {
    /// The method; empty if the proxy does not send it.
    pub method: &'r str,
    /// The scheme; empty if the proxy does not send it.
    pub scheme: &'r str,
    /// The host, with the port if there is one; empty if the proxy does not send it.
    pub host: &'r str,
    /// The path and the query, as the client wrote them. Starts with a slash, or is empty if the proxy sends none.
    pub uri: &'r str,
    /// Whether the client accepts HTML.
    pub accepts_html: bool,
}

impl OriginalRequest<'_> {
    /// Returns `true` if it is a page view of a browser, which can be redirected without losing a body.
    pub fn is_navigation(&self) -> bool {
        self.method == "GET" && self.accepts_html
    }

    /// Returns `match_context` as Oathkeeper posts it, with the URL as Go writes it. It has no header of the client, so
    /// that no credential is in it.
    pub fn match_context(&self) -> String {
        let (path, query) = self.uri.split_once('?').unwrap_or((self.uri, ""));
        let decoded = percent_decode_str(path).decode_utf8_lossy();
        let mut out = String::from(r#"{"regexp_capture_groups":[],"url":{"#);
        let raw_path = if *decoded == *path { "" } else { path };
        let members = [
            ("Scheme", self.scheme),
            ("Host", self.host),
            ("Path", &*decoded),
            ("RawPath", raw_path),
            ("RawQuery", query),
        ];
        for (index, (name, value)) in members.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_string(name, &mut out);
            out.push(':');
            write_string(value, &mut out);
        }
        out.push_str(r#"},"method":"#);
        write_string(self.method, &mut out);
        out.push_str(r#","header":{}}"#);
        out
    }
}

impl fmt::Debug for OriginalRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginalRequest").field("accepts_html", &self.accepts_html).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn match_context_has_the_url_as_go_writes_it() {
        let request = OriginalRequest {
            method: "GET",
            scheme: "https",
            host: "app.example",
            uri: "/a%2fb/\u{22}?q=%20",
            accepts_html: false,
        };
        let expected = r#"{"regexp_capture_groups":[],"url":{"Scheme":"https","Host":"app.example","Path":"/a/b/\"","RawPath":"/a%2fb/\"","RawQuery":"q=%20"},"method":"GET","header":{}}"#;
        assert_eq!(request.match_context(), expected);
        assert!(OriginalRequest { uri: "/a", ..request }.match_context().contains(r#""RawPath":"""#));
    }

    #[test]
    fn only_page_views_of_browsers_are_redirected() {
        for (method, accepts_html, expected) in [
            ("GET", true, true),
            ("GET", false, false),
            ("POST", true, false),
            ("HEAD", true, false),
            ("", true, false),
        ] {
            let request = OriginalRequest { method, accepts_html, ..OriginalRequest::default() };
            assert_eq!(request.is_navigation(), expected, "{method} {accepts_html}");
        }
    }
}
