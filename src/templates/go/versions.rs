//! Semantic versions, as sprig's `semver` reads them.

/// `major.minor.patch` with its suffixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) numbers: [u64; 3],
    pub(super) prerelease: String,
    pub(super) metadata: String,
    pub(super) original: String,
}

impl Version {
    /// Reads a version; a leading `v`, leading zeros and missing parts are allowed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (core, metadata) = split_suffix(text.strip_prefix('v').unwrap_or(text), '+')?;
        let (core, prerelease) = split_suffix(core, '-')?;
        let mut numbers = [0; 3];
        let mut parts = core.split('.');
        for (index, part) in parts.by_ref().enumerate() {
            if !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            *numbers.get_mut(index)? = part.parse().ok()?;
        }
        if prerelease.split('.').any(has_extra_zero) {
            return None;
        }
        Some(Self {
            numbers,
            prerelease: prerelease.to_owned(),
            metadata: metadata.to_owned(),
            original: text.to_owned(),
        })
    }

    /// The next version in `part`: 0 for major, 1 for minor, 2 for patch. A prerelease's next patch is its release.
    pub(super) fn increased(&self, part: usize) -> Self {
        let mut numbers = [0; 3];
        for (index, number) in self.numbers.iter().enumerate().take(part + 1) {
            let more = u64::from(index == part && (part < 2 || self.prerelease.is_empty()));
            numbers[index] = number.wrapping_add(more);
        }
        let [major, minor, patch] = numbers;
        let prefix = if self.original.starts_with('v') { "v" } else { "" };
        let original = format!("{prefix}{major}.{minor}.{patch}");
        Self { numbers, prerelease: String::new(), metadata: String::new(), original }
    }

    /// The same version with another prerelease; `None` if it cannot be one.
    pub(super) fn with_prerelease(&self, prerelease: &str) -> Option<Self> {
        let is_right = prerelease.is_empty() || is_suffix(prerelease) && !prerelease.split('.').any(has_extra_zero);
        is_right.then(|| Self { prerelease: prerelease.to_owned(), ..self.clone() }.renamed())
    }

    /// The same version with other metadata; `None` if it cannot be that.
    pub(super) fn with_metadata(&self, metadata: &str) -> Option<Self> {
        let is_right = metadata.is_empty() || is_suffix(metadata);
        is_right.then(|| Self { metadata: metadata.to_owned(), ..self.clone() }.renamed())
    }

    fn renamed(self) -> Self {
        let prefix = if self.original.starts_with('v') { "v" } else { "" };
        Self { original: format!("{prefix}{self}"), ..self }
    }

    /// The order of versions; metadata does not count.
    pub(super) fn compare(&self, other: &Self) -> std::cmp::Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| compare_prereleases(&self.prerelease, &other.prerelease))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

fn split_suffix(text: &str, mark: char) -> Option<(&str, &str)> {
    match text.split_once(mark) {
        None => Some((text, "")),
        Some((core, suffix)) => is_suffix(suffix).then_some((core, suffix)),
    }
}

