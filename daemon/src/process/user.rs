//! Users of this machine, read without the C library's name services, and becoming one of them.

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its first group.
    pub gid: u32,
    /// All its groups, the first among them.
    pub groups: Vec<u32>,
    /// Its home directory.
    pub home: String,
    /// Its login shell.
    pub shell: String,
}

impl User {
    /// The account called `name`, from `/etc/passwd` and `/etc/group`. Blocks.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
        parse(name, &passwd, &std::fs::read_to_string("/etc/group").unwrap_or_default())
    }
}

impl User {
    /// The account that `user` means where containers are told their user: a name or a number, with or without `:GROUP`
    /// behind it, which does not count. A number without an account is one, as the engines have it: of root's group, at home
    /// in `/`. Blocks.
    #[must_use]
    pub fn named(user: &str) -> Option<Self> {
        let name = user.split(':').next().unwrap_or_default();
        Self::by_name(name).or_else(|| {
            let uid = name.parse().ok()?;
            Some(Self::by_uid(uid).unwrap_or_else(|| Self::without_account(uid)))
        })
    }

    fn without_account(uid: u32) -> Self {
        Self { name: uid.to_string(), uid, gid: 0, groups: vec![0], home: "/".into(), shell: "/bin/sh".into() }
    }

    /// The account with the number `uid`, from the same files. Blocks.
    #[must_use]
    pub fn by_uid(uid: u32) -> Option<Self> {
        let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
        let rows = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let name = rows.into_iter().find(|row| row.get(2).is_some_and(|field| field.parse() == Ok(uid)))?[0].to_owned();
        parse(&name, &passwd, &std::fs::read_to_string("/etc/group").unwrap_or_default())
    }
}

/// The account `name` of these two files (passwd(5), group(5)).
fn parse(name: &str, passwd: &str, group: &str) -> Option<User> {
    let fields: Vec<_> = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|row| row[0] == name)?;
    let [_, _, uid, gid, _, home, shell, ..] = fields.as_slice() else { return None };
    let gid = gid.parse().ok()?;
    let mut groups = vec![gid];
    for row in group.lines() {
        let row: Vec<_> = row.split(':').collect();
        if let [_, _, number, members, ..] = row.as_slice()
            && members.split(',').any(|member| member == name)
            && let Ok(number) = number.parse()
            && number != gid
        {
            groups.push(number);
        }
    }
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid,
        groups,
        home: (*home).to_owned(),
        shell: (*shell).to_owned(),
    })
}

/// Makes this process `user` for good. Only before any other thread exists: the kernel changes one thread at a time.
///
/// # Errors
/// The kernel's refusal.
pub fn become_user(user: &User) -> std::io::Result<()> {
    let groups: Vec<_> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    set_thread_groups(&groups)?;
    let (gid, uid) = (Gid::from_raw(user.gid), Uid::from_raw(user.uid));
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{User, parse};

    #[test]
    fn an_account_with_its_groups() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nvscode:x:1000:1000:,,,:/home/vscode:/bin/zsh\nbroken\n";
        let group = "root:x:0:\nvscode:x:1000:\ndocker:x:999:me,vscode\nother:x:5:me\n";
        let expected = User {
            name: "vscode".into(),
            uid: 1000,
            gid: 1000,
            groups: vec![1000, 999],
            home: "/home/vscode".into(),
            shell: "/bin/zsh".into(),
        };
        assert_eq!(parse("vscode", passwd, group), Some(expected));
        assert_eq!(parse("broken", passwd, group), None, "a damaged row is no account");
        assert_eq!(parse("nobody", passwd, group), None);
    }

    #[test]
    fn a_user_as_containers_are_told_theirs() {
        // Every Linux has this account, and none the number.
        for (told, expected, why) in [
            ("root", Some((0, "root")), "a name"),
            ("0", Some((0, "root")), "a number"),
            ("0:5", Some((0, "root")), "a number and a group"),
            ("root:root", Some((0, "root")), "a name and a group"),
            ("3141592", Some((3_141_592, "3141592")), "a number without an account"),
            ("no such name", None, "a name without an account"),
            ("", None, "nothing"),
            ("-1", None, "no uid"),
        ] {
            let found = User::named(told);
            assert_eq!(found.as_ref().map(|user| (user.uid, user.name.as_str())), expected, "{why}");
        }
    }
}
