//! Words, literals and marks of CUDA C++ and of Rust: as much as it takes to read declarations.

/// One piece of a source without its comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, a keyword or a number.
    Word(&'a str),
    /// What stands between the quotes of a string or character.
    Text(&'a str),
    /// Any other character.
    Mark(char),
}

impl<'a> Token<'a> {
    pub(super) fn is(self, mark: char) -> bool {
        self == Token::Mark(mark)
    }

    pub(super) fn word(self) -> Option<&'a str> {
        match self {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// The text with a space in place of each comment. Strings stay what they are.
pub(super) fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (kept, length) = match comment(rest) {
            Some(length) => (" ", length),
            None => {
                let length = literal(rest).or(word(rest)).unwrap_or(first(rest).len_utf8());
                (&rest[..length], length)
            }
        };
        code.push_str(kept);
        rest = &rest[length..];
    }
    code
}

/// The tokens of a text that has no comments.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while !rest.is_empty() {
        let length = if let Some(length) = literal(rest) {
            let inside = rest[..length].trim_start_matches(['r', 'b']).trim_matches('#');
            tokens.push(Token::Text(&inside[1..inside.len() - 1]));
            length
        } else if let Some(length) = word(rest) {
            tokens.push(Token::Word(rest[..length].trim_start_matches("r#")));
            length
        } else {
            tokens.push(Token::Mark(first(rest)));
            first(rest).len_utf8()
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Where the group ends that opens at `open`: the index of its closing bracket, or the end. Other
/// kinds of brackets are not looked at, since `<` is also an operator.
pub(super) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let (opening, closing) = match tokens.get(open) {
        Some(Token::Mark('(')) => ('(', ')'),
        Some(Token::Mark('[')) => ('[', ']'),
        Some(Token::Mark('{')) => ('{', '}'),
        Some(Token::Mark('<')) => ('<', '>'),
        _ => return open,
    };
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        if token.is(opening) {
            depth += 1;
        } else if token.is(closing) {
            depth -= 1;
        }
        if depth == 0 {
            return i;
        }
    }
    tokens.len()
}

/// The parts between the commas that stand in no bracket; none for no tokens.
pub(super) fn parts<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let (mut parts, mut start, mut i) = (Vec::new(), 0, 0);
    while i < tokens.len() {
        match tokens[i] {
            Token::Mark('(' | '[' | '{' | '<') => i = closing(tokens, i),
            Token::Mark(',') => {
                parts.push(&tokens[start..i]);
                start = i + 1;
            }
            _ => {}
        }
        i += 1;
    }
    parts.push(&tokens[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// The length of the comment that the text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let inside = text.strip_prefix("/*")?;
    Some(inside.find("*/").map_or(text.len(), |end| end + 4))
}

/// The length of the string or character that the text begins with. A lone quote, as of a
/// lifetime, is neither.
fn literal(text: &str) -> Option<usize> {
    let body = text.trim_start_matches('b');
    let before = text.len() - body.len();
    if before > 1 {
        return None;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inside = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(before + 1 + hashes + 1 + inside.find(&end)? + end.len());
    }
    let quote = first_of(body).filter(|c| matches!(c, '"' | '\''))?;
    let mut escaped = false;
    for (i, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return is_whole(&body[1..i], quote).then_some(before + i + 1),
            _ => {}
        }
    }
    None
}

/// Is what stands between two quotes one literal? Between single quotes that is one character.
fn is_whole(inside: &str, quote: char) -> bool {
    quote == '"' || inside.starts_with('\\') || inside.chars().count() == 1
}

/// The length of the word that the text begins with.
fn word(text: &str) -> Option<usize> {
    let raw = if text.starts_with("r#") { 2 } else { 0 };
    let rest = &text[raw..];
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    (end > 0).then_some(raw + end)
}

fn first(text: &str) -> char {
    first_of(text).unwrap_or(' ')
}

fn first_of(text: &str) -> Option<char> {
    text.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_strings_that_look_like_them_stay() {
        let text = "a /* b\n c */ d // e\nf(\"// g\", '\\'', '/') r#\"/* \" */\"#";
        assert_eq!(without_comments(text), "a   d  \nf(\"// g\", '\\'', '/') r#\"/* \" */\"#");
    }

    #[test]
    fn words_strings_and_marks_are_told_apart() {
        use Token::{Mark, Text, Word};
        let expected = [
            Word("x"),
            Mark(':'),
            Mark('&'),
            Mark('\''),
            Word("a"),
            Word("type"),
            Mark('='),
            Text("s // t"),
            Text("q\"r"),
            Text(","),
            Word("0x1f"),
        ];
        assert_eq!(tokens("x: &'a r#type = \"s // t\" r#\"q\"r\"# ',' 0x1f"), expected);
    }

    #[test]
    fn a_list_is_parted_at_its_own_commas() {
        let list = tokens("a: In<f32, 2>, b(c, d), [e, f]");
        let parts = parts(&list);
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[1], tokens("b(c, d)"));
        assert!(super::parts(&[]).is_empty());
    }
}
