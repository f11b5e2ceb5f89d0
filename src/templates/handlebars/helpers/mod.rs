//! The helpers: one table that says name, arguments, what each does and an example, which the reference is made from.
//!
//! A helper that lacks an argument (missing, or null where a text, number, array or object is needed) gives nothing
//! itself, and the place where the result stands decides what follows: so `{{default (upper Extra.nick) "-"}}` and
//! `{{#if (contains Extra.roles "admin")}}` need no guard. A value of a wrong type is an error.

mod collections;
mod convert;
mod logic;
mod table;
mod texts;

pub(super) use table::{find, is_near, suggest};
pub(super) use texts::Pattern;

use super::render::{Meter, Stop};
use super::value::{Elements, Members, Shape, Value};
use crate::code::ErrorCode;
use crate::json::Number;
use crate::templates::RenderError;

/// One helper.
pub(super) struct Helper {
    pub(super) name: &'static str,
    /// Its arguments as the reference writes them.
    arguments: &'static str,
    pub(super) least: usize,
    /// `usize::MAX` for any number.
    pub(super) most: usize,
    summary: &'static str,
    /// The template, `extra` of the session, the claims.
    example: (&'static str, &'static str, &'static str),
    pub(super) body: Body,
}

impl std::fmt::Debug for Helper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Helper").field(&self.name).finish()
    }
}

impl Helper {
    /// As the reference and errors write it: `upper text`.
    pub(super) fn signature(&self) -> String {
        format!("{} {}", self.name, self.arguments)
    }
}

type Function = for<'r> fn(&mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop>;

/// How a helper works.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// On the values of all its arguments.
    Eager(Function),
    /// On one argument after the other, as far as needed.
    Lazy(Lazy),
}

/// The helpers that stop early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lazy {
    And,
    Coalesce,
    Default,
    Or,
    Required,
}

/// What the reference says about a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelperDoc {
    /// Its name.
    pub name: &'static str,
    /// Its arguments; `[…]` may be left out, `…` may come again.
    pub arguments: &'static str,
    /// What it does, in one or two sentences.
    pub summary: &'static str,
    /// A whole template that uses it.
    pub template: &'static str,
    /// `extra` of the session that the example runs on.
    pub extra: &'static str,
    /// The claims that come out.
    pub claims: &'static str,
}

/// Every helper with an example that a test runs, in the order of the reference.
pub fn helper_reference() -> impl Iterator<Item = HelperDoc> {
    table::HELPERS.iter().map(|helper| HelperDoc {
        name: helper.name,
        arguments: helper.arguments,
        summary: helper.summary,
        template: helper.example.0,
        extra: helper.example.1,
        claims: helper.example.2,
    })
}

/// What a helper is called with.
pub(super) struct Arguments<'a, 'r> {
    pub(super) name: &'static str,
    pub(super) values: &'a [Value<'r>],
    pub(super) pattern: Option<&'a Pattern>,
    pub(super) meter: &'a mut Meter<'r>,
    /// An argument as errors name it.
    pub(super) shown: &'a dyn Fn(usize) -> String,
}

impl<'a, 'r> Arguments<'a, 'r> {
    fn len(&self) -> usize {
        self.values.len()
    }

    /// The value itself, which may be missing.
    fn raw(&self, index: usize) -> &'a Value<'r> {
        const ABSENT: &Value<'static> = &Value::Bool(false);
        let values: &'a [Value<'r>] = self.values;
        values.get(index).unwrap_or(ABSENT)
    }

    /// Any value that is there; null is.
    fn any(&self, index: usize) -> Result<&'a Value<'r>, Stop> {
        let value = self.raw(index);
        match value {
            Value::Missing(why) => Err(Stop::Missing(why.clone())),
            Value::Root => Err(self.wrong(index, "a value")),
            _ => Ok(value),
        }
    }

    /// A value that is there and not null.
    fn present(&self, index: usize) -> Result<&'a Value<'r>, Stop> {
        let value = self.any(index)?;
        match value.shape() {
            Shape::Null => Err(Stop::Missing(format!("{} is null", (self.shown)(index)).into())),
            _ => Ok(value),
        }
    }

    fn text(&mut self, index: usize) -> Result<&'a str, Stop> {
        match self.present(index)?.shape() {
            Shape::Text(text) => {
                self.meter.spend_bytes(text.len())?;
                Ok(text)
            }
            _ => Err(self.wrong(index, "a string")),
        }
    }

    fn number(&self, index: usize) -> Result<&'a Number<'r>, Stop> {
        match self.present(index)?.shape() {
            Shape::Number(number) => Ok(number),
            _ => Err(self.wrong(index, "a number")),
        }
    }

    fn elements(&mut self, index: usize) -> Result<Elements<'a, 'r>, Stop> {
        match self.present(index)?.shape() {
            Shape::Array(elements) => {
                self.meter.spend(1 + elements.len())?;
                Ok(elements)
            }
            _ => Err(self.wrong(index, "an array")),
        }
    }

    fn members(&mut self, index: usize) -> Result<Members<'a, 'r>, Stop> {
        match self.present(index)?.shape() {
            Shape::Object(members) => {
                self.meter.spend(1 + members.len())?;
                Ok(members)
            }
            _ => Err(self.wrong(index, "an object")),
        }
    }

    /// The text of a string, number or boolean, appended to `out`.
    fn push_scalar(&mut self, value: &Value<'r>, index: usize, out: &mut String) -> Result<(), Stop> {
        let before = out.len();
        match value.shape() {
            Shape::Text(text) => out.push_str(text),
            Shape::Number(number) => out.push_str(number.token()),
            Shape::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Shape::Missing => {
                let Value::Missing(why) = value else { return Err(self.wrong(index, "a string, number or boolean")) };
                return Err(Stop::Missing(why.clone()));
            }
            Shape::Null => return Err(Stop::Missing(format!("{} is or holds null", (self.shown)(index)).into())),
            Shape::Array(_) | Shape::Object(_) => {
                return Err(self.fault(format!(
                    "expected strings, numbers or booleans in argument {} of `{}`, {} is or holds {}",
                    index + 1,
                    self.name,
                    (self.shown)(index),
                    value.kind()
                )));
            }
        }
        self.meter.spend_bytes(out.len() - before)?;
        Ok(())
    }

    /// The error of an argument of a wrong type.
    fn wrong(&self, index: usize, expected: &str) -> Stop {
        self.fault(format!(
            "expected {expected} as argument {} of `{}`, {} is {}",
            index + 1,
            self.name,
            (self.shown)(index),
            self.raw(index).kind()
        ))
    }

    /// An error of the session's data.
    fn fault(&self, message: String) -> Stop {
        RenderError::new(ErrorCode::TemplateWrongType, message).into()
    }
}
