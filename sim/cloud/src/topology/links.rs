//! How far apart things are: delay, jitter, bandwidth and loss of every link.
//!
//! Models: a link as its mean one-way trip without jitter, exponential jitter, one bandwidth
//! and an independent loss. Between partitions the distance is that of their regions from the
//! published tables in [`crate::facts`]; users come to a region through an access network,
//! whose distance is added. What the scenario says about a link wins over the tables, value
//! by value, and the more exactly it names the ends the more it counts.
//!
//! Leaves out: asymmetric paths, correlated loss, and what traffic of others does to a link.
//! Within a cluster only the level counts: every pair of zones is equally far.
//! Sources: [`crate::facts`].
//! Validated by tests of each rule.

use crate::facts;
use crate::scenario::{
    ClusterId, LinkOverride, NetworkModel, Place, Scenario, SiteId, UserNetworkId,
};
use engine::Duration;

/// One direction of a path between two places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Link {
    /// Least time of a trip: half the round trip, and the lookahead between partitions.
    pub(crate) one_way: Duration,
    /// Mean of the exponential jitter added to it.
    pub(crate) jitter_mean: Duration,
    /// Bits per second.
    pub(crate) bandwidth_bits: u64,
    /// Probability that a packet is lost.
    pub(crate) loss: f64,
}

impl Link {
    /// A link that costs nothing.
    const IDEAL: Link = Link {
        one_way: Duration::ZERO,
        jitter_mean: Duration::ZERO,
        bandwidth_bits: u64::MAX,
        loss: 0.0,
    };

    fn new(round_trip: Duration, jitter_mean: Duration, bandwidth_bits: u64) -> Self {
        Link {
            one_way: round_trip / 2,
            jitter_mean,
            bandwidth_bits,
            loss: facts::LOSS.value,
        }
    }
}

/// One end of a link between partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A cluster.
    Cluster(ClusterId),
    /// A user network.
    Users(UserNetworkId),
    /// A site of machines of a cluster.
    Site(ClusterId, SiteId),
}

/// How far apart two nodes of a cluster are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The same node.
    SameNode,
    /// Two nodes of one zone.
    SameZone,
    /// Two nodes of different zones.
    ZoneToZone,
}

/// Every link of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinkTable {
    clusters: usize,
    /// A row per end, clusters first.
    between: Vec<Vec<Link>>,
    /// By [`Level`], in its order.
    within: [Link; 3],
    /// By cluster: from and to its nodes first, then its sites.
    sites: Vec<Vec<Vec<Link>>>,
}

impl LinkTable {
    /// Works out all links.
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let clusters = 0..scenario.clusters.len();
        let users = 0..scenario.user_networks.len();
        let ends: Vec<End> = clusters
            .map(|index| End::Cluster(ClusterId::from(index)))
            .chain(users.map(|index| End::Users(UserNetworkId::from(index))))
            .collect();
        let row = |&one: &End| {
            ends.iter()
                .map(|&other| link(scenario, one, other))
                .collect()
        };
        let near = |(number, cluster): (usize, &crate::scenario::Cluster)| {
            let of = ClusterId::from(number);
            let sites = (0..cluster.sites.len()).map(|site| End::Site(of, SiteId::from(site)));
            let ends: Vec<End> = [End::Cluster(of)].into_iter().chain(sites).collect();
            let row = |&one: &End| {
                let others = ends.iter();
                others.map(|&other| link(scenario, one, other)).collect()
            };
            ends.iter().map(row).collect()
        };
        LinkTable {
            sites: scenario.clusters.iter().enumerate().map(near).collect(),
            clusters: scenario.clusters.len(),
            between: ends.iter().map(row).collect(),
            within: match scenario.network {
                NetworkModel::Ideal => [Link::IDEAL; 3],
                NetworkModel::Modelled => levels(),
            },
        }
    }

    /// The link between two partitions, the same in both directions.
    pub(crate) fn between(&self, one: End, other: End) -> Link {
        self.between[self.position(one)][self.position(other)]
    }

    /// The link between two places of a cluster's partition, of which one at least is a site.
    pub(crate) fn of_site(
        &self,
        cluster: ClusterId,
        one: Option<SiteId>,
        other: Option<SiteId>,
    ) -> Link {
        let position = |site: Option<SiteId>| site.map_or(0, |site| 1 + site.index());
        self.sites[cluster.index()][position(one)][position(other)]
    }

    /// The link between two pods of one cluster.
    pub(crate) fn within(&self, level: Level) -> Link {
        self.within[level as usize]
    }

    /// The same distances without jitter, for latencies that are computed by hand.
    #[cfg(test)]
    pub(crate) fn without_jitter(mut self) -> Self {
        let sites = self.sites.iter_mut().flatten().flatten();
        let links = self.between.iter_mut().flatten().chain(&mut self.within);
        let links = links.chain(sites);
        links.for_each(|link| link.jitter_mean = Duration::ZERO);
        self
    }

    fn position(&self, end: End) -> usize {
        match end {
            End::Cluster(cluster) => cluster.index(),
            End::Users(users) => self.clusters + users.index(),
            End::Site(..) => unreachable!("sites are no partitions"),
        }
    }
}

