//! Tokens of requests: where they stand, which count, and what is left of them.
//!
//! Models: headers behind a prefix, query parameters and cookies in which a rule looks, or where
//! Envoy looks by itself; what stands there and is no good token of the rule's issuer is refused
//! unless another rule takes it, and what no rule finds is as if it were not there. A token that
//! counts is taken out unless it is to be sent on: the whole header, since Envoy 1.31 also the
//! parameter, and never a cookie.
//! Approximated: of characters that are escaped in a parameter nothing is undone.
//! Sources: istio/istio 86c9f01 pilot/pkg/security/authn/policy_applier.go (convertToEnvoyJwtConfig);
//! envoyproxy/envoy 03ec6568 source/extensions/filters/http/jwt_authn/{extractor,verifier}.cc.
//! Validated by: the tests below, and `tests/promises/policies.rs`.

use super::inbound::Filters;
use super::rewrite::Changing;
use crate::istio::authorization::Token;
use crate::istio::config::{TokenIssuer, TokenPlace};
use crate::istio::version::Version;
use crate::scenario::{Presented, TOKEN};

/// The status of a token that does not count.
const UNAUTHORIZED: u16 = 401;
/// The status of one that is for others.
const FORBIDDEN: u16 = 403;
/// Claims whose texts are lists with blanks between.
const LISTS: [&str; 2] = ["permission", "scope"];
/// What a header says that has the whole of a token.
const PAYLOAD: &str = "{payload}";

/// What a token that counts shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What it says.
    pub token: Token,
    /// Headers that say what it says, by names in small letters. Claims of several values have
    /// none, since they are written so that nobody matches on them.
    pub headers: Vec<(String, String)>,
    /// Where it stood that it does not go on from.
    taken_from: Vec<TokenPlace>,
}

impl Filters {
    /// What a request shows by its token; a bad one is refused with a status. Where nobody asks
    /// for tokens nobody looks at them.
    pub fn check(
        &self,
        said: &Changing,
        presented: Option<&Presented>,
    ) -> Result<Option<Shown>, u16> {
        let mut is_found = false;
        let mut status = UNAUTHORIZED;
        for issuer in &self.issuers {
            let places = issuer.places();
            let found = places.filter_map(|place| find(&place, said).map(|text| (place, text)));
            let found: Vec<_> = found.collect();
            is_found |= !found.is_empty();
            let is_whole = !found.is_empty() && found.iter().all(|(_, text)| *text == TOKEN);
            let Some(token) = presented.filter(|it| is_whole && counts(it, issuer)) else {
                continue;
            };
            let mut audiences = token.token.audiences.iter();
            let is_for = |it: &String| issuer.audiences.contains(it);
            // Of several that say something of the issuer one is enough.
            if issuer.audiences.is_empty() || audiences.any(is_for) {
                let found = found.into_iter().map(|(place, _)| place);
                return Ok(Some(Shown::by(&token.token, issuer, found.collect())));
            }
            status = FORBIDDEN;
        }
        match is_found {
            true => Err(status),
            false => Ok(None),
        }
    }

    /// Headers that say what tokens say, and that nobody else may send.
    pub fn claim_headers(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().flat_map(|it| {
            let claims = it.claim_headers.iter().map(|(header, _)| header.as_str());
            claims.chain(it.payload_header.as_deref())
        })
    }
}

/// Whether a token is a good one of an issuer whose keys are known.
fn counts(presented: &Presented, issuer: &TokenIssuer) -> bool {
    let is_its = issuer.issuer.is_empty() || issuer.issuer == presented.token.issuer;
    presented.is_valid && is_its && !issuer.lacks_keys
}

/// What stands at a place, if anything.
fn find<'a>(place: &TokenPlace, said: &'a Changing) -> Option<&'a str> {
    match place {
        TokenPlace::Header { name, prefix } => {
            let value = said.headers.get(name)?.as_str();
            if prefix.is_empty() {
                return Some(value);
            }
            let (_, rest) = value.split_once(prefix.as_str())?;
            // Envoy passes over what no token begins with; where nothing is left it takes it all.
            let begins = |it: char| it.is_ascii_alphanumeric() || "-_.{".contains(it);
            Some(rest.find(begins).map_or(value, |start| &rest[start..]))
        }
        TokenPlace::Parameter(name) => {
            let (_, query) = said.path.split_once('?')?;
            let mut pairs = query.split('&').map(pair);
            pairs.find(|(key, _)| key == name).map(|(_, value)| value)
        }
        TokenPlace::Cookie(name) => {
            let cookies = said.headers.get("cookie")?;
            let mut pairs = cookies.split(';').map(|it| pair(it.trim_start()));
            let (_, value) = pairs.find(|(key, _)| key == name)?;
            let inner = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
            Some(inner.unwrap_or(value))
        }
    }
}

