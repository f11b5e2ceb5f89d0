//! Expressions: what Go's functions make of values, and how the same is written in Handlebars.

use crate::json::{Json, ReadLimits, write_string};

/// An expression, by what Go's one makes of its value.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// A path.
    Path(String),
    /// A helper with its arguments.
    Call(String),
    /// A condition, which only a test can use: Go's `and` and `or` give one of their values.
    Test(String),
    /// A JSON literal.
    Literal(String),
    /// The text of a value.
    Print(Box<Form>),
    /// The JSON text of a value.
    Encoded(Box<Form>),
    /// A value, or the second one where it does not hold.
    Default(Box<Form>, Box<Form>),
    Dict(Vec<(String, Form)>),
    List(Vec<Form>),
    /// Text with values in it.
    Format(Vec<Form>),
}

/// Why an expression has no counterpart.
pub(super) type Reason = String;

pub(super) fn path(names: Vec<String>) -> Result<String, Reason> {
    let mut path = String::new();
    for name in names {
        if !path.is_empty() {
            path.push('.');
        }
        let is_plain = name == "@root"
            || !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match (is_plain, name.contains(['[', ']', '\\', '\n'])) {
            (true, _) => path.push_str(&name),
            (false, false) => path.push_str(&format!("[{name}]")),
            (false, true) => return Err("a member name with brackets".to_owned()),
        }
    }
    Ok(path)
}

pub(super) fn canonical(header: &str) -> String {
    let part = |part: &str| {
        let mut characters = part.chars();
        let first = characters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(characters.map(|rest| rest.to_ascii_lowercase())).collect::<String>()
    };
    header.split('-').map(part).collect::<Vec<_>>().join("-")
}

pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    write_string(text, &mut quoted);
    quoted
}

/// A form as an argument.
pub(super) fn argument(form: &Form) -> Result<String, Reason> {
    match form {
        Form::Path(text) | Form::Literal(text) => Ok(text.clone()),
        Form::Call(text) | Form::Test(text) => Ok(format!("({text})")),
        Form::Print(inner) => argument(inner),
        Form::Encoded(_) => Err("JSON text that is worked on further has no counterpart".to_owned()),
        Form::Default(..) => {
            Err("`default` and `coalesce` inside an expression: Go's pass over empty text, 0 and false, \
                                  ours over null alone"
                .to_owned())
        }
        Form::Dict(_) | Form::List(_) => Err("a map or list that is worked on further has no counterpart".to_owned()),
        Form::Format(_) => Err("formatted text that is worked on further has no counterpart".to_owned()),
    }
}

/// What writes a form where a value stands.
pub(super) fn at_value(form: &Form) -> Result<String, Reason> {
    match form {
        Form::Path(text) | Form::Call(text) => Ok(format!("{{{{{text}}}}}")),
        Form::Test(_) => Err("`and` and `or` give one of their values in Go, a boolean here".to_owned()),
        Form::Literal(text) => Ok(text.clone()),
        Form::Print(inner) => at_value(inner),
        Form::Encoded(inner) => match &**inner {
            Form::Print(_) | Form::Format(_) => Ok(format!("\"{}\"", in_string(inner)?)),
            inner => at_value(inner),
        },
        Form::Default(value, fallback) => {
            let condition = argument(value)?;
            Ok(format!("{{{{#if {condition}}}}}{}{{{{else}}}}{}{{{{/if}}}}", at_value(value)?, at_value(fallback)?))
        }
        Form::Dict(members) => {
            let members = members
                .iter()
                .map(|(name, value)| Ok(format!("{}: {}", quoted(name), at_value(value)?)))
                .collect::<Result<Vec<_>, Reason>>()?;
            Ok(format!("{{ {} }}", members.join(", ")))
        }
        Form::List(items) => {
            let items = items.iter().map(at_value).collect::<Result<Vec<_>, _>>()?;
            Ok(format!("[{}]", items.join(", ")))
        }
        Form::Format(_) => Err("formatted text without quotes".to_owned()),
    }
}

/// What writes a form inside a string.
pub(super) fn in_string(form: &Form) -> Result<String, Reason> {
    match form {
        Form::Path(text) | Form::Call(text) => Ok(format!("{{{{{text}}}}}")),
        Form::Literal(text) => match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inside) if inside.contains("{{") || inside.ends_with('\\') => Err("two braces in text".to_owned()),
            Some(inside) => Ok(inside.to_owned()),
            None => Ok(text.clone()),
        },
        Form::Print(inner) => in_string(inner),
        Form::Default(value, fallback) => {
            let condition = argument(value)?;
            Ok(format!("{{{{#if {condition}}}}}{}{{{{else}}}}{}{{{{/if}}}}", in_string(value)?, in_string(fallback)?))
        }
        Form::Format(pieces) => pieces.iter().map(in_string).collect(),
        Form::Encoded(_) => Err("JSON inside quotes has no counterpart; take the quotes away".to_owned()),
        Form::Test(_) | Form::Dict(_) | Form::List(_) => Err("no text inside quotes".to_owned()),
    }
}

