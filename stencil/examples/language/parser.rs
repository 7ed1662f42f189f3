//! Tokens -> the tree. Recursive descent; binary signs by their strength.

use super::ast::{Binary, Expression, ExpressionKind, Function, Lazy, Program, Statement, Unary};
use super::lexer::{Token, TokenKind, tokens};
use super::source::SourceError;

/// Deeper than this nothing nests, for the sake of the stack.
const NESTING_MAX: u32 = 200;

/// The tree of a source.
pub fn parse(source: &str) -> Result<Program<'_>, SourceError> {
    let mut parser = Parser { source, tokens: tokens(source)?, next: 0, nesting: 0 };
    let mut functions = Vec::new();
    while parser.token().kind != TokenKind::End {
        functions.push(parser.function()?);
    }
    Ok(Program { functions })
}

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Token<'s>>,
    next: usize,
    nesting: u32,
}

type Parsed<T> = Result<T, SourceError>;

enum Infix {
    Binary(Binary),
    Lazy(Lazy),
}

/// What an infix sign does, and how strongly it binds.
fn infix(kind: TokenKind<'_>) -> Option<(Infix, u8)> {
    let TokenKind::Fixed(sign) = kind else { return None };
    Some(match sign {
        "||" => (Infix::Lazy(Lazy::Or), 1),
        "&&" => (Infix::Lazy(Lazy::And), 2),
        "==" => (Infix::Binary(Binary::Equal), 3),
        "!=" => (Infix::Binary(Binary::NotEqual), 3),
        "<" => (Infix::Binary(Binary::Less), 4),
        "<=" => (Infix::Binary(Binary::LessOrEqual), 4),
        ">" => (Infix::Binary(Binary::Greater), 4),
        ">=" => (Infix::Binary(Binary::GreaterOrEqual), 4),
        "+" => (Infix::Binary(Binary::Add), 5),
        "-" => (Infix::Binary(Binary::Subtract), 5),
        "*" => (Infix::Binary(Binary::Multiply), 6),
        "/" => (Infix::Binary(Binary::Divide), 6),
        "%" => (Infix::Binary(Binary::Remainder), 6),
        _ => return None,
    })
}

