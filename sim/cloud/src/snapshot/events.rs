//! Events as Kubernetes records them.
//!
//! Models: reasons, messages and sources of scheduler, kubelets, controllers and leaders by
//! version; equal events are one, with a count, and one that was not seen again for an hour is
//! gone.
//! Approximated: a probe's events come when its verdict turns, without what it was answered; a
//! container is called as its workload, and so is an image without a name; what cannot be written when it
//! happens is lost; a pull fails as one does of a registry that does not answer.
//! Leaves out: events that similar ones replace, and the limit to how many a source may record;
//! the remark on preemption.
//! Sources: kubernetes/kubernetes pkg/kubelet/events, pkg/controller, pkg/scheduler,
//! client-go tools/record; messages of 1.36 as clusters show them.
//! Validated by: the events around the loss of a node, in the tests of the program.

use super::EventSnapshot;
use super::journal::Happening;
use super::read::Reader;
use crate::control::canaries::{CanaryNews, Why};
use crate::facts;
use crate::kubernetes::autoscaling::Reason;
use crate::kubernetes::kubelet::Probed;
use crate::scenario::{
    Autoscaler, CanaryStep, Comparator, Metric, Workload, WorkloadId, WorkloadKind,
};
use engine::{Duration, Stream, Time};
use std::collections::BTreeMap;

/// First version that says from which number a ReplicaSet is scaled up.
const SCALES_FROM_MINOR: u32 = 31;
/// First version that sets a colon before a created container's name.
const CREATED_COLON_MINOR: u32 = 32;
/// First version that does not name the container, and says who may use its image.
const CONTAINER_UNNAMED_MINOR: u32 = 35;

/// First version that says how large a pulled image is.
const IMAGE_SIZE_MINOR: u32 = 30;

/// Where events of objects without a namespace are.
const DEFAULT_NAMESPACE: &str = "default";

/// An event without its times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    namespace: String,
    warning: bool,
    reason: &'static str,
    object: String,
    message: String,
    source: &'static str,
}

/// The events that are still there, the one that was seen longest ago first.
pub(super) fn events(reader: &Reader<'_>, now: Time) -> Vec<EventSnapshot> {
    let mut events: Vec<EventSnapshot> = Vec::new();
    let mut known: BTreeMap<Entry, usize> = BTreeMap::new();
    for (at, happening) in &reader.journal.happenings {
        for entry in entries(reader, happening) {
            let lives = facts::EVENT_TTL.value;
            let same = known.get(&entry).copied();
            let same = same.filter(|&same| at.since(events[same].last) < lives);
            if let Some(same) = same {
                events[same].last = *at;
                events[same].count += 1;
            } else {
                known.insert(entry.clone(), events.len());
                events.push(first(entry, *at));
            }
        }
    }
    events.retain(|event| now.since(event.last) < facts::EVENT_TTL.value);
    events.sort_by_key(|event| event.last);
    events
}

fn first(entry: Entry, at: Time) -> EventSnapshot {
    EventSnapshot {
        namespace: entry.namespace,
        kind: if entry.warning { "Warning" } else { "Normal" },
        reason: entry.reason,
        object: entry.object,
        message: entry.message,
        source: entry.source,
        first: at,
        last: at,
        count: 1,
    }
}

