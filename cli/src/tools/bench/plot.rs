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
            ("end to end p99", second.end_to_end_p99_ms),
            ("end to end p50", second.end_to_end_p50_ms),
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
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
    // A little room above, and never an empty axis.
    let (right, top) = (
        most(|point| point.0).max(1.0),
        most(|point| point.1).max(0.1) * 1.1,
    );
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(28)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc("s")
        .label_style(FONT)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (line, colour) in lines.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(
                line.1.iter().copied(),
                colour.stroke_width(2),
            ))?
            .label(line.0.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    if !lines.is_empty() {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .label_font(FONT)
            .draw()?;
    }
    Ok(())
}

/// A bar for each ratio, from 1 to it.
fn bars(area: &Area<'_>, title: &str, scenario: &ScenarioReport) -> Drawn {
    let ratios: Vec<&Ratio> = scenario
        .ratios
        .iter()
        .filter(|ratio| ratio.ratio > 0.0)
        .collect();
    let most = ratios.iter().map(|ratio| ratio.ratio).fold(1.5, f64::max) * 1.1;
    let rows = ratios.len().max(1);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(28)
        .build_cartesian_2d(0.0..most, 0..rows as i32)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .label_style(FONT)
        .draw()?;
    for (row, ratio) in (0..).zip(ratios.iter().rev()) {
        let ends = [(1.0, row), (ratio.ratio, row + 1)];
        let mut bar = Rectangle::new(ends, COLOURS[5].filled());
        bar.set_margin(2, 2, 0, 0);
        chart.draw_series([bar])?;
        let text = format!("{}: {:.2}", ratio.measure, ratio.ratio);
        chart.draw_series([Text::new(text, (most * 0.02, row + 1), ("sans-serif", 12))])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
