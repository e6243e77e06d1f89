//! What a plot must say, and what it must survive.

use super::*;

/// Twenty epochs like those of a real run: a spike, and two reductions of the learning rate.
fn history() -> History {
    let mut history = History::new();
    for epoch in 0..20u32 {
        let t = f64::from(epoch) / 20.0;
        let spike = if epoch == 9 { 2.0 } else { 0.0 };
        let lr = 1e-3 * 0.5f64.powi(epoch as i32 / 8);
        let wobble = 0.03 * f64::from(epoch % 3);
        history.push(
            epoch,
            &[
                ("loss", 0.9 - 0.5 * t),
                ("accuracy", 0.55 + 0.3 * t),
                ("val_loss", 0.95 - 0.5 * t + wobble + spike),
                ("val_accuracy", 0.5 + 0.35 * t - wobble),
                ("lr", lr),
            ],
        );
    }
    history
}

fn count(svg: &str, part: &str) -> usize {
    svg.matches(part).count()
}

#[test]
fn the_svg_names_and_draws_both_curves() {
    let svg = plot_history(&history(), "accuracy").unwrap().svg();
    for text in ["Training and validation accuracy", "training", "validation", "epoch", "60 %"] {
        assert!(svg.contains(&format!(">\n{text}\n</text>")), "{text:?} is not in the picture");
    }
    assert!(svg.contains("<title>Training and validation accuracy</title>"));
    // One polyline of twenty points for each curve.
    let curve = |color: &str| {
        let lines = svg.lines().filter(|l| l.contains("<polyline") && l.contains(color));
        lines.map(|l| count(l, ",")).max().unwrap()
    };
    assert_eq!((curve("#0072B2"), curve("#D55E00")), (20, 20));
    assert_eq!((count(&svg, "lr 5e-4"), count(&svg, "lr 2.5e-4")), (1, 1));
    assert!(svg.contains("best 81.5 %, epoch 19"), "{svg}");
}

#[test]
fn a_spike_is_an_arrow_with_its_number() {
    let svg = plot_history(&history(), "loss").unwrap().svg();
    assert!(svg.contains("Training and validation loss"));
    assert!(svg.contains(">\n2.73\n</text>"), "{svg}");
}

#[test]
fn the_png_decodes_to_the_promised_size_and_shows_both_colours() {
    let png = plot_history(&history(), "loss").unwrap().png();
    let image = image::load_from_memory_with_format(&png, image::ImageFormat::Png).unwrap();
    let image = image.into_rgb8();
    assert_eq!(image.dimensions(), (1280, 800));
    for color in [[0x00, 0x72, 0xB2], [0xD5, 0x5E, 0x00], [0xFF; 3]] {
        assert!(image.pixels().filter(|p| p.0 == color).count() > 1000, "{color:?}");
    }
}

#[test]
fn the_same_history_gives_the_same_picture() {
    let plot = || plot_history(&history(), "loss").unwrap();
    assert_eq!(plot().svg(), plot().svg());
    assert_eq!(plot().png(), plot().png());
}

