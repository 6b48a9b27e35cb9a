//! Who leads kube-controller-manager, kube-scheduler and the provisioner.
//!
//! Models: a leader that cannot write for the renew deadline exits; another takes over when it
//! can write and has seen the lease unrenewed for long enough, and starts with no memory. With a
//! single control-plane machine it is the restarted process itself, which may be late by the
//! back-off of its restarts. A lost API server may take the leader's machine with it.
//! Approximated: of several machines, the standbys keep looking through an outage, so that one of
//! them leads as soon as the API server is back.
//! Sources: [`crate::kubernetes::election`], [`crate::facts`].
//! Validated by: outages shorter and longer than the renew deadline, in the crate's tests.

use super::api::Client;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::fault::Levers;
use crate::kubernetes::election::{self, Restarts};
use crate::scenario::Component;
use crate::snapshot::journal::Happening;
use engine::{Draw, Stream, Time};

/// The leader of one component.
#[derive(Debug)]
pub(crate) struct Leader {
    client: Client,
    component: Component,
    draws: Stream,
    leads: bool,
    restarts: Restarts,
    /// When the last leader exited for want of an API server.
    exited: Option<Time>,
    /// What is scheduled counts only if nothing has changed since.
    number: u32,
}

impl Leader {
    /// The components of a cluster that have leaders.
    pub(crate) fn all(draws: Stream, provisioned: bool) -> Vec<Leader> {
        let leader = |client, component| Leader {
            client,
            component,
            draws,
            leads: true,
            restarts: Restarts::default(),
            exited: None,
            number: 0,
        };
        let mut leaders = vec![
            leader(Client::ControllerManager, Component::ControllerManager),
            leader(Client::Scheduler, Component::Scheduler),
        ];
        if provisioned {
            leaders.push(leader(Client::Provisioner, Component::Provisioner));
        }
        leaders
    }

    fn draw(&self, which: usize) -> Draw {
        self.draws.draw(which as u64, u64::from(self.number))
    }
}

impl Domain<'_> {
    /// Whether a client has a leader, or needs none.
    pub(super) fn leads(&self, client: Client) -> bool {
        let mut leaders = self.leaders.iter();
        leaders.all(|leader| leader.client != client || leader.leads)
    }

    /// Faults have begun or ended.
    pub(super) fn leaders_moved(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        let writable = self.is_writable();
        let was_writable = self.was_writable(before);
        for which in 0..self.leaders.len() {
            let component = self.leaders[which].component;
            let was_down = before.control.down.contains(&component);
            let is_down = self.levers.control.down.contains(&component);
            if is_down {
                self.leaders[which].leads = false;
                self.leaders[which].number += 1;
            } else if was_down && writable {
                let mut draw = self.leaders[which].draw(which);
                let waits = facts::CONTROLLER_START_UP.value + election::takeover(&mut draw);
                self.elect(which, context.now() + waits, context);
            } else if was_writable && !writable && self.leaders[which].leads {
                self.leaders[which].number += 1;
                let at = election::gives_up(context.now(), &mut self.leaders[which].draw(which));
                let number = self.leaders[which].number;
                let which = which as u8;
                context.schedule(at, Event::LeaderGivesUp { which, number });
            } else if !was_writable && writable {
                self.leaders[which].number += 1;
                self.lead_after_outage(which, context);
            } else if writable {
                self.lose_leader_with_server(which, before, context);
            }
        }
    }

    /// Writes are possible again: who leads, and from when on?
    fn lead_after_outage(&mut self, which: usize, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let leader = &mut self.leaders[which];
        if leader.leads {
            return;
        }
        let mut draw = leader.draw(which);
        let standbys = facts::CONTROL_PLANE_MEMBERS.value - 1;
        let looks = (0..standbys).map(|_| election::next_look(&mut draw)).min();
        let waits = match looks {
            Some(look) => now + look,
            None => {
                let exited = leader.exited.take().unwrap_or(now);
                let up = election::up_again(&mut leader.restarts, exited, now);
                up + election::takeover(&mut draw)
            }
        };
        self.elect(which, waits + facts::CONTROLLER_START_UP.value, context);
    }

    /// An API server is lost while others live, and perhaps the leader beside it.
    fn lose_leader_with_server(
        &mut self,
        which: usize,
        before: &Levers,
        context: &mut Clock<'_, Self>,
    ) {
        let lost = self.levers.control.api_servers_down;
        let lost = lost.saturating_sub(before.control.api_servers_down);
        // A provisioner runs on the cluster's own nodes.
        let beside = self.leaders[which].component != Component::Provisioner;
        if lost == 0 || !beside || !self.leaders[which].leads {
            return;
        }
        let members = facts::CONTROL_PLANE_MEMBERS.value;
        let up = members - before.control.api_servers_down;
        self.leaders[which].number += 1;
        let mut draw = self.leaders[which].draw(which);
        if draw.chance(f64::from(lost) / f64::from(up)) {
            self.leaders[which].leads = false;
            let standbys = members - self.levers.control.api_servers_down;
            let waits = election::takeover_after_crash(standbys, &mut draw);
            let waits = waits.expect("a server that lives has a standby beside it");
            let at = context.now() + waits + facts::CONTROLLER_START_UP.value;
            self.elect(which, at, context);
        }
    }

    fn elect(&mut self, which: usize, at: Time, context: &mut Clock<'_, Self>) {
        self.leaders[which].number += 1;
        let number = self.leaders[which].number;
        let which = which as u8;
        context.schedule(at, Event::LeaderElected { which, number });
    }

    /// A leader could not renew for too long: it exits.
    pub(crate) fn leader_gives_up(&mut self, which: u8, number: u32, now: Time) {
        let leader = &mut self.leaders[usize::from(which)];
        if leader.number == number {
            leader.leads = false;
            leader.exited = Some(now);
        }
    }

    /// A new leader begins to work, from what it lists.
    pub(crate) fn leader_elected(&mut self, which: u8, number: u32, context: &mut Clock<'_, Self>) {
        let leader = &mut self.leaders[usize::from(which)];
        if leader.number != number {
            return;
        }
        leader.leads = true;
        let client = leader.client;
        self.tell(context.now(), Happening::LeaderElected { which, number });
        if client == Client::ControllerManager {
            self.monitor_starts(context.now());
            self.autoscalers_restart();
            self.service_controller.starts(context.now());
        }
        if client == Client::Provisioner {
            self.provisioner_restarts();
        }
        self.open_watch(client);
        self.resumed(client, context);
    }
}
