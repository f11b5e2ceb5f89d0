//! Templates made by a seed.

use super::session;
use super::signatures::{FUNCTIONS, METHODS};
use super::words;

/// A template and a session.
pub(super) struct Case {
    pub(super) template: String,
    pub(super) session: String,
    /// Whether text of the session has quotes, backslashes and control characters.
    pub(super) is_hostile: bool,
}

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// True once in `many` times.
    fn once_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

impl Case {
    pub(super) fn generate(seed: u64, index: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ index.wrapping_mul(0xd134_2543_de82_ef95));
        let is_hostile = random.below(3) == 0;
        let session = session::generate(&mut random, is_hostile);
        let mut generator = Generator { random, variables: Vec::new(), next: 0 };
        let template = generator.template();
        Self { template, session, is_hostile }
    }
}

struct Generator {
    random: Random,
    /// Variables in scope with the letter of their kind.
    variables: Vec<(String, char)>,
    next: usize,
}

impl Generator {
    fn template(&mut self) -> String {
        let mut out = String::new();
        for _ in 0..self.random.below(8) / 5 {
            out.push_str(&self.declaration());
        }
        if self.random.once_in(25) {
            let value = self.value(1);
            let text = self.text(1);
            out.push_str("{{ define \"d\" }}{\"in\": {{ toJson . }}}{{ end }}");
            return format!("{out}{{\"t\": {{{{ template \"d\" {text} }}}}, \"v\": {value}}}");
        }
        if self.random.once_in(25) {
            let (cut, value) = (self.argument('m', 1), self.value(1));
            return match self.random.below(4) {
                0 => {
                    format!("{out}{{\"z\": {value},{{{{ {cut} | toJson | trimPrefix \"{{\" | trimSuffix \"}}\" }}}}}}")
                }
                1 => format!("{out}{{{{ toJson {cut} | trimSuffix \"}}\" }}}},\"z\": {value}}}"),
                2 => format!("{out}{{\"z\": {value},{{{{ toJson {cut} | trimAll \"{{}}\" }}}}}}"),
                _ => format!("{out}{{{{ regexReplaceAll \"}}$\" (toJson {cut}) \",\\\"z\\\":1}}\" }}}}"),
            };
        }
        out.push('{');
        let members = 1 + self.random.below(5) / 3;
        for index in 0..members {
            if index > 0 {
                out.push(',');
            }
            let value = self.value(2);
            out.push_str(&match self.random.below(12) {
                0 => format!("\"m{index}_{{{{ {} }}}}\": {value}", self.plain_name()),
                1 => format!("\n  \"m{index}\" : {value}"),
                _ => format!("\"m{index}\": {value}"),
            });
        }
        out.push('}');
        out
    }

    fn plain_name(&mut self) -> String {
        self.random.pick(words::MEMBER_NAMES).to_owned()
    }

    fn declaration(&mut self) -> String {
        let kind = self.random.pick(&['s', 'l', 'm', 'n', 'a', 't']);
        let value = self.expression(kind, 2);
        self.next += 1;
        let name = format!("$v{}", self.next);
        let mut out = format!("{{{{- {name} := {value} -}}}}");
        if kind == 'm' && self.random.once_in(3) {
            // A map of its own, so that the session stays as it is.
            let (key, entry) = (self.argument('k', 0), self.argument('a', 1));
            out = format!("{{{{ {name} := dict \"k\" 1 }}}}{{{{ $_ := set {name} {key} {entry} }}}}");
        }
        if self.random.once_in(8) {
            out.push_str(&format!(
                "{{{{ if {} }}}}{{{{ {name} = {} }}}}{{{{ end }}}}",
                self.expression('b', 1),
                self.expression(kind, 1)
            ));
        }
        self.variables.push((name, kind));
        out
    }

