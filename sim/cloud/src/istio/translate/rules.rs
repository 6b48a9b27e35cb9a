//! Which DestinationRule holds for a service, as a proxy of some namespace sees it.
//!
//! Rules for the same host of one namespace are merged, the older first: subsets are added, and
//! the first policy counts. A proxy's own namespace is asked first, then the service's, then the
//! root namespace; of each the most specific host counts. Rules for some workloads hold for them
//! alone, in their namespace.

use super::registry::{Service, World};
use crate::istio::authentication::selects;
use crate::istio::config::{
    Audience, DestinationRule, ExportTo, Labels, PortPolicy, Subset, TrafficPolicy,
};
use crate::istio::host;
use std::collections::BTreeMap;

/// Merged rules for one host.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Namespace.
    pub namespace: String,
    /// What holds for all subsets.
    pub policy: Option<TrafficPolicy>,
    /// Parts of the host's endpoints.
    pub subsets: Vec<Subset>,
    /// Whose sidecars it is for.
    pub selector: Labels,
    /// Who may see it: nothing is what the mesh says.
    export_to: Vec<Audience>,
    /// The objects, by their places in the configuration.
    pub from: Vec<usize>,
}

/// Rules by host.
#[derive(Clone, Debug, Default)]
struct ByHost {
    exact: BTreeMap<String, Vec<u32>>,
    wildcard: BTreeMap<String, Vec<u32>>,
}

impl ByHost {
    /// Rules for the most specific host that includes a service's.
    fn find(&self, needle: &str) -> Option<&[u32]> {
        if let Some(rules) = self.exact.get(needle) {
            return Some(rules);
        }
        if self.wildcard.is_empty() {
            return None;
        }
        let hosts = self.wildcard.keys().map(String::as_str);
        let found = host::most_specific(needle, hosts)?;
        self.wildcard.get(found).map(Vec::as_slice)
    }
}

/// All rules of a mesh.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    all: Vec<Rule>,
    /// Rules that proxies of a namespace see in it.
    local: BTreeMap<String, ByHost>,
    /// Rules that a namespace shows to others.
    exported: BTreeMap<String, ByHost>,
    /// Rules of the root namespace that it keeps to itself.
    private_of_root: ByHost,
    root_namespace: String,
    /// For each service, what its namespace and the root namespace show of it.
    shown: Vec<[Vec<u32>; 2]>,
}

/// What proxies of a namespace ask first.
#[derive(Clone, Copy)]
pub struct Own<'a> {
    namespace: &'a str,
    rules: Option<&'a ByHost>,
}

fn audience(rule: &DestinationRule) -> Vec<Audience> {
    match &rule.export_to {
        _ if !rule.selector.is_empty() => vec![Audience::OwnNamespace],
        ExportTo::Default => Vec::new(),
        ExportTo::Only(audience) => audience.clone(),
    }
}

fn is_within(part: &[Audience], whole: &[Audience]) -> bool {
    part.iter().all(|it| whole.contains(it))
}

fn is_same(left: &[Audience], right: &[Audience]) -> bool {
    is_within(left, right) && is_within(right, left)
}

impl Rules {
    /// The rules of a mesh, merged.
    pub fn new(world: &World<'_>) -> Self {
        let objects = &world.objects.destination_rules;
        let mut order: Vec<usize> = (0..objects.len()).collect();
        order.sort_by_cached_key(|&index| {
            let rule = &objects[index];
            (rule.selector.is_empty(), rule.identity.age_order())
        });
        let mut rules = Rules {
            root_namespace: world.mesh.root_namespace.clone(),
            ..Rules::default()
        };
        for index in order {
            rules.add(world, index);
        }
        rules.share();
        let shown = world.services.iter().map(|service| {
            [&service.namespace, &rules.root_namespace].map(|owner| {
                let shown = rules.exported.get(owner);
                let found = shown.and_then(|shown| shown.find(&service.host));
                found.unwrap_or_default().to_vec()
            })
        });
        rules.shown = shown.collect();
        rules
    }

    /// Lets rules that were merged of the same objects be one, whoever sees them.
    fn share(&mut self) {
        let mut first: BTreeMap<Vec<usize>, u32> = BTreeMap::new();
        let numbers: Vec<u32> = (0..)
            .zip(&self.all)
            .map(|(number, rule)| *first.entry(rule.from.clone()).or_insert(number))
            .collect();
        let of_namespaces = self.local.values_mut().chain(self.exported.values_mut());
        for by_host in of_namespaces.chain([&mut self.private_of_root]) {
            let lists = by_host.exact.values_mut();
            for number in lists.chain(by_host.wildcard.values_mut()).flatten() {
                *number = numbers[*number as usize];
            }
        }
    }

    fn add(&mut self, world: &World<'_>, index: usize) {
        let object = &world.objects.destination_rules[index];
        let own = &object.identity.namespace;
        let audience = audience(object);
        let is_local = audience.is_empty()
            || audience.contains(&Audience::Everybody)
            || audience.iter().any(|it| it.includes(own, own));
        let host = host::complete(&object.host, own, world.domain);
        if is_local {
            let mut local = self.local.remove(own).unwrap_or_default();
            self.merge(&mut local, &host, object, index, &audience);
            self.local.insert(own.clone(), local);
        }
        let mesh_says = &world.mesh.destination_rule_export_to;
        let is_private = match audience.as_slice() {
            [] => mesh_says.contains(&Audience::OwnNamespace),
            [only] => *only == Audience::OwnNamespace || *only == Audience::Namespace(own.clone()),
            _ => false,
        };
        if !is_private {
            let mut exported = self.exported.remove(own).unwrap_or_default();
            self.merge(&mut exported, &host, object, index, &audience);
            self.exported.insert(own.clone(), exported);
        } else if *own == self.root_namespace {
            let mut private = std::mem::take(&mut self.private_of_root);
            self.merge(&mut private, &host, object, index, &audience);
            self.private_of_root = private;
        }
    }

