//! Ink on paper: a thin layer over plotters' SVG backend.
//!
//! The backend knows whole pixels only: pictures are laid out in units on a wide canvas, drawn
//! in quarters of them and scaled by their viewBox. Every colour
//! is one of a closed set made for people who confuse red and green; each has a counterpart for
//! dark surfaces, set by rules on the colour itself, so that a viewer without style sheets still
//! shows the light picture.

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontDesc, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle};

/// Steps of the backend's whole pixels per unit of a picture, for smooth curves.
const FINE: i32 = 4;
/// Width of every picture.
pub(super) const WIDTH: i32 = 1600;
/// Size of ordinary text on it.
pub(super) const TEXT: i32 = 22;
/// Size of remarks and ticks.
pub(super) const SMALL: i32 = 19;

/// Why drawing cannot fail.
const TO_MEMORY: &str = "writing text to memory cannot fail";

/// A colour on light surfaces with its counterpart on dark ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ink {
    light: (u8, u8, u8),
    dark: (u8, u8, u8),
}

const fn ink(light: (u8, u8, u8), dark: (u8, u8, u8)) -> Ink {
    Ink { light, dark }
}

pub(super) const PAPER: Ink = ink((255, 255, 255), (23, 26, 32));
pub(super) const PANEL: Ink = ink((246, 247, 249), (31, 35, 43));
pub(super) const STRONG: Ink = ink((27, 31, 38), (236, 238, 241));
pub(super) const MUTED: Ink = ink((92, 100, 113), (165, 174, 187));
pub(super) const GRID: Ink = ink((223, 227, 233), (52, 58, 69));
pub(super) const BLUE: Ink = ink((0, 114, 178), (93, 178, 235));
pub(super) const FAILURE: Ink = ink((213, 94, 0), (255, 139, 66));
pub(super) const FAULT: Ink = ink((230, 159, 0), (240, 180, 60));
const GREEN: Ink = ink((0, 138, 101), (60, 201, 155));
const PURPLE: Ink = ink((156, 74, 130), (226, 149, 198));
const OCHRE: Ink = ink((176, 120, 0), (233, 185, 73));
const SKY: Ink = ink((63, 155, 205), (142, 205, 245));
const UMBER: Ink = ink((120, 85, 60), (201, 167, 142));
const SLATE: Ink = ink((70, 78, 90), (190, 198, 209));

/// Colours for things of one kind; after the last one they start again.
pub(super) const SERIES: [Ink; 7] = [BLUE, OCHRE, GREEN, PURPLE, SKY, UMBER, SLATE];

const INKS: [Ink; 14] = [
    PAPER, PANEL, STRONG, MUTED, GRID, BLUE, FAILURE, FAULT, GREEN, PURPLE, OCHRE, SKY, UMBER,
    SLATE,
];

fn hex((red, green, blue): (u8, u8, u8)) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// Rules that turn a picture dark; `scope` goes before each selector.
pub(crate) fn dark_rules(scope: &str) -> String {
    INKS.iter()
        .map(|ink| {
            let (light, dark) = (hex(ink.light), hex(ink.dark));
            format!(
                "{scope}[fill=\"{light}\"]{{fill:{dark}}}{scope}[stroke=\"{light}\"]{{stroke:{dark}}}"
            )
        })
        .collect()
}

/// Where text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    pub size: i32,
    pub ink: Ink,
    pub bold: bool,
    pub anchor: Anchor,
}

impl Type {
    pub const fn new(size: i32, ink: Ink) -> Self {
        Self {
            size,
            ink,
            bold: false,
            anchor: Anchor::Start,
        }
    }

    pub const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub const fn at(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }
}

/// A rectangle by its left, top, right and bottom edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
}

impl Frame {
    pub fn width(self) -> i32 {
        self.right - self.left
    }

    pub fn height(self) -> i32 {
        self.bottom - self.top
    }

    pub fn middle(self) -> (i32, i32) {
        (
            self.left.midpoint(self.right),
            self.top.midpoint(self.bottom),
        )
    }
}

/// A picture being drawn.
pub(super) struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

/// A finished picture.
pub(crate) struct Drawing {
    height: i32,
    label: String,
    body: String,
}

/// Draws a picture of the given height. `label` says in words what it shows.
pub(super) fn picture(
    height: i32,
    label: &str,
    draw: impl FnOnce(&mut Canvas<'_>),
) -> Option<Drawing> {
    let mut svg = String::new();
    let size = ((WIDTH * FINE) as u32, (height * FINE) as u32);
    let mut canvas = Canvas {
        backend: SVGBackend::with_string(&mut svg, size),
    };
    let paper = Frame {
        left: 0,
        top: 0,
        right: WIDTH,
        bottom: height,
    };
    canvas.fill(paper, PAPER, 1.0);
    draw(&mut canvas);
    canvas.backend.present().expect(TO_MEMORY);
    drop(canvas);
    // What remains is the content and the end of the outermost element.
    let (_, body) = svg.split_once('>')?;
    Some(Drawing {
        height,
        label: label.to_owned(),
        body: body.to_owned(),
    })
}

impl Drawing {
    fn head(&self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" \
             aria-label=\"{}\"",
            WIDTH * FINE,
            self.height * FINE,
            self.label
        )
    }

    /// For a page that sets its size and brings the rules for dark surfaces.
    pub fn inline(&self) -> String {
        format!("{}>{}", self.head(), self.body)
    }

    /// As a file of its own: it has a size and turns dark by itself.
    pub fn standalone(&self) -> String {
        format!(
            "{} width=\"{WIDTH}\" height=\"{}\">\n<style>@media (prefers-color-scheme:dark)\
             {{{}}}</style>{}",
            self.head(),
            self.height,
            dark_rules(""),
            self.body
        )
    }
}

