//! The words of a policy.

use serde::{Deserialize, Serialize};

/// Declares an enumeration of words, which are also its JSON.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $word)] $variant,)*
        }

        impl Word for $name {
            const ALL: &'static [(&'static str, Self)] = &[$(($word, Self::$variant),)*];
        }
    };
}

/// An enumeration of words.
pub trait Word: Copy + Eq + 'static {
    /// The words with their values.
    const ALL: &'static [(&'static str, Self)];

    fn read(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, value)| *value)
    }

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }

    /// The words as a text: `a, b or c`.
    fn list() -> String {
        let words: Vec<_> = Self::ALL.iter().map(|(word, _)| *word).collect();
        match words.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }
}

words! {
    /// Which traffic uses the tunnel.
    TunnelMode {
        Full = "full",
        /// Only that to the networks of the routes.
        Split = "split",
    }
}

words! {
    /// Whether traffic is allowed.
    Access {
        Allow = "allow",
        Deny = "deny",
    }
}

words! {
    /// How a device must authenticate.
    AuthMode {
        /// With a pre-shared key or an enrollment token.
        PreShared = "A",
        /// With a certificate.
        Certificate = "B",
        /// With a certificate that has a post-quantum signature.
        PostQuantum = "C",
        /// By trust on first use.
        FirstUse = "D",
    }
}

words! {
    /// The protocol of a rule.
    Protocol {
        Tcp = "tcp",
        Udp = "udp",
        /// Every protocol, also those without ports.
        Any = "any",
    }
}

words! {
    /// What a device must report.
    Check {
        DiskEncrypted = "disk_encrypted",
        FirewallOn = "firewall_on",
        ScreenLock = "screen_lock",
        AntivirusRunning = "av_running",
        EdrRunning = "edr_running",
        MdmManaged = "mdm_managed",
        NotJailbroken = "not_jailbroken",
    }
}

words! {
    /// What happens to a device that does not comply.
    OnFail {
        Block = "block",
        Restrict = "restrict",
        Warn = "warn",
    }
}

words! {
    /// A day of the week.
    Day {
        Monday = "mon",
        Tuesday = "tue",
        Wednesday = "wed",
        Thursday = "thu",
        Friday = "fri",
        Saturday = "sat",
        Sunday = "sun",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_exactly() {
        assert_eq!(Protocol::read("udp"), Some(Protocol::Udp));
        assert_eq!(Protocol::read("UDP"), None);
        assert_eq!(Protocol::list(), "tcp, udp or any");
        assert_eq!(Access::Deny.as_str(), "deny");
        assert_eq!(serde_json::to_string(&AuthMode::PostQuantum).unwrap(), "\"C\"");
    }
}
