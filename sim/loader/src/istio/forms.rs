//! What shapes and readers of several of Istio's kinds share.

use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::kubernetes::metadata::text_map;
use crate::shape::{Field, Kind, Shape, TEXT_MAP};
use crate::source::Span;
use crate::tree::Node;
use crate::value::{DURATION, parse_duration};
use cloud::istio::config::{
    Audience, Created, ExportTo, GatewayName, Identity, Labels, Percent, StringMatch, ValueMatch,
};
use cloud::istio::protocol::Protocol;
use engine::{Duration, Time};

/// Why a field has no influence yet, although it is read and checked.
const NOT_ACTING: &str = "read and checked, but nothing simulated acts on it yet";
/// Why files and secrets have none.
pub(crate) const CERTIFICATES: &str = "certificates of the user's own are taken to be valid";

/// A field that is read and checked, and that nothing simulated acts on yet. What acts becomes
/// [`Field::modelled`].
pub(crate) const fn held(name: &'static str, kind: Kind) -> Field {
    Field::ignored(name, kind, NOT_ACTING)
}

/// A duration.
pub(crate) const DURATION_KIND: Kind = Kind::Format(&DURATION);
/// A number that is not negative.
pub(crate) const COUNT: Kind = Kind::Integer(0, u32::MAX as i64);
/// Zero to a hundred percent.
pub(crate) const PERCENTAGE: Kind = Kind::Number(0.0, 100.0);

/// The shape of a kind of Istio's.
macro_rules! istio_kind {
    ($name:ident, $title:literal, $spec:ident) => {
        #[doc = concat!("Fields of a ", $title, ".")]
        pub(crate) static $name: crate::shape::Shape = crate::shape::Shape::new(
            $title,
            &[
                crate::kubernetes::metadata::API_VERSION,
                crate::kubernetes::metadata::KIND,
                crate::kubernetes::metadata::METADATA,
                crate::shape::Field::modelled("spec", crate::shape::Kind::Map(&$spec)),
                crate::kubernetes::metadata::STATUS,
            ],
        );
    };
}
pub(crate) use istio_kind;

/// `exportTo`.
pub(crate) const EXPORT_TO: Field = Field::modelled("exportTo", crate::shape::TEXT_LIST);

/// `StringMatch`.
pub(crate) static STRING_MATCH: Shape = Shape::new(
    "StringMatch",
    &[
        Field::modelled("exact", Kind::Text),
        Field::modelled("prefix", Kind::Text),
        Field::modelled("regex", Kind::Text),
    ],
);

/// A selector with `labels`, as networking has it.
pub(crate) static LABELS: Shape = Shape::new(
    "IstioWorkloadLabels",
    &[Field::modelled("labels", TEXT_MAP)],
);
/// A selector with `matchLabels`, as the other groups have it.
pub(crate) static MATCH_LABELS: Shape = Shape::new(
    "IstioWorkloadSelector",
    &[Field::modelled("matchLabels", TEXT_MAP)],
);

/// `Percent`.
pub(crate) static PERCENT: Shape =
    Shape::new("IstioPercent", &[Field::modelled("value", PERCENTAGE)]);
/// `PortSelector`.
pub(crate) static PORT_NUMBER: Shape = Shape::new(
    "IstioPortSelector",
    &[Field::modelled("number", Kind::Integer(0, u32::MAX as i64))],
);

/// What a reader needs besides the tree: who writes, and where problems go.
pub(crate) struct Scope<'a> {
    pub(crate) namespace: String,
    pub(crate) diagnostics: &'a mut Diagnostics,
}

