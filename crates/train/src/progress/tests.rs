//! What the progress of a run looks like, on a page and on a screen.

use super::*;
use indicatif::TermLike;
use std::io;
use std::sync::{Arc, Mutex};

/// A page that a test can read while another writes: plain text, or what a terminal would show.
#[derive(Clone, Debug, Default)]
struct Page(Arc<Mutex<String>>);

impl Page {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A screen on which clearing starts a new line, so that every redraw stays readable.
impl TermLike for Page {
    fn width(&self) -> u16 {
        200
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }
    fn clear_line(&self) -> io::Result<()> {
        self.write_str("\n")
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn bar_on(page: &Page) -> Progress {
    let page = page.clone();
    Progress::bar(20, move || ProgressDrawTarget::term_like(Box::new(page.clone())))
}

/// The text with every run of digits that depends on the clock replaced by `T`.
fn without_times(text: &str) -> String {
    let timeless = |part: &str| {
        let unit = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let timed = ["s", "s/step", "ms/step", "us/step"].contains(&unit) && unit != part;
        if timed { "T".to_owned() } else { part.to_owned() }
    };
    text.split(' ').map(timeless).collect::<Vec<_>>().join(" ")
}

#[test]
fn plain_lines_are_one_per_epoch_and_end_with_the_rate() {
    let page = Page::default();
    let mut progress = Progress::to_writer(20, page.clone());
    progress.start_epoch(2, 2);
    for _ in 0..2 {
        progress.step(75, || -> [(&str, f64); 0] { panic!("nothing is shown yet") });
        std::thread::sleep(Duration::from_millis(2));
    }
    progress.end_epoch(&[("loss", 0.6512), ("val_accuracy", 0.61), ("lr", 5e-4)]);
    progress.message("Epoch 3: val_accuracy improved");
    let text = page.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Epoch 3/20");
    let (line, rate) = lines[1].rsplit_once(" - ").unwrap();
    let expected = "2/2 - T - T - loss: 0.6512 - val_accuracy: 0.6100 - lr: 5.0000e-04";
    assert_eq!(without_times(line), expected);
    assert!(rate.strip_suffix(" images/s").unwrap().parse::<f64>().unwrap() > 0.0);
    assert_eq!(lines[2..], ["Epoch 3: val_accuracy improved"]);
}

#[test]
fn a_long_epoch_gives_signs_of_life() {
    let page = Page::default();
    let mut progress = Progress::to_writer(1, page.clone());
    progress.redraw_every = Duration::ZERO;
    progress.start_epoch(0, 120);
    for step in 0..3 {
        progress.step(4, || [("loss", f64::from(step))]);
    }
    let text = page.text();
    let lines: Vec<String> = text.lines().map(without_times).collect();
    assert_eq!(
        lines[1..3],
        ["  1/120 - T - T - loss: 0.0000e+00", "  2/120 - T - T - loss: 1.0000"]
    );
    assert_eq!(lines.len(), 4);
}

#[test]
fn the_bar_says_what_keras_says() {
    let page = Page::default();
    let mut progress = bar_on(&page);
    progress.redraw_every = Duration::ZERO;
    progress.start_epoch(2, 266);
    for _ in 0..133 {
        progress.step(75, || [("loss", 0.75), ("accuracy", 0.5)]);
    }
    progress.message("a sentence between two redraws");
    for _ in 0..133 {
        progress.step(75, || [("loss", 0.6512), ("accuracy", 0.61)]);
    }
    progress.end_epoch(&[("loss", 0.6512), ("accuracy", 0.61), ("val_loss", 0.25)]);
    progress.message("a sentence between two epochs");
    let text = page.text();
    // indicatif fills a line with blanks instead of ending it.
    let lines: Vec<String> =
        text.lines().flat_map(|l| l.split("    ")).map(without_times).collect();
    let seen = |wanted: &str| lines.iter().any(|line| line.starts_with(wanted));
    let bar = "━".repeat(20);
    assert!(seen("Epoch 3/20"), "{text}");
    assert!(seen(&format!("  1/266 {bar} T T - loss: 0.7500 - accuracy: 0.5000")), "{text}");
    assert!(seen(&format!("266/266 {bar} T T - loss: 0.6512 - accuracy: 0.6100 - val_loss: 0.25")));
    assert!(text.contains(" images/s"), "{text}");
    assert!(text.contains("a sentence between two redraws"), "{text}");
    assert!(text.contains("a sentence between two epochs"), "{text}");
}

#[test]
fn an_epoch_cut_short_keeps_its_count() {
    let page = Page::default();
    let mut progress = bar_on(&page);
    progress.start_epoch(0, 10);
    progress.step(1, || [("loss", 1.0)]);
    progress.end_epoch(&[("loss", f64::NAN)]);
    let text = page.text();
    let last = text.lines().rev().find(|l| l.contains('━')).unwrap();
    assert!(last.trim_start().starts_with("1/10 ") && last.contains("loss: nan"), "{text}");
}

#[test]
fn silence_asks_for_nothing() {
    let mut progress = Progress::new(1, Verbosity::Silent);
    progress.start_epoch(0, 1);
    progress.step(1, || -> [(&str, f64); 0] { panic!("nothing is ever shown") });
    progress.end_epoch(&[]);
    progress.message("unheard");
    assert!(progress.epoch.is_none());
}

/// A model of one layer, and eight images of one pixel in two batches.
fn model_and_data() -> (crate::Model, gradus_data::DataLoader) {
    use gradus_layers::{Activation, CategoricalCrossentropy, Dense, Flatten, Sequential};
    use gradus_tensor::{Context, Device};
    let dense = Dense::new(2).activation(Activation::Softmax);
    let network = Sequential::new().add(Flatten).add(dense);
    let mut model =
        crate::Model::build(network, [1, 1, 1], Context::new(Device::Cpu, 1), 7).unwrap();
    model.compile(gradus_optim::RMSprop::new(), CategoricalCrossentropy::new()).unwrap();
    let images = ndarray::Array4::from_shape_fn((8, 1, 1, 1), |(i, ..)| 200 * (i as u8 % 2));
    let labels = (0..8).map(|i| i % 2).collect();
    let images = gradus_data::InMemory::new(images, labels, &["dark", "bright"]).unwrap();
    (model, gradus_data::flow(images).batch_size(4).open().unwrap())
}

#[test]
fn an_evaluation_is_one_line_on_a_page_and_a_bar_on_a_screen() {
    let (mut model, mut data) = model_and_data();
    let silent = model.evaluate(&mut data, None).unwrap();
    let page = Page::default();
    let progress = Progress::to_writer(1, page.clone());
    let told = model.evaluate_told(&mut data, None, progress).unwrap();
    assert_eq!((told.loss, told.accuracy), (silent.loss, silent.accuracy));
    let text = page.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    let (start, loss) = ("2/2 - 0s - ", format!("step - loss: {:.4} - accuracy: ", told.loss));
    assert!(text.starts_with(start) && text.contains(&loss), "{text}");
    let screen = Page::default();
    let target = screen.clone();
    let bar = Progress::bar(1, move || ProgressDrawTarget::term_like(Box::new(target.clone())));
    model.evaluate_told(&mut data, Some(1), bar).unwrap();
    let text = screen.text();
    assert!(text.contains("1/1 ━") && text.contains("loss: ") && !text.contains("Epoch"), "{text}");
}

#[test]
fn answers_are_told_as_they_come() {
    let (mut model, mut data) = model_and_data();
    let silent = model.predict_batches(&mut data, None).unwrap();
    let page = Page::default();
    let told = model.predict_batches_told(&mut data, None, Progress::to_writer(1, page.clone()));
    assert_eq!(told.unwrap(), silent);
    assert!(page.text().starts_with("2/2 - 0s - ") && page.text().lines().count() == 1);
}
