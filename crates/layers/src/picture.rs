//! The network as a picture: an SVG for people.
//!
//! One card for each layer, in columns that are read like those of a newspaper. A card says name,
//! class and options, the shape of its output (without the batch) and how many parameters it has;
//! the bar below is its share of all parameters. The block at its side is the output to scale: its
//! face is the image, its depth the channels, a row of numbers is a column. Lengths are square
//! roots, so that a 128 · 128 · 3 image and 14 · 14 · 128 features can be seen side by side.
//! The layers inside a container stand on its card, branches side by side.

mod branches;

use crate::summary::{Row, memory, shortened, thousands};
use crate::{Config, Layer, Sequential, ShapeError, Summary};
use branches::Lane;
use gradus_tensor::Shape;
use serde_json::Value;

/// A card, in pixels.
const CARD: [f64; 2] = [336.0, 84.0];
/// From one card to the next, across and down.
const PITCH: [f64; 2] = [CARD[0] + 52.0, CARD[1] + 24.0];
/// The space around everything.
const MARGIN: f64 = 32.0;
/// Where the cards begin.
const TOP: f64 = 124.0;
/// Characters that fit on a line of a card beside the block.
const NAME: usize = 27;
const DETAILS: usize = 38;

const STYLE: &str = "text{font-family:Inter,'Segoe UI','Helvetica Neue',Arial,'DejaVu Sans',\
    sans-serif;fill:#0f172a}.title{font-size:24px;font-weight:700}.name{font-size:14px;\
    font-weight:700}.small{font-size:12px}.quiet{font-size:12px;fill:#475569}\
    .tiny{font-size:10px}.way{fill:none;stroke:#94a3b8;stroke-width:2}\
    .lane{fill:none;stroke:#94a3b8;stroke-width:1.5}";

/// What a card says.
struct Card {
    name: String,
    class_name: String,
    details: String,
    /// Output extents without the batch.
    extents: Vec<usize>,
    params: usize,
    /// The layers inside, branch by branch.
    lanes: Vec<Lane>,
}

/// An SVG of `model` and of what it makes of inputs of this shape. The parameters shown are those
/// that are there: build the model first.
///
/// # Errors
/// If a layer cannot take what the one before it gives.
pub fn picture(model: &Sequential, input: Shape) -> Result<String, ShapeError> {
    let summary = Summary::of(model, input)?;
    let mut cards = vec![Card {
        name: "input".to_owned(),
        class_name: "InputLayer".to_owned(),
        details: String::new(),
        extents: input.dims().iter().skip(1).copied().collect(),
        params: 0,
        lanes: Vec::new(),
    }];
    // The configs of the chain, not of the layers: they know of a softmax that was split off.
    let layers = model.children().into_iter().zip(model.configs()).zip(summary.rows());
    cards.extend(layers.map(|(((_, layer), config), row)| card(layer, &config, row)));
    Ok(draw(&cards, &summary))
}

fn card(layer: &dyn Layer, config: &Config, row: &Row) -> Card {
    let details = details(config);
    Card {
        name: row.name.clone(),
        class_name: row.class_name.clone(),
        details: details.join(" · "),
        extents: row.output.dims().iter().skip(1).copied().collect(),
        params: row.total(),
        lanes: branches::lanes(layer),
    }
}

/// The options that tell one layer of a class from another, in Keras's order.
fn details(config: &Config) -> Vec<String> {
    let option = |name: &str| config.config.get(name).filter(|value| !value.is_null());
    let said = |name: &str| option(name).map(plain);
    let pool = said("pool_size");
    let stride = said("strides").filter(|s| s.chars().any(|c| c != '1' && c != '×'));
    let details = [
        said("filters").map(|n| format!("{n} filters")),
        said("units").map(|n| format!("{n} units")),
        said("kernel_size"),
        stride.filter(|s| Some(s) != pool.as_ref()).map(|s| format!("stride {s}")),
        pool,
        said("padding").filter(|padding| padding != "valid").map(|padding| {
            match padding.as_str() {
                "same" => padding,
                pixels => format!("padding {pixels}"),
            }
        }),
        said("groups").map(|n| format!("{n} groups")),
        said("rate").map(|rate| format!("rate {rate}")),
        said("activation").filter(|activation| activation != "linear"),
    ];
    details.into_iter().flatten().collect()
}

