//! Where a browser logs in, and where it returns to.

use url::Url;

use super::original::OriginalRequest;
use crate::session::AssuranceLevel;

/// Where browsers log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The URL of the login.
    pub url: Url,
    /// The origins that browsers can return to. The first one is that of requests without a known host.
    pub origins: Vec<Origin>,
}

/// A scheme, a host and a port, as in `https://app.example:8443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Url);

impl Origin {
    /// Parses an origin: an http or https URL without a path.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let is_bare = url.path() == "/"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        is_bare.then_some(Self(url))
    }

    /// Returns `true` if a request to `host` is one to this origin.
    fn has_host(&self, host: &str) -> bool {
        let Ok(url) = Url::parse(&format!("{}://{host}/", self.0.scheme())) else { return false };
        url.host_str() == self.0.host_str() && url.port_or_known_default() == self.0.port_or_known_default()
    }

    /// Returns the URL of `uri` below this origin.
    fn at(&self, uri: &str) -> String {
        format!("{}{uri}", self.0.as_str().trim_end_matches('/'))
    }
}

impl Login {
    /// Returns the URL for a first login.
    pub(super) fn first(&self, request: &OriginalRequest<'_>) -> String {
        self.with(&[], request)
    }

    /// Returns the URL for another login of the same person.
    pub(super) fn refresh(&self, request: &OriginalRequest<'_>) -> String {
        self.with(&[("refresh", "true")], request)
    }

    /// Returns the URL for a login at `level`.
    pub(super) fn at_level(&self, level: AssuranceLevel, request: &OriginalRequest<'_>) -> String {
        self.with(&[("aal", level.as_str())], request)
    }

    /// Returns `url`, a step-up of the source, with `return_to` added if it has none.
    pub(super) fn step_up(&self, url: &str, request: &OriginalRequest<'_>) -> String {
        match Url::parse(url) {
            Ok(url) if !url.query_pairs().any(|(name, _)| name == "return_to") => self.returning(url, request),
            _ => url.to_owned(),
        }
    }

    fn with(&self, pairs: &[(&str, &str)], request: &OriginalRequest<'_>) -> String {
        let mut url = self.url.clone();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        self.returning(url, request)
    }

    fn returning(&self, mut url: Url, request: &OriginalRequest<'_>) -> String {
        if let Some(return_to) = self.return_to(request) {
            url.query_pairs_mut().append_pair("return_to", &return_to);
        }
        url.into()
    }

    /// Returns the URL of the original request below a configured origin. A host that is not configured has none, because
    /// a client can choose it.
    fn return_to(&self, request: &OriginalRequest<'_>) -> Option<String> {
        let origin = match request.host {
            "" => self.origins.first()?,
            host => self.origins.iter().find(|origin| origin.has_host(host))?,
        };
        request.uri.starts_with('/').then(|| origin.at(request.uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(origins: &[&str]) -> Login {
        let origins = origins.iter().map(|origin| Origin::parse(origin).unwrap()).collect();
        Login { url: Url::parse("https://id.example/login/browser").unwrap(), origins }
    }

    fn to(host: &'static str, uri: &'static str) -> OriginalRequest<'static> {
        OriginalRequest { method: "GET", scheme: "https", host, uri, accepts_html: true }
    }

    #[test]
    fn return_to_is_below_a_configured_origin_only() {
        let login = login(&["https://app.example", "http://admin.example:8080/"]);
        for (host, uri, expected) in [
            ("app.example", "/a?b=c&d", Some("https://app.example/a?b=c&d")),
            ("APP.example:443", "/", Some("https://app.example/")),
            ("app.example", "//evil.example/", Some("https://app.example//evil.example/")),
            ("admin.example:8080", "/x", Some("http://admin.example:8080/x")),
            ("", "/x", Some("https://app.example/x")),
            ("admin.example", "/x", None),
            ("app.example:444", "/x", None),
            ("evil.example", "/x", None),
            ("app.example@evil.example", "/x", None),
            ("evil.example/app.example", "/x", None),
            ("app.example", "@evil.example/", None),
            ("app.example", "", None),
        ] {
            assert_eq!(login.return_to(&to(host, uri)).as_deref(), expected, "{host} {uri}");
        }
        let nowhere = Login { origins: Vec::new(), ..login };
        assert_eq!(nowhere.first(&to("app.example", "/x")), "https://id.example/login/browser");
    }

    #[test]
    fn login_urls_carry_their_purpose_and_an_encoded_return_to() {
        let login = login(&["https://app.example"]);
        let request = to("app.example", "/a?b=c&refresh=no#x");
        let return_to = "return_to=https%3A%2F%2Fapp.example%2Fa%3Fb%3Dc%26refresh%3Dno%23x";
        let url = "https://id.example/login/browser";
        assert_eq!(login.first(&request), format!("{url}?{return_to}"));
        assert_eq!(login.refresh(&request), format!("{url}?refresh=true&{return_to}"));
        assert_eq!(login.at_level(AssuranceLevel::Aal2, &request), format!("{url}?aal=aal2&{return_to}"));
        let kratos = "https://id.example/self-service/login/browser?aal=aal2";
        assert_eq!(login.step_up(kratos, &request), format!("{kratos}&{return_to}"));
        let with_return = format!("{kratos}&return_to=https%3A%2F%2Fid.example");
        assert_eq!(login.step_up(&with_return, &request), with_return);
    }

    #[test]
    fn origin_has_no_path_query_or_user() {
        for wrong in
            ["", "app.example", "ftp://a", "https://a/b", "https://a?b", "https://a#b", "https://u@a", "https://"]
        {
            assert_eq!(Origin::parse(wrong), None, "{wrong}");
        }
    }
}
