//! Masking secrets, and who logs in within URLs, in a stream that comes in reads of any size.
//!
//! Invariant: the concatenated results are the same wherever the reads are cut (a property test says so), and as few
//! bytes as possible are held back: only an end of the stream that could be the beginning of a secret, or a login.

use super::userinfo::{StreamUserinfo, UserinfoFinder};
use aho_corasick::{AhoCorasick, BuildError, MatchKind};

/// What stands for a secret.
pub(super) const MASKED: &[u8] = b"***";
/// Shorter values are not masked: they would take half of the output with them.
const SHORTEST_SECRET: usize = 4;

/// What is masked in the output of one command.
#[derive(Debug)]
pub(in crate::process) struct Mask {
    secrets: Secrets,
    userinfo: UserinfoFinder,
}

/// One stream's state.
#[derive(Debug)]
pub(in crate::process) struct StreamMask {
    secrets: StreamSecrets,
    userinfo: StreamUserinfo,
}

/// `text` as it may be shown and written down: without the secrets, and without who logs in within a URL.
#[must_use]
pub fn masked(text: &str, secrets: &[String]) -> String {
    // What cannot be masked is not shown.
    let Ok(mask) = Mask::new(secrets) else { return String::from_utf8_lossy(MASKED).into_owned() };
    let mut stream = StreamMask::default();
    let mut shown = stream.feed(&mask, text.as_bytes()).to_vec();
    stream.finish(&mask, |rest| shown.extend_from_slice(rest));
    // Whole secrets are text, and so is what is between them.
    String::from_utf8_lossy(&shown).into_owned()
}

impl Mask {
    /// A mask for `secrets`.
    ///
    /// # Errors
    /// Where there are more secrets than a matcher takes: then nothing may run, since nothing would be masked.
    pub(in crate::process) fn new(secrets: &[String]) -> Result<Self, BuildError> {
        Ok(Self { secrets: Secrets::new(secrets)?, userinfo: UserinfoFinder::new() })
    }
}

impl Default for StreamMask {
    fn default() -> Self {
        Self { secrets: StreamSecrets::default(), userinfo: StreamUserinfo::new() }
    }
}

impl StreamMask {
    /// The bytes that may be shown now that `read` has come.
    pub(in crate::process) fn feed<'a>(&'a mut self, mask: &Mask, read: &'a [u8]) -> &'a [u8] {
        // The secrets first: one may reach from a login into what follows it.
        self.userinfo.feed(&mask.userinfo, self.secrets.feed(&mask.secrets, read))
    }

    /// Hands on the bytes that were held back, now that nothing follows.
    pub(in crate::process) fn finish(&mut self, mask: &Mask, mut show: impl FnMut(&[u8])) {
        show(self.userinfo.feed(&mask.userinfo, self.secrets.finish(&mask.secrets)));
        show(self.userinfo.finish());
    }
}

/// The secrets of one command.
#[derive(Debug)]
struct Secrets {
    /// Finds a secret at its leftmost place, and the longest that begins there; `None`: there are no secrets.
    matcher: Option<AhoCorasick>,
    secrets: Vec<Vec<u8>>,
    longest: usize,
}

/// What the secrets hold back of one stream.
#[derive(Debug, Default)]
struct StreamSecrets {
    held: Vec<u8>,
    masked: Vec<u8>,
}

impl Secrets {
    fn new(secrets: &[String]) -> Result<Self, BuildError> {
        let mut secrets: Vec<Vec<u8>> = secrets
            .iter()
            .filter(|secret| secret.len() >= SHORTEST_SECRET)
            .map(|secret| secret.clone().into_bytes())
            .collect();
        secrets.sort_unstable();
        secrets.dedup();
        let longest = secrets.iter().map(Vec::len).max().unwrap_or(0);
        let matcher = match secrets.is_empty() {
            true => None,
            false => Some(AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&secrets)?),
        };
        Ok(Self { matcher, secrets, longest })
    }

    /// The offset from which `bytes` could be the beginning of a secret that goes on in the next read, looked for from
    /// `from` on; the length of `bytes` where there is none.
    fn open_end(&self, bytes: &[u8], from: usize) -> usize {
        let window = bytes.len().saturating_sub(self.longest - 1).max(from);
        (window..bytes.len())
            .find(|start| {
                let end = &bytes[*start..];
                self.secrets.iter().any(|secret| secret.len() > end.len() && secret.starts_with(end))
            })
            .unwrap_or(bytes.len())
    }
}

