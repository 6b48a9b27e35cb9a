//! What callers and users have in common: how long they wait, whether they try again, and how
//! they use connections.

use super::forms::{self, SHARE, SIZE};
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::shape::{Field, Format, Kind, Shape, TEXT_LIST, TEXT_MAP};
use crate::tree::Node;
use crate::value::{DURATION, parse_duration};
use cloud::facts;
use cloud::istio::authorization::Token;
use cloud::scenario::{Presented, Protocol, Retry, Socket, TOKEN as TOKEN_MARK, Transport};
use engine::Duration;
use serde_json::json;

/// How long somebody waits.
static PATIENCE: Format = Format {
    name: "a positive duration or `none`",
    examples: "`2s`, `none`",
    pattern: r"^(none|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+)$",
    check: |text| parse_patience(text).map(drop),
};

static RETRY: Shape = Shape::new(
    "Retries",
    &[
        Field::modelled("attempts", Kind::Integer(0, 100))
            .required()
            .doc("Attempts beyond the first."),
        Field::modelled("backoff", Kind::Format(&DURATION))
            .doc("Pause before the first retry; doubles with each further one.")
            .default(|| json!(forms::show_duration(facts::HTTP_RETRY_BACKOFF.value))),
        Field::modelled("maxBackoff", Kind::Format(&DURATION))
            .doc("Greatest pause.")
            .default(|| json!(forms::show_duration(facts::HTTP_RETRY_BACKOFF_MAX.value))),
        Field::modelled("budget", Kind::Format(&SHARE))
            .doc("Retries as a share of requests that a client allows itself; without, no bound."),
    ],
)
.doc("What a client does about failures.");

const RETRIES_KIND: Kind = Kind::Either(&[Kind::Integer(0, 100), Kind::Map(&RETRY)]);

pub(super) const TIMEOUT: Field = Field::modelled("timeout", Kind::Format(&PATIENCE))
    .doc("How long one attempt may take; `none` waits for ever, as all do when `network: ideal`.")
    .default(|| json!(forms::show_duration(facts::HTTP_CLIENT_TIMEOUT.value)));
pub(super) const RETRIES: Field = Field::modelled("retries", RETRIES_KIND)
    .doc("How often a failed attempt is repeated, or that and the pauses between.")
    .default(|| json!(0));
pub(super) const PROTOCOL: Field =
    Field::modelled("protocol", Kind::OneOf(&["http1", "http1-close", "http2", "udp", "udp-close"]))
        .doc("How connections are used: kept, one per request, or one for all requests; or datagrams of UDP, from one socket for all requests of a client, or from a new one for each attempt.")
        .default(|| json!("http1"));
pub(super) const IDLE_TIMEOUT: Field = Field::modelled("idleTimeout", Kind::Format(&DURATION))
    .doc("How long a client keeps an idle connection under `http1`.")
    .default(|| json!(forms::show_duration(facts::HTTP_IDLE_TIMEOUT.value)));
pub(super) const REQUEST_SIZE: Field = Field::modelled("requestSize", Kind::Format(&SIZE))
    .doc("Size of a request.")
    .default(|| json!(facts::HTTP_REQUEST_BYTES.value));

pub(super) const METHOD: Field = Field::modelled("method", Kind::Text)
    .doc("Method, for routes that match on it.")
    .default(|| json!("GET"));
pub(super) const HEADERS: Field = Field::modelled("headers", TEXT_MAP).doc(
    "Headers, for routes that match on them and balancers that hash them; in values `{client}` stands for the number of the client.",
);

pub(super) const TOKEN: Field = Field::modelled("token", Kind::Map(&TOKEN_SHAPE))
    .doc("Its token, for RequestAuthentications. It stands where headers or the path say `{token}`, as in `x-token: \"{token}\"`, `cookie: \"session={token}\"` or `?access_token={token}`, and else in `authorization` behind `Bearer`; calls hand on that of the request they work on if `forwardHeaders` names a header in which it stands.");

static TOKEN_SHAPE: Shape = Shape::new(
    "Token",
    &[
        Field::modelled("issuer", Kind::Text)
            .required()
            .doc("Who issued it."),
        Field::modelled("subject", Kind::Text).doc("Whom it is about."),
        Field::modelled("audiences", TEXT_LIST).doc("Whom it is for."),
        Field::modelled("presenter", Kind::Text).doc("Who presents it (`azp`)."),
        Field::modelled("claims", Kind::Keyed(&CLAIM)).doc("Other claims, each a text or some."),
        Field::modelled("valid", Kind::Bool)
            .doc("Whether its signature fits and its time is not over.")
            .default(|| json!(true)),
    ],
)
.doc("A token (JWT) that requests carry.");
static CLAIM: Kind = Kind::Either(&[Kind::Text, TEXT_LIST]);

