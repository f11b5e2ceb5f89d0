//! Proxies of the environment: which requests use none, and which are not encrypted on the way to one.

use std::net::IpAddr;

use url::{Host, Url};

/// Returns `true` if `host` is this host: a loopback address, `localhost` or a name below it (RFC 6761 section 6.3), or an
/// unspecified address.
///
/// A proxy on another host cannot reach such an address, and must not see what is sent to it.
pub(super) fn is_local<S: AsRef<str>>(host: &Host<S>) -> bool {
    let is_local = |address: IpAddr| address.is_loopback() || address.is_unspecified();
    match host {
        Host::Domain(name) => {
            let name = name.as_ref().trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => is_local(IpAddr::from(*address)),
        Host::Ipv6(address) => is_local(IpAddr::from(*address).to_canonical()),
    }
}

/// Returns `true` if `url` leads to this host.
pub(super) fn is_local_url(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.host().is_some_and(|host| is_local(&host)))
}

/// Returns the name of the variable in `environment` whose proxy receives a request to `url` without encryption. Its value
/// can have a password, so it is not returned.
pub(crate) fn plain_http_proxy<'e>(url: &str, environment: &'e [(String, String)]) -> Option<&'e str> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "http")?;
    let host = url.host().filter(|host| !is_local(host))?.to_string().to_ascii_lowercase();
    let variable = |name: &str| environment.iter().find(|(known, value)| known == name && !value.is_empty());
    let is_exempt = |exempt: &str| {
        let exempt = exempt.trim().trim_start_matches('.').to_ascii_lowercase();
        exempt == "*" || exempt == host || !exempt.is_empty() && host.ends_with(&format!(".{exempt}"))
    };
    let exempt = variable("NO_PROXY").or_else(|| variable("no_proxy"));
    if exempt.is_some_and(|(_, hosts)| hosts.split(',').any(is_exempt)) {
        return None;
    }
    let names = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    names.into_iter().find_map(variable).map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_local_in_every_form() {
        for url in [
            "http://localhost/a",
            "https://LOCALHOST.:8443/a",
            "http://collector.localhost/a",
            "http://127.0.0.1:22999/keys.json",
            "http://127.9.9.9/a",
            "http://127.1/a",
            "http://0x7f000001/a",
            "http://[::1]:1/a",
            "http://[::ffff:127.0.0.1]/a",
            "http://0.0.0.0:1/a",
        ] {
            assert!(is_local_url(url), "{url}");
        }
        for url in
            ["http://id.example/", "http://localhost.example/", "http://192.0.2.1/", "http://[2001:db8::1]/", "x"]
        {
            assert!(!is_local_url(url), "{url}");
        }
    }

    #[test]
    fn plain_http_to_another_host_meets_the_proxy_of_the_environment() {
        let found = |url: &str, variables: &[(&str, &str)]| {
            let environment: Vec<_> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            plain_http_proxy(url, &environment).map(str::to_owned)
        };
        let proxy = ("HTTP_PROXY", "http://user:canary@proxy.example:3128");
        let url = "http://keys.example/a";
        assert_eq!(found(url, &[proxy]).as_deref(), Some("HTTP_PROXY"));
        assert_eq!(found(url, &[("all_proxy", "socks5://proxy.example")]).as_deref(), Some("all_proxy"));
        assert_eq!(found(url, &[("HTTPS_PROXY", "http://proxy.example"), ("HTTP_PROXY", "")]), None);
        assert_eq!(found("https://keys.example/a", &[proxy]), None);
        assert_eq!(found("http://127.0.0.1/a", &[proxy]), None);
        for exempt in ["keys.example", ".example", "x, EXAMPLE", "*"] {
            assert_eq!(found(url, &[proxy, ("NO_PROXY", exempt)]), None, "{exempt}");
        }
        assert!(found(url, &[proxy, ("NO_PROXY", "ys.example")]).is_some());
    }
}
