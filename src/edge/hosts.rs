//! The hosts that requests to a loopback address may name.
//!
//! A page in a browser can have its own name resolve to the loopback address (DNS rebinding), and
//! is then of the same origin as the emulator, whose built-in token everybody knows. Its requests
//! still say for whom they are, so names that are not the emulator's are refused. An address is
//! never such a page's name; and what listens beyond the machine is reached by names that only its
//! network knows.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Request, Version};

use crate::error::{Error, Fault, Result};
use crate::excerpt::excerpt;
use crate::region::Region;

/// How many characters of a host are repeated.
const MAX_SHOWN: usize = 256;

/// The names by which an instance is known, besides addresses and `localhost`.
#[derive(Debug, Default)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// The names of all registries and of the services that clients look for in these regions, and
    /// those that somebody named.
    pub fn new<'a>(regions: impl IntoIterator<Item = &'a Region>, named: &[String]) -> Self {
        let mut names = vec!["iam.myhuaweicloud.com".to_owned()];
        for Region {
            name,
            registry_names,
            ..
        } in regions
        {
            names.extend(registry_names.iter().cloned());
            let services = ["swr-api", "swr", "iam", "cce"];
            names.extend(services.map(|service| format!("{service}.{name}.myhuaweicloud.com")));
        }
        names.extend_from_slice(named);
        let names = names.iter().filter_map(|name| match Host::parse(name) {
            Some(Host::Name(name)) => Some(name.to_owned()),
            Some(Host::Address) | None => None,
        });
        Self(names.collect())
    }

    /// Whether `HOST` or `HOST:PORT` stands for the instance.
    pub fn allow(&self, authority: &str) -> bool {
        match Host::parse(authority) {
            None => false,
            Some(Host::Address) => true,
            Some(Host::Name(name)) => {
                is_localhost(name) || self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
            }
        }
    }
}

/// What an authority names, without its port.
#[derive(Debug, PartialEq, Eq)]
enum Host<'a> {
    /// An address of IPv4, or in brackets one of IPv6.
    Address,
    /// A name, without the dot that may end it.
    Name(&'a str),
}

