//! The way of a first packet from a pod through the rules of its node, rule by rule.

use anyhow::anyhow;
use cloud::rules::iptables::walk::{Kernel, Packet, Verdict, Walk};
use cloud::rules::{Compiled, Fate, Flow, Input, Protocol, Service, iptables};
use cloud::snapshot::{Moment, PodPlace};
use engine::{Stream, Time};
use std::fmt::Write;
use std::net::SocketAddr;

use super::rules::other_mode;
use super::when::When;
use crate::command::End;
use crate::command::files::{self, DEFAULT_SCENARIO};
use crate::command::output::Output;
use crate::command::problems::BadInput;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A Scenario, manifests, folders of manifests, or the name of a shipped scenario
    #[arg(value_name = "SCENARIO", required = true)]
    files: Vec<String>,
    /// The pod that sends: its name, NAMESPACE/NAME, or its address; the beginning of names, such
    /// as that of a Deployment, means the first of its pods
    #[arg(long, value_name = "POD")]
    from: String,
    /// An address and a port, or a service and a port: 10.96.0.10:53, web:80, shop/web:http
    #[arg(long, value_name = "ADDR:PORT")]
    to: String,
    /// The cluster of a Scenario that has several with such a pod
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    #[command(flatten)]
    when: When,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> anyhow::Result<End> {
    let input = files::read(&arguments.files, DEFAULT_SCENARIO)?;
    let subject = arguments.when.subject(&input, output)?;
    let topology = cloud::compile(&subject.scenario);
    let moment = Moment::new(&topology, subject.seed, subject.at);
    let pods = moment.pods();
    let pod = sender(&pods, arguments).map_err(|problem| anyhow!(BadInput(problem)))?;
    let Some(node) = &pod.node else {
        let outside = format!("{} stands on no node, so that it meets no rules", pod.name);
        return Err(anyhow!(BadInput(outside)));
    };
    let rules = moment.rules(&pod.cluster, node);
    let rules = rules.expect("the node is one of the cluster's");
    let to = target(&rules, &pod.namespace, &arguments.to);
    let (protocol, to) = to.map_err(|problem| anyhow!(BadInput(problem)))?;
    let packet = Packet {
        flow: Flow::new(
            protocol,
            // The first port that Linux takes for connections out.
            SocketAddr::new(pod.address.into(), 32_768),
            to,
        ),
        interface: Some("cni0".to_owned()),
    };
    let tables = iptables::generate(&rules);
    let mut draw = Stream::new(subject.seed, "route").draw(0, 0);
    let mut random = || (draw.word() >> 33) as u32;
    let walk = Kernel::new(&rules.node).pass(&tables, &packet, Time::ZERO, &mut random);
    let fate = Compiled::new(&rules).fate(&packet);
    let there = named(&pods, &pod.cluster);
    let notes = [other_mode(&rules, "iptables"), passed_by(pod, protocol)];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    if output.json() {
        let mut document = document(pod, &packet, &walk, &there);
        document["notes"] = notes.into();
        output.print_json(&document)?;
    } else {
        let notes: String = notes.iter().map(|note| format!("# {note}\n")).collect();
        let text = text(pod, &packet, &walk, &fate, &there);
        output.print(&format!("{notes}{}", text.trim_end()))?;
    }
    Ok(End::Fine)
}

/// Says that a sidecar takes the connection, if one does.
fn passed_by(pod: &PodPlace, protocol: Protocol) -> Option<String> {
    (pod.has_sidecar && protocol == Protocol::Tcp).then(|| {
        format!(
            "the sidecar of {} takes what its application sends, past these rules, which hold for what passes the sidecar by: see `inspect listeners --proxy {0}`",
            pod.name
        )
    })
}

/// The pod that sends.
fn sender<'p>(pods: &'p [PodPlace], arguments: &Arguments) -> Result<&'p PodPlace, String> {
    let from = arguments.from.as_str();
    let (namespace, name) = match from.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, from),
    };
    let asked = |pod: &&PodPlace| {
        let wanted = arguments.cluster.as_ref();
        wanted.is_none_or(|wanted| *wanted == pod.cluster)
            && namespace.is_none_or(|wanted| wanted == pod.namespace)
    };
    let is_meant = |pod: &&PodPlace| pod.name == name || pod.address.to_string() == name;
    let mut found = pods.iter().filter(asked).filter(is_meant);
    match (found.next(), found.next()) {
        (Some(pod), None) => Ok(pod),
        (Some(one), Some(other)) if one.cluster != other.cluster => Err(format!(
            "clusters {} and {} both have a pod {name}: say --cluster",
            one.cluster, other.cluster
        )),
        (Some(one), Some(other)) => Err(format!(
            "namespaces {} and {} both have a pod {name}: say NAMESPACE/NAME",
            one.namespace, other.namespace
        )),
        _ => {
            let begins = format!("{name}-");
            let mut all = pods.iter().filter(asked);
            if let Some(first) = all.find(|pod| pod.name.starts_with(&begins)) {
                return Ok(first);
            }
            let some: Vec<&str> = pods
                .iter()
                .filter(asked)
                .map(|pod| pod.name.as_str())
                .take(9)
                .collect();
            Err(format!(
                "no pod is called {from}; there are {}",
                some.join(", ")
            ))
        }
    }
}

