//! Turns the measurements of `compare` into tables and pictures.
//!
//! ```text
//! cargo run --release -p efio-benches --bin report -- compare.json --primitives primitives.json
//! ```
//!
//! The tables replace what is between marks in README.md, docs/BENCHMARKS.md and docs/benchmarks/;
//! everything else in these pages is written by hand and stays as it is.

mod growth;
mod headline;
mod kinds;
mod markdown;
mod plots;
mod primitives;
mod summary;
mod tables;
mod verdicts;

use clap::Parser;
use efio_benches::record::Record;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use summary::Case;

/// Writes tables and plots of a comparison.
#[derive(Parser)]
struct Options {
    /// What `compare --json` wrote
    record: PathBuf,
    /// What the benches of the primitives wrote with EFIO_PRIMITIVES
    #[arg(long)]
    primitives: Option<PathBuf>,
    /// The page with the headline and the verdicts
    #[arg(long, default_value = "docs/BENCHMARKS.md")]
    page: PathBuf,
    /// The page that the short table goes to
    #[arg(long, default_value = "README.md")]
    readme: PathBuf,
    /// The directory of the generated pages; the plots go to `plots` in it
    #[arg(long, default_value = "docs/benchmarks")]
    details: PathBuf,
}

fn main() -> ExitCode {
    match write(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(options: &Options) -> io::Result<()> {
    let record = Record::load(&options.record)?;
    let cases = summary::cases(&record);
    if cases.is_empty() {
        return Err(io::Error::other("there are no measurements in it"));
    }
    let plots = options.details.join("plots");
    fs::create_dir_all(&plots)?;
    let pictures = pictures(&cases, &plots)?;
    put(
        &options.page,
        &[
            ("headline", headline::render(&cases, &pictures, false)),
            ("verdicts", verdicts::render(&cases)),
        ],
    )?;
    let comparison = tables::render(&record.machine, &cases, &pictures);
    put(
        &options.details.join("comparison.md"),
        &[("comparison", comparison)],
    )?;
    if let Some(path) = &options.primitives {
        let record = efio_benches::primitives::Record::load(path)?;
        put(
            &options.details.join("primitives.md"),
            &[("primitives", primitives::table(&record))],
        )?;
    }
    put(
        &options.readme,
        &[("headline", headline::render(&cases, &[], true))],
    )
}

/// Puts the parts where their marks are.
fn put(path: &Path, parts: &[(&str, String)]) -> io::Result<()> {
    let mut page = fs::read_to_string(path)?;
    for (name, text) in parts {
        page = replaced(&page, name, text).ok_or_else(|| {
            let marks = begin(name) + " " + &end(name);
            io::Error::other(format!("{}: there is no {marks}", path.display()))
        })?;
    }
    fs::write(path, page)
}

fn begin(part: &str) -> String {
    format!("<!-- report: {part} -->")
}

fn end(part: &str) -> String {
    format!("<!-- end of report: {part} -->")
}

/// Draws what there is to draw; the file names, each with what it shows.
fn pictures(cases: &[Case<'_>], dir: &Path) -> io::Result<Vec<(String, String)>> {
    let mut pictures = Vec::new();
    for picture in plots::all(cases) {
        let (name, title) = (format!("{}.svg", picture.name), picture.title.clone());
        let text = picture.draw().map_err(io::Error::other)?;
        fs::write(dir.join(&name), text)?;
        pictures.push((name, title));
    }
    Ok(pictures)
}

/// The page with what is between the marks of a part replaced, if it has them.
fn replaced(page: &str, part: &str, text: &str) -> Option<String> {
    let (begin, end) = (begin(part), end(part));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!(
        "{before}{begin}\n\n{}\n\n{end}{after}",
        text.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = |text: &str| {
            format!("By hand.\n\n<!-- report: a -->{text}<!-- end of report: a -->\n\nMore.\n")
        };
        let first = replaced(&page("old"), "a", "one").unwrap();
        assert_eq!(first, page("\n\none\n\n"));
        assert_eq!(replaced(&first, "a", "two").unwrap(), page("\n\ntwo\n\n"));
        assert_eq!(replaced(&first, "b", "two"), None);
    }
}
