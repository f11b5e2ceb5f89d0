//! Runs a compiled template over a session: one pass, nothing of the session copied, every step counted.

use std::sync::atomic::{AtomicBool, Ordering};

use super::helpers::{Arguments, Body, Lazy};
use super::naming::whole_session;
use super::program::{Base, Branch, Call, Expr, LoopFact, Op, Path, Site};
use super::value::{Absence, Elements, Members, Shape, Text, Value};
use super::writer::{Full, Writer};
use super::{HandlebarsTemplate, Missing};
use crate::code::ErrorCode;
use crate::json::{Json, Number};
use crate::templates::{RenderError, RenderInput, RenderLimits, Rendered};

/// Why an expression gives no value.
#[derive(Debug)]
pub(super) enum Stop {
    /// It needs something that is not there; where it stands decides what follows.
    Missing(Absence),
    Failed(Box<RenderError>),
}

impl From<RenderError> for Stop {
    fn from(error: RenderError) -> Self {
        Stop::Failed(Box::new(error))
    }
}

/// The steps that the reason costs why a value is missing.
const STEPS_TO_EXPLAIN: usize = 4;

/// Counts the work of one rendering.
#[derive(Debug)]
pub(super) struct Meter<'m> {
    left: u64,
    limit: u64,
    /// Set if the rendering is to end.
    stop: Option<&'m AtomicBool>,
}

impl<'m> Meter<'m> {
    fn new(limit: u64, stop: Option<&'m AtomicBool>) -> Self {
        Self { left: limit, limit, stop }
    }

    /// Takes `steps`, or says that there are no more.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), RenderError> {
        if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            let message = "expected a rendering that ends before its deadline";
            return Err(RenderError::new(ErrorCode::TemplateLimit, message));
        }
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(RenderError::new(
                    ErrorCode::TemplateLimit,
                    format!("expected at most {} steps of work, the template needs more for this session", self.limit),
                ))
            }
        }
    }

    /// Takes the steps of a search through `bytes` with an automaton of `states`.
    pub(super) fn spend_search(&mut self, states: usize, bytes: usize) -> Result<(), RenderError> {
        self.spend(1 + bytes.saturating_mul(states) / 16)
    }

    /// The steps that looking at `bytes` of text costs.
    pub(super) fn spend_bytes(&mut self, bytes: usize) -> Result<(), RenderError> {
        self.spend(1 + bytes / 64)
    }
}

/// The context of a block.
pub(super) struct Frame<'r> {
    pub(super) value: Value<'r>,
    /// The expression it came from, for errors.
    pub(super) origin: Option<&'r Expr>,
    pub(super) round: Option<Round<'r>>,
}

pub(super) struct Round<'r> {
    pub(super) index: usize,
    pub(super) is_last: bool,
    pub(super) key: Option<Text<'r>>,
}

/// A value under a name of the template.
pub(super) struct Local<'r> {
    value: Value<'r>,
    /// For errors.
    pub(super) origin: LocalOrigin<'r>,
}

/// Where the value of a name comes from.
#[derive(Clone, Copy)]
pub(super) enum LocalOrigin<'r> {
    /// It is the context of this block, too.
    Frame(usize),
    /// It is the index or the key of an element.
    Round,
    /// This expression.
    Value(&'r Expr),
}

pub(super) struct Renderer<'r> {
    pub(super) template: &'r HandlebarsTemplate,
    pub(super) input: &'r RenderInput<'r>,
    pub(super) limits: RenderLimits,
    pub(super) meter: Meter<'r>,
    pub(super) writer: Writer,
    pub(super) frames: Vec<Frame<'r>>,
    pub(super) locals: Vec<Local<'r>>,
    pub(super) depth: usize,
}

impl<'r> Renderer<'r> {
    pub(super) fn run(
        template: &'r HandlebarsTemplate,
        input: &'r RenderInput<'r>,
        limits: &RenderLimits,
    ) -> Result<Rendered, RenderError> {
        let mut renderer = Self {
            template,
            input,
            limits: *limits,
            meter: Meter::new(limits.work, input.stop),
            writer: Writer::new(limits.output_bytes, limits.depth),
            frames: vec![Frame { value: Value::Root, origin: None, round: None }],
            locals: Vec::new(),
            depth: 0,
        };
        renderer.ops(&template.program)?;
        Ok(renderer.writer.finish())
    }

    pub(super) fn full(&self, full: Full) -> RenderError {
        match full {
            Full::Bytes => RenderError::new(
                ErrorCode::TemplateLimit,
                format!(
                    "expected at most {} bytes of claims, the template writes more for this session",
                    self.limits.output_bytes
                ),
            ),
            Full::Depth => RenderError::new(
                ErrorCode::TemplateLimit,
                format!(
                    "expected at most {} arrays, objects and blocks inside each other, found more",
                    self.limits.depth
                ),
            ),
        }
    }

