//! Templates made by a seed.

use super::session;
use super::signatures::{FUNCTIONS, METHODS};

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
        let mut generator = Generator { random, variables: Vec::new(), next: 0, inside: 0 };
        let template = generator.template();
        Self { template, session, is_hostile }
    }
}

const WORDS: &[&str] = &[
    "a",
    "b",
    "ab",
    "x y",
    "-",
    ",",
    ", ",
    " ",
    "",
    "Ann",
    "é",
    "żó",
    "\\\",\\\"",
    "\\\"",
    "...",
    "/",
    ".",
    "role",
    "1",
    "0",
    "12.5",
    "true",
    "A",
    "foo_bar",
    "fooBar2Baz",
    "a,b,c",
    "%",
    "<",
    "日本",
    "null",
    "_",
    "http://h/p?q=1",
    "\\\\",
    "\\n",
    "x\\\",\\\"y",
    "\\\", \\\"",
    "{",
    "}",
    "[",
    "]",
    "string",
    "float64",
    "map",
    "slice",
    "[]interface {}",
    "\\u00e9\\u0301",
    "Ǆ",
    "\\xff",
    "{\\\"a\\\":1}",
    "1e400",
];
const NAMES: &[&str] = &[
    "a", "b", "c", "t", "k", "x", "y", "l", "id", "name", "texts", "missing", "x-y", "host", "path", "query", "scheme",
    "_0",
];
const REGEXES: &[&str] = &[
    "a",
    "[a-z]+",
    "[0-9]+",
    "^.",
    ".$",
    "(a)(b)?",
    "(?i)an",
    "x*",
    "",
    "\\\\s+",
    "\\\\w+",
    "[^a-z]",
    "(?P<n>a)|(?P<n>b)",
    "é|ż",
    ".",
    "a|b|c",
    "^$",
    "(.)(.)",
    "\\\\pL+",
    "[[:upper:]]",
    "a{2,}",
    "(?s).+",
    "\\\\b",
    "\\\\d+$",
    "(?m)^",
    "(",
    "[",
    "a**",
    "\\\\.",
    ",",
    "[\\\"]",
    "(?U)a+",
    "(|a)+",
    "\\\\B",
    "[^,]*",
    "\\\\x{e9}",
    "[é-ż]",
    "(?i)ſ",
    "(?i)k",
    "\\\\pN",
    "[\\\\w-]+@",
    "\\\\D",
    "\\\\S+",
    "(?:a|ab)(?:c|bcd)*",
];
const REPLACEMENTS: &[&str] =
    &["x", "", "$1", "${1}", "$0", "${n}", "$1x", "${1}x", "$$", "[$0]", "\\\",\\\"", "$2$1", "é", "$", "${", "$n"];
const LAYOUTS: &[&str] = &[
    "2006-01-02",
    "2006-01-02T15:04:05Z07:00",
    "Jan _2 3:04PM",
    "Monday, 02-Jan-06 15:04:05 MST",
    "2006",
    "15:04:05.000",
    "06-1-2 03:04:05pm",
    "2006-01-02 15:04:05.999999999 -0700 MST",
    "January 2 __2 002",
    "-07:00:00 Z0700 Z07",
    "5,4.3",
    "2006-01-02T15:04:05.999Z07:00",
    "x",
    "",
    "2006\\\",\\\"01",
    "Mon Jan",
    ".00 ,99",
    "150405",
    "_2006 é",
];
/// Zones whose rules have not changed for long, because Go reads them from the system.
const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Nowhere/None",
    "",
    "Local",
    "Australia/Lord_Howe",
    "Asia/Tehran",
    "Pacific/Apia",
    "GMT",
    "Etc/GMT+5",
    "europe/berlin",
    "America/Sao_Paulo",
    "Europe/Dublin",
    "Antarctica/Troll",
];
const CONSTRAINTS: &[&str] = &[
    ">=1.0.0",
    "^1.2",
    "~1.2.3",
    "!=1.2.3",
    ">=1.0.0-0, <2.0.0",
    "1.x",
    "*",
    "1.2 - 1.4",
    "<2 || >=3",
    "!=1.1.1-a <9.0.0",
    "=1.2.3",
    ">1.2.3-alpha <2",
    "^0.0.1",
    "~0",
    "=>1",
    "=<2.0",
    "bad",
    "",
    ">= 1.0",
    "!=1.x",
    "^2.0.0-rc.0",
    ">1",
    "<=1.2",
    "~>1.2",
    "1.2.3-alpha.10",
    "1.0.0+b1",
    ">=0-0",
    "!=2.0.0-rc.1 || 5",
    "~1.2.3-beta.2 || ^9",
    ">1.x",
    "<1.x",
    "^0",
    "^0.2.3-a",
    "~*",
    "<=x",
    "v1.2.3",
    ">v1",
    "1 2",
    "1,2",
];
const DURATIONS: &[&str] =
    &["1h", "-90m", "24h", "1.5s", "100ms", "bad", "", "720h", "1h1m1s", "-1ns", "2562047h", "1us"];
