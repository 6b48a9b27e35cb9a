//! Which endpoints come first for a proxy, by where both stand.
//!
//! Models: which setting counts: a DestinationRule's, the service's traffic distribution, the
//! mesh's, each zone-aware before plain; priorities by region, zone and subzone with `failover`
//! between regions, by the labels of `failoverPriority`, by both, or by region alone where Envoy
//! spreads over zones itself; weights by `distribute`; priorities without gaps. Failover waits
//! for outlier detection, unless a traffic distribution or zone-aware routing asks for it.
//! Exact, except that overlapping targets of one `distribute` are taken in the order of their
//! names, where istiod takes them in any order.
//! Leaves out: what Envoy makes of priorities and weights, which is the data path's business.
//! Sources: istio/istio pilot/pkg/networking/core/loadbalancer/loadbalancer.go,
//! pilot/pkg/networking/util/util.go.
//! Validated by: cases worked out by hand, in `tests`.

#[cfg(test)]
mod tests;

use super::webhook::Labels;
use std::collections::{BTreeMap, BTreeSet};

/// A place, as `region/zone/subzone`; what is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Locality {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
    /// Subzone.
    pub subzone: String,
}

impl Locality {
    /// Reads `region/zone/subzone`, from the left.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split('/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Locality {
            region: next(),
            zone: next(),
            subzone: next(),
        }
    }

    /// Whether it is one of those that a rule names; a star, or nothing, is any.
    fn is_of(&self, rule: &Locality) -> bool {
        let fits = |ours: &str, rule: &str| rule == "*" || ours == rule;
        let fits_or_any = |ours, rule: &str| rule.is_empty() || fits(ours, rule);
        fits(&self.region, &rule.region)
            && fits_or_any(&self.zone, &rule.zone)
            && fits_or_any(&self.subzone, &rule.subzone)
    }

    /// 0 for the same place, 1 for the same zone, 2 for the same region, 3 for any other.
    fn distance(&self, other: &Locality) -> u32 {
        if self.region != other.region {
            3
        } else if self.zone != other.zone {
            2
        } else if self.subzone != other.subzone {
            1
        } else {
            0
        }
    }
}

/// Labels of a proxy or an endpoint with what is known of its place, as failover compares them.
pub fn with_place(
    labels: &Labels,
    locality: &Locality,
    cluster: &str,
    network: &str,
    node: &str,
) -> Labels {
    let mut all = labels.clone();
    let known = [
        ("topology.kubernetes.io/region", locality.region.as_str()),
        ("topology.kubernetes.io/zone", &locality.zone),
        ("topology.istio.io/subzone", &locality.subzone),
        ("topology.istio.io/cluster", cluster),
        ("topology.istio.io/network", network),
        ("kubernetes.io/hostname", node),
    ];
    for (name, value) in known {
        if !value.is_empty() {
            all.insert(name.to_owned(), value.to_owned());
        }
    }
    all
}

/// Where traffic of a region goes when its own endpoints fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// The region.
    pub from: String,
    /// The other one.
    pub to: String,
}

/// How traffic from a place is spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribute {
    /// The place.
    pub from: Locality,
    /// Percentages, by place.
    pub to: BTreeMap<Locality, u32>,
}

/// `localityLbSetting` of a DestinationRule or of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalitySetting {
    /// Whether it is on.
    pub enabled: bool,
    /// Shares; if there are any, nothing fails over.
    pub distribute: Vec<Distribute>,
    /// Failover between regions.
    pub failover: Vec<Failover>,
    /// Labels that failover compares, the most important first.
    pub failover_priority: Vec<String>,
}

impl Default for LocalitySetting {
    fn default() -> Self {
        LocalitySetting {
            enabled: true,
            distribute: Vec::new(),
            failover: Vec::new(),
            failover_priority: Vec::new(),
        }
    }
}

/// `zoneAwareLbSetting` of a DestinationRule or of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneAwareSetting {
    /// Whether it is on.
    pub enabled: bool,
    /// Failover between regions.
    pub failover: Vec<Failover>,
    /// Labels that failover compares.
    pub failover_priority: Vec<String>,
    /// Fewer endpoints than these are not spread by zone.
    pub endpoints_min: Option<u32>,
}