    pub(super) fn write(&mut self, write: impl FnOnce(&mut Writer) -> Result<(), Full>) -> Result<(), RenderError> {
        write(&mut self.writer).map_err(|full| self.full(full))
    }

    pub(super) fn place(&self, error: RenderError, site: Site) -> RenderError {
        self.template.place(error, site)
    }

    fn ops(&mut self, ops: &'r [Op]) -> Result<(), RenderError> {
        ops.iter().try_for_each(|op| self.op(op))
    }

    fn op(&mut self, op: &'r Op) -> Result<(), RenderError> {
        // What `omit` leaves out again has been written.
        if let Op::Name(text) | Op::Scalar(text) | Op::Text(text) = op
            && text.len() >= 64
        {
            self.meter.spend(text.len() / 64)?;
        }
        match op {
            Op::Open(bracket) => self.write(|writer| writer.open(*bracket)),
            Op::Close => self.write(Writer::close),
            Op::Name(quoted) => self.write(|writer| writer.name(quoted)),
            Op::Scalar(text) => self.whole(|writer| writer.raw(text)),
            Op::NameStart => self.write(Writer::name_start),
            Op::StringStart => self.write(Writer::string_start),
            Op::Text(text) => self.write(|writer| writer.raw(text)),
            Op::NameEnd => self.write(Writer::name_end),
            Op::StringEnd => self.write(Writer::string_end),
            Op::Value { expr, is_document, copied } => {
                let written = match copied.and_then(|selected| self.input.verbatim(selected)) {
                    Some(value) if !is_document || value.text.starts_with('{') => self.copy(value),
                    _ => self.value(expr, *is_document),
                };
                written.map_err(|error| self.place(error, expr.site()))
            }
            Op::Part(expr) => self.part(expr).map_err(|error| self.place(error, expr.site())),
            Op::If { branches, otherwise } => self.choose(branches, otherwise),
            Op::Each { over, local, index_local, body, otherwise } => {
                self.each(over, (*local, *index_local), body, otherwise.as_deref())
            }
            Op::With { value, local, body, otherwise } => self.with(value, *local, body, otherwise.as_deref()),
            Op::Let { values, body } => self.scoped(None, values, body),
            Op::Partial { context, values, body } => self.scoped(context.as_ref(), values, body),
        }
    }

    fn choose(&mut self, branches: &'r [Branch], otherwise: &'r [Op]) -> Result<(), RenderError> {
        for branch in branches {
            let holds = self
                .eval(&branch.test)
                .and_then(|value| self.holds(&value))
                .map_err(|error| self.place(error, branch.test.site()))?;
            if holds != branch.negated {
                return self.nested(&branch.body);
            }
        }
        self.nested(otherwise)
    }

    /// Whether a test on `value` holds; a number of many digits is work.
    fn holds(&mut self, value: &Value<'r>) -> Result<bool, RenderError> {
        if let Shape::Number(number) = value.shape() {
            self.meter.spend_bytes(number.token().len())?;
        }
        Ok(value.is_truthy())
    }

    fn nested(&mut self, ops: &'r [Op]) -> Result<(), RenderError> {
        if self.depth >= self.limits.depth {
            return Err(self.full(Full::Depth));
        }
        self.depth += 1;
        self.ops(ops)?;
        self.depth -= 1;
        Ok(())
    }

