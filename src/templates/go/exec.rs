//! Runs a template over a session, by Go's rules.

use super::ast::{Branch, Command, Node, Number, Operand, Pipeline, Term, Tree};
use super::context::{Context, Problem};
use super::fields;
use super::funcs::{self, Function, Type};
use super::lost::{Base, Round, Scope, Source, Variable};
use super::output::Output;
use super::print;
use super::text::{Origin, Text};
use super::value::{IntType, MapType, Value};
use super::writer::Writer;
use crate::code::ErrorCode;
use crate::templates::{LostUsage, RenderInput, RenderLimits};

/// A problem and the byte of the template at which it came up.
type Failure = (Problem, usize);
type Run<T> = Result<T, Failure>;

/// How often the writer reads what an expression gave.
const READS_OF_OUTPUT: usize = 4;
/// How often a field or method of a URL or version reads and writes its text.
const READS_OF_RECEIVER: usize = 16;
/// How many variables are looked through in one step.
const VARIABLES_PER_STEP: u64 = 32;

/// How deep blocks may run inside each other when a template calls another one, whatever the limits say.
const MAX_NESTED: usize = 200;

/// Renders `tree`.
pub(super) fn run<'e>(tree: &'e Tree, input: &'e RenderInput<'e>, limits: &'e RenderLimits) -> Run<Output> {
    run_into(tree, input, limits, Writer::new(limits.output_bytes, limits.depth))
}

/// Renders `tree` as Go does, which escapes nothing.
#[cfg(test)]
pub(super) fn run_raw<'e>(tree: &'e Tree, input: &'e RenderInput<'e>, limits: &'e RenderLimits) -> Run<Vec<u8>> {
    let mut writer = Writer::new(limits.output_bytes, limits.depth);
    writer.is_raw = true;
    run_into(tree, input, limits, writer).map(|output| output.bytes)
}

fn run_into<'e>(tree: &'e Tree, input: &'e RenderInput<'e>, limits: &'e RenderLimits, writer: Writer) -> Run<Output> {
    let mut exec = Exec {
        tree,
        context: Context::new(input, limits).at(0)?,
        writer,
        input,
        blocks: vec![Source::Session],
        variables: vec![Variable { name: "$".to_owned(), value: Value::Session, source: Source::Session }],
        nested: 0,
    };
    exec.nodes(&Value::Session, &tree.root)?;
    Ok(exec.writer.into_output())
}

struct Exec<'e> {
    tree: &'e Tree,
    context: Context<'e>,
    writer: Writer,
    input: &'e RenderInput<'e>,
    /// Where the dot comes from, outside and in each block.
    blocks: Vec<Source<'e>>,
    variables: Vec<Variable<'e>>,
    /// Lists of nodes that are being run inside each other.
    nested: usize,
}

/// How a list of nodes ended.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

trait AtPlace<T> {
    fn at(self, at: usize) -> Run<T>;
}

impl<T> AtPlace<T> for Result<T, Problem> {
    fn at(self, at: usize) -> Run<T> {
        self.map_err(|problem| (problem, at))
    }
}

impl<T> AtPlace<T> for Result<T, super::writer::Refusal> {
    fn at(self, at: usize) -> Run<T> {
        self.map_err(|(code, message)| (Problem::new(code, message), at))
    }
}

fn fail<T>(at: usize, problem: Problem) -> Run<T> {
    Err((problem, at))
}

impl<'e> Exec<'e> {
    fn nodes(&mut self, dot: &Value, nodes: &'e [Node]) -> Run<Flow> {
        self.nested += 1;
        for node in nodes {
            match self.node(dot, node)? {
                Flow::On => {}
                flow => {
                    self.nested -= 1;
                    return Ok(flow);
                }
            }
        }
        self.nested -= 1;
        Ok(Flow::On)
    }