/// A value as people write it: `3×3`, `relu`, `0.1` (and not what f32's 0.1 is in f64).
fn plain(value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join("×"),
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => (n.as_f64().unwrap_or_default() as f32).to_string(),
        other => other.to_string(),
    }
}

/// The colour of a kind of layer: dark enough to be read as text on white.
fn colour(class_name: &str) -> &'static str {
    let kinds = [
        ("Conv", "#2563eb"),
        ("Normalization", "#7c3aed"),
        ("Pooling", "#b45309"),
        ("Dropout", "#64748b"),
        ("Flatten", "#0e7490"),
        ("Dense", "#047857"),
        ("Activation", "#be185d"),
        ("LU", "#be185d"),
    ];
    let kind = kinds.iter().find(|(part, _)| class_name.contains(part));
    kind.map_or("#334155", |(_, colour)| colour)
}

fn draw(cards: &[Card], summary: &Summary) -> String {
    let heights: Vec<f64> = cards.iter().map(|card| branches::height(&card.lanes)).collect();
    let (corners, [width, height]) = arrangement(&heights);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>Sequential: {} layers, {} \
         parameters</title>\n<style>{STYLE}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"16\" fill=\"#f8fafc\"/>\n",
        summary.rows().len(),
        thousands(summary.total()),
    );
    svg += &title(summary);
    let scale = Scale::of(cards);
    for (i, card) in cards.iter().enumerate() {
        svg += &card_at(corners[i], heights[i], card, summary.total());
        svg += &block(corners[i], card, &scale);
        svg += &branches::draw(corners[i], &card.lanes);
        if let Some(next) = corners.get(i + 1) {
            svg += &way(corners[i], heights[i], *next);
        }
    }
    svg + "</svg>\n"
}

/// Where cards of these heights begin, and the extents of the whole: half as wide again as high, at
/// most four columns, none higher than it has to be.
fn arrangement(heights: &[f64]) -> (Vec<[f64; 2]>, [f64; 2]) {
    let gap = PITCH[1] - CARD[1];
    let total: f64 = heights.iter().map(|height| height + gap).sum();
    let columns = (1.5 * total / PITCH[0]).sqrt().round().clamp(1.0, 4.0);
    let mut most = (total / columns).floor();
    loop {
        let corners = packed(heights, most);
        let right = corners.iter().fold(0.0f64, |right, corner| right.max(corner[0]));
        if right <= MARGIN + PITCH[0] * (columns - 1.0) {
            let ends = corners.iter().zip(heights).map(|([_, y], height)| y + height);
            let bottom = ends.fold(0.0f64, f64::max);
            return (corners, [right + CARD[0] + MARGIN, bottom + MARGIN]);
        }
        most += 4.0;
    }
}

/// The same in columns of at most that height, a card that is higher alone in its own.
fn packed(heights: &[f64], most: f64) -> Vec<[f64; 2]> {
    let gap = PITCH[1] - CARD[1];
    let [mut x, mut y] = [MARGIN, TOP];
    let mut corners = Vec::with_capacity(heights.len());
    for height in heights {
        if y > TOP && y - TOP + height + gap > most {
            [x, y] = [x + PITCH[0], TOP];
        }
        corners.push([x, y]);
        y += height + gap;
    }
    corners
}

/// Two lines of counts, short enough for a picture of one column.
fn title(summary: &Summary) -> String {
    let (layers, total) = (summary.rows().len(), summary.total());
    let [total, trainable, fixed, size] = [
        thousands(total),
        thousands(summary.trainable()),
        thousands(summary.non_trainable()),
        memory(4 * total),
    ];
    let counts = format!("{layers} layers · {total} parameters ({size})");
    let kinds = format!("{trainable} trainable · {fixed} non-trainable");
    text([MARGIN, 50.0], "title", "", "Sequential")
        + &text([MARGIN, 76.0], "quiet", "", &counts)
        + &text([MARGIN, 95.0], "quiet", "", &kinds)
}