impl Scope<'_> {
    /// istiod's webhook refuses the object.
    pub(crate) fn refuse(&mut self, span: Span, message: impl Into<String>, help: &str) {
        self.diagnostics
            .report(Code::IstioRefuses, span, message)
            .help(help);
    }

    /// It accepts the object with a warning.
    pub(crate) fn warn(&mut self, span: Span, message: impl Into<String>, help: &str) {
        self.diagnostics
            .report(Code::IstioWarns, span, message)
            .help(help);
    }

    /// A port number that is none is refused.
    pub(crate) fn port(&mut self, node: Option<&Node>) -> Option<u16> {
        let node = node?;
        let number = node.integer()?;
        let port = u16::try_from(number).ok().filter(|port| *port > 0);
        if port.is_none() {
            let message = format!("{number} is no port");
            self.refuse(node.span, message, "ports are 1 to 65535");
        }
        port
    }

    /// A duration that has to be at least a millisecond.
    pub(crate) fn duration(&mut self, node: &Node, key: &str) -> Option<Duration> {
        let lasts = duration(node, key)?;
        if lasts < Duration::from_millis(1) {
            let span = node.get(key).map_or(node.span, |node| node.span);
            let message = format!("`{key}` must be at least 1ms");
            self.refuse(span, message, "leave it out for the default");
            return None;
        }
        Some(lasts)
    }

    /// The host of a destination: `*` and nothing are refused.
    pub(crate) fn host(&mut self, node: &Node, key: &str) -> String {
        let host = string(node, key).unwrap_or_default();
        self.check_host(&host, node.get(key).map_or(node.span, |node| node.span));
        if host == "*" {
            self.refuse(node.span, "`*` is no host to send to", "name a service");
        }
        host
    }

    /// A host with or without wildcard, in the form that istiod accepts.
    pub(crate) fn check_host(&mut self, host: &str, span: Span) {
        if let Err(why) = wildcard_host(host) {
            let message = format!("`{host}` is no host: {why}");
            let help = "hosts are DNS names, with `*` or `*.` at their beginning at most";
            self.refuse(span, message, help);
        }
    }

    /// `exportTo` as istiod accepts it.
    pub(crate) fn export_to(&mut self, node: &Node, may_be_nobody: bool) -> ExportTo {
        let entries = node.list("exportTo");
        let mut seen: Vec<&str> = Vec::new();
        for entry in entries {
            let text = entry.str().unwrap_or_default();
            let key = if text == "." { &self.namespace } else { text };
            if seen.contains(&key) {
                let message = format!("`exportTo` names `{text}` twice");
                let help = "`.` stands for the object's own namespace";
                self.diagnostics
                    .report(Code::IstioRefuses, entry.span, message)
                    .help(help);
            } else if text == "~" && !may_be_nobody {
                self.diagnostics
                    .report(
                        Code::IstioRefuses,
                        entry.span,
                        "only a ServiceEntry may be exported to nobody (`~`)",
                    )
                    .help("use `.` for its own namespace");
            }
            seen.push(key);
        }
        let alone = |text: &str| entries.iter().any(|entry| entry.str() == Some(text));
        if entries.len() > 1 && (alone("*") || alone("~")) {
            let message = "`*` and `~` exclude every other entry of `exportTo`";
            self.diagnostics
                .report(Code::IstioRefuses, entries[0].span, message)
                .help("leave only one of them");
        }
        if entries.is_empty() {
            ExportTo::Default
        } else {
            let texts = entries.iter().filter_map(Node::str);
            ExportTo::Only(texts.map(Audience::of).collect())
        }
    }

    /// Gateways that a route belongs to.
    pub(crate) fn gateways(&mut self, node: &Node) -> Vec<GatewayName> {
        let mut gateways = Vec::new();
        for entry in node.list("gateways") {
            let text = entry.str().unwrap_or_default();
            if let Some((namespace, name)) = text.split_once('/')
                && (namespace.is_empty() || name.is_empty())
            {
                let message = format!("`{text}` lacks a namespace or a name");
                self.refuse(entry.span, message, "gateways are called `namespace/name`");
            } else if text.contains('.') && !text.contains('/') {
                let message = format!("`{text}` is the old form of a gateway's name");
                self.warn(entry.span, message, "gateways are called `namespace/name`");
            }
            gateways.push(GatewayName::of(text, &self.namespace));
        }
        gateways
    }

    /// A share in percent; all if nothing is said.
    pub(crate) fn share(&mut self, node: Option<&Node>) -> Percent {
        let value = node.and_then(|node| node.get("value"));
        match (node, value.and_then(Node::number)) {
            (None, _) => Percent::ALL,
            // `percentage: {}` is zero, as protobuf has it.
            (Some(_), value) => Percent::new(value.unwrap_or(0.0)).unwrap_or(Percent::ALL),
        }
    }
}

/// What is wrong with a host, if anything.
pub(crate) fn wildcard_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("it is empty");
    }
    if host.len() > 255 {
        return Err("it is longer than 255 characters");
    }
    if host == "*" || host.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    let (first, rest) = host.split_once('.').unwrap_or((host, ""));
    let first_is_fine = match first.strip_prefix('*') {
        Some(after) => !after.starts_with('-') && (after.is_empty() || is_label(after)),
        None => is_label(first),
    };
    let rest_is_fine = rest.is_empty() || rest.trim_end_matches('.').split('.').all(is_label);
    if first.matches('*').count() > 1 || rest.contains('*') {
        Err("a wildcard stands only at its beginning")
    } else if !first_is_fine || !rest_is_fine {
        Err("its parts are letters, digits and dashes, at most 63 each")
    } else {
        Ok(())
    }
}