    fn node(&mut self, dot: &Value, node: &'e Node) -> Run<Flow> {
        match node {
            Node::Text(at, text) => {
                self.context.step().at(*at)?;
                self.writer.literal(text.as_bytes()).at(*at)?;
            }
            Node::Action(pipeline) => {
                let value = self.pipeline(dot, pipeline)?;
                if pipeline.variables.is_empty() {
                    let written = self.write(&value, pipeline.is_constant());
                    written
                        .map_err(|problem| match value {
                            Value::Invalid => self.scope().lacks_value(problem, pipeline, LostUsage::GoValue),
                            _ => problem,
                        })
                        .at(pipeline.at)?;
                }
            }
            Node::If(branch) => {
                let mark = self.variables.len();
                let value = self.pipeline(dot, &branch.pipeline)?;
                let chosen = if value.truth() { Some(&branch.body) } else { branch.otherwise.as_ref() };
                let flow = chosen.map_or(Ok(Flow::On), |nodes| self.nodes(dot, nodes));
                self.variables.truncate(mark);
                return flow;
            }
            Node::With(branch) => {
                let mark = self.variables.len();
                let (blocks, variables) = (self.blocks.len(), mark);
                let value = self.pipeline(dot, &branch.pipeline)?;
                let flow = if value.truth() {
                    self.blocks.push(Source::Pipeline { pipeline: &branch.pipeline, blocks, variables, round: None });
                    let flow = self.nodes(&value, &branch.body);
                    self.blocks.pop();
                    flow
                } else {
                    branch.otherwise.as_ref().map_or(Ok(Flow::On), |nodes| self.nodes(dot, nodes))
                };
                self.variables.truncate(mark);
                return flow;
            }
            Node::Range(branch) => {
                let mark = self.variables.len();
                let flow = self.range(dot, branch);
                self.variables.truncate(mark);
                return flow;
            }
            Node::Template { at, name, argument } => self.template(dot, *at, name, argument.as_ref())?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn write(&mut self, value: &Value, is_constant: bool) -> Result<(), Problem> {
        let refused = |(code, message): super::writer::Refusal| Problem::new(code, message);
        match value {
            Value::String(text) => {
                self.context.charge_reads(text.len(), READS_OF_OUTPUT)?;
                self.writer.expression(text, is_constant).map_err(refused)
            }
            // What is written is the structure that the pointer points to.
            Value::Session => {
                let text = print::text_of(&mut self.context, value)?;
                self.writer.expression(&text.slice(1..text.len()), is_constant).map_err(refused)
            }
            Value::Invalid => {
                let written = self.writer.expression(&Text::new("<no value>", Origin::Data), is_constant);
                written.map_err(|(code, _)| {
                    let message = "expected a JSON value outside of quotes, found no value: the session lacks the member, \
                                   or it is null; pipe it to toJson, which writes null";
                    Problem::new(code, message)
                })
            }
            value => {
                let text = print::text_of(&mut self.context, value)?;
                self.writer.expression(&text, is_constant).map_err(refused)
            }
        }
    }

    fn template(&mut self, dot: &Value, at: usize, name: &str, argument: Option<&'e Pipeline>) -> Run<()> {
        let Some(nodes) = self.tree.defined.get(name) else {
            return fail(at, Problem::new(ErrorCode::TemplateHelper, "found a template that is not defined"));
        };
        let dot = match argument {
            Some(pipeline) => self.pipeline(dot, pipeline)?,
            None => Value::Invalid,
        };
        if self.nested >= self.context.limits.depth.min(MAX_NESTED) {
            return fail(at, Problem::limit("expected templates that call each other less deeply"));
        }
        let session = Variable { name: "$".to_owned(), value: dot.clone(), source: Source::Unknown };
        let outer = std::mem::replace(&mut self.variables, vec![session]);
        self.blocks.push(Source::Unknown);
        let result = self.nodes(&dot, nodes);
        self.blocks.pop();
        self.variables = outer;
        result.map(|_| ())
    }

    fn range(&mut self, dot: &Value, branch: &'e Branch) -> Run<Flow> {
        let value = self.pipeline(dot, &branch.pipeline)?;
        let at = branch.pipeline.at;
        let mut ran = false;
        match &value {
            Value::Invalid | Value::NilInterface => {}
            Value::List(list) => {
                for (index, item) in list.items().iter().enumerate() {
                    ran = true;
                    let number = Value::int(i64::try_from(index).unwrap_or(i64::MAX));
                    if self.iteration(branch, number, Round::Index(index), item.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                self.context.steps(map.entries.borrow().len() as u64).at(at)?;
                let entries: Vec<_> =
                    map.entries.borrow().iter().map(|(key, item)| (key.clone(), item.clone())).collect();
                for (key, item) in entries {
                    ran = true;
                    if self.iteration(branch, Value::text(map.key(&key)), Round::Key, item)? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Int(kind, count) => {
                self.only_one_variable(branch)?;
                for number in 0..*count {
                    ran = true;
                    if self.iteration(branch, Value::Invalid, Round::Key, Value::Int(*kind, number))? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Uint(kind, count) => {
                self.only_one_variable(branch)?;
                for number in 0..*count {
                    ran = true;
                    if self.iteration(branch, Value::Invalid, Round::Key, Value::Uint(*kind, number))? == Flow::Break {
                        break;
                    }
                }
            }
            other => {
                let message = format!("expected a list, a map or an integer for range, found {}", other.type_name());
                return fail(at, Problem::wrong_type(message));
            }
        }
        match &branch.otherwise {
            Some(nodes) if !ran => self.nodes(dot, nodes),
            _ => Ok(Flow::On),
        }
    }

    fn only_one_variable(&self, branch: &Branch) -> Run<()> {
        if branch.pipeline.variables.len() > 1 {
            let message = "expected one variable for a range over an integer, found two";
            return fail(branch.pipeline.at, Problem::wrong_type(message));
        }
        Ok(())
    }

    fn iteration(&mut self, branch: &'e Branch, index: Value, round: Round, item: Value) -> Run<Flow> {
        let pipeline = &branch.pipeline;
        self.context.step().at(pipeline.at)?;
        let mark = self.variables.len();
        let names = pipeline.variables.as_slice();
        // The variables of the pipeline itself are not a part of it.
        let variables = mark.saturating_sub(names.len());
        let source = Source::Pipeline { pipeline, blocks: self.blocks.len(), variables, round: Some(round) };
        match (names, pipeline.is_assignment) {
            ([], _) => {}
            ([only], true) => self.assign(only, item.clone(), pipeline.at)?,
            ([first, second, ..], true) => {
                self.assign(first, index, pipeline.at)?;
                self.assign(second, item.clone(), pipeline.at)?;
            }
            ([_], false) => self.set_top(1, item.clone(), source),
            (_, false) => {
                self.set_top(1, item.clone(), source);
                self.set_top(2, index, Source::Unknown);
            }
        }
        self.blocks.push(source);
        let flow = self.nodes(&item, &branch.body);
        self.blocks.pop();
        self.variables.truncate(mark);
        flow
    }

    fn scope(&self) -> Scope<'_, 'e> {
        Scope { input: self.input, blocks: &self.blocks, variables: &self.variables }
    }

    fn set_top(&mut self, from_top: usize, value: Value, source: Source<'e>) {
        let index = self.variables.len().saturating_sub(from_top);
        if let Some(variable) = self.variables.get_mut(index) {
            (variable.value, variable.source) = (value, source);
        }
    }

    fn assign(&mut self, name: &str, value: Value, at: usize) -> Run<()> {
        self.context.steps(self.variables.len() as u64 / VARIABLES_PER_STEP).at(at)?;
        match self.variables.iter_mut().rev().find(|variable| variable.name == name) {
            Some(variable) => {
                (variable.value, variable.source) = (value, Source::Unknown);
                Ok(())
            }
            None => fail(at, Problem::new(ErrorCode::TemplateSyntax, format!("found the undefined variable {name}"))),
        }
    }

    fn variable(&mut self, name: &str, at: usize) -> Run<Value> {
        self.context.steps(self.variables.len() as u64 / VARIABLES_PER_STEP).at(at)?;
        match self.variables.iter().rev().find(|variable| variable.name == name) {
            Some(variable) => Ok(variable.value.clone()),
            None => fail(at, Problem::new(ErrorCode::TemplateSyntax, format!("found the undefined variable {name}"))),
        }
    }

    fn pipeline(&mut self, dot: &Value, pipeline: &'e Pipeline) -> Run<Value> {
        self.context.step().at(pipeline.at)?;
        let mut last = None;
        for command in &pipeline.commands {
            let value = self.command(dot, command, last).map_err(|(problem, at)| {
                let is_about_missing = problem.code == ErrorCode::TemplateMissingValue;
                let usage = LostUsage::GoArgument;
                (if is_about_missing { self.scope().lacks_value(problem, pipeline, usage) } else { problem }, at)
            })?;
            last = Some(value.unboxed());
        }
        let value = last.unwrap_or(Value::Invalid);
        let (blocks, variables) = (self.blocks.len(), self.variables.len());
        for name in &pipeline.variables {
            if pipeline.is_assignment {
                self.assign(name, value.clone(), pipeline.at)?;
            } else {
                let source = Source::Pipeline { pipeline, blocks, variables, round: None };
                self.variables.push(Variable { name: name.clone(), value: value.clone(), source });
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Value, command: &'e Command, last: Option<Value>) -> Run<Value> {
        let at = command.first.at;
        self.context.step().at(at)?;
        let arguments = command.arguments.as_slice();
        match &command.first.term {
            Term::Field(names) => self.fields(dot, (Base::Dot, dot.clone()), names, arguments, last, at),
            Term::Chain(operand, names) => {
                let receiver = self.receiver(dot, operand)?;
                self.fields(dot, (Base::Value, receiver), names, arguments, last, at)
            }
            Term::Variable(name, names) if !names.is_empty() => {
                let receiver = self.variable(name, at)?;
                self.fields(dot, (Base::Variable(name), receiver), names, arguments, last, at)
            }
            Term::Function(function) => self.call(dot, function, arguments, last, at),
            other => {
                if !arguments.is_empty() || last.is_some() {
                    return fail(at, Problem::wrong_type("expected a function before an argument, found a value"));
                }
                match other {
                    Term::Pipeline(inner) => self.pipeline(dot, inner),
                    Term::Variable(name, _) => self.variable(name, at),
                    Term::Bool(value) => Ok(Value::Bool(*value)),
                    Term::Dot => Ok(dot.clone()),
                    Term::Number(number) => ideal(number).at(at),
                    Term::String(bytes) => Ok(constant_text(bytes)),
                    _ => fail(at, Problem::wrong_type("expected a command, found nil")),
                }
            }
        }
    }

    /// What the fields of a chain are taken from.
    fn receiver(&mut self, dot: &Value, operand: &'e Operand) -> Run<Value> {
        match &operand.term {
            Term::Pipeline(inner) => self.pipeline(dot, inner),
            Term::Function(function) => self.call(dot, function, &[], None, operand.at),
            _ => fail(operand.at, Problem::wrong_type("expected a value before a field, found nil")),
        }
    }

    /// Field after field; only the last one gets arguments.
    fn fields(
        &mut self,
        dot: &Value,
        (base, mut receiver): (Base<'e>, Value),
        names: &'e [String],
        arguments: &'e [Operand],
        last: Option<Value>,
        at: usize,
    ) -> Run<Value> {
        let mut last = last;
        for (index, name) in names.iter().enumerate() {
            let is_last = index + 1 == names.len();
            let (arguments, piped) = if is_last { (arguments, last.take()) } else { (&[][..], None) };
            let is_nil = matches!(receiver, Value::NilInterface);
            receiver = self.field(dot, receiver, name, arguments, piped, at).map_err(|(problem, at)| {
                let owner = names.get(..index).unwrap_or_default();
                (if is_nil { self.scope().lacks_owner(problem, base, owner, name) } else { problem }, at)
            })?;
        }
        Ok(receiver)
    }

    fn field(
        &mut self,
        dot: &Value,
        receiver: Value,
        name: &str,
        arguments: &'e [Operand],
        last: Option<Value>,
        at: usize,
    ) -> Run<Value> {
        self.context.step().at(at)?;
        match &receiver {
            // Fields of nothing are nothing; fields of a nil that a map gave are an error.
            Value::Invalid => return Ok(Value::Invalid),
            Value::NilInterface => {
                let message =
                    format!("expected a value with the field {name}, found nil; its parent is missing or null");
                return fail(at, Problem::missing(message));
            }
            _ => {}
        }
        self.context.charge_reads(fields::size(&receiver), READS_OF_RECEIVER).at(at)?;
        if let Some(method) = fields::method(&receiver, name) {
            let mut values = vec![receiver];
            values.extend(self.arguments(dot, method, arguments, last, at)?);
            return (method.call)(&mut self.context, &values).at(at);
        }
        if !arguments.is_empty() || last.is_some() {
            let message = format!("expected the method {name} for an argument, found none in {}", receiver.type_name());
            return fail(at, Problem::wrong_type(message));
        }
        fields::field(&self.context, &receiver, name).at(at)
    }

    fn call(
        &mut self,
        dot: &Value,
        function: &'static Function,
        arguments: &'e [Operand],
        last: Option<Value>,
        at: usize,
    ) -> Run<Value> {
        if let Some(stops_at) = funcs::short_circuit(function) {
            let count = arguments.len() + usize::from(last.is_some());
            function.check_count(count).map_err(|message| (Problem::new(ErrorCode::TemplateHelper, message), at))?;
            let mut value = Value::Invalid;
            for argument in arguments {
                value = self.argument(dot, Type::Reflect, argument)?;
                if value.truth() == stops_at {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let values = self.arguments(dot, function, arguments, last, at)?;
        (function.call)(&mut self.context, &values).at(at)
    }

    fn arguments(
        &mut self,
        dot: &Value,
        function: &'static Function,
        arguments: &'e [Operand],
        last: Option<Value>,
        at: usize,
    ) -> Run<Vec<Value>> {
        let count = arguments.len() + usize::from(last.is_some());
        function.check_count(count).map_err(|message| (Problem::new(ErrorCode::TemplateHelper, message), at))?;
        let type_of = |index: usize| function.parameters.get(index).copied().or(function.variadic).unwrap_or(Type::Any);
        let mut values = Vec::with_capacity(count);
        for (index, argument) in arguments.iter().enumerate() {
            values.push(self.argument(dot, type_of(index), argument)?);
        }
        if let Some(last) = last {
            values.push(assigned(last, type_of(arguments.len())).at(at)?);
        }
        let cost = funcs::cost(function);
        self.context.steps(cost.steps).at(at)?;
        for value in &values {
            if let Value::String(text) = value {
                self.context.charge_reads(text.len(), cost.per_byte).at(at)?;
            }
        }
        Ok(values)
    }

    fn argument(&mut self, dot: &Value, wanted: Type, operand: &'e Operand) -> Run<Value> {
        let at = operand.at;
        self.context.step().at(at)?;
        let value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Nil => {
                return match wanted {
                    Type::Any | Type::Reflect => Ok(Value::Invalid),
                    Type::Map => Ok(Value::nil_map(MapType::Any)),
                    _ => fail(at, Problem::wrong_type(format!("expected {}, found nil", wanted.name()))),
                };
            }
            Term::Field(names) => self.fields(dot, (Base::Dot, dot.clone()), names, &[], None, at)?,
            Term::Variable(name, names) => {
                let receiver = self.variable(name, at)?;
                self.fields(dot, (Base::Variable(name), receiver), names, &[], None, at)?
            }
            Term::Pipeline(inner) => self.pipeline(dot, inner)?,
            Term::Function(function) => self.call(dot, function, &[], None, at)?,
            Term::Chain(inner, names) => {
                let receiver = self.receiver(dot, inner)?;
                self.fields(dot, (Base::Value, receiver), names, &[], None, at)?
            }
            Term::Bool(_) | Term::Number(_) | Term::String(_) => return constant(&operand.term, wanted).at(at),
        };
        assigned(value, wanted).at(at)
    }
}

fn constant_text(bytes: &[u8]) -> Value {
    Value::text(Text::new(bytes, Origin::Template))
}

/// The value of a number constant where no type is asked for.
fn ideal(number: &Number) -> Result<Value, Problem> {
    match number {
        Number { complex: Some((real, imaginary)), .. } => Ok(Value::Complex(*real, *imaginary)),
        Number { is_float: true, float: Some(float), .. } => Ok(Value::Float(*float)),
        Number { int: Some(int), .. } => Ok(Value::int(*int)),
        _ => Err(Problem::wrong_type("expected a number that an int holds, found a larger one")),
    }
}

/// A constant as an argument of type `wanted`.
fn constant(term: &Term, wanted: Type) -> Result<Value, Problem> {
    let value = match (term, wanted) {
        (Term::Bool(value), Type::Any | Type::Reflect | Type::Bool) => Some(Value::Bool(*value)),
        (Term::String(bytes), Type::Any | Type::Reflect | Type::String) => Some(constant_text(bytes)),
        (Term::Number(number), Type::Any | Type::Reflect) => return ideal(number),
        (Term::Number(number), Type::Int) => number.int.map(Value::int),
        (Term::Number(number), Type::Duration) => number.int.map(|nanos| Value::Int(IntType::Duration, nanos)),
        (Term::Number(number), Type::Float) => number.float.map(Value::Float),
        _ => None,
    };
    value.ok_or_else(|| Problem::wrong_type(format!("expected {}, found another constant", wanted.name())))
}

/// `value` as an argument of type `wanted`, without any conversion.
fn assigned(value: Value, wanted: Type) -> Result<Value, Problem> {
    let fits = match (wanted, &value) {
        (Type::Any | Type::Reflect, _) => return Ok(value.unboxed()),
        (Type::Map, Value::Invalid) => return Ok(Value::nil_map(MapType::Any)),
        (Type::Bool, Value::Bool(_))
        | (Type::Float, Value::Float(_))
        | (Type::Int, Value::Int(IntType::Int, _))
        | (Type::Duration, Value::Int(IntType::Duration, _))
        | (Type::String, Value::String(_))
        | (Type::Time, Value::Time(_)) => true,
        (Type::Map, Value::Map(map)) => map.kind == MapType::Any,
        _ => false,
    };
    if fits {
        return Ok(value);
    }
    let message = format!("expected {}, found {}", wanted.name(), value.type_name());
    Err(if value.is_nil() { Problem::missing(message) } else { Problem::wrong_type(message) })
}
