//! What holds for random templates and hostile sessions.

use proptest::prelude::*;

use super::{compiled, rendered, with_missing};
use crate::json::{Json, JsonFault, ReadLimits};
use crate::templates::RenderLimits;
use crate::templates::handlebars::Missing;

fn structure(value: &Json<'_>) -> String {
    match value {
        Json::Object(object) => format!(
            "{{{}}}",
            object.iter().map(|(name, value)| format!("{name}:{}", structure(value))).collect::<Vec<_>>().join(",")
        ),
        Json::Array(elements) => format!("[{}]", elements.iter().map(structure).collect::<Vec<_>>().join(",")),
        _ => "v".to_owned(),
    }
}

/// What could end a string, a value or an object.
const HOSTILE: &str = "[\"\\\\{}\\[\\],:\u{0}-\u{1f}a\u{2028}\u{d7ff}😀]{0,40}";

/// What templates are made of, and what could upset a scanner.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "{{", "}}", "{{#if ", "{{/if}}", "{{else}}", "{{#each Extra.l}}", "{{/each}}", "{{else if ", "{{^}}", "{{!--",
    "--}}", "{{!", "{{{", "}}}", "{{~", "~}}", "{{> p}}", "{{#> p}}", "{{&", "{{#let a=1}}", "{{/let}}", "as |x y|",
    "(", ")", "[", "]", "[a b]", "\"", "'", "\\", "\\{{", "\\\\{{", "{", "}", ":", ",", "1", "Extra.x", "this",
    "../", "@index", "@root", ".", "x=", " ", "\n", "\"a\"", "null", "é", "\u{feff}", "upper", "eq", "{{{{", "}}}}",
    "*", "|", "12.", "-", "{{Extra.x}}", "\"a\": ", "{{Subject}}",
];

/// A template of the grammar, with what it must come to.
#[derive(Clone, Debug)]
enum Node {
    Array(Vec<Node>),
    Each(Box<Node>),
    If(bool, Box<Node>, Box<Node>),
    Literal,
    /// Nothing in a session leads here.
    Lost,
    LostText,
    Object(Vec<Node>, Comma),
    Text,
    Value,
}

#[derive(Clone, Copy, Debug)]
enum Comma {
    Inside,
    Outside,
    Nowhere,
}

impl Node {
    fn text(&self) -> String {
        match self {
            Node::Literal => "-1.5e3".to_owned(),
            Node::Lost => "{{@root.Extra.none}}".to_owned(),
            Node::LostText => r#""a{{@root.Extra.h}}{{@root.Extra.none}}b""#.to_owned(),
            Node::Value => "{{@root.Extra.h}}".to_owned(),
            Node::Text => {
                r#""a\"{{@root.Extra.h}}{{#if @root.Extra.yes}}{{@root.Extra.g}}{{else}}x{{/if}}\\""#.to_owned()
            }
            Node::Array(nodes) => format!("[{}]", nodes.iter().map(Node::text).collect::<Vec<_>>().join(", ")),
            Node::Each(node) => format!("[{{{{#each @root.Extra.l}}}}{}{{{{/each}}}}]", node.text()),
            Node::If(holds, then, otherwise) => {
                let test = if *holds { "yes" } else { "no" };
                format!("{{{{#if @root.Extra.{test}}}}}{}{{{{else}}}}{}{{{{/if}}}}", then.text(), otherwise.text())
            }
            Node::Object(nodes, comma) => {
                let members = nodes.iter().enumerate().map(|(index, node)| {
                    let member = format!(r#""m{index}{{{{@root.Extra.g}}}}": {}"#, node.text());
                    let (inside, outside) = match comma {
                        Comma::Inside => (",", ""),
                        Comma::Outside if index + 1 < nodes.len() => ("", ","),
                        _ => ("", ""),
                    };
                    format!(r#"{{{{#if @root.Extra.yes}}}}{member}{inside}{{{{/if}}}}{outside}{{{{#if @root.Extra.no}}}}"x": 1{{{{/if}}}}"#)
                });
                format!("{{ {} }}", members.collect::<String>())
            }
        }
    }

    /// What is left of it, where members and elements that lack something are left out.
    fn structure(&self, guest: &str, length: usize) -> Option<String> {
        Some(match self {
            Node::Literal | Node::Text | Node::Value => "v".to_owned(),
            Node::Lost | Node::LostText => return None,
            Node::Array(nodes) => {
                format!(
                    "[{}]",
                    nodes.iter().filter_map(|node| node.structure(guest, length)).collect::<Vec<_>>().join(",")
                )
            }
            Node::Each(node) => {
                let elements: Vec<String> = (0..length).filter_map(|_| node.structure(guest, length)).collect();
                format!("[{}]", elements.join(","))
            }
            Node::If(true, node, _) | Node::If(false, _, node) => return node.structure(guest, length),
            Node::Object(nodes, _) => {
                let member = |(index, node): (usize, &Node)| {
                    node.structure(guest, length).map(|shape| format!("m{index}{guest}:{shape}"))
                };
                format!("{{{}}}", nodes.iter().enumerate().filter_map(member).collect::<Vec<_>>().join(","))
            }
        })
    }
}

fn nodes() -> impl Strategy<Value = Node> {
    let leaf =
        prop_oneof![Just(Node::Literal), Just(Node::Value), Just(Node::Text), Just(Node::Lost), Just(Node::LostText),];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let comma = prop_oneof![Just(Comma::Inside), Just(Comma::Outside), Just(Comma::Nowhere)];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Node::Array),
            inner.clone().prop_map(|node| Node::Each(Box::new(node))),
            (any::<bool>(), inner.clone(), inner.clone()).prop_map(|(holds, then, other)| Node::If(
                holds,
                Box::new(then),
                Box::new(other)
            )),
            (prop::collection::vec(inner, 0..4), comma).prop_map(|(nodes, comma)| Node::Object(nodes, comma)),
        ]
    })
}

