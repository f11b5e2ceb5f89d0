//! The values of commands: fields, methods, functions and their arguments.

use super::super::ast::{Command, Number, Operand, Term};
use super::super::context::Problem;
use super::super::fields;
use super::super::funcs::{self, Function, Type};
use super::super::lost::Base;
use super::super::text::{Origin, Text};
use super::super::value::{IntType, MapType, Value};
use super::{AtPlace, Exec, Run, fail};
use crate::code::ErrorCode;

/// How often a field or method of a URL or version reads and writes its text.
const READS_OF_RECEIVER: usize = 16;

impl<'e> Exec<'e> {
    pub(super) fn command(&mut self, dot: &Value, command: &'e Command, last: Option<Value>) -> Run<Value> {
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
                    Term::String(bytes) => {
                        self.context.charge_bytes(bytes.len()).at(at)?;
                        Ok(constant_text(bytes))
                    }
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
        fields::field(&mut self.context, &receiver, name).at(at)
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
                self.context.charge_text(text, cost.per_byte).at(at)?;
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
            Term::String(bytes) => {
                self.context.charge_bytes(bytes.len()).at(at)?;
                return constant(&operand.term, wanted).at(at);
            }
            Term::Bool(_) | Term::Number(_) => return constant(&operand.term, wanted).at(at),
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