/// Whether a text is a part of a DNS name.
pub(crate) fn is_label(text: &str) -> bool {
    let fine = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(fine)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// How a document's object is called, and since when it exists.
pub(crate) fn identity(document: &Document) -> Identity {
    let created = document.root.at(&["metadata", "creationTimestamp"]);
    Identity {
        namespace: document.metadata.namespace.clone(),
        name: document.metadata.name.clone(),
        created: created
            .and_then(Node::str)
            .and_then(seconds)
            .map_or(Created::At(Time::ZERO), Created::Before),
    }
}

/// Seconds after 1970 began of a time as Kubernetes writes it: `2026-08-22T15:00:18Z`.
fn seconds(text: &str) -> Option<i64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, mark| {
        let parts: Option<Vec<i64>> = text.split(mark).map(|part| part.parse().ok()).collect();
        parts.and_then(|parts| <[i64; 3]>::try_from(parts).ok())
    };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(clock.split('.').next()?, ':')?;
    // Days of the proleptic Gregorian calendar, with years that begin in March.
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    const UNTIL_1970: i64 = 719_468;
    Some((days - UNTIL_1970) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// The text under a key; empty text counts as nothing, as protobuf has it.
pub(crate) fn string(node: &Node, key: &str) -> Option<String> {
    let text = node.get(key).and_then(Node::str)?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// The texts of a list.
pub(crate) fn strings(node: &Node, key: &str) -> Vec<String> {
    let texts = node.list(key).iter().filter_map(Node::str);
    texts.map(str::to_owned).collect()
}

/// A number that is not negative.
pub(crate) fn count(node: &Node, key: &str) -> Option<u32> {
    let number = node.get(key).and_then(Node::integer)?;
    u32::try_from(number).ok()
}

/// A number that counts only if it is positive: protobuf does not tell zero from nothing.
pub(crate) fn positive(node: &Node, key: &str) -> Option<u32> {
    count(node, key).filter(|number| *number > 0)
}

/// A boolean.
pub(crate) fn flag(node: &Node, key: &str) -> Option<bool> {
    node.get(key).and_then(Node::bool)
}

/// A duration.
pub(crate) fn duration(node: &Node, key: &str) -> Option<Duration> {
    parse_duration(node.get(key)?.text()?).ok()
}

/// A share in percent, as a bare number.
pub(crate) fn percent(node: &Node, key: &str) -> Option<Percent> {
    node.get(key).and_then(Node::number).and_then(Percent::new)
}

/// Labels under a key.
pub(crate) fn labels(node: &Node, key: &str) -> Labels {
    text_map(node.get(key))
}

/// How a text is matched; nothing if nothing is said.
pub(crate) fn string_match(node: Option<&Node>) -> Option<StringMatch> {
    let node = node?;
    let text = |key: &str| node.get(key).and_then(Node::str).map(str::to_owned);
    let exact = text("exact").map(StringMatch::Exact);
    let prefix = || text("prefix").map(StringMatch::Prefix);
    let regex = || text("regex").map(StringMatch::Regex);
    exact.or_else(prefix).or_else(regex)
}

/// How a value is matched: nothing, and the expression `*`, only ask that it is there.
pub(crate) fn value_match(node: &Node) -> ValueMatch {
    match string_match(Some(node)) {
        None => ValueMatch::Present,
        Some(StringMatch::Regex(regex)) if regex == "*" => ValueMatch::Present,
        Some(matched) => ValueMatch::Is(matched),
    }
}

/// What a port carries; an unknown name counts as nothing.
pub(crate) fn protocol(node: &Node, key: &str) -> Option<Protocol> {
    Protocol::of(node.get(key)?.str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_1970() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-03-01T00:00:00Z"), Some(951_868_800));
        assert_eq!(seconds("2026-08-22T20:00:18Z"), Some(1_787_428_818));
        assert_eq!(seconds("2026-08-22T20:00:18.5Z"), Some(1_787_428_818));
        assert_eq!(seconds("yesterday"), None);
    }

    #[test]
    fn hosts_have_wildcards_only_at_their_beginning() {
        for good in [
            "*", "*.com", "reviews", "a.b.c", "10.0.0.1", "*a.com", "a.com.",
        ] {
            assert_eq!(wildcard_host(good), Ok(()), "{good}");
        }
        for bad in ["", "a.*.com", "a_b", "-a.com", "a..b", "**", "a.com/x"] {
            assert!(wildcard_host(bad).is_err(), "{bad}");
        }
    }
}