const VERSIONS: &[&str] =
    &["1.2.3", "2.0.0-rc.1", "v1.2", "1.0.0+b", "8.0.0-b", "0.0.1", "1.2.3-alpha.9", "3", "1.2.3-a.b+c.d"];
const URLS: &[&str] = &[
    "https://u:p@h:1/a/../b?c#d",
    "/x/y",
    "../z?q=2",
    "//h2/p",
    "mailto:a@b",
    "?only",
    "#frag",
    "http://h/%41%2F",
    "//:@h",
    "",
    "g",
    "./g/",
    "https://x/y",
];
const INTS: &[&str] = &["0", "1", "2", "3", "-1", "5", "10", "34", "97", "1000", "-7", "4", "0x10", "1_0", "'a'"];
const NUMBERS: &[&str] =
    &["0", "1", "2", "-3", "1.5", "-0.5", "2.5", "1e3", "100", "7", "0.1", "1e-7", "9007199254740993"];

struct Generator {
    random: Random,
    /// Variables in scope with the letter of their kind.
    variables: Vec<(String, char)>,
    next: usize,
    /// How deep the dot is in `with` and `range`.
    inside: usize,
}

impl Generator {
    fn template(&mut self) -> String {
        let mut out = String::new();
        for _ in 0..self.random.below(8) / 5 {
            out.push_str(&self.declaration());
        }
        if self.random.once_in(25) {
            let value = self.value(1);
            return format!(
                "{out}{{{{ define \"d\" }}}}{{\"in\": {{{{ toJson . }}}}}}{{{{ end }}}}{{\"t\": {{{{ template \"d\" {} }}}}, \"v\": {value}}}",
                self.text(1)
            );
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
        (self.random.pick(&[
            "len .Extra.texts",
            "kindOf .Extra.n",
            "\"a\"",
            ".Extra.missing",
            "print .Extra.yes",
            ".Extra.word",
            "upper .Extra.a",
        ]))
        .to_owned()
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
                let after = self.random.pick(&[
                    "",
                    " | title",
                    " | upper",
                    " | snakecase",
                    " | clean",
                    " | trunc 12",
                    " | swapcase",
                    " | nospace",
                    " | untitle",
                    " | wrap 5",
                    " | camelcase",
                    " | lower",
                ]);
                format!("[\"{{{{ join \"{separator}\" {list}{after} }}}}\"]")
            }
            19 => format!(
                "[\"{{{{ printf \"%s\\\",\\\"%v\" {} {}{} }}}}\"]",
                self.argument('s', 1),
                self.argument('a', 1),
                self.random.pick(&["", " | title", " | abbrev 20", " | base", " | kebabcase"])
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
            format.push(self.random.pick(&[
                'v', 'v', 's', 's', 'd', 'q', 'x', 'X', 't', 'f', 'g', 'e', 'T', 'U', 'o', 'O', 'b', 'G', 'E', 'F',
                'z', 'p', 'w',
            ]));
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
        if depth > 0 && self.random.below(4) > 0 {
            if let Some(call) = self.call(kind, depth) {
                return call;
            }
        }
        self.leaf(kind)
    }

    /// The same as one word.
    fn argument(&mut self, kind: char, depth: usize) -> String {
        let mut kind = kind;
        if self.random.once_in(150) && !matches!(kind, 'x' | 'h' | 'e') {
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
        let _ = self.inside;
        let literal = |text: &str| format!("\"{text}\"");
        match kind {
            's' | 'j' | 'q' => match self.random.below(12) {
                0..=4 => literal(self.random.pick(WORDS)),
                5 => (self.random.pick(&[".Extra.date", ".Extra.version", ".Extra.duration", ".Extra.day"])).to_owned(),
                6 => literal(self.random.pick(URLS)),
                _ => path(self.random.pick(session::TEXTS)),
            },
            'n' => match self.random.below(3) {
                0 => (self.random.pick(NUMBERS)).to_owned(),
                1 => (self.random.pick(INTS)).to_owned(),
                _ => path(self.random.pick(session::NUMBERS)),
            },
            'i' => (self.random.pick(INTS)).to_owned(),
            'h' => (self.random.pick(&["0", "1", "2", "3", "-1", "4", "-2", "10"])).to_owned(),
            'e' => (self.random.pick(&["0", "1", "2", "4", "5", "7", "8", "12", "20", "-1"])).to_owned(),
            'o' => format!("int64 {}", self.random.pick(&["5", "1709210096", "1709210096123", "-1", ".Extra.ms", ".Extra.n", "9000000000000"])),
            'f' => (self.random.pick(&["1.5", ".Extra.f", "2.0", "-0.5", ".Extra.big"])).to_owned(),
            'b' => match self.random.below(3) {
                0 => (self.random.pick(&["true", "false"])).to_owned(),
                _ => (self.random.pick(session::BOOLS)).to_owned(),
            },
            'l' | 'I' => match self.random.below(5) {
                0 => (self.random.pick(&["list", "list 1 \"a\" nil", "list \"b\" \"a\"", "until 3", "list (list 1) (dict \"k\" nil)", "rest list", "list 1.5 2"])).to_owned(),
                _ => path(self.random.pick(session::LISTS)),
            },
            'L' => match self.random.below(4) {
                0 => (self.random.pick(&["list \"b\" \"a\"", "splitList \",\" .Extra.csv", "list \"x\\\"y\" \"z\"", "list"])).to_owned(),
                _ => path(self.random.pick(session::TEXT_LISTS)),
            },
            'm' => match self.random.below(4) {
                0 => (self.random.pick(&["dict", "dict \"a\" 1 \"b\" nil", "dict \"k\\\"q\" .Extra.a", "dict .Extra.word 1", "dict \"host\" \"h\" \"path\" .Extra.path \"query\" \"q=1\""])).to_owned(),
                _ => {
                    // A copy, so that no function changes the session.
                    let map = path(self.random.pick(session::MAPS));
                    format!("deepCopy {map}")
                }
            },
            'M' => (self.random.pick(&["split \",\" .Extra.csv", "splitn \" \" 2 .Extra.spaces"])).to_owned(),
            't' => match self.random.below(5) {
                0 => "toDate \"2006-01-02T15:04:05Z07:00\" .Extra.date".to_owned(),
                1 => "toDate \"2006-01-02\" .Extra.day".to_owned(),
                2 => "toDate \"2006-01-02\" \"2024-02-29\"".to_owned(),
                3 => "toDate \"2006-01-02 15:04:05 MST\" \"2024-07-01 10:00:00 CEST\"".to_owned(),
                _ => "toDate \"2006-01-02T15:04:05Z07:00\" \"1970-10-02T11:44:40.5+05:30\"".to_owned(),
            },
            'x' => match self.random.below(3) {
                0 => format!("int64 {}", self.random.pick(&["1709210096", ".Extra.ms", ".Extra.n", "-62135596800", "9000000000000"])),
                1 => (self.random.pick(&["0", "1709210096", "-1"])).to_owned(),
                _ => self.leaf('t'),
            },
            'd' => "(toDate \"2006-01-02\" .Extra.day).Sub (toDate \"2006-01-02T15:04:05Z07:00\" \"2024-01-15T09:12:33.104Z\")".to_owned(),
            'v' => match self.random.below(3) {
                0 => "semver .Extra.version".to_owned(),
                _ => format!("semver \"{}\"", self.random.pick(VERSIONS)),
            },
            'u' => match self.random.below(3) {
                0 => format!(".MatchContext.URL.Parse \"{}\"", self.random.pick(URLS)),
                _ => ".MatchContext.URL".to_owned(),
            },
            'k' => match self.random.below(6) {
                0 => ".Extra.word".to_owned(),
                _ => literal(self.random.pick(NAMES)),
            },
            'r' => literal(self.random.pick(REGEXES)),
            'p' => literal(self.random.pick(REPLACEMENTS)),
            'y' => literal(self.random.pick(LAYOUTS)),
            'z' => literal(self.random.pick(ZONES)),
            'c' => literal(self.random.pick(CONSTRAINTS)),
            'w' => match self.random.below(4) {
                0 => ".Extra.duration".to_owned(),
                _ => literal(self.random.pick(DURATIONS)),
            },
            'N' => (self.random.pick(session::NILS)).to_owned(),
            'B' => "(toDate \"2006\" \"2024\").MarshalText".to_owned(),
            _ => {
                let kind = self.random.pick(&['s', 's', 'n', 'b', 'l', 'm', 'N', 'i', 'L', 't', 'v', 'u', 'd']);
                if kind == 'u' && self.random.once_in(3) {
                    return (self.random.pick(&[".", ".MatchContext", ".Header", ".MatchContext.URL.Query", ".MatchContext.URL.User", ".MatchContext.Header"])).to_owned();
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
