//! The picture: held-out losses, and how far they are from those of `f32`.

use std::ops::Range;

use crate::{Comparison, LOOKS, Result, Run, WAYS};
use plotters::coord::Shift;
use plotters::prelude::*;

// Beside the manifest, wherever cargo has been told to build.
const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");
pub(crate) const SVG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/formats.svg");

/// Okabe and Ito's, which are told apart with any kind of color vision, and gray.
const COLORS: [RGBColor; 9] = [
    RGBColor(0, 0, 0),
    RGBColor(240, 228, 66),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(150, 150, 150),
    RGBColor(90, 90, 90),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(204, 121, 167),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) fn losses(results: &[Comparison]) -> Result<()> {
    std::fs::create_dir_all(TARGET)?;
    let root = SVGBackend::new(SVG, (1200, 900)).into_drawing_area();
    root.fill(&WHITE)?;
    let columns = root.split_evenly((1, results.len()));
    for (i, (result, column)) in results.iter().zip(columns).enumerate() {
        let (upper, lower) = column.split_vertically(450);
        let losses: Vec<_> = result.runs.iter().map(|runs| mean_curve(runs)).collect();
        let above: Vec<_> = losses.iter().map(|curve| percent_above(curve, &losses[0])).collect();
        let (title, steps) = (format!("{}: held-out loss", result.name), result.steps);
        draw(&upper, &title, steps, &losses, limits(&losses), i == 0)?;
        draw(&lower, &format!("{title}, % above that of f32"), steps, &above, limits(&above), false)?;
    }
    root.present()?;
    Ok(())
}

fn mean_curve(runs: &[Run]) -> Vec<f64> {
    (0..LOOKS).map(|look| runs.iter().map(|run| run.curve[look]).sum::<f64>() / runs.len() as f64).collect()
}

fn percent_above(curve: &[f64], base: &[f64]) -> Vec<f64> {
    curve.iter().zip(base).map(|(loss, base)| 100.0 * (loss / base - 1.0)).collect()
}

/// The legend is in the first panel alone.
fn draw(
    area: &Area<'_>,
    title: &str,
    steps: usize,
    curves: &[Vec<f64>],
    y: Range<f64>,
    legend: bool,
) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0..steps, y)?;
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().y_max_light_lines(0).y_label_formatter(&|y| format!("{y:.1}"));
    mesh.label_style(("sans-serif", 15)).x_desc("step").draw()?;
    for ((way, curve), color) in WAYS.iter().zip(curves).zip(COLORS) {
        let style = color.stroke_width(2);
        let points = curve.iter().enumerate().map(|(look, &loss)| ((look + 1) * steps / LOOKS, loss));
        let series = chart.draw_series(LineSeries::new(points, style))?;
        if legend {
            series.label(way.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        }
    }
    if legend {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .label_font(("sans-serif", 16))
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
    }
    Ok(())
}

fn limits(curves: &[Vec<f64>]) -> Range<f64> {
    let values = || curves.iter().flatten().copied();
    values().fold(f64::INFINITY, f64::min)..values().fold(f64::NEG_INFINITY, f64::max)
}
