//! `istioctl proxy-config routes`.

use super::Row;
use cloud::snapshot::{PathSnapshot, RouteSnapshot};

pub(super) const HEADINGS: &[&str] = &["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"];

pub(super) fn rows(routes: &[RouteSnapshot]) -> Vec<Row> {
    let mut sorted: Vec<&RouteSnapshot> = routes.iter().collect();
    // Names that are numbers come first, in their order; what is for all other hosts comes last.
    sorted.sort_by_key(|it| {
        let number = it.name.parse::<u32>().ok();
        let is_rest = it.domains.iter().any(|domain| domain == "*");
        let place = (number.is_none(), number, &it.name);
        (place, is_rest, &it.virtual_host)
    });
    sorted.into_iter().map(row).collect()
}

fn row(route: &RouteSnapshot) -> Row {
    Row {
        cells: vec![
            route.name.clone(),
            route.virtual_host.clone(),
            domains(&route.domains),
            matched(&route.path),
            route.virtual_service.clone().unwrap_or_default(),
        ],
        settings: format!("{:?} {}", route.clusters, route.settings),
    }
}

/// How many names are shown.
const NAMED_MAX: usize = 2;

/// The first names, without those that are longer forms of another, and how many more there are.
fn domains(all: &[String]) -> String {
    if let [only] = all {
        return only.clone();
    }
    let is_longer = |domain: &&String| {
        let mut suffixes = [".svc.cluster.local", ".svc"].into_iter();
        suffixes.any(|suffix| {
            let short = domain.strip_suffix(suffix);
            short.is_some_and(|short| all.iter().any(|other| other == short))
        })
    };
    let short = all.iter().filter(|domain| !is_longer(domain));
    let short: Vec<&str> = short.map(String::as_str).collect();
    match short.len().saturating_sub(NAMED_MAX) {
        0 => short.join(", "),
        more => format!("{} + {more} more...", short[..NAMED_MAX].join(", ")),
    }
}

fn matched(path: &PathSnapshot) -> String {
    match path {
        PathSnapshot::Is(path) => path.clone(),
        PathSnapshot::Begins(start) => format!("{start}*"),
        PathSnapshot::Below(path) => format!("PathPrefix:{path}"),
        PathSnapshot::Matches(regex) => format!("regex {regex}"),
    }
}
