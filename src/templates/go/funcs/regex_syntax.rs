//! The syntax of Go's regular expressions, written anew in that of the engine: what Go refuses is refused, and what the
//! engine adds to it means what it means in Go.

use std::collections::BTreeMap;

/// How often Go lets something be repeated, also by repetitions inside each other.
const MAX_REPEAT: usize = 1000;
const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// An expression for the engine, without names.
pub(super) struct Translated {
    pub(super) pattern: String,
    /// The names of groups and their numbers.
    pub(super) names: BTreeMap<String, Vec<usize>>,
}

/// Translates `pattern`; `None` where Go refuses it.
pub(super) fn translate(pattern: &str) -> Option<Translated> {
    let mut translator = Translator {
        rest: pattern,
        out: String::with_capacity(pattern.len() + 16),
        names: BTreeMap::new(),
        groups: 0,
        open: Vec::new(),
        most: 1,
        after_names: pattern.rfind(":]").map_or(usize::MAX, |last| pattern.len() - last),
    };
    translator.run()?;
    Some(Translated { pattern: translator.out, names: translator.names })
}

struct Translator<'p> {
    rest: &'p str,
    out: String,
    names: BTreeMap<String, Vec<usize>>,
    groups: usize,
    /// How often the things before each open group are repeated at most.
    open: Vec<usize>,
    /// The same for the group that is being read.
    most: usize,
    /// How much of the expression stands from the last `:]` on.
    after_names: usize,
}

/// What was read last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    /// Something that can be repeated, and how often it repeats what is inside of it.
    Thing(usize),
    Repetition,
}