/// `trafficDistribution` of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Anywhere.
    #[default]
    Any,
    /// In the same zone first.
    PreferSameZone,
    /// On the same node first.
    PreferSameNode,
    /// In the same subzone first, as `PreferClose` meant until 1.26.
    PreferSameSubzone,
}

/// The setting that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Plain. Failover is on without outlier detection if it is forced.
    Locality(LocalitySetting, Forced),
    /// Zone-aware.
    ZoneAware(ZoneAwareSetting),
}

/// Whether failover waits for outlier detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// It does.
    No,
    /// It does not.
    Yes,
}

/// What a DestinationRule or the mesh says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// Zone-aware.
    pub zone_aware: Option<&'a ZoneAwareSetting>,
    /// Plain.
    pub locality: Option<&'a LocalitySetting>,
}

impl Said<'_> {
    /// What it comes to; the outer `None` if nothing is said, the inner one if it is off.
    fn setting(self) -> Option<Option<Setting>> {
        if let Some(zone_aware) = self.zone_aware {
            return Some(Some(Setting::ZoneAware(zone_aware.clone())));
        }
        let locality = self.locality?;
        let plain = || Setting::Locality(locality.clone(), Forced::No);
        Some(locality.enabled.then(plain))
    }
}

/// Which setting counts, if any.
pub fn effective(rule: Said<'_>, distribution: Distribution, mesh: Said<'_>) -> Option<Setting> {
    let nearest: &[&str] = match distribution {
        Distribution::Any => &[],
        Distribution::PreferSameZone => &[
            "topology.istio.io/network",
            "topology.kubernetes.io/region",
            "topology.kubernetes.io/zone",
        ],
        Distribution::PreferSameSubzone => &[
            "topology.istio.io/network",
            "topology.kubernetes.io/region",
            "topology.kubernetes.io/zone",
            "topology.istio.io/subzone",
        ],
        Distribution::PreferSameNode => &[
            "topology.istio.io/network",
            "topology.kubernetes.io/region",
            "topology.kubernetes.io/zone",
            "topology.istio.io/subzone",
            "kubernetes.io/hostname",
        ],
    };
    if let Some(setting) = rule.setting() {
        return setting;
    }
    if nearest.is_empty() {
        return mesh.setting().flatten();
    }
    let setting = LocalitySetting {
        failover_priority: nearest.iter().map(|it| it.to_string()).collect(),
        ..LocalitySetting::default()
    };
    Some(Setting::Locality(setting, Forced::Yes))
}

/// An endpoint of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// A number of the caller's own.
    pub endpoint: u32,
    /// Its weight.
    pub weight: u32,
}

/// Endpoints of one place and, in the end, of one priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Where they stand.
    pub locality: Locality,
    /// Priority: 0 comes first.
    pub priority: u32,
    /// Weight of the group, if Envoy is told to go by it.
    pub weight: u32,
    /// The endpoints.
    pub members: Vec<Member>,
}

/// A proxy, as it looks at endpoints.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'a> {
    /// Where it stands.
    pub locality: &'a Locality,
    /// Its labels, with those of its place.
    pub labels: &'a Labels,
}

/// Whether Envoy is told to go by the weights of groups.
pub fn is_weighted(setting: &Setting, has_outlier_detection: bool) -> bool {
    let Setting::Locality(setting, forced) = setting else {
        return false;
    };
    let fails_over = has_outlier_detection || *forced == Forced::Yes;
    let says = !setting.failover.is_empty() || !setting.failover_priority.is_empty();
    !setting.distribute.is_empty() || (fails_over && says)
}

/// Sets priorities and weights of a service's groups for a proxy. `labels` gives those of an
/// endpoint, with those of its place.
pub fn apply<'a>(
    groups: Vec<Group>,
    setting: &Setting,
    viewer: Viewer<'_>,
    has_outlier_detection: bool,
    labels: impl Fn(u32) -> &'a Labels,
) -> Vec<Group> {
    match setting {
        Setting::ZoneAware(setting) if !setting.enabled => groups,
        Setting::ZoneAware(setting) => {
            let groups = by_labels(groups, &setting.failover_priority, viewer, labels);
            by_region(groups, &setting.failover, viewer.locality)
        }
        Setting::Locality(setting, _) if !setting.distribute.is_empty() => {
            distribute(groups, &setting.distribute, viewer.locality)
        }
        Setting::Locality(_, Forced::No) if !has_outlier_detection => groups,
        Setting::Locality(setting, _) => {
            let is_by_labels = !setting.failover_priority.is_empty();
            let groups = by_labels(groups, &setting.failover_priority, viewer, labels);
            if is_by_labels && setting.failover.is_empty() {
                groups
            } else {
                by_place(groups, &setting.failover, viewer.locality)
            }
        }
    }
}

