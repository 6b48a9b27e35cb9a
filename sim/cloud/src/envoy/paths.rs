//! Paths of requests, as a proxy makes them plain before anything looks at them.
//!
//! Models: `normalize_path`, `merge_slashes` and `path_with_escaped_slashes_action:
//! UNESCAPE_AND_FORWARD`, in this order the last first: letters that need no escape are unescaped,
//! `\` is `/`, and `.` and `..` are taken out; the query stays as it is, and a fragment never goes
//! on. Leaves out: paths with `%00`, which are refused.
//! Sources: envoyproxy/envoy source/common/http/path_utility.cc and its googleurl; istio/istio
//! 86c9f01 tests/integration/security/normalization_test.go.
//! Validated by: the table of that test, below.

/// What is done to paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathRules {
    /// Escapes that are not needed, `\`, `.` and `..`.
    pub normalizes: bool,
    /// Of strokes that follow one another one stays.
    pub merges_slashes: bool,
    /// `%2F` and `%5C` count as what they stand for.
    pub unescapes_slashes: bool,
}

impl PathRules {
    /// What a path with its query becomes.
    pub fn apply(self, path: &str) -> String {
        let path = path.split('#').next().unwrap_or_default();
        let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        let mut path = path.to_owned();
        if self.unescapes_slashes {
            path = unescaped(&path, |letter| matches!(letter, '/' | '\\'));
        }
        if self.normalizes {
            let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~".contains(letter);
            path = without_dots(&unescaped(&path, is_plain).replace('\\', "/"));
        }
        if self.merges_slashes {
            while path.contains("//") {
                path = path.replace("//", "/");
            }
        }
        path + query
    }
}

/// A path in which escapes of some letters are these letters.
fn unescaped(path: &str, which: impl Fn(char) -> bool) -> String {
    let mut parts = path.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..2)
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match code.map(char::from).filter(|letter| which(*letter)) {
            Some(letter) => {
                plain.push(letter);
                plain.push_str(&part[2..]);
            }
            None => {
                plain.push('%');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// A path without the elements that mean itself and the one above.
fn without_dots(path: &str) -> String {
    let mut elements: Vec<&str> = Vec::new();
    let mut rest = path.split('/').skip(1).peekable();
    while let Some(element) = rest.next() {
        let is_last = rest.peek().is_none();
        match element {
            "." | ".." => {
                if element == ".." {
                    elements.pop();
                }
                // What such an element stood for ends in a stroke.
                if is_last {
                    elements.push("");
                }
            }
            other => elements.push(other),
        }
    }
    format!("/{}", elements.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: PathRules = PathRules {
        normalizes: false,
        merges_slashes: false,
        unescapes_slashes: false,
    };
    const BASE: PathRules = PathRules {
        normalizes: true,
        ..NONE
    };
    const MERGE: PathRules = PathRules {
        merges_slashes: true,
        ..BASE
    };
    const DECODE: PathRules = PathRules {
        unescapes_slashes: true,
        ..MERGE
    };

    #[test]
    fn each_way_makes_its_own_of_a_path() {
        for (path, expected) in [
            ("/", ["/"; 4]),
            ("/app#foo", ["/app"; 4]),
            ("/app/", ["/app/"; 4]),
            (
                "/app/../admin",
                ["/app/../admin", "/admin", "/admin", "/admin"],
            ),
            ("/app//", ["/app//", "/app//", "/app/", "/app/"]),
            ("/app/%2f", ["/app/%2f", "/app/%2f", "/app/%2f", "/app/"]),
            (
                "/xyz%30..//abc",
                [
                    "/xyz%30..//abc",
                    "/xyz0..//abc",
                    "/xyz0../abc",
                    "/xyz0../abc",
                ],
            ),
            (
                "/app/%2E./admin",
                ["/app/%2E./admin", "/admin", "/admin", "/admin"],
            ),
            (
                r"/app\admin",
                [r"/app\admin", "/app/admin", "/app/admin", "/app/admin"],
            ),
            (
                r"/app/\/\/\admin",
                [
                    r"/app/\/\/\admin",
                    "/app//////admin",
                    "/app/admin",
                    "/app/admin",
                ],
            ),
            (
                "/%2Fapp%5cadmin%5Cabc",
                [
                    "/%2Fapp%5cadmin%5Cabc",
                    "/%2Fapp%5cadmin%5Cabc",
                    "/%2Fapp%5cadmin%5Cabc",
                    "/app/admin/abc",
                ],
            ),
            (
                r"/%5Capp%2f%5c%2F%2e%2e%2fadmin%5c\abc",
                [
                    r"/%5Capp%2f%5c%2F%2e%2e%2fadmin%5c\abc",
                    "/%5Capp%2f%5c%2F..%2fadmin%5c/abc",
                    "/%5Capp%2f%5c%2F..%2fadmin%5c/abc",
                    "/app/admin/abc",
                ],
            ),
            (
                "/app//../admin",
                ["/app//../admin", "/app/admin", "/app/admin", "/app/admin"],
            ),
            (
                "/app//../../admin",
                ["/app//../../admin", "/admin", "/admin", "/admin"],
            ),
            (
                "/%c0%2e%c0%2e/admin",
                [
                    "/%c0%2e%c0%2e/admin",
                    "/%c0.%c0./admin",
                    "/%c0.%c0./admin",
                    "/%c0.%c0./admin",
                ],
            ),
            ("/%252e%252e/admin", ["/%252e%252e/admin"; 4]),
            ("/..;/admin", ["/..;/admin"; 4]),
            ("/admin;a=b/xyz", ["/admin;a=b/xyz"; 4]),
            ("/app/..", ["/app/..", "/", "/", "/"]),
            (
                "/a/.?b=../c//",
                [
                    "/a/.?b=../c//",
                    "/a/?b=../c//",
                    "/a/?b=../c//",
                    "/a/?b=../c//",
                ],
            ),
        ] {
            let found = [NONE, BASE, MERGE, DECODE].map(|rules| rules.apply(path));
            assert_eq!(found, expected, "{path}");
        }
    }
}
