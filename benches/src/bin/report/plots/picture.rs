//! One picture: its title, its colours and its writing, and what is drawn into it.

use crate::summary::OURS;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Drawn = Result<(), Box<dyn Error + Send + Sync>>;

/// One picture, to be drawn.
pub struct Picture {
    pub name: String,
    pub title: String,
    pub size: (u32, u32),
    pub drawing: Box<dyn Drawing>,
}

/// What is in a picture.
pub trait Drawing {
    fn draw(&self, area: &Area<'_>, size: (u32, u32)) -> Drawn;
}

pub const WIDTH: u32 = 900;
pub const INK: RGBColor = RGBColor(36, 41, 47);
pub const FAINT: RGBColor = RGBColor(110, 119, 129);
pub const RULE: RGBColor = RGBColor(228, 231, 235);
pub const ACCENT: RGBColor = RGBColor(207, 34, 46);

/// Each peer has its colour in all pictures.
pub const COLORS: [(&str, RGBColor); 15] = [
    (OURS, ACCENT),
    ("efio-uring", RGBColor(232, 128, 122)),
    ("efio-pool", RGBColor(243, 184, 178)),
    ("limit", RGBColor(36, 41, 47)),
    ("ring-1m", RGBColor(140, 149, 159)),
    ("std", RGBColor(31, 119, 180)),
    ("direct", RGBColor(120, 180, 230)),
    ("dontcache", RGBColor(10, 150, 165)),
    ("bufwriter", RGBColor(60, 70, 150)),
    ("tokio", RGBColor(26, 127, 55)),
    ("tokio-uring", RGBColor(135, 195, 75)),
    ("glommio", RGBColor(191, 135, 0)),
    ("compio", RGBColor(130, 80, 223)),
    ("monoio", RGBColor(215, 90, 175)),
    ("tracing-appender", RGBColor(135, 85, 70)),
];

pub fn color(peer: &str) -> RGBColor {
    let own = COLORS.iter().find(|(name, _)| *name == peer);
    own.map_or(FAINT, |(_, color)| *color)
}

pub fn text(size: u32, color: RGBColor, across: HPos, up: VPos) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .color(&color)
        .pos(Pos::new(across, up))
}

pub fn bold(size: u32, color: RGBColor, across: HPos, up: VPos) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .style(FontStyle::Bold)
        .color(&color)
        .pos(Pos::new(across, up))
}

/// A name is written in bold if it is efio's.
pub fn name_style(peer: &str, color: RGBColor, across: HPos) -> TextStyle<'static> {
    match peer {
        OURS => bold(13, color, across, VPos::Center),
        _ => text(13, color, across, VPos::Center),
    }
}

impl Picture {
    /// The picture as SVG.
    pub fn draw(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, self.size).into_drawing_area();
            area.fill(&WHITE)?;
            let title = bold(16, INK, HPos::Left, VPos::Top);
            area.draw(&Text::new(self.title.clone(), (16, 14), title))?;
            self.drawing.draw(&area, self.size)?;
            area.present()?;
        }
        Ok(svg)
    }
}

/// A number for an axis.
pub fn thousands(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.0} M", v / 1e6),
        v if v >= 1e3 => format!("{} {:03}", v as u64 / 1_000, v as u64 % 1_000),
        v if v >= 1.0 => format!("{v:.0}"),
        v => format!("{v}"),
    }
}

/// Values for the marks of a logarithmic axis, the first at or below `least`, the last at or above
/// `most`: powers of ten, with 2 and 5 between them where they are few.
pub fn ticks(least: f64, most: f64) -> Vec<f64> {
    let steps: &[f64] = if most / least < 300.0 {
        &[1.0, 2.0, 5.0]
    } else {
        &[1.0]
    };
    let powers = (least.log10().floor() as i32 - 1)..=(most.log10().ceil() as i32 + 1);
    let values: Vec<f64> = powers
        .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
        .collect();
    // What is a hair beside a tick is at it.
    let first = values.iter().rposition(|&v| v <= least * 1.001);
    let last = values.iter().position(|&v| v >= most / 1.001);
    match (first, last) {
        (Some(first), Some(last)) if first < last => values[first..=last].to_vec(),
        (Some(first), _) => values[first..(first + 2).min(values.len())].to_vec(),
        _ => values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_a_colour_of_its_own() {
        for (index, (peer, color)) in COLORS.iter().enumerate() {
            let others = COLORS[..index].iter();
            assert!(others.clone().all(|(other, _)| other != peer), "{peer}");
            assert!(others.clone().all(|(_, other)| other != color), "{peer}");
        }
    }

    #[test]
    fn marks_enclose_the_values() {
        assert_eq!(ticks(3.0, 40.0), [2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(ticks(1.0, 1000.0), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(ticks(0.02, 0.5), [0.02, 0.05, 0.1, 0.2, 0.5]);
        assert_eq!(ticks(5.0, 5.0).len(), 2);
    }
}
