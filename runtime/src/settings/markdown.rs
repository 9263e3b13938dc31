//! Owns how a table of settings reads in the documentation.

use super::Setting;

/// A table of `table` in order of name, for docs/SETTINGS.md.
pub fn render_markdown(table: &[Setting]) -> String {
    let mut sorted: Vec<&Setting> = table.iter().collect();
    sorted.sort_unstable_by_key(|setting| setting.name);
    let mut text = String::from(
        "| Setting | Default | Values | Environment | What it does |\n|---|---|---|---|---|\n",
    );
    for setting in sorted {
        let default = match setting.default {
            "" => "(none)".to_string(),
            default => format!("`{default}`"),
        };
        let cells = [
            format!("`{}`", setting.name),
            default,
            setting.kind.allowed(),
            format!("`{}`", setting.env_name()),
            setting.doc.to_string(),
        ];
        text.push_str(&format!(
            "| {} |\n",
            cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
        ));
    }
    text
}
