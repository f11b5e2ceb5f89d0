//! What a reload keeps of the current generation, for parts whose files cannot be read now. A file that hangs must not stop
//! the rotation and revocation of everything else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::files::Parts;
use super::set_aside::KeyBytes;
use crate::config::Loaded;
use crate::mint::TemplateSources;
use crate::secret::Secret;
use crate::tls::Tls;

/// The parts of the current generation.
#[derive(Default)]
pub(super) struct Held {
    /// The digests that the files of each part had.
    pub(super) parts: Arc<Parts>,
    /// The configuration as it was read.
    pub(super) loaded: Option<Loaded>,
    /// The key sets.
    pub(super) keys: KeyBytes,
    /// The mounted templates and partials.
    pub(super) templates: Arc<TemplateSources>,
    /// The API listener certificate.
    pub(super) tls: Option<Arc<Tls>>,
    /// The caller secrets that come from files.
    pub(super) secrets: BTreeMap<PathBuf, Secret>,
}
