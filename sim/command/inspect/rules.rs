//! kube-proxy's rules on a node, from plain manifests or at an instant of a scenario.

use anyhow::anyhow;
use cloud::facts;
use cloud::rules::{Input, Mode, iptables, nftables};
use cloud::snapshot::Moment;
use loader::kubernetes::kube_proxy;

use super::when::When;
use crate::command::End;
use crate::command::files;
use crate::command::output::Output;
use crate::command::problems::BadInput;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A Scenario or the name of a shipped one; or manifests with Nodes, Services, EndpointSlices
    /// and, where it is not the default, a KubeProxyConfiguration
    #[arg(value_name = "FILES", required = true)]
    files: Vec<String>,
    /// Name of the node
    #[arg(long)]
    node: String,
    /// The cluster of a Scenario that has several with such a node
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    #[command(flatten)]
    when: When,
}

/// The rules of the iptables mode.
pub(super) fn iptables(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    let input = input(arguments, output)?;
    let tables = iptables::generate(&input);
    let text = tables.iter().map(iptables::save).collect();
    print(text, other_mode(&input, "iptables"), output)
}

/// The rules of the nftables mode.
pub(super) fn nftables(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    let input = input(arguments, output)?;
    let rules = nftables::generate(&input);
    let note = other_mode(&input, "nftables");
    print(nftables::list(&rules), note, output)
}

/// What to know about rules of a mode that is not the node's: nobody finds them there.
pub(super) fn other_mode(input: &Input, shown: &str) -> Option<String> {
    let mode = match input.configuration.mode {
        Mode::Iptables => "iptables",
        Mode::Ipvs { .. } => "ipvs",
        Mode::Nftables => "nftables",
    };
    (mode != shown).then(|| {
        format!(
            "kube-proxy is in {mode} mode on {}, so that these rules are not there: they are what it would write in {shown} mode",
            input.node.name
        )
    })
}

/// Prints rules; a note stands before them as a comment, which both formats know.
fn print(text: String, note: Option<String>, output: &Output) -> anyhow::Result<End> {
    match (output.json(), note) {
        (true, note) => {
            output.print_json(&serde_json::json!({ "rules": text, "note": note }))?;
        }
        (false, Some(note)) => output.print(&format!("# {note}\n{}", text.trim_end()))?,
        (false, None) => output.print(text.trim_end())?,
    }
    Ok(End::Fine)
}

/// What the node's kube-proxy would know. Manifests that describe no node are a scenario too.
fn input(arguments: &Arguments, output: &Output) -> anyhow::Result<Input> {
    let read = files::read(&arguments.files, files::DEFAULT_SCENARIO)?;
    let is_scenario = read.files.iter().any(|file| files::is_scenario(&file.text));
    if !is_scenario && arguments.when.at.is_none() {
        let known = kube_proxy::read(&read.files).map_err(BadInput)?;
        if !known.nodes.is_empty() {
            return from_manifests(known, arguments);
        }
    }
    let subject = arguments.when.subject(&read, output)?;
    let topology = cloud::compile(&subject.scenario);
    let moment = Moment::new(&topology, subject.seed, subject.at);
    let cluster = cluster_of(&moment, arguments)?;
    let input = moment.rules(&cluster, &arguments.node);
    Ok(input.expect("the node is one of the cluster's"))
}

fn from_manifests(known: kube_proxy::Known, arguments: &Arguments) -> anyhow::Result<Input> {
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

/// The cluster that the node is one of.
fn cluster_of(moment: &Moment<'_>, arguments: &Arguments) -> anyhow::Result<String> {
    let all = moment.nodes();
    let asked = |cluster: &String| {
        let wanted = arguments.cluster.as_ref();
        wanted.is_none_or(|wanted| wanted == cluster)
    };
    let mut found = all
        .iter()
        .filter(|(cluster, node)| asked(cluster) && *node == arguments.node);
    let problem = match (found.next(), found.next()) {
        (Some((cluster, _)), None) => return Ok(cluster.clone()),
        (Some((one, _)), Some((other, _))) => {
            format!("clusters {one} and {other} both have such a node: say --cluster")
        }
        _ => {
            let names = all.iter().filter(|(cluster, _)| asked(cluster));
            let names: Vec<&str> = names.map(|(_, node)| node.as_str()).take(9).collect();
            let names = names.join(", ");
            format!("no node is called {:?}: there are {names}", arguments.node)
        }
    };
    Err(anyhow!(BadInput(problem)))
}