fn distribute(mut groups: Vec<Group>, all: &[Distribute], ours: &Locality) -> Vec<Group> {
    let Some(rule) = all.iter().find(|it| ours.is_of(&it.from)) else {
        return groups;
    };
    let mut left: Vec<usize> = (0..groups.len()).collect();
    for (target, &share) in &rule.to {
        let (hit, missed): (Vec<usize>, Vec<usize>) = left
            .into_iter()
            .partition(|&index| groups[index].locality.is_of(target));
        left = missed;
        let own = |group: &Group| u64::from(group.weight.max(1));
        let total: u64 = hit.iter().map(|&index| own(&groups[index])).sum();
        for index in hit {
            let weight = (own(&groups[index]) * u64::from(share)).div_ceil(total);
            if weight > 0 {
                groups[index].weight = u32::try_from(weight).unwrap_or(u32::MAX);
            }
        }
    }
    for index in left {
        groups[index].members.clear();
    }
    groups
}

/// Where a region's traffic goes, if somebody says so.
fn target<'a>(failover: &'a [Failover], region: &str) -> Option<&'a str> {
    let rule = failover.iter().find(|it| it.from == region)?;
    Some(&rule.to)
}

fn by_place(mut groups: Vec<Group>, failover: &[Failover], ours: &Locality) -> Vec<Group> {
    for group in &mut groups {
        let mut priority = ours.distance(&group.locality);
        let target = target(failover, &ours.region);
        if priority == 3 && target.is_some_and(|it| it != group.locality.region) {
            priority = 4;
        }
        group.priority = group.priority * 5 + priority;
    }
    without_gaps(groups)
}

fn by_region(mut groups: Vec<Group>, failover: &[Failover], ours: &Locality) -> Vec<Group> {
    for group in &mut groups {
        let region = &group.locality.region;
        let priority = if *region == ours.region {
            0
        } else if target(failover, &ours.region) == Some(region) {
            1
        } else {
            2
        };
        group.priority = group.priority * 3 + priority;
    }
    without_gaps(groups)
}

/// Splits each group by how many of the labels its endpoints share with the proxy.
fn by_labels<'a>(
    groups: Vec<Group>,
    names: &[String],
    viewer: Viewer<'_>,
    labels: impl Fn(u32) -> &'a Labels,
) -> Vec<Group> {
    if names.is_empty() || viewer.labels.is_empty() {
        return groups;
    }
    let mut split = Vec::new();
    for group in groups {
        let mut parts: BTreeMap<u32, Vec<Member>> = BTreeMap::new();
        for member in group.members {
            let priority = label_priority(names, viewer.labels, labels(member.endpoint));
            parts.entry(priority).or_default().push(member);
        }
        split.extend(parts.into_iter().map(|(priority, members)| {
            Group {
                locality: group.locality.clone(),
                priority,
                weight: members
                    .iter()
                    .fold(0, |sum, it| sum.saturating_add(it.weight)),
                members,
            }
        }));
    }
    without_gaps(split)
}

/// The place from the end of the first label that differs. A network that stands first and
/// differs comes after everything else, and the others are compared all the same.
fn label_priority(names: &[String], ours: &Labels, theirs: &Labels) -> u32 {
    let count = names.len() as u32;
    let mut beyond = 0;
    for (index, name) in names.iter().enumerate() {
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (name.as_str(), ours.get(name).map(String::as_str)),
        };
        let other = theirs.get(name).map(String::as_str);
        if value.unwrap_or_default() == other.unwrap_or_default() {
            continue;
        }
        if index == 0 && name == "topology.istio.io/network" {
            beyond = count;
            continue;
        }
        return beyond + count - index as u32;
    }
    beyond
}

fn without_gaps(mut groups: Vec<Group>) -> Vec<Group> {
    let used: BTreeSet<u32> = groups.iter().map(|it| it.priority).collect();
    for group in &mut groups {
        group.priority = used.range(..group.priority).count() as u32;
    }
    groups
}
