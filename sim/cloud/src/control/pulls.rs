//! Images: what each node has, and what its kubelet pulls.
//!
//! Models: a node keeps the images of the pods that it ran; a container whose image is not there
//! waits for it. A kubelet pulls one image after the other; a pull takes an exchange with the
//! registry and a time that grows with the image's size and the slowness of the node's disk. A
//! registry or a network that is down fails it, and the kubelet tries again after pauses of 10 s,
//! doubling up to 300 s, per container. `Always` asks the registry at every start, also when the
//! image is there.
//! Approximated: images share no layers; a failure shows after the exchange with the registry.
//! Leaves out: parallel pulls, the registry's and the kubelet's limits of requests (which serial
//! pulls do not reach), the removal of images from full disks.
//! Sources: kubernetes/kubernetes pkg/kubelet/images; [`crate::facts`].
//! Validated by: pulls computed by hand, in the crate's tests.

use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::back_off::Pauses;
use crate::scenario::{Image, PullPolicy};
use crate::snapshot::journal::Happening;
use engine::Duration;
use std::collections::{BTreeSet, VecDeque};

/// The images of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeImages<'t> {
    present: BTreeSet<&'t str>,
    /// Pods whose containers wait for theirs, the first of which is being served.
    waiting: VecDeque<u32>,
    is_pulling: bool,
    /// Which pull it is: those of before a loss of power are over.
    number: u32,
}

impl<'t> NodeImages<'t> {
    /// The node runs a container of it, and has it.
    pub(crate) fn add(&mut self, image: &'t Image) {
        self.present.insert(&image.name);
    }

    /// The machine is given back, and its disk with it.
    pub(super) fn forget(&mut self) {
        self.present.clear();
        self.stop();
    }

    /// The node has lost its power.
    pub(super) fn stop(&mut self) {
        self.waiting.clear();
        self.is_pulling = false;
        self.number += 1;
    }
}

impl Domain<'_> {
    /// The image that a pod's node has to have, and that node.
    fn image_of(&self, pod: u32) -> Option<(u32, &Image)> {
        let node = self.pods[pod as usize].node?;
        Some((node, self.template(pod).image.as_ref()?))
    }

    /// A container is to be made: it waits for its image.
    pub(super) fn want_image(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let Some((node, image)) = self.image_of(pod) else {
            self.tell(now, Happening::ImagePresent { pod });
            return self.image_is_there(pod, context);
        };
        let images = &self.nodes[node as usize].images;
        let is_there = images.present.contains(image.name.as_str());
        match image.policy {
            PullPolicy::IfNotPresent | PullPolicy::Never if is_there => {
                self.tell(now, Happening::ImagePresent { pod });
                self.image_is_there(pod, context);
            }
            PullPolicy::Never => self.tell(now, Happening::ImageForbidden { pod }),
            PullPolicy::IfNotPresent | PullPolicy::Always => {
                let waiting = &mut self.nodes[node as usize].images.waiting;
                if !waiting.contains(&pod) {
                    waiting.push_back(pod);
                }
                self.pull_next(node, context);
            }
        }
    }

    fn image_is_there(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        self.pods[pod as usize].pull_failed = false;
        self.live(pod, context, |life, now, _| life.pulled(now));
    }

    /// Whether a pod's container still waits for its image.
    fn awaits_image(&self, pod: u32) -> bool {
        let life = &self.pods[pod as usize].life;
        life.as_ref().is_some_and(|life| life.is_pulling())
    }

    /// A kubelet pulls the next image that is waited for, if it is not at one.
    fn pull_next(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        if self.nodes[node as usize].images.is_pulling {
            return;
        }
        while let Some(&pod) = self.nodes[node as usize].images.waiting.front() {
            if self.awaits_image(pod) {
                let takes = self.pull_time(pod);
                let images = &mut self.nodes[node as usize].images;
                images.is_pulling = true;
                let number = images.number;
                self.tell(context.now(), Happening::Pulling { pod });
                return context.after(takes, Event::ImagePulled { node, number });
            }
            self.nodes[node as usize].images.waiting.pop_front();
        }
    }

    fn pull_time(&self, pod: u32) -> Duration {
        let check = facts::IMAGE_CHECK.value;
        let Some((node, image)) = self.image_of(pod) else {
            return check;
        };
        let images = &self.nodes[node as usize].images;
        if self.is_registry_away(node) || images.present.contains(image.name.as_str()) {
            return check;
        }
        let seconds = image.bytes as f64 / facts::IMAGE_PULL_RATE.value;
        let slow = self.levers.speed(node).disk_factor;
        check + Duration::from_secs_f64(seconds * slow)
    }

    /// Whether a node gets nothing out of its registry.
    fn is_registry_away(&self, node: u32) -> bool {
        self.levers.control.registry_down || self.levers.node(node).is_some()
    }

    /// A pull has ended, well or not.
    pub(crate) fn image_pulled(&mut self, node: u32, number: u32, context: &mut Clock<'_, Self>) {
        let away = self.is_registry_away(node);
        let images = &mut self.nodes[node as usize].images;
        if images.number != number {
            return;
        }
        images.is_pulling = false;
        let Some(pod) = images.waiting.pop_front() else {
            return;
        };
        if away {
            self.pull_failed(pod, context);
        } else {
            let template = self.template(pod);
            let images = &mut self.nodes[node as usize].images;
            template.image.iter().for_each(|image| images.add(image));
            if !self.has_still_kubelet(pod) {
                self.tell(context.now(), Happening::pulled(pod));
                self.image_is_there(pod, context);
            }
        }
        self.pull_next(node, context);
    }

    fn pull_failed(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let pauses = Pauses {
            first: facts::IMAGE_PULL_BACKOFF.value,
            max: facts::IMAGE_PULL_BACKOFF_MAX.value,
        };
        let state = &mut self.pods[pod as usize];
        state.pull_failed = true;
        self.tell(now, Happening::PullFailed { pod });
        self.note_container(pod);
        let state = &mut self.pods[pod as usize];
        state.pulls.tried(now, now, pauses);
        let pause = state.pulls.remaining(now, now, pauses);
        context.after(pause, Event::PullRetried(pod));
    }

    /// A kubelet tries again to pull what a container waits for.
    pub(crate) fn pull_retried(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        if self.awaits_image(pod) && !self.has_still_kubelet(pod) {
            self.want_image(pod, context);
        }
    }
}