fn card_at([x, y]: [f64; 2], height: f64, card: &Card, total: usize) -> String {
    let (colour, width) = (colour(&card.class_name), CARD[0]);
    let mut svg = format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"10\" \
         fill=\"#ffffff\" stroke=\"#cbd5e1\"/>\n<path d=\"M{} {y}a10 10 0 0 0 -10 10v{}a10 10 \
         0 0 0 10 10z\" fill=\"{colour}\"/>\n",
        x + 10.0,
        height - 20.0,
    );
    let left = x + 24.0;
    svg += &text([left, y + 25.0], "name", "", &escaped(&card.name, NAME));
    let what = match card.details.as_str() {
        "" => card.class_name.clone(),
        details => format!("{} · {details}", card.class_name),
    };
    svg += &text([left, y + 45.0], "small", colour, &escaped(&what, DETAILS));
    svg += &text([left, y + 66.0], "small", "", &numbers(card, total));
    svg + &bar([left, y + CARD[1] - 9.0], card, total)
}

/// The layer's part of all parameters, where it is large enough to be seen.
fn share(card: &Card, total: usize) -> Option<f64> {
    let share = card.params as f64 / total.max(1) as f64;
    (share >= 0.01).then_some(share)
}

/// The share as a length.
fn bar([x, y]: [f64; 2], card: &Card, total: usize) -> String {
    let Some(share) = share(card, total) else {
        return String::new();
    };
    let (width, colour) = (share * (CARD[0] - 48.0), colour(&card.class_name));
    format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width:.1}\" height=\"3\" rx=\"1.5\" \
         fill=\"{colour}\"/>\n"
    )
}

/// `126 × 126 × 32   896 params`, and the share in percent.
fn numbers(card: &Card, total: usize) -> String {
    let extents: Vec<String> = card.extents.iter().map(|&n| thousands(n)).collect();
    let extents = extents.join(" × ");
    if card.params == 0 {
        return extents;
    }
    let share = share(card, total).map(|share| format!(" · {:.0} %", 100.0 * share));
    let (params, share) = (thousands(card.params), share.unwrap_or_default());
    format!("{extents}<tspan dx=\"14\" class=\"quiet\">{params} params{share}</tspan>")
}

/// Pixels for the square root of an extent, such that the largest of its kind just fits.
struct Scale {
    image: f64,
    channels: f64,
    row: f64,
}

impl Scale {
    fn of(cards: &[Card]) -> Self {
        // A grey image alone is not deep: 32 channels are there to compare with.
        let mut largest = [1, 32, 1];
        for card in cards {
            let extents = match *card.extents {
                [h, w, c] => [h.max(w), c, 1],
                [h, w] => [h.max(w), 1, 1],
                [n] => [1, 1, n],
                _ => [1; 3],
            };
            largest = std::array::from_fn(|i| largest[i].max(extents[i]));
        }
        let [image, channels, row] = largest.map(|n: usize| 1.0 / (n as f64).sqrt());
        Self { image: 42.0 * image, channels: 22.0 * channels, row: 54.0 * row }
    }
}

/// The output as a block: height · width in front, channels in depth.
fn block([x, y]: [f64; 2], card: &Card, scale: &Scale) -> String {
    let root = |n: usize, scale: f64| ((n as f64).sqrt() * scale).max(4.0);
    let (wide, high, deep) = match *card.extents {
        [h, w, c] => (root(w, scale.image), root(h, scale.image), root(c, scale.channels)),
        [h, w] => (root(w, scale.image), root(h, scale.image), 4.0),
        [n] => (6.0, root(n, scale.row), 4.0),
        _ => return String::new(),
    };
    let colour = colour(&card.class_name);
    // Depth runs up and to the right; the whole is centred on the right of the card.
    let (run, rise) = (0.8 * deep, 0.5 * deep);
    let left = x + CARD[0] - 42.0 - (wide + run) / 2.0;
    let top = y + CARD[1] / 2.0 - (high - rise) / 2.0;
    let face = |d: String, opacity: f64| {
        format!(
            "<path d=\"{d}\" fill=\"{colour}\" fill-opacity=\"{opacity}\" stroke=\"{colour}\" \
             stroke-width=\"1\" stroke-linejoin=\"round\"/>\n"
        )
    };
    let front = face(format!("M{left:.1} {top:.1}h{wide:.1}v{high:.1}h-{wide:.1}z"), 0.2);
    let lid = format!("M{left:.1} {top:.1}l{run:.1} -{rise:.1}h{wide:.1}l-{run:.1} {rise:.1}z");
    let side = left + wide;
    let side = format!("M{side:.1} {top:.1}l{run:.1} -{rise:.1}v{high:.1}l-{run:.1} {rise:.1}z");
    front + &face(lid, 0.4) + &face(side, 0.6)
}