impl<'s> Parser<'s> {
    fn token(&self) -> Token<'s> {
        self.tokens[self.next]
    }

    /// Takes a token; the last one stays.
    fn take(&mut self) -> Token<'s> {
        let token = self.token();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn take_if(&mut self, sign: &'static str) -> bool {
        let found = self.token().kind == TokenKind::Fixed(sign);
        if found {
            self.take();
        }
        found
    }

    fn expected<T>(&self, what: &str) -> Parsed<T> {
        let Token { kind, offset } = self.token();
        let sentence = format!("expected {what}, found {kind}");
        Err(SourceError::at(self.source, offset, sentence))
    }

    fn expect(&mut self, sign: &'static str, place: &str) -> Parsed<u32> {
        let offset = self.token().offset;
        if self.take_if(sign) { Ok(offset) } else { self.expected(&format!("`{sign}` {place}")) }
    }

    fn name(&mut self, what: &str) -> Parsed<(&'s str, u32)> {
        let TokenKind::Name(name) = self.token().kind else { return self.expected(what) };
        Ok((name, self.take().offset))
    }

    /// One level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == NESTING_MAX {
            let sentence = format!("nested deeper than {NESTING_MAX} levels");
            return Err(SourceError::at(self.source, self.token().offset, sentence));
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    fn function(&mut self) -> Parsed<Function<'s>> {
        self.expect("fn", "at the start of a function")?;
        let (name, offset) = self.name("the function's name")?;
        self.expect("(", "after the function's name")?;
        let parameters = self.list("parameter", |parser| parser.name("a parameter's name"))?;
        let body = self.block()?;
        Ok(Function { name, offset, parameters, body })
    }

    /// Things between commas, up to and with the `)`.
    fn list<T>(&mut self, what: &str, one: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut things = Vec::new();
        if self.take_if(")") {
            return Ok(things);
        }
        loop {
            things.push(one(self)?);
            if self.take_if(")") {
                return Ok(things);
            }
            if !self.take_if(",") {
                return self.expected(&format!("`,` or `)` after the {what}"));
            }
        }
    }

    fn block(&mut self) -> Parsed<Vec<Statement<'s>>> {
        let opened = self.expect("{", "at the start of a block")?;
        let mut statements = Vec::new();
        while !self.take_if("}") {
            if self.token().kind == TokenKind::End {
                let line = SourceError::at(self.source, opened, String::new()).line;
                return self.expected(&format!("`}}` for the `{{` of line {line}"));
            }
            statements.push(self.nested(Self::statement)?);
        }
        Ok(statements)
    }

    fn statement(&mut self) -> Parsed<Statement<'s>> {
        if self.take_if("if") {
            return self.condition();
        }
        if self.take_if("while") {
            return Ok(Statement::While(self.expression(0)?, self.block()?));
        }
        let token = self.token();
        let statement = if self.take_if("let") {
            let (name, _) = self.name("the variable's name")?;
            self.expect("=", "after the variable's name")?;
            Statement::Let(name, self.expression(0)?)
        } else if self.take_if("return") {
            Statement::Return(token.offset, self.expression(0)?)
        } else {
            let expression = self.expression(0)?;
            match expression.kind {
                ExpressionKind::Name(name) if self.take_if("=") => {
                    Statement::Assign(name, expression.offset, self.expression(0)?)
                }
                _ => Statement::Expression(expression),
            }
        };
        self.expect(";", "at the end of the statement")?;
        Ok(statement)
    }

    /// What follows an `if`.
    fn condition(&mut self) -> Parsed<Statement<'s>> {
        let condition = self.expression(0)?;
        let then = self.block()?;
        let otherwise = match self.take_if("else") {
            true if self.take_if("if") => vec![self.nested(Self::condition)?],
            true => self.block()?,
            false => Vec::new(),
        };
        Ok(Statement::If(condition, then, otherwise))
    }

    /// An expression whose signs bind more strongly than `floor`.
    fn expression(&mut self, floor: u8) -> Parsed<Expression<'s>> {
        let mut left = self.nested(Self::operand)?;
        while let Some((sign, strength)) = infix(self.token().kind)
            && strength > floor
        {
            let offset = self.take().offset;
            let right = Box::new(self.nested(|parser| parser.expression(strength))?);
            let kind = match sign {
                Infix::Binary(binary) => ExpressionKind::Binary(binary, Box::new(left), right),
                Infix::Lazy(lazy) => ExpressionKind::Lazy(lazy, Box::new(left), right),
            };
            left = Expression { offset, kind };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Parsed<Expression<'s>> {
        let Token { kind, offset } = self.token();
        let kind = match kind {
            TokenKind::Fixed("(") => {
                self.take();
                let inner = self.expression(0)?;
                self.expect(")", "after the expression")?;
                return Ok(inner);
            }
            TokenKind::Fixed("-") => self.unary(Unary::Negate)?,
            TokenKind::Fixed("!") => self.unary(Unary::Not)?,
            TokenKind::Number(value) => {
                self.take();
                ExpressionKind::Number(value)
            }
            TokenKind::Name(name) => {
                self.take();
                match self.take_if("(") {
                    true => ExpressionKind::Call(
                        name,
                        self.list("argument", |parser| parser.expression(0))?,
                    ),
                    false => ExpressionKind::Name(name),
                }
            }
            _ => return self.expected("an expression"),
        };
        Ok(Expression { offset, kind })
    }

    fn unary(&mut self, unary: Unary) -> Parsed<ExpressionKind<'s>> {
        self.take();
        Ok(ExpressionKind::Unary(unary, Box::new(self.nested(Self::operand)?)))
    }
}
