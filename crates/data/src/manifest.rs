//! A manifest: the table that names the images and their classes.
//!
//! ```text
//! File         CSV with a header line; UTF-8, with or without a byte order mark; cells may be
//!              quoted, quotes inside are doubled; either line ending; empty lines are passed over
//! Separator    of comma, semicolon and tab the one that the header line has most of, outside of
//!              quotes; of two as frequent the rarer in names, a tab before a semicolon before a
//!              comma; a comma where it has none
//! Cells        text, exactly as written: no trimming, and `NA` is a word like any other. (pandas
//!              reads such words as missing and digits as numbers, which Keras then refuses)
//! Lines        counted from 1, the header included: what an editor shows
//! Read once    all of it is in memory from then on: a file that changes while a network trains
//!              changes nothing
//! ```

use crate::{Error, write_beside};
use csv::StringRecord;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A table of named columns in memory. It remembers which line of which file each row came from.
///
/// ```
/// use gradus_data::Manifest;
/// let rows = [["cat.0.jpg", "cat"], ["dog.0.jpg", "dog"]];
/// let manifest = Manifest::from_rows(&["filename", "category"], rows)?;
/// let classes: Vec<&str> = manifest.column("category")?.collect();
/// assert_eq!(classes, ["cat", "dog"]);
/// # Ok::<(), gradus_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Manifest {
    origin: PathBuf,
    columns: Vec<String>,
    rows: Vec<StringRecord>,
    /// The line on which each row begins.
    lines: Vec<u64>,
}

