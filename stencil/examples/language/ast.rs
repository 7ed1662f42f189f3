//! The tree of a program, as the parser makes it. Offsets are in bytes from the
//! start of the source.

/// A source file.
#[derive(Clone, Debug)]
pub struct Program<'s> {
    /// In the order of the source.
    pub functions: Vec<Function<'s>>,
}

/// A function; its parameters and its result are 64-bit integers.
#[derive(Clone, Debug)]
pub struct Function<'s> {
    /// As the source has it.
    pub name: &'s str,
    /// Where the name starts.
    pub offset: u32,
    /// Each with the offset of its name.
    pub parameters: Vec<(&'s str, u32)>,
    /// What it does.
    pub body: Vec<Statement<'s>>,
}

/// A statement.
#[derive(Clone, Debug)]
pub enum Statement<'s> {
    /// A new variable, visible to the end of the block.
    Let(&'s str, Expression<'s>),
    /// A new value for a variable; with the offset of the name.
    Assign(&'s str, u32, Expression<'s>),
    /// The second block is empty without `else`.
    If(Expression<'s>, Vec<Statement<'s>>, Vec<Statement<'s>>),
    /// As long as the condition is not 0.
    While(Expression<'s>, Vec<Statement<'s>>),
    /// With the offset of the keyword.
    Return(u32, Expression<'s>),
    /// For its effects.
    Expression(Expression<'s>),
}

/// An expression, and where it, or its sign, stands.
#[derive(Clone, Debug)]
pub struct Expression<'s> {
    /// Byte offset in the source.
    pub offset: u32,
    /// What it is.
    pub kind: ExpressionKind<'s>,
}

/// A kind of expression.
#[derive(Clone, Debug)]
pub enum ExpressionKind<'s> {
    /// A number.
    Number(i64),
    /// A parameter or a variable.
    Name(&'s str),
    /// `-` or `!`, which gives 1 for 0 and 0 for all else.
    Unary(Unary, Box<Expression<'s>>),
    /// Both sides are computed, the left one first.
    Binary(Binary, Box<Expression<'s>>, Box<Expression<'s>>),
    /// `&&` or `||`: the right side only if the left one does not decide. 0 or 1.
    Lazy(Lazy, Box<Expression<'s>>, Box<Expression<'s>>),
    /// A call, by the name of the function.
    Call(&'s str, Vec<Expression<'s>>),
}

/// A sign before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// `-`
    Negate,
    /// `!`
    Not,
}

/// A sign between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`, toward zero.
    Divide,
    /// `%`, with the sign of the left side.
    Remainder,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A sign whose right side is not always computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lazy {
    /// `&&`
    And,
    /// `||`
    Or,
}