impl Translator<'_> {
    fn run(&mut self) -> Option<()> {
        let mut last = Last::Nothing;
        while let Some(first) = self.take() {
            last = match first {
                '(' => self.group(last)?,
                ')' => {
                    let inside = std::mem::replace(&mut self.most, self.open.pop()?);
                    self.out.push(')');
                    Last::Thing(inside)
                }
                '|' => {
                    self.out.push('|');
                    Last::Nothing
                }
                '*' | '+' | '?' => {
                    let Last::Thing(most) = last else {
                        return None;
                    };
                    self.out.push(first);
                    self.lazy_mark();
                    self.most = self.most.max(most);
                    Last::Repetition
                }
                '{' => match self.bounds()? {
                    Some((low, high)) => {
                        let Last::Thing(most) = last else {
                            return None;
                        };
                        let most = most * high.unwrap_or(low).max(1);
                        if most > MAX_REPEAT {
                            return None;
                        }
                        self.out.push_str(&match high {
                            Some(high) => format!("{{{low},{high}}}"),
                            None => format!("{{{low},}}"),
                        });
                        self.lazy_mark();
                        self.most = self.most.max(most);
                        Last::Repetition
                    }
                    None => self.literal('{'),
                },
                '[' => {
                    self.class()?;
                    Last::Thing(1)
                }
                '\\' => self.escape(last)?,
                '^' | '$' | '.' => {
                    self.out.push(first);
                    Last::Thing(1)
                }
                other => self.literal(other),
            };
        }
        self.open.is_empty().then_some(())
    }

    fn take(&mut self) -> Option<char> {
        let first = self.rest.chars().next()?;
        self.rest = &self.rest[first.len_utf8()..];
        Some(first)
    }

    fn skip(&mut self, text: &str) -> bool {
        let found = self.rest.strip_prefix(text);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn literal(&mut self, character: char) -> Last {
        self.out.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
        Last::Thing(1)
    }

    fn lazy_mark(&mut self) {
        if self.skip("?") {
            self.out.push('?');
        }
    }

    /// The bounds after a brace; nothing where the brace stands for itself, `None` where they are too large.
    fn bounds(&mut self) -> Option<Option<(usize, Option<usize>)>> {
        let length = self.rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b',').count();
        let (inside, after) = self.rest.split_at(length);
        let Some(after) = after.strip_prefix('}') else {
            return Some(None);
        };
        let is_number = |text: &str| {
            let has_extra_zero = text.len() > 1 && text.starts_with('0');
            !text.is_empty() && !has_extra_zero && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let (low, high) = match inside.split_once(',') {
            Some((low, "")) => (low, None),
            Some((low, high)) => (low, Some(high)),
            None => (inside, Some(inside)),
        };
        if !is_number(low) || !high.is_none_or(is_number) {
            return Some(None);
        }
        self.rest = after;
        let bound = |text: &str| text.parse().ok().filter(|bound| *bound <= MAX_REPEAT);
        let low = bound(low)?;
        let high = match high {
            Some(high) => Some(bound(high).filter(|high| *high >= low)?),
            None => None,
        };
        Some(Some((low, high)))
    }

    fn group(&mut self, last: Last) -> Option<Last> {
        if !self.skip("?") {
            self.groups += 1;
            self.enter("(");
            return Some(Last::Nothing);
        }
        if self.skip("P<") || self.skip("<") {
            let (name, after) = self.rest.split_once('>')?;
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.is_empty() || !name.bytes().all(is_name) {
                return None;
            }
            self.rest = after;
            self.groups += 1;
            // Two groups may have one name.
            self.names.entry(name.to_owned()).or_default().push(self.groups);
            self.enter("(");
            return Some(Last::Nothing);
        }
        let (mut on, mut off) = (String::new(), None);
        loop {
            match self.take()? {
                flag @ ('i' | 'm' | 's' | 'U') => {
                    let flags = off.as_mut().unwrap_or(&mut on);
                    if !flags.contains(flag) {
                        flags.push(flag);
                    }
                }
                '-' if off.is_none() => off = Some(String::new()),
                end @ (':' | ')') => {
                    let off = match off {
                        Some(flags) if flags.is_empty() => return None,
                        Some(flags) => flags,
                        None => String::new(),
                    };
                    on.retain(|flag| !off.contains(flag));
                    let minus = if off.is_empty() { "" } else { "-" };
                    if end == ':' {
                        self.enter(&format!("(?{on}{minus}{off}:"));
                        return Some(Last::Nothing);
                    }
                    if !on.is_empty() || !off.is_empty() {
                        self.out.push_str(&format!("(?{on}{minus}{off})"));
                    }
                    return Some(last);
                }
                _ => return None,
            }
        }
    }

    fn enter(&mut self, start: &str) {
        self.out.push_str(start);
        self.open.push(std::mem::replace(&mut self.most, 1));
    }

    /// What stands after a backslash outside of a class.
    fn escape(&mut self, last: Last) -> Option<Last> {
        let before = self.rest;
        match self.take()? {
            'A' => self.out.push_str("\\A"),
            'z' => self.out.push_str("\\z"),
            'b' => self.out.push_str("(?-u:\\b)"),
            'B' => self.out.push_str("(?-u:\\B)"),
            'Q' => {
                let (literal, after) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.out.push_str(&regex::escape(literal));
                self.rest = after;
                return Some(if literal.is_empty() { last } else { Last::Thing(1) });
            }
            kind @ ('d' | 'D' | 's' | 'S' | 'w' | 'W') => {
                let negation = if kind.is_ascii_uppercase() { "^" } else { "" };
                self.out.push_str(&format!("[{negation}{}]", perl_class(kind)));
            }
            kind @ ('p' | 'P') => self.property(kind)?,
            _ => {
                self.rest = before;
                let character = self.escaped_character()?;
                return Some(self.literal(character));
            }
        }
        Some(Last::Thing(1))
    }

    /// The character that an escape stands for.
    fn escaped_character(&mut self) -> Option<char> {
        let digits = |text: &str, least: usize, radix: u32| {
            u32::from_str_radix(text, radix).ok().filter(|_| text.len() >= least).and_then(char::from_u32)
        };
        match self.take()? {
            first @ '0'..='7' => {
                let more = self.rest.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                if first != '0' && more == 0 {
                    return None;
                }
                let (rest, after) = self.rest.split_at(more);
                self.rest = after;
                digits(&format!("{first}{rest}"), 1, 8)
            }
            'x' if self.skip("{") => {
                let (inside, after) = self.rest.split_once('}')?;
                self.rest = after;
                if !inside.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return None;
                }
                digits(inside, 1, 16)
            }
            'x' => {
                let inside = self.rest.get(..2).filter(|inside| inside.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
                self.rest = &self.rest[2..];
                digits(inside, 2, 16)
            }
            'a' => Some('\u{7}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            mark if mark.is_ascii() && !mark.is_ascii_alphanumeric() => Some(mark),
            _ => None,
        }
    }

    /// The name after `\p` or `\P`.
    fn property(&mut self, kind: char) -> Option<()> {
        let (name, after) = match self.rest.strip_prefix('{') {
            Some(inside) => inside.split_once('}')?,
            None => self.rest.split_at(self.rest.chars().next()?.len_utf8()),
        };
        self.rest = after;
        let (is_negated, name) = match name.strip_prefix('^') {
            Some(name) => (kind == 'p', name),
            None => (kind == 'P', name),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_- ".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name) {
            return None;
        }
        self.out.push_str(&format!("\\{}{{{name}}}", if is_negated { 'P' } else { 'p' }));
        Some(())
    }

    /// A class after its `[`.
    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        if self.skip("^") {
            self.out.push('^');
        }
        let mut is_first = true;
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            if let Some(named) = self.rest.strip_prefix("[:")
                && named.len() >= self.after_names
                && let Some((name, after)) = named.split_once(":]")
            {
                if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return None;
                }
                self.out.push_str(&format!("[:{name}:]"));
                self.rest = after;
                continue;
            }
            if let Some(escape) = self.rest.strip_prefix('\\') {
                match escape.chars().next()? {
                    kind @ ('d' | 's' | 'w') => {
                        self.rest = &escape[1..];
                        self.out.push_str(perl_class(kind));
                        continue;
                    }
                    kind @ ('D' | 'S' | 'W') => {
                        self.rest = &escape[1..];
                        self.out.push_str(&format!("[^{}]", perl_class(kind)));
                        continue;
                    }
                    kind @ ('p' | 'P') => {
                        self.rest = &escape[1..];
                        self.property(kind)?;
                        continue;
                    }
                    _ => {}
                }
            }
            let low = self.class_character()?;
            let mut high = low;
            if let Some(range) = self.rest.strip_prefix('-')
                && !range.is_empty()
                && !range.starts_with(']')
            {
                self.rest = range;
                high = self.class_character()?;
            }
            if high < low {
                return None;
            }
            self.out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
        }
        self.rest = &self.rest[1..];
        self.out.push(']');
        Some(())
    }

    fn class_character(&mut self) -> Option<char> {
        match self.take()? {
            '\\' => self.escaped_character(),
            other => Some(other),
        }
    }
}

