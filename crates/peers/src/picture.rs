//! The picture: ns a parameter by size, a line for each peer.

use crate::peer::c::CEILING;
use crate::report::Row;
use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

/// Okabe and Ito's, which are told apart with any kind of color vision. A second time around, lines are dashed.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(240, 228, 66),
];

/// Draws the cases of one tensor that is stepped and nothing else.
pub(crate) fn draw(rows: &[Row], file: &Path) -> Result<()> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.case.starts_with("step/")).collect();
    let mut threads: Vec<usize> = rows.iter().map(|row| row.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    let mut peers: Vec<&str> = vec![];
    for row in &rows {
        if !peers.contains(&&*row.peer) {
            peers.push(&row.peer);
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let root = SVGBackend::new(file, (1400, 800)).into_drawing_area();
    root.fill(&WHITE)?;
    // On the right there is place for the names.
    let sizes = around(rows.iter().map(|row| row.params as f64), 40.0);
    let times = around(rows.iter().filter_map(|row| row.median()), 1.4);
    for (area, threads) in root.split_evenly((1, threads.len())).iter().zip(threads) {
        let rows: Vec<&Row> = rows.iter().copied().filter(|row| row.threads == threads).collect();
        panel(area, threads, &rows, &peers, (&sizes, &times))?;
    }
    Ok(root.present()?)
}

/// From a little below the least to some times the largest.
fn around(numbers: impl Iterator<Item = f64>, beyond: f64) -> Range<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.first().map_or(1.0, |least| 0.7 * least)..numbers.last().map_or(2.0, |most| beyond * most)
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    threads: usize,
    rows: &[&Row],
    peers: &[&str],
    (sizes, times): (&Range<f64>, &Range<f64>),
) -> Result<()> {
    let caption = format!("AdamW, {threads} thread{}: ns a parameter", if threads == 1 { "" } else { "s" });
    let mut chart = ChartBuilder::on(area)
        .margin(20)
        .caption(caption, ("sans-serif", 24))
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(sizes.clone().log_scale(), times.clone().log_scale())?;
    chart
        .configure_mesh()
        .x_desc("parameters")
        .x_label_formatter(&|x| format!("{x:.0e}"))
        .label_style(("sans-serif", 15))
        .draw()?;
    for (k, peer) in peers.iter().enumerate() {
        let points = rows.iter().filter(|row| row.peer == *peer);
        let points = points.filter_map(|row| Some((row.params as f64, row.median()?)));
        let (color, width) = match (*peer, k) {
            ("lanestep", _) => (BLACK.mix(1.0), 4),
            (CEILING, _) => (BLACK.mix(0.4), 3),
            _ => (COLORS[(k - 1) % COLORS.len()].mix(1.0), 2),
        };
        let style = color.stroke_width(width);
        let dashed = k > COLORS.len() || *peer == CEILING;
        let series = if dashed {
            chart.draw_series(DashedLineSeries::new(points, 8, 5, style))?
        } else {
            chart.draw_series(LineSeries::new(points, style))?
        };
        let dash = if dashed { 12 } else { 28 };
        series.label(*peer).legend(move |(x, y)| PathElement::new([(x, y), (x + dash, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .label_font(("sans-serif", 14))
        .draw()?;
    Ok(())
}
