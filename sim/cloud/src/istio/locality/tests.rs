use super::*;

fn group(locality: &str, endpoint: u32, weight: u32) -> Group {
    Group {
        locality: Locality::parse(locality),
        priority: 0,
        weight,
        members: vec![Member { endpoint, weight }],
    }
}

const PLACES: [&str; 5] = ["eu/a/1", "eu/a/2", "eu/b/1", "us/a/1", "asia/a/1"];

fn groups() -> Vec<Group> {
    let places = PLACES.iter().zip(0..);
    places
        .map(|(place, index)| group(place, index, 1))
        .collect()
}

/// Priorities of endpoints 0, 1, 2 and so on, seen from `eu/a/1`.
fn priorities(setting: &Setting, has_outlier_detection: bool) -> Vec<u32> {
    let locality = Locality::parse("eu/a/1");
    let nothing = Labels::new();
    let label = |place: &str| with_place(&nothing, &Locality::parse(place), "", "", "");
    let endpoints: Vec<Labels> = PLACES.iter().map(|place| label(place)).collect();
    let labels = label("eu/a/1");
    let viewer = Viewer {
        locality: &locality,
        labels: &labels,
    };
    let of = |endpoint: u32| &endpoints[endpoint as usize];
    let applied = apply(groups(), setting, viewer, has_outlier_detection, of);
    let mut priorities = vec![u32::MAX; PLACES.len()];
    for group in applied {
        for member in group.members {
            priorities[member.endpoint as usize] = group.priority;
        }
    }
    priorities
}

fn failover(from: &str, to: &str) -> Vec<Failover> {
    vec![Failover {
        from: from.to_owned(),
        to: to.to_owned(),
    }]
}

fn plain(setting: LocalitySetting) -> Setting {
    Setting::Locality(setting, Forced::No)
}

#[test]
fn nearer_places_come_first_if_outliers_are_detected() {
    let setting = plain(LocalitySetting::default());
    assert_eq!(priorities(&setting, true), [0, 1, 2, 3, 3]);
    assert_eq!(priorities(&setting, false), [0; 5]);
}

#[test]
fn failover_names_the_next_region() {
    let setting = LocalitySetting {
        failover: failover("eu", "us"),
        ..LocalitySetting::default()
    };
    assert_eq!(priorities(&plain(setting.clone()), true), [0, 1, 2, 3, 4]);
    let elsewhere = LocalitySetting {
        failover: failover("us", "asia"),
        ..setting
    };
    assert_eq!(priorities(&plain(elsewhere), true), [0, 1, 2, 3, 3]);
}

#[test]
fn labels_may_say_who_comes_first() {
    let setting = |names: &[&str], failover| {
        plain(LocalitySetting {
            failover_priority: names.iter().map(|it| it.to_string()).collect(),
            failover,
            ..LocalitySetting::default()
        })
    };
    let region = "topology.kubernetes.io/region";
    let zone = "topology.kubernetes.io/zone";
    assert_eq!(
        priorities(&setting(&[region, zone], Vec::new()), true),
        [0, 0, 1, 2, 2]
    );
    // A value may be given instead of the proxy's own.
    let us = format!("{region}=us");
    assert_eq!(
        priorities(&setting(&[&us], Vec::new()), true),
        [1, 1, 1, 0, 1]
    );
    // Both: first by labels, then by place and by failover between regions.
    assert_eq!(
        priorities(&setting(&[zone], failover("eu", "us")), true),
        [0, 1, 4, 2, 3]
    );
}

#[test]
fn another_network_comes_after_all_of_ours() {
    let names = ["topology.istio.io/network", "topology.kubernetes.io/zone"].map(str::to_owned);
    let nothing = Labels::new();
    let labels = |zone: &str, network: &str| {
        let place = Locality::parse(&format!("eu/{zone}"));
        with_place(&nothing, &place, "", network, "")
    };
    let ours = labels("a", "one");
    let priority = |zone, network| label_priority(&names, &ours, &labels(zone, network));
    assert_eq!(
        [("a", "one"), ("b", "one"), ("a", "two"), ("b", "two")]
            .map(|(zone, network)| priority(zone, network)),
        [0, 1, 2, 3]
    );
}

#[test]
fn shares_are_spread_over_what_they_name() {
    let to = [("eu/a/*", 80), ("us", 20)].map(|(to, share)| (Locality::parse(to), share));
    let rule = Distribute {
        from: Locality::parse("eu/*"),
        to: BTreeMap::from(to),
    };
    let mut groups = groups();
    groups[0].weight = 3;
    let shared = distribute(groups.clone(), &[rule], &Locality::parse("eu/a/1"));
    let weights: Vec<(u32, usize)> = shared
        .iter()
        .map(|group| (group.weight, group.members.len()))
        .collect();
    // 80 over weights 3 and 1; 20 for the only one in `us`; nobody elsewhere.
    assert_eq!(weights, [(60, 1), (20, 1), (1, 0), (20, 1), (1, 0)]);
    let other = Locality::parse("us/a/1");
    let untouched = Distribute {
        from: Locality::parse("eu/*"),
        to: BTreeMap::new(),
    };
    assert_eq!(distribute(groups.clone(), &[untouched], &other), groups);
}

#[test]
fn zone_aware_routing_only_sets_regions_apart() {
    let setting = |enabled| {
        Setting::ZoneAware(ZoneAwareSetting {
            enabled,
            failover: failover("eu", "us"),
            failover_priority: Vec::new(),
            endpoints_min: None,
        })
    };
    assert_eq!(priorities(&setting(true), false), [0, 0, 0, 1, 2]);
    assert_eq!(priorities(&setting(false), false), [0; 5]);
}

#[test]
fn rules_outweigh_services_and_these_the_mesh() {
    let on = LocalitySetting::default();
    let off = LocalitySetting {
        enabled: false,
        ..LocalitySetting::default()
    };
    let zone_aware = ZoneAwareSetting {
        enabled: true,
        failover: Vec::new(),
        failover_priority: Vec::new(),
        endpoints_min: None,
    };
    let locality = |locality| Said {
        locality: Some(locality),
        zone_aware: None,
    };
    let nothing = Said::default();
    let both = Said {
        zone_aware: Some(&zone_aware),
        locality: Some(&on),
    };
    let any = Distribution::Any;
    let same_zone = Distribution::PreferSameZone;
    assert_eq!(effective(nothing, any, nothing), None);
    assert_eq!(effective(nothing, any, locality(&off)), None);
    assert_eq!(
        effective(nothing, any, locality(&on)),
        Some(plain(on.clone()))
    );
    assert_eq!(effective(locality(&off), same_zone, locality(&on)), None);
    assert_eq!(
        effective(both, same_zone, nothing),
        Some(Setting::ZoneAware(zone_aware.clone()))
    );
    assert!(matches!(
        effective(nothing, same_zone, both),
        Some(Setting::Locality(_, Forced::Yes))
    ));
}

#[test]
fn a_traffic_distribution_needs_no_outlier_detection() {
    let setting = effective(
        Said::default(),
        Distribution::PreferSameZone,
        Said::default(),
    );
    assert_eq!(priorities(&setting.unwrap(), false), [0, 0, 1, 2, 2]);
}

#[test]
fn groups_are_weighted_only_if_somebody_says_so() {
    let silent = plain(LocalitySetting::default());
    assert!(!is_weighted(&silent, true));
    let says = plain(LocalitySetting {
        failover: failover("eu", "us"),
        ..LocalitySetting::default()
    });
    assert!(is_weighted(&says, true) && !is_weighted(&says, false));
}