    /// What stands where a value does.
    fn value(&mut self, depth: usize) -> String {
        match self.random.below(24) {
            0..=6 => format!("{{{{ {} | toJson }}}}", self.any_expression(depth)),
            7..=11 => format!("\"{}\"", self.string_content(depth)),
            12 => format!("{{{{ {} }}}}", self.expression('n', depth)),
            13 => format!("{{{{ {} }}}}", self.expression('b', depth)),
            14 => format!("{{{{ quote {} }}}}", self.argument('s', depth)),
            15 => {
                let verb = self.random.pick(&["%q", "%+q", "%#q", "%10q", "%.3q", "%#v", "%-8q"]);
                let kind = self.random.pick(&['s', 's', 'L', 'l', 'm', 'a']);
                format!("{{{{ printf \"{verb}\" {} }}}}", self.argument(kind, depth))
            }
            16 => {
                let (list, body) =
                    (self.argument('l', depth.min(1)), if self.random.once_in(2) { "toJson $x" } else { "$x | quote" });
                format!("[{{{{ range $i, $x := {list} }}}}{{{{ if $i }}}},{{{{ end }}}}{{{{ {body} }}}}{{{{ end }}}}]")
            }
            17 if depth > 0 => {
                let (condition, yes, no) = (self.expression('a', 1), self.value(depth - 1), self.value(depth - 1));
                match self.random.below(3) {
                    0 => format!("{{{{ if {condition} }}}}{yes}{{{{ else }}}}{no}{{{{ end }}}}"),
                    1 => {
                        let other = self.expression('b', 1);
                        format!(
                            "{{{{ if {condition} }}}}{yes}{{{{ else if {other} }}}}{no}{{{{ else }}}}null{{{{ end }}}}"
                        )
                    }
                    _ => format!("{{{{ with $d := {condition} }}}}{{{{ toJson . }}}}{{{{ else }}}}{no}{{{{ end }}}}"),
                }
            }
            18 => {
                let separator = self.random.pick(&["\\\",\\\"", "\\\", \\\""]);
                let list = self.argument('L', depth);
                let after = self.random.pick(words::AFTER_JOIN);
                format!("[\"{{{{ join \"{separator}\" {list}{after} }}}}\"]")
            }
            19 => format!(
                "[\"{{{{ printf \"%s\\\",\\\"%v\" {} {}{} }}}}\"]",
                self.argument('s', 1),
                self.argument('a', 1),
                self.random.pick(words::AFTER_PRINTF)
            ),
            20 => format!(
                "[{{{{ quote {} {} | replace \"\\\" \\\"\" \"\\\",\\\"\" }}}}]",
                self.argument('s', 1),
                self.argument('s', 1)
            ),
            21 => format!("[{{{{ toJson {} | trimAll \"[]\" }}}}]", self.argument('L', 1)),
            22 => format!("{{{{ {} }}}}", self.any_expression(depth)),
            _ => format!("{{{{ {} | toJson }}}}", self.formatted(depth)),
        }
    }

    /// What stands inside of a string.
    fn string_content(&mut self, depth: usize) -> String {
        match self.random.below(12) {
            0 => format!("x{{{{ {} }}}}y", self.any_expression(depth)),
            1 => format!("{{{{ {} }}}} {{{{- {} }}}}", self.expression('s', depth), self.expression('s', depth)),
            2 => format!("{{{{ {} }}}}", self.formatted(depth)),
            3 => {
                let list = self.argument('l', 1);
                let stop = self.random.pick(&[
                    "",
                    "{{ if $i }}{{ break }}{{ end }}",
                    "{{ if not $i }}{{ continue }}{{ end }}",
                ]);
                format!("{{{{ range $i, $x := {list} }}}}{stop}{{{{ $x }}}};{{{{ else }}}}none{{{{ end }}}}")
            }
            4 => format!(
                "{{{{ range $k, $x := {} }}}}{{{{ $k }}}}={{{{ print $x }}}};{{{{ end }}}}",
                self.argument('m', 1)
            ),
            5 => format!("{{{{ with {} }}}}{{{{ . }}}}{{{{ else }}}}-{{{{ end }}}}", self.expression('a', depth)),
            6 => format!(
                "{{{{ if {} }}}}{{{{ {} }}}}{{{{ end }}}}",
                self.expression('b', 1),
                self.expression('s', depth)
            ),
            7 => format!(
                "{{{{ range {} }}}}{{{{ . }}}},{{{{ end }}}}",
                self.random.pick(&["3", "(int .Extra.n | min 4 | int)", "until 3", ".Extra.texts"])
            ),
            8 => {
                let (body, text) = (self.random.pick(&["{{ . }}", "<{{- . -}} >", "{{/* . */}}x"]), self.text(depth));
                self.next += 1;
                format!("{{{{ block \"b{}\" {text} }}}}{body}{{{{ end }}}}", self.next)
            }
            _ => format!("{{{{ {} }}}}", self.expression('s', depth)),
        }
    }