    fn merge(
        &mut self,
        into: &mut ByHost,
        host: &str,
        object: &DestinationRule,
        index: usize,
        audience: &[Audience],
    ) {
        let map = if host.starts_with('*') {
            &mut into.wildcard
        } else {
            &mut into.exact
        };
        let rules = map.entry(host.to_owned()).or_default();
        let mut is_alone = true;
        for &rule in rules.iter() {
            let rule = &mut self.all[rule as usize];
            let same = is_same(audience, &rule.export_to);
            let wider = !rule.export_to.is_empty() && is_within(&rule.export_to, audience);
            if !same && !wider {
                continue;
            }
            if rule.selector != object.selector {
                continue;
            }
            is_alone = false;
            let known = |name: &str| rule.subsets.iter().any(|subset| subset.name == name);
            let new = object.subsets.iter().filter(|subset| !known(&subset.name));
            let new: Vec<Subset> = new.cloned().collect();
            rule.subsets.extend(new);
            if rule.policy.is_none() {
                rule.policy = said(&object.policy);
            }
            rule.from.push(index);
        }
        if is_alone {
            rules.push(self.all.len() as u32);
            self.all.push(Rule {
                namespace: object.identity.namespace.clone(),
                policy: said(&object.policy),
                subsets: object.subsets.clone(),
                selector: object.selector.clone(),
                export_to: audience.to_vec(),
                from: vec![index],
            });
        }
    }

    /// The rule with this number.
    pub fn get(&self, rule: u32) -> &Rule {
        &self.all[rule as usize]
    }

    /// Whether any rule holds for some workloads only.
    pub fn select_workloads(&self) -> impl Iterator<Item = &Labels> {
        self.all.iter().map(|rule| &rule.selector)
    }

    /// What proxies of a namespace ask first.
    pub fn own<'a>(&'a self, namespace: &'a str) -> Own<'a> {
        let rules = if namespace == self.root_namespace {
            Some(&self.private_of_root)
        } else {
            self.local.get(namespace)
        };
        Own { namespace, rules }
    }

    /// The rule that holds for a service, by its number, for a proxy with these labels.
    pub fn find(
        &self,
        own: Own<'_>,
        labels: &Labels,
        number: u32,
        service: &Service,
    ) -> Option<u32> {
        let rules = own.rules.and_then(|rules| rules.find(&service.host));
        if let Some(rules) = rules {
            return self.pick(rules.iter().copied(), own.namespace, labels);
        }
        let owners = [&service.namespace, &self.root_namespace];
        for (rules, owner) in self.shown[number as usize].iter().zip(owners) {
            let is_shown = |rule: &u32| {
                let audience = &self.get(*rule).export_to;
                let mut audience = audience.iter().peekable();
                audience.peek().is_none() || audience.any(|it| it.includes(own.namespace, owner))
            };
            let mut shown = rules.iter().copied().filter(is_shown).peekable();
            if shown.peek().is_some() {
                return self.pick(shown, own.namespace, labels);
            }
        }
        None
    }

    /// Of rules for one host, the one that selects the proxy, or the one for all.
    fn pick(
        &self,
        rules: impl Iterator<Item = u32>,
        namespace: &str,
        labels: &Labels,
    ) -> Option<u32> {
        let mut for_all = None;
        for rule in rules {
            let found = self.get(rule);
            if found.selector.is_empty() {
                for_all = Some(rule);
            } else if found.namespace == namespace && selects(&found.selector, labels) {
                return Some(rule);
            }
        }
        for_all
    }
}

/// A policy that says something.
fn said(policy: &TrafficPolicy) -> Option<TrafficPolicy> {
    (*policy != TrafficPolicy::default()).then(|| policy.clone())
}

/// What holds for a port, and whether it is said for the port: that replaces what is said for all
/// ports altogether.
fn of_port(policy: &TrafficPolicy, port: u16) -> (TrafficPolicy, bool) {
    match policy.ports.iter().find(|(number, _)| *number == port) {
        Some((_, said)) => {
            let of_port = TrafficPolicy {
                common: said.clone(),
                ..TrafficPolicy::default()
            };
            (of_port, true)
        }
        None => {
            let for_all = TrafficPolicy {
                ports: Vec::new(),
                ..policy.clone()
            };
            (for_all, false)
        }
    }
}

/// What holds for a port of a subset, or of the whole host: what the subset says goes first,
/// part by part, unless it is said for the port, which leaves nothing of the host's.
pub fn policy(rule: Option<&Rule>, subset: Option<&Subset>, port: u16) -> TrafficPolicy {
    let whole = rule.and_then(|rule| rule.policy.as_ref());
    let whole = whole
        .map(|policy| of_port(policy, port).0)
        .unwrap_or_default();
    let Some(subset) = subset else { return whole };
    let (part, is_of_port) = of_port(&subset.policy, port);
    let common = if is_of_port {
        part.common
    } else {
        PortPolicy {
            load_balancer: part.common.load_balancer.or(whole.common.load_balancer),
            connection_pool: part.common.connection_pool.or(whole.common.connection_pool),
            outlier_detection: part
                .common
                .outlier_detection
                .or(whole.common.outlier_detection),
            tls: part.common.tls.or(whole.common.tls),
        }
    };
    TrafficPolicy {
        common,
        ports: Vec::new(),
        tunnel: part.tunnel.or(whole.tunnel),
        proxy_protocol: part.proxy_protocol.or(whole.proxy_protocol),
        retry_budget: part.retry_budget.or(whole.retry_budget),
    }
}
