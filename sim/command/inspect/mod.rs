//! `hybridsim inspect`: what a part of a cluster holds, from manifests or at an instant of a
//! scenario.

mod objects;
mod proxies;
mod route;
mod rules;
mod when;

use report::istioctl::Part as Table;
use report::kubectl::Resource;

use super::End;
use super::output::Output;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(clap::Subcommand)]
enum Part {
    /// kube-proxy's rules on a node as iptables-save prints them
    Iptables(rules::Arguments),
    /// kube-proxy's rules on a node as nft list ruleset prints them
    Nftables(rules::Arguments),
    /// Clusters that a sidecar knows, as istioctl proxy-config prints them
    Clusters(proxies::Arguments),
    /// What a sidecar does not know yet of what the API server holds
    ConfigDiff(proxies::Arguments),
    /// Listeners of a sidecar, as istioctl proxy-config prints them
    Listeners(proxies::Arguments),
    /// Routes that a sidecar knows, as istioctl proxy-config prints them
    Routes(proxies::Arguments),
    /// Memory that a sidecar needs for what it knows
    Memory(proxies::Arguments),
    /// Deployments as kubectl get prints them
    #[command(visible_alias = "deploy")]
    Deployments(objects::Arguments),
    /// The way of a packet from a pod through the rules of its node, rule by rule
    Route(route::Arguments),
    /// Endpoints as kubectl get prints them, or those that a sidecar knows
    #[command(visible_alias = "ep")]
    Endpoints(objects::EndpointsArguments),
    /// Events as kubectl events prints them
    #[command(visible_alias = "ev")]
    Events(objects::Arguments),
    /// HorizontalPodAutoscalers as kubectl get prints them
    Hpa(objects::Arguments),
    /// Nodes as kubectl get prints them
    #[command(visible_alias = "no")]
    Nodes(objects::Arguments),
    /// Pods as kubectl get prints them
    #[command(visible_alias = "po")]
    Pods(objects::Arguments),
    /// ReplicaSets as kubectl get prints them
    #[command(visible_alias = "rs")]
    Replicasets(objects::Arguments),
    /// Services as kubectl get prints them
    #[command(visible_alias = "svc")]
    Services(objects::Arguments),
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    match &arguments.part {
        Part::Iptables(arguments) => rules::iptables(arguments, output),
        Part::Nftables(arguments) => rules::nftables(arguments, output),
        Part::Deployments(arguments) => objects::run(Resource::Deployments, arguments, output),
        Part::Events(arguments) => objects::run(Resource::Events, arguments, output),
        Part::Hpa(arguments) => objects::run(Resource::Autoscalers, arguments, output),
        Part::Pods(arguments) => objects::run(Resource::Pods, arguments, output),
        Part::Replicasets(arguments) => objects::run(Resource::ReplicaSets, arguments, output),
        Part::Route(arguments) => route::run(arguments, output),
        Part::Endpoints(arguments) => objects::endpoints(arguments, output),
        Part::Clusters(arguments) => proxies::run(Table::Clusters, arguments, output),
        Part::Listeners(arguments) => proxies::run(Table::Listeners, arguments, output),
        Part::Routes(arguments) => proxies::run(Table::Routes, arguments, output),
        Part::Memory(arguments) => proxies::memory(arguments, output),
        Part::ConfigDiff(arguments) => proxies::difference(arguments, output),
        Part::Nodes(arguments) => objects::run(Resource::Nodes, arguments, output),
        Part::Services(arguments) => objects::run(Resource::Services, arguments, output),
    }
}
