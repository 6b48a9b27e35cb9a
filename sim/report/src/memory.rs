//! What a proxy needs of memory for what it knows.

use crate::columns::{Spacing, Table};
use cloud::envoy::memory::Share;
use cloud::facts;
use cloud::snapshot::ProxySnapshot;
use serde_json::{Value, json};

/// What the proxy holds before it knows anything, and what it knows.
fn shares(proxy: &ProxySnapshot) -> Vec<Share> {
    let empty = Share {
        what: "proxy and agent",
        count: 1,
        each_bytes: facts::ISTIO_PROXY_EMPTY_BYTES.value,
    };
    [&[empty], proxy.known().shares().as_slice()].concat()
}

fn bytes(proxy: &ProxySnapshot) -> u64 {
    shares(proxy).iter().map(Share::bytes).sum()
}

/// A line for each kind of thing, one for all, and one for the limit of the container.
pub fn table(proxy: &ProxySnapshot) -> String {
    let spacing = Spacing {
        padding: 3,
        width_min: 0,
    };
    let mut table = Table::new(spacing, &["WHAT", "COUNT", "KB EACH", "MB"]);
    for share in shares(proxy) {
        table.add(vec![
            share.what.to_owned(),
            share.count.to_string(),
            format!("{:.1}", share.each_bytes as f64 / 1e3),
            megabytes(share.bytes()),
        ]);
    }
    let mut whole = |what: &str, bytes: u64| {
        let nothing = String::new;
        table.add(vec![
            what.to_owned(),
            nothing(),
            nothing(),
            megabytes(bytes),
        ]);
    };
    whole("all", bytes(proxy));
    if let Some(limit) = proxy.memory_limit_bytes {
        whole("limit of its container", limit);
    }
    table.print()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// The same as one JSON document, in bytes.
pub fn document(proxy: &ProxySnapshot) -> Value {
    let shares = shares(proxy);
    let rows = shares.iter().map(|share| {
        json!({
            "what": share.what,
            "count": share.count,
            "each_bytes": share.each_bytes,
            "bytes": share.bytes(),
        })
    });
    json!({
        "memory": {
            "threads": proxy.threads,
            "shares": rows.collect::<Vec<_>>(),
            "bytes": bytes(proxy),
            "limit_bytes": proxy.memory_limit_bytes,
        }
    })
}