proptest! {
    #[test]
    fn every_template_of_the_grammar_keeps_its_structure(
        node in nodes(),
        hostile in HOSTILE,
        guest in "[\"\\\\{}:,]{0,6}",
        length in 0..4_usize,
    ) {
        let text = format!(r#"{{"top": {}}}"#, node.text());
        let mut session = String::from("{\"h\":");
        crate::json::write_string(&hostile, &mut session);
        session.push_str(",\"g\":");
        crate::json::write_string(&guest, &mut session);
        session.push_str(&format!(",\"yes\":true,\"no\":false,\"l\":[{}]}}", vec!["0"; length].join(",")));
        let template = compiled(&text, &[], Missing::Omit).unwrap_or_else(|error| panic!("{text}\n{error}"));
        let limits = RenderLimits { output_bytes: 1 << 20, work: 1 << 30, depth: 128 };
        let claims = rendered(&template, &session, &limits).unwrap();
        let read = Json::parse(claims.as_bytes(), ReadLimits::default()).unwrap();
        let top = node.structure(&guest, length).map(|shape| format!("top:{shape}")).unwrap_or_default();
        prop_assert_eq!(structure(&read), format!("{{{top}}}"));
    }

    #[test]
    fn the_structure_is_the_templates(
        value in any::<String>(),
        other in HOSTILE,
        number in any::<f64>(),
        truth in any::<bool>(),
    ) {
        let text = r#"{
            "a": {{Extra.v}}, "b": "x{{Extra.o}}y{{Extra.v}}",
            "c": [{{Extra.o}}, "{{Extra.n}}", {{#if Extra.t}}{{Extra.n}}{{else}}"{{Extra.v}}"{{/if}}],
            "d": {"e": {{upper Extra.v}}, "f": "{{replace Extra.v "a" Extra.o}}"}
        }"#;
        let mut extra = String::from("{\"v\":");
        crate::json::write_string(&value, &mut extra);
        extra.push_str(",\"o\":");
        crate::json::write_string(&other, &mut extra);
        extra.push_str(&format!(",\"n\":{},\"t\":{truth}}}", if number.is_finite() { number } else { 0.0 }));
        let claims = with_missing(text, &extra, Missing::Error).unwrap();
        let read = Json::parse(claims.as_bytes(), ReadLimits::default()).unwrap();
        prop_assert_eq!(structure(&read), "{a:v,b:v,c:[v,v,v],d:{e:v,f:v}}");
        prop_assert_eq!(read.member("a").unwrap().as_str(), Some(value.as_str()));
        let whole = format!("x{other}y{value}");
        prop_assert_eq!(read.member("b").unwrap().as_str(), Some(whole.as_str()));
        prop_assert_eq!(read.to_string(), claims);
    }

    #[test]
    fn compiling_never_panics(text in "\\PC{0,60}") {
        let _ = compiled(&text, &[], Missing::Error);
    }

    #[test]
    fn compiling_template_like_text_never_panics(parts in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        let text = parts.concat();
        let template = compiled(&text, &[("p", "{{Subject}}")], Missing::Omit);
        let extra = r#"{"x": [1], "l": [1, "\"", {"a": null}]}"#;
        if let Ok(Ok(claims)) = template.map(|template| rendered(&template, extra, &RenderLimits::default())) {
            let read = Json::parse(claims.as_bytes(), ReadLimits::default());
            prop_assert!(matches!(read, Ok(Json::Object(_)) | Err(_)), "{} gave {}", text, claims);
            // A name that an expression makes may come twice: that is the only fault left to the reader.
            if let Err(error) = read {
                prop_assert_eq!(error.fault(), JsonFault::DuplicateMember, "{} gave {}", text, claims);
            }
        }
    }
}
