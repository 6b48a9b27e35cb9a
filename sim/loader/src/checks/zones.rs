//! Zone-aware settings that cannot act: the release does not know them, or no proxy knows its likes.
//!
//! Leaves out: settings that an `apply` of the timeline brings.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::source::Span;
use cloud::istio::config::{Istio, LoadBalancer, TrafficPolicy};
use cloud::istio::locality::ZoneAwareSetting;
use cloud::istio::version::Version;
use cloud::scenario::Workload;

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    for cluster in &whole.scenario.clusters {
        let (Some(mesh), Some(istio)) = (&cluster.mesh, &cluster.istio) else {
            continue;
        };
        let minor = mesh.istio_minor;
        let is_known = Version::new(minor).discovers_likes();
        if !is_asked_for(istio) || is_known && cluster.workloads.iter().any(knows_its_likes) {
            continue;
        }
        let (message, help) = match is_known {
            false => (
                format!("Istio 1.{minor} knows no `zoneAwareLbSetting`"),
                "it came with 1.31",
            ),
            true => (
                "no proxy knows its likes, so that none routes by zone".to_owned(),
                "set `ISTIO_META_ENABLE_SELF_DISCOVERY: \"true\"` under `defaultConfig.proxyMetadata` of the mesh",
            ),
        };
        diagnostics
            .report(Code::ZonesWithoutEffect, None::<Span>, message)
            .help(help);
    }
}

/// Whether a rule or the mesh wants requests routed by zone.
fn is_asked_for(istio: &Istio) -> bool {
    let wants = |it: &ZoneAwareSetting| it.enabled;
    let balancer = |it: &LoadBalancer| it.zone_aware.as_ref().is_some_and(wants);
    let policy = |it: &TrafficPolicy| {
        let ports = it.ports.iter().map(|(_, policy)| policy);
        let mut all = ports.chain([&it.common]);
        all.any(|it| it.load_balancer.as_ref().is_some_and(balancer))
    };
    let mut rules = istio.objects.destination_rules.iter();
    istio.mesh.zone_aware.as_ref().is_some_and(wants)
        || rules.any(|rule| {
            policy(&rule.policy) || rule.subsets.iter().any(|subset| policy(&subset.policy))
        })
}

fn knows_its_likes(workload: &Workload) -> bool {
    let sidecar = workload.template.sidecar.as_ref();
    sidecar.is_some_and(|it| it.settings.proxy.asks_for_likes())
}
