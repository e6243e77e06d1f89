//! A parameter's or a field's type, written the same way for both languages: Rust's.

use super::lex::{Token, closing};
use std::collections::BTreeMap;
use std::fmt;

/// What a kernel takes or a struct holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A number by Rust's name, or a struct.
    Value(String),
    /// A pointer to what may only be read.
    Const(String),
    /// A pointer to what may be written.
    Mut(String),
    /// So many in a row.
    Array(Box<Type>, String),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Value(name) => f.write_str(name),
            Type::Const(name) => write!(f, "*const {name}"),
            Type::Mut(name) => write!(f, "*mut {name}"),
            Type::Array(item, length) => write!(f, "[{item}; {length}]"),
        }
    }
}

impl Type {
    /// What it is made of or points to.
    pub(super) fn name(&self) -> &str {
        match self {
            Type::Value(name) | Type::Const(name) | Type::Mut(name) => name,
            Type::Array(item, _) => item.name(),
        }
    }
}

/// C++'s name of a number, words in alphabetical order, beside Rust's.
const NUMBERS: [(&str, &str); 25] = [
    ("bool", "bool"),
    ("float", "f32"),
    ("double", "f64"),
    ("int", "i32"),
    ("int signed", "i32"),
    ("unsigned", "u32"),
    ("int unsigned", "u32"),
    ("long long", "i64"),
    ("int long long", "i64"),
    ("long long unsigned", "u64"),
    ("int long long unsigned", "u64"),
    ("size_t", "u64"),
    ("short", "i16"),
    ("int short", "i16"),
    ("short unsigned", "u16"),
    ("int short unsigned", "u16"),
    ("char signed", "i8"),
    ("char unsigned", "u8"),
    ("int8_t", "i8"),
    ("uint8_t", "u8"),
    ("uint16_t", "u16"),
    ("int32_t", "i32"),
    ("uint32_t", "u32"),
    ("int64_t", "i64"),
    ("uint64_t", "u64"),
];
/// Words beside a type that say nothing about what is passed.
const DECORATION: [&str; 6] =
    ["__restrict__", "__restrict", "__grid_constant__", "volatile", "struct", "constexpr"];

/// C++: names that stand for other types, by `typedef` or `using`.
pub(super) type Aliases<'a> = BTreeMap<&'a str, Type>;

/// A name and its type from C++: `const float* __restrict__ x`, `int strides[4]`. None if it is
/// something else, such as a reference.
pub(super) fn of_cpp<'a>(tokens: &[Token<'a>], aliases: &Aliases<'_>) -> Option<(&'a str, Type)> {
    let (tokens, lengths) = match tokens.iter().position(|token| token.is('[')) {
        Some(bracket) => tokens.split_at(bracket),
        None => (tokens, &[][..]),
    };
    let (name, before) = tokens.split_last()?;
    let mut ty = of_cpp_alone(before, aliases)?;
    for length in lengths.rsplit(|token| token.is('[')).filter(|length| !length.is_empty()) {
        let [Token::Word(length), Token::Mark(']')] = length else { return None };
        ty = Type::Array(Box::new(ty), (*length).to_owned());
    }
    Some((name.word()?, ty))
}

/// A type from C++ without a name: `const float*`, `unsigned long long`.
pub(super) fn of_cpp_alone(tokens: &[Token<'_>], aliases: &Aliases<'_>) -> Option<Type> {
    let (mut words, mut constant, mut pointer) = (Vec::new(), false, false);
    for token in tokens {
        match token {
            Token::Word("const") => constant |= !pointer,
            Token::Word(word) if DECORATION.contains(word) => {}
            Token::Word(word) if !pointer => words.push(*word),
            Token::Mark('*') if !pointer => pointer = true,
            _ => return None,
        }
    }
    words.sort_unstable();
    let number = NUMBERS.iter().find(|(cpp, _)| *cpp == words.join(" "));
    let value = match (number, &words[..]) {
        (Some((_, rust)), _) => Type::Value((*rust).to_owned()),
        (None, [name]) => aliases.get(name).cloned().unwrap_or(Type::Value((*name).to_owned())),
        (None, _) => return None,
    };
    match (value, pointer) {
        (value, false) => Some(value),
        (Type::Value(name), true) if constant => Some(Type::Const(name)),
        (Type::Value(name), true) => Some(Type::Mut(name)),
        (_, true) => None,
    }
}

/// The aliases that a unit declares, in its order.
pub(super) fn aliases<'a>(tokens: &[Token<'a>]) -> Aliases<'a> {
    let mut aliases = Aliases::new();
    for (i, token) in tokens.iter().enumerate() {
        let rest = &tokens[i + 1..];
        let end = rest.iter().position(|token| token.is(';')).unwrap_or(0);
        let alias = match (token, &rest[..end]) {
            (Token::Word("typedef"), declared) => of_cpp(declared, &aliases),
            (Token::Word("using"), [Token::Word(name), Token::Mark('='), ty @ ..]) => {
                of_cpp_alone(ty, &aliases).map(|ty| (*name, ty))
            }
            _ => None,
        };
        aliases.extend(alias);
    }
    aliases
}

