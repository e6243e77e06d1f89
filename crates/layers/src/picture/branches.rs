//! The layers inside a container: branches side by side on its card.
//!
//! A lane for each branch, from the fork at the head of the card to the meeting point at its foot,
//! with a chip for each layer. A lane without chips is the input itself.

use super::{CARD, colour, details, escaped, text};
use crate::{Flow, Layer};

/// Height of a chip, and from one to the next.
const CHIP: f64 = 30.0;
const STEP: f64 = CHIP + 9.0;
/// From the head of the card to the fork, and from there to the first chip.
const HEAD: f64 = CARD[1] + 2.0;
const FORK: f64 = 12.0;
/// The space beside the lanes, and between two.
const SIDE: f64 = 24.0;
const GAP: f64 = 8.0;
/// Pixels of a character of a chip's text.
const CHARACTER: f64 = 5.9;

/// One branch.
pub(super) struct Lane(Vec<Chip>);

/// One layer of a branch.
struct Chip {
    class_name: String,
    details: Vec<String>,
}

/// The branches of a layer; none if it is no container.
pub(super) fn lanes(layer: &dyn Layer) -> Vec<Lane> {
    let children = layer.children();
    match layer.flow() {
        _ if children.is_empty() => Vec::new(),
        Flow::Chain => vec![Lane(children.into_iter().map(|(_, layer)| chip(layer)).collect())],
        Flow::Branches { identity } => {
            let around = identity.then(|| Lane(Vec::new()));
            children.into_iter().map(|(_, layer)| lane(layer)).chain(around).collect()
        }
    }
}

/// A chain as its layers, anything else as one chip.
fn lane(layer: &dyn Layer) -> Lane {
    let children = layer.children();
    match layer.flow() {
        Flow::Chain if !children.is_empty() => {
            Lane(children.into_iter().map(|(_, layer)| chip(layer)).collect())
        }
        _ => Lane(vec![chip(layer)]),
    }
}

/// Few words: a number of filters or units stands alone.
fn chip(layer: &dyn Layer) -> Chip {
    let config = layer.config();
    let inside = layer.children().len();
    let inside = (inside > 0).then(|| format!("{inside} layers"));
    let short = |word: String| {
        let word = word.trim_end_matches(" filters").trim_end_matches(" units");
        word.trim_start_matches("rate ").to_owned()
    };
    let details = details(&config).into_iter().map(short).chain(inside).collect();
    Chip { class_name: config.class_name, details }
}

/// The height of a card with these branches.
pub(super) fn height(lanes: &[Lane]) -> f64 {
    match lanes.iter().map(|lane| lane.0.len()).max() {
        None => CARD[1],
        Some(chips) => HEAD + FORK + STEP * chips as f64 + FORK + 8.0,
    }
}

/// The branches on the card that begins there.
pub(super) fn draw([x, y]: [f64; 2], lanes: &[Lane]) -> String {
    if lanes.is_empty() {
        return String::new();
    }
    let n = lanes.len() as f64;
    let width = (CARD[0] - 2.0 * SIDE - GAP * (n - 1.0)) / n;
    let (fork, meet) = (y + HEAD, y + height(lanes) - FORK - 4.0);
    let left = |i: usize| (x + SIDE + (width + GAP) * i as f64).round();
    let centres: Vec<f64> = (0..lanes.len()).map(|i| left(i) + width / 2.0).collect();
    let mut svg = String::new();
    for centre in &centres {
        svg += &format!("<path class=\"lane\" d=\"M{centre:.1} {fork}V{meet}\"/>\n");
    }
    let (first, last) = (centres[0], centres[centres.len() - 1]);
    let middle = x + CARD[0] / 2.0;
    for height in [fork, meet] {
        svg += &format!("<path class=\"lane\" d=\"M{first:.1} {height}H{last:.1}\"/>\n");
        svg += &format!("<circle cx=\"{middle}\" cy=\"{height}\" r=\"3.5\" fill=\"#94a3b8\"/>\n");
    }
    for (i, Lane(chips)) in lanes.iter().enumerate() {
        for (row, chip) in chips.iter().enumerate() {
            svg += &chip_at([left(i), fork + FORK + STEP * row as f64], width, chip);
        }
    }
    svg
}

fn chip_at([x, y]: [f64; 2], width: f64, chip: &Chip) -> String {
    let colour = colour(&chip.class_name);
    let characters = ((width - 10.0) / CHARACTER) as usize;
    let line = |down: f64, colour: &str, content: &str| match content {
        "" => String::new(),
        content => text([x + 6.0, y + down], "tiny", colour, &escaped(content, characters)),
    };
    // As many of the options as there is room for, the most telling first.
    let fits = |n: &usize| chip.details[..*n].join(" · ").chars().count() <= characters;
    let shown = (0..=chip.details.len()).rev().find(fits).unwrap_or(0);
    // A layer without options has its name in the middle.
    let first = if shown == 0 { 19.0 } else { 13.0 };
    format!(
        "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{CHIP}\" rx=\"5\" \
         fill=\"#ffffff\" stroke=\"{colour}\"/>\n"
    ) + &line(first, colour, &chip.class_name)
        + &line(25.0, "", &chip.details[..shown].join(" · "))
}
