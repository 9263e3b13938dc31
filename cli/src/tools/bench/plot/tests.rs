use clap::Parser;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::super::Args;
use super::super::report::tests::run;
use super::*;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    args: Args,
}

fn scenario(name: &str, compared: bool) -> ScenarioReport {
    let args = Flags::parse_from(["bench"]).args;
    let compared = if compared {
        vec![run(256, 1.0)]
    } else {
        vec![]
    };
    ScenarioReport::new(Some(name.into()), args, vec![run(512, 1.0)], compared)
}

/// Parses all of it; gives the names of elements and the text in them.
fn parsed(svg: &str) -> (Vec<String>, String) {
    let mut reader = Reader::from_str(svg);
    let (mut elements, mut text, mut open) = (Vec::new(), String::new(), 0);
    loop {
        match reader
            .read_event()
            .unwrap_or_else(|error| panic!("{error} in {svg}"))
        {
            Event::Start(start) => {
                open += 1;
                elements.push(String::from_utf8(start.name().as_ref().to_vec()).unwrap());
            }
            Event::Empty(empty) => {
                elements.push(String::from_utf8(empty.name().as_ref().to_vec()).unwrap());
            }
            Event::End(_) => open -= 1,
            Event::Text(part) => text.push_str(&part.decode().unwrap()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, 0);
    (elements, text)
}

#[test]
fn a_row_of_panels_for_each_scenario() {
    let svg = draw(&[scenario("tail", false), scenario("fan-out", false)]).unwrap();
    let (elements, text) = parsed(&svg);
    assert_eq!(elements[0], "svg");
    for title in [
        "tail: MiB/s",
        "tail: latency, ms",
        "fan-out: MiB/s",
        "ack p99",
    ] {
        assert!(text.contains(title), "{title} is not in {text}");
    }
    assert!(!text.contains("ratio"), "nothing was compared: {text}");
    assert!(
        elements.iter().any(|element| element == "polyline"),
        "{elements:?}"
    );
}

#[test]
fn a_comparison_has_bars_and_both_lines() {
    let svg = draw(&[scenario("tail", true), scenario("fan-out", false)]).unwrap();
    let (_, text) = parsed(&svg);
    assert!(text.contains("tail: ratio to the other"), "{text}");
    assert!(text.contains("produce MiB/s: 2.00"), "{text}");
    assert!(text.contains("produced, other"), "{text}");
}

#[test]
fn markup_in_a_name_stays_text_and_nothing_at_all_is_drawn_too() {
    let svg = draw(&[scenario("<b> & \"c\"", false)]).unwrap();
    parsed(&svg);
    assert!(!svg.contains("<b>"), "{svg}");
    parsed(&draw(&[]).unwrap());
    let mut empty = scenario("none", true);
    (empty.runs, empty.compared) = (vec![], vec![]);
    parsed(&draw(&[empty]).unwrap());
}