impl Manifest {
    /// Reads a CSV file with a header line, in which cells are separated by commas, semicolons or
    /// tabs: the header shows by which.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Csv`] if a row is longer or shorter than the
    /// header, or the file is not UTF-8.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::read_as(path.as_ref(), None)
    }

    /// Reads a CSV file whose cells are separated by `separator`, one character of ASCII.
    ///
    /// # Errors
    /// Those of [`Manifest::read`], and [`Error::Argument`] if the character is not of ASCII.
    pub fn read_separated(path: impl AsRef<Path>, separator: char) -> Result<Self, Error> {
        let separator = u8::try_from(separator).ok().filter(u8::is_ascii);
        let separator = separator.ok_or_else(|| Error::Argument {
            argument: "separator",
            found: "a character that is not of ASCII".into(),
            remedy: "give a comma, a semicolon, a tab or another of ASCII",
        })?;
        Self::read_as(path.as_ref(), Some(separator))
    }

    fn read_as(path: &Path, separator: Option<u8>) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(Error::io(path))?;
        let text = std::str::from_utf8(&bytes).map_err(|e| Error::Csv {
            path: path.to_path_buf(),
            line: 1 + newlines(&bytes[..e.valid_up_to()]),
            reason: "not UTF-8; save the file in that encoding".into(),
        })?;
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let separator = separator.unwrap_or_else(|| separator_of(text));
        if let Some(begin) = open_cell(text, separator) {
            return Err(Error::Csv {
                path: path.to_path_buf(),
                line: 1 + newlines(&text.as_bytes()[..begin]),
                reason: "a cell begins with a quote that is not closed, so that all rows below \
                         would be part of it; close it, or double it where it is text"
                    .into(),
            });
        }
        Self::parse(path, text, separator)
    }

    fn parse(path: &Path, text: &str, separator: u8) -> Result<Self, Error> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let (mut header, mut rows) = (None, Vec::new());
        let (mut line, mut counted) = (1, 0);
        for record in reader.records() {
            let record = record.map_err(|e| Error::Csv {
                path: path.to_path_buf(),
                line,
                reason: e.to_string(),
            })?;
            // A record's own position may still lie on the line ends before it.
            let rest = record.position().map_or(0, |p| p.byte() as usize);
            let ends = text[rest..].bytes().take_while(|b| b"\r\n".contains(b));
            let begin = rest + ends.count();
            line += newlines(&text.as_bytes()[counted..begin]);
            counted = begin;
            match header {
                None => header = Some(record),
                Some(_) => rows.push((line, record)),
            }
        }
        Self::new(path.to_path_buf(), &header.unwrap_or_default(), rows)
    }

    /// A manifest of rows that are at hand. Their lines are those they have once written.
    ///
    /// # Errors
    /// [`Error::Csv`] if a row is longer or shorter than the list of columns.
    pub fn from_rows<R>(columns: &[&str], rows: impl IntoIterator<Item = R>) -> Result<Self, Error>
    where
        R: IntoIterator<Item: AsRef<str>>,
    {
        let header: StringRecord = columns.iter().copied().collect();
        let mut line = 1 + height(&header);
        let numbered = rows.into_iter().map(|cells| {
            let mut record = StringRecord::new();
            cells.into_iter().for_each(|c| record.push_field(c.as_ref()));
            let begin = line;
            line += height(&record);
            (begin, record)
        });
        Self::new("<rows in memory>".into(), &header, numbered)
    }

    fn new(
        origin: PathBuf,
        header: &StringRecord,
        numbered: impl IntoIterator<Item = (u64, StringRecord)>,
    ) -> Result<Self, Error> {
        let (mut lines, mut rows) = (Vec::new(), Vec::new());
        for (line, row) in numbered {
            if row.len() != header.len() {
                let (n, expected) = (row.len(), header.len());
                let reason = format!(
                    "{n} cells where the header has {expected}; a cell with a separator in it \
                     needs quotes"
                );
                let path = origin;
                return Err(Error::Csv { path, line, reason });
            }
            lines.push(line);
            rows.push(row);
        }
        let columns = header.iter().map(String::from).collect();
        Ok(Self { origin, columns, rows, lines })
    }

    /// Writes the table as CSV: beside the file first, then renamed, so that nobody reads half.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be written to.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let text = self.to_csv().map_err(Error::io(path))?;
        write_beside(path, |file| file.write_all(&text)).map_err(|e| Error::io(path)(e.cause))
    }

    fn to_csv(&self) -> Result<Vec<u8>, std::io::Error> {
        // A header in quotes shows its commas alone to whoever looks for the separator.
        let quotes = match self.columns.iter().any(|c| c.contains([';', '\t'])) {
            true => csv::QuoteStyle::Always,
            false => csv::QuoteStyle::Necessary,
        };
        let mut header = csv::WriterBuilder::new().quote_style(quotes).from_writer(Vec::new());
        header.write_record(&self.columns)?;
        let header = header.into_inner().map_err(csv::IntoInnerError::into_error)?;
        let mut writer = csv::Writer::from_writer(header);
        for row in &self.rows {
            writer.write_record(row)?;
        }
        writer.into_inner().map_err(csv::IntoInnerError::into_error)
    }

    /// The cells of one column, in the order of the rows.
    ///
    /// # Errors
    /// [`Error::Column`], which lists the columns that exist, unless exactly one has that name.
    pub fn column(&self, name: &str) -> Result<impl ExactSizeIterator<Item = &str>, Error> {
        let found = self.columns.iter().filter(|c| *c == name).count();
        let index = self.columns.iter().position(|c| c == name);
        match index {
            Some(index) if found == 1 => Ok(self.rows.iter().map(move |row| &row[index])),
            _ => Err(Error::Column {
                path: self.origin.clone(),
                column: name.to_string(),
                found,
                columns: self.columns.clone(),
            }),
        }
    }

    /// The names of the columns, in order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many rows there are, the header not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is nothing below the header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The line on which row `row` begins, both as written in the file: the header is line 1.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn line(&self, row: usize) -> u64 {
        self.lines[row]
    }

    /// The file it was read from; `<rows in memory>` if it was not.
    #[must_use]
    pub fn origin(&self) -> &Path {
        &self.origin
    }
}

