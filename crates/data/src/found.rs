//! The report of what a data set found, in Keras's words. It is printed by whoever wants to.

use std::fmt;

/// How many rows of each kind are named one by one.
const NAMED: usize = 5;

/// What was found and what is ignored.
///
/// Its text is Keras's: `Found 4000 validated image filenames belonging to 2 classes.`, and before
/// it, where there are any, the rows that are ignored, of which the first few are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How many images can be used.
    pub images: usize,
    /// What they are: `validated image filenames`, for instance.
    pub what: &'static str,
    /// How many classes they belong to.
    pub classes: usize,
    /// The rows that are left out, in the order of the manifest.
    pub ignored: Vec<Ignored>,
    /// The column of the file names.
    pub x_col: String,
    /// The column of the classes.
    pub y_col: String,
}

/// A row that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The line of the manifest, from 1, the header included.
    pub line: u64,
    /// The file name in it.
    pub filename: String,
    /// Why.
    pub reason: Reason,
}

/// Why a row is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The name does not end like that of an image.
    Extension,
    /// There is no such file.
    NoFile,
    /// Its class, given here, is none of those asked for.
    Class(String),
}

impl Reason {
    fn is_about_the_name(&self) -> bool {
        !matches!(self, Self::Class(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extension => f.write_str("its name does not end like that of an image"),
            Self::NoFile => f.write_str("there is no such file"),
            Self::Class(class) => write!(f, "its class {class:?} is not among those asked for"),
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}: {}", self.line, self.filename, self.reason)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_name = |i: &&Ignored| i.reason.is_about_the_name();
        let names: Vec<&Ignored> = self.ignored.iter().filter(by_name).collect();
        let classes: Vec<&Ignored> = self.ignored.iter().filter(|i| !by_name(i)).collect();
        if !names.is_empty() {
            writeln!(
                f,
                "Found {} invalid image filename(s) in x_col=\"{}\". \
                 These filename(s) will be ignored.",
                names.len(),
                self.x_col
            )?;
            list(f, &names)?;
        }
        if !classes.is_empty() {
            writeln!(
                f,
                "Found {} row(s) of other classes in y_col=\"{}\". These row(s) will be ignored.",
                classes.len(),
                self.y_col
            )?;
            list(f, &classes)?;
        }
        write!(f, "Found {} {} belonging to {} classes.", self.images, self.what, self.classes)
    }
}

fn list(f: &mut fmt::Formatter<'_>, rows: &[&Ignored]) -> fmt::Result {
    for row in rows.iter().take(NAMED) {
        writeln!(f, "  {row}")?;
    }
    if rows.len() > NAMED {
        writeln!(f, "  and {} more", rows.len() - NAMED)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ignored: Vec<Ignored>) -> Found {
        Found {
            images: 4000,
            what: "validated image filenames",
            classes: 2,
            ignored,
            x_col: "filename".into(),
            y_col: "category".into(),
        }
    }

    #[test]
    fn the_sentences_are_those_of_keras() {
        let sentence = "Found 4000 validated image filenames belonging to 2 classes.";
        assert_eq!(found(vec![]).to_string(), sentence);
        let rows = (2..9).map(|line| Ignored {
            line,
            filename: format!("cat.{line}.jpg"),
            reason: Reason::NoFile,
        });
        let text = found(rows.collect()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "Found 7 invalid image filename(s) in x_col=\"filename\". These filename(s) will be \
             ignored."
        );
        assert_eq!(lines[1], "  line 2, cat.2.jpg: there is no such file");
        assert_eq!(lines[6..], ["  and 2 more", sentence]);
    }
}