impl Canvas<'_> {
    /// A rectangle filled with `share` of the ink.
    pub fn fill(&mut self, frame: Frame, ink: Ink, share: f64) {
        let corners = [(frame.left, frame.top), (frame.right, frame.bottom)].map(fine);
        self.backend
            .draw_rect(corners[0], corners[1], &shape(ink, share, 1), true)
            .expect(TO_MEMORY);
    }

    /// The edges of a rectangle.
    pub fn border(&mut self, frame: Frame, ink: Ink, width: u32) {
        let Frame {
            left,
            top,
            right,
            bottom,
        } = frame;
        let corners = [
            (left, top),
            (right, top),
            (right, bottom),
            (left, bottom),
            (left, top),
        ];
        self.line(&corners, ink, width, 1.0);
    }

    /// A line through points; nothing for none, a dot for one.
    pub fn line(&mut self, points: &[(i32, i32)], ink: Ink, width: u32, share: f64) {
        match points {
            [] => {}
            [only] => self.dot(*only, width + 2, ink, share),
            _ => self
                .backend
                .draw_path(points.iter().copied().map(fine), &shape(ink, share, width))
                .expect(TO_MEMORY),
        }
    }

    /// A line through points between units.
    pub fn curve(&mut self, points: &[(f64, f64)], ink: Ink, width: u32, share: f64) {
        let round = |at: f64| (at * f64::from(FINE)).round() as i32;
        let points = points.iter().map(|&(x, y)| (round(x), round(y)));
        self.backend
            .draw_path(points, &shape(ink, share, width))
            .expect(TO_MEMORY);
    }

    /// A surface between points.
    pub fn area(&mut self, points: &[(i32, i32)], ink: Ink, share: f64) {
        if points.len() > 2 {
            self.backend
                .fill_polygon(points.iter().copied().map(fine), &shape(ink, share, 1))
                .expect(TO_MEMORY);
        }
    }

    /// A disc.
    pub fn dot(&mut self, centre: (i32, i32), radius: u32, ink: Ink, share: f64) {
        self.backend
            .draw_circle(
                fine(centre),
                radius * FINE as u32,
                &shape(ink, share, 1),
                true,
            )
            .expect(TO_MEMORY);
    }

    /// Text, its vertical middle at the point.
    pub fn text(&mut self, point: (i32, i32), text: &str, look: Type) {
        let horizontal = match look.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let weight = if look.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        let family = FontFamily::Name("system-ui, Helvetica, Arial, sans-serif");
        // The backend divides sizes by this factor to get from a line's height to the em.
        let height = f64::from(look.size * FINE) * 1.24;
        let colour = colour(look.ink);
        let style = TextStyle::from(FontDesc::new(family, height, weight))
            .color(&colour)
            .pos(Pos::new(horizontal, VPos::Center));
        let clean = crate::tell::clean(text);
        self.backend
            .draw_text(&clean, &style, fine(point))
            .expect(TO_MEMORY);
    }
}

fn colour(ink: Ink) -> RGBColor {
    let (red, green, blue) = ink.light;
    RGBColor(red, green, blue)
}

fn shape(ink: Ink, share: f64, width: u32) -> ShapeStyle {
    use plotters::style::Color;
    colour(ink).mix(share).stroke_width(width * FINE as u32)
}

/// A point in the backend's pixels.
fn fine((x, y): (i32, i32)) -> (i32, i32) {
    (x * FINE, y * FINE)
}

/// About how wide a text will be: fonts differ, so a little more than most need.
pub(super) fn text_width(text: &str, size: i32) -> i32 {
    let ems: f64 =
        text.chars()
            .map(|character| match character {
                'i' | 'j' | 'l' | 't' | 'f' | 'r' | '.' | ',' | ':' | '/' | '|' | '\'' | ' '
                | '-' => 0.37,
                'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.95,
                'A'..='Z' => 0.72,
                character if character.is_ascii() => 0.6,
                _ => 0.8,
            })
            .sum();
    (1.08 * ems * f64::from(size)) as i32
}

/// A text cut to a width, with an ellipsis for its middle: names of one kind often differ at
/// their ends.
pub(super) fn fitted(text: &str, size: i32, width: i32) -> String {
    let clean = crate::tell::clean(text);
    if text_width(&clean, size) <= width {
        return clean;
    }
    let letters: Vec<char> = clean.chars().collect();
    let cut = |kept: usize| {
        let head: String = letters[..kept.div_ceil(2)].iter().collect();
        let tail: String = letters[letters.len() - kept / 2..].iter().collect();
        format!("{head}…{tail}")
    };
    let fits = |kept: &usize| text_width(&cut(*kept), size) <= width;
    cut((1..letters.len()).rev().find(fits).unwrap_or(1))
}
