//! Redacting who logs in, in every URL of a stream: `https://user:secret@host` becomes `https://***@host`.
//!
//! Invariant: the concatenated results are the same wherever the reads are cut (a property test says so). Held back is
//! only what could be a login: what follows a `://` up to the end of the authority, [`LONGEST_AUTHORITY`] bytes at most.

use memchr::{memmem, memrchr};

use super::mask::MASKED;

const SCHEME_END: &[u8] = b"://";
/// A longer authority is taken for two.
const LONGEST_AUTHORITY: usize = 8 * 1024;

/// Finds the beginnings of URLs.
#[derive(Debug)]
pub(super) struct UserinfoFinder(memmem::Finder<'static>);

/// One stream's state.
#[derive(Debug)]
pub(super) struct StreamUserinfo {
    place: Place,
    /// The authority so far.
    held: Vec<u8>,
    redacted: Vec<u8>,
}

/// Where in a URL the stream is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Outside of any; so many bytes of `://` came last.
    Outside(usize),
    /// Behind a `://`.
    Authority,
}

impl UserinfoFinder {
    pub(super) fn new() -> Self {
        Self(memmem::Finder::new(SCHEME_END))
    }
}

impl StreamUserinfo {
    pub(super) const fn new() -> Self {
        Self { place: Place::Outside(0), held: Vec::new(), redacted: Vec::new() }
    }

    /// The bytes that may be shown now that `read` has come.
    pub(super) fn feed<'a>(&'a mut self, finder: &UserinfoFinder, read: &'a [u8]) -> &'a [u8] {
        let first = match self.place {
            Place::Outside(_) => self.leave_text(finder, read),
            Place::Authority => Some(0),
        };
        let Some(first) = first else { return read };
        self.redacted.clear();
        self.redacted.extend_from_slice(&read[..first]);
        let mut rest = &read[first..];
        loop {
            let Some(length) = self.authority(rest) else { return &self.redacted };
            rest = &rest[length..];
            match self.leave_text(finder, rest) {
                Some(length) => {
                    self.redacted.extend_from_slice(&rest[..length]);
                    rest = &rest[length..];
                }
                None => {
                    self.redacted.extend_from_slice(rest);
                    return &self.redacted;
                }
            }
        }
    }

    /// The bytes that were held back, now that nothing follows.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.redacted.clear();
        self.end_authority();
        &self.redacted
    }

    /// Where in `bytes` the next authority begins; none where they hold none.
    fn leave_text(&mut self, finder: &UserinfoFinder, bytes: &[u8]) -> Option<usize> {
        if let Place::Outside(came) = self.place {
            let missing = &SCHEME_END[came..];
            if came > 0 && bytes.len() < missing.len() && missing.starts_with(bytes) {
                self.place = Place::Outside(came + bytes.len());
                return None;
            }
            if came > 0 && bytes.starts_with(missing) {
                self.place = Place::Authority;
                return Some(missing.len());
            }
        }
        let found = finder.0.find(bytes).map(|start| start + SCHEME_END.len());
        self.place = match found {
            Some(_) => Place::Authority,
            None if bytes.ends_with(b":/") => Place::Outside(2),
            None if bytes.ends_with(b":") => Place::Outside(1),
            None => Place::Outside(0),
        };
        found
    }

    /// Takes what belongs to the authority and tells how many bytes that were; none where it may go on.
    fn authority(&mut self, bytes: &[u8]) -> Option<usize> {
        let room = LONGEST_AUTHORITY - self.held.len();
        let end = bytes.iter().take(room).position(|byte| ends_authority(*byte));
        let length = end.unwrap_or(bytes.len().min(room));
        self.held.extend_from_slice(&bytes[..length]);
        if end.is_none() && self.held.len() < LONGEST_AUTHORITY {
            return None;
        }
        self.end_authority();
        Some(length)
    }

    /// Shows the authority, without who logs in. As in the URLs of browsers, that ends at the last `@`.
    fn end_authority(&mut self) {
        // A `:` at its end may be the beginning of the next `://`.
        self.place = Place::Outside(usize::from(self.held.ends_with(b":")));
        let shown = match memrchr(b'@', &self.held) {
            Some(at) => {
                self.redacted.extend_from_slice(MASKED);
                &self.held[at..]
            }
            None => &self.held,
        };
        self.redacted.extend_from_slice(shown);
        self.held.clear();
    }
}

