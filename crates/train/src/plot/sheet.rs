//! Pictures with lines of text under them, on one sheet.
//!
//! ```text
//! Shapes       pictures: h·w·C, u8, of any sizes; C of 1 (gray), 3 or 4 (alpha is not shown)
//! Layout       cells of one size, row by row; a picture is centred in its cell, and its lines stand
//!              below, cut short with … where they are too long
//! ```

use super::pen::{INK, Pen, Type, VERMILION};
use super::raster::Raster;
use super::{encode, font};
use ndarray::ArrayView3;
use plotters::drawing::IntoDrawingArea as _;

/// Pixels between cells, and around the sheet.
const GAP: usize = 12;
/// The em square of the text, and from line to line.
const EM: u32 = 14;
const LINE: usize = 19;
/// Narrower cells would hold no text.
const NARROWEST: usize = 112;

/// One picture of a sheet.
#[derive(Clone, Debug)]
pub struct Card<'a> {
    /// Height, width and channels.
    pub picture: ArrayView3<'a, u8>,
    /// What stands below it.
    pub lines: Vec<String>,
    /// Whether the first line is to be seen at once: an answer that is wrong.
    pub wrong: bool,
}

/// The sheet as the bytes of a PNG file, so many cards in a row; one white pixel if there is none.
///
/// # Panics
/// If `columns` is 0, or a picture has 2 channels or more than 4.
#[must_use]
pub fn contact_sheet(cards: &[Card<'_>], columns: usize) -> Vec<u8> {
    let columns = columns.min(cards.len().max(1));
    let most = |of: fn(&Card<'_>) -> usize| cards.iter().map(of).max().unwrap_or(0);
    let cell_width = most(|card| card.picture.dim().1).max(NARROWEST);
    let picture_height = most(|card| card.picture.dim().0);
    let cell_height = picture_height + LINE * most(|card| card.lines.len());
    let rows = cards.len().div_ceil(columns);
    let along = |cells: usize, cell: usize| if rows == 0 { 1 } else { cells * (cell + GAP) + GAP };
    let (width, height) = (along(columns, cell_width), along(rows, cell_height + GAP / 2));
    let mut pixels = vec![255; width * height * 3];
    let place = |i: usize| {
        let left = GAP + i % columns * (cell_width + GAP);
        (left, GAP + i / columns * (cell_height + GAP + GAP / 2))
    };
    for (i, card) in cards.iter().enumerate() {
        let (left, top) = place(i);
        let (h, w, _) = card.picture.dim();
        put(card, &mut pixels, width, (left + (cell_width - w) / 2, top + picture_height - h));
    }
    let size = (width as u32, height as u32);
    {
        let area = Raster::new(&mut pixels, size).into_drawing_area();
        let pen = Pen(&area);
        for (i, card) in cards.iter().enumerate() {
            let (left, top) = place(i);
            for (number, line) in card.lines.iter().enumerate() {
                let color = if card.wrong && number == 0 { VERMILION } else { INK };
                let y = top + picture_height + LINE * number + LINE / 2 + 2;
                let at = ((left + cell_width / 2) as i32, y as i32);
                let drawn = pen.text(&cut(line, cell_width), at, Type::centered(EM, color));
                drawn.expect("drawing into memory does not fail");
            }
        }
    }
    encode(&pixels, size)
}

/// Copies a picture to its place: x and y of its upper left corner.
fn put(card: &Card<'_>, pixels: &mut [u8], width: usize, (x, y): (usize, usize)) {
    let channels = card.picture.dim().2;
    assert!([1, 3, 4].contains(&channels), "a picture has 1, 3 or 4 channels, not {channels}");
    for ((row, column, channel), level) in card.picture.indexed_iter() {
        let at = ((y + row) * width + x + column) * 3;
        match channels {
            1 => pixels[at..at + 3].fill(*level),
            _ if channel < 3 => pixels[at + channel] = *level,
            _ => {}
        }
    }
}

/// The beginning of the line that fits, with … behind it unless that is all.
fn cut(line: &str, width: usize) -> String {
    let fits = |text: &str| font::width(text, f64::from(EM)) <= width as f64;
    if fits(line) {
        return line.to_owned();
    }
    let mut short = line.to_owned();
    while short.pop().is_some() && !fits(&format!("{short}…")) {}
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn card(picture: &Array3<u8>, line: &str) -> Card<'static> {
        let picture = Box::leak(Box::new(picture.clone())).view();
        Card { picture, lines: vec![line.to_owned()], wrong: true }
    }

    #[test]
    fn every_picture_is_in_its_cell_with_its_line_below() {
        let (dark, gray) = (Array3::from_elem((30, 40, 3), 7), Array3::from_elem((20, 120, 1), 99));
        let cards = [card(&dark, "one"), card(&gray, "two"), card(&dark, "three")];
        let sheet = image::load_from_memory(&contact_sheet(&cards, 2)).unwrap().into_rgb8();
        let cell = (120 + GAP, 30 + LINE + GAP + GAP / 2);
        assert_eq!(sheet.width() as usize, 2 * cell.0 + GAP);
        assert_eq!(sheet.height() as usize, 2 * cell.1 + GAP);
        let count = |level| sheet.pixels().filter(|p| p.0 == [level; 3]).count();
        assert_eq!((count(7), count(99)), (2 * 30 * 40, 20 * 120));
        assert_eq!(sheet.get_pixel((GAP + 40) as u32, GAP as u32).0, [7; 3]);
        let red = |p: &image::Rgb<u8>| p.0[0] > 200 && p.0[2] < 60;
        assert!(sheet.pixels().filter(|p| red(p)).count() > 30, "the lines are vermilion");
    }

    #[test]
    fn a_long_line_is_cut_and_no_card_is_a_sheet_too() {
        assert_eq!(cut("short", 112), "short");
        let long = cut("a very long name of a file.jpg", 112);
        assert!(long.starts_with("a very") && long.ends_with('…'), "{long}");
        assert!(font::width(&long, f64::from(EM)) <= 112.0);
        let sheet = image::load_from_memory(&contact_sheet(&[], 5)).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (1, 1));
    }
}
