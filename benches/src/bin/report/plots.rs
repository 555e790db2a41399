//! The pictures: how peers compare, how long calls take, what happens as files become more.

use crate::summary::{Case, OURS};
use crate::tables::figure;
use efio_benches::catalog::SCENARIOS;
use efio_benches::record::{Figures, Latency};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error + Send + Sync>>;

/// One picture, to be drawn.
pub struct Picture {
    pub name: String,
    pub title: String,
    size: (u32, u32),
    kind: Kind,
}

enum Kind {
    Bars(Vec<Bar>),
    Lines(Lines),
}

struct Bar {
    peer: String,
    label: String,
    /// The peer's figure as a multiple of efio's, with its ends.
    ratio: (f64, f64, f64),
}

struct Lines {
    across: &'static str,
    up: String,
    /// Nines instead of powers of ten on the horizontal axis.
    nines: bool,
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

const WIDTH: u32 = 860;
const INK: RGBColor = RGBColor(36, 41, 47);
const FAINT: RGBColor = RGBColor(110, 119, 129);
const RULE: RGBColor = RGBColor(225, 228, 232);
const ACCENT: RGBColor = RGBColor(207, 59, 46);
const LIMIT: RGBColor = RGBColor(36, 41, 47);
const VARIANT: RGBColor = RGBColor(226, 148, 139);
/// Each peer has its colour in all pictures.
const COLORS: [(&str, RGBColor); 11] = [
    ("ring-1m", RGBColor(140, 149, 159)),
    ("std", RGBColor(31, 119, 180)),
    ("direct", RGBColor(120, 170, 220)),
    ("dontcache", RGBColor(23, 160, 175)),
    ("bufwriter", RGBColor(60, 80, 160)),
    ("tokio", RGBColor(44, 140, 80)),
    ("tokio-uring", RGBColor(130, 180, 60)),
    ("glommio", RGBColor(190, 140, 20)),
    ("compio", RGBColor(148, 103, 189)),
    ("monoio", RGBColor(215, 110, 180)),
    ("tracing-appender", RGBColor(140, 86, 75)),
];

/// All pictures that the cases are enough for.
pub fn all(cases: &[Case<'_>]) -> Vec<Picture> {
    let mut pictures = Vec::new();
    for scenario in SCENARIOS {
        let of_it: Vec<_> = cases
            .iter()
            .filter(|case| case.scenario.name == scenario.name)
            .collect();
        match of_it[..] {
            [] => {}
            [case] => {
                pictures.extend(bars(case));
                pictures.extend(distribution(case, "-held", scenario.latency, |f| {
                    f.latency.as_ref()
                }));
                let late = "time until a tick of 1 kHz is noticed";
                pictures.extend(distribution(case, "-late", late, |f| f.lateness.as_ref()));
            }
            _ => pictures.extend(growth(&of_it)),
        }
    }
    pictures
}

fn bars(case: &Case<'_>) -> Option<Picture> {
    let ours = case.row(OURS)?;
    let mut bars: Vec<Bar> = case
        .rows
        .iter()
        .filter_map(|row| {
            let spread = case.times(row, ours)?;
            let value = row.metric(case.decides())?.median;
            Some(Bar {
                peer: row.peer.to_owned(),
                label: format!(
                    "{:.2}×   {} {}",
                    spread.median,
                    figure(value),
                    case.decides().name
                ),
                ratio: (spread.least, spread.median, spread.greatest),
            })
        })
        .collect();
    bars.sort_by(|a, b| b.ratio.1.total_cmp(&a.ratio.1));
    let height = 84 + 26 * bars.len() as u32;
    Some(Picture {
        name: case.scenario.name.to_owned(),
        title: format!("{}: how many times as good as efio", case.scenario.title),
        size: (WIDTH, height),
        kind: Kind::Bars(bars),
    })
}

fn distribution(
    case: &Case<'_>,
    suffix: &str,
    what: &str,
    which: fn(&Figures) -> Option<&Latency>,
) -> Option<Picture> {
    let mut lines = Vec::new();
    for row in &case.rows {
        let longest = row
            .figures()
            .filter_map(which)
            .map(|latency| latency.count)
            .max();
        // Beyond one of all there is only the longest.
        let nines = longest.map_or(0.0, |count| (count as f64).log10());
        let points = row.times(which).into_iter();
        let points = points.map(|(rank, time)| (-(1.0 - rank).max(1e-9).log10(), time.max(0.01)));
        let points: Vec<_> = points
            .filter(|(at, _)| *at <= nines.clamp(1.0, 6.0))
            .collect();
        if points.len() > 1 {
            lines.push((row.peer.to_owned(), points));
        }
    }
    (!lines.is_empty()).then(|| Picture {
        name: format!("{}{suffix}", case.scenario.name),
        title: format!("{}: {what}", case.scenario.title),
        size: (WIDTH, 460),
        kind: Kind::Lines(Lines {
            across: "fraction of all that took no longer",
            up: "µs".to_owned(),
            nines: true,
            lines,
        }),
    })
}

fn growth(cases: &[&Case<'_>]) -> Option<Picture> {
    let first = cases.first()?;
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for case in cases {
        for row in &case.rows {
            let Some(spread) = row.metric(case.decides()) else {
                continue;
            };
            let point = ((case.files as f64).log10(), spread.median);
            match lines.iter_mut().find(|(peer, _)| peer == row.peer) {
                Some((_, points)) => points.push(point),
                None => lines.push((row.peer.to_owned(), vec![point])),
            }
        }
    }
    Some(Picture {
        name: first.scenario.name.to_owned(),
        title: first.scenario.title.to_owned(),
        size: (WIDTH, 460),
        kind: Kind::Lines(Lines {
            across: "files open at once",
            up: first.decides().name.to_owned(),
            nines: false,
            lines,
        }),
    })
}

/// A colour, and how thick a line.
fn style(peer: &str) -> (RGBColor, u32) {
    match peer {
        OURS => (ACCENT, 4),
        _ if peer.starts_with(OURS) => (VARIANT, 1),
        "limit" => (LIMIT, 2),
        _ => {
            let own = COLORS.iter().find(|(name, _)| *name == peer);
            (own.map_or(FAINT, |(_, color)| *color), 1)
        }
    }
}

fn text(size: u32, color: RGBColor, across: HPos, up: VPos) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .color(&color)
        .pos(Pos::new(across, up))
}

impl Picture {
    /// The picture as SVG.
    pub fn draw(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, self.size).into_drawing_area();
            area.fill(&WHITE)?;
            let title = text(17, INK, HPos::Left, VPos::Top);
            area.draw(&Text::new(self.title.clone(), (16, 14), title))?;
            match &self.kind {
                Kind::Bars(bars) => draw_bars(&area, bars)?,
                Kind::Lines(lines) => draw_lines(&area, self.size, lines)?,
            }
            area.present()?;
        }
        Ok(svg)
    }
}

