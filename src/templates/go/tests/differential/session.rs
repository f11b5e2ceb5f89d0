//! Sessions for generated templates: the same names with the same types, but other values.

use super::generate::Random;
use crate::json::write_string;

/// A member that only text which leaves its string can add.
pub(super) const INJECTED: &str = "injected";

/// Paths to text.
pub(super) const TEXTS: &[&str] = &[
    ".Subject",
    ".Extra.name",
    ".Extra.a",
    ".Extra.b",
    ".Extra.word",
    ".Extra.uni",
    ".Extra.empty",
    ".Extra.num",
    ".Extra.path",
    ".Extra.csv",
    ".Extra.deep.x.y",
    ".MatchContext.Method",
    ".MatchContext.URL.Path",
    ".MatchContext.URL.RawQuery",
    "(index .Extra.texts 0)",
    "(printIndex .MatchContext.RegexpCaptureGroups 0)",
    "(.MatchContext.Header.Get \"x-tenant\")",
    "(.MatchContext.URL.Query.Get \"q\")",
    ".Extra.b64",
    ".Extra.json",
    ".Extra.url",
    ".Extra.spaces",
];
pub(super) const NUMBERS: &[&str] =
    &[".Extra.n", ".Extra.f", ".Extra.big", ".Extra.neg", ".Extra.ms", ".Extra.zero", "(index .Extra.nums 0)"];
pub(super) const BOOLS: &[&str] = &[".Extra.yes", ".Extra.no"];
pub(super) const LISTS: &[&str] = &[
    ".Extra.texts",
    ".Extra.nums",
    ".Extra.mixed",
    ".Extra.nested",
    ".Extra.none",
    ".Extra.objects",
    ".Extra.one",
    ".MatchContext.RegexpCaptureGroups",
];
pub(super) const TEXT_LISTS: &[&str] = &[
    ".Extra.texts",
    ".Extra.one",
    ".MatchContext.RegexpCaptureGroups",
    "(.Header.Values \"x-role\")",
    "(.Header.Values \"x-none\")",
    ".Extra.none",
];
pub(super) const MAPS: &[&str] = &[".Extra.map", ".Extra.deep", ".Extra.nothing", ".Extra", "(index .Extra.objects 0)"];
pub(super) const NILS: &[&str] = &[".Extra.nil", ".Extra.missing", "nil"];

const BENIGN: &[&str] = &[
    "a",
    "b c",
    "Ann Lee",
    "orders.read",
    "zoë@example.com",
    "żółw ł",
    "",
    "x-y_z",
    "HTTPServer2xx",
    "42",
    "-7.5",
    "0x1F",
    "1e3",
    "true",
    "null",
    "2024-02-29",
    "日本語 text",
    "a/b/../c.txt",
    "/a//b/./c",
    "A,B,,C",
    " lead",
    "trail ",
    "smile",
    "é",
    "1_000",
    "inf",
    "NaN",
    "ǆ ﬁ ß",
    "mIxEd CaSe",
    "a.b*c",
    "it's",
    "<b>&",
    "50%",
    "$1",
    "{x}",
    "[1]",
    "a:b",
    "\u{a0}\u{85}",
    "\u{2028}",
    "İstanbul",
    "ΑΣ",
    "a\u{301}",
    "0",
    "007",
    "1.50",
    "9007199254740993",
    "1e400",
    "%d %s",
    "`tick`",
    "\u{feff}",
];

/// Texts that no JSON string holds as they are, or that Go quotes otherwise than JSON.
const HOSTILE: &[&str] = &[
    "\"",
    "\\",
    "\",\"injected\":true,\"x\":\"",
    "a\",\"b",
    "\\u0041",
    "\\\"",
    "\u{0}",
    "line\nbreak",
    "\t",
    "\u{1}\u{1f}",
    "{\"a\":1}",
    "[1,2]",
    "\"text\"",
    "\\",
    "\\\\",
    "a\\",
    "'",
    "\u{b}\u{7}",
    "\r\n",
    "{\"other\":1}",
    "1],[2",
    "},{",
    "\"}",
    "null,\"injected\":1",
    "\u{e0001}\u{ad}",
    "</script>",
    "\\ud800",
    "\u{fffd}",
    "{{ .Extra }}",
    "\"\"",
    "a\"b\"c",
    "\\n",
    "\u{7f}",
    "😀",
];

