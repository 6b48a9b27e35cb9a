//! Percentile curves with their intervals: every nine of the tail is as wide as the one before.

use super::axis::Axis;
use super::canvas::{
    Anchor, Canvas, Drawing, Frame, GRID, MUTED, SERIES, SMALL, STRONG, TEXT, Type, WIDTH, fitted,
    picture,
};
use crate::tell::groups;
use cloud::summary::{CurvePoint, Summary, TrafficSummary};

const FRAME: Frame = Frame {
    left: 120,
    top: 60,
    right: 1340,
    bottom: 600,
};
const HEIGHT: i32 = 690;

pub(super) fn draw(summary: &Summary) -> Option<Drawing> {
    let mut curves: Vec<&TrafficSummary> = groups(summary)
        .iter()
        .filter(|traffic| !traffic.percentile_curve.is_empty())
        .collect();
    let left_out = curves.len().saturating_sub(SERIES.len());
    curves.truncate(SERIES.len());
    let points = || curves.iter().flat_map(|traffic| &traffic.percentile_curve);
    let nines_max = points()
        .map(|point| nines(point.probability))
        .fold(0.0, f64::max);
    if curves.is_empty() {
        return None;
    }
    let rarity = Axis::linear(0.0, nines_max.max(1.0), (FRAME.left, FRAME.right));
    let ends = points().flat_map(|point| {
        let (low, high) = point.interval.unwrap_or((point.latency, point.latency));
        [point.latency, low, high]
    });
    let latency = Axis::for_latency(ends, (FRAME.bottom, FRAME.top));
    picture(HEIGHT, "Latency by percentile", |canvas| {
        grid(canvas, &rarity, &latency, nines_max);
        for (traffic, ink) in curves.iter().zip(SERIES) {
            let at = |point: &CurvePoint, value| {
                (rarity.at(nines(point.probability)), latency.at(value))
            };
            let known = traffic.percentile_curve.iter().filter_map(|point| {
                let (low, high) = point.interval?;
                Some((at(point, low), at(point, high)))
            });
            let (low, mut around): (Vec<_>, Vec<_>) = known.unzip();
            around.extend(low.into_iter().rev());
            canvas.area(&around, ink, 0.2);
            let line: Vec<_> = traffic
                .percentile_curve
                .iter()
                .map(|point| at(point, point.latency))
                .collect();
            // Where no interval is known the line is thinner.
            canvas.line(&line, ink, 2, 0.7);
            canvas.line(&line[..known_points(traffic)], ink, 4, 1.0);
        }
        labels(canvas, &curves, &latency);
        if left_out > 0 {
            let text = format!("{left_out} more in summary.csv");
            let look = Type::new(SMALL, MUTED).at(Anchor::End);
            canvas.text((WIDTH - 20, FRAME.bottom + 58), &text, look);
        }
    })
}

/// Points at the start of a curve that have an interval.
fn known_points(traffic: &TrafficSummary) -> usize {
    let known = |point: &&CurvePoint| point.interval.is_some();
    traffic.percentile_curve.iter().take_while(known).count()
}

/// How many nines a probability has: 1 for 90 %, 2 for 99 %.
fn nines(probability: f64) -> f64 {
    -libm::log10((1.0 - probability).max(1e-12))
}

fn grid(canvas: &mut Canvas<'_>, rarity: &Axis, latency: &Axis, nines_max: f64) {
    let heading = Type::new(TEXT, STRONG).bold();
    canvas.text(
        (FRAME.left, 24),
        "Latency not exceeded by that share of requests",
        heading,
    );
    let scale = Type::new(SMALL, MUTED).at(Anchor::End);
    if latency.is_logarithmic() {
        canvas.text((FRAME.right, 24), "logarithmic scale", scale);
    }
    let look = Type::new(SMALL, MUTED).at(Anchor::Middle);
    let whole = (1..=nines_max.max(1.0).floor() as usize).map(|count| {
        let decimals = count.saturating_sub(2);
        (
            count as f64,
            format!("{:.decimals$} %", nine_percent(count)),
        )
    });
    for (at, label) in std::iter::once((nines(0.5), "50 %".to_owned())).chain(whole) {
        let x = rarity.at(at);
        canvas.line(&[(x, FRAME.top), (x, FRAME.bottom)], GRID, 1, 1.0);
        canvas.text((x, FRAME.bottom + 22), &label, look);
    }
    for (value, label) in latency.latency_ticks() {
        let y = latency.at(value);
        canvas.line(&[(FRAME.left, y), (FRAME.right, y)], GRID, 1, 1.0);
        canvas.text((FRAME.left - 10, y), &label, scale);
    }
    let remark = "share of the requests answered; bands are intervals";
    canvas.text((FRAME.middle().0, FRAME.bottom + 58), remark, look);
}

/// 90 for one nine, 99 for two, 99.9 for three.
fn nine_percent(nines: usize) -> f64 {
    100.0 - libm::pow(10.0, 2.0 - nines as f64)
}

/// Names at the right ends of their lines, moved apart where they would overlap.
fn labels(canvas: &mut Canvas<'_>, curves: &[&TrafficSummary], latency: &Axis) {
    let mut ends: Vec<(i32, &str, usize)> = curves
        .iter()
        .enumerate()
        .filter_map(|(index, traffic)| {
            let last = traffic.percentile_curve.last()?;
            Some((latency.at(last.latency), &*traffic.name, index))
        })
        .collect();
    ends.sort_by_key(|&(y, _, index)| (y, index));
    let mut free = i32::MIN;
    for (y, name, index) in ends {
        let y = y.max(free);
        let look = Type::new(TEXT, SERIES[index]).bold();
        let text = fitted(name, TEXT, WIDTH - FRAME.right - 20);
        canvas.text((FRAME.right + 12, y), &text, look);
        free = y + TEXT + 6;
    }
}
