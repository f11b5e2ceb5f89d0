//! Locations in object stores.

use std::fmt;

use super::invalid::InvalidSource;

/// A kind of object store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Store {
    Azblob,
    Gs,
    S3,
}

/// An object in a bucket, or in a container of Azure.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ObjectLocation {
    pub(super) store: Store,
    pub(super) bucket: String,
    pub(super) name: String,
}

impl ObjectLocation {
    /// Parses `address`, the part of a URL after `<scheme>://`.
    ///
    /// # Errors
    /// Returns [`InvalidSource`] if there is more or less than a bucket and an object name.
    pub(super) fn parse(scheme: &str, address: &str) -> Result<Self, InvalidSource> {
        let store = match scheme {
            "azblob" => Store::Azblob,
            "gs" => Store::Gs,
            "s3" => Store::S3,
            _ => return Err(InvalidSource::UnsupportedScheme),
        };
        let scheme = || scheme.to_owned();
        let (bucket, name) = address
            .split_once('/')
            .filter(|(bucket, name)| !bucket.is_empty() && !name.is_empty())
            .ok_or_else(|| InvalidSource::NoObject { scheme: scheme() })?;
        if address.contains(['?', '#', '@']) {
            return Err(InvalidSource::NotOnlyAnObject { scheme: scheme() });
        }
        Ok(Self { store, bucket: bucket.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.store {
            Store::Azblob => "azblob",
            Store::Gs => "gs",
            Store::S3 => "s3",
        };
        write!(f, "{scheme}://{}/{}", self.bucket, self.name)
    }
}
