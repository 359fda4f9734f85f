/// What a command may do and when it may run: the flags of a COMMAND entry, with the names that COMMAND gives them
/// (https://redis.io/docs/latest/commands/command/#flags), and those that COMMAND hides (`may_replicate`, `sentinel`, ...).
package struct CommandFlags: OptionSet, Hashable, Sendable {
    package var rawValue: UInt32

    @inlinable
    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// May change the data set; a replica refuses it.
    @inlinable package static var write: Self { Self(rawValue: 1 << 0) }
    /// Never changes the data set.
    @inlinable package static var readonly: Self { Self(rawValue: 1 << 1) }
    /// May grow memory; refused over `maxmemory`.
    @inlinable package static var denyoom: Self { Self(rawValue: 1 << 2) }
    /// Comes from a module.
    @inlinable package static var module: Self { Self(rawValue: 1 << 3) }
    @inlinable package static var admin: Self { Self(rawValue: 1 << 4) }
    /// Publish and subscribe.
    @inlinable package static var pubsub: Self { Self(rawValue: 1 << 5) }
    /// Not callable from scripts.
    @inlinable package static var noscript: Self { Self(rawValue: 1 << 6) }
    /// May hold its connection until something happens.
    @inlinable package static var blocking: Self { Self(rawValue: 1 << 7) }
    /// Allowed while the data set is loading.
    @inlinable package static var loading: Self { Self(rawValue: 1 << 8) }
    /// Allowed on a replica whose data is stale.
    @inlinable package static var stale: Self { Self(rawValue: 1 << 9) }
    @inlinable package static var skipMonitor: Self { Self(rawValue: 1 << 10) }
    @inlinable package static var skipSlowlog: Self { Self(rawValue: 1 << 11) }
    /// Implies ASKING on a cluster node.
    @inlinable package static var asking: Self { Self(rawValue: 1 << 12) }
    /// Constant or logarithmic time.
    @inlinable package static var fast: Self { Self(rawValue: 1 << 13) }
    /// Allowed before authentication.
    @inlinable package static var noAuth: Self { Self(rawValue: 1 << 14) }
    /// Not a write, and yet it may send something to the replicas (PUBLISH, EVAL, PFCOUNT). Hidden by COMMAND.
    @inlinable package static var mayReplicate: Self { Self(rawValue: 1 << 15) }
    /// Refused inside MULTI.
    @inlinable package static var noMulti: Self { Self(rawValue: 1 << 16) }
    /// `firstKey`, `lastKey` and `keyStep` don't tell all keys; the key specs are needed.
    @inlinable package static var movableKeys: Self { Self(rawValue: 1 << 17) }
    /// Allowed while a script overruns its time.
    @inlinable package static var allowBusy: Self { Self(rawValue: 1 << 18) }
    /// Known to sentinels as well as to nodes. Hidden by COMMAND.
    @inlinable package static var sentinel: Self { Self(rawValue: 1 << 19) }
    /// Known to sentinels only. Hidden by COMMAND.
    @inlinable package static var onlySentinel: Self { Self(rawValue: 1 << 20) }
    /// Takes keys, but may be called with none (EVAL with 0 keys).
    @inlinable package static var noMandatoryKeys: Self { Self(rawValue: 1 << 21) }
    /// Refused while the data set is loading asynchronously.
    @inlinable package static var noAsyncLoading: Self { Self(rawValue: 1 << 22) }

    /// The flags that allow something. Where two sources disagree, such a flag counts only if both set it, any other if one
    /// does.
    static let permissive: Self = [.readonly, .loading, .stale, .fast, .asking, .noAuth, .allowBusy, .noMandatoryKeys]

    /// Both sources' flags, in the more careful reading.
    func mergedCarefully(with other: Self) -> Self {
        intersection(other).union(union(other).subtracting(.permissive))
    }

    /// Every flag with its name in COMMAND, or in the source of Redis for hidden ones.
    package static let names: [(name: String, flag: Self)] = [
        ("write", .write), ("readonly", .readonly), ("denyoom", .denyoom), ("module", .module), ("admin", .admin),
        ("pubsub", .pubsub), ("noscript", .noscript), ("blocking", .blocking), ("loading", .loading), ("stale", .stale),
        ("skip_monitor", .skipMonitor), ("skip_slowlog", .skipSlowlog), ("skip_commandlog", .skipSlowlog), ("asking", .asking),
        ("fast", .fast), ("no_auth", .noAuth), ("may_replicate", .mayReplicate), ("no_multi", .noMulti),
        ("movablekeys", .movableKeys), ("allow_busy", .allowBusy), ("sentinel", .sentinel), ("only_sentinel", .onlySentinel),
        ("no_mandatory_keys", .noMandatoryKeys), ("no_async_loading", .noAsyncLoading),
    ]
    static let byName = Dictionary(uniqueKeysWithValues: names.map { ($0.name, $0.flag) })

    /// The flag of that name, or nil for a name that isn't known here.
    package init?(name: String) {
        guard let flag = Self.byName[name] else { return nil }
        self = flag
    }
}

/// The ACL categories a command belongs to (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/).
package struct CommandCategories: OptionSet, Hashable, Sendable {
    package var rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// The names in the order of the bits; the order is part of no protocol.
    package static let names = [
        "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
        "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
    ]

    /// The category of that name without its `@`, or nil for one that isn't known here, as modules define.
    package init?(name: String) {
        guard let bit = Self.names.firstIndex(of: name) else { return nil }
        rawValue = 1 << UInt32(bit)
    }
}