/// The token of a request, whose path is this.
pub(super) fn token(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Presented> {
    let said = node.get("token");
    let headers = node.get("headers").map_or(&[][..], Node::entries).iter();
    let headers = headers.filter_map(|entry| Some((entry, entry.value.str()?)));
    let has_it = |text: &str| text.contains(TOKEN_MARK);
    let mut standing = headers.clone().filter(|(_, value)| has_it(value));
    let standing = standing.next().map(|(entry, _)| entry.value.span);
    let stands = standing.or_else(|| has_it(path).then_some(node.span));
    let mut usual = headers.filter(|(entry, _)| entry.key.eq_ignore_ascii_case("authorization"));
    match (said, stands) {
        (None, Some(span)) => {
            let message = format!("`{TOKEN_MARK}` stands for the token of a request without one");
            let found = reader.diagnostics.report(Code::MissingField, span, message);
            found.help("describe it: `token: {issuer: …}`");
        }
        (Some(_), None) => {
            if let Some((entry, _)) = usual.next() {
                let message = "the token stands in `authorization` in place of this";
                let found =
                    reader
                        .diagnostics
                        .report(Code::UnsupportedValue, entry.value.span, message);
                found.help(format!(
                    "write `Bearer {TOKEN_MARK}`, or `{TOKEN_MARK}` where else it stands"
                ));
            }
        }
        _ => {}
    }
    let node = said?;
    let text = |key: &str| forms::text(node, key).unwrap_or_default().to_owned();
    let texts = |node: &Node| -> Vec<String> {
        let items = node.items().iter().filter_map(Node::str);
        node.str()
            .into_iter()
            .chain(items)
            .map(str::to_owned)
            .collect()
    };
    let claims = node.get("claims").map_or(&[][..], Node::entries).iter();
    Some(Presented {
        token: Token {
            issuer: text("issuer"),
            subject: text("subject"),
            audiences: node.get("audiences").map(texts).unwrap_or_default(),
            presenter: text("presenter"),
            claims: claims
                .map(|entry| (entry.key.clone(), texts(&entry.value)))
                .collect(),
        },
        is_valid: node.get("valid").and_then(Node::bool).unwrap_or(true),
    })
}

/// The method of a request.
pub(super) fn method(node: &Node) -> String {
    forms::text(node, "method").unwrap_or("GET").to_uppercase()
}

/// The headers of a request, by names in lower case.
pub(super) fn headers(node: &Node) -> Vec<(String, String)> {
    let headers = node.get("headers").map_or(&[][..], Node::entries);
    let mut headers: Vec<_> = headers
        .iter()
        .filter_map(|entry| Some((entry.key.to_lowercase(), entry.value.str()?.to_owned())))
        .collect();
    headers.sort();
    headers
}

/// `None` is `none`.
fn parse_patience(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    match parse_duration(text)? {
        Duration::ZERO => Err("nothing can be answered in no time".to_owned()),
        duration => Ok(Some(duration)),
    }
}

/// How a client waits, repeats and connects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) timeout: Option<Duration>,
    pub(super) retry: Retry,
    pub(super) protocol: Protocol,
    pub(super) request_bytes: u64,
}

impl Client {
    /// Reads the fields of a call or of a traffic source.
    pub(super) fn read(node: &Node, ideal: bool, reader: &mut Reader<'_>) -> Client {
        let timeout = match forms::read(node.get("timeout"), parse_patience) {
            Some(timeout) => timeout,
            None if ideal => None,
            None => Some(reader.fact(&facts::HTTP_CLIENT_TIMEOUT)),
        };
        let protocol = protocol(node, ideal, reader);
        let is_udp = protocol.transport() == Transport::Udp;
        if let (true, false, None, Some(said)) = (is_udp, ideal, timeout, node.get("timeout")) {
            let message =
                "nobody sends a lost datagram again, and `timeout: none` waits for it for ever";
            reader
                .diagnostics
                .report(Code::Conflict, said.span, message)
                .help("say how long one attempt may take, as `timeout: 2s`");
        }
        Client {
            timeout,
            retry: retry(node, reader),
            protocol,
            request_bytes: forms::read(node.get("requestSize"), forms::parse_size)
                .unwrap_or_else(|| reader.fact(&facts::HTTP_REQUEST_BYTES)),
        }
    }
}

fn retry(node: &Node, reader: &mut Reader<'_>) -> Retry {
    let Some(retries) = node.get("retries") else {
        return Retry::NEVER;
    };
    let beyond_first = retries
        .integer()
        .and_then(|attempts| u32::try_from(attempts).ok())
        .or_else(|| forms::count(retries, "attempts"));
    match beyond_first {
        None | Some(0) => Retry::NEVER,
        Some(attempts) => {
            let backoff = forms::duration(retries, "backoff")
                .unwrap_or_else(|| reader.fact(&facts::HTTP_RETRY_BACKOFF));
            Retry {
                attempts_max: attempts + 1,
                backoff,
                backoff_max: forms::duration(retries, "maxBackoff")
                    .unwrap_or_else(|| reader.fact(&facts::HTTP_RETRY_BACKOFF_MAX))
                    .max(backoff),
                budget: forms::read(retries.get("budget"), forms::parse_share),
            }
        }
    }
}

fn protocol(node: &Node, ideal: bool, reader: &mut Reader<'_>) -> Protocol {
    match forms::text(node, "protocol") {
        Some("http1-close") => Protocol::Http1Close,
        Some("http2") => Protocol::Http2,
        Some("udp") => {
            // What kernels remember of the socket; without a network there are none.
            let remembered = [
                &facts::UDP_LONE_TIMEOUT,
                &facts::UDP_STREAM_TIMEOUT,
                &facts::UDP_STREAM_AGE,
                &facts::UDP_IPVS_TIMEOUT,
            ];
            for fact in remembered.into_iter().filter(|_| !ideal) {
                reader.fact(fact);
            }
            Protocol::Udp(Socket::Kept)
        }
        Some("udp-close") => Protocol::Udp(Socket::PerAttempt),
        // Without connections there is nothing to keep, and no fact to lean on.
        _ if ideal => Protocol::Http1Close,
        _ => Protocol::Http1 {
            idle_timeout: forms::duration(node, "idleTimeout")
                .unwrap_or_else(|| reader.fact(&facts::HTTP_IDLE_TIMEOUT)),
        },
    }
}
