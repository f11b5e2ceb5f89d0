//! The reasons why a text is not the URL of a remote file.

/// The reason why a text is not the URL of a remote file. The message reads as "found …" and quotes only the scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// The URL has a fragment.
    #[error("a URL with the scheme {scheme} and a fragment")]
    Fragment {
        /// The scheme of the URL.
        scheme: String,
    },
    /// The URL does not follow the URL standard.
    #[error("an invalid URL with the scheme {scheme}")]
    Invalid {
        /// The scheme of the URL.
        scheme: String,
        /// The reason, which quotes nothing.
        #[source]
        error: url::ParseError,
    },
    /// The URL lacks a bucket or an object name.
    #[error("a URL with the scheme {scheme} and without a bucket and an object name")]
    NoObject {
        /// The scheme of the URL.
        scheme: String,
    },
    /// The text has no scheme.
    #[error("text that is not a URL")]
    NotAUrl,
    /// The URL has parts that object stores do not use, such as a query.
    #[error("a URL with the scheme {scheme} and more than a bucket and an object name")]
    NotOnlyAnObject {
        /// The scheme of the URL.
        scheme: String,
    },
    /// The URL names an object store, but this binary has no clients for object stores.
    #[error("a URL with the scheme {scheme}, but this binary was built without object stores")]
    NoObjectStores {
        /// The scheme of the URL.
        scheme: String,
    },
    /// The scheme is not one of `http`, `https`, `s3`, `gs`, `azblob`.
    #[error("a URL with an unsupported scheme")]
    UnsupportedScheme,
    /// The URL has a user or a password.
    #[error("a URL with the scheme {scheme} and a user or a password")]
    UserInfo {
        /// The scheme of the URL.
        scheme: String,
    },
}