/// What is recorded of a happening.
fn entries(reader: &Reader<'_>, happening: &Happening) -> Vec<Entry> {
    match *happening {
        Happening::Exited { .. }
        | Happening::OutOfMemory { .. }
        | Happening::ImageWanted { .. } => Vec::new(),
        Happening::PullFailed { pod } => pull_failed(reader, pod),
        Happening::Cordoned { node, cordoned } => {
            let status = match cordoned {
                true => "NodeNotSchedulable",
                false => "NodeSchedulable",
            };
            vec![of_node(reader, node, status, "kubelet")]
        }
        Happening::Started { pod } => started(reader, pod),
        Happening::NodeNotReady { node } => {
            vec![of_node(reader, node, "NodeNotReady", "node-controller")]
        }
        Happening::NodeReady { node } => vec![of_node(reader, node, "NodeReady", "kubelet")],
        Happening::ReplicaSetScaled {
            workload,
            revision,
            from,
            to,
        } => {
            let set = reader.set_name(workload, revision);
            vec![Entry {
                namespace: reader.workload(workload).namespace.clone(),
                warning: false,
                reason: "ScalingReplicaSet",
                object: format!("Deployment/{}", reader.workload(workload).name),
                message: scaled(reader.described.kubernetes_minor, &set, from, to),
                source: "deployment-controller",
            }]
        }
        Happening::Refused { workload, revision } => vec![refused(reader, workload, revision)],
        Happening::Created { pod } => vec![of_owner(reader, pod, true)],
        Happening::Deleted { pod } => vec![of_owner(reader, pod, false)],
        Happening::Rescaled {
            autoscaler,
            to,
            reason,
        } => {
            let scaler = &reader.described.autoscalers[autoscaler as usize];
            vec![Entry {
                namespace: scaler.namespace.clone(),
                warning: false,
                reason: "SuccessfulRescale",
                object: format!("HorizontalPodAutoscaler/{}", scaler.name),
                message: format!("New size: {to}; reason: {}", because(scaler, reason)),
                source: "horizontal-pod-autoscaler",
            }]
        }
        Happening::Canary { canary, news } => vec![of_canary(reader, canary, news)],
        Happening::LeaderElected { which, number } => vec![elected(reader, which, number)],
        _ => of_pod(reader, happening).into_iter().collect(),
    }
}

/// Events that have a pod for their object.
fn of_pod(reader: &Reader<'_>, happening: &Happening) -> Option<Entry> {
    let minor = reader.described.kubernetes_minor;
    let (pod, reason, source, message) = match happening {
        &Happening::Scheduled { pod } => {
            let node = reader.pods[pod as usize]
                .node
                .as_deref()
                .unwrap_or_default();
            let message = format!("Successfully assigned {} to {node}", reader.full_name(pod));
            (pod, "Scheduled", "default-scheduler", message)
        }
        Happening::FailedScheduling { pod, why } => (
            *pod,
            "FailedScheduling",
            "default-scheduler",
            why.to_string(),
        ),
        &Happening::Pulling { pod } => {
            let message = format!("Pulling image \"{}\"", reader.image_of(pod));
            (pod, "Pulling", "kubelet", message)
        }
        &Happening::Pulled { pod, took, waited } => {
            (pod, "Pulled", "kubelet", pulled(reader, pod, took, waited))
        }
        &Happening::ImageForbidden { pod } => {
            let image = reader.image_of(pod);
            let message =
                format!("Container image \"{image}\" is not present with pull policy of Never");
            (pod, "ErrImageNeverPull", "kubelet", message)
        }
        &Happening::ImagePresent { pod } => {
            let usable = match minor {
                CONTAINER_UNNAMED_MINOR.. => " and can be accessed by the pod",
                _ => "",
            };
            let image = reader.image_of(pod);
            let message = format!("Container image \"{image}\" already present on machine{usable}");
            (pod, "Pulled", "kubelet", message)
        }
        &Happening::Killing { pod, probed } => {
            let container = reader.container(pod);
            let message = match probed.map(name_of_probe) {
                None => format!("Stopping container {container}"),
                Some(probe) => {
                    let probe = probe.to_lowercase();
                    format!("Container {container} failed {probe} probe, will be restarted")
                }
            };
            (pod, "Killing", "kubelet", message)
        }
        &Happening::Unhealthy { pod, probed } => {
            let message = format!("{} probe failed", name_of_probe(probed));
            (pod, "Unhealthy", "kubelet", message)
        }
        &Happening::BackOff { pod } => {
            let (name, namespace) = (&reader.pods[pod as usize].pod, reader.namespace(pod));
            let message = format!(
                "Back-off restarting failed container {} in pod {name}_{namespace}({})",
                reader.container(pod),
                unique(reader.domain.uids, u64::from(pod))
            );
            (pod, "BackOff", "kubelet", message)
        }
        &Happening::PodNotReady { pod } => {
            let message = "Node is not ready".to_owned();
            (pod, "NodeNotReady", "node-controller", message)
        }
        &Happening::Evicted { pod } | &Happening::Spared { pod } => {
            let does = match happening {
                Happening::Evicted { .. } => "Marking for deletion",
                _ => "Cancelling deletion of",
            };
            let message = format!("{does} Pod {}", reader.full_name(pod));
            let source = "taint-eviction-controller";
            (pod, "TaintManagerEviction", source, message)
        }
        _ => return None,
    };
    Some(Entry {
        warning: matches!(
            happening,
            Happening::FailedScheduling { .. }
                | Happening::ImageForbidden { .. }
                | Happening::Unhealthy { .. }
                | Happening::BackOff { .. }
                | Happening::PodNotReady { .. }
        ),
        source,
        ..of_kubelet(reader, pod, reason, message)
    })
}