/// A session as JSON.
pub(super) fn generate(random: &mut Random, is_hostile: bool) -> String {
    let mut writer = Writer { random, is_hostile };
    let (a, b, word) = (writer.text(), writer.text(), writer.text());
    let mut extra =
        format!("\"a\":{a},\"b\":{b},\"word\":{word},\"empty\":\"\",\"nil\":null,\"zero\":0,\"yes\":true,\"no\":false");
    for name in ["name", "uni", "path", "csv"] {
        let text = writer.text();
        extra.push_str(&format!(",\"{name}\":{text}"));
    }
    let texts = writer.list(3);
    let one = writer.text();
    let (item, key, value) = (writer.text(), writer.text(), writer.text());
    let float = writer.pick(&["1.5", "-0.25", "2.5", "1e-7", "123456.789", "0.1", "1e21", "3", "1e6", "-0.0"]);
    let big = writer.pick(&["1700000000", "9007199254740993", "1e300", "4294967296", "-1e19", "1e18"]);
    let nums = writer.pick(&["[3,1,2]", "[1]", "[0.5,-1]", "[10,9,8,7]"]);
    let num = writer.pick(&[
        "42",
        "-7",
        "3.99",
        "0x1F",
        "1e3",
        "abc",
        "",
        "010",
        "1_000",
        "9223372036854775808",
        ".5",
        "+5",
        " 1",
    ]);
    let date = writer.pick(&[
        "2024-02-29T12:34:56Z",
        "2026-01-15T09:12:33.104Z",
        "1999-12-31T23:59:59+05:30",
        "0001-01-01T00:00:00Z",
        "no date",
        "1970-10-02T11:44:40.123456789-11:00",
        "9999-12-31T23:59:59Z",
    ]);
    let day = writer.pick(&["2024-02-29", "1999-01-01", "2026-12-31", "24-1-1", "2023-02-29"]);
    let ms = writer.pick(&["1709210096123", "1709210096", "0", "-1", "253402300800"]);
    let version =
        writer.pick(&["1.2.3", "v1.2", "2.0.0-rc.1", "1.0.0+b1", "0.0.1", "8.0.0-b", "x", "1.2.3-alpha.10", "10.0"]);
    let url = writer.pick(&[
        "https://ann:pw@example.com:8443/a/b?x=1&y=2#f",
        "/rel/path?q",
        "mailto:a@b",
        "//host/p",
        "http://[::1]:80/",
        "https://h?a=%20",
        "http://h/%zz",
        "x://u@h",
        "https://:@h/",
    ]);
    let json = if is_hostile {
        writer.pick(&[
            "{\"a\":[1,null,\"x\"]}",
            "[1,2,{\"k\":true}]",
            "\"s\"",
            "{\"a\":1,\"b\":1e400,\"c\":2}",
            "{\"a\":1",
            "[\"b\",\"a\"]",
            "{\"k\":\"<&>\",\"u\":\"\\u00e9\\ud83d\"}",
        ])
    } else {
        writer.pick(&["[1,null,[true]]", "12.50", "nope", " {} ", "[1e400,2]", "1e400", "null", "[", "[1] 2"])
    };
    let b64 = match is_hostile {
        true => writer.pick(&["YSJi", "IiwiYSI6MQ==", "XA=="]),
        false => writer.pick(&["aGk=", "xxx", "w6k=", "NBUQ====", "4pyT", "4pw="]),
    };
    let duration = writer.pick(&["1h30m", "-15m", "100ms", "1.5h", "24h", "bad", "0", "1d"]);
    let spaces = writer.pick(&["a  b", " a b ", "one two three", "\u{a0}x\u{a0}", "a-b_c d"]);
    for (name, text) in [
        ("num", num),
        ("date", date),
        ("day", day),
        ("version", version),
        ("url", url),
        ("json", json),
        ("b64", b64),
        ("duration", duration),
        ("spaces", spaces),
    ] {
        let mut written = String::new();
        write_string(text, &mut written);
        extra.push_str(&format!(",\"{name}\":{written}"));
    }
    let n = writer.pick(&["7", "0", "-3", "65", "1000000", "2"]);
    extra.push_str(&format!(
        r#","texts":{texts},"one":[{one}],"none":[],"nums":{nums},"nothing":{{}},"n":{n},"f":{float},"big":{big}"#
    ));
    extra.push_str(&format!(r#","neg":-12,"ms":{ms},"mixed":[1,{item},null,true,[2],{{"k":1.5}}]"#));
    extra.push_str(&format!(r#","nested":[[1],[{item}],[]],"objects":[{{"id":1,"t":{item}}},{{"id":2,"t":"u"}}]"#));
    extra.push_str(&format!(r#","map":{{"b":2,"a":{{"c":{value}}},"t":{item}}}"#));
    extra.push_str(&format!(r#","deep":{{"x":{{"y":{value},"z":null}},"l":[{item}]}}"#));
    if writer.random.below(3) == 0 && key.len() > 2 {
        extra.push_str(&format!(",\"odd\":{{{key}:{value}}}"));
    } else {
        extra.push_str(",\"odd\":{\"x-y\":1}");
    }
    let (subject, group, role, tenant, path) =
        (writer.text(), writer.text(), writer.text(), writer.text(), writer.text());
    let query = writer.pick(&[
        "q=1&q=2&e=%20",
        "",
        "a=b;c=d",
        "q=%zz&r=+x",
        if is_hostile { "q=a%22b" } else { "q=a%2Fb" },
        "q",
    ]);
    let mut query_json = String::new();
    write_string(query, &mut query_json);
    let (user, raw_path) = (writer.pick(&["null", "{}"]), writer.pick(&["", "/a%2Fb", "bad%"]));
    let host = writer.pick(&["example.com", "example.com:8443", "", "[::1]:80"]);
    let scheme = writer.pick(&["https", "http", ""]);
    let url = if writer.random.below(6) == 0 {
        "null".to_owned()
    } else {
        let start = format!(r#""Scheme":"{scheme}","Opaque":"","User":{user},"Host":"{host}","Path":{path}"#);
        let end = format!(r#""RawQuery":{query_json},"Fragment":"","RawFragment":"""#);
        format!(r#"{{{start},"RawPath":"{raw_path}","OmitHost":false,"ForceQuery":false,{end}}}"#)
    };
    let header = format!(r#"{{"X-Role":[{role},"b"],"Empty":[]}}"#);
    let matched = format!(r#""regexp_capture_groups":[{group},"two"],"header":{{"X-Tenant":[{tenant}]}}"#);
    let context = format!(r#"{{{matched},"url":{url},"method":"GET"}}"#);
    format!(r#"{{"subject":{subject},"extra":{{{extra}}},"header":{header},"match_context":{context}}}"#)
}

struct Writer<'r> {
    random: &'r mut Random,
    is_hostile: bool,
}

impl Writer<'_> {
    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        self.random.pick(texts)
    }

    /// A text as JSON.
    fn text(&mut self) -> String {
        let mut text = self.random.pick(BENIGN).to_owned();
        if self.is_hostile && self.random.below(3) > 0 {
            let hostile = self.random.pick(HOSTILE);
            text = match self.random.below(4) {
                0 => format!("{text}{hostile}"),
                1 => format!("{hostile}{text}"),
                _ => hostile.to_owned(),
            };
        }
        let mut written = String::new();
        write_string(&text, &mut written);
        written
    }

    fn list(&mut self, most: usize) -> String {
        let items: Vec<_> = (0..1 + self.random.below(most)).map(|_| self.text()).collect();
        format!("[{}]", items.join(","))
    }
}
