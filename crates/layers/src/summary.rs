//! The network as a table, as Keras 3 prints it.
//!
//! ```text
//! Conventions  one row for each layer of the chain, a container being one layer; `{summary:#}` has
//!              a row for each layer inside it too, as Keras's `expand_nested` does. A parameter is
//!              trainable unless its layer is frozen, a buffer (moving averages) is not; 4 bytes
//!              each; units of 1024
//! Layout       the columns end at 45 %, 80 % and 100 % of the line. Keras takes the width of the
//!              terminal less 4, at most 88: `{summary}` is 76 wide, as in a notebook or a pipe,
//!              and `{summary:88}` is as in a wide terminal
//! Reference    keras/src/utils/summary_utils.py, and the table of Python's rich; checked character
//!              by character against Keras 3.15.1
//! ```

use crate::{Flow, Layer, Sequential, ShapeError};
use gradus_tensor::{Field, Path, Shape};
use std::fmt;

/// Keras's width on 80 columns, which is what a notebook and a pipe have.
const WIDTH: usize = 76;

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name in the chain, such as `conv2d_1`.
    pub name: String,
    /// Keras's name of its class, such as `Conv2D`.
    pub class_name: String,
    /// The shape of its output; the batch extent is that of the input that was asked about.
    pub output: Shape,
    /// Numbers that an optimizer moves.
    pub trainable: usize,
    /// Numbers that none moves: buffers, and the parameters of a frozen layer.
    pub non_trainable: usize,
    /// The layers inside, if it is a container; their numbers are counted in its own.
    pub inner: Vec<Row>,
}

impl Row {
    /// All its numbers.
    #[must_use]
    pub fn total(&self) -> usize {
        self.trainable + self.non_trainable
    }

    /// The row, and where they are wanted those inside it, each with how deep it lies.
    fn flatten<'a>(&'a self, level: usize, nested: bool, lines: &mut Vec<(usize, &'a Row)>) {
        lines.push((level, self));
        if nested {
            self.inner.iter().for_each(|row| row.flatten(level + 1, nested, lines));
        }
    }
}

/// A network's layers, shapes and counts. Printed, it is the table of Keras's `model.summary()`.
///
/// ```
/// use gradus_layers::{Dropout, Flatten, Sequential, Summary, tensor::Shape};
/// let model = Sequential::new().add(Flatten).add(Dropout::new(0.5));
/// let summary = Summary::of(&model, Shape::new(&[1, 128, 128, 3]))?;
/// assert!(summary.to_string().contains("│ flatten (Flatten)               │ (None, 49152) "));
/// assert_eq!(summary.total(), 0);
/// # Ok::<(), gradus_layers::ShapeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    rows: Vec<Row>,
}

impl Summary {
    /// What `model` does with inputs of this shape, batch extent included. Counts what is there: a
    /// model that is not built has no parameters yet.
    ///
    /// # Errors
    /// If a layer cannot take what the one before it gives.
    pub fn of(model: &Sequential, input: Shape) -> Result<Self, ShapeError> {
        Ok(Self { rows: rows(model, input)? })
    }

    /// The layers in order.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// All numbers that the network holds.
    #[must_use]
    pub fn total(&self) -> usize {
        self.trainable() + self.non_trainable()
    }

    /// Numbers that an optimizer moves.
    #[must_use]
    pub fn trainable(&self) -> usize {
        self.rows.iter().map(|row| row.trainable).sum()
    }

    /// Numbers that none moves.
    #[must_use]
    pub fn non_trainable(&self) -> usize {
        self.rows.iter().map(|row| row.non_trainable).sum()
    }
}

/// The layers inside a container that is given an x of this shape.
fn rows(container: &dyn Layer, mut x: Shape) -> Result<Vec<Row>, ShapeError> {
    let mut found = Vec::new();
    for (name, layer) in container.children() {
        let output = layer.output_shape(x).map_err(|e| e.within(name))?;
        let inner = rows(layer, x).map_err(|e| e.within(name))?;
        found.push(Row { inner, ..row(name, layer, output) });
        if container.flow() == Flow::Chain {
            x = output;
        }
    }
    Ok(found)
}

