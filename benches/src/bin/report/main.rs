//! Turns the measurements of `compare` into tables and pictures.
//!
//! ```text
//! cargo run --release -p efio-benches --bin report -- compare.json
//! ```
//!
//! The tables replace what is between two marks in docs/BENCHMARKS.md; the rest of it is left alone.

mod plots;
mod summary;
mod tables;

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
    /// The page that the tables go to
    #[arg(long, default_value = "docs/BENCHMARKS.md")]
    page: PathBuf,
    /// The directory that the plots go to
    #[arg(long, default_value = "docs/plots")]
    plots: PathBuf,
}

const BEGIN: &str = "<!-- From here on written by `report`. -->";
const END: &str = "<!-- To here written by `report`. -->";

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
    fs::create_dir_all(&options.plots)?;
    let pictures = pictures(&cases, &options.plots)?;
    let text = tables::render(&record.machine, &cases, &pictures);
    let page = fs::read_to_string(&options.page)?;
    fs::write(&options.page, replaced(&page, &text))
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

/// The page with the part between the marks replaced; at its end, if it has no marks.
fn replaced(page: &str, text: &str) -> String {
    let part = format!("{BEGIN}\n\n{}\n\n{END}", text.trim());
    let marks = page.find(BEGIN).zip(page.find(END));
    match marks {
        Some((begin, end)) if begin < end => {
            format!("{}{part}{}", &page[..begin], &page[end + END.len()..])
        }
        _ => format!("{}\n\n{part}\n", page.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_between_the_marks_changes() {
        let first = replaced("# Page\n\nBy hand.\n", "one");
        assert_eq!(
            first,
            format!("# Page\n\nBy hand.\n\n{BEGIN}\n\none\n\n{END}\n")
        );
        let with_more = first + "\nMore by hand.\n";
        let second = replaced(&with_more, "two");
        assert_eq!(second, with_more.replace("one", "two"));
        assert_eq!(replaced(&second, "two"), second);
    }
}