/// The separator of a table that begins with its header.
fn separator_of(text: &str) -> u8 {
    let mut quoted = false;
    let mut counts = [(0, b','), (0, b';'), (0, b'\t')];
    for byte in text.trim_start_matches(['\r', '\n']).bytes() {
        quoted ^= byte == b'"';
        if !quoted && matches!(byte, b'\r' | b'\n') {
            break;
        }
        for (count, _) in counts.iter_mut().filter(|(_, s)| !quoted && *s == byte) {
            *count += 1;
        }
    }
    let seen = counts.into_iter().filter(|(count, _)| *count > 0);
    seen.max_by_key(|(count, _)| *count).map_or(b',', |(_, separator)| separator)
}

/// Where the cell begins whose quote nothing closes, if there is one.
fn open_cell(text: &str, separator: u8) -> Option<usize> {
    let (mut quoted, mut begin) = (false, Some(0));
    for (place, byte) in text.bytes().enumerate() {
        if byte == b'"' && begin.is_some() {
            // Doubled quotes close the cell and open it again.
            quoted = !quoted;
        } else if !quoted {
            let ends = byte == separator || matches!(byte, b'\r' | b'\n');
            begin = ends.then_some(place + 1);
        }
    }
    begin.filter(|_| quoted)
}

/// How many lines end in there: with `\n`, `\r\n` or, as old Macs wrote, `\r`.
fn newlines(bytes: &[u8]) -> u64 {
    let next = bytes.iter().skip(1).map(Some).chain([None]);
    let ends = |(byte, next): &(&u8, Option<&u8>)| match byte {
        b'\n' => true,
        b'\r' => *next != Some(&b'\n'),
        _ => false,
    };
    bytes.iter().zip(next).filter(ends).count() as u64
}