fn row(name: &str, layer: &dyn Layer, output: Shape) -> Row {
    let (mut trainable, mut non_trainable) = (0, 0);
    layer.visit(&mut Path::default(), &mut |_, field| match field {
        Field::Param(param) if !param.frozen => trainable += param.value.len(),
        other => non_trainable += other.value().len(),
    });
    let class_name = layer.config().class_name;
    let (name, inner) = (name.to_owned(), Vec::new());
    Row { name, class_name, output, trainable, non_trainable, inner }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = columns(f.width().unwrap_or(WIDTH));
        let rule = |f: &mut fmt::Formatter<'_>, [left, line, cross, right]: [&str; 4]| {
            let lines = columns.map(|width| line.repeat(width + 2));
            writeln!(f, "{left}{}{right}", lines.join(cross))
        };
        writeln!(f, "Model: \"sequential\"")?;
        rule(f, ["┏", "━", "┳", "┓"])?;
        write_row(f, columns, "┃", ["Layer (type)", "Output Shape", "Param #"])?;
        rule(f, ["┡", "━", "╇", "┩"])?;
        let mut lines = Vec::new();
        self.rows.iter().for_each(|row| row.flatten(0, f.alternate(), &mut lines));
        for (i, (level, row)) in lines.into_iter().enumerate() {
            if i > 0 {
                rule(f, ["├", "─", "┼", "┤"])?;
            }
            let branch = if level > 0 { "└ " } else { "" };
            let (indent, Row { name, class_name, .. }) = ("   ".repeat(level), row);
            let name = format!("{indent}{branch}{name} ({class_name})");
            write_row(f, columns, "│", [&name, &with_none(row.output), &thousands(row.total())])?;
        }
        rule(f, ["└", "─", "┴", "┘"])?;
        let sum = |count| format!("{} ({})", thousands(count), memory(4 * count));
        writeln!(f, " Total params: {}", sum(self.total()))?;
        writeln!(f, " Trainable params: {}", sum(self.trainable()))?;
        write!(f, " Non-trainable params: {}", sum(self.non_trainable()))
    }
}

/// Characters of each column's text. Keras gives a column its share of the line without the space
/// around the text and the four lines between; rich takes those ten from the columns again.
fn columns(width: usize) -> [usize; 3] {
    let (first, second) = (width * 45 / 100, width * 80 / 100);
    let keras = [first, second - first, width - second];
    [keras[0].max(8) - 3, keras[1].max(8) - 4, keras[2].max(8) - 3]
}

/// One row, as many lines high as its fullest cell; the last column is set to the right.
fn write_row(
    f: &mut fmt::Formatter<'_>,
    columns: [usize; 3],
    bar: &str,
    cells: [&str; 3],
) -> fmt::Result {
    let mut lines = [0, 1, 2].map(|i| wrap(cells[i], columns[i]).into_iter());
    let height = lines.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
    let [a, b, c] = columns;
    for _ in 0..height {
        let [x, y, z] = lines.each_mut().map(|lines| lines.next().unwrap_or_default());
        writeln!(f, "{bar} {x:a$} {bar} {y:b$} {bar} {z:>c$} {bar}")?;
    }
    Ok(())
}

/// Lines of at most `width` characters, broken at spaces; a word that is longer is cut short.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter().map(|line| shortened(line, width)).collect()
}