fn pair(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or((text, ""))
}

impl Shown {
    fn by(token: &Token, issuer: &TokenIssuer, found: Vec<TokenPlace>) -> Self {
        let claims = issuer.claim_headers.iter().filter_map(|(header, claim)| {
            match token.values(&claim.replace('.', "][")) {
                [value] => Some((header.to_lowercase(), value.clone())),
                _ => None,
            }
        });
        let payload = issuer.payload_header.as_ref();
        let payload = payload.map(|header| (header.to_lowercase(), PAYLOAD.to_owned()));
        let headers = claims.chain(payload).collect();
        let mut token = token.clone();
        let lists = LISTS
            .into_iter()
            .chain(issuer.lists.iter().map(String::as_str));
        for list in lists {
            if let Some(values) = token.claims.get_mut(list) {
                let apart = values.iter().flat_map(|it| it.split_whitespace());
                *values = apart.map(str::to_owned).collect();
            }
        }
        Shown {
            token,
            headers,
            taken_from: match issuer.forwards_token {
                true => Vec::new(),
                false => found,
            },
        }
    }

    /// Takes the token out of a request, unless it goes on.
    pub fn take_out(&self, said: &mut Changing, version: Version) {
        for place in &self.taken_from {
            match place {
                TokenPlace::Header { name, .. } => drop(said.headers.remove(name)),
                TokenPlace::Parameter(name) if version.takes_tokens_out_of_queries() => {
                    let Some((path, query)) = said.path.split_once('?') else {
                        continue;
                    };
                    let others = query.split('&').filter(|it| pair(it).0 != name);
                    let others = others.collect::<Vec<_>>().join("&");
                    said.path = match others.as_str() {
                        "" => path.to_owned(),
                        others => format!("{path}?{others}"),
                    };
                }
                TokenPlace::Parameter(_) | TokenPlace::Cookie(_) => {}
            }
        }
    }
}

impl Changing {
    /// Whether a token stands somewhere in it.
    pub fn has_token(&self) -> bool {
        let mut values = self.headers.values();
        self.path.contains(TOKEN) || values.any(|value| value.contains(TOKEN))
    }

