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
    /// How many classes they belong to, where targets are classes.
    pub classes: Option<usize>,
    /// The rows that are left out, in the order of the manifest.
    pub ignored: Vec<Ignored>,
    /// What else is to be known before training: a subset of one class, a cache made anew.
    pub remarks: Vec<String>,
    /// The column of the file names.
    pub x_col: String,
    /// The column of the classes.
    pub y_col: String,
}

/// A row that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The line of the manifest, from 1, the header included, where there is one.
    pub line: Option<u64>,
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
    NoFile {
        /// The name of the file beside it that was probably meant.
        nearest: Option<String>,
    },
    /// Its class, given here, is none of those asked for.
    Class(String),
    /// [`Flow::verify`](crate::Flow::verify) could not read it, for the reason given here.
    Bad(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extension => f.write_str("its name does not end like that of an image"),
            Self::NoFile { nearest: None } => f.write_str("there is no such file"),
            Self::NoFile { nearest: Some(name) } => {
                write!(f, "there is no such file; did you mean {name}?")
            }
            Self::Class(class) => write!(f, "its class {class:?} is not among those asked for"),
            Self::Bad(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.reason, self.line) {
            // What cannot be read is an error that names file and line itself.
            (Reason::Bad(reason), _) => f.write_str(reason),
            (reason, Some(line)) => write!(f, "line {line}, {}: {reason}", self.filename),
            (reason, None) => write!(f, "{}: {reason}", self.filename),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut names, mut classes, mut bad) = (vec![], vec![], vec![]);
        for row in &self.ignored {
            match row.reason {
                Reason::Extension | Reason::NoFile { .. } => names.push(row),
                Reason::Class(_) => classes.push(row),
                Reason::Bad(_) => bad.push(row),
            }
        }
        let (x, y) = (&self.x_col, &self.y_col);
        let column = if x.is_empty() { String::new() } else { format!(" in x_col=\"{x}\"") };
        list(f, &names, "filename", &format!("invalid image filename(s){column}"))?;
        list(f, &classes, "row", &format!("row(s) of other classes in y_col=\"{y}\""))?;
        list(f, &bad, "image", "image(s) that cannot be read")?;
        for remark in &self.remarks {
            writeln!(f, "{remark}")?;
        }
        write!(f, "Found {} {}", self.images, self.what)?;
        match self.classes {
            Some(classes) => write!(f, " belonging to {classes} classes."),
            None => f.write_str("."),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, rows: &[&Ignored], each: &str, what: &str) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(f, "Found {} {what}. These {each}(s) will be ignored.", rows.len())?;
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
            classes: Some(2),
            ignored,
            remarks: vec![],
            x_col: "filename".into(),
            y_col: "category".into(),
        }
    }

    #[test]
    fn the_sentences_are_those_of_keras() {
        let sentence = "Found 4000 validated image filenames belonging to 2 classes.";
        assert_eq!(found(vec![]).to_string(), sentence);
        let rows = (2..9).map(|line| Ignored {
            line: Some(line),
            filename: format!("cat.{line}.jpg"),
            reason: Reason::NoFile { nearest: (line == 3).then(|| "cat.3.JPG".into()) },
        });
        let text = found(rows.collect()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "Found 7 invalid image filename(s) in x_col=\"filename\". These filename(s) will be \
             ignored."
        );
        assert_eq!(lines[1], "  line 2, cat.2.jpg: there is no such file");
        assert_eq!(lines[2], "  line 3, cat.3.jpg: there is no such file; did you mean cat.3.JPG?");
        assert_eq!(lines[6..], ["  and 2 more", sentence]);
    }

    #[test]
    fn other_classes_bad_images_and_remarks_are_told_apart() {
        let row = |line, reason| Ignored { line, filename: "a.jpg".into(), reason };
        let ignored = vec![
            row(Some(2), Reason::Class("fox".into())),
            row(Some(3), Reason::Bad("a.jpg (line 3 of the manifest): cut short".into())),
        ];
        let remarks = vec!["All are cats.".to_string()];
        let text = Found { remarks, classes: None, ..found(ignored) }.to_string();
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "Found 1 row(s) of other classes in y_col=\"category\". These row(s) will be \
                 ignored.",
                "  line 2, a.jpg: its class \"fox\" is not among those asked for",
                "Found 1 image(s) that cannot be read. These image(s) will be ignored.",
                "  a.jpg (line 3 of the manifest): cut short",
                "All are cats.",
                "Found 4000 validated image filenames.",
            ]
        );
    }
}