    fn each(
        &mut self,
        over: &'r Expr,
        (local, index_local): (Option<usize>, Option<usize>),
        body: &'r [Op],
        otherwise: Option<&'r [Op]>,
    ) -> Result<(), RenderError> {
        let collection = self.eval(over).map_err(|error| self.place(error, over.site()))?;
        let is_empty = match collection.shape() {
            Shape::Array(elements) => elements.len() == 0,
            Shape::Object(members) => members.len() == 0,
            Shape::Null => true,
            Shape::Missing if otherwise.is_some() || self.template.missing != Missing::Error => true,
            Shape::Missing => {
                let error = match &collection {
                    Value::Missing(why) => self.missing(why),
                    _ => whole_session(),
                };
                return Err(self.place(error, over.site()));
            }
            Shape::Bool(_) | Shape::Number(_) | Shape::Text(_) => {
                let error = RenderError::new(
                    ErrorCode::TemplateWrongType,
                    format!(
                        "expected an array or an object for {{{{#each}}}}, {} is {}",
                        self.shown(over),
                        collection.kind()
                    ),
                );
                return Err(self.place(error, over.site()));
            }
        };
        if is_empty {
            return otherwise.map_or(Ok(()), |ops| self.nested(ops));
        }
        let (length, members) = match collection.shape() {
            Shape::Array(elements) => (elements.len(), None),
            Shape::Object(members) => {
                self.meter.spend(members.len() / 8).map_err(|error| self.place(error, over.site()))?;
                (members.len(), Some(members.to_vec()))
            }
            _ => (0, None),
        };
        let bound = self.locals.len();
        for index in 0..length {
            self.meter.spend(1).map_err(|error| self.place(error, over.site()))?;
            let (key, value) = match &members {
                Some(members) => {
                    members.get(index).map_or((None, None), |(key, value)| (Some(key.clone()), Some(value.clone())))
                }
                None => match collection.shape() {
                    Shape::Array(elements) => (None, elements.at(index)),
                    _ => (None, None),
                },
            };
            let Some(value) = value else { break };
            let mark = match &key {
                Some(key) => Value::Text(key.clone()),
                None => Value::Number(Number::from(index)),
            };
            let origin = LocalOrigin::Frame(self.frames.len());
            self.locals.extend(local.map(|_| Local { value: value.clone(), origin }));
            self.locals.extend(index_local.map(|_| Local { value: mark, origin: LocalOrigin::Round }));
            let round = Round { index, is_last: index + 1 == length, key };
            self.frames.push(Frame { value, origin: Some(over), round: Some(round) });
            self.nested(body)?;
            self.frames.pop();
            self.locals.truncate(bound);
        }
        Ok(())
    }

    fn with(
        &mut self,
        expr: &'r Expr,
        local: Option<usize>,
        body: &'r [Op],
        otherwise: Option<&'r [Op]>,
    ) -> Result<(), RenderError> {
        let value = self.eval(expr).map_err(|error| self.place(error, expr.site()))?;
        if !self.holds(&value).map_err(|error| self.place(error, expr.site()))? {
            return match (otherwise, &value) {
                (Some(ops), _) => self.nested(ops),
                (None, Value::Missing(why)) if self.template.missing == Missing::Error => {
                    Err(self.place(self.missing(why), expr.site()))
                }
                (None, _) => Ok(()),
            };
        }
        let bound = self.locals.len();
        let origin = LocalOrigin::Frame(self.frames.len());
        self.locals.extend(local.map(|_| Local { value: value.clone(), origin }));
        self.frames.push(Frame { value, origin: Some(expr), round: None });
        self.nested(body)?;
        self.frames.pop();
        self.locals.truncate(bound);
        Ok(())
    }

    fn scoped(&mut self, context: Option<&'r Expr>, values: &'r [Expr], body: &'r [Op]) -> Result<(), RenderError> {
        let bound = self.locals.len();
        let mut bound_values = Vec::with_capacity(values.len());
        for expr in values {
            let value = self.eval(expr).map_err(|error| self.place(error, expr.site()))?;
            bound_values.push(Local { value, origin: LocalOrigin::Value(expr) });
        }
        if let Some(expr) = context {
            let value = self.eval(expr).map_err(|error| self.place(error, expr.site()))?;
            self.frames.push(Frame { value, origin: Some(expr), round: None });
        }
        self.locals.extend(bound_values);
        self.nested(body)?;
        self.locals.truncate(bound);
        if context.is_some() {
            self.frames.pop();
        }
        Ok(())
    }