fn pulled(reader: &Reader<'_>, pod: u32, took: Duration, waited: Duration) -> String {
    let image = reader.image_of(pod);
    let (took, waited) = (go_duration(took), go_duration(waited));
    let size = match reader.described.kubernetes_minor {
        IMAGE_SIZE_MINOR.. => {
            let bytes = reader.domain.template(pod).image.as_ref();
            let bytes = bytes.map_or(0, |image| image.bytes);
            format!(". Image size: {bytes} bytes.")
        }
        _ => String::new(),
    };
    format!("Successfully pulled image \"{image}\" in {took} ({waited} including waiting){size}")
}

/// A duration to the millisecond, as Go prints it.
pub(super) fn go_duration(duration: Duration) -> String {
    let milli = duration.as_nanos() / 1_000_000;
    let seconds = |milli: u64| format!("{}s", milli as f64 / 1_000.0);
    match milli {
        0 => "0s".to_owned(),
        1..1_000 => format!("{milli}ms"),
        1_000..60_000 => seconds(milli),
        _ => format!("{}m{}", milli / 60_000, seconds(milli % 60_000)),
    }
}

/// A pull has failed, and the next one waits.
fn pull_failed(reader: &Reader<'_>, pod: u32) -> Vec<Entry> {
    let image = reader.image_of(pod);
    let cause = format!("failed to resolve reference \"{image}\": dial tcp: i/o timeout");
    let told = [
        (
            true,
            "Failed",
            format!("Failed to pull image \"{image}\": {cause}"),
        ),
        (true, "Failed", "Error: ErrImagePull".to_owned()),
        (
            false,
            "BackOff",
            format!("Back-off pulling image \"{image}\""),
        ),
        (true, "Failed", "Error: ImagePullBackOff".to_owned()),
    ];
    let told = told.into_iter();
    told.map(|(warning, reason, message)| Entry {
        warning,
        ..of_kubelet(reader, pod, reason, message)
    })
    .collect()
}

/// What a kubelet says of a pod.
fn of_kubelet(reader: &Reader<'_>, pod: u32, reason: &'static str, message: String) -> Entry {
    Entry {
        namespace: reader.namespace(pod).to_owned(),
        warning: false,
        reason,
        object: format!("Pod/{}", reader.pods[pod as usize].pod),
        message,
        source: "kubelet",
    }
}

/// A container is created and started.
fn started(reader: &Reader<'_>, pod: u32) -> Vec<Entry> {
    let container = reader.container(pod);
    let messages = match reader.described.kubernetes_minor {
        CONTAINER_UNNAMED_MINOR.. => ["Container created".into(), "Container started".into()],
        CREATED_COLON_MINOR.. => [
            format!("Created container: {container}"),
            format!("Started container {container}"),
        ],
        _ => [
            format!("Created container {container}"),
            format!("Started container {container}"),
        ],
    };
    let reasons = ["Created", "Started"].into_iter().zip(messages);
    reasons
        .map(|(reason, message)| of_kubelet(reader, pod, reason, message))
        .collect()
}

