/// How much of everything a configuration may hold. What goes past a limit is refused with an error that names the limit.
package enum Limits {
    /// Bytes of one file. Also bounds what is read from a device or a pipe.
    package static let fileBytes = 4 << 20
    /// Bytes of one line.
    package static let lineBytes = 64 << 10
    /// Files included within each other, the first one not counted.
    package static let includeDepth = 16
    /// Files read altogether: without it, sixteen files that include each other twice would be read 65536 times.
    package static let files = 256
    /// Entries of `bind` (`CONFIG_BINDADDR_MAX` of Redis).
    package static let bindAddresses = 16
    package static let replicas = 256
    /// Entries of `rename-command`, and of `deny-command`.
    package static let commands = 1024
    /// Bytes of a password (`CONFIG_AUTHPASS_MAX_LEN` of Redis).
    package static let passwordBytes = 512
    /// Bytes of a user, a zone or a command name.
    package static let nameBytes = 128
    /// Bytes of a host name (RFC 1035, section 2.3.4).
    package static let hostBytes = 253
    /// Bytes of a file's path (`PATH_MAX` without its end).
    package static let pathBytes = 4095
    /// Bytes of a Unix socket's path (`sun_path` of unix(7) without its end).
    package static let socketPathBytes = 107
    /// The largest size that can be written: 256 TB, so that sums of sizes can't overflow.
    package static let sizeBytes = 1 << 48
    /// Characters of the refused text, and of the reason, in an error.
    package static let shownTextCharacters = 120
    package static let shownReasonCharacters = 400
}