/// Whether `byte` is no part of an authority: what follows is the path, or the text around the URL.
const fn ends_authority(byte: u8) -> bool {
    matches!(byte, 0..=b' ' | 0x7f | b'/' | b'?' | b'#' | b'\\' | b'"' | b'\'' | b'`' | b'<' | b'>')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redact(reads: &[&str]) -> String {
        let finder = UserinfoFinder::new();
        let mut stream = StreamUserinfo::new();
        let mut shown = Vec::new();
        for read in reads {
            shown.extend_from_slice(stream.feed(&finder, read.as_bytes()));
        }
        shown.extend_from_slice(stream.finish());
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn logins_are_redacted() {
        for (reads, expected, why) in [
            (&["fetch https://me:pw@host/x"][..], "fetch https://***@host/x", "user and password"),
            (&["https://ghp_token@host"], "https://***@host", "a token in the place of the user"),
            (&["https://me:p", "w@ho", "st/x"], "https://***@host/x", "across reads"),
            (&["https:", "//me:pw@host"], "https://***@host", "cut within the scheme's end"),
            (&["https:/", "/me:pw@host"], "https://***@host", "cut within the scheme's end"),
            (&[":", "/", "/", "m", "@", "h"], "://***@h", "a byte a read"),
            (&["https://me:p@w@host"], "https://***@host", "up to the last @"),
            (&["https://host/@v/list"], "https://host/@v/list", "an @ in the path is none"),
            (&["https://host?a=b@c"], "https://host?a=b@c", "nor in the query"),
            (&["see https://host and me@host"], "see https://host and me@host", "nor in the text that follows"),
            (&["'https://a@b' 'https://c@d'"], "'https://***@b' 'https://***@d'", "every URL"),
            (&["a://b://c:d@e"], "a://b://***@e", "a URL right behind another"),
            (&["git@github.com:x/y"], "git@github.com:x/y", "no URL"),
            (&["Password:", " x"], "Password: x", "a colon alone"),
        ] {
            assert_eq!(redact(reads), expected, "{why}");
        }
    }

    #[test]
    fn nothing_is_held_back_without_need() {
        let finder = UserinfoFinder::new();
        let mut stream = StreamUserinfo::new();
        assert_eq!(stream.feed(&finder, b"Password:"), b"Password:", "a prompt is shown");
        assert_eq!(stream.feed(&finder, b"https://"), b"https://");
        assert_eq!(stream.feed(&finder, b"host"), b"", "this may be a user");
        assert_eq!(stream.feed(&finder, b"/"), b"host/");
    }

    #[test]
    fn what_is_held_back_has_a_limit() {
        let finder = UserinfoFinder::new();
        let mut stream = StreamUserinfo::new();
        let shown = stream.feed(&finder, format!("x://{}", "y".repeat(LONGEST_AUTHORITY + 10)).as_bytes()).len();
        assert_eq!(shown, 4 + LONGEST_AUTHORITY + 10);
    }

    proptest! {
        /// Wherever the reads are cut, the result is that of one read of all.
        #[test]
        fn cuts_do_not_matter(text in "[a:/@ ]{0,40}", cuts in prop::collection::vec(0_usize..40, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let reads: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            let whole = redact(&[&text]);
            prop_assert_eq!(&whole, &redact(&reads));
            for url in whole.split("://").skip(1) {
                let authority = url.split(|character| " /".contains(character)).next().unwrap_or_default();
                prop_assert!(authority.rfind('@').is_none_or(|at| &authority[..at] == "***"), "{whole}");
            }
        }
    }
}
