//! What the doctor found, as values and as text.

use std::fmt;

/// How many findings of each kind the text names, unless it is asked for all with `{:#}`.
const NAMED: usize = 10;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Training fails on it, or what it reports is not true.
    Error,
    /// Worth knowing.
    Warning,
}

/// A row of one of the manifests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which manifest, from 0.
    pub part: usize,
    /// The line in it, from 1, the header included.
    pub line: u64,
    /// The file name in it.
    pub filename: String,
}

/// Something that is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The row.
    pub place: Place,
    /// What is wrong with it.
    pub kind: Kind,
}

/// What can be wrong with a row. `of` is the row that it is compared with, which comes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields say what their variant says")]
pub enum Kind {
    /// The cell of the file name is empty.
    NoName,
    /// The cell of the class is empty.
    NoClass,
    /// There is no such file.
    Missing { nearest: Option<String> },
    /// The system does not let it be read.
    Unreadable { reason: String },
    /// The file has no bytes.
    NoBytes,
    /// It begins like no image format that is known.
    NotAnImage,
    /// It cannot be decoded: cut short, damaged, too large, or of a kind that is not supported.
    Damaged { reason: String },
    /// The same bytes stand in another manifest.
    Leak { of: Place },
    /// The same bytes are of another class elsewhere.
    Contradiction { of: Place, class: String, other: String },
    /// Its name does not end like that of an image: it is ignored unless `validate_filenames` is
    /// off.
    Ending,
    /// The content is of another type than the name says. The content counts.
    WrongType { content: String },
    /// The same manifest names the file twice.
    Repeated { of: Place },
    /// Another file of the same manifest has the same bytes.
    Duplicate { of: Place },
    /// A picture of another manifest looks like it.
    LeaksAlike { of: Place, distance: u32 },
    /// A picture of the same manifest looks like it.
    LooksLike { of: Place, distance: u32 },
}

impl Kind {
    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::NoName
            | Self::NoClass
            | Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::NoBytes
            | Self::NotAnImage
            | Self::Damaged { .. }
            | Self::Leak { .. }
            | Self::Contradiction { .. } => Severity::Error,
            _ => Severity::Warning,
        }
    }

    /// What all findings of this kind have in common.
    #[must_use]
    pub fn heading(&self) -> &'static str {
        match self {
            Self::NoName => "without a file name",
            Self::NoClass => "without a class",
            Self::Missing { .. } => "missing files",
            Self::Unreadable { .. } => "files that cannot be opened",
            Self::NoBytes => "empty files",
            Self::NotAnImage => "files that are no images",
            Self::Damaged { .. } => "images that cannot be decoded",
            Self::Leak { .. } => "the same file in two manifests",
            Self::Contradiction { .. } => "the same file in two classes",
            Self::Ending => "names that do not end like an image's (ignored)",
            Self::WrongType { .. } => "content of another type than the name says",
            Self::Repeated { .. } => "listed twice in one manifest",
            Self::Duplicate { .. } => "the same bytes under two names",
            Self::LeaksAlike { .. } => "looks like a picture in another manifest",
            Self::LooksLike { .. } => "looks like another picture",
        }
    }
}

/// One manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartReport {
    /// What it was called.
    pub name: String,
    /// How many rows it has.
    pub rows: usize,
    /// How many of them name an image that can be read.
    pub readable: usize,
    /// How many rows each class has, sorted as text.
    pub classes: Vec<(String, usize)>,
    /// How large the images are, where there are any.
    pub sizes: Option<Sizes>,
}

/// Least, median and greatest, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Rows.
    pub height: [usize; 3],
    /// Columns.
    pub width: [usize; 3],
    /// The shorter of both.
    pub shortest: [usize; 3],
}

impl Sizes {
    pub(super) fn of(sizes: &[[usize; 2]]) -> Option<Self> {
        let three = |side: fn(&[usize; 2]) -> usize| {
            let mut all: Vec<usize> = sizes.iter().map(side).collect();
            all.sort_unstable();
            Some([*all.first()?, all[all.len() / 2], *all.last()?])
        };
        let height = three(|size| size[0])?;
        let shortest = three(|size| size[0].min(size[1]))?;
        Some(Self { height, width: three(|size| size[1])?, shortest })
    }
}