/// What a function makes of its arguments, of which a piped one is the last.
pub(super) fn call(name: &str, arguments: Vec<Form>) -> Result<Form, Reason> {
    let count = arguments.len();
    let texts = || arguments.iter().map(argument).collect::<Result<Vec<_>, _>>();
    // Handlebars names the value first, sprig last.
    let value_first = |helper: &str| -> Result<Form, Reason> {
        let mut texts = texts()?;
        if let Some(value) = texts.pop() {
            texts.insert(0, value);
        }
        Ok(Form::Call(format!("{helper} {}", texts.join(" "))))
    };
    let as_written =
        |helper: &str| -> Result<Form, Reason> { Ok(Form::Call(format!("{helper} {}", texts()?.join(" ")))) };
    match (name, arguments.as_slice()) {
        ("print", [value]) => Ok(Form::Print(Box::new(value.clone()))),
        ("toJson" | "mustToJson" | "toRawJson" | "mustToRawJson" | "toPrettyJson", [value]) => {
            Ok(Form::Encoded(Box::new(value.clone())))
        }
        ("quote", [value]) => Ok(Form::Encoded(Box::new(Form::Print(Box::new(value.clone()))))),
        ("printIndex" | "index", [Form::Path(list), keys @ ..]) if keys.iter().all(is_literal) && !keys.is_empty() => {
            let names = keys.iter().filter_map(literal_text).collect();
            let indexed = Form::Path(format!("{list}.{}", path(names)?));
            Ok(if name == "printIndex" { Form::Print(Box::new(indexed)) } else { indexed })
        }
        ("index" | "get", [_, _, ..]) => as_written("index"),
        ("dig", [keys @ .., fallback, Form::Path(map)]) if keys.iter().all(is_literal) => {
            let names = keys.iter().filter_map(literal_text).collect();
            Ok(Form::Call(format!("default {map}.{} {}", path(names)?, argument(fallback)?)))
        }
        ("default", [fallback, value]) => Ok(Form::Default(Box::new(value.clone()), Box::new(fallback.clone()))),
        ("coalesce", [first, rest @ ..]) if !rest.is_empty() => {
            Ok(Form::Default(Box::new(first.clone()), Box::new(call("coalesce", rest.to_vec())?)))
        }
        ("coalesce", [only]) => Ok(only.clone()),
        ("eq", [_, _]) | ("ne" | "lt" | "le" | "gt" | "ge", [_, _]) => as_written(name),
        ("eq", [value, others @ ..]) if others.len() > 1 => {
            let value = argument(value)?;
            let tests = others
                .iter()
                .map(|other| Ok(format!("(eq {value} {})", argument(other)?)))
                .collect::<Result<Vec<_>, Reason>>()?;
            Ok(Form::Call(format!("or {}", tests.join(" "))))
        }
        ("fail", [Form::Literal(_)]) => as_written("fail"),
        ("not", [_]) => as_written("not"),
        ("and" | "or", [_, ..]) => Ok(Form::Test(format!("{name} {}", texts()?.join(" ")))),
        ("empty", [value]) => Ok(Form::Call(format!("not {}", argument(value)?))),
        ("len" | "upper" | "lower" | "trim" | "first" | "last" | "keys" | "values", [_]) => as_written(name),
        ("uniq", [_]) => as_written("unique"),
        ("sortAlpha", [_]) => as_written("sort"),
        ("sha256sum", [_]) => as_written("sha256"),
        ("toString", [_]) => as_written("string"),
        ("pick" | "omit", [_, _, ..]) => as_written(name),
        ("hasKey", [_, _]) => as_written("contains"),
        ("replace", [_, _, _]) | ("trimPrefix" | "trimSuffix" | "hasPrefix" | "hasSuffix" | "contains", [_, _]) => {
            value_first(name)
        }
        ("has", [_, _]) => value_first("contains"),
        ("join", [_, _]) => value_first("join"),
        ("splitList", [_, _]) => value_first("split"),
        ("regexMatch" | "mustRegexMatch", [_, _]) => value_first("regexMatch"),
        ("dict", pairs) if count.is_multiple_of(2) => pairs
            .chunks(2)
            .map(|pair| match pair {
                [name, value] => match literal_text(name) {
                    Some(name) => Ok((name, value.clone())),
                    None => Err("a map whose names are values".to_owned()),
                },
                _ => Err("a map without a value".to_owned()),
            })
            .collect::<Result<_, _>>()
            .map(Form::Dict),
        ("list" | "tuple", items) => Ok(Form::List(items.to_vec())),
        ("printf", [Form::Literal(format), values @ ..]) => formatted(format, values),
        _ => Err(format!("`{name}` has no counterpart, or not with these arguments")),
    }
}

fn is_literal(form: &Form) -> bool {
    literal_text(form).is_some()
}

/// The text of a string literal, or of a whole number that can be an index.
fn literal_text(form: &Form) -> Option<String> {
    match form {
        Form::Literal(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(text.clone()),
        Form::Literal(text) if text.starts_with('"') => {
            Json::parse(text.as_bytes(), ReadLimits::default()).ok()?.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// `printf` with plain verbs for text.
fn formatted(format: &str, values: &[Form]) -> Result<Form, Reason> {
    let unsupported = || "`printf` with more than %s and %v has no counterpart".to_owned();
    let format = literal_text(&Form::Literal(format.to_owned())).ok_or_else(unsupported)?;
    let mut pieces = Vec::new();
    let mut values = values.iter();
    for (index, part) in format.split('%').enumerate() {
        let rest = if index == 0 {
            part
        } else {
            let rest = part.strip_prefix(['s', 'v']).ok_or_else(unsupported)?;
            pieces.push(values.next().cloned().ok_or_else(unsupported)?);
            rest
        };
        if !rest.is_empty() {
            pieces.push(Form::Literal(quoted(rest)));
        }
    }
    match values.next() {
        None => Ok(Form::Format(pieces)),
        Some(_) => Err(unsupported()),
    }
}