    /// The value of an expression; what it lacks becomes [`Value::Missing`].
    pub(super) fn eval(&mut self, expr: &'r Expr) -> Result<Value<'r>, RenderError> {
        self.meter.spend(1)?;
        match expr {
            Expr::Literal(json, _) => Ok(Value::Json(json)),
            Expr::Path(path) => self.path(path),
            Expr::Call(call) => self.call(call),
        }
    }

    fn call(&mut self, call: &'r Call) -> Result<Value<'r>, RenderError> {
        let result = match call.helper.body {
            Body::Lazy(lazy) => self.lazy(lazy, call),
            Body::Eager(function) => {
                let mut values = Vec::with_capacity(call.arguments.len());
                for argument in &call.arguments {
                    values.push(self.eval(argument)?);
                }
                let mut meter = std::mem::replace(&mut self.meter, Meter::new(0, None));
                let shown = |index: usize| call.arguments.get(index).map_or_else(String::new, |expr| self.shown(expr));
                let result = function(&mut Arguments {
                    name: call.helper.name,
                    values: &values,
                    pattern: call.pattern.as_deref(),
                    meter: &mut meter,
                    shown: &shown,
                });
                self.meter = meter;
                result
            }
        };
        match result {
            Ok(value) => Ok(value),
            Err(Stop::Missing(why)) => Ok(Value::Missing(why)),
            Err(Stop::Failed(error)) => Err(self.place(*error, call.site)),
        }
    }

    fn lazy(&mut self, lazy: Lazy, call: &'r Call) -> Result<Value<'r>, Stop> {
        let mut last = Value::Missing("nothing was given".into());
        for (index, argument) in call.arguments.iter().enumerate() {
            if lazy == Lazy::Required && index > 0 {
                break;
            }
            last = self.eval(argument)?;
            match lazy {
                Lazy::And if !self.holds(&last)? => return Ok(Value::Bool(false)),
                Lazy::Or if self.holds(&last)? => return Ok(Value::Bool(true)),
                Lazy::Default | Lazy::Coalesce if !last.is_absent() => return Ok(last),
                _ => {}
            }
        }
        match lazy {
            Lazy::And => Ok(Value::Bool(true)),
            Lazy::Or => Ok(Value::Bool(false)),
            Lazy::Default | Lazy::Coalesce => Ok(last),
            Lazy::Required if !last.is_absent() => Ok(last),
            Lazy::Required => {
                let why = match (call.arguments.get(1), &last) {
                    (Some(Expr::Literal(Json::String(message), _)), _) => message.to_string(),
                    (_, Value::Missing(why)) => return Err(self.missing(why).into()),
                    _ => format!(
                        "{} is null, and it is required",
                        call.arguments.first().map_or_else(String::new, |expr| self.shown(expr))
                    ),
                };
                Err(RenderError::new(ErrorCode::TemplateMissingValue, why).into())
            }
        }
    }

    fn path(&mut self, path: &'r Path) -> Result<Value<'r>, RenderError> {
        let mut value = match path.base {
            Base::Root => Value::Root,
            Base::Context(index) => self.frames.get(index).map_or(Value::Root, |frame| frame.value.clone()),
            Base::Local(index) => self.locals.get(index).map_or(Value::Root, |local| local.value.clone()),
            Base::Loop(index, fact) => {
                let round = self.frames.get(index).and_then(|frame| frame.round.as_ref());
                match (fact, round) {
                    (LoopFact::First, Some(round)) => Value::Bool(round.index == 0),
                    (LoopFact::Last, Some(round)) => Value::Bool(round.is_last),
                    (LoopFact::Index, Some(round)) => Value::Number(Number::from(round.index)),
                    (LoopFact::Key, Some(Round { key: Some(key), .. })) => Value::Text(key.clone()),
                    (LoopFact::Key, Some(round)) => Value::Number(Number::from(round.index)),
                    (_, None) => Value::Missing("there is no loop here".into()),
                }
            }
        };
        for (index, key) in path.keys.iter().enumerate() {
            if matches!(value, Value::Missing(_)) {
                return Ok(value);
            }
            match self.step(&value, &key.name, key.index)? {
                Some(next) => value = next,
                None => {
                    // The reason names the path.
                    let length: usize = path.keys.iter().map(|key| 1 + key.name.len() / 32).sum();
                    self.meter.spend(STEPS_TO_EXPLAIN + length)?;
                    return Ok(Value::Missing(self.lost(path, index, &value)));
                }
            }
        }
        Ok(value)
    }

    /// One step down from `value`.
    fn step(&mut self, value: &Value<'r>, name: &str, index: Option<usize>) -> Result<Option<Value<'r>>, RenderError> {
        if let Value::Root = value {
            return Ok(match name {
                "Subject" => Some(Value::Text(Text::Borrowed(self.input.subject))),
                "Profile" => Some(Value::Text(Text::Borrowed(self.input.profile))),
                "Extra" => Some(Value::Json(self.input.extra)),
                "Header" => Some(Value::Json(self.input.header)),
                "MatchContext" => Some(Value::Json(self.input.match_context)),
                _ => None,
            });
        }
        match value.shape() {
            Shape::Object(members) => {
                self.meter.spend(1 + members.len() / 16)?;
                let is_match_context =
                    matches!(value, Value::Json(json) if std::ptr::eq(*json, self.input.match_context));
                Ok(members.member(if is_match_context { wire_name(name) } else { name }))
            }
            Shape::Array(elements) => Ok(index.and_then(|index| elements.at(index))),
            _ => Ok(None),
        }
    }
}

/// The wire name of a member of the match context, where `name` is Oathkeeper's Go name.
pub(super) fn wire_name(name: &str) -> &str {
    match name {
        "RegexpCaptureGroups" => "regexp_capture_groups",
        "URL" => "url",
        "Method" => "method",
        "Header" => "header",
        _ => name,
    }
}

/// One step down from a value that is not the session itself, for helpers.
pub(super) fn member_of<'r>(value: &Value<'r>, name: &str) -> Option<Value<'r>> {
    match value.shape() {
        Shape::Object(members) => Members::member(&members, name),
        Shape::Array(elements) => name.parse().ok().and_then(|index| Elements::at(&elements, index)),
        _ => None,
    }
}
