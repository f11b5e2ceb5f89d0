//! Values of a configuration that are valid by construction.

use std::fmt;
use std::net::IpAddr;

use crate::templates::TemplateName;

/// An IP address or host name to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(HostForm);

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostForm {
    Address(IpAddr),
    Name(String),
}

/// An http or https URL without user, query or fragment. It is kept as written and not as a `url::Url`, which would
/// change the case, the port and the path of what discovery documents show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl(String);

/// The addresses that share a prefix, such as `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Parses an address, or an address and the length of a prefix after which all its bits are zero.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => prefix.parse().ok()?,
            Some(_) => return None,
            None => most,
        };
        let network = Self { address, prefix };
        (prefix <= most && network.masked(address) == Some(bits(address))).then_some(network)
    }

    /// Returns `true` if `address` is in the network. An IPv4 address that is mapped to IPv6 counts as IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == Some(bits(self.address))
    }

    /// Returns `true` if an address can be in both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        if self.prefix < other.prefix { self.contains(other.address) } else { other.contains(self.address) }
    }

    fn masked(&self, address: IpAddr) -> Option<u128> {
        let length = if address.is_ipv4() { 32 } else { 128 };
        let host = u32::checked_sub(length, self.prefix)?;
        Some(bits(address).checked_shr(host).unwrap_or_default().checked_shl(host).unwrap_or_default())
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Host {
    /// Parses an IP address, with or without brackets, or a host name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = unbracketed.parse::<IpAddr>() {
            return Some(Self(HostForm::Address(address)));
        }
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let has_letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
        let is_name = text.len() <= 253 && has_letter && text.split('.').all(is_label);
        is_name.then(|| Self(HostForm::Name(text.to_ascii_lowercase())))
    }

    /// Returns `true` if only this host can reach it. Of all names, only `localhost` is known to be loopback.
    pub(crate) fn is_loopback(&self) -> bool {
        match &self.0 {
            HostForm::Address(address) => address.to_canonical().is_loopback(),
            HostForm::Name(name) => name == "localhost",
        }
    }

    /// Returns `true` if two listeners with these hosts cannot share a port.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (HostForm::Address(left), HostForm::Address(right)) => {
                let (left, right) = (left.to_canonical(), right.to_canonical());
                left == right || left.is_unspecified() || right.is_unspecified()
            }
            (HostForm::Name(left), HostForm::Name(right)) => left == right,
            (HostForm::Address(address), HostForm::Name(_)) | (HostForm::Name(_), HostForm::Address(address)) => {
                address.is_unspecified() || self.is_loopback() && other.is_loopback()
            }
        }
    }

    /// Returns the host without brackets, for socket addresses and resolvers.
    pub(crate) fn text(&self) -> String {
        match &self.0 {
            HostForm::Address(address) => address.to_string(),
            HostForm::Name(name) => name.clone(),
        }
    }
}

impl fmt::Display for Host {
    /// Writes the host as in a URL, IPv6 addresses in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            HostForm::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            HostForm::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            HostForm::Name(name) => f.write_str(name),
        }
    }
}

impl HttpUrl {
    /// Parses a URL.
    pub(super) fn parse(text: &str) -> Option<Self> {
        is_base_url(text).then(|| Self(text.to_owned()))
    }

    /// Parses a URL that paths are appended to, and removes its trailing slashes.
    pub(super) fn parse_base(text: &str) -> Option<Self> {
        is_base_url(text).then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    /// Returns the URL.
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "only trace export reads it"))]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns `true` if `text` can name a caller. Callers are named like templates.
pub(super) fn is_name(text: &str) -> bool {
    TemplateName::parse(text).is_some()
}

/// Returns `true` if `text` is an http or https URL that paths can be appended to.
fn is_base_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    !authority.is_empty()
        && !authority.contains('@')
        && !rest.contains(['?', '#'])
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts_are_recognized() {
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1"] {
            assert!(Host::parse(loopback).unwrap().is_loopback(), "{loopback}");
        }
        for reachable in ["0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "gateway", "::ffff:10.0.0.1"] {
            assert!(!Host::parse(reachable).unwrap().is_loopback(), "{reachable}");
        }
        for wrong in ["", "127.0.0.1:80", "a b", "http://x", "256.1.1.1", "-a", "a..b", "[::1", "*"] {
            assert!(Host::parse(wrong).is_none(), "{wrong}");
        }
        assert_eq!(Host::parse("::1").unwrap().to_string(), "[::1]");
        assert_eq!(Host::parse("[::1]").unwrap().text(), "::1");
    }

    #[test]
    fn networks_contain_the_addresses_of_their_prefix() {
        let contains =
            |network: &str, address: &str| Network::parse(network).unwrap().contains(address.parse().unwrap());
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.8", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::1", "::1", true),
        ] {
            assert_eq!(contains(network, address), expected, "{network} {address}");
        }
        for wrong in
            ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "a/8", "::1/64", "fd00::/129"]
        {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hosts_overlap_if_one_is_unspecified() {
        let overlaps = |left: &str, right: &str| {
            let (left, right) = (Host::parse(left).unwrap(), Host::parse(right).unwrap());
            assert_eq!(left.overlaps(&right), right.overlaps(&left));
            left.overlaps(&right)
        };
        assert!(overlaps("127.0.0.1", "127.0.0.1"));
        assert!(overlaps("0.0.0.0", "127.0.0.1"));
        assert!(overlaps("::", "localhost"));
        assert!(overlaps("localhost", "127.0.0.1"));
        assert!(!overlaps("127.0.0.1", "127.0.0.2"));
        assert!(!overlaps("10.0.0.1", "localhost"));
    }

    #[test]
    fn base_url_has_a_host_and_ends_with_its_path() {
        for right in ["https://a.example", "http://127.0.0.1:4455/", "https://a/b/c"] {
            assert!(is_base_url(right), "{right}");
        }
        for wrong in ["", "https://", "ftp://a", "https://u:p@a/", "https://a/?q", "https://a#f", "https://a b", "a"] {
            assert!(!is_base_url(wrong), "{wrong}");
        }
    }
}