impl<'a> Host<'a> {
    fn parse(authority: &'a str) -> Option<Self> {
        if let Some(address) = authority.strip_prefix('[') {
            let (address, port) = address.split_once(']')?;
            let is_right = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            let is_address = address.parse::<Ipv6Addr>().is_ok();
            return (is_right && is_address).then_some(Self::Address);
        }
        let host = match authority.split_once(':') {
            None => authority,
            Some((host, port)) if is_port(port) => host,
            Some(_) => return None,
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        Some(if host.parse::<Ipv4Addr>().is_ok() {
            Self::Address
        } else {
            Self::Name(host)
        })
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_localhost(name: &str) -> bool {
    const LOCALHOST: &str = "localhost";
    let start = name.len().checked_sub(LOCALHOST.len());
    let Some((before, end)) = start.and_then(|start| name.split_at_checked(start)) else {
        return false;
    };
    end.eq_ignore_ascii_case(LOCALHOST) && (before.is_empty() || before.ends_with('.'))
}

/// Checks for whom a request is: that it says so once (RFC 9112, 3.2), and where names are
/// `allowed` ones only, that it is one of them.
pub(super) fn check<B>(request: &Request<B>, allowed: Option<&AllowedHosts>) -> Result<()> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let is_missing = host.is_none() && request.version() == Version::HTTP_11;
    if is_missing || another.is_some() {
        return Err(Error::fault(
            Fault::Host,
            "Host",
            "must be sent exactly once",
        ));
    }
    let Some(allowed) = allowed else {
        return Ok(());
    };
    let host = host.map(|host| host.to_str().unwrap_or_default());
    // Of a request in absolute form, such as one to a proxy.
    let authority = request.uri().authority().map(Authority::as_str);
    let authority = authority.map(|text| text.rsplit_once('@').map_or(text, |(_, host)| host));
    let stranger = [host, authority]
        .into_iter()
        .flatten()
        .find(|host| !allowed.allow(host));
    match stranger {
        None => Ok(()),
        Some(host) => Err(Error::Misdirected(excerpt(host, MAX_SHOWN).into_owned())),
    }
}

/// Checks that a page which asks for a change is the emulator's own: a browser says whose it is.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<()> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = origin.split_once("://").map(|(_, authority)| authority);
    if own.is_some() && own == host {
        return Ok(());
    }
    Err(Error::ForeignOrigin(
        excerpt(origin, MAX_SHOWN).into_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_the_names_of_the_instance_are_allowed() {
        let address = "127.0.0.1:7970".parse().expect("an address");
        let regions = [
            Region::new("r1", &["Registry.test:5000".to_owned()], address),
            Region::new("r2", &[], "[::1]:7971".parse().expect("an address")),
        ];
        let named = ["named.test".to_owned(), "Other.Test.".to_owned()];
        let allowed = AllowedHosts::new(&regions, &named);
        let check =
            |host: &str, expected: bool| assert_eq!(allowed.allow(host), expected, "{host}");
        for host in [
            "127.0.0.1",
            "127.0.0.1:7970",
            "10.1.2.3:1",
            "127.0.0.1.",
            "[::1]",
            "[::1]:7970",
            "[2001:db8::1]:1",
            "localhost",
            "LocalHost:7970",
            "localhost.",
            "localhost.:7970",
            "swr.localhost:7970",
            "a.b.localhost",
            "registry.test",
            "registry.test:7970",
            "REGISTRY.TEST.:1",
            "swr.r1.myhuaweicloud.com",
            "swr-api.r1.myhuaweicloud.com",
            "swr-api.r2.myhuaweicloud.com:443",
            "iam.r2.myhuaweicloud.com",
            "cce.r1.myhuaweicloud.com",
            "IAM.myhuaweicloud.com",
            "named.test",
            "named.test:80",
            "other.test",
            "localhost:",
        ] {
            check(host, true);
        }
        for host in [
            "",
            ":7970",
            "evil.example",
            "evil.example:7970",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "127.0.0.1:7970:1",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[127.0.0.1]",
            "localhost:x",
            "x.registry.test",
            "swr.r3.myhuaweicloud.com",
            "obs.r1.myhuaweicloud.com",
            "localhost..",
            "ölocalhost",
            "é",
        ] {
            check(host, false);
        }
    }

    #[test]
    fn a_request_says_once_for_whom_it_is() {
        let allowed = AllowedHosts::default();
        let check = |version: Version, uri: &str, hosts: &[&str], expected: Result<(), u16>| {
            let mut request = Request::builder().version(version).uri(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let request = request.body(()).expect("legal");
            let found = super::check(&request, Some(&allowed));
            let found = found.map_err(|error| error.status().as_u16());
            assert_eq!(found, expected, "{uri} {hosts:?}");
        };
        let (http10, http11) = (Version::HTTP_10, Version::HTTP_11);
        check(http11, "/", &["localhost"], Ok(()));
        check(http11, "/", &[], Err(400));
        check(http11, "/", &["localhost", "localhost"], Err(400));
        check(http10, "/", &[], Ok(()));
        check(http10, "/", &["localhost", "localhost"], Err(400));
        check(http10, "/", &["evil.example"], Err(421));
        check(http11, "/", &["evil.example"], Err(421));
        check(http11, "/", &[""], Err(421));
        check(http11, "http://localhost/", &["localhost"], Ok(()));
        check(http11, "http://evil.example/", &["localhost"], Err(421));
        check(http11, "http://localhost/", &["evil.example"], Err(421));
        check(
            http11,
            "http://localhost@evil.example/",
            &["localhost"],
            Err(421),
        );
        check(http10, "http://evil.example:80/", &[], Err(421));
    }
}