/// What was found. Its text is for people: `{}` names ten of each kind, `{:#}` all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The manifests, in the order in which they were given.
    pub parts: Vec<PartReport>,
    /// What is wrong with rows: errors first, each kind together, in the order of the rows.
    pub findings: Vec<Finding>,
    /// What is to be said of the whole.
    pub remarks: Vec<String>,
}

impl Report {
    /// How many findings are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        let errors = self.findings.iter().filter(|f| f.kind.severity() == Severity::Error);
        errors.count()
    }

    /// How many findings are warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.findings.len() - self.errors()
    }

    /// Notes the classes that one manifest has and another has not.
    pub(super) fn compare_classes(&mut self) {
        for a in &self.parts {
            for b in self.parts.iter().filter(|b| a.name != b.name && !b.classes.is_empty()) {
                let absent = |class: &&String| b.classes.iter().all(|(name, _)| name != *class);
                let lone: Vec<&String> = a.classes.iter().map(|(c, _)| c).filter(absent).collect();
                if !lone.is_empty() {
                    let (a, b) = (&a.name, &b.name);
                    self.remarks
                        .push(format!("{b} has no image of these classes of {a}: {lone:?}"));
                }
            }
        }
    }

    fn place(&self, f: &mut fmt::Formatter<'_>, place: &Place) -> fmt::Result {
        let Place { part, line, filename } = place;
        if self.parts.len() > 1 {
            write!(f, "{} ", self.parts[*part].name)?;
        }
        write!(f, "line {line}, {filename}")
    }

    fn finding(&self, f: &mut fmt::Formatter<'_>, finding: &Finding) -> fmt::Result {
        f.write_str("    ")?;
        self.place(f, &finding.place)?;
        match &finding.kind {
            Kind::Missing { nearest: Some(name) } => write!(f, ": did you mean {name}?")?,
            Kind::Unreadable { reason } | Kind::Damaged { reason } => write!(f, ": {reason}")?,
            Kind::WrongType { content } => write!(f, ": the content is {content}")?,
            Kind::Leak { of } | Kind::Repeated { of } | Kind::Duplicate { of } => {
                f.write_str(": also ")?;
                self.place(f, of)?;
            }
            Kind::Contradiction { of, class, other } => {
                write!(f, ": {class:?} here, {other:?} in ")?;
                self.place(f, of)?;
            }
            Kind::LeaksAlike { of, distance } | Kind::LooksLike { of, distance } => {
                f.write_str(": ")?;
                self.place(f, of)?;
                write!(f, " ({distance} of 256 bits differ)")?;
            }
            _ => {}
        }
        f.write_str("\n")
    }
}

impl fmt::Display for PartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rows, readable, classes, sizes } = self;
        writeln!(f, "{name}: {rows} rows, {readable} images that can be read")?;
        let all: usize = classes.iter().map(|(_, n)| n).sum();
        for (class, n) in classes {
            writeln!(f, "  {:5.1} %  {n:>7}  {class}", 100.0 * *n as f64 / all as f64)?;
        }
        let Some(sizes) = sizes else { return Ok(()) };
        writeln!(f, "  pixels           least  median  greatest")?;
        for (side, [least, median, greatest]) in
            [("height", sizes.height), ("width", sizes.width), ("shorter side", sizes.shortest)]
        {
            writeln!(f, "    {side:<12} {least:>7} {median:>7} {greatest:>9}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| writeln!(f, "{part}"))?;
        let named = if f.alternate() { usize::MAX } else { NAMED };
        for kind in self.findings.chunk_by(|a, b| a.kind.heading() == b.kind.heading()) {
            let word = match kind[0].kind.severity() {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            writeln!(f, "{word}: {} ({})", kind[0].kind.heading(), kind.len())?;
            kind.iter().take(named).try_for_each(|finding| self.finding(f, finding))?;
            if kind.len() > named {
                writeln!(f, "    and {} more", kind.len() - named)?;
            }
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "warning: {remark}"))?;
        if self.findings.is_empty() && self.remarks.is_empty() {
            return f.write_str("nothing is wrong");
        }
        let warnings = self.warnings() + self.remarks.len();
        write!(f, "{} error(s), {warnings} warning(s)", self.errors())
    }
}
