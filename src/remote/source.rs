//! URLs of remote files, and names for them that hide secrets.

use std::collections::BTreeSet;
use std::fmt;

use url::{Position, Url};

use super::invalid::InvalidSource;
#[cfg(feature = "object-stores")]
use super::object::ObjectLocation;
use super::proxy::is_local;

/// The URL of a remote file. Neither `Debug` nor `Display` shows a query, because it may be the signature of a signed URL.
///
/// Plain `http` transfers the file without encryption, so it suits private keys only on networks where nobody can listen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteSource(Location);

/// A parsed URL, by the kind of server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Location {
    Http(Url),
    #[cfg(feature = "object-stores")]
    Object(ObjectLocation),
}

impl RemoteSource {
    /// Parses a URL: `http`, `https`, `s3://bucket/key`, `gs://bucket/key`, `azblob://container/key`.
    ///
    /// # Errors
    /// Returns [`InvalidSource`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        let (scheme, address) = text.split_once("://").ok_or(InvalidSource::NotAUrl)?;
        match scheme {
            "http" | "https" => parse_http(scheme, text),
            "s3" | "gs" | "azblob" => parse_object(scheme, address),
            _ => Err(InvalidSource::UnsupportedScheme),
        }
        .map(Self)
    }

    /// Returns `true` if the file crosses a network without encryption: plain `http` from another host.
    pub(crate) fn is_in_the_clear(&self) -> bool {
        match &self.0 {
            Location::Http(url) if url.scheme() == "http" => match url.host() {
                Some(host) => !is_local(&host),
                None => true,
            },
            _ => false,
        }
    }

    /// Returns `true` if it is an http or https URL.
    pub(crate) fn is_http(&self) -> bool {
        matches!(self.0, Location::Http(_))
    }

    /// Returns the complete URL. Unlike `Display`, it includes the query.
    pub(crate) fn url(&self) -> String {
        match &self.0 {
            Location::Http(url) => url.to_string(),
            #[cfg(feature = "object-stores")]
            Location::Object(object) => object.to_string(),
        }
    }

    pub(super) fn location(&self) -> &Location {
        &self.0
    }
}

fn parse_http(scheme: &str, text: &str) -> Result<Location, InvalidSource> {
    let scheme = || scheme.to_owned();
    let url = Url::parse(text).map_err(|error| InvalidSource::Invalid { scheme: scheme(), error })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidSource::UserInfo { scheme: scheme() });
    }
    if url.fragment().is_some() {
        return Err(InvalidSource::Fragment { scheme: scheme() });
    }
    Ok(Location::Http(url))
}

#[cfg(feature = "object-stores")]
fn parse_object(scheme: &str, address: &str) -> Result<Location, InvalidSource> {
    ObjectLocation::parse(scheme, address).map(Location::Object)
}

#[cfg(not(feature = "object-stores"))]
fn parse_object(scheme: &str, _address: &str) -> Result<Location, InvalidSource> {
    Err(InvalidSource::NoObjectStores { scheme: scheme.to_owned() })
}

impl fmt::Display for RemoteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Location::Http(url) => {
                let query = if url.query().is_some() { "?…" } else { "" };
                write!(f, "{}{query}", &url[..Position::AfterPath])
            }
            #[cfg(feature = "object-stores")]
            Location::Object(object) => object.fmt(f),
        }
    }
}

impl fmt::Debug for RemoteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteSource({self})")
    }
}

