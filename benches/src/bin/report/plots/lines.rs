//! Lines: distributions of times, and figures over ever more files.

use super::picture::{
    Area, Drawing, Drawn, FAINT, INK, Picture, RULE, WIDTH, color, name_style, text, thousands,
    ticks,
};
use crate::summary::{Case, LIMIT, OURS};
use efio_benches::record::{Figures, Latency};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

pub struct Lines {
    across: &'static str,
    up: String,
    /// Nines instead of powers of ten on the horizontal axis.
    nines: bool,
    /// Each point is marked.
    marked: bool,
    lines: Vec<Line>,
}

struct Line {
    peer: String,
    /// Powers of ten across, the value up.
    points: Vec<(f64, f64)>,
    /// The least and the greatest value at each point, where they are shown.
    spreads: Vec<(f64, f64)>,
}

/// How large a fraction of all took how long, for each peer.
pub fn distribution(
    case: &Case<'_>,
    suffix: &str,
    what: &str,
    which: fn(&Figures) -> Option<&Latency>,
) -> Option<Picture> {
    let mut lines = Vec::new();
    for row in &case.rows {
        let counts = row.figures().filter_map(which);
        let most = counts.map(|latency| latency.count).max().unwrap_or(0);
        // Beyond one of all there is only the longest.
        let nines = (most as f64).log10().clamp(1.0, 6.0);
        let times = row.times(which).into_iter();
        let points = times.map(|(rank, time)| (-(1.0 - rank).max(1e-9).log10(), time.max(0.01)));
        let points: Vec<_> = points.filter(|(at, _)| *at <= nines).collect();
        if points.len() > 1 {
            let peer = row.peer.to_owned();
            let spreads = Vec::new();
            lines.push(Line {
                peer,
                points,
                spreads,
            });
        }
    }
    (!lines.is_empty()).then(|| Picture {
        name: format!("{}{suffix}", case.scenario.name),
        title: format!("{}: {what}", case.scenario.title),
        size: (WIDTH, 470),
        drawing: Box::new(Lines {
            across: "fraction of all that took no longer",
            up: "µs; lower is better".to_owned(),
            nines: true,
            marked: false,
            lines,
        }),
    })
}

