//! The errors of a configuration: every fault at once, each with its path and its place.

use std::fmt;
use std::sync::Arc;

use crate::code::ErrorCode;
use crate::escape;
use crate::mint::{BuildFault, FaultPointer};
pub(crate) use crate::nearest::{nearest, nearest_of};

/// Where a value of the configuration was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the configuration file; line and column count from 1, columns in characters.
    File {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In an environment variable of this name.
    Environment(Arc<str>),
    /// In another document, such as a file of access rules.
    In {
        /// The name of the document.
        document: Arc<str>,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// Nowhere: it is missing.
    Nowhere,
}

/// One error of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) path: String,
    pub(super) expected: String,
    pub(super) found: String,
    pub(super) place: Place,
    /// The key, if the mapping has no such key and none of a similar name.
    pub(super) unknown_key: Option<String>,
}

/// All faults of a configuration: first those of the file, in its order, then those of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<Fault>,
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Fault {
    /// Returns the dotted path of the key, such as `profiles.id_token.ttl`; empty for the configuration as a whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns what was expected and what was found, without the path and the place.
    pub fn message(&self) -> String {
        format!("expected {}, found {}", self.expected, self.found)
    }

    /// Returns where the value was written.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Returns the name of the document, if it is not the configuration file.
    pub(crate) fn document(&self) -> Option<&str> {
        match &self.place {
            Place::In { document, .. } => Some(document),
            Place::File { .. } | Place::Environment(_) | Place::Nowhere => None,
        }
    }

    pub(crate) fn build_fault(&self, file: &str) -> BuildFault {
        let (line, column, variable) = match &self.place {
            Place::File { line, column } | Place::In { line, column, .. } => (Some(*line), Some(*column), None),
            Place::Environment(name) => (None, None, Some(name.to_string())),
            Place::Nowhere => (None, None, None),
        };
        let path = variable.is_none().then(|| self.document().unwrap_or(file).to_owned());
        let key = (!self.path.is_empty()).then(|| self.path.clone());
        let pointer = FaultPointer { path, line, column, key, variable, message: self.message() };
        // The part names the file.
        let message = match &self.place {
            Place::In { document, line, column } if **document == *file && self.path.is_empty() => {
                format!("{} (line {line}, column {column})", self.message())
            }
            Place::In { document, line, column } if **document == *file => {
                Fault { place: Place::File { line: *line, column: *column }, ..self.clone() }.to_string()
            }
            _ => self.to_string(),
        };
        BuildFault::new(ErrorCode::ConfigInvalid, file, message).at(pointer)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (document, path) = (self.document().map(escape::line), escape::line(&self.path));
        match (document, path.as_ref()) {
            (None, "") => write!(f, "configuration: ")?,
            (None, path) => write!(f, "{path}: ")?,
            (Some(document), "") => write!(f, "{document}: ")?,
            (Some(document), path) => write!(f, "{document}: {path}: ")?,
        }
        f.write_str(&escape::line(&self.message()))?;
        match &self.place {
            Place::File { line, column } | Place::In { line, column, .. } => {
                write!(f, " (line {line}, column {column})")
            }
            Place::Environment(name) => write!(f, " (from {})", escape::line(name)),
            Place::Nowhere => Ok(()),
        }
    }
}

impl ConfigError {
    /// Returns every fault; there is at least one.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Returns the faults as those of a generation; `file` is the configuration file.
    pub(crate) fn build_faults(&self, file: &str) -> Vec<BuildFault> {
        self.faults.iter().map(|fault| fault.build_fault(file)).collect()
    }

    /// Returns the stable code of this error.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::ConfigInvalid
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.len() {
            1 => write!(f, "the configuration has one fault:")?,
            count => write!(f, "the configuration has {count} faults:")?,
        }
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigError {}

impl Faults {
    pub(crate) fn add(
        &mut self,
        path: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        place: &Place,
    ) {
        let (path, expected, found) = (path.into(), expected.into(), found.into());
        self.0.push(Fault { path, expected, found, place: place.clone(), unknown_key: None });
    }

    /// Notes that the last fault is about the unknown `key`.
    pub(super) fn mark_unknown_key(&mut self, key: &str) {
        if let Some(last) = self.0.last_mut() {
            last.unknown_key = Some(key.to_owned());
        }
    }

    /// Adds the mappings that have the unknown keys, which `owners_of` returns.
    pub(super) fn name_owners(&mut self, owners_of: impl Fn(&str) -> Vec<String>) {
        for fault in &mut self.0 {
            if let Some(key) = fault.unknown_key.take()
                && let owners = owners_of(&key)
                && !owners.is_empty()
            {
                fault.expected = format!("{}; `{key}` is a key of {}", fault.expected, owners.join(" and "));
            }
        }
    }

    /// Returns the faults, in the order in which they were found.
    pub(crate) fn into_list(self) -> Vec<Fault> {
        self.0
    }

    pub(crate) fn extend(&mut self, others: impl IntoIterator<Item = Fault>) {
        self.0.extend(others);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns an error with these faults.
    pub(crate) fn into_error(mut self) -> ConfigError {
        self.0.sort_by(|left, right| left.place.rank().cmp(&right.place.rank()));
        ConfigError { faults: self.0 }
    }
}

impl Place {
    /// Returns the sort key of faults: the file from top to bottom, then other documents, then the environment by name,
    /// then missing values.
    fn rank(&self) -> (u8, usize, usize, &str) {
        match self {
            Place::File { line, column } => (0, *line, *column, ""),
            Place::In { document, line, column } => (1, *line, *column, document),
            Place::Environment(name) => (2, 0, 0, name),
            Place::Nowhere => (3, 0, 0, ""),
        }
    }
}
