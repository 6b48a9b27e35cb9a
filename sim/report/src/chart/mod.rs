//! Pictures: each a function from a summary to SVG, or to nothing where there is nothing to show.

mod axis;
mod canvas;
mod marks;
mod over_time;
mod percentiles;
mod recovery;
mod rows;
mod staleness;
mod topology;
mod utilization;

pub(crate) use canvas::{Drawing, dark_rules};

use cloud::summary::Summary;

/// A picture: its name, its heading and caption in the page, and how it is drawn.
pub(crate) struct Chart {
    pub name: &'static str,
    pub heading: &'static str,
    pub caption: &'static str,
    pub draw: fn(&Summary) -> Option<Drawing>,
}

/// The pictures in the order of a page. Another one is another file and one line here.
pub(crate) const CHARTS: [Chart; 6] = [
    Chart {
        name: "over-time",
        heading: "What users saw over time",
        caption: "Shaded: what the timeline did. Left: a light band spans all replications. \
                  Right: thick is the median, thin the 99 % quantile; gaps are times in which \
                  nobody was answered.",
        draw: over_time::draw,
    },
    Chart {
        name: "recovery",
        heading: "How long each fault was felt",
        caption: "Bars are intervals of the mean.",
        draw: recovery::draw,
    },
    Chart {
        name: "percentiles",
        heading: "Latency by percentile",
        caption: "Every nine is as wide as the one before. Lines are thin where too few \
                  requests lie beyond for an honest interval.",
        draw: percentiles::draw,
    },
    Chart {
        name: "utilization",
        heading: "How busy workloads were",
        caption: "Mean over replications; on the right the whole run with its interval.",
        draw: utilization::draw,
    },
    Chart {
        name: "staleness",
        heading: "How far proxies were behind",
        caption: "Share of its time in which a proxy acted on what no longer held. Thin: from the \
                  freshest to the stalest proxy of all replications; thick: the middle four \
                  fifths; blue: the median; orange: the stalest.",
        draw: staleness::draw,
    },
    Chart {
        name: "topology",
        heading: "What was simulated",
        caption: "Pods as they were placed at the start.",
        draw: topology::draw,
    },
];

/// All pictures that have something to show, as (file name, SVG).
pub fn charts(summary: &Summary) -> Vec<(String, String)> {
    CHARTS
        .iter()
        .filter_map(|chart| {
            let drawing = (chart.draw)(summary)?;
            Some((format!("{}.svg", chart.name), drawing.standalone()))
        })
        .collect()
}
