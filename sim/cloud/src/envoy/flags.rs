//! Response flags: what Envoy writes into its access log about a request that went wrong.
//!
//! Models: the letters, and their order, which is that in which they were set.
//! Leaves out: flags of what is not modelled: health-check filter, HTTP/3, name resolution. Of those
//! listed nothing here sets UR, UPE and DPE (applications neither reset streams nor break protocols),
//! LR, OM and DO (Istio configures neither of what they come from), and UMSDR.
//! Sources: envoyproxy/envoy envoy/stream_info/stream_info.h and
//! docs/root/configuration/advanced/substitution_formatter.rst.
//! Validated by: the test below and the flags of recorded requests.

use std::fmt;

/// One thing that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// UH: no healthy upstream host.
    NoHealthyUpstream,
    /// UF: the upstream connection failed.
    ConnectFailure,
    /// UO: a limit overflowed: of requests, of pending ones, or of retries.
    Overflow,
    /// UC: the upstream closed the connection.
    ConnectionTermination,
    /// UR: the upstream reset the stream.
    RemoteReset,
    /// LR: the stream was reset by the proxy.
    LocalReset,
    /// UT: the route's or the attempt's time was up.
    RequestTimeout,
    /// NR: no route.
    NoRoute,
    /// NC: no such cluster.
    NoCluster,
    /// URX: the retries are used up.
    RetryLimitExceeded,
    /// DC: the caller went away.
    DownstreamTermination,
    /// DI: a fault delayed the request.
    DelayInjected,
    /// FI: a fault aborted it.
    FaultInjected,
    /// RL: a rate limit refused it.
    RateLimited,
    /// UAEX: it was not authorized.
    Unauthorized,
    /// SI: the stream was idle for too long.
    StreamIdle,
    /// DT: the request took too long altogether.
    DurationTimeout,
    /// UMSDR: the upstream's greatest stream duration was reached.
    MaxDuration,
    /// DPE: the caller broke the protocol.
    DownstreamProtocol,
    /// UPE: the upstream broke the protocol.
    UpstreamProtocol,
    /// OM: the proxy is overloaded.
    OverloadManager,
    /// DO: the upstream asked to drop load.
    DropOverload,
    /// RLSE: the rate limit service did not answer.
    RateLimitService,
    /// DR: the caller reset the stream.
    DownstreamReset,
}

impl Flag {
    /// Every flag.
    pub const ALL: [Flag; 24] = [
        Flag::NoHealthyUpstream,
        Flag::ConnectFailure,
        Flag::Overflow,
        Flag::ConnectionTermination,
        Flag::RemoteReset,
        Flag::LocalReset,
        Flag::RequestTimeout,
        Flag::NoRoute,
        Flag::NoCluster,
        Flag::RetryLimitExceeded,
        Flag::DownstreamTermination,
        Flag::DelayInjected,
        Flag::FaultInjected,
        Flag::RateLimited,
        Flag::Unauthorized,
        Flag::StreamIdle,
        Flag::DurationTimeout,
        Flag::MaxDuration,
        Flag::DownstreamProtocol,
        Flag::UpstreamProtocol,
        Flag::OverloadManager,
        Flag::DropOverload,
        Flag::RateLimitService,
        Flag::DownstreamReset,
    ];

    /// The flag with these letters.
    pub fn of(letters: &str) -> Option<Flag> {
        Flag::ALL.into_iter().find(|flag| flag.letters() == letters)
    }

    /// What it means, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Flag::NoHealthyUpstream => "no healthy upstream",
            Flag::ConnectFailure => "connection failed",
            Flag::Overflow => "a limit overflowed",
            Flag::ConnectionTermination => "upstream closed the connection",
            Flag::RemoteReset => "upstream reset the stream",
            Flag::LocalReset => "proxy reset the stream",
            Flag::RequestTimeout => "time was up",
            Flag::NoRoute => "no route",
            Flag::NoCluster => "no such cluster",
            Flag::RetryLimitExceeded => "retries used up",
            Flag::DownstreamTermination => "caller went away",
            Flag::DelayInjected => "delayed on purpose",
            Flag::FaultInjected => "failed on purpose",
            Flag::RateLimited => "rate limited",
            Flag::Unauthorized => "refused by the authorization service",
            Flag::StreamIdle => "stream idle for too long",
            Flag::DurationTimeout => "took too long altogether",
            Flag::MaxDuration => "upstream's longest duration reached",
            Flag::DownstreamProtocol => "caller broke the protocol",
            Flag::UpstreamProtocol => "upstream broke the protocol",
            Flag::OverloadManager => "proxy overloaded",
            Flag::DropOverload => "load dropped for the upstream",
            Flag::RateLimitService => "the rate limit service failed",
            Flag::DownstreamReset => "caller reset the stream",
        }
    }

    /// Envoy's letters.
    pub fn letters(self) -> &'static str {
        match self {
            Flag::NoHealthyUpstream => "UH",
            Flag::ConnectFailure => "UF",
            Flag::Overflow => "UO",
            Flag::ConnectionTermination => "UC",
            Flag::RemoteReset => "UR",
            Flag::LocalReset => "LR",
            Flag::RequestTimeout => "UT",
            Flag::NoRoute => "NR",
            Flag::NoCluster => "NC",
            Flag::RetryLimitExceeded => "URX",
            Flag::DownstreamTermination => "DC",
            Flag::DelayInjected => "DI",
            Flag::FaultInjected => "FI",
            Flag::RateLimited => "RL",
            Flag::Unauthorized => "UAEX",
            Flag::StreamIdle => "SI",
            Flag::DurationTimeout => "DT",
            Flag::MaxDuration => "UMSDR",
            Flag::DownstreamProtocol => "DPE",
            Flag::UpstreamProtocol => "UPE",
            Flag::OverloadManager => "OM",
            Flag::DropOverload => "DO",
            Flag::RateLimitService => "RLSE",
            Flag::DownstreamReset => "DR",
        }
    }
}

/// How many flags one request may carry.
const FLAGS_MAX: usize = 6;

/// The flags of a request, in the order in which they were set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flags {
    set: [Option<Flag>; FLAGS_MAX],
}

impl Flags {
    /// Sets a flag, unless it is set.
    ///
    /// # Panics
    /// If a request goes wrong in more than six ways.
    pub fn set(&mut self, flag: Flag) {
        for place in &mut self.set {
            match place {
                Some(known) if *known == flag => return,
                Some(_) => {}
                None => {
                    *place = Some(flag);
                    return;
                }
            }
        }
        panic!("a request goes wrong in at most {FLAGS_MAX} ways");
    }

    /// Those that are set, in order.
    pub fn iter(&self) -> impl Iterator<Item = Flag> {
        self.set.into_iter().flatten()
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: Flag) -> bool {
        self.set.contains(&Some(flag))
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = self.set.iter().flatten();
        match set.next() {
            None => formatter.write_str("-"),
            Some(first) => {
                formatter.write_str(first.letters())?;
                set.try_for_each(|flag| write!(formatter, ",{}", flag.letters()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_written_in_the_order_in_which_they_were_set() {
        let mut flags = Flags::default();
        assert_eq!(flags.to_string(), "-");
        flags.set(Flag::RetryLimitExceeded);
        flags.set(Flag::ConnectFailure);
        flags.set(Flag::RetryLimitExceeded);
        assert_eq!(flags.to_string(), "URX,UF");
        assert!(flags.has(Flag::ConnectFailure) && !flags.has(Flag::Overflow));
    }
}
