//! The picture: what rules and formats take, over what they move.
//!
//! A bandwidth is a line through the origin: nothing is below that of the memory, and what is above it computes.

use crate::Result;
use crate::measure::{Bench, Row};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

// Beside the manifest, wherever cargo has been told to build.
const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");
pub(crate) const SVG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/roofline.svg");

const PANEL: (u32, u32) = (1200, 560);
/// Between the lines of two names.
const LINE: i32 = 13;
/// From points to their names.
const GAP: i32 = 24;
/// Points this near have their names in one column.
const NEAR: i32 = 60;

// Okabe and Ito's, which are told apart with any kind of color vision.
const VERMILION: RGBColor = RGBColor(213, 94, 0);
const BLUE: RGBColor = RGBColor(0, 114, 178);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) fn roofline(rules: &[Row], formats: &[Row], bench: &Bench) -> Result<()> {
    std::fs::create_dir_all(TARGET)?;
    let settings = bench.settings();
    let root = SVGBackend::new(SVG, (PANEL.0, PANEL.1 * settings.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    for (k, (area, setting)) in root.split_evenly((settings.len(), 1)).iter().zip(&settings).enumerate() {
        draw(area, setting, k, rules, formats)?;
    }
    root.present()?;
    Ok(())
}

/// The `k`th timing of all rows.
fn draw(area: &Area<'_>, setting: &str, k: usize, rules: &[Row], formats: &[Row]) -> Result<()> {
    let rows = || rules.iter().chain(formats);
    let most = |value: fn(&Row, usize) -> f64| rows().map(|row| value(row, k)).fold(0.0, f64::max);
    let (right, top) = (1.15 * most(|row, _| row.bytes), 1.1 * most(|row, k| row.timings[k].step));
    // Of the fastest of all ceilings.
    let fastest = most(|row, k| row.bytes / row.timings[k].ceiling);
    let title = format!(
        "{setting}; line: {fastest:.0} GB/s, dashes: ceilings; blue: rules, orange: AdamW in formats"
    );
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_max_light_lines(0).y_max_light_lines(0).label_style(("sans-serif", 14));
    mesh.x_label_formatter(&|bytes| format!("{bytes:.0}"));
    mesh.x_desc("bytes moved, a parameter").y_desc("ns a parameter").draw()?;
    let end = right.min(top * fastest);
    chart.draw_series(LineSeries::new([(0.0, 0.0), (end, end / fastest)], BLACK.stroke_width(2)))?;
    let mut points = Vec::new();
    for (rows, color) in [(rules, BLUE), (formats, VERMILION)] {
        for row in rows {
            let (x, timing) = (row.bytes, row.timings[k]);
            let dash = [(x - right / 200.0, timing.ceiling), (x + right / 200.0, timing.ceiling)];
            chart.draw_series([PathElement::new(dash, BLACK)])?;
            chart.draw_series([Circle::new((x, timing.step), 4, color.filled())])?;
            points.push((chart.backend_coord(&(x, timing.step)), row.name, color));
        }
    }
    name(area, points)
}

/// Names in the order of their points, those of neighbours in one column beside them.
fn name(area: &Area<'_>, mut points: Vec<((i32, i32), &str, RGBColor)>) -> Result<()> {
    let base = area.get_base_pixel();
    points.sort_by_key(|(place, ..)| *place);
    for column in points.chunk_by_mut(|left, right| right.0.0 - left.0.0 < NEAR) {
        let beside = column.iter().map(|((x, _), ..)| x - base.0).fold(0, Ord::max) + GAP;
        column.sort_by_key(|((_, y), ..)| *y);
        let ys: Vec<i32> = column.iter().map(|((_, y), ..)| y - base.1).collect();
        for (((x, _), name, color), (y, line)) in column.iter().zip(ys.iter().zip(lines(&ys))) {
            let style = ("sans-serif", 12).into_font().color(color).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&PathElement::new([(x - base.0, *y), (beside - 2, line)], color.mix(0.4)))?;
            area.draw_text(name, &style, (beside, line))?;
        }
    }
    Ok(())
}

/// Near `ys`, which ascend, and no two nearer to each other than a line: in the middle between pushing all down and all up.
fn lines(ys: &[i32]) -> Vec<i32> {
    let down = ys.iter().scan(i32::MIN / 2, |last, y| {
        *last = (*y).max(*last + LINE);
        Some(*last)
    });
    let up = ys.iter().rev().scan(PANEL.1 as i32, |next, y| {
        *next = (*y).min(*next - LINE);
        Some(*next)
    });
    let up: Vec<i32> = up.collect();
    down.zip(up.into_iter().rev()).map(|(down, up)| (down + up) / 2).collect()
}