    /// Puts a token that stands nowhere where tokens usually stand.
    pub fn place_token(&mut self) {
        if !self.has_token() {
            let value = format!("Bearer {TOKEN}");
            self.headers.insert("authorization".to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, prefix: &str) -> TokenPlace {
        TokenPlace::Header {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    fn parameter(name: &str) -> TokenPlace {
        TokenPlace::Parameter(name.to_owned())
    }

    fn cookie(name: &str) -> TokenPlace {
        TokenPlace::Cookie(name.to_owned())
    }

    fn issuer(name: &str, places: Vec<TokenPlace>) -> TokenIssuer {
        TokenIssuer {
            issuer: name.to_owned(),
            audiences: Vec::new(),
            keys_uri: None,
            places,
            forwards_token: false,
            claim_headers: Vec::new(),
            payload_header: None,
            lists: Vec::new(),
            timeout: None,
            lacks_keys: false,
        }
    }

    fn said(path: &str, headers: &[(&str, &str)]) -> Changing {
        let headers = headers.iter();
        Changing {
            authority: "shop".to_owned(),
            path: path.to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        }
    }

    fn presented(issuer: &str) -> Presented {
        Presented {
            token: Token {
                issuer: issuer.to_owned(),
                ..Token::default()
            },
            is_valid: true,
        }
    }

    /// What becomes of a request with a token of `a` that stands where it says.
    fn fate(issuers: &[TokenIssuer], said: &Changing) -> Result<bool, u16> {
        let filters = Filters::with_issuers(issuers.to_vec());
        let shown = filters.check(said, Some(&presented("a")));
        shown.map(|shown| shown.is_some())
    }

    #[test]
    fn a_rule_looks_where_it_is_told_or_where_envoy_does() {
        let usual = [issuer("a", Vec::new())];
        let cases = [
            (said("/", &[("authorization", "Bearer {token}")]), Ok(true)),
            (
                said("/", &[("authorization", "Bearer   {token}")]),
                Ok(true),
            ),
            (
                said("/", &[("authorization", "Custom Bearer {token}")]),
                Ok(true),
            ),
            (said("/", &[("authorization", "Basic xyz")]), Ok(false)),
            (said("/", &[("authorization", "Bearer xyz")]), Err(401)),
            (
                said("/", &[("authorization", "Bearer {token} x")]),
                Err(401),
            ),
            (said("/?access_token={token}", &[]), Ok(true)),
            (said("/?q=1&access_token={token}", &[]), Ok(true)),
            (said("/?access_token=", &[]), Err(401)),
            (said("/?token={token}", &[]), Ok(false)),
            (said("/", &[("x-token", "{token}")]), Ok(false)),
            (said("/", &[("cookie", "access_token={token}")]), Ok(false)),
        ];
        for (said, expected) in &cases {
            assert_eq!(fate(&usual, said), *expected, "{said:?}");
        }
        let told = [issuer(
            "a",
            vec![header("x-token", ""), parameter("t"), cookie("session")],
        )];
        let cases = [
            (said("/", &[("x-token", "{token}")]), Ok(true)),
            (said("/", &[("x-token", "Bearer {token}")]), Err(401)),
            (said("/?t={token}", &[]), Ok(true)),
            (said("/", &[("cookie", "a=b; session={token}")]), Ok(true)),
            (said("/", &[("cookie", "session=\"{token}\"")]), Ok(true)),
            (said("/", &[("cookie", "session=b")]), Err(401)),
            // Whoever is told looks nowhere else.
            (said("/", &[("authorization", "Bearer {token}")]), Ok(false)),
            (said("/?access_token={token}", &[]), Ok(false)),
            // Whatever is found has to be good.
            (said("/?t=x", &[("x-token", "{token}")]), Err(401)),
        ];
        for (said, expected) in &cases {
            assert_eq!(fate(&told, said), *expected, "{said:?}");
        }
    }

    #[test]
    fn one_rule_that_takes_it_is_enough_and_one_that_finds_it_is_too_much() {
        let [ours, theirs] = ["a", "b"].map(|name| issuer(name, vec![header("x-token", "")]));
        let elsewhere = issuer("b", vec![header("y-token", "")]);
        let here = said("/", &[("x-token", "{token}")]);
        assert_eq!(fate(&[theirs.clone(), ours.clone()], &here), Ok(true));
        assert_eq!(fate(std::slice::from_ref(&theirs), &here), Err(401));
        assert_eq!(fate(std::slice::from_ref(&elsewhere), &here), Ok(false));
        assert_eq!(fate(&[elsewhere, theirs], &here), Err(401));
        let anybodys = TokenIssuer {
            issuer: String::new(),
            ..ours.clone()
        };
        assert_eq!(fate(&[anybodys], &here), Ok(true));
        let for_others = TokenIssuer {
            audiences: vec!["bank".to_owned()],
            ..ours
        };
        assert_eq!(fate(&[for_others], &here), Err(403));
        assert_eq!(fate(&[], &here), Ok(false));
    }

    #[test]
    fn what_counts_is_taken_out_unless_it_goes_on() {
        let places = vec![header("x-token", ""), parameter("t"), cookie("session")];
        let rule = TokenIssuer {
            payload_header: Some("X-Payload".to_owned()),
            ..issuer("a", places)
        };
        let before = said(
            "/?t={token}&q=1",
            &[("x-token", "{token}"), ("cookie", "session={token}")],
        );
        let left = |rule: &TokenIssuer, minor| {
            let filters = Filters::with_issuers(vec![rule.clone()]);
            let shown = filters.check(&before, Some(&presented("a")));
            let shown = shown.expect("a good token").expect("a token");
            assert_eq!(shown.headers.len(), 1);
            assert_eq!(shown.headers[0].0, "x-payload");
            let mut after = before.clone();
            shown.take_out(&mut after, Version::new(minor));
            after
        };
        let cookie = [("cookie", "session={token}")];
        assert_eq!(left(&rule, 23), said("/?q=1", &cookie));
        assert_eq!(left(&rule, 22), said("/?t={token}&q=1", &cookie));
        assert!(left(&rule, 23).has_token());
        let forwards = TokenIssuer {
            forwards_token: true,
            ..rule
        };
        assert_eq!(left(&forwards, 23), before);
    }

    #[test]
    fn a_token_that_stands_nowhere_is_a_bearer() {
        let mut bare = said("/", &[("x-team", "red")]);
        bare.place_token();
        assert_eq!(bare.headers["authorization"], "Bearer {token}");
        let mut placed = said("/?access_token={token}", &[]);
        placed.place_token();
        assert_eq!(placed.headers.len(), 0);
    }
}