fn of_node(reader: &Reader<'_>, node: u32, status: &'static str, source: &'static str) -> Entry {
    let name = &reader.described.nodes[node as usize].name;
    Entry {
        namespace: DEFAULT_NAMESPACE.to_owned(),
        warning: false,
        reason: status,
        object: format!("Node/{name}"),
        message: format!("Node {name} status is now: {status}"),
        source,
    }
}

/// What the owner of a pod records of its creation or deletion.
fn of_owner(reader: &Reader<'_>, pod: u32, is_new: bool) -> Entry {
    let workload = reader.workload_of(pod);
    let name = &reader.pods[pod as usize].pod;
    let (object, source) = owner(workload, || reader.owner_name(pod));
    let message = match (workload.kind, is_new) {
        (WorkloadKind::StatefulSet, _) => {
            let verb = if is_new { "create" } else { "delete" };
            let set = &workload.name;
            format!("{verb} Pod {name} in StatefulSet {set} successful")
        }
        (_, true) => format!("Created pod: {name}"),
        (_, false) => format!("Deleted pod: {name}"),
    };
    Entry {
        namespace: workload.namespace.clone(),
        warning: false,
        reason: if is_new {
            "SuccessfulCreate"
        } else {
            "SuccessfulDelete"
        },
        object,
        message,
        source,
    }
}

/// What makes the pods of a workload, and which controller speaks for it.
fn owner(workload: &Workload, set: impl FnOnce() -> String) -> (String, &'static str) {
    match workload.kind {
        WorkloadKind::DaemonSet => (
            format!("DaemonSet/{}", workload.name),
            "daemonset-controller",
        ),
        WorkloadKind::StatefulSet => (
            format!("StatefulSet/{}", workload.name),
            "statefulset-controller",
        ),
        _ => (format!("ReplicaSet/{}", set()), "replicaset-controller"),
    }
}

/// A pod that its controller could not create.
fn refused(reader: &Reader<'_>, id: WorkloadId, revision: u32) -> Entry {
    let workload = reader.workload(id);
    let (object, source) = owner(workload, || reader.set_name(id, revision));
    Entry {
        namespace: workload.namespace.clone(),
        warning: true,
        reason: "FailedCreate",
        object,
        message: REFUSED.to_owned(),
        source,
    }
}

/// What the API server says while its webhook is not answered.
const REFUSED: &str = "Error creating: Internal error occurred: failed calling webhook \
    \"namespace.sidecar-injector.istio.io\": failed to call webhook: Post \
    \"https://istiod.istio-system.svc:443/inject?timeout=10s\": no endpoints available for \
    service \"istiod\"";

fn scaled(minor: u32, set: &str, from: u32, to: u32) -> String {
    let direction = if to > from { "up" } else { "down" };
    match (minor, from) {
        (SCALES_FROM_MINOR.., _) => {
            format!("Scaled {direction} replica set {set} from {from} to {to}")
        }
        (_, 0) => format!("Scaled {direction} replica set {set} to {to}"),
        _ => format!("Scaled {direction} replica set {set} to {to} from {from}"),
    }
}

/// Why an autoscaler scales.
fn because(scaler: &Autoscaler, reason: Reason) -> String {
    match reason {
        Reason::AboveMaximum => "Current number of replicas above Spec.MaxReplicas".to_owned(),
        Reason::BelowMinimum => "Current number of replicas below Spec.MinReplicas".to_owned(),
        Reason::BelowTarget => "All metrics below target".to_owned(),
        Reason::AboveTarget(position) => {
            let metric = match scaler.metrics[position] {
                Metric::CpuUtilization(_) => "cpu resource utilization (percentage of request)",
                Metric::CpuAverage(_) => "cpu resource",
                Metric::RequestsAverage(_) => "pods metric requests",
            };
            format!("{metric} above target")
        }
    }
}

