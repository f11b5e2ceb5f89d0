//! Generated Go templates over hostile sessions: the members of the claims are those of the author, and the limits hold.
//!
//! The bytes before the first NUL choose the template; the text after it is one value of the session.
#![no_main]

use claimsmith::json::{Json, ReadLimits};
use claimsmith::session::Session;
use claimsmith::templates::{Missing, Syntax};
use claimsmith_fuzz::trial::{CANARY, LIMITS, SESSIONS, compile, render};
use libfuzzer_sys::fuzz_target;

const FUNCTIONS: &[&str] = &[
    "abbrev",
    "add",
    "append",
    "b64dec",
    "b64enc",
    "camelcase",
    "cat",
    "chunk",
    "clean",
    "coalesce",
    "compact",
    "concat",
    "contains",
    "date",
    "default",
    "dict",
    "divf",
    "fromJson",
    "get",
    "has",
    "hasKey",
    "html",
    "indent",
    "index",
    "initials",
    "int64",
    "join",
    "js",
    "kebabcase",
    "keys",
    "last",
    "len",
    "list",
    "lower",
    "merge",
    "mulf",
    "nindent",
    "nospace",
    "omit",
    "pick",
    "pluck",
    "print",
    "printf",
    "prepend",
    "quote",
    "regexFind",
    "regexFindAll",
    "regexMatch",
    "regexReplaceAll",
    "regexReplaceAllLiteral",
    "regexSplit",
    "repeat",
    "replace",
    "rest",
    "reverse",
    "semver",
    "semverCompare",
    "seq",
    "set",
    "sha256sum",
    "slice",
    "snakecase",
    "sortAlpha",
    "split",
    "splitList",
    "splitn",
    "squote",
    "substr",
    "swapcase",
    "ternary",
    "title",
    "toDate",
    "toJson",
    "toPrettyJson",
    "toRawJson",
    "toString",
    "toStrings",
    "trim",
    "trimAll",
    "trimPrefix",
    "trimSuffix",
    "trunc",
    "tuple",
    "uniq",
    "unset",
    "until",
    "upper",
    "urlParse",
    "urlquery",
    "values",
    "without",
    "wrap",
    "wrapWith",
];

/// Nothing of these can end a string or begin a member.
const WORDS: &[&str] = &[
    ".Extra.fuzz",
    ".Extra.x",
    ".Extra.y",
    ".Extra.l",
    ".Extra.m",
    ".Extra.n",
    ".Extra.j",
    ".Extra.z",
    ".Extra",
    ".Subject",
    ".Header",
    ".MatchContext.URL",
    ".MatchContext",
    ".",
    "$",
    "1",
    "-1",
    "3",
    "100000",
    "1.5",
    "true",
    "nil",
    "``",
    "`a`",
    "`%s%[1]s`",
    "`%q`",
    "`%#v`",
    "`%5d`",
    "`a|b*`",
    "`[^a]+`",
    "`$0$1`",
    "` `",
    "`k`",
];

struct Choices<'d>(&'d [u8]);

impl Choices<'_> {
    fn take(&mut self) -> usize {
        self.0.split_off_first().map_or(0, |byte| usize::from(*byte))
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.take() % choices.len()]
    }

    fn expression(&mut self, depth: usize) -> String {
        let mut text = String::new();
        for stage in 0..1 + self.take() % 3 {
            if stage > 0 {
                text.push_str(" | ");
            } else if self.take() % 4 == 0 {
                text.push_str(self.of(WORDS));
                continue;
            }
            text.push_str(self.of(FUNCTIONS));
            for _ in 0..self.take() % 4 {
                text.push(' ');
                if depth > 0 && self.take() % 4 == 0 {
                    text.extend(["(", &self.expression(depth - 1), ")"]);
                } else {
                    text.push_str(self.of(WORDS));
                }
            }
        }
        text
    }

    /// Text of the template at a place inside of quotes.
    fn text(&mut self) -> String {
        match self.take() % 5 {
            0 => format!("{{{{ range $k, $v := {} }}}}{{{{ $k }}}}{{{{ $v }}}}{{{{ end }}}}", self.expression(1)),
            1 => format!("{{{{ with {} }}}}{{{{ . }}}}{{{{ else }}}}-{{{{ end }}}}", self.expression(1)),
            _ => format!("{{{{ {} }}}}", self.expression(2)),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let (choices, value) = match data.iter().position(|byte| *byte == 0) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &b""[..]),
    };
    let mut choices = Choices(choices);
    let template = format!(
        r#"{{"a": {{{{ {} }}}}, "b": "{}", "c": [{{{{ {} }}}}], "d": {{"k": "{}", "l": 1}}, "e": true}}"#,
        choices.expression(2),
        choices.text(),
        choices.expression(2),
        choices.text(),
    );
    let Some(compiled) = compile(Syntax::Go, &template, &[], Missing::Error) else { return };
    let value = Json::String(String::from_utf8_lossy(value));
    for session in SESSIONS {
        // A session without an object as `extra` stays as it is.
        let session = session.replacen("\"extra\":{", &format!("\"extra\":{{\"fuzz\":{value},"), 1);
        let session = Session::parse(session.as_bytes(), ReadLimits::default()).expect("the sessions are readable");
        // The value may contain the canary.
        let Some(claims) = render(&compiled, CANARY, &session) else { continue };
        assert!(claims.len() <= LIMITS.output_bytes, "{} bytes of claims", claims.len());
        let claims = Json::parse(claims.as_bytes(), ReadLimits { depth: LIMITS.depth })
            .unwrap_or_else(|error| panic!("{error}\n{template}\n{claims}"));
        let names = |value: Option<&Json<'_>>| match value {
            Some(Json::Object(members)) => members.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(),
            _ => panic!("no object: {template}\n{claims}"),
        };
        assert_eq!(names(Some(&claims)), ["a", "b", "c", "d", "e"], "{template}\n{claims}");
        assert_eq!(names(claims.member("d")), ["k", "l"], "{template}\n{claims}");
        assert!(matches!(claims.member("c"), Some(Json::Array(_))), "{template}\n{claims}");
        let texts = [claims.member("b"), claims.member("d").and_then(|d| d.member("k"))];
        assert!(texts.iter().all(|text| matches!(text, Some(Json::String(_)))), "{template}\n{claims}");
        assert_eq!(claims.member("e"), Some(&Json::Bool(true)), "{template}\n{claims}");
    }
});