    /// A call of `printf` with any verbs and flags.
    fn formatted(&mut self, depth: usize) -> String {
        let mut format = String::new();
        let mut arguments = String::new();
        for _ in 0..1 + self.random.below(3) {
            format.push_str(self.random.pick(&["", "", "a", " ", "%%", "é", "|"]));
            format.push('%');
            for _ in 0..self.random.below(3) {
                format.push(self.random.pick(&['+', '-', '#', ' ', '0']));
            }
            if self.random.once_in(3) {
                format.push_str(self.random.pick(&["1", "5", "12", "0", "3"]));
            }
            if self.random.once_in(4) {
                format.push_str(self.random.pick(&[".0", ".2", ".5", ".", ".10"]));
            }
            if self.random.once_in(20) {
                format.push_str(self.random.pick(&["[1]", "[2]", "*", "[3]*", ".*", "[x]"]));
            }
            format.push(self.random.pick(words::VERBS));
            if !self.random.once_in(15) {
                let kind =
                    self.random.pick(&['s', 's', 'i', 'n', 'n', 'a', 'l', 'm', 'b', 'o', 'f', 't', 'd', 'L', 'v', 'u']);
                arguments.push(' ');
                arguments.push_str(&self.argument(kind, depth.min(1)));
            }
        }
        format!("printf \"{format}\"{arguments}")
    }

    fn text(&mut self, depth: usize) -> String {
        self.argument('s', depth)
    }

    fn any_expression(&mut self, depth: usize) -> String {
        let kind = self.random.pick(&['s', 's', 'n', 'i', 'b', 'l', 'L', 'm', 'a', 't', 'd', 'v', 'u', 'o', 'f', 'M']);
        self.expression(kind, depth)
    }

    /// An expression of `kind`, perhaps as a pipeline.
    fn expression(&mut self, kind: char, depth: usize) -> String {
        if depth > 0
            && self.random.below(4) > 0
            && let Some(call) = self.call(kind, depth)
        {
            return call;
        }
        self.leaf(kind)
    }

    /// The same as one word.
    fn argument(&mut self, kind: char, depth: usize) -> String {
        let mut kind = kind;
        // With other types, functions on dates take the time now.
        if self.random.once_in(150) && !matches!(kind, 'x' | 'w' | 'o' | 'h' | 'e') {
            kind = self.random.pick(&['s', 'i', 'n', 'b', 'l', 'm', 'a', 'N', 't', 'd', 'v', 'u']);
        }
        let expression = self.expression(kind, depth);
        let is_word = !expression.contains([' ', '|'])
            || expression.starts_with('"')
                && expression.rfind('"') == Some(expression.len() - 1)
                && expression.matches('"').count() == 2 + expression.matches("\\\"").count()
            || expression.starts_with('(') && expression.ends_with(')') && balanced(&expression);
        if is_word { expression } else { format!("({expression})") }
    }

    /// A call that gives `kind`.
    fn call(&mut self, kind: char, depth: usize) -> Option<String> {
        let gives = |signature: &&&str| {
            let result = signature.chars().next_back().unwrap_or('a');
            match kind {
                's' => matches!(result, 's' | 'j' | 'q'),
                'n' => matches!(result, 'o' | 'i' | 'f'),
                'l' => matches!(result, 'l' | 'L' | 'I'),
                'a' => true,
                'm' => result == 'm',
                other => result == other,
            }
        };
        let is_method = self.random.once_in(4);
        let table = if is_method { METHODS } else { FUNCTIONS };
        let fitting: Vec<_> = table.iter().filter(gives).collect();
        let Some(signature) = (!fitting.is_empty()).then(|| self.random.pick(&fitting)) else {
            let other = if is_method { FUNCTIONS } else { METHODS };
            let fitting: Vec<_> = other.iter().filter(gives).collect();
            if fitting.is_empty() {
                return None;
            }
            let signature = self.random.pick(&fitting);
            return Some(self.written(signature, !is_method, depth));
        };
        Some(self.written(signature, is_method, depth))
    }

    fn written(&mut self, signature: &str, is_method: bool, depth: usize) -> String {
        let words: Vec<&str> = signature.split(' ').collect();
        let mut arguments = Vec::new();
        for word in &words[1..words.len() - 1] {
            let kind = word.chars().next().unwrap_or('a');
            let count = if word.ends_with('*') { self.random.below(4) } else { 1 };
            for _ in 0..count {
                arguments.push(self.argument(kind, depth - 1));
            }
        }
        let name = words[0];
        if is_method {
            let receiver = if arguments.is_empty() { ".Extra.nil".to_owned() } else { arguments.remove(0) };
            let receiver = if receiver.starts_with(['(', '.', '$']) { receiver } else { format!("({receiver})") };
            let call = format!("{receiver}.{name} {}", arguments.join(" "));
            return call.trim_end().to_owned();
        }
        if !arguments.is_empty() && self.random.once_in(3) {
            let last = arguments.pop().unwrap_or_default();
            return format!("{last} | {name} {}", arguments.join(" ")).trim_end().to_owned();
        }
        format!("{name} {}", arguments.join(" ")).trim_end().to_owned()
    }