fn levels() -> [Link; 3] {
    [
        Link::new(
            facts::SAME_NODE_RTT.value,
            facts::SAME_NODE_JITTER.value,
            facts::SAME_NODE_BANDWIDTH.value,
        ),
        Link::new(
            facts::SAME_ZONE_RTT.value,
            facts::SAME_ZONE_JITTER.value,
            facts::SAME_ZONE_BANDWIDTH.value,
        ),
        zone_to_zone(),
    ]
}

fn zone_to_zone() -> Link {
    Link::new(
        facts::ZONE_TO_ZONE_RTT.value,
        facts::ZONE_TO_ZONE_JITTER.value,
        facts::ZONE_TO_ZONE_BANDWIDTH.value,
    )
}

fn link(scenario: &Scenario, one: End, other: End) -> Link {
    if scenario.network == NetworkModel::Ideal || one == other {
        return Link::IDEAL;
    }
    let mut link = default_link(scenario, one, other);
    let mut overrides: Vec<(u32, &LinkOverride)> = scenario
        .links
        .iter()
        .filter_map(|entry| Some((exactness(scenario, entry, one, other)?, entry)))
        .collect();
    // The sort is stable: of two equally exact entries the later one wins.
    overrides.sort_by_key(|&(exactness, _)| exactness);
    for (_, entry) in overrides {
        if let Some(round_trip) = entry.rtt {
            // A region by name is where its machines are; its users still have to get there.
            let access =
                access(one, &entry.from, &entry.to) + access(other, &entry.from, &entry.to);
            link.one_way = (round_trip + access) / 2;
        }
        link.jitter_mean = entry.jitter.unwrap_or(link.jitter_mean);
        link.bandwidth_bits = entry.bandwidth_bits.unwrap_or(link.bandwidth_bits);
        link.loss = entry.loss.unwrap_or(link.loss);
    }
    link
}

fn default_link(scenario: &Scenario, one: End, other: End) -> Link {
    let (from, to) = (region(scenario, one), region(scenario, other));
    let users = [one, other]
        .into_iter()
        .filter(|end| matches!(end, End::Users(_)));
    let access = facts::USER_ACCESS_RTT.value * users.count() as u64;
    if facts::same_region(from, to) && access.is_zero() {
        return zone_to_zone();
    }
    let distance = if facts::same_region(from, to) {
        Duration::ZERO
    } else {
        facts::region_round_trip(from, to).0
    };
    Link::new(
        distance + access,
        facts::WIDE_AREA_JITTER.value,
        facts::WIDE_AREA_BANDWIDTH.value,
    )
}