/// What Argo Rollouts records of a release.
fn of_canary(reader: &Reader<'_>, canary: u32, news: CanaryNews) -> Entry {
    let described = reader.domain.canaries[canary as usize].described;
    let steps = described.steps.len();
    let (warning, reason, message) = match news {
        CanaryNews::StepDone(done) => {
            let step = words_of_step(&described.steps[done as usize - 1]);
            let message = format!("Rollout step {done}/{steps} completed ({step})");
            (false, "RolloutStepCompleted", message)
        }
        CanaryNews::Condemned(why) => (
            true,
            "AnalysisRunFailed",
            format!("Background Analysis Run is failing: {}", words_of_why(why)),
        ),
        CanaryNews::RolledBack => (
            true,
            "RolloutAborted",
            format!(
                "Rollout aborted: all requests go to {}",
                described.stable.name
            ),
        ),
        CanaryNews::Promoted => (
            false,
            "RolloutCompleted",
            format!(
                "Rollout completed: all requests go to {}",
                described.canary.name
            ),
        ),
    };
    let namespace = described.services.first().map(|(namespace, _)| namespace);
    Entry {
        namespace: namespace.cloned().unwrap_or_default(),
        warning,
        reason,
        object: format!("Rollout/{}", described.route),
        message,
        source: "rollouts-controller",
    }
}

fn words_of_step(step: &CanaryStep) -> String {
    match step {
        CanaryStep::SetWeight(weight) => format!("setWeight: {weight}"),
        CanaryStep::Pause(lasts) => format!("pause: {}", go_duration(*lasts)),
        CanaryStep::SetHeaderRoute { name, .. } => format!("setHeaderRoute: {name}"),
        CanaryStep::SetMirrorRoute { name, .. } => format!("setMirrorRoute: {name}"),
    }
}

fn words_of_why(why: Why) -> String {
    match why {
        Why::SuccessRate(rate) => format!("success rate of {:.2} %", 100.0 * rate),
        Why::Latency(nanos) => {
            let latency = go_duration(Duration::from_nanos(nanos));
            format!("latency of {latency}")
        }
        Why::Worse(Comparator::Failures, chance) => {
            format!("more failures than the stable version, by chance with {chance:.1e}")
        }
        Why::Worse(Comparator::Latency, chance) => {
            format!("slower than the stable version, by chance with {chance:.1e}")
        }
    }
}

fn elected(reader: &Reader<'_>, which: u8, number: u32) -> Entry {
    let component = match which {
        0 => "kube-controller-manager",
        _ => "kube-scheduler",
    };
    let name = &reader.described.name;
    let identities = Stream::new(
        reader.domain.seed,
        &format!("identities of {component} of {name}"),
    );
    let identity = unique(identities, u64::from(number));
    Entry {
        namespace: "kube-system".to_owned(),
        warning: false,
        reason: "LeaderElection",
        object: format!("Lease/{component}"),
        message: format!("{name}-control-plane_{identity} became leader"),
        source: component,
    }
}

fn name_of_probe(probed: Probed) -> &'static str {
    match probed {
        Probed::Startup => "Startup",
        Probed::Readiness => "Readiness",
        Probed::Liveness => "Liveness",
    }
}

/// A UUID of version 4, whose first half is the first word of a draw.
fn unique(stream: Stream, number: u64) -> String {
    let mut draw = stream.draw(number, 0);
    let (first, second) = (draw.word(), draw.word());
    let version = first & !0xf000 | 0x4000;
    let variant = second & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        version >> 32,
        version >> 16 & 0xffff,
        version & 0xffff,
        variant >> 48,
        variant & 0xffff_ffff_ffff
    )
}