fn is_suffix(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

fn has_extra_zero(part: &str) -> bool {
    part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn compare_prereleases(left: &str, right: &str) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut lefts, mut rights) = (left.split('.'), right.split('.'));
    loop {
        let order = match (lefts.next(), rights.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => match (left.parse::<u64>(), right.parse::<u64>()) {
                (Ok(left), Ok(right)) => left.cmp(&right),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => left.cmp(right),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Whether `version` satisfies `constraint`: alternatives with `||`, each a list of comparisons; `None` where the
/// constraint cannot be read.
pub(super) fn satisfies(constraint: &str, version: &Version) -> Option<bool> {
    let rewritten = without_ranges(constraint);
    let alternatives: Vec<_> = rewritten.split("||").map(comparisons).collect::<Option<_>>()?;
    Some(alternatives.iter().any(|alternative| {
        // A prerelease satisfies only alternatives that name one.
        let is_hidden = !version.prerelease.is_empty()
            && alternative.iter().all(|comparison| comparison.bound.prerelease.is_empty());
        !is_hidden && alternative.iter().all(|comparison| comparison.admits(version))
    }))
}

/// Each `1.2 - 1.4` as the two comparisons that it stands for. What stands around it stays, and may be wrong there.
fn without_ranges(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.trim_start_matches(is_space);
        match range_at(start) {
            Some((low, high, after)) => {
                out.push_str(&format!(">= {low}, <= {high} "));
                rest = after;
            }
            None => {
                // No range starts in the middle of a version that did not start before.
                let passed = bound_length(start).unwrap_or_else(|| start.chars().next().map_or(0, char::len_utf8));
                let length = rest.len() - start.len() + passed;
                out.push_str(&rest[..length]);
                rest = &rest[length..];
            }
        }
    }
    out
}

fn range_at(text: &str) -> Option<(&str, &str, &str)> {
    let low = &text[..bound_length(text)?];
    let after = &text[low.len()..];
    let dash = after.trim_start_matches(is_space);
    let high = dash.strip_prefix('-')?.trim_start_matches(is_space);
    let has_spaces = dash.len() < after.len() && high.len() + 1 < dash.len();
    let length = bound_length(high).filter(|_| has_spaces)?;
    Some((low, &high[..length], high[length..].trim_start_matches(is_space)))
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

/// The length of the version, perhaps with wildcards, at the start of `text`.
fn bound_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let run = |from: usize, fits: fn(&u8) -> bool| {
        bytes.get(from..).unwrap_or_default().iter().take_while(|byte| fits(byte)).count()
    };
    let is_digit: fn(&u8) -> bool = |byte| byte.is_ascii_digit() || b"xX*".contains(byte);
    let is_word: fn(&u8) -> bool = |byte| byte.is_ascii_alphanumeric() || *byte == b'-';
    let mut at = usize::from(text.starts_with('v'));
    let mut parts = 0;
    loop {
        let length = run(at, is_digit);
        if length == 0 {
            if parts == 0 {
                return None;
            }
            at -= 1;
            break;
        }
        at += length;
        parts += 1;
        if parts == 3 || bytes.get(at) != Some(&b'.') {
            break;
        }
        at += 1;
    }
    for mark in [b'-', b'+'] {
        if bytes.get(at) == Some(&mark) && run(at + 1, is_word) > 0 {
            at += 1 + run(at + 1, is_word);
            while bytes.get(at) == Some(&b'.') && run(at + 1, is_word) > 0 {
                at += 1 + run(at + 1, is_word);
            }
        }
    }
    Some(at)
}

/// An operator and what a version is compared with.
struct Comparison {
    operator: Operator,
    bound: Version,
    /// What is a wildcard or missing in the bound.
    open: Open,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Caret,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    NotEqual,
    Tilde,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Major,
    Minor,
    Patch,
}

/// Comparisons with white space or a comma between them.
fn comparisons(text: &str) -> Option<Vec<Comparison>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    loop {
        let operator_end = rest.find(|c: char| !"=<>!~^".contains(c)).unwrap_or(rest.len());
        let operator = match &rest[..operator_end] {
            "" | "=" => Operator::Equal,
            "!=" => Operator::NotEqual,
            ">" => Operator::Greater,
            "<" => Operator::Less,
            ">=" | "=>" => Operator::GreaterOrEqual,
            "<=" | "=<" => Operator::LessOrEqual,
            "~" | "~>" => Operator::Tilde,
            "^" => Operator::Caret,
            _ => return None,
        };
        let after = rest[operator_end..].trim_start_matches(is_space);
        let (bound, after) = after.split_at(bound_length(after)?);
        found.push(Comparison::new(operator, bound)?);
        let next = after.trim_start_matches(is_space);
        if next.is_empty() {
            return Some(found);
        }
        rest = match next.strip_prefix(',') {
            Some(next) => next.trim_start_matches(is_space),
            None if next.len() < after.len() => next,
            None => return None,
        };
    }
}

impl Comparison {
    fn new(operator: Operator, text: &str) -> Option<Self> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        let (core, suffix) = bare.split_at(bare.find(['-', '+']).unwrap_or(bare.len()));
        let prerelease = suffix.split('+').next().unwrap_or_default();
        let mut parts = core.split('.');
        let mut known = || parts.next().filter(|part| !matches!(*part, "x" | "X" | "*"));
        let (read, open) = match (known(), known(), known()) {
            (None, ..) => (format!("0.0.0{prerelease}"), Open::Major),
            (Some(major), None, _) => (format!("{major}.0.0{prerelease}"), Open::Minor),
            (Some(major), Some(minor), None) => (format!("{major}.{minor}.0{prerelease}"), Open::Patch),
            _ => (text.to_owned(), Open::Nothing),
        };
        Some(Self { operator, bound: Version::parse(&read)?, open })
    }

    fn admits(&self, version: &Version) -> bool {
        let order = version.compare(&self.bound);
        let ([major, minor, patch], [least_major, least_minor, least_patch]) = (version.numbers, self.bound.numbers);
        match self.operator {
            Operator::Equal if self.open == Open::Nothing => order.is_eq(),
            Operator::Equal | Operator::Tilde => order.is_ge() && self.is_within_tilde(version),
            Operator::NotEqual => match self.open {
                Open::Nothing | Open::Major => !order.is_eq(),
                _ if major != least_major => true,
                Open::Minor => false,
                Open::Patch if minor != least_minor => true,
                Open::Patch => version.prerelease != self.bound.prerelease,
            },
            Operator::Greater => match self.open {
                Open::Nothing | Open::Major => order.is_gt(),
                Open::Minor => major > least_major,
                Open::Patch => (major, minor) > (least_major, least_minor),
            },
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => match self.open {
                Open::Nothing => order.is_le(),
                Open::Minor => major <= least_major,
                Open::Major | Open::Patch => (major, minor) <= (least_major, least_minor),
            },
            Operator::Caret => {
                order.is_ge()
                    && if least_major > 0 || self.open == Open::Minor {
                        major == least_major
                    } else if major > 0 {
                        false
                    } else if least_minor > 0 || self.open == Open::Patch {
                        minor == least_minor
                    } else {
                        minor == 0 && patch == least_patch
                    }
            }
        }
    }

    fn is_within_tilde(&self, version: &Version) -> bool {
        // The library takes `~0.0.0` for anything, as it does `*`.
        if self.bound.numbers == [0, 0, 0] && matches!(self.open, Open::Nothing | Open::Major) {
            return true;
        }
        version.numbers[0] == self.bound.numbers[0]
            && (self.open == Open::Minor || version.numbers[1] == self.bound.numbers[1])
    }
}