fn region(scenario: &Scenario, end: End) -> &str {
    match end {
        End::Cluster(cluster) => &scenario.clusters[cluster.index()].region,
        End::Users(users) => &scenario.user_networks[users.index()].region,
        End::Site(cluster, site) => &scenario.clusters[cluster.index()].sites[site.index()].region,
    }
}

/// How many ends of an entry are named exactly if it is about this link, in either direction.
fn exactness(scenario: &Scenario, entry: &LinkOverride, one: End, other: End) -> Option<u32> {
    let both = |from, to| Some(names(scenario, from, one)? + names(scenario, to, other)?);
    both(&entry.from, &entry.to).max(both(&entry.to, &entry.from))
}

/// Whether a place means an end: 0 through its region, 1 by itself.
fn names(scenario: &Scenario, place: &Place, end: End) -> Option<u32> {
    match (place, end) {
        (Place::Cluster(place), End::Cluster(cluster)) => (*place == cluster).then_some(1),
        (Place::Users(place), End::Users(users)) => (*place == users).then_some(1),
        (Place::Site(place), End::Site(cluster, site)) => {
            let site = &scenario.clusters[cluster.index()].sites[site.index()];
            (*place == site.name).then_some(1)
        }
        (Place::Region(place), end) => {
            facts::same_region(place, region(scenario, end)).then_some(0)
        }
        _ => None,
    }
}

