//! What the targets share: the sessions that every template is tried on, and what must hold of rendered claims.
use claimsmith::json::{Json, JsonFault, ReadLimits};
use claimsmith::session::Session;
use claimsmith::templates::{
    ClaimTemplate, CompileOptions, Missing, Partial, RenderInput, RenderLimits, Syntax, TemplateText,
};
use claimsmith::time::Timestamp;

/// Small enough that one input takes milliseconds, large enough that each limit can still be reached on purpose.
pub const LIMITS: RenderLimits = RenderLimits { output_bytes: 16 * 1024, depth: 100, work: 20_000 };

/// Whatever renders within [`LIMITS`] renders the same within these.
const WIDE_LIMITS: RenderLimits = RenderLimits { output_bytes: 64 * 1024, depth: 224, work: 100_000 };

/// The only time that templates see.
pub const NOW: Timestamp = Timestamp::from_seconds(1_768_554_753);

/// Stands in values of the sessions; no message may repeat it.
pub const CANARY: &str = "c4n4ry";

/// Sessions that try to break out of their place. They share member names, which the dictionaries know.
pub const SESSIONS: [&str; 5] = [
    r#"{"subject":"c4n4ry\",\"admin\":true,\"z\":\"","header":{"X-A":["c4n4ry\"","}{"],"x-b":[]},"extra":{
        "x":"\",\"admin\":true,\"x\":\"","y":"c4n4ry\\","z":"\n\r\t\u0000\u001f\u007f\u2028\u2029é😀","n":7,"f":1.5,
        "big":12345678901234567890123,"e":1e308,"t":true,"no":false,"nil":null,"empty":"","l":["b\"","a\\","c4n4ry",""],
        "nums":[3,1,-0,2.50,1e21],"m":{"b":2,"a":{"c":"d"},"\"}":"k","":[]},"j":"{\"a\":[1,{\"b\":\"c4n4ry\"}]}",
        "d":"2024-02-29T12:34:56Z","u":"https://c4n4ry:p@h:1/a%20b?q=1&q=%zz#f","v":"1.2.3-c4n4ry",
        "objects":[{"k":"a","v":1},{"k":"\"","v":null},{"v":[]}]},
      "match_context":{"regexp_capture_groups":["one\"","c4n4ry"],"method":"GET","header":{"X-Tenant":["c4n4ry"]},
        "url":{"Scheme":"https","Opaque":"","User":{},"Host":"h:1","Path":"/a b/\"c","RawPath":"","OmitHost":false,
          "ForceQuery":true,"RawQuery":"q=1&q=%zz;&\"","Fragment":"\"","RawFragment":""}}}"#,
    // Every member is of another type than above.
    r#"{"subject":"","header":null,"extra":{"x":{"toString":"c4n4ry"},"y":[["\""]],"z":-0.0,"n":"7","f":"NaN",
        "big":"9223372036854775808","e":[],"t":"false","no":0,"nil":{},"empty":" ","l":{"0":"a","\"":"b"},"nums":"1,2",
        "m":["\\","\u2028"],"j":"[\"","d":-62135596801,"u":"%zz://[::1","v":7,"objects":{"k":{"k":{"k":"c4n4ry"}}}},
      "match_context":{"url":"https://h/\"","method":null,"regexp_capture_groups":null,"header":null}}"#,
    r#"{"subject":"s","extra":null}"#,
    r#"{"subject":"\ud83d\ude00","extra":{"x":1e-400,"y":-9223372036854775808,"z":18446744073709551616,"n":-1,"f":0.1,
        "big":1e22,"e":123456789012345678901234567890e-10,"t":null,"l":[null,null],"nums":[1e300,1e300,-1e300],"m":{},
        "j":"null","d":253402300800,"u":"","v":"999999999999999999999.0.0","objects":[null,[],{},"c4n4ry"]},
      "match_context":{"url":null},"header":{"":[""],"A\"B":["c4n4ry"]}}"#,
    r#"{"subject":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!","extra":{
        "x":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],
        "y":"ŻÓŁĆ ſtraße ǅ ﷺ e\u0301","z":"${1}$0\\1(?i)[a-z]*","l":[1,"1",1.0,[1],{"k":1}],"j":"{\"a\":1,\"a\":2}",
        "n":1700000000,"d":"2024-01-01T00:00:60+23:59","m":{"k":{"k":{"k":null}}},"f":"%s%d%v%!","v":"v1.x","t":[]}}"#,
];

/// Compiles `text` as it stands in a file.
pub fn compile(syntax: Syntax, text: &str, partials: &[Partial], missing: Missing) -> Option<ClaimTemplate> {
    let source = TemplateText { name: "t".to_owned(), text: text.to_owned() };
    let options = CompileOptions { missing, audience_configured: false };
    match ClaimTemplate::compile(syntax, &source, partials, options) {
        Ok(template) => Some(template),
        Err(error) => {
            assert!(!error.faults().is_empty(), "an error without a fault");
            // Writing the message works out places in the text, which must not fail either.
            assert!(!error.to_string().is_empty(), "an error without a message");
            None
        }
    }
}

/// The claims, where there are any. Rendering again, with wider limits, must say the same, and a refusal must not quote
/// the session.
pub fn render(template: &ClaimTemplate, text: &str, session: &Session<'_>) -> Option<String> {
    let values = session.values();
    let input = RenderInput::new(session, &values, "id_token", NOW);
    match template.render(&input, &LIMITS) {
        Ok(claims) => {
            let again = template.render(&input, &WIDE_LIMITS);
            assert_eq!(again.as_ref(), Ok(&claims), "the same input gave something else");
            Some(claims)
        }
        Err(error) => {
            let message = error.to_string();
            assert!(text.contains(CANARY) || !message.contains(CANARY), "the message quotes the session: {message}");
            None
        }
    }
}

/// Tries `template` on every session: what comes out is one JSON object, for claimsmith's reader and for serde_json.
pub fn render_over_hostile_sessions(
    template: &ClaimTemplate,
    text: &str,
    names: Names,
) -> [Option<String>; SESSIONS.len()] {
    thread_local! {
        static READ: [Session<'static>; SESSIONS.len()] = SESSIONS
            .map(|text| Session::parse(text.as_bytes(), ReadLimits::default()).expect("the sessions are readable"));
    }
    READ.with(|sessions| {
        sessions.each_ref().map(|session| render(template, text, session).inspect(|claims| check_claims(claims, names)))
    })
}

/// Whether member names can come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// An expression may stand in a name, and whoever reads the claims refuses what comes twice.
    MayRepeat,
    /// The engine refuses what comes twice.
    Unique,
}

fn check_claims(claims: &str, names: Names) {
    assert!(claims.len() <= LIMITS.output_bytes, "{} bytes of claims", claims.len());
    let parsed: serde_json::Value = match serde_json::from_str(claims) {
        Ok(value) => value,
        Err(error) => panic!("serde_json refuses the claims: {error}\n{claims}"),
    };
    assert!(parsed.is_object(), "no object: {claims}");
    match Json::parse(claims.as_bytes(), ReadLimits { depth: LIMITS.depth }) {
        Ok(Json::Object(_)) => {}
        Ok(_) => panic!("no object: {claims}"),
        Err(error) => {
            let may_be = names == Names::MayRepeat && error.fault() == JsonFault::DuplicateMember;
            assert!(may_be, "claimsmith refuses the claims: {error}\n{claims}");
        }
    }
}
