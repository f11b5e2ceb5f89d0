//! Descriptions of keys: the name, the type of the value, and the meaning of a missing value.

/// One key of a mapping.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) meaning: &'static str,
    pub(super) kind: Kind,
    pub(super) presence: Presence,
    /// Valid values, as YAML.
    pub(super) examples: &'static [&'static str],
}

/// The meaning of a missing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// The default, as YAML.
    Default(&'static str),
    /// A default that depends on other values, in words for the documentation.
    DefaultInWords(&'static str),
    /// No value.
    Optional,
    /// A fault, because the key is required.
    Required,
    /// No value. The key is a secret and must not appear in a file, only in the environment.
    EnvironmentOnly,
}

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Bool,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number.
    Count {
        least: u64,
        most: u64,
    },
    /// A duration in Go's notation.
    Duration {
        least_in_ms: u64,
    },
    /// An address or host name to listen on.
    Host,
    /// A list of mappings.
    Many(&'static Section),
    /// A mapping whose keys are names.
    Named(&'static Section),
    /// A path, relative to the configuration file.
    Path,
    Port,
    /// A decimal number from 0 to 1.
    Ratio,
    /// A mapping of known keys.
    Section(&'static Section),
    /// Bytes, such as `65536` or `64KiB`.
    Size {
        least: u64,
        most: u64,
    },
    /// Text.
    Text(Words),
    /// A mapping of texts to texts, which each have these forms.
    TextMap {
        keys: Words,
        values: Words,
    },
    /// A list of text, or one text.
    Texts,
}

/// A mapping of known keys.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) fields: &'static [Field],
    /// Keys of which exactly one must be set; may be empty.
    pub(super) one_of: &'static [&'static str],
    /// Whether errors hide the values.
    pub(super) is_secret: bool,
}

/// The texts that are valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    /// The expected text, for errors.
    pub(super) expected: &'static str,
    /// A regular expression for the JSON Schema; the reader is at least as strict.
    pub(super) pattern: &'static str,
}

/// The name of a profile, template or caller.
pub(super) const NAME: Words = Words {
    expected: "a name of up to 128 letters, digits, `_`, `-` and `.`, starting with a letter, digit or `_`",
    pattern: "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$",
};
/// Text without control characters.
pub(super) const NOT_EMPTY: Words = Words { expected: "text that is not empty", pattern: "^[^\\x00-\\x1f\\x7f]+$" };
/// The URL of an HTTP service.
pub(super) const HTTP_URL: Words = Words {
    expected: "an http or https URL without user, query or fragment, such as https://tokens.example.org",
    pattern: "^https?://[^\\s/?#@]+(/[^\\s?#]*)?$",
};

/// Creates a mapping without a choice and without secrets.
pub(super) const fn section(fields: &'static [Field]) -> Section {
    Section { fields, one_of: &[], is_secret: false }
}

/// Creates a field.
pub(super) const fn field(
    name: &'static str,
    title: &'static str,
    meaning: &'static str,
    kind: Kind,
    presence: Presence,
    examples: &'static [&'static str],
) -> Field {
    Field { name, title, meaning, kind, presence, examples }
}

impl Kind {
    /// Returns the expected value, for errors.
    pub(super) fn expected(&self) -> String {
        match self {
            Kind::Bool => "true or false".into(),
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
            Kind::Count { least, most } => format!("a whole number from {least} to {most}"),
            Kind::Duration { least_in_ms: 0 } => "a duration such as 15m or 1h30m".into(),
            Kind::Duration { least_in_ms } if least_in_ms % 1000 == 0 => {
                format!("a duration of {}s or more, such as 15m or 1h30m", least_in_ms / 1000)
            }
            Kind::Duration { least_in_ms } => format!("a duration of {least_in_ms}ms or more, such as 5s"),
            Kind::Host => "an IP address or host name to listen on, without a port".into(),
            Kind::Many(_) => "a list of mappings".into(),
            Kind::Named(_) => "a mapping of names, such as `name: { … }`".into(),
            Kind::Path => "a path, relative to the configuration file".into(),
            Kind::Port => "a port from 0 to 65535".into(),
            Kind::Ratio => "a decimal number from 0 to 1, such as 0.1".into(),
            Kind::Section(_) => "a mapping".into(),
            Kind::Size { least, most } => {
                format!("a size from {} to {}, such as 64KiB", size_text(*least), size_text(*most))
            }
            Kind::Text(words) => words.expected.into(),
            Kind::TextMap { keys, values } => format!("a mapping of {} to {}", keys.expected, values.expected),
            Kind::Texts => "a non-empty list of distinct, non-empty strings, or one string".into(),
        }
    }
}

impl Section {
    /// Returns the field `name`.
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns the keys that a file can contain.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().filter(|field| field.presence != Presence::EnvironmentOnly).map(|field| field.name)
    }
}

/// Formats a number of bytes with the largest unit that fits.
pub(super) fn size_text(bytes: u64) -> String {
    match bytes {
        0 => "0".into(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{}GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => bytes.to_string(),
    }
}