/// The access distance of an end that an entry between two places does not include.
fn access(end: End, from: &Place, to: &Place) -> Duration {
    let End::Users(users) = end else {
        return Duration::ZERO;
    };
    let itself = Place::Users(users);
    if *from == itself || *to == itself {
        Duration::ZERO
    } else {
        facts::USER_ACCESS_RTT.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Analysis, Cluster, Replications, RunPlan, UserNetwork};

    /// Clusters `west` and `east`, and users near each of them.
    fn scenario(links: Vec<LinkOverride>) -> Scenario {
        let cluster = |name: &str, region: &str| Cluster::empty(name, region, 33);
        let users = |name: &str, region: &str| UserNetwork {
            name: name.to_owned(),
            region: region.to_owned(),
            resolvers: 1,
            addresses: None,
        };
        Scenario {
            name: "links".to_owned(),
            question: None,
            network: NetworkModel::Modelled,
            clusters: vec![
                cluster("west", "aws/us-west-2"),
                cluster("east", "aws/us-east-1"),
                cluster("twin", "us-east-1"),
            ],
            user_networks: vec![users("seattle", "aws/us-west-2"), users("moon", "moon")],
            global_names: Vec::new(),
            links,
            traffic: Vec::new(),
            timeline: Vec::new(),
            measures: Vec::new(),
            objectives: Vec::new(),
            expectations: Vec::new(),
            run: RunPlan {
                duration: Duration::from_secs(1),
                analysis: Analysis::Terminating,
                seed: 0,
                replications: Replications {
                    min: 2,
                    max: 2,
                    precision: None,
                },
                series_step: Duration::from_secs(1),
                confidence: 0.95,
            },
            assumptions: Vec::new(),
            facts: Vec::new(),
        }
    }

    const WEST: End = End::Cluster(ClusterId(0));
    const EAST: End = End::Cluster(ClusterId(1));
    const TWIN: End = End::Cluster(ClusterId(2));
    const SEATTLE: End = End::Users(UserNetworkId(0));
    const MOON: End = End::Users(UserNetworkId(1));

    fn region(name: &str) -> Place {
        Place::Region(name.to_owned())
    }

    fn rtt(from: Place, to: Place, milliseconds: u64) -> LinkOverride {
        LinkOverride {
            from,
            to,
            rtt: Some(Duration::from_millis(milliseconds)),
            jitter: None,
            bandwidth_bits: None,
            loss: None,
        }
    }

    #[track_caller]
    fn check_rtt(links: Vec<LinkOverride>, one: End, other: End, milliseconds: f64) {
        let table = LinkTable::new(&scenario(links));
        let expected = Duration::from_secs_f64(milliseconds / 1e3);
        assert_eq!(table.between(one, other).one_way * 2, expected);
        assert_eq!(table.between(other, one), table.between(one, other));
    }

    #[test]
    fn distances_come_from_the_tables_and_users_come_through_their_access() {
        check_rtt(vec![], WEST, EAST, 68.3);
        check_rtt(vec![], SEATTLE, EAST, 68.3 + 10.0);
        check_rtt(vec![], SEATTLE, WEST, 10.0);
        check_rtt(vec![], EAST, TWIN, 1.0);
        check_rtt(vec![], MOON, WEST, 80.0 + 10.0);
        check_rtt(vec![], SEATTLE, MOON, 80.0 + 2.0 * 10.0);
    }

    #[test]
    fn the_most_exact_override_wins_in_either_direction() {
        let regions = rtt(region("us-east-1"), region("aws/us-west-2"), 40);
        let half = rtt(Place::Cluster(ClusterId(0)), region("us-east-1"), 30);
        let exact = rtt(
            Place::Cluster(ClusterId(1)),
            Place::Cluster(ClusterId(0)),
            20,
        );
        check_rtt(vec![regions.clone()], WEST, EAST, 40.0);
        check_rtt(vec![half.clone(), regions.clone()], WEST, EAST, 30.0);
        let all = vec![exact, half, regions];
        check_rtt(all.clone(), WEST, EAST, 20.0);
        check_rtt(all.clone(), WEST, TWIN, 30.0);
        // Between regions the distance is that of machines; users still come to their region.
        check_rtt(all, SEATTLE, EAST, 40.0 + 10.0);
        let users = rtt(Place::Users(UserNetworkId(0)), region("us-east-1"), 25);
        check_rtt(vec![users], SEATTLE, EAST, 25.0);
    }

    #[test]
    fn of_two_equally_exact_overrides_the_later_one_wins() {
        let first = rtt(region("us-east-1"), region("us-west-2"), 40);
        let second = rtt(region("us-west-2"), region("us-east-1"), 50);
        check_rtt(vec![first, second], WEST, EAST, 50.0);
    }

    #[test]
    fn an_override_changes_only_what_it_says() {
        let lossy = LinkOverride {
            rtt: None,
            loss: Some(0.01),
            ..rtt(region("us-east-1"), region("us-west-2"), 0)
        };
        let narrow = LinkOverride {
            rtt: None,
            bandwidth_bits: Some(1_000_000),
            ..rtt(
                Place::Cluster(ClusterId(0)),
                Place::Cluster(ClusterId(1)),
                0,
            )
        };
        let link = LinkTable::new(&scenario(vec![narrow, lossy])).between(WEST, EAST);
        assert_eq!(
            link,
            Link {
                one_way: Duration::from_micros(34_150),
                jitter_mean: facts::WIDE_AREA_JITTER.value,
                bandwidth_bits: 1_000_000,
                loss: 0.01,
            }
        );
    }

    #[test]
    fn levels_within_a_cluster_grow_with_distance() {
        let table = LinkTable::new(&scenario(vec![]));
        let one_way = |level| table.within(level).one_way;
        assert_eq!(one_way(Level::SameNode), Duration::from_micros(25));
        assert_eq!(one_way(Level::SameZone), Duration::from_micros(100));
        assert_eq!(one_way(Level::ZoneToZone), Duration::from_micros(500));
    }

    #[test]
    fn an_ideal_network_costs_nothing() {
        let ideal = Scenario {
            network: NetworkModel::Ideal,
            ..scenario(vec![])
        };
        let table = LinkTable::new(&ideal);
        assert_eq!(table.within(Level::ZoneToZone), Link::IDEAL);
        assert_eq!(table.between(WEST, EAST), Link::IDEAL);
    }
}