fn draw_bars(area: &Area<'_>, bars: &[Bar]) -> Drawn {
    const LEFT: i32 = 140;
    const RIGHT: i32 = 600;
    const TOP: i32 = 56;
    let most = bars.iter().map(|bar| bar.ratio.2).fold(1.0, f64::max);
    let across = |ratio: f64| LEFT + (f64::from(RIGHT - LEFT) * ratio / most) as i32;
    let bottom = TOP + 26 * bars.len() as i32;
    for (index, bar) in bars.iter().enumerate() {
        let y = TOP + 26 * index as i32;
        let ours = bar.peer.starts_with(OURS);
        let color = match &*bar.peer {
            OURS => ACCENT,
            _ if ours => VARIANT,
            "limit" => RGBColor(87, 96, 106),
            _ => RGBColor(150, 178, 205),
        };
        let name = text(
            13,
            if ours { ACCENT } else { INK },
            HPos::Right,
            VPos::Center,
        );
        area.draw(&Text::new(bar.peer.clone(), (LEFT - 8, y + 10), name))?;
        let (least, median, greatest) = bar.ratio;
        area.draw(&Rectangle::new(
            [(LEFT, y + 1), (across(median), y + 19)],
            color.filled(),
        ))?;
        let whisker = [(across(least), y + 10), (across(greatest), y + 10)];
        area.draw(&PathElement::new(whisker, INK.stroke_width(1)))?;
        let ends = [least, greatest].map(|end| [(across(end), y + 7), (across(end), y + 13)]);
        for end in ends {
            area.draw(&PathElement::new(end, INK.stroke_width(1)))?;
        }
        let label = text(12, FAINT, HPos::Left, VPos::Center);
        area.draw(&Text::new(bar.label.clone(), (RIGHT + 14, y + 10), label))?;
    }
    let one = [(across(1.0), TOP - 6), (across(1.0), bottom)];
    area.draw(&PathElement::new(one, ACCENT.stroke_width(1)))?;
    let note = "bar: median of the rounds; whisker: least to greatest; longer is better";
    area.draw(&Text::new(
        note,
        (16, bottom + 8),
        text(11, FAINT, HPos::Left, VPos::Top),
    ))?;
    Ok(())
}

