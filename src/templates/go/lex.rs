//! The tokens of a Go template, by the rules of Go's own scanner: white space inside an action is a token, because it
//! separates arguments.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Assign,
    Bool,
    Char,
    CharConstant,
    Complex,
    Declare,
    Dot,
    End,
    Field,
    Identifier,
    Keyword,
    LeftDelim,
    LeftParen,
    Nil,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
}

/// One token: a piece of the template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    /// Where it starts, in bytes.
    pub(super) at: usize,
    pub(super) text: &'t str,
}

/// A text that is no sequence of tokens.
#[derive(Debug)]
pub(super) struct LexError {
    pub(super) at: usize,
    pub(super) message: &'static str,
}

const KEYWORDS: &[&str] = &["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

/// Cuts `text` into tokens, the last of which is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, LexError> {
    let mut lexer = Lexer { text, at: 0, parens: 0, tokens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    parens: usize,
    tokens: Vec<Token<'t>>,
}

impl<'t> Lexer<'t> {
    fn run(&mut self) -> Result<(), LexError> {
        let mut trim_start = false;
        loop {
            let rest = self.rest();
            let length = rest.find("{{").unwrap_or(rest.len());
            let is_last = length == rest.len();
            let after = rest.get(length + 2..).unwrap_or_default();
            let trim_end = !is_last && has_left_trim_marker(after);
            let mut content = &rest[..length];
            let mut start = self.at;
            if trim_start {
                let trimmed = content.trim_start_matches(is_space);
                start += content.len() - trimmed.len();
                content = trimmed;
            }
            if trim_end {
                content = content.trim_end_matches(is_space);
            }
            if !content.is_empty() {
                self.tokens.push(Token { kind: Kind::Text, at: start, text: content });
            }
            self.at += length;
            if is_last {
                self.push(Kind::End, self.at);
                return Ok(());
            }
            let marker = if trim_end { 2 } else { 0 };
            trim_start = if after.get(marker..).is_some_and(|inside| inside.starts_with("/*")) {
                self.at += 2 + marker;
                self.comment()?
            } else {
                self.at += 2;
                self.push(Kind::LeftDelim, self.at - 2);
                self.at += marker;
                self.action()?
            };
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push(&mut self, kind: Kind, from: usize) {
        let text = self.text.get(from..self.at).unwrap_or_default();
        self.tokens.push(Token { kind, at: from, text });
    }

    fn fail<T>(&self, message: &'static str) -> Result<T, LexError> {
        Err(LexError { at: self.at.min(self.text.len()), message })
    }

    /// Skips a comment; says whether white space after it is trimmed.
    fn comment(&mut self) -> Result<bool, LexError> {
        let Some(end) = self.rest().get(2..).and_then(|inside| inside.find("*/")) else {
            return self.fail("expected `*/` at the end of the comment, found the end of the template");
        };
        self.at += 2 + end + 2;
        match right_delim(self.rest()) {
            Some((length, trim)) => {
                self.at += length;
                Ok(trim)
            }
            None => self.fail("expected `}}` directly after the comment's `*/`"),
        }
    }

    /// Reads to the end of an action; says whether white space after it is trimmed.
    fn action(&mut self) -> Result<bool, LexError> {
        self.parens = 0;
        loop {
            if let Some((length, trim)) = right_delim(self.rest()) {
                if self.parens > 0 {
                    return self.fail("expected `)`, found the end of the action");
                }
                self.at += length;
                self.push(Kind::RightDelim, self.at - 2);
                return Ok(trim);
            }
            let start = self.at;
            let Some(first) = self.peek() else {
                return self.fail("expected `}}`, found the end of the template");
            };
            match first {
                ' ' | '\t' | '\r' | '\n' => self.space(),
                '=' => self.single(Kind::Assign),
                ':' => {
                    if !self.rest().starts_with(":=") {
                        return self.fail("expected `:=`, found a lone colon");
                    }
                    self.at += 2;
                    self.push(Kind::Declare, start);
                }
                '|' => self.single(Kind::Pipe),
                '(' => {
                    self.parens += 1;
                    self.single(Kind::LeftParen);
                }
                ')' => {
                    if self.parens == 0 {
                        return self.fail("expected `(` before this `)`");
                    }
                    self.parens -= 1;
                    self.single(Kind::RightParen);
                }
                '"' => self.quoted('"', Kind::String)?,
                '\'' => self.quoted('\'', Kind::CharConstant)?,
                '`' => {
                    let Some(end) = self.rest()[1..].find('`') else {
                        return self.fail("expected a closing backquote, found the end of the template");
                    };
                    self.at += end + 2;
                    self.push(Kind::RawString, start);
                }
                '$' => self.name(Kind::Variable)?,
                '.' if !self.rest()[1..].starts_with(|next: char| next.is_ascii_digit()) => self.name(Kind::Field)?,
                '.' | '+' | '-' | '0'..='9' => self.number()?,
                letter if is_alphanumeric(letter) => self.identifier()?,
                other if other.is_ascii_graphic() => self.single(Kind::Char),
                _ => return self.fail("found a character that cannot stand in an action"),
            }
        }
    }

    fn single(&mut self, kind: Kind) {
        self.at += 1;
        self.push(kind, self.at - 1);
    }

    fn space(&mut self) {
        let start = self.at;
        while self.peek().is_some_and(is_space) {
            if right_delim(self.rest()).is_some() {
                break;
            }
            self.at += 1;
        }
        if self.at > start {
            self.push(Kind::Space, start);
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind) -> Result<(), LexError> {
        let start = self.at;
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' if !matches!(characters.next(), None | Some((_, '\n'))) => {}
                '\\' | '\n' => return self.fail("expected the closing quote on the same line"),
                closing if closing == quote => {
                    self.at += index + 1;
                    self.push(kind, start);
                    return Ok(());
                }
                _ => {}
            }
        }
        self.fail("expected the closing quote, found the end of the template")
    }

    /// A field or a variable: its first character, then a name or nothing.
    fn name(&mut self, kind: Kind) -> Result<(), LexError> {
        let start = self.at;
        self.at += 1;
        if self.is_at_terminator() {
            self.push(if kind == Kind::Field { Kind::Dot } else { kind }, start);
            return Ok(());
        }
        self.letters();
        if !self.is_at_terminator() {
            return self.fail("found a character that cannot stand in a name; use `index` for other keys");
        }
        self.push(kind, start);
        Ok(())
    }

    fn identifier(&mut self) -> Result<(), LexError> {
        let start = self.at;
        self.letters();
        if !self.is_at_terminator() {
            return self.fail("found a character that cannot stand in a name");
        }
        let kind = match &self.text[start..self.at] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.push(kind, start);
        Ok(())
    }

    fn letters(&mut self) {
        while let Some(letter) = self.peek().filter(|letter| is_alphanumeric(*letter)) {
            self.at += letter.len_utf8();
        }
    }

    fn is_at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with("}}"),
        }
    }

    fn number(&mut self) -> Result<(), LexError> {
        let start = self.at;
        if !self.scan_number() {
            return self.fail("found a number that is written wrongly");
        }
        if self.rest().starts_with(['+', '-']) {
            if !self.scan_number() || !self.text[start..self.at].ends_with('i') {
                return self.fail("found a number that is written wrongly");
            }
            self.push(Kind::Complex, start);
        } else {
            self.push(Kind::Number, start);
        }
        Ok(())
    }

    fn accept(&mut self, any: &str) -> bool {
        let found = self.peek().is_some_and(|next| any.contains(next));
        self.at += usize::from(found);
        found
    }

    fn scan_number(&mut self) -> bool {
        const DECIMAL: &str = "0123456789_";
        self.accept("+-");
        let mut digits = DECIMAL;
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        while self.accept(digits) {}
        if self.accept(".") {
            while self.accept(digits) {}
        }
        let is_hex = digits.len() > DECIMAL.len();
        if digits == DECIMAL && self.accept("eE") || is_hex && self.accept("pP") {
            self.accept("+-");
            while self.accept(DECIMAL) {}
        }
        self.accept("i");
        !self.peek().is_some_and(is_alphanumeric)
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

fn has_left_trim_marker(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next() == Some('-') && characters.next().is_some_and(is_space)
}

/// The length of a right delimiter with its trim marker at the start of `text`, and whether it trims.
fn right_delim(text: &str) -> Option<(usize, bool)> {
    if text.starts_with("}}") {
        return Some((2, false));
    }
    (text.starts_with(is_space) && text[1..].starts_with("-}}")).then_some((4, true))
}
