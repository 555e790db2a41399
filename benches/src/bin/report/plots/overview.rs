//! All scenarios in one picture: a line for each, and on it everyone as a multiple of the bare
//! ring.

use super::picture::{
    ACCENT, Area, COLORS, Drawing, Drawn, FAINT, INK, Picture, RULE, WIDTH, bold, color, text,
    ticks,
};
use crate::summary::{Case, LIMIT, OURS, Spread, headline};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

pub struct Overview(Vec<Line>);

struct Line {
    label: String,
    peers: Vec<(String, Spread)>,
}

const LEFT: i32 = 250;
const RIGHT: i32 = WIDTH as i32 - 30;
const TOP: i32 = 110;
const STEP: i32 = 28;
/// In so many columns the colours are explained.
const COLUMNS: i32 = 7;

pub fn of(cases: &[Case<'_>]) -> Option<Picture> {
    let lines: Vec<Line> = headline(cases)
        .filter_map(|case| {
            let limit = case.row(LIMIT)?;
            let peers = case.rows.iter();
            let peers =
                peers.filter_map(|row| Some((row.peer.to_owned(), case.times(row, limit)?)));
            Some(Line {
                label: case.short(),
                peers: peers.collect(),
            })
        })
        .collect();
    (!lines.is_empty()).then(|| Picture {
        name: "overview".to_owned(),
        title: "How good everyone is, as a multiple of a bare ring (further right is better)"
            .to_owned(),
        size: (WIDTH, (TOP + STEP * lines.len() as i32 + 34) as u32),
        drawing: Box::new(Overview(lines)),
    })
}

impl Drawing for Overview {
    fn draw(&self, area: &Area<'_>, _: (u32, u32)) -> Drawn {
        let medians = || {
            let peers = self.0.iter().flat_map(|line| &line.peers);
            peers.map(|(_, ratio)| ratio.median)
        };
        let marks = ticks(
            medians().fold(1.0, f64::min).max(0.02),
            medians().fold(1.0, f64::max),
        );
        let (from, to) = (marks[0].log10(), marks[marks.len() - 1].log10());
        let across = |ratio: f64| {
            let at = (ratio.log10() - from) / (to - from);
            LEFT + (f64::from(RIGHT - LEFT) * at.clamp(0.0, 1.0)) as i32
        };
        let bottom = TOP + STEP * self.0.len() as i32;
        for &mark in &marks {
            let rule = [(across(mark), TOP - 4), (across(mark), bottom)];
            area.draw(&PathElement::new(rule, RULE.stroke_width(1)))?;
            area.draw(&Text::new(
                format!("{}", (mark * 1e6).round() / 1e6),
                (across(mark), bottom + 8),
                text(12, FAINT, HPos::Center, VPos::Top),
            ))?;
        }
        let one = [(across(1.0), TOP - 4), (across(1.0), bottom)];
        area.draw(&PathElement::new(one, INK.stroke_width(2)))?;
        area.draw(&Text::new(
            "a bare ring",
            (across(1.0), TOP - 6),
            text(11, INK, HPos::Center, VPos::Bottom),
        ))?;
        for (index, line) in self.0.iter().enumerate() {
            draw_line(area, line, TOP + STEP * index as i32 + STEP / 2, &across)?;
        }
        legend(area)
    }
}

fn draw_line(area: &Area<'_>, line: &Line, y: i32, across: &dyn Fn(f64) -> i32) -> Drawn {
    area.draw(&Text::new(
        line.label.clone(),
        (LEFT - 14, y),
        text(13, INK, HPos::Right, VPos::Center),
    ))?;
    let rule = [(LEFT, y), (RIGHT, y)];
    area.draw(&PathElement::new(rule, RULE.stroke_width(1)))?;
    // efio last: above the others.
    for (peer, ratio) in line.peers.iter().rev().filter(|(peer, _)| shown(peer)) {
        let center = (across(ratio.median), y);
        if peer == OURS {
            let whisker = [(across(ratio.least), y), (across(ratio.greatest), y)];
            area.draw(&PathElement::new(whisker, ACCENT.stroke_width(2)))?;
            area.draw(&Circle::new(center, 8, ACCENT.filled()))?;
        } else {
            area.draw(&Circle::new(center, 5, color(peer).mix(0.85).filled()))?;
        }
    }
    Ok(())
}

/// The limit is the line at 1; efio's backends have their tables.
fn shown(peer: &str) -> bool {
    peer != LIMIT && (peer == OURS || !peer.starts_with(OURS))
}

fn legend(area: &Area<'_>) -> Drawn {
    let shown = COLORS.iter().filter(|(peer, _)| shown(peer));
    for (index, (peer, color)) in (0..).zip(shown) {
        let x = 24 + (WIDTH as i32 - 40) / COLUMNS * (index % COLUMNS);
        let y = 52 + 20 * (index / COLUMNS);
        let (radius, style) = match *peer {
            OURS => (8, bold(12, ACCENT, HPos::Left, VPos::Center)),
            _ => (5, text(12, INK, HPos::Left, VPos::Center)),
        };
        area.draw(&Circle::new((x, y), radius, color.filled()))?;
        area.draw(&Text::new(*peer, (x + 12, y), style))?;
    }
    Ok(())
}
