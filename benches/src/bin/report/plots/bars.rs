//! Bars: every peer's figure as a multiple of the bare ring's.

use super::picture::{
    ACCENT, Area, Drawing, Drawn, FAINT, INK, Picture, WIDTH, color, name_style, text,
};
use crate::markdown::figure;
use crate::summary::{Case, LIMIT, OURS, Spread};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

pub struct Bars(Vec<Bar>);

struct Bar {
    peer: String,
    label: String,
    ratio: Spread,
}

const LEFT: i32 = 140;
const RIGHT: i32 = 610;
const TOP: i32 = 64;
const STEP: i32 = 26;

pub fn of(case: &Case<'_>) -> Option<Picture> {
    let limit = case.row(LIMIT)?;
    let mut bars: Vec<Bar> = case
        .rows
        .iter()
        .filter_map(|row| {
            let ratio = case.times(row, limit)?;
            let value = figure(row.metric(case.decides())?.median);
            Some(Bar {
                peer: row.peer.to_owned(),
                label: format!("{:.2} ×   {value} {}", ratio.median, case.decides().name),
                ratio,
            })
        })
        .collect();
    bars.sort_by(|a, b| b.ratio.median.total_cmp(&a.ratio.median));
    Some(Picture {
        name: case.scenario.name.to_owned(),
        title: format!("{}: as a multiple of a bare ring", case.scenario.title),
        size: (WIDTH, 92 + STEP as u32 * bars.len() as u32),
        drawing: Box::new(Bars(bars)),
    })
}

impl Drawing for Bars {
    fn draw(&self, area: &Area<'_>, _: (u32, u32)) -> Drawn {
        let most = self.0.iter().map(|bar| bar.ratio.greatest);
        let most = most.fold(1.0, f64::max);
        let across = |ratio: f64| LEFT + (f64::from(RIGHT - LEFT) * ratio / most) as i32;
        for (index, bar) in self.0.iter().enumerate() {
            draw_bar(area, bar, TOP + STEP * index as i32, &across)?;
        }
        let bottom = TOP + STEP * self.0.len() as i32;
        let one = [(across(1.0), TOP - 6), (across(1.0), bottom)];
        area.draw(&PathElement::new(one, INK.stroke_width(2)))?;
        area.draw(&Text::new(
            "the limit: 1.0",
            (across(1.0), TOP - 8),
            text(11, INK, HPos::Center, VPos::Bottom),
        ))?;
        let note = "bar: median of the rounds; whisker: least to greatest; longer is better";
        area.draw(&Text::new(
            note,
            (16, bottom + 8),
            text(11, FAINT, HPos::Left, VPos::Top),
        ))?;
        Ok(())
    }
}

fn draw_bar(area: &Area<'_>, bar: &Bar, y: i32, across: &dyn Fn(f64) -> i32) -> Drawn {
    let ink = if bar.peer.starts_with(OURS) {
        ACCENT
    } else {
        INK
    };
    let middle = y + 10;
    let name = name_style(&bar.peer, ink, HPos::Right);
    area.draw(&Text::new(bar.peer.clone(), (LEFT - 8, middle), name))?;
    let Spread {
        least,
        median,
        greatest,
    } = bar.ratio;
    area.draw(&Rectangle::new(
        [(LEFT, y + 1), (across(median), y + 19)],
        color(&bar.peer).filled(),
    ))?;
    // White below: to be seen on a dark bar as well.
    let whisker = [(across(least), middle), (across(greatest), middle)];
    let ends = [least, greatest].map(|end| [(across(end), y + 6), (across(end), y + 14)]);
    for (line, width) in [(WHITE, 3), (FAINT, 1)] {
        area.draw(&PathElement::new(whisker, line.stroke_width(width)))?;
        for end in ends {
            area.draw(&PathElement::new(end, line.stroke_width(width)))?;
        }
    }
    let label = name_style(
        &bar.peer,
        if bar.peer == OURS { ACCENT } else { FAINT },
        HPos::Left,
    );
    area.draw(&Text::new(bar.label.clone(), (RIGHT + 14, middle), label))?;
    Ok(())
}
