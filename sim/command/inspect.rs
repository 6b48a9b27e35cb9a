//! `hybridsim inspect`: what a part of a cluster would hold, from plain manifests.

use anyhow::anyhow;
use cloud::facts;
use cloud::rules::{Input, iptables, nftables};
use loader::kubernetes::kube_proxy;

use super::End;
use super::files;
use super::output::Output;
use super::problems::BadInput;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(clap::Subcommand)]
enum Part {
    /// kube-proxy's rules on a node as iptables-save prints them
    Iptables(Rules),
    /// kube-proxy's rules on a node as nft list ruleset prints them
    Nftables(Rules),
}

#[derive(clap::Args)]
struct Rules {
    /// Files and folders with Services, EndpointSlices, Nodes and, where it is not the default, a
    /// KubeProxyConfiguration
    #[arg(required = true)]
    files: Vec<String>,
    /// Name of the node
    #[arg(long)]
    node: String,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    let text = match &arguments.part {
        Part::Iptables(rules) => {
            let tables = iptables::generate(&input(rules)?);
            tables.iter().map(iptables::save).collect()
        }
        Part::Nftables(rules) => nftables::list(&nftables::generate(&input(rules)?)),
    };
    if output.json() {
        output.print_json(&serde_json::json!({ "rules": text }))?;
    } else {
        output.print(text.trim_end())?;
    }
    Ok(End::Fine)
}

/// What the node's kube-proxy would know.
fn input(rules: &Rules) -> anyhow::Result<Input> {
    let read = files::read(&rules.files, files::DEFAULT_SCENARIO)?;
    let known = kube_proxy::read(&read.files).map_err(BadInput)?;
    let mut nodes = known.nodes.into_iter();
    let node = nodes.find(|node| node.name == rules.node);
    let missing = || BadInput(format!("no Node of the files is called {:?}", rules.node));
    let node = node.ok_or_else(|| anyhow!(missing()))?;
    Ok(Input {
        configuration: known.configuration.unwrap_or_default(),
        node,
        services: known.services,
        service_cidrs: known.service_cidrs,
        kubernetes_minor: facts::KUBERNETES_MINOR.value,
    })
}