/// The text, or its beginning and `…` where it has more than `width` characters.
pub(crate) fn shortened(text: String, width: usize) -> String {
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// `(None, 126, 126, 32)`: any batch.
fn with_none(shape: Shape) -> String {
    let extents = shape.dims().iter().skip(1).map(|extent| format!(", {extent}"));
    format!("(None{})", extents.collect::<String>())
}

/// `12,942,786`.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `49.37 MB`, in units of 1024.
pub(crate) fn memory(bytes: usize) -> String {
    let mut size = bytes as f64;
    let mut units = ["B", "KB", "MB", "GB", "TB", "PB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    format!("{size:.2} {unit}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Concatenate, Config, Dense, Dropout, Flatten, Init, Mode, Plan, Saved};
    use gradus_tensor::{Context, Param, Spec, Tensor, fields};

    /// Looks like a dense layer of five units that also counts something.
    #[derive(Debug, Default)]
    pub(crate) struct Toy {
        pub(crate) kernel: Param,
        bias: Param,
        seen: Tensor,
    }

    fields! { Toy: param kernel, param bias, buffer seen }

    impl Layer for Toy {
        fn config(&self) -> Config {
            let options = serde_json::json!({"units": 5, "activation": "relu", "use_bias": true});
            Config::new("Dense", &options)
        }

        fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
            match x.rank() {
                2 => Ok(Shape::new(&[x.batch(), 5])),
                _ => Err(ShapeError::new(x, "expected (N, units)")),
            }
        }

        fn build(&mut self, x: Shape, init: &mut Init<'_>) -> Result<(), ShapeError> {
            self.kernel = init.constant(Shape::new(&[x.last(), 5]), 0.0);
            self.bias = init.constant(Shape::new(&[5]), 0.0);
            self.seen = init.buffer(Shape::new(&[3]), 0.0);
            Ok(())
        }

        fn plan(&self, x: Spec, _: Mode) -> Result<Plan, ShapeError> {
            Ok(Plan::new(Spec::f32(self.output_shape(x.shape)?)))
        }

        fn infer(&self, _: &mut Context, _: &Tensor, _: &mut Tensor, _: &mut Saved) {}

        fn forward(&mut self, _: &mut Context, _: &Tensor, _: &mut Tensor, _: &mut Saved) {}

        fn backward(
            &mut self,
            _: &mut Context,
            _: &Tensor,
            _: &Tensor,
            _: &mut Tensor,
            _: Option<&mut Tensor>,
            _: &mut Saved,
        ) {
        }
    }

    /// What Keras 3.15.1 prints for the like of `model`, with `line_length=50`.
    const KERAS: &str = "\
Model: \"sequential\"
┏━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━━━┓
┃ Layer (type)        ┃ Output Shape   ┃ Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━━━┩
│ flatten (Flatten)   │ (None, 30000)  │       0 │
├─────────────────────┼────────────────┼─────────┤
│ a_very_long_name_f… │ (None, 5)      │ 150,008 │
│ (Dense)             │                │         │
├─────────────────────┼────────────────┼─────────┤
│ dropout (Dropout)   │ (None, 5)      │       0 │
└─────────────────────┴────────────────┴─────────┘
 Total params: 150,008 (585.97 KB)
 Trainable params: 150,005 (585.96 KB)
 Non-trainable params: 3 (12.00 B)";

    fn model(toy: Toy) -> Sequential {
        let long = "a_very_long_name_for_a_layer_indeed_it_is_really_long_x";
        Sequential::new().add(Flatten).add_named(long, Box::new(toy)).add(Dropout::new(0.1))
    }

    fn built() -> Toy {
        let mut toy = Toy::default();
        toy.build(Shape::new(&[1, 30_000]), &mut Init::new(&Default::default(), 0)).unwrap();
        toy
    }

    const INPUT: [usize; 4] = [15, 100, 100, 3];

    #[test]
    fn the_table_is_that_of_keras() {
        let summary = Summary::of(&model(built()), Shape::new(&INPUT)).unwrap();
        assert_eq!(format!("{summary:50}"), KERAS);
        let rule = |width: usize| format!("{summary:width$}").lines().nth(1).unwrap().to_owned();
        let of = |columns: [usize; 3]| format!("┏{}┓", columns.map(|n| "━".repeat(n)).join("┳"));
        assert_eq!([rule(76), rule(88)], [of([33, 24, 15]), of([38, 29, 17])]);
        assert_eq!(summary.to_string(), format!("{summary:76}"));
        assert_eq!(summary.rows()[1].output, Shape::new(&[15, 5]));
    }

    #[test]
    fn frozen_parameters_are_not_trainable() {
        let mut toy = built();
        toy.kernel.frozen = true;
        let summary = Summary::of(&model(toy), Shape::new(&INPUT)).unwrap();
        assert_eq!((summary.trainable(), summary.non_trainable()), (5, 150_003));
        assert_eq!(summary.total(), 150_008);
    }

    #[test]
    fn a_chain_inside_is_one_row() {
        let inner = Sequential::new().add(Flatten).add(built());
        let outer = Sequential::new().add(inner).add(Dropout::new(0.5));
        let summary = Summary::of(&outer, Shape::new(&INPUT)).unwrap();
        let names: Vec<&str> = summary.rows().iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["sequential", "dropout"]);
        assert_eq!(summary.rows()[0].total(), 150_008);
    }

    /// What Keras 3.15.1 prints for such a model, with `line_length=50, expand_nested=True`.
    const NESTED: &str = "\
Model: \"sequential\"
┏━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━━━┓
┃ Layer (type)        ┃ Output Shape   ┃ Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━━━┩
│ sequential          │ (None, 5)      │      35 │
│ (Sequential)        │                │         │
├─────────────────────┼────────────────┼─────────┤
│    └ dense (Dense)  │ (None, 5)      │      35 │
├─────────────────────┼────────────────┼─────────┤
│    └ sequential     │ (None, 5)      │       0 │
│ (Sequential)        │                │         │
├─────────────────────┼────────────────┼─────────┤
│       └ dropout     │ (None, 5)      │       0 │
│ (Dropout)           │                │         │
├─────────────────────┼────────────────┼─────────┤
│ dropout (Dropout)   │ (None, 5)      │       0 │
└─────────────────────┴────────────────┴─────────┘
 Total params: 35 (140.00 B)
 Trainable params: 35 (140.00 B)
 Non-trainable params: 0 (0.00 B)";

    #[test]
    fn layers_inside_layers_are_shown_as_keras_shows_them() {
        let inner = Sequential::new().add(Dense::new(5));
        let inner = inner.add(Sequential::new().add(Dropout::new(0.5)));
        let mut model = Sequential::new().add(inner).add(Dropout::new(0.5));
        let input = Shape::new(&[1, 6]);
        model.build_on(input, &Default::default(), 0).unwrap();
        let summary = Summary::of(&model, input).unwrap();
        assert_eq!(format!("{summary:#50}"), NESTED);
        assert_eq!(format!("{summary:50}").lines().count(), 12);
    }

    #[test]
    fn branches_all_take_the_input_of_their_container() {
        let branches = Concatenate::new().branch(Flatten).branch(Dropout::new(0.5));
        let model = Sequential::new().add(Flatten).add(branches);
        let summary = Summary::of(&model, Shape::new(&[1, 2, 3, 4])).unwrap();
        let row = &summary.rows()[1];
        let inside: Vec<_> = row.inner.iter().map(|r| (r.name.as_str(), r.output.last())).collect();
        assert_eq!(inside, [("branch_1", 24), ("branch_2", 24)]);
        assert_eq!(row.output, Shape::new(&[1, 48]));
    }

    #[test]
    fn a_network_of_no_layers_has_a_table_too() {
        let summary = Summary::of(&Sequential::new(), Shape::new(&INPUT)).unwrap().to_string();
        let ends: Vec<char> = summary.lines().filter_map(|line| line.chars().next()).collect();
        assert_eq!(ends.iter().collect::<String>(), "M┏┃┡└   ");
        assert!(summary.ends_with(" Non-trainable params: 0 (0.00 B)"), "{summary}");
    }

    #[test]
    fn a_shape_that_does_not_fit_names_its_layer() {
        let model = Sequential::new().add(Dropout::new(0.1)).add(Toy::default());
        let error = Summary::of(&model, Shape::new(&INPUT)).unwrap_err();
        assert_eq!(error.layer, "dense");
    }

    #[test]
    fn sizes_and_counts_are_written_as_keras_writes_them() {
        assert_eq!([0, 999, 1000, 12_942_786].map(thousands), ["0", "999", "1,000", "12,942,786"]);
        let sizes = [0, 1023, 1024, 4 * 12_942_786, 1 << 40].map(memory);
        assert_eq!(sizes, ["0.00 B", "1023.00 B", "1.00 KB", "49.37 MB", "1.00 TB"]);
        assert_eq!(wrap("batch_normalization (BatchNormalization)", 31).len(), 2);
        assert_eq!(with_none(Shape::new(&[7])), "(None)");
    }
}
