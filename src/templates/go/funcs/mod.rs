//! The functions that a Go template may call, each with the types of its arguments, as Go checks them.

mod builtin;
mod casing;
mod conversions;
mod costs;
mod dates;
mod decimal;
mod dicts;
mod encoding;
mod json;
mod lists;
mod logic;
mod numbers;
mod paths;
mod regex_syntax;
mod regexes;
mod search;
mod strings;
mod wording;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::LazyLock;

use super::context::{Context, Problem};
use super::text::Text;
use super::value::{List, Map, Value};

pub(super) use costs::cost;
pub(super) use dicts::copied;
pub(super) use paths::clean as clean_path;
pub(super) use regexes::Expression;

/// The type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// `interface{}`
    Any,
    Bool,
    Duration,
    Float,
    Int,
    /// `map[string]interface{}`
    Map,
    /// `reflect.Value`: anything, as the builtins take it.
    Reflect,
    String,
    Time,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Type::Any | Type::Reflect => "any value",
            Type::Bool => "bool",
            Type::Duration => "time.Duration",
            Type::Float => "float64",
            Type::Int => "int",
            Type::Map => "map[string]interface {}",
            Type::String => "string",
            Type::Time => "time.Time",
        }
    }
}

pub(super) type Called = Result<Value, Problem>;
type Call = fn(&mut Context<'_>, &[Value]) -> Called;

/// A function or a method.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) parameters: &'static [Type],
    /// The type of any further arguments.
    pub(super) variadic: Option<Type>,
    /// Gets arguments of the types above.
    pub(super) call: Call,
}

impl Function {
    /// Checks that it can be called with `count` arguments.
    ///
    /// # Errors
    /// Returns what was expected and found.
    pub(super) fn check_count(&self, count: usize) -> Result<(), String> {
        let expected = self.parameters.len().max(usize::from(short_circuit(self).is_some()));
        if count >= expected && (count == expected || self.variadic.is_some()) {
            return Ok(());
        }
        let bound = if self.variadic.is_some() { "at least " } else { "" };
        let plural = if expected == 1 { "" } else { "s" };
        Err(format!("expected {bound}{expected} argument{plural} for {}, found {count}", self.name))
    }
}

/// A method; its receiver comes before its parameters.
pub(super) const fn method(name: &'static str, parameters: &'static [Type], call: Call) -> Function {
    Function { name, parameters, variadic: None, call }
}

const fn function(name: &'static str, parameters: &'static [Type], call: Call) -> Function {
    Function { name, parameters, variadic: None, call }
}

const fn variadic(name: &'static str, parameters: &'static [Type], rest: Type, call: Call) -> Function {
    Function { name, parameters, variadic: Some(rest), call }
}

/// Stands in for a function that does not exist while the rest of a template is read.
pub(super) static PLACEHOLDER: Function = variadic("", &[], Type::Any, |_, _| Ok(Value::Invalid));

static FUNCTIONS: LazyLock<HashMap<&'static str, &'static Function>> = LazyLock::new(|| {
    [
        builtin::FUNCTIONS,
        conversions::FUNCTIONS,
        dates::FUNCTIONS,
        dicts::FUNCTIONS,
        encoding::FUNCTIONS,
        json::FUNCTIONS,
        lists::FUNCTIONS,
        logic::FUNCTIONS,
        numbers::FUNCTIONS,
        paths::FUNCTIONS,
        regexes::FUNCTIONS,
        strings::FUNCTIONS,
        wording::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .map(|function| (function.name, function))
    .collect()
});

/// The function `name`.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.get(name).copied()
}

/// Whether what `function` gives depends on the time of the rendering: those on dates take it where they are given none.
pub(super) fn reads_clock(function: &Function) -> bool {
    dates::FUNCTIONS.iter().any(|known| known.name == function.name)
}

/// The names of all functions.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    FUNCTIONS.keys().copied().collect()
}

/// For `and` and `or`: the truth at which they stop looking at arguments.
pub(super) fn short_circuit(function: &Function) -> Option<bool> {
    match function.name {
        "and" => Some(false),
        "or" => Some(true),
        _ => None,
    }
}

/// Why a function of sprig is refused, and what to do instead.
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) instead: &'static str,
}

/// Whether `name` is a function that sprig has and that is refused here.
pub(super) fn refusal(name: &str) -> Option<Refusal> {
    let (reason, instead) = match name {
        "env" | "expandenv" => (
            "it reads the environment of the server, which may hold secrets",
            "write the value into the template, or put it into the session",
        ),
        "getHostByName" => ("it asks the network while a token is made", "write the address into the template"),
        "bcrypt" | "htpasswd" | "derivePassword" => {
            ("it makes passwords or hashes them slowly, which no claim needs", "use sha256sum for a stable identifier")
        }
        "encryptAES" | "decryptAES" => {
            ("it needs a secret in the template and random bytes", "leave secrets out of claims")
        }
        "genPrivateKey"
        | "genCA"
        | "genCAWithKey"
        | "genSelfSignedCert"
        | "genSelfSignedCertWithKey"
        | "genSignedCert"
        | "genSignedCertWithKey"
        | "buildCustomCert" => {
            ("it makes keys or certificates, which is slow and gives each token another value", "leave it out")
        }
        "randAlpha" | "randAlphaNum" | "randAscii" | "randBytes" | "randNumeric" | "randInt" | "shuffle" | "uuidv4" => {
            ("it is random, and the same session must give the same claims", "use the claim jti, which is random")
        }
        _ => return None,
    };
    Some(Refusal { reason, instead })
}

/// The text at `index`, empty where there is none.
fn text(values: &[Value], index: usize) -> Rc<Text> {
    match values.get(index) {
        Some(Value::String(text)) => Rc::clone(text),
        _ => Rc::default(),
    }
}

fn int(values: &[Value], index: usize) -> i64 {
    match values.get(index) {
        Some(Value::Int(_, number)) => *number,
        _ => 0,
    }
}

fn value(values: &[Value], index: usize) -> Value {
    values.get(index).cloned().unwrap_or(Value::Invalid)
}

fn map(values: &[Value], index: usize) -> Result<Rc<Map>, Problem> {
    match values.get(index) {
        Some(Value::Map(map)) => Ok(Rc::clone(map)),
        other => {
            let found = other.map_or("nothing", Value::type_name);
            Err(Problem::wrong_type(format!("expected a map, found {found}")))
        }
    }
}

fn list(values: &[Value], index: usize) -> Result<Rc<List>, Problem> {
    match values.get(index) {
        Some(Value::List(list)) => Ok(Rc::clone(list)),
        other => {
            let found = other.map_or("nothing", Value::type_name);
            Err(Problem::wrong_type(format!("expected a list, found {found}")))
        }
    }
}
