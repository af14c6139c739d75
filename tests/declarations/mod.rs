//! The declarations of include/gomax.h, read back from its text: what a binding has to say again in its language. Each
//! language has a file here that writes its declarations from a [`Header`]; `make header` runs them all. A further
//! language is a further file, and a line of `written` in tests/header.rs.
//!
//! It reads what the generator of the header writes, and not all of C: one declarator a declaration, types that are a
//! name with stars behind it, a pointer to a function, or an array of numbers. It panics at anything else.

pub mod nim;
pub mod zig;

use std::iter::Peekable;
use std::vec::IntoIter;

/// All declarations, in the order of the header. What stands before the first section (the version, the macros for
/// attributes) is not among them.
pub struct Header {
    pub items: Vec<Item>,
}

pub struct Item {
    /// The title of its section.
    pub section: String,
    /// The comment before it, without stars.
    pub doc: String,
    pub name: String,
    pub what: What,
}

pub enum What {
    /// A macro with a number, or one of `SIZE_MAX` and `INT64_MAX`.
    Constant(String),
    /// `typedef uint64_t gmx_g;`
    Alias(String),
    /// `typedef struct gmx_chan gmx_chan;`
    Opaque,
    Struct(Vec<Member>),
    Variable(Type),
    Function {
        must_use: bool,
        parameters: Vec<Member>,
        returns: Type,
    },
}

/// A field, or a parameter; the parameters of a function that is itself a parameter may have no name.
pub struct Member {
    pub name: String,
    pub doc: String,
    pub ty: Type,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Without `struct`.
    Named(String),
    Pointer {
        to: Box<Type>,
        constant: bool,
    },
    /// A pointer to a function.
    Function {
        parameters: Vec<Type>,
        returns: Box<Type>,
    },
    Array(Box<Type>, usize),
}

impl Type {
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Type::Named(mine) if mine == name)
    }

    /// `void (*)(void *)`, which most functions of the host are.
    pub fn is_plain_function(&self) -> bool {
        let Type::Function { parameters, returns } = self else { return false };
        let [Type::Pointer { to, .. }] = &parameters[..] else { return false };
        returns.is("void") && to.is("void")
    }
}

impl Header {
    pub fn parse(text: &str) -> Header {
        let mut parser = Parser { tokens: tokens(text).into_iter().peekable() };
        let mut items = Vec::new();
        let (mut section, mut doc) = (None, String::new());
        while let Some(token) = parser.tokens.next() {
            let found = match token {
                Token::Section(title) => {
                    section = Some(title);
                    None
                }
                Token::Doc(text) => {
                    doc = text;
                    continue;
                }
                Token::Define(name, value) => Some((name, What::Constant(value))),
                Token::Word(word) => parser.declaration(&word),
                Token::Sign('}') => None, // the end of `extern "C"`
                Token::Sign(sign) => panic!("{sign} begins no declaration"),
            };
            if let (Some((name, what)), Some(section)) = (found, &section) {
                items.push(Item { section: section.clone(), doc: std::mem::take(&mut doc), name, what });
            }
            doc.clear();
        }
        Header { items }
    }

    pub fn functions(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| matches!(item.what, What::Function { .. }))
    }

    pub fn structs(&self) -> impl Iterator<Item = (&Item, &[Member])> {
        self.items.iter().filter_map(|item| match &item.what {
            What::Struct(fields) => Some((item, &fields[..])),
            _ => None,
        })
    }

    pub fn constants(&self) -> impl Iterator<Item = (&Item, &str)> {
        self.items.iter().filter_map(|item| match &item.what {
            What::Constant(value) => Some((item, value.as_str())),
            _ => None,
        })
    }
}

/// gmx_sched_stats is SchedStats.
pub fn camel_case(name: &str) -> String {
    let words = name.strip_prefix("gmx_").expect("a name of the library").split('_');
    words.flat_map(|word| [word[..1].to_uppercase(), word[1..].to_string()]).collect()
}

// ---- words and signs ----

enum Token {
    Section(String),
    Doc(String),
    Define(String, String),
    Word(String),
    Sign(char),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = if rest.starts_with("/*") {
            let end = rest.find("*/").expect("a comment without an end") + 2;
            let comment = &rest[..end];
            if let Some(title) = comment.strip_prefix("/* ---- ") {
                let title = title.trim_end_matches("*/").trim_end().trim_end_matches('-').trim_end();
                found.push(Token::Section(title.to_string()));
            } else if comment.starts_with("/**") && !comment.starts_with("/**<") {
                let lines = comment[3..end - 2].lines().map(|line| line.trim().trim_start_matches('*').trim());
                found.push(Token::Doc(lines.collect::<Vec<_>>().join("\n").trim().to_string()));
            }
            end
        } else if first == '#' {
            // to the end of the last line that a backslash continues
            let mut end = 0;
            for line in rest.split_inclusive('\n') {
                end += line.len();
                if !line.trim_end().ends_with('\\') {
                    break;
                }
            }
            found.extend(define(&rest[..end]));
            end
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_string()));
            end
        } else {
            found.push(Token::Sign(first));
            first.len_utf8()
        };
        rest = rest[end..].trim_start();
    }
    found
}