/// The deciding figure over the number of files.
pub fn growth(cases: &[&Case<'_>]) -> Option<Picture> {
    let first = cases.first()?;
    let mut lines: Vec<Line> = Vec::new();
    for case in cases {
        for row in &case.rows {
            let Some(spread) = row.metric(case.decides()) else {
                continue;
            };
            let known = lines.iter().position(|line| line.peer == row.peer);
            let index = known.unwrap_or_else(|| {
                lines.push(Line {
                    peer: row.peer.to_owned(),
                    points: Vec::new(),
                    spreads: Vec::new(),
                });
                lines.len() - 1
            });
            let line = &mut lines[index];
            let files = (case.files as f64).log10();
            line.points.push((files, spread.median));
            if row.peer == OURS {
                line.spreads.push((spread.least, spread.greatest));
            }
        }
    }
    let metric = first.decides();
    let better = if metric.less { "lower" } else { "higher" };
    Some(Picture {
        name: first.scenario.name.to_owned(),
        title: first.scenario.title.to_owned(),
        size: (WIDTH, 520),
        drawing: Box::new(Lines {
            across: "files open at once",
            up: format!(
                "{}; {better} is better; efio's spread is marked",
                metric.name
            ),
            nines: false,
            marked: true,
            lines,
        }),
    })
}

/// Where points are in the picture.
struct Frame {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
    from: f64,
    to: f64,
    marks: Vec<f64>,
}

impl Frame {
    fn x(&self, at: f64) -> i32 {
        let part = (at - self.from) / (self.to - self.from).max(0.1);
        self.left + (f64::from(self.right - self.left) * part) as i32
    }

    fn y(&self, value: f64) -> i32 {
        let ends = [self.marks[0], self.marks[self.marks.len() - 1]].map(f64::log10);
        let part = (value.log10() - ends[0]) / (ends[1] - ends[0]);
        self.bottom - (f64::from(self.bottom - self.top) * part) as i32
    }
}

impl Drawing for Lines {
    fn draw(&self, area: &Area<'_>, size: (u32, u32)) -> Drawn {
        let frame = self.frame(size);
        self.axes(area, &frame)?;
        let mut names = Vec::new();
        // efio last: above the others.
        for line in self.lines.iter().rev() {
            let color = color(&line.peer);
            let width = match &*line.peer {
                OURS => 4,
                LIMIT => 3,
                _ if self.marked => 2,
                _ => 1,
            };
            let place = |&(at, value): &(f64, f64)| (frame.x(at), frame.y(value));
            let path: Vec<_> = line.points.iter().map(place).collect();
            for (&(x, _), &(least, greatest)) in path.iter().zip(&line.spreads) {
                let whisker = [(x, frame.y(least)), (x, frame.y(greatest))];
                area.draw(&PathElement::new(whisker, color.stroke_width(2)))?;
            }
            if self.marked {
                let radius = if width > 2 { 5 } else { 3 };
                for &point in &path {
                    area.draw(&Circle::new(point, radius, color.filled()))?;
                }
            }
            names.extend(path.last().map(|&end| (end, line.peer.clone(), color)));
            area.draw(&PathElement::new(path, color.stroke_width(width)))?;
        }
        name_lines(area, names, &frame)
    }
}

impl Lines {
    fn frame(&self, size: (u32, u32)) -> Frame {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let ends = |pick: fn(&(f64, f64)) -> f64| {
            let values = points().map(pick);
            values.fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)))
        };
        let (from, to) = ends(|point| point.0);
        let (low, high) = ends(|point| point.1);
        let spreads = self.lines.iter().flat_map(|line| &line.spreads);
        let (low, high) = spreads.fold((low, high), |(a, b), s| (a.min(s.0), b.max(s.1)));
        Frame {
            left: 70,
            right: size.0 as i32 - 150,
            top: 70,
            bottom: size.1 as i32 - 54,
            from,
            to,
            marks: ticks(low, high),
        }
    }

    fn axes(&self, area: &Area<'_>, frame: &Frame) -> Drawn {
        let &Frame {
            left,
            right,
            top,
            bottom,
            ..
        } = frame;
        for &mark in &frame.marks {
            let at = frame.y(mark);
            let rule = [(left, at), (right, at)];
            area.draw(&PathElement::new(rule, RULE.stroke_width(1)))?;
            let label = text(12, FAINT, HPos::Right, VPos::Center);
            let value = (mark * 1e6).round() / 1e6;
            area.draw(&Text::new(thousands(value), (left - 8, at), label))?;
        }
        for mark in frame.from.ceil() as i32..=frame.to.floor() as i32 {
            let at = frame.x(f64::from(mark));
            let rule = [(at, top), (at, bottom)];
            area.draw(&PathElement::new(rule, RULE.stroke_width(1)))?;
            let name = match self.nines {
                true => nines(mark),
                false => thousands(10f64.powi(mark)),
            };
            let label = text(12, FAINT, HPos::Center, VPos::Top);
            area.draw(&Text::new(name, (at, bottom + 8), label))?;
        }
        let label = text(12, INK, HPos::Left, VPos::Top);
        area.draw(&Text::new(self.up.clone(), (16, 44), label))?;
        let label = text(12, INK, HPos::Center, VPos::Top);
        let place = ((left + right) / 2, bottom + 28);
        area.draw(&Text::new(self.across, place, label))?;
        Ok(())
    }
}

/// Writes the names beside the ends of their lines, none over another.
fn name_lines(
    area: &Area<'_>,
    mut names: Vec<((i32, i32), String, RGBColor)>,
    frame: &Frame,
) -> Drawn {
    const HEIGHT: i32 = 17;
    names.sort_by_key(|((_, y), ..)| *y);
    let mut places: Vec<i32> = Vec::new();
    for ((_, y), ..) in &names {
        let free = places.last().map_or(i32::MIN, |last| last + HEIGHT);
        places.push(free.max(*y));
    }
    let mut ceiling = frame.bottom + HEIGHT / 2;
    for place in places.iter_mut().rev() {
        *place = (*place).min(ceiling);
        ceiling = *place - HEIGHT;
    }
    for ((end, peer, color), place) in names.into_iter().zip(places) {
        let leader = [end, (frame.right + 16, place)];
        area.draw(&PathElement::new(leader, color.mix(0.5).stroke_width(1)))?;
        let style = name_style(&peer, color, HPos::Left);
        area.draw(&Text::new(peer, (frame.right + 20, place), style))?;
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
