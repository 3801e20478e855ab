//! Path templates of `google.api.http`: the grammar, checked at build time.

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its segments, including those of its variables.
    pub segments: Vec<Segment>,
    /// The verb after the colon, in canonical form; empty if none.
    pub verb: String,
    /// Its variables.
    pub variables: Vec<Variable>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A literal, in canonical form: decoded, then everything except `-._~` and ASCII letters and digits encoded.
    Literal(String),
    /// `*`: any one segment.
    Any,
    /// `**`: any number of segments.
    Rest,
}

/// A variable: the segments `first..=last` bind a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Path of the field.
    pub field: String,
    /// Index of its first segment.
    pub first: usize,
    /// Index of its last segment.
    pub last: usize,
}

/// Why a template does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

type Result<T> = std::result::Result<T, TemplateError>;

fn fail<T>(why: impl Into<String>) -> Result<T> {
    Err(TemplateError(why.into()))
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self> {
        let Some(rest) = text.strip_prefix('/') else { return fail("a path template must begin with a slash") };
        if let Some(c) = text.chars().find(|c| !is_allowed(*c)) {
            return fail(format!("{c:?} is not allowed in a path template; percent-encode it"));
        }
        let (path, verb) = split_verb(rest)?;
        let mut template = Self { segments: Vec::new(), verb, variables: Vec::new() };
        for part in split_segments(path)? {
            template.push(part)?;
        }
        template.check()?;
        Ok(template)
    }

    /// Two rules of one method must not have the same segments and verb.
    pub fn shape(&self) -> (&[Segment], &str) {
        (&self.segments, &self.verb)
    }

    fn push(&mut self, part: &str) -> Result<()> {
        let Some(inner) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            if part.contains(['{', '}']) {
                return fail("a variable must be a whole segment");
            }
            self.segments.push(segment(part)?);
            return Ok(());
        };
        if inner.contains(['{', '}']) {
            return fail("a variable must not be inside or beside another one");
        }
        let (field, pattern) = inner.split_once('=').unwrap_or((inner, "*"));
        if !field.split('.').all(is_identifier) {
            return fail(format!("{field:?} is not a field path"));
        }
        let first = self.segments.len();
        for part in pattern.split('/') {
            self.segments.push(segment(part)?);
        }
        self.variables.push(Variable { field: field.to_owned(), first, last: self.segments.len() - 1 });
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let rest = self.segments.iter().position(|segment| *segment == Segment::Rest);
        if let Some(rest) = rest
            && self.segments[rest + 1..].iter().any(|segment| !matches!(segment, Segment::Literal(_)))
        {
            return fail("only literals may follow **");
        }
        for (index, variable) in self.variables.iter().enumerate() {
            if self.variables[..index].iter().any(|other| other.field == variable.field) {
                return fail(format!("the field {} is bound twice", variable.field));
            }
        }
        Ok(())
    }
}

/// Splits off the verb: the text after a colon in the last segment.
fn split_verb(text: &str) -> Result<(&str, String)> {
    let mut depth = 0_usize;
    let mut colon = None;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.checked_sub(1).ok_or_else(|| TemplateError("unbalanced braces".into()))?,
            ':' if depth > 0 => return fail("a variable must not contain a colon"),
            ':' if colon.is_some() => return fail("a verb must not contain a colon"),
            ':' => colon = Some(at),
            '/' if colon.is_some() => {
                return fail("a verb must be at the end of the last segment; write %3A for a colon");
            }
            _ => {}
        }
    }
    if depth > 0 {
        return fail("unbalanced braces");
    }
    let Some(at) = colon else { return Ok((text, String::new())) };
    match segment(&text[at + 1..])? {
        Segment::Literal(verb) => Ok((&text[..at], verb)),
        _ => fail("a verb must be a literal"),
    }
}

/// Splits at slashes outside of braces.
fn split_segments(path: &str) -> Result<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in path.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '/' if depth == 0 => {
                parts.push(&path[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&path[start..]);
    Ok(parts)
}

fn segment(part: &str) -> Result<Segment> {
    match part {
        "" => fail("empty segment"),
        "*" => Ok(Segment::Any),
        "**" => Ok(Segment::Rest),
        part if part.contains(['*', '{', '}']) => {
            fail(format!("{part:?}: a wildcard or variable must be a whole segment"))
        }
        part => canonical(part).map(Segment::Literal),
    }
}

/// Decodes escapes and encodes everything except unreserved characters (RFC 3986, section 2.3).
fn canonical(literal: &str) -> Result<String> {
    let mut bytes = literal.bytes();
    let mut out = String::new();
    while let Some(mut byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
            let Some(value) = digit().zip(digit()) else { return fail("malformed percent-escape") };
            byte = u8::try_from(value.0 << 4 | value.1).unwrap_or_default();
        }
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(out)
}

/// Characters of RFC 3986's `pchar`, the slash, and those of the template syntax.
fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:@/{}".contains(c)
}

fn is_identifier(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