/// A macro that is a number.
fn define(directive: &str) -> Option<Token> {
    let rest = directive.strip_prefix("#define ")?;
    let (name, value) = rest.trim_end().split_once(' ')?;
    let value = value.split("/*").next()?.trim();
    let value = value.strip_prefix('(').and_then(|v| v.strip_suffix(')')).unwrap_or(value);
    let known = value.parse::<i64>().is_ok() || ["SIZE_MAX", "INT64_MAX"].contains(&value);
    known.then(|| Token::Define(name.to_string(), value.to_string()))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

// ---- declarations ----

struct Parser {
    tokens: Peekable<IntoIter<Token>>,
}

impl Parser {
    /// What begins with `word`; none for what is no declaration of the library's.
    fn declaration(&mut self, word: &str) -> Option<(String, What)> {
        match word {
            "typedef" => Some(self.definition()),
            "GMX_API" | "GMX_MUST_USE" => {
                let must_use = word == "GMX_MUST_USE";
                assert!(!must_use || self.takes("GMX_API"), "GMX_MUST_USE without GMX_API");
                let (name, returns) = self.declarator();
                let parameters = self.parameters();
                self.sign(';');
                Some((name, What::Function { must_use, parameters, returns }))
            }
            "extern" if self.takes("GMX_API") => {
                let (name, ty) = self.declarator();
                self.sign(';');
                Some((name, What::Variable(ty)))
            }
            // `extern "C" {`; what is in it is read as all else
            "extern" if self.takes_sign('"') => {
                while !self.takes_sign('{') {
                    self.tokens.next().expect("extern \"C\" without a brace");
                }
                None
            }
            // a type of the system
            "struct" => {
                self.word();
                self.sign(';');
                None
            }
            // the status codes as other readers see them, and bodies
            "enum" | "extern" => {
                self.skip_braces();
                self.takes_sign(';');
                None
            }
            _ => panic!("{word} begins no declaration"),
        }
    }

    fn definition(&mut self) -> (String, What) {
        if !self.takes("struct") {
            let (name, ty) = self.declarator();
            self.sign(';');
            let Type::Named(same) = ty else { panic!("{name} is a name for {ty:?}") };
            return (name, What::Alias(same));
        }
        let name = self.word();
        if !self.takes_sign('{') {
            assert!(self.takes(&name), "struct {name} has another name");
            self.sign(';');
            return (name, What::Opaque);
        }
        let mut fields = Vec::new();
        while !self.takes_sign('}') {
            let mut doc = String::new();
            while let Some(Token::Doc(text)) = self.tokens.next_if(|token| matches!(token, Token::Doc(_))) {
                doc = text;
            }
            let (name, ty) = self.declarator();
            self.sign(';');
            fields.push(Member { name, doc, ty });
        }
        assert!(self.takes(&name), "struct {name} has another name");
        self.sign(';');
        (name, What::Struct(fields))
    }

    /// A type with the name that it declares, "" if there is none: `const char *name`, `void (*fn)(void *)`.
    fn declarator(&mut self) -> (String, Type) {
        let (mut base, mut constant, mut is_struct) = (None, false, false);
        loop {
            match self.tokens.peek() {
                Some(Token::Word(word)) if word == "const" => constant = true,
                Some(Token::Word(word)) if word == "volatile" => {}
                Some(Token::Word(word)) if word == "struct" => is_struct = true,
                // To other languages a struct of the system is memory at an address.
                Some(Token::Word(word)) if is_struct && !word.starts_with("gmx_") && base.is_none() => {
                    base = Some("void".to_string());
                }
                Some(Token::Word(word)) if base.is_none() => base = Some(word.clone()),
                _ => break,
            }
            self.tokens.next();
        }
        let mut ty = Type::Named(base.expect("a type"));
        while self.takes_sign('*') {
            ty = Type::Pointer { to: Box::new(ty), constant };
            constant = self.takes("const");
        }
        if self.takes_sign('(') {
            self.sign('*');
            let name = self.word();
            self.sign(')');
            let parameters = self.parameters().into_iter().map(|parameter| parameter.ty).collect();
            return (name, Type::Function { parameters, returns: Box::new(ty) });
        }
        let named = self.tokens.next_if(|token| matches!(token, Token::Word(_)));
        let name = if let Some(Token::Word(name)) = named { name } else { String::new() };
        if self.takes_sign('[') {
            ty = Type::Array(Box::new(ty), self.word().parse().expect("a length"));
            self.sign(']');
        }
        (name, ty)
    }

    fn parameters(&mut self) -> Vec<Member> {
        self.sign('(');
        let mut found = Vec::new();
        while !self.takes_sign(')') {
            let (name, ty) = self.declarator();
            if !ty.is("void") {
                found.push(Member { name, doc: String::new(), ty });
            }
            self.takes_sign(',');
        }
        found
    }

    fn skip_braces(&mut self) {
        let mut depth = 0;
        loop {
            match self.tokens.next().expect("braces without an end") {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') if depth == 1 => return,
                Token::Sign('}') => depth -= 1,
                _ => {}
            }
        }
    }

    fn word(&mut self) -> String {
        match self.tokens.next() {
            Some(Token::Word(word)) => word,
            _ => panic!("no word where one must be"),
        }
    }

    fn sign(&mut self, sign: char) {
        assert!(self.takes_sign(sign), "no {sign} where one must be");
    }

    fn takes(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(this) if this == word)).is_some()
    }

    fn takes_sign(&mut self, sign: char) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Sign(this) if *this == sign)).is_some()
    }
}