/// Returns the scheme, the host and the path of a URL, which need not be valid. User names, passwords, queries and
/// fragments become `…`, because they may be secrets.
pub(crate) fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "…".to_owned() };
    let is_scheme = |char: char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.');
    let scheme = if scheme.chars().all(is_scheme) { scheme } else { "…" };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (address, hidden) = (&rest[..end], if end < rest.len() { "?…" } else { "" });
    let (authority, path) = address.split_at(address.find(['/', '\\']).unwrap_or(address.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = host.rsplit_once(']').map_or(host, |(_, port)| port).rsplit_once(':').map_or("", |(_, port)| port);
    // A password can contain characters that end the authority, so that the rest of it looks like a port and a path.
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_port || address.matches('@').count() > 1 || authority.contains(':') && path.contains('@') {
        return format!("{scheme}://…");
    }
    format!("{scheme}://{}{host}{path}{hidden}", if host.len() < authority.len() { "…@" } else { "" })
}

/// Returns a unique name for each of `sources`, in order: its `Display` text, with a number if an earlier source has the
/// same text. URLs that differ only in their query have the same text.
pub(crate) fn distinct_names<T: ToString>(sources: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let name = |source: T| {
        let shown = source.to_string();
        let (mut name, mut count) = (shown.clone(), 1);
        while !taken.insert(name.clone()) {
            count += 1;
            name = format!("{shown} ({count})");
        }
        name
    };
    sources.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_names_never_repeat() {
        assert_eq!(distinct_names(["a", "b", "a", "a", "a (2)"]), ["a", "b", "a (2)", "a (3)", "a (2) (2)"]);
    }

    #[test]
    fn urls_are_shown_without_secrets() {
        let shown = |text: &str| RemoteSource::parse(text).map(|source| source.to_string());
        assert_eq!(shown("https://id.example/keys.json?sig=canary").unwrap(), "https://id.example/keys.json?…");
        for wrong in [
            "https://u:canary@id.example/",
            "https://canary@id.example/",
            "https://id.example/#canary",
            "https://",
            "http://[canary/",
            "s3://canary",
            "s3:///canary",
            "gs://canary/",
            "azblob://canary@account/x",
            "s3://canary/x?versionId=1",
            "ftp://canary/x",
            "canary",
        ] {
            let found = shown(wrong).unwrap_err().to_string();
            assert!(!found.contains("canary"), "{found}");
        }
        let source = RemoteSource::parse("https://id.example/?canary").unwrap();
        assert!(!format!("{source:?}").contains("canary"));
        assert_eq!(source.url(), "https://id.example/?canary");
    }

    #[test]
    fn urls_that_need_not_be_valid_are_shown_without_secrets() {
        for (url, expected) in [
            ("https://u:canary@id.example/rules.yml?sig=canary", "https://…@id.example/rules.yml?…"),
            ("https://canary@id.example:8443#canary", "https://…@id.example:8443?…"),
            ("https://u:can/ary@id.example/r", "https://…"),
            ("https://u:12/canary@id.example/r", "https://…"),
            ("https://u:p@canary@x@id.example/r", "https://…"),
            ("s3://AK:canary@bucket/rules.yml", "s3://…@bucket/rules.yml"),
            ("https://[::1]:80/r", "https://[::1]:80/r"),
            ("https://[::1]/r", "https://[::1]/r"),
            ("https://cdn.example/pkg@1/r.yml", "https://cdn.example/pkg@1/r.yml"),
            ("u:canary@x://y", "…://y"),
            ("canary", "…"),
        ] {
            assert_eq!(without_secrets(url), expected);
        }
    }

    #[test]
    #[cfg(feature = "object-stores")]
    fn object_store_urls_are_shown_in_full() {
        for url in ["s3://bucket/a/b.json", "gs://bucket/a", "azblob://container/a"] {
            let source = RemoteSource::parse(url).unwrap();
            assert_eq!((source.to_string(), source.url()), (url.to_owned(), url.to_owned()));
        }
    }

    #[test]
    #[cfg(not(feature = "object-stores"))]
    fn object_store_urls_are_rejected_without_the_feature() {
        for scheme in ["s3", "gs", "azblob"] {
            let found = RemoteSource::parse(&format!("{scheme}://bucket/key")).unwrap_err().to_string();
            assert_eq!(
                found,
                format!("a URL with the scheme {scheme}, but this binary was built without object stores")
            );
        }
    }

    #[test]
    fn only_http_to_another_host_is_in_the_clear() {
        for (url, expected) in [
            ("http://id.example/", true),
            ("http://192.0.2.1/", true),
            ("http://[2001:db8::1]/", true),
            ("http://localhost:8080/", false),
            ("http://127.0.0.2/", false),
            ("http://[::1]/", false),
            ("https://id.example/", false),
        ] {
            assert_eq!(RemoteSource::parse(url).unwrap().is_in_the_clear(), expected, "{url}");
        }
    }
}