/// How many lines a row takes: a quoted cell may hold line ends.
fn height(row: &StringRecord) -> u64 {
    1 + row.iter().map(|cell| newlines(cell.as_bytes())).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Manifest, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, text).unwrap();
        Manifest::read(path)
    }

    fn cells<'a>(manifest: &'a Manifest, column: &str) -> Vec<&'a str> {
        manifest.column(column).unwrap().collect()
    }

    #[test]
    fn byte_order_mark_quotes_and_both_line_ends_are_understood() {
        let text = "\u{FEFF}filename,category\r\n\"a, b.jpg\",cat\r\n\"say \"\"x\"\".jpg\",dog";
        let manifest = read(text.as_bytes()).unwrap();
        assert_eq!(cells(&manifest, "filename"), ["a, b.jpg", "say \"x\".jpg"]);
        assert_eq!(cells(&manifest, "category"), ["cat", "dog"]);
    }

    #[test]
    fn the_header_shows_the_separator_unless_it_is_given() {
        for (text, category) in [
            ("filename;category\na,b.jpg;cat\n", "category"),
            ("\u{FEFF}filename\tcategory, as seen\r\na,b.jpg\tcat\r\n", "category, as seen"),
            ("filename;category, as seen\na,b.jpg;cat\n", "category, as seen"),
            ("\n\"file;name;\";\"category\"\na,b.jpg;cat\n", "category"),
            ("\"x;y;z\",category\n\"a,b.jpg\",cat\n", "category"),
        ] {
            let manifest = read(text.as_bytes()).unwrap();
            assert_eq!(manifest.columns().len(), 2, "{text:?}");
            assert_eq!(cells(&manifest, category), ["cat"], "{text:?}");
            let first = manifest.columns()[0].clone();
            assert_eq!(cells(&manifest, &first), ["a,b.jpg"], "{text:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, "a,b;c|d\nx,y;z|w\n").unwrap();
        let manifest = Manifest::read_separated(&path, '|').unwrap();
        assert_eq!(cells(&manifest, "a,b;c"), ["x,y;z"]);
        let error = Manifest::read_separated(&path, 'ä').unwrap_err();
        assert!(matches!(error, Error::Argument { argument: "separator", .. }), "{error}");
    }

    #[test]
    fn a_column_that_is_nearly_right_is_suggested() {
        let manifest = read(b"Filename,category\n").unwrap();
        let text = |name| manifest.column(name).map(|_| ()).unwrap_err().to_string();
        assert!(text("filename").contains("did you mean \"Filename\""), "{}", text("filename"));
        assert!(text("catgory").contains("did you mean \"category\""));
        assert!(!text("class").contains("did you mean"));
    }

    #[test]
    fn cells_are_taken_as_written() {
        let manifest = read(b"f,c\n a.jpg ,NA\n,007\n").unwrap();
        assert_eq!(cells(&manifest, "f"), [" a.jpg ", ""]);
        assert_eq!(cells(&manifest, "c"), ["NA", "007"]);
    }

    #[test]
    fn lines_are_those_an_editor_shows() {
        let text = "f,c\n\n\"a\nb\",x\n\nc,y\nd,z\n";
        for end in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', end);
            let manifest = read(text.as_bytes()).unwrap();
            let lines: Vec<u64> = (0..manifest.len()).map(|row| manifest.line(row)).collect();
            assert_eq!(lines, [3, 6, 7], "{text:?}");
        }
    }

    #[test]
    fn a_row_of_another_length_is_named_by_its_line() {
        let error = read(b"f,c\r\na,x\r\n\r\nb\r\n").unwrap_err();
        assert!(matches!(error, Error::Csv { line: 4, .. }), "{error}");
        let error = Manifest::from_rows(&["f", "c"], [["a", "b", "c"]]).unwrap_err();
        assert!(matches!(error, Error::Csv { line: 2, .. }), "{error}");
    }

    #[test]
    fn a_quote_that_nothing_closes_is_refused_on_the_line_of_its_cell() {
        for (text, line) in [
            ("f,c\na,x\n\"b,y\nc,z\n", 3),
            ("f,c\r\n\"a\r\nb\",\"x\"\"y\r\nc,z\r\n", 3),
            ("f,c\n\"a\n\"\"b,y\nc,z\n", 2),
            ("f,\"c", 1),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            let Error::Csv { line: found, .. } = error else { panic!("{error}") };
            assert_eq!(found, line, "{text:?}");
        }
        let manifest = read(b"f,c\n5\" disk.jpg,\"say \"\"x\"\"\"\n\"\"\"y\",\"\"\n").unwrap();
        assert_eq!(cells(&manifest, "f"), ["5\" disk.jpg", "\"y"]);
        assert_eq!(cells(&manifest, "c"), ["say \"x\"", ""]);
    }

    #[test]
    fn another_encoding_is_refused_on_its_line() {
        let error = read(b"f,c\na,x\n\xFFb,y\n").unwrap_err();
        assert!(matches!(error, Error::Csv { line: 3, .. }), "{error}");
    }

    #[test]
    fn an_unknown_column_lists_those_that_exist() {
        let manifest = read(b"filename,category\n").unwrap();
        let Err(Error::Column { found, columns, .. }) = manifest.column("class").map(|_| ()) else {
            panic!("there is no column of that name");
        };
        assert_eq!((found, columns), (0, vec!["filename".into(), "category".into()]));
    }

    #[test]
    fn a_column_that_is_there_twice_is_refused() {
        let manifest = read(b"f,f\na,b\n").unwrap();
        let error = manifest.column("f").map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Column { found: 2, .. }), "{error}");
    }

    #[test]
    fn an_empty_file_has_no_columns_and_a_missing_one_is_an_error() {
        let manifest = read(b"").unwrap();
        assert!(manifest.is_empty() && manifest.columns().is_empty());
        let error = Manifest::read("no such folder/a.csv").unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }

    #[test]
    fn what_is_written_reads_back_the_same_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let rows = [["a, b.jpg", "two\nlines"], ["\"x\".jpg", ""], ["ü.jpg", "cat"]];
        let manifest = Manifest::from_rows(&["x;y;\tz", "category"], rows).unwrap();
        manifest.write(&path).unwrap();
        let back = Manifest::read(&path).unwrap();
        assert_eq!(back.columns, manifest.columns);
        assert_eq!(back.rows, manifest.rows);
        assert_eq!(back.lines, manifest.lines);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
