//! File names with figures in them: `weights.{epoch:02d}-{val_loss:.2f}.safetensors`.
//!
//! ```text
//! Form         {name} or {name:spec}, spec = [0][width][.digits][d|f]: the part of Python's format
//!              that Keras's examples use; {{ and }} are braces
//! Conventions  `epoch` counts from 1, as in Keras; a figure without `.digits` is written as short as
//!              it reads back
//! ```

use crate::Logs;

/// A name, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Figure { name: String, zeros: bool, width: usize, digits: Option<usize> },
}

impl Template {
    /// Takes a name apart; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            rest = match (brace, after.strip_prefix(brace), after.split_once('}')) {
                (_, Some(after), _) => {
                    plain.push_str(brace);
                    after
                }
                ("{", None, Some((field, after))) => {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(figure(field)?);
                    after
                }
                _ => return Err(format!("{text:?} has a {brace} alone: write it twice")),
            };
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    /// The name after that epoch, from 0; the error says which figure is missing.
    pub(crate) fn fill(&self, epoch: u32, logs: &Logs) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Figure { name, zeros, width, digits } => {
                    text.push_str(&padded(&value(name, *digits, epoch, logs)?, *zeros, *width));
                }
            }
        }
        Ok(text)
    }
}

fn figure(field: &str) -> Result<Piece, String> {
    let (name, spec) = field.split_once(':').unwrap_or((field, ""));
    let unknown = || format!("{{{field}}} is not of the form {{name:02d}} or {{name:.4f}}");
    let number = |text: &str| match text {
        "" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| unknown()),
    };
    let spec = spec.trim_end_matches(['d', 'f']);
    let (width, digits) = spec.split_once('.').unwrap_or((spec, ""));
    if name.is_empty() {
        return Err(unknown());
    }
    Ok(Piece::Figure {
        name: name.to_owned(),
        zeros: width.starts_with('0'),
        width: number(width)?.unwrap_or(0),
        digits: number(digits)?,
    })
}

fn value(name: &str, digits: Option<usize>, epoch: u32, logs: &Logs) -> Result<String, String> {
    if name == "epoch" {
        return Ok((epoch + 1).to_string());
    }
    let Some(value) = logs.get(name) else {
        let there: Vec<&str> = logs.entries().into_iter().map(|(name, _)| name).collect();
        return Err(format!("there is no {name}, only epoch, {}", there.join(", ")));
    };
    Ok(match digits {
        Some(digits) => format!("{value:.digits$}"),
        None => value.to_string(),
    })
}

fn padded(text: &str, zeros: bool, width: usize) -> String {
    match (zeros, text.strip_prefix('-')) {
        (false, _) => format!("{text:>width$}"),
        (true, None) => format!("{text:0>width$}"),
        (true, Some(number)) => format!("-{number:0>0$}", width.saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let mut logs = Logs::default();
        logs.set("val_loss", 0.126);
        logs.set("gain", -1.5);
        Template::parse(text)?.fill(6, &logs)
    }

    #[test]
    fn names_are_those_of_python() {
        for (template, expected) in [
            ("best", "best"),
            ("w.{epoch:02d}-{val_loss:.2f}.x", "w.07-0.13.x"),
            ("{epoch}", "7"),
            ("{epoch:4d}", "   7"),
            ("{gain:06.2f}", "-01.50"),
            ("{val_loss}", "0.126"),
            ("{{{epoch}}}", "{7}"),
        ] {
            assert_eq!(filled(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_filled_says_why() {
        let missing = filled("{val_acc:.2f}").unwrap_err();
        assert_eq!(missing, "there is no val_acc, only epoch, val_loss, gain");
        for text in ["{epoch", "epoch}", "{:02d}", "{epoch:x}", "{epoch:.2.2f}"] {
            assert!(filled(text).is_err(), "{text}");
        }
    }
}
