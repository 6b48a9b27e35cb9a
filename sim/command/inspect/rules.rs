//! kube-proxy's rules on a node, from plain manifests.

use anyhow::anyhow;
use cloud::facts;
use cloud::rules::{Input, iptables, nftables};
use loader::kubernetes::kube_proxy;

use crate::command::End;
use crate::command::files;
use crate::command::output::Output;
use crate::command::problems::BadInput;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Files and folders with Services, EndpointSlices, Nodes and, where it is not the default, a
    /// KubeProxyConfiguration
    #[arg(required = true)]
    files: Vec<String>,
    /// Name of the node
    #[arg(long)]
    node: String,
}

/// The rules of the iptables mode.
pub(super) fn iptables(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    let tables = iptables::generate(&input(arguments)?);
    print(tables.iter().map(iptables::save).collect(), output)
}

/// The rules of the nftables mode.
pub(super) fn nftables(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    print(
        nftables::list(&nftables::generate(&input(arguments)?)),
        output,
    )
}

fn print(text: String, output: &Output) -> anyhow::Result<End> {
    if output.json() {
        output.print_json(&serde_json::json!({ "rules": text }))?;
    } else {
        output.print(text.trim_end())?;
    }
    Ok(End::Fine)
}

/// What the node's kube-proxy would know.
fn input(arguments: &Arguments) -> anyhow::Result<Input> {
    let read = files::read(&arguments.files, files::DEFAULT_SCENARIO)?;
    let known = kube_proxy::read(&read.files).map_err(BadInput)?;
    let mut nodes = known.nodes.into_iter();
    let node = nodes.find(|node| node.name == arguments.node);
    let missing = || {
        BadInput(format!(
            "no Node of the files is called {:?}",
            arguments.node
        ))
    };
    let node = node.ok_or_else(|| anyhow!(missing()))?;
    Ok(Input {
        configuration: known.configuration.unwrap_or_default(),
        node,
        services: known.services,
        service_cidrs: known.service_cidrs,
        kubernetes_minor: facts::KUBERNETES_MINOR.value,
    })
}
