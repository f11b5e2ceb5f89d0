//! Writes values where their position asks for them: encoded whole, or escaped as a part of a string.

use super::Missing;
use super::naming::whole_session;
use super::program::Expr;
use super::render::Renderer;
use super::value::{Shape, Value};
use super::writer::{Full, Writer};
use crate::code::ErrorCode;
use crate::json::Json;
use crate::session::Verbatim;
use crate::templates::RenderError;

/// How often each byte of a text is paid for that is escaped. A text of line breaks takes that long.
const READS_TO_ESCAPE: usize = 4;

impl<'r> Renderer<'r> {
    /// Writes one whole value.
    pub(super) fn whole(&mut self, write: impl FnOnce(&mut Writer) -> Result<(), Full>) -> Result<(), RenderError> {
        self.write(|writer| {
            writer.begin_value()?;
            write(writer)?;
            writer.end_value();
            Ok(())
        })
    }

    /// Writes a value of the session as it stands there.
    pub(super) fn copy(&mut self, value: Verbatim<'_>) -> Result<(), RenderError> {
        self.meter.spend_bytes(value.text.len())?;
        self.whole(|writer| writer.copy(value))
    }

    pub(super) fn value(&mut self, expr: &'r Expr, is_document: bool) -> Result<(), RenderError> {
        let value = self.eval(expr)?;
        if is_document && !matches!(value.shape(), Shape::Object(_)) {
            if let Value::Missing(why) = &value {
                return Err(self.missing(why));
            }
            return Err(RenderError::new(
                ErrorCode::ClaimsNotAnObject,
                format!("expected an object as the claims, {} is {}", self.shown(expr), value.kind()),
            ));
        }
        if let Value::Missing(why) = &value {
            return match self.template.missing {
                Missing::Error => Err(self.missing(why)),
                Missing::AsNull => self.whole(|writer| writer.raw("null")),
                Missing::Omit => self.whole(|writer| {
                    writer.drop_item();
                    Ok(())
                }),
            };
        }
        self.write(Writer::begin_value)?;
        self.encode(&value)?;
        self.writer.end_value();
        Ok(())
    }

    pub(super) fn part(&mut self, expr: &'r Expr) -> Result<(), RenderError> {
        let value = self.eval(expr)?;
        self.meter.spend(1)?;
        let why = match value.shape() {
            Shape::Text(text) => {
                // Text is paid for even where `omit` leaves it out again.
                self.meter.spend_bytes(text.len().saturating_mul(READS_TO_ESCAPE))?;
                return self.write(|writer| writer.escaped(text));
            }
            Shape::Number(number) => {
                self.meter.spend(number.token().len() / 64)?;
                return self.write(|writer| writer.raw(number.token()));
            }
            Shape::Bool(value) => return self.write(|writer| writer.raw(if value { "true" } else { "false" })),
            Shape::Array(_) | Shape::Object(_) => {
                return Err(RenderError::new(
                    ErrorCode::TemplateWrongType,
                    format!(
                        "expected a string, number or boolean inside a string, {} is {}",
                        self.shown(expr),
                        value.kind()
                    ),
                )
                .help("remove the quotes around the expression, or name a member or an element of it"));
            }
            Shape::Null => format!("{} is null, and a string needs text", self.shown(expr)).into(),
            Shape::Missing => match &value {
                Value::Missing(why) => why.clone(),
                _ => return Err(whole_session()),
            },
        };
        match self.template.missing {
            Missing::Error => Err(self.missing(&why)),
            Missing::AsNull => Ok(()),
            Missing::Omit => {
                self.writer.drop_item();
                Ok(())
            }
        }
    }

    fn encode(&mut self, value: &Value<'r>) -> Result<(), RenderError> {
        match value {
            Value::Json(json) => return self.encode_json(json),
            Value::Root => return Err(whole_session()),
            _ => {}
        }
        self.meter.spend(1)?;
        match value.shape() {
            Shape::Missing | Shape::Null => self.write(|writer| writer.raw("null")),
            Shape::Bool(value) => self.write(|writer| writer.raw(if value { "true" } else { "false" })),
            Shape::Number(number) => {
                self.meter.spend(number.token().len() / 64)?;
                self.write(|writer| writer.raw(number.token()))
            }
            Shape::Text(text) => {
                self.meter.spend_bytes(text.len().saturating_mul(READS_TO_ESCAPE))?;
                self.write(|writer| writer.quoted(text))
            }
            Shape::Array(elements) => {
                self.write(|writer| writer.descend().and_then(|()| writer.raw("[")))?;
                for (index, element) in elements.to_vec().iter().enumerate() {
                    if index > 0 {
                        self.write(|writer| writer.raw(","))?;
                    }
                    self.encode(element)?;
                }
                self.writer.ascend();
                self.write(|writer| writer.raw("]"))
            }
            Shape::Object(members) => {
                self.write(|writer| writer.descend().and_then(|()| writer.raw("{")))?;
                for (index, (name, member)) in members.to_vec().iter().enumerate() {
                    if index > 0 {
                        self.write(|writer| writer.raw(","))?;
                    }
                    self.meter.spend(name.as_str().len().saturating_mul(READS_TO_ESCAPE) / 64)?;
                    self.write(|writer| writer.quoted(name.as_str()).and_then(|()| writer.raw(":")))?;
                    self.encode(member)?;
                }
                self.writer.ascend();
                self.write(|writer| writer.raw("}"))
            }
        }
    }

    fn encode_json(&mut self, json: &Json<'_>) -> Result<(), RenderError> {
        self.meter.spend(1)?;
        match json {
            Json::Null => self.write(|writer| writer.raw("null")),
            Json::Bool(value) => self.write(|writer| writer.raw(if *value { "true" } else { "false" })),
            Json::Number(number) => {
                self.meter.spend(number.token().len() / 64)?;
                self.write(|writer| writer.raw(number.token()))
            }
            Json::String(text) => {
                self.meter.spend(text.len().saturating_mul(READS_TO_ESCAPE) / 64)?;
                self.write(|writer| writer.quoted(text))
            }
            Json::Array(elements) => {
                self.write(|writer| writer.descend().and_then(|()| writer.raw("[")))?;
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        self.write(|writer| writer.raw(","))?;
                    }
                    self.encode_json(element)?;
                }
                self.writer.ascend();
                self.write(|writer| writer.raw("]"))
            }
            Json::Object(object) => {
                self.write(|writer| writer.descend().and_then(|()| writer.raw("{")))?;
                for (index, (name, member)) in object.iter().enumerate() {
                    if index > 0 {
                        self.write(|writer| writer.raw(","))?;
                    }
                    self.meter.spend(name.len().saturating_mul(READS_TO_ESCAPE) / 64)?;
                    self.write(|writer| writer.quoted(name).and_then(|()| writer.raw(":")))?;
                    self.encode_json(member)?;
                }
                self.writer.ascend();
                self.write(|writer| writer.raw("}"))
            }
        }
    }
}
