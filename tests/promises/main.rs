//! Promises to the user, a module per kind.

mod bad_input;
mod behaviours;
mod bookinfo;
mod cli;
mod closed_forms;
mod controllers;
mod digests;
mod envoy;
mod inspect;
mod kube_proxy;
mod kube_proxy_cost;
mod kube_proxy_restore;
mod models;
mod network;
mod nftables;
mod proxy_config;
mod proxy_cost;
mod readme;
mod recovery;
mod scenarios;
mod service_rules;
mod shown;
mod slice_delays;
mod statistics;
mod support;
mod timings;