/// A type from Rust: `i32`, `gpu::In<f32>`, `[i32; 4]`, `*const f32`, `Geometry`. None if it is
/// something else.
pub(super) fn of_rust(tokens: &[Token<'_>]) -> Option<Type> {
    match tokens {
        [Token::Mark('*'), Token::Word("const"), of @ ..] => Some(Type::Const(last_name(of)?)),
        [Token::Mark('*'), Token::Word("mut"), of @ ..] => Some(Type::Mut(last_name(of)?)),
        [Token::Mark('['), inside @ .., Token::Mark(']')] => {
            let semicolon = inside.iter().rposition(|token| token.is(';'))?;
            let length = last_name(&inside[semicolon + 1..])?;
            Some(Type::Array(Box::new(of_rust(&inside[..semicolon])?), length))
        }
        _ => match tokens.iter().position(|token| token.is('<')) {
            None => Some(Type::Value(last_name(tokens)?)),
            Some(open) if closing(tokens, open) + 1 == tokens.len() => {
                let of = last_name(&tokens[open + 1..tokens.len() - 1])?;
                match last_name(&tokens[..open])?.as_str() {
                    "In" => Some(Type::Const(of)),
                    "Out" | "InOut" => Some(Type::Mut(of)),
                    _ => None,
                }
            }
            Some(_) => None,
        },
    }
}

/// The last name of a path, and nothing but a path.
fn last_name(path: &[Token<'_>]) -> Option<String> {
    let (last, before) = path.split_last()?;
    let is_path = before.iter().all(|token| token.is(':') || token.word().is_some());
    is_path.then(|| last.word().map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::lex::tokens;
    use super::*;

    fn cpp(text: &str) -> Option<String> {
        let unit = tokens("typedef unsigned short bits; using wide = unsigned long long;");
        of_cpp(&tokens(text), &aliases(&unit)).map(|(name, ty)| format!("{name}: {ty}"))
    }

    #[test]
    fn cpp_reads_as_rust() {
        for (text, expected) in [
            ("const float* __restrict__ x", "x: *const f32"),
            ("float const *x", "x: *const f32"),
            ("float* const x", "x: *mut f32"),
            ("const int n", "n: i32"),
            ("unsigned long long int key", "key: u64"),
            ("const bits* __restrict__ a", "a: *const u16"),
            ("wide seed", "seed: u64"),
            ("size_t n", "n: u64"),
            ("const __grid_constant__ TensorMap map", "map: TensorMap"),
            ("int strides[2][N]", "strides: [[i32; N]; 2]"),
        ] {
            assert_eq!(cpp(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["const float& x", "float** x", "", "float (&x)[4]"] {
            assert_eq!(cpp(text), None, "{text}");
        }
    }

    #[test]
    fn rust_reads_as_rust() {
        let rust = |text| of_rust(&tokens(text)).map(|ty| ty.to_string());
        for (text, expected) in [
            ("In<f32>", "*const f32"),
            ("gpu::Out<u16>", "*mut u16"),
            ("InOut<f32>", "*mut f32"),
            ("*const f32", "*const f32"),
            ("[[i32; RANK]; 2]", "[[i32; RANK]; 2]"),
            ("super::Geometry", "Geometry"),
        ] {
            assert_eq!(rust(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(rust("Option<f32>"), None);
        assert_eq!(rust("&f32"), None);
    }
}
