//! The syntax of template expressions, such as `[resourceId('Microsoft.Compute/images', parameters('name'))]`.

use super::super::json::Json;

/// The maximum nesting depth.
const MAXIMUM_DEPTH: usize = 60;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A string or a whole number.
    Literal(Json),
    /// A call of a function, `name(…)` or `namespace.name(…)`, in lower case.
    Call(String, Vec<Expression>),
    /// `object.member`, `object['member']` or `array[0]`.
    Member(Box<Expression>, Box<Expression>),
}

impl Expression {
    /// Visits this expression and all expressions in it.
    pub fn visit(&self, visitor: &mut impl FnMut(&Expression)) {
        visitor(self);
        match self {
            Expression::Literal(_) => {}
            Expression::Call(_, arguments) => arguments.iter().for_each(|argument| argument.visit(visitor)),
            Expression::Member(object, member) => {
                object.visit(visitor);
                member.visit(visitor);
            }
        }
    }
}

/// The meaning of a string in a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Text {
    /// A plain string.
    Plain(String),
    /// An expression.
    Expression(Expression),
}

/// Parses a string of a template: `[…]` is an expression, and `[[…` a plain string that begins with one bracket.
pub fn read(text: &str) -> Result<Text, String> {
    match text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(escaped) if escaped.starts_with('[') => Ok(Text::Plain(format!("{escaped}]"))),
        Some(inner) => parse(inner).map(Text::Expression),
        None => Ok(Text::Plain(text.to_owned())),
    }
}

fn parse(text: &str) -> Result<Expression, String> {
    let mut reader = Reader { rest: text, whole: text };
    let expression = reader.expression(0)?;
    reader.rest = reader.rest.trim_start();
    if reader.rest.is_empty() { Ok(expression) } else { Err(reader.fault("the end was expected")) }
}

struct Reader<'a> {
    rest: &'a str,
    whole: &'a str,
}

impl Reader<'_> {
    fn fault(&self, what: &str) -> String {
        let at = self.whole.len() - self.rest.len() + 1;
        format!("The template language expression '{}' is not valid: {what} at position '{at}'.", self.whole)
    }

    fn take(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn expression(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > MAXIMUM_DEPTH {
            return Err(self.fault("the nesting is too deep"));
        }
        let mut expression = self.primary(depth)?;
        loop {
            let member = if self.take('.') {
                Expression::Literal(Json::from(self.name()?))
            } else if self.take('[') {
                let member = self.expression(depth + 1)?;
                if !self.take(']') {
                    return Err(self.fault("']' was expected"));
                }
                member
            } else {
                return Ok(expression);
            };
            expression = Expression::Member(Box::new(expression), Box::new(member));
        }
    }

    fn primary(&mut self, depth: usize) -> Result<Expression, String> {
        if self.take('\'') {
            return self.string().map(|text| Expression::Literal(Json::String(text)));
        }
        let digits = self.rest.strip_prefix('-').unwrap_or(self.rest);
        if digits.starts_with(|c: char| c.is_ascii_digit()) {
            let sign = self.rest.len() - digits.len();
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let (number, rest) = self.rest.split_at(sign + end);
            let number = number.parse::<i64>().map_err(|_| self.fault("the number is too large"))?;
            self.rest = rest;
            return Ok(Expression::Literal(Json::from(number)));
        }
        let mut name = self.name()?;
        while self.take('.') {
            name = format!("{name}.{}", self.name()?);
        }
        if !self.take('(') {
            return Err(self.fault("'(' was expected"));
        }
        let mut arguments = Vec::new();
        if !self.take(')') {
            loop {
                arguments.push(self.expression(depth + 1)?);
                if self.take(')') {
                    break;
                }
                if !self.take(',') {
                    return Err(self.fault("',' or ')' was expected"));
                }
            }
        }
        Ok(Expression::Call(name.to_ascii_lowercase(), arguments))
    }

    /// The rest of a string after its opening quote. Two quotes stand for one.
    fn string(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            let end = self.rest.find('\'').ok_or_else(|| self.fault("a string has no end"))?;
            text += &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            match self.rest.strip_prefix('\'') {
                Some(rest) => self.rest = rest,
                None => return Ok(text),
            }
            text.push('\'');
        }
    }

    fn name(&mut self) -> Result<String, String> {
        self.rest = self.rest.trim_start();
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$')
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.fault("a name was expected"));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, arguments: Vec<Expression>) -> Expression {
        Expression::Call(name.to_owned(), arguments)
    }

    #[test]
    fn parses_expressions() {
        let text = |text: &str| Expression::Literal(Json::from(text));
        let member =
            |object: Expression, member: Expression| Expression::Member(Box::new(object), Box::new(member));
        for (written, read) in [
            ("f()", call("f", vec![])),
            (
                " Ns.F ( 'it''s' , -3 ) ",
                call("ns.f", vec![text("it's"), Expression::Literal(Json::from(-3_i64))]),
            ),
            (
                "variables('a').b['c'][0]",
                member(
                    member(member(call("variables", vec![text("a")]), text("b")), text("c")),
                    Expression::Literal(Json::from(0_i64)),
                ),
            ),
        ] {
            assert_eq!(parse(written).unwrap(), read, "{written}");
        }
        for written in [
            "",
            "f(",
            "f(,)",
            "f('a' 'b')",
            "f() g()",
            "f",
            "1.5",
            "'a",
            "f().1",
            "f()[",
            "99999999999999999999",
            "true",
        ] {
            assert!(parse(written).is_err(), "{written}");
        }
        assert!(parse(&"f(".repeat(10_000)).is_err());
    }

    #[test]
    fn only_strings_fully_in_brackets_are_expressions() {
        for (text, plain) in
            [("plain", "plain"), ("[[a]", "[a]"), ("[a] b", "[a] b"), ("", ""), ("[", "["), ("[[a", "[[a")]
        {
            assert_eq!(read(text).unwrap(), Text::Plain(plain.to_owned()), "{text}");
        }
        assert!(matches!(read("[f()]"), Ok(Text::Expression(_))));
    }
}