/// The address that is called, and over what: a bare address over TCP.
fn target(rules: &Input, namespace: &str, text: &str) -> Result<(Protocol, SocketAddr), String> {
    if let Ok(address) = text.parse() {
        return Ok((Protocol::Tcp, address));
    }
    let (name, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("{text} has no port: write ADDRESS:PORT or SERVICE:PORT"))?;
    let (namespace, name) = name.split_once('/').unwrap_or((namespace, name));
    let of = |service: &&Service| service.namespace == namespace && service.name == name;
    let Some(service) = rules.services.iter().find(of) else {
        return Err(format!(
            "{namespace}/{name} is no service with an address: a headless one answers with its pods"
        ));
    };
    let mut ports = service.ports.iter();
    let found = ports.find(|one| one.name == port || one.port.to_string() == port);
    let found = found.ok_or_else(|| {
        let ports: Vec<String> = service
            .ports
            .iter()
            .map(|one| one.port.to_string())
            .collect();
        format!(
            "{namespace}/{name} has no port {port}, but {}",
            ports.join(", ")
        )
    })?;
    let address = SocketAddr::new(service.cluster_ip, found.port);
    Ok((found.protocol, address))
}

/// What stands at an address of a cluster.
fn named<'p>(pods: &'p [PodPlace], cluster: &'p str) -> impl Fn(SocketAddr) -> String + 'p {
    move |address| {
        let mut of_cluster = pods.iter().filter(|pod| pod.cluster == cluster);
        let Some(pod) = of_cluster.find(|pod| address.ip() == pod.address) else {
            return String::new();
        };
        let place = match &pod.node {
            Some(node) => format!(" on {node}"),
            None => String::new(),
        };
        format!(", {}/{}{place}", pod.namespace, pod.name)
    }
}

fn text(
    pod: &PodPlace,
    packet: &Packet,
    walk: &Walk<'_>,
    fate: &Fate,
    there: &impl Fn(SocketAddr) -> String,
) -> String {
    let node = pod.node.as_deref().unwrap_or_default();
    let mut text = format!(
        "from {}/{} at {} on {node} to {}\n",
        pod.namespace, pod.name, pod.address, packet.flow.to
    );
    let mut table = "";
    for step in &walk.steps {
        if step.table != table {
            table = step.table;
            writeln!(text, "*{table}").expect("a String takes all");
        }
        writeln!(text, "{} # rule {}", step.text(), step.number).expect("a String takes all");
    }
    let read = walk.rules_read;
    writeln!(
        text,
        "{} of {read} rules that were read held",
        walk.steps.len()
    )
    .expect("a String takes all");
    text + &end(walk.verdict, packet, there) + &others(fate)
}

fn end(verdict: Verdict, packet: &Packet, there: &impl Fn(SocketAddr) -> String) -> String {
    match verdict {
        Verdict::Translated { to, masqueraded } => {
            let source = match masqueraded {
                true => "with the node's address as its source",
                false => "with its own source",
            };
            format!("goes to {to}{}, {source}\n", there(to))
        }
        Verdict::Untouched => {
            let to = packet.flow.to;
            format!("goes to {to}{}, untouched\n", there(to))
        }
        Verdict::Rejected => "rejected: the client hears that nobody listens\n".to_owned(),
        Verdict::Dropped => "dropped: the client hears nothing\n".to_owned(),
    }
}

/// Where other connections of the kind would have gone.
fn others(fate: &Fate) -> String {
    match fate {
        Fate::Endpoints(all) if all.len() > 1 => {
            format!("one of {} endpoints that are equally likely\n", all.len())
        }
        _ => String::new(),
    }
}

fn document(
    pod: &PodPlace,
    packet: &Packet,
    walk: &Walk<'_>,
    there: &impl Fn(SocketAddr) -> String,
) -> serde_json::Value {
    let steps = walk.steps.iter().map(|step| {
        serde_json::json!({
            "table": step.table,
            "chain": step.chain,
            "number": step.number,
            "rule": step.text(),
        })
    });
    serde_json::json!({
        "from": format!("{}/{}", pod.namespace, pod.name),
        "node": pod.node,
        "source": packet.flow.from.to_string(),
        "destination": packet.flow.to.to_string(),
        "steps": steps.collect::<Vec<_>>(),
        "rules_read": walk.rules_read,
        "end": end(walk.verdict, packet, there).trim_end(),
    })
}