/// The inside of an ASCII class.
fn perl_class(kind: char) -> &'static str {
    match kind {
        'd' | 'D' => "0-9",
        's' | 'S' => "\\t\\n\\x0c\\r ",
        _ => "0-9A-Za-z_",
    }
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in [
            "a**",
            "a{2}{3}",
            "a*+",
            "a??+",
            "*a",
            "(*a)",
            "a|*",
            "a{1001}",
            "a{3,2}",
            "(a{100}){11}",
            "\\1",
            "\\8",
            "\\u0041",
            "\\Z",
            "\\C",
            "\\E",
            "\\_\\y",
            "[[:foo:]]",
            "[z-a]",
            "[a",
            "[]",
            "(a",
            "a)",
            "(?x)a",
            "(?=a)",
            "(?P=n)",
            "(?P<>a)",
            "(?i-)a",
            "[\\b]",
            "[a-\\d]",
            "\\p{Greek",
            "\\p{Script=Greek}",
            "\\x{110000}",
            "\\x4",
            "\\",
        ] {
            assert!(translate(pattern).is_none(), "{pattern}");
        }
    }

    #[test]
    fn what_go_reads_is_read() {
        for pattern in [
            "",
            "a|",
            "()",
            "(|a)*",
            "a{,2}",
            "a{01}",
            "{",
            "a{x}",
            "]",
            "}",
            "[]a]",
            "[^]a]",
            "[a-]",
            "[-a]",
            "[\\d-z]",
            "[[a]",
            "[a&&b]",
            "[a~~b]",
            "[[:^alpha:]\\s]",
            "\\Q*(\\E+",
            "\\Qa",
            "\\012",
            "\\x{1F600}",
            "\\pL",
            "\\p{Greek}",
            "\\p{^Greek}",
            "[\\PL\\p{Lu}]",
            "(?i)a(?-i)b",
            "(?i-s:a)",
            "(?P<1a>x)",
            "(?P<n>a)(?P<n>b)",
            "(?<n>x)",
            "^*",
            "\\b+",
            "\\_\\-\\<\\@",
            "(a{100}){10}",
            "(?ii)a",
            "[\\x{41}-\\132]",
            "(?s-s:.)",
            "\\/",
            "a{2}?",
        ] {
            let translated = translate(pattern).unwrap_or_else(|| panic!("{pattern}"));
            assert!(regex::bytes::Regex::new(&translated.pattern).is_ok(), "{pattern}: {}", translated.pattern);
        }
    }
}