impl StreamSecrets {
    /// The bytes that may be shown now that `read` has come.
    fn feed<'a>(&'a mut self, secrets: &Secrets, read: &'a [u8]) -> &'a [u8] {
        let Some(matcher) = &secrets.matcher else { return read };
        self.masked.clear();
        let joined;
        let bytes = if self.held.is_empty() {
            read
        } else {
            self.held.extend_from_slice(read);
            joined = std::mem::take(&mut self.held);
            &joined
        };
        let mut done = 0;
        let mut open = secrets.open_end(bytes, 0);
        // A secret that begins before the open end is complete: had a longer one begun there, the end would be open
        // from there.
        while let Some(found) = matcher.find(&bytes[done..]).filter(|found| done + found.start() < open) {
            self.masked.extend_from_slice(&bytes[done..done + found.start()]);
            self.masked.extend_from_slice(MASKED);
            done += found.end();
            if done > open {
                open = secrets.open_end(bytes, done);
            }
        }
        self.masked.extend_from_slice(&bytes[done..open]);
        self.held.extend_from_slice(&bytes[open..]);
        &self.masked
    }

    /// The bytes that were held back, now that nothing follows.
    fn finish(&mut self, secrets: &Secrets) -> &[u8] {
        self.masked.clear();
        let held = std::mem::take(&mut self.held);
        match &secrets.matcher {
            Some(matcher) => {
                let mut done = 0;
                for found in matcher.find_iter(&held) {
                    self.masked.extend_from_slice(&held[done..found.start()]);
                    self.masked.extend_from_slice(MASKED);
                    done = found.end();
                }
                self.masked.extend_from_slice(&held[done..]);
            }
            None => self.masked.extend_from_slice(&held),
        }
        &self.masked
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask_reads(secrets: &[&str], reads: &[&[u8]]) -> Vec<u8> {
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        let mask = Mask::new(&secrets).unwrap();
        let mut stream = StreamMask::default();
        let mut shown = Vec::new();
        for read in reads {
            shown.extend_from_slice(stream.feed(&mask, read));
        }
        stream.finish(&mask, |rest| shown.extend_from_slice(rest));
        shown
    }

    #[test]
    fn secrets_are_masked() {
        for (secrets, reads, expected, why) in [
            (&["hunter2"][..], &["my hunter2!"][..], "my ***!", "within one read"),
            (&["hunter2"], &["my hun", "ter2!"], "my ***!", "across two reads"),
            (&["hunter2"], &["h", "u", "n", "t", "e", "r", "2"], "***", "a byte a read"),
            (&["hunter2"], &["hunt"], "hunt", "a beginning is no secret"),
            (&["hunter2"], &["hunhunter2"], "hun***", "a false start right before"),
            (&["abcd", "abcdef"], &["abcd", "ef"], "***", "the longest secret wins across reads"),
            (&["abcd", "abcdef"], &["abcd", "ex"], "***ex", "the shorter one where the longer does not follow"),
            (&["abcd", "abcdef"], &["abcde"], "***e", "the shorter one where nothing follows"),
            (&["abcd", "cdefgh"], &["abcd", "efgh"], "***efgh", "the leftmost secret wins"),
            (&["abab"], &["ababab", "ab"], "******", "a secret that repeats itself"),
            (&["abc"], &["abc"], "abc", "three bytes are too short to mask"),
            (&[], &["abc"], "abc", "no secrets"),
            (&[], &["https://me:p", "w@host/"], "https://***@host/", "who logs in, without any secret"),
            (&["hunter2"], &["https://me:hun", "ter2@host/"], "https://***@host/", "a secret within a login"),
            (&["b@host/path"], &["https://a:b@host/path"], "https://a:***", "a secret from a login into the path"),
        ] {
            let reads: Vec<&[u8]> = reads.iter().map(|read| read.as_bytes()).collect();
            assert_eq!(String::from_utf8(mask_reads(secrets, &reads)).unwrap(), expected, "{why}");
        }
    }

    #[test]
    fn a_text_is_masked_as_a_stream_is() {
        let secrets = ["hunter2".to_owned(), "abc".to_owned()];
        assert_eq!(masked("abc hunter2 hunt https://me:pw@host", &secrets), "abc *** hunt https://***@host");
    }

    #[test]
    fn nothing_is_held_back_without_need() {
        let mask = Mask::new(&["hunter2".to_owned()]).unwrap();
        let mut stream = StreamMask::default();
        assert_eq!(stream.feed(&mask, b"DAP server listening at: x\n"), b"DAP server listening at: x\n");
        assert_eq!(stream.feed(&mask, b"password: h"), b"password: ", "only what may begin a secret");
        assert_eq!(stream.feed(&mask, b"i"), b"hi");
    }

    proptest! {
        /// Wherever the reads are cut, the result is that of one read of all.
        #[test]
        fn cuts_do_not_matter(
            text in "[ab]{0,60}",
            secrets in prop::collection::vec("[ab]{4,7}", 0..4),
            cuts in prop::collection::vec(0_usize..60, 0..8),
        ) {
            let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let reads: Vec<&[u8]> = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
            let whole = mask_reads(&secrets, &[text.as_bytes()]);
            prop_assert_eq!(&whole, &mask_reads(&secrets, &reads));
            let mut expected = text.clone();
            if let [secret] = secrets[..] {
                expected = expected.replace(secret, "***");
                prop_assert_eq!(whole, expected.into_bytes());
            }
        }
    }
}