/// The arrow from one card to the next: down, or over to the head of the next column.
fn way(from: [f64; 2], height: f64, to: [f64; 2]) -> String {
    let ([x0, y0], [x1, y1]) = (from, to);
    let centre = CARD[0] / 2.0;
    let head = "fill=\"#94a3b8\"";
    if x0 == x1 {
        let (x, top, end) = (x0 + centre, y0 + height + 3.0, y1 - 3.0);
        return format!(
            "<path class=\"way\" d=\"M{x} {top}V{}\"/><path d=\"M{x} {end}l-5 -8h10z\" {head}/>\n",
            end - 8.0,
        );
    }
    let (gutter, middle) = ((x0 + CARD[0] + x1) / 2.0, CARD[1] / 2.0);
    let (begin, end) = (x0 + CARD[0] + 3.0, x1 - 3.0);
    format!(
        "<path class=\"way\" d=\"M{begin} {}H{}q8 0 8 -8V{}q0 -8 8 -8H{}\"/>\
         <path d=\"M{end} {}l-8 -5v10z\" {head}/>\n",
        y0 + middle,
        gutter - 8.0,
        y1 + middle + 8.0,
        end - 8.0,
        y1 + middle,
    )
}

/// `content` is markup already.
fn text([x, y]: [f64; 2], class: &str, colour: &str, content: &str) -> String {
    let colour = match colour {
        "" => String::new(),
        colour => format!(" style=\"fill:{colour}\""),
    };
    format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\"{colour}>{content}</text>\n")
}

