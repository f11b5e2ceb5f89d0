//! Semantic versions, as sprig's `semver` reads them.

/// `major.minor.patch` with its suffixes.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) numbers: [u64; 3],
    pub(super) prerelease: String,
    pub(super) metadata: String,
    pub(super) original: String,
}

impl Version {
    /// Reads a version; a leading `v` and missing parts are allowed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (core, metadata) = split_suffix(text.strip_prefix('v').unwrap_or(text), '+')?;
        let (core, prerelease) = split_suffix(core, '-')?;
        let mut numbers = [0; 3];
        let mut parts = core.split('.');
        for (index, part) in parts.by_ref().enumerate() {
            if part.len() > 1 && part.starts_with('0') || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            *numbers.get_mut(index)? = part.parse().ok()?;
        }
        let numeric_zero =
            |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit());
        if prerelease.split('.').any(numeric_zero) {
            return None;
        }
        Some(Self {
            numbers,
            prerelease: prerelease.to_owned(),
            metadata: metadata.to_owned(),
            original: text.to_owned(),
        })
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
        Some((core, suffix)) => {
            let is_right = suffix
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
            is_right.then_some((core, suffix))
        }
    }
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

/// Whether `version` satisfies `constraint`: alternatives with `||`, each a list of comparisons.
pub(super) fn satisfies(constraint: &str, version: &Version) -> Option<bool> {
    let mut matched = false;
    for alternative in constraint.split("||") {
        let mut all = true;
        for (operator, bound) in comparisons(alternative)? {
            all &= bound.admits(&operator, version)?;
        }
        matched |= all;
    }
    Some(matched)
}

struct Bound {
    /// Up to three numbers; `None` for `x` or a missing part.
    parts: [Option<u64>; 3],
    version: Version,
}

fn comparisons(text: &str) -> Option<Vec<(String, Bound)>> {
    // `1.2 - 1.4` is a range with both ends.
    if let Some((low, high)) = text.split_once(" - ") {
        let low = Bound::parse(low.trim())?;
        let high = Bound::parse(high.trim())?;
        return Some(vec![(">=".to_owned(), low), ("<=".to_owned(), high)]);
    }
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !"=<>!~^".contains(c)).unwrap_or(rest.len());
        let (operator, after) = rest.split_at(end);
        let after = after.trim_start();
        let end = after.find([',', ' ', '\t', '\n']).unwrap_or(after.len());
        let (bound, after) = after.split_at(end);
        found.push((operator.to_owned(), Bound::parse(bound)?));
        rest = after.trim_start_matches([',', ' ', '\t', '\n']);
    }
    (!found.is_empty()).then_some(found)
}

impl Bound {
    fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        let end = bare.find(['-', '+']).unwrap_or(bare.len());
        let (core, suffix) = bare.split_at(end);
        let mut parts = [None; 3];
        let mut numbers = Vec::new();
        for (index, part) in core.split('.').enumerate() {
            let number = if matches!(part, "x" | "X" | "*") { None } else { Some(part.parse::<u64>().ok()?) };
            let wildcard_before = index > 0 && parts.get(index - 1)?.is_none();
            let number = if wildcard_before { None } else { number };
            *parts.get_mut(index)? = number;
            numbers.push(number.unwrap_or(0).to_string());
        }
        let version = Version::parse(&format!("{}{suffix}", numbers.join(".")))?;
        Some(Self { parts, version })
    }

    fn admits(&self, operator: &str, version: &Version) -> Option<bool> {
        use std::cmp::Ordering::{Greater, Less};
        // A prerelease satisfies only comparisons that name one themselves.
        let hidden = !version.prerelease.is_empty() && self.version.prerelease.is_empty();
        let [major, minor, patch] = self.version.numbers;
        let is_partial = self.parts.iter().any(Option::is_none);
        let order = version.compare(&self.version);
        let below = |numbers: [u64; 3]| version.numbers < numbers;
        let next_of_parts = match self.parts {
            [None, ..] => None,
            [Some(_), None, _] => Some([major.saturating_add(1), 0, 0]),
            [Some(_), Some(_), None] => Some([major, minor.saturating_add(1), 0]),
            _ => Some([major, minor, patch.saturating_add(1)]),
        };
        let within = |next: Option<[u64; 3]>| order != Less && next.is_none_or(below);
        let admitted = match operator {
            "" | "=" => {
                if is_partial {
                    within(next_of_parts)
                } else {
                    order.is_eq()
                }
            }
            "!=" => {
                return Some(if is_partial { hidden || !within(next_of_parts) } else { !order.is_eq() });
            }
            ">" => {
                if is_partial {
                    next_of_parts.is_some_and(|next| !below(next))
                } else {
                    order == Greater
                }
            }
            "<" => order == Less,
            ">=" | "=>" => order != Less,
            "<=" | "=<" => {
                if is_partial {
                    next_of_parts.is_none_or(below)
                } else {
                    order != Greater
                }
            }
            "~" | "~>" => within(match self.parts {
                [None, ..] => None,
                [Some(_), None, _] => Some([major.saturating_add(1), 0, 0]),
                _ => Some([major, minor.saturating_add(1), 0]),
            }),
            "^" => within(match self.parts {
                [None, ..] => None,
                [Some(1..), ..] | [Some(0), None, _] => Some([major.saturating_add(1), 0, 0]),
                [Some(0), Some(1..), _] | [Some(0), Some(0), None] => Some([0, minor.saturating_add(1), 0]),
                _ => Some([0, 0, patch.saturating_add(1)]),
            }),
            _ => return None,
        };
        Some(admitted && !hidden)
    }
}