#[test]
fn odd_histories_are_drawn_without_a_nan() {
    let mut one = History::new();
    one.push(0, &[("loss", 0.7), ("val_loss", 0.8)]);
    let mut gaps = History::new();
    for (epoch, loss) in [f64::NAN, 1.0, f64::NAN, 0.8, 0.7, f64::INFINITY].into_iter().enumerate()
    {
        gaps.push(epoch as u32, &[("loss", loss)]);
    }
    gaps.push(40, &[("val_loss", 0.5)]);
    let mut constant = History::new();
    constant.push(3, &[("loss", 0.0)]);
    constant.push(4, &[("loss", 0.0)]);
    let mut diverged = History::new();
    diverged.push(0, &[("loss", f64::INFINITY)]);
    let mut long = History::new();
    for epoch in 0..3000 {
        long.push(epoch, &[("loss", 7.0 * (-f64::from(epoch) / 500.0).exp()), ("lr", 1e-3)]);
    }
    for (name, history) in [
        ("one", one),
        ("gaps", gaps),
        ("constant", constant),
        ("diverged", diverged),
        ("long", long),
    ] {
        let plot = plot_history(&history, "loss").unwrap();
        let svg = plot.svg();
        assert!(svg.contains("loss") && !svg.contains("NaN"), "{name}");
        assert!(image::load_from_memory(&plot.png()).is_ok(), "{name}");
        // Every number of the drawing lies on the page.
        let points = svg.split("points=\"").skip(1).map(|s| s.split('"').next().unwrap());
        for coordinate in points.flat_map(|p| p.split([' ', ','])).filter(|c| !c.is_empty()) {
            assert!(
                (0..=1280).contains(&coordinate.parse::<i32>().unwrap()),
                "{name}: {coordinate}"
            );
        }
    }
}

#[test]
fn without_validation_the_title_and_the_best_are_those_of_training() {
    let mut history = History::new();
    history.push(0, &[("accuracy", 0.6)]);
    history.push(1, &[("accuracy", 0.7)]);
    let svg = plot_history(&history, "accuracy").unwrap().svg();
    assert!(svg.contains("Training accuracy") && !svg.contains("alidation"));
    assert!(svg.contains("best 70.0 %, epoch 2"));
}

#[test]
fn a_learning_rate_has_no_best_and_no_marks() {
    let svg = plot_history(&history(), "lr").unwrap().svg();
    assert!(svg.contains(">\nLearning rate\n") && !svg.contains("best"));
    assert_eq!(count(&svg, ">\nlr "), 0);
}

#[test]
fn a_metric_that_is_not_there_is_an_error_that_says_what_is() {
    let error = plot_history(&history(), "auc").unwrap_err();
    let PlotError::NoValues { metric, columns } = error else { panic!("{error}") };
    assert_eq!((metric.as_str(), columns.len()), ("auc", 5));
    assert!(matches!(plot_runs(&[], "loss"), Err(PlotError::NoValues { .. })));
}

#[test]
fn runs_of_one_group_share_a_colour_and_have_a_mean() {
    let (a, b) = (history(), history());
    let run = |group, history| Run { group, history };
    let runs = [run("gradus", &a), run("gradus", &b), run("Keras", &a)];
    let svg = plot_runs(&runs, "val_accuracy").unwrap().svg();
    for text in ["Validation accuracy", "gradus (mean of 2)", "Keras"] {
        assert!(svg.contains(&format!(">\n{text}\n</text>")), "{text:?} is not in the picture");
    }
    let thin = svg.lines().filter(|l| l.contains("<polyline") && l.contains("#99C7E0"));
    assert_eq!(thin.count(), 2);
}

#[test]
fn means_need_a_value_of_every_run() {
    let curves = [vec![(1.0, 0.2), (2.0, 0.4), (3.0, 0.6)], vec![(1.0, 0.4), (3.0, 0.8)]];
    let mean = mean(&curves);
    assert!(
        (mean[0].1 - 0.3).abs() < 1e-12 && mean[1].1.is_nan() && (mean[2].1 - 0.7).abs() < 1e-12
    );
}

#[test]
fn the_name_of_the_file_chooses_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let plot = plot_history(&history(), "loss").unwrap();
    let path = |name: &str| folder.path().join(name);
    plot.save(path("a.svg")).unwrap();
    plot.save(path("a.PNG")).unwrap();
    assert!(std::fs::read_to_string(path("a.svg")).unwrap().starts_with("<svg "));
    assert!(image::load_from_memory(&std::fs::read(path("a.PNG")).unwrap()).is_ok());
    assert!(matches!(plot.save(path("a.jpg")), Err(PlotError::Format { .. })));
    assert!(matches!(plot.save(path("no/a.png")), Err(PlotError::Write(_))));
}
