//! Sessions with the largest configurable depth get a response and never overflow the stack.

use crate::support::{Setup, spawn_app};

/// The largest `limits.depth`.
const DEEPEST: usize = 512;

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!("{{\"subject\":\"u\",\"extra\":{{\"n\":{}1{}}}}}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn deepest_session_is_copied_into_claims() {
    for template in ["{\"s\": {{Extra}}}", "{\"s\": {{toJson Extra}}}", "{{Extra}}"] {
        let app = spawn_app(&Setup { template, config: "limits: { depth: 512 }", ..Setup::default() });
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let answer = app.hydrate(&nested(open, close, DEEPEST - 2));
            assert_eq!(answer.status, 200, "{template} {open}: {}", answer.text());
            let (status, problem) = app.refusal(&nested(open, close, DEEPEST + 1));
            assert_eq!((status, &problem["type"]), (400, &"session.depth".into()));
        }
    }
}

#[test]
fn deepest_session_passes_each_recursive_helper() {
    let template = r#"{"eq": {{eq Extra.n Extra.n}}, "merge": {{merge Extra Extra}}, "first": {{first (values Extra)}},
        "unique": {{unique (values Extra)}}, "in": {{contains (values Extra) Extra.n}}, "pick": {{pick Extra "n"}}}"#;
    let app = spawn_app(&Setup {
        template,
        config: "limits: { depth: 512, claims: 1MiB, template_work: 1000000 }",
        ..Setup::default()
    });
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let answer = app.hydrate(&nested(open, close, DEEPEST - 3));
        assert_eq!(answer.status, 200, "{open}: {}", answer.text());
    }
}

#[test]
fn megabyte_of_brackets_is_rejected() {
    let app = spawn_app(&Setup::default());
    for open in ["[", "{\"a\":"] {
        let body = format!("{{\"subject\":\"u\",\"extra\":{}", open.repeat(900_000 / open.len()));
        let (status, problem) = app.refusal(&body);
        assert_eq!(status, 400, "{problem}");
    }
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 200);
}