/// The text, or as much of it as fits, so that XML does not take it for markup.
fn escaped(text: &str, width: usize) -> String {
    let text = shortened(text.to_owned(), width);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::Toy;
    use crate::{Activation, Concatenate, Dropout, Flatten, Init, Residual};
    use gradus_tensor::Device;
    use serde_json::json;

    const INPUT: [usize; 4] = [1, 8, 6, 3];

    fn toy() -> Toy {
        let mut toy = Toy::default();
        toy.build(Shape::new(&[1, 144]), &mut Init::new(&Device::Cpu, 0)).unwrap();
        toy
    }

    /// Whether every element that is opened is closed in its order.
    fn is_balanced(svg: &str) -> bool {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let name = tag.split([' ', '>']).next().unwrap_or_default();
            match name.strip_prefix('/') {
                Some(name) if open.pop() != Some(name) => return false,
                Some(_) => {}
                None if tag.contains("/>") => {}
                None => open.push(name),
            }
        }
        open.is_empty()
    }

    #[test]
    fn every_layer_is_there_with_its_options_shape_and_parameters() {
        let model = Sequential::new().add(Flatten).add(toy()).add(Dropout::new(0.1));
        let svg = picture(&model, Shape::new(&INPUT)).unwrap();
        assert!(is_balanced(&svg), "{svg}");
        let expected = [
            ">input<",
            ">8 × 6 × 3<",
            ">flatten<",
            ">144<",
            ">dense<",
            ">Dense · 5 units · relu<",
            ">728 params · 100 %<",
            ">dropout<",
            ">Dropout · rate 0.1<",
            ">3 layers · 728 par",
        ];
        for text in expected {
            assert!(svg.contains(text), "{text} is missing in {svg}");
        }
        assert_eq!(svg.matches("class=\"way\"").count(), 3, "an arrow between each two of 4 cards");
    }

    #[test]
    fn any_number_of_layers_is_drawn_and_no_column_is_empty() {
        for n in [0, 1, 2, 7, 17, 100] {
            let chain = (0..n).fold(Sequential::new(), |chain, _| chain.add(Dropout::new(0.5)));
            let svg = picture(&chain, Shape::new(&INPUT)).unwrap();
            assert!(is_balanced(&svg));
            assert_eq!(svg.matches("class=\"name\"").count(), n + 1);
            let (corners, _) = arrangement(&vec![CARD[1]; n + 1]);
            let mut heads =
                corners.iter().filter(|corner| corner[1] == TOP).map(|corner| corner[0]);
            let columns = heads.clone().count();
            assert!(columns <= 4 && heads.all(|x| x < MARGIN + PITCH[0] * columns as f64));
        }
    }

    #[test]
    fn columns_are_as_high_as_they_have_to_be() {
        let (corners, extents) = arrangement(&[CARD[1]; 18]);
        assert_eq!([corners[5][1], corners[6][1]], [TOP + 5.0 * PITCH[1], TOP], "six in a column");
        assert_eq!(extents[1], TOP + 5.0 * PITCH[1] + CARD[1] + MARGIN);
        let (corners, _) = arrangement(&[84.0, 2000.0, 84.0]);
        assert_eq!(corners, [0.0, 1.0, 2.0].map(|column| [MARGIN + PITCH[0] * column, TOP]));
    }

    #[test]
    fn branches_stand_side_by_side_on_their_card() {
        let body = Sequential::new().add(Dropout::new(0.1)).add(Dropout::new(0.2));
        let model = Sequential::new()
            .add(Residual::new(body).activation(Activation::Relu))
            .add(Concatenate::new().branch(Flatten).branch(Flatten).branch(Flatten));
        let svg = picture(&model, Shape::new(&[1, 3, 3, 2])).unwrap();
        assert!(is_balanced(&svg), "{svg}");
        for text in
            [">Residual · relu<", ">Dropout<", ">0.2<", ">Concatenate<", ">3 × 3 × 2<", ">54<"]
        {
            assert!(svg.contains(text), "{text} is missing in {svg}");
        }
        let left = |text: &str| {
            let tags = svg.lines().filter(|line| line.contains(text));
            tags.map(|tag| tag.split('"').nth(1).unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let flattens = left(">Flatten<");
        assert_eq!(flattens.len(), 3);
        assert!(flattens[0] != flattens[1] && flattens[1] != flattens[2], "side by side");
        let dropouts = left(">Dropout<");
        assert!(dropouts.len() == 2 && dropouts[0] == dropouts[1], "one below the other");
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let chain = Sequential::new().add_named("a<b>&\"c\"", Box::new(Dropout::new(0.5)));
        let svg = picture(&chain, Shape::new(&INPUT)).unwrap();
        assert!(svg.contains(">a&lt;b&gt;&amp;&quot;c&quot;<") && is_balanced(&svg), "{svg}");
        // Cut first and escaped then: no half of an entity is left.
        assert_eq!(escaped("<<<<", 3), "&lt;&lt;…");
    }

    #[test]
    fn options_are_shown_where_they_say_something() {
        let details = |options| details(&Config::new("Layer", &options)).join(" · ");
        let conv = json!({"filters": 32, "kernel_size": [3, 5], "strides": [1, 1],
            "padding": "valid", "activation": "linear", "use_bias": true});
        assert_eq!(details(conv), "32 filters · 3×5");
        let conv = json!({"filters": 8, "kernel_size": [3, 3], "strides": [2, 1],
            "padding": "same", "activation": "relu"});
        assert_eq!(details(conv), "8 filters · 3×3 · stride 2×1 · same · relu");
        let pool = json!({"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"});
        assert_eq!(details(pool), "2×2");
        let pool = json!({"pool_size": [3, 3], "strides": null});
        assert_eq!(details(pool), "3×3");
        assert_eq!(details(json!({"rate": 0.1f32})), "rate 0.1");
    }
}