    fn leaf(&mut self, kind: char) -> String {
        if self.random.once_in(5) {
            let known: Vec<_> =
                self.variables.iter().filter(|(_, known)| *known == kind).map(|(name, _)| name.clone()).collect();
            if !known.is_empty() {
                return known[self.random.below(known.len())].clone();
            }
        }
        let path = |text: &str| text.replace(" .", " $.").replace("(.", "($.").trim_start_matches('$').to_owned();
        let is_raw = self.random.once_in(6);
        let literal = |text: &str| match is_raw && !text.contains('\\') {
            true => format!("`{text}`"),
            false => format!("\"{text}\""),
        };
        match kind {
            's' | 'j' | 'q' => match self.random.below(12) {
                0..=4 => literal(self.random.pick(words::WORDS)),
                5 => self.random.pick(words::OTHER_TEXTS).to_owned(),
                6 => literal(self.random.pick(words::URLS)),
                _ => path(self.random.pick(session::TEXTS)),
            },
            'n' => match self.random.below(3) {
                0 => self.random.pick(words::NUMBERS).to_owned(),
                1 => self.random.pick(words::INTS).to_owned(),
                _ => path(self.random.pick(session::NUMBERS)),
            },
            'i' => self.random.pick(words::INTS).to_owned(),
            'h' => self.random.pick(words::SMALL).to_owned(),
            'e' => self.random.pick(words::WIDTHS).to_owned(),
            'o' => format!("int64 {}", self.random.pick(words::INT64S)),
            'f' => self.random.pick(words::FLOATS).to_owned(),
            'b' => match self.random.below(3) {
                0 => self.random.pick(&["true", "false"]).to_owned(),
                _ => self.random.pick(session::BOOLS).to_owned(),
            },
            'l' | 'I' => match self.random.below(5) {
                0 => self.random.pick(words::LISTS).to_owned(),
                _ => path(self.random.pick(session::LISTS)),
            },
            'L' => match self.random.below(4) {
                0 => self.random.pick(words::TEXT_LISTS).to_owned(),
                _ => path(self.random.pick(session::TEXT_LISTS)),
            },
            'm' => match self.random.below(4) {
                0 => self.random.pick(words::MAPS).to_owned(),
                _ => {
                    // A copy, so that no function changes the session.
                    let map = path(self.random.pick(session::MAPS));
                    format!("deepCopy {map}")
                }
            },
            'M' => self.random.pick(&["split \",\" .Extra.csv", "splitn \" \" 2 .Extra.spaces"]).to_owned(),
            't' => self.random.pick(words::DATES).to_owned(),
            'x' => match self.random.below(3) {
                0 => format!("int64 {}", self.random.pick(words::SECONDS)),
                1 => self.random.pick(&["0", "1709210096", "-1"]).to_owned(),
                _ => self.leaf('t'),
            },
            'd' => words::DURATION.to_owned(),
            'v' => match self.random.below(3) {
                0 => "semver .Extra.version".to_owned(),
                _ => format!("semver \"{}\"", self.random.pick(words::VERSIONS)),
            },
            'u' => match self.random.below(3) {
                0 => format!(".MatchContext.URL.Parse \"{}\"", self.random.pick(words::URLS)),
                _ => ".MatchContext.URL".to_owned(),
            },
            'k' => match self.random.below(6) {
                0 => ".Extra.word".to_owned(),
                _ => literal(self.random.pick(words::NAMES)),
            },
            'r' => literal(self.random.pick(words::REGEXES)),
            'p' => literal(self.random.pick(words::REPLACEMENTS)),
            'y' => literal(self.random.pick(words::LAYOUTS)),
            'z' => literal(self.random.pick(words::ZONES)),
            'c' => literal(self.random.pick(words::CONSTRAINTS)),
            'w' => match self.random.below(4) {
                0 => ".Extra.duration".to_owned(),
                _ => literal(self.random.pick(words::DURATIONS)),
            },
            'N' => self.random.pick(session::NILS).to_owned(),
            'B' => "(toDate \"2006\" \"2024\").MarshalText".to_owned(),
            _ => {
                let kind = self.random.pick(&['s', 's', 'n', 'b', 'l', 'm', 'N', 'i', 'L', 't', 'v', 'u', 'd']);
                if kind == 'u' && self.random.once_in(3) {
                    return self.random.pick(words::STRUCTURES).to_owned();
                }
                self.leaf(kind)
            }
        }
    }
}

/// Whether the parenthesis at the start is closed at the end.
fn balanced(text: &str) -> bool {
    let mut depth = 0i32;
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1 == text.len();
        }
    }
    false
}