fn draw_lines(area: &Area<'_>, size: (u32, u32), lines: &Lines) -> Drawn {
    let (left, right, top, bottom) = (70, size.0 as i32 - 140, 58, size.1 as i32 - 50);
    let points = || lines.lines.iter().flat_map(|(_, points)| points);
    let ends = |pick: fn(&(f64, f64)) -> f64| {
        let values = points().map(pick);
        values.fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)))
    };
    let (from, to) = ends(|point| point.0);
    let (low, high) = ends(|point| point.1.log10());
    let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
    let x = |at: f64| left + (f64::from(right - left) * (at - from) / (to - from).max(0.1)) as i32;
    let y = |value: f64| {
        bottom - (f64::from(bottom - top) * (value.log10() - low) / (high - low)) as i32
    };

    for power in low as i32..=high as i32 {
        let at = y(10f64.powi(power));
        area.draw(&PathElement::new(
            [(left, at), (right, at)],
            RULE.stroke_width(1),
        ))?;
        let label = text(12, FAINT, HPos::Right, VPos::Center);
        area.draw(&Text::new(
            thousands(10f64.powi(power)),
            (left - 8, at),
            label,
        ))?;
    }
    for mark in from.ceil() as i32..=to.floor() as i32 {
        let at = x(f64::from(mark));
        area.draw(&PathElement::new(
            [(at, top), (at, bottom)],
            RULE.stroke_width(1),
        ))?;
        let name = if lines.nines {
            nines(mark)
        } else {
            thousands(10f64.powi(mark))
        };
        area.draw(&Text::new(
            name,
            (at, bottom + 8),
            text(12, FAINT, HPos::Center, VPos::Top),
        ))?;
    }
    area.draw(&Text::new(
        lines.up.clone(),
        (16, 38),
        text(12, FAINT, HPos::Left, VPos::Top),
    ))?;
    let across = ((left + right) / 2, bottom + 28);
    area.draw(&Text::new(
        lines.across,
        across,
        text(12, FAINT, HPos::Center, VPos::Top),
    ))?;

    let mut names = Vec::new();
    // efio last: above the others.
    for (peer, points) in lines.lines.iter().rev() {
        let (color, width) = style(peer);
        let path: Vec<_> = points
            .iter()
            .map(|&(at, value)| (x(at), y(value)))
            .collect();
        names.extend(path.last().map(|&(x, y)| (y, x, peer.clone(), color)));
        area.draw(&PathElement::new(path, color.stroke_width(width)))?;
    }
    name_lines(area, names, right, bottom)
}

/// Writes the names beside the ends of their lines, none over another.
fn name_lines(
    area: &Area<'_>,
    mut names: Vec<(i32, i32, String, RGBColor)>,
    right: i32,
    bottom: i32,
) -> Drawn {
    const HEIGHT: i32 = 15;
    names.sort_by_key(|name| name.0);
    let mut places: Vec<i32> = Vec::new();
    for name in &names {
        let free = places.last().map_or(i32::MIN, |last| last + HEIGHT);
        places.push(name.0.max(free));
    }
    let mut ceiling = bottom + HEIGHT / 2;
    for place in places.iter_mut().rev() {
        *place = (*place).min(ceiling);
        ceiling = *place - HEIGHT;
    }
    for ((y, x, name, color), place) in names.into_iter().zip(places) {
        let leader = [(x, y), (right + 10, place)];
        area.draw(&PathElement::new(leader, color.mix(0.5).stroke_width(1)))?;
        let label = text(12, color, HPos::Left, VPos::Center);
        area.draw(&Text::new(name, (right + 14, place), label))?;
    }
    Ok(())
}

/// 0, 0.9, 0.99 and so on.
fn nines(count: i32) -> String {
    match count {
        0 => "0".to_owned(),
        count => format!("{:.*}", count as usize, 1.0 - 10f64.powi(-count)),
    }
}

fn thousands(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.0} M", v / 1e6),
        v if v >= 1e4 => format!("{:.0} 000", v / 1e3),
        v if v >= 1.0 => format!("{v:.0}"),
        v => format!("{v}"),
    }
}
