//! The report as a picture: throughput and latency over time for each scenario, and how the two
//! brokers compare.

use plotters::prelude::*;

use super::report::{Ratio, RunReport, ScenarioReport, Second};

/// Width of each of the panels of a scenario, and height of all, in pixels.
const PANEL: (u32, u32) = (520, 280);
/// Colours that can be told apart with any kind of eyes (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const FONT: (&str, u32) = ("sans-serif", 13);

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// A line: its name and its points.
struct Line(String, Vec<(f64, f64)>);

/// Draws one row of panels for each scenario.
///
/// # Errors
/// What the drawing says, which has no reason to fail.
pub fn draw(scenarios: &[ScenarioReport]) -> Result<String, String> {
    let mut svg = String::new();
    let compared = scenarios.iter().any(|scenario| !scenario.ratios.is_empty());
    let columns = 2 + u32::from(compared);
    let rows = (scenarios.len() as u32).max(1);
    let mut drawn = || -> Drawn {
        let size = (PANEL.0 * columns, PANEL.1 * rows);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        let panels = area.split_evenly((rows as usize, columns as usize));
        for (row, scenario) in panels.chunks(columns as usize).zip(scenarios) {
            lines(
                &row[0],
                &format!("{}: MiB/s", scenario.title()),
                &throughput(scenario),
            )?;
            lines(
                &row[1],
                &format!("{}: latency, ms", scenario.title()),
                &latency(scenario),
            )?;
            if let Some(panel) = row.get(2) {
                bars(
                    panel,
                    &format!("{}: ratio to the other", scenario.title()),
                    scenario,
                )?;
            }
        }
        area.present()?;
        Ok(())
    };
    drawn().map_err(|error| error.to_string())?;
    Ok(svg)
}

fn throughput(scenario: &ScenarioReport) -> Vec<Line> {
    let of = |second: &Second| {
        [
            ("produced", second.produced_mib_per_second),
            ("consumed", second.consumed_mib_per_second),
            ("caught up", second.caught_up_mib_per_second),
        ]
    };
    over_time(scenario, of)
}

fn latency(scenario: &ScenarioReport) -> Vec<Line> {
    let of = |second: &Second| {
        [
            ("ack p99", second.ack_p99_ms),
            ("end to end p50", second.end_to_end_p50_ms),
            ("end to end p99", second.end_to_end_p99_ms),
        ]
    };
    over_time(scenario, of)
}

/// Lines of the last round of both brokers, phase behind phase.
fn over_time(
    scenario: &ScenarioReport,
    of: impl Fn(&Second) -> [(&'static str, Option<f64>); 3],
) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (runs, other) in [(&scenario.runs, ""), (&scenario.compared, ", other")] {
        for (at, second) in runs.last().map(seconds).unwrap_or_default() {
            for (name, value) in of(second) {
                let (name, Some(value)) = (format!("{name}{other}"), value) else {
                    continue;
                };
                match lines.iter_mut().find(|line| line.0 == name) {
                    Some(line) => line.1.push((at, value)),
                    None => lines.push(Line(name, vec![(at, value)])),
                }
            }
        }
    }
    lines
}

fn seconds(run: &RunReport) -> Vec<(f64, &Second)> {
    let (mut seconds, mut before) = (Vec::new(), 0.0);
    for phase in &run.phases {
        seconds.extend(
            phase
                .seconds
                .iter()
                .map(|second| (before + second.at_seconds, second)),
        );
        before = seconds.last().map_or(before, |(at, _)| *at);
    }
    seconds
}

fn lines(area: &Area<'_>, title: &str, lines: &[Line]) -> Drawn {
    let points = || lines.iter().flat_map(|line| &line.1);
    let right = points().map(|point| point.0).fold(1.0, f64::max);
    let values = || points().map(|point| point.1).filter(|value| *value > 0.0);
    let least = values().fold(f64::INFINITY, f64::min).clamp(0.01, 1e9);
    let most = values().fold(least, f64::max);
    // Two brokers may be far apart. Beside the lines there is room for their names.
    let (bottom, top) = (least / 2.0, most * 2.0);
    let right = right * 1.7;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(32)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..right, (bottom..top).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("s")
        .y_labels(5)
        .label_style(FONT)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (line, colour) in lines.iter().zip(COLOURS) {
        let points = line.1.iter().copied().filter(|(_, value)| *value > 0.0);
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(line.0.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    if !lines.is_empty() {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .label_font(FONT)
            .draw()?;
    }
    Ok(())
}

/// A bar for each ratio, from 1 to it: to the right for more than the other broker, to the left for
/// less.
fn bars(area: &Area<'_>, title: &str, scenario: &ScenarioReport) -> Drawn {
    let ratios: Vec<&Ratio> = scenario
        .ratios
        .iter()
        .filter(|ratio| ratio.ratio > 0.0)
        .collect();
    let far = ratios.iter().map(|ratio| ratio.ratio.ln().abs().exp());
    let far = far.fold(2.0, f64::max) * 1.5;
    let rows = ratios.len().max(1);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(32)
        .build_cartesian_2d((1.0 / far..far).log_scale(), 0.0..rows as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .label_style(FONT)
        .draw()?;
    for (row, ratio) in ratios.iter().rev().enumerate() {
        let row = row as f64;
        let ends = [(1.0, row + 0.1), (ratio.ratio, row + 0.9)];
        chart.draw_series([Rectangle::new(ends, COLOURS[5].filled())])?;
        let text = format!("{}: {:.2}", ratio.measure, ratio.ratio);
        let place = (1.05 / far, row + 0.75);
        chart.draw_series([Text::new(text, place, ("sans-serif", 12))])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
