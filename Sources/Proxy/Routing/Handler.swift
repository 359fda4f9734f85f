import Wire

/// How the proxy treats a command. What is not named here is forwarded: to a replica if it only reads, else to the master.
enum Handler: UInt8 {
    // MARK: Forwarded on a connection that all clients share
    case read
    case master
    /// The first argument names the subcommand, which has a handler of its own.
    case container

    // MARK: Forwarded with something on top
    case scan
    case keyScan
    case info
    case eval
    case evalReadOnly
    case scriptLoad
    case scriptFlush
    /// SCRIPT KILL, FUNCTION KILL: must not wait behind the script that they are to end.
    case kill

    // MARK: Forwarded on a private connection
    case blocking
    /// XREAD, XREADGROUP: blocking only with BLOCK.
    case streamRead
    case wait
    case multi
    case exec
    case discard
    case watch
    case unwatch
    case subscribe
    case unsubscribe
    case monitor
    case clientTracking
    case clientCaching
    case clientTrackingInfo
    case clientNoTouch

    // MARK: Answered by the proxy
    case ping
    case hello
    case auth
    case select
    case reset
    case quit
    case clientID
    case clientInfo
    case clientList
    case clientKill
    case clientSetName
    case clientGetName
    case clientSetInfo
    case clientReply
    case clientPause
    case clientUnpause
    case clientUnblock
    case clientNoEvict
    case clientGetRedir
    case proxy

    // MARK: Refused
    /// Harms the nodes: only with `admin-commands allow`.
    case administrative
    /// Would turn the connection into something else.
    case impossible
    /// Taken away by `deny-command` or `rename-command NAME ""`.
    case denied

    /// Commands with a treatment of their own, by full name. Everything about a command that the servers themselves tell
    /// (readonly, blocking, ...) is not repeated here.
    static let special: [String: Handler] = [
        "scan": .scan, "hscan": .keyScan, "sscan": .keyScan, "zscan": .keyScan,
        "info": .info,
        "eval": .eval, "eval_ro": .evalReadOnly,
        "script|load": .scriptLoad, "script|flush": .scriptFlush, "script|kill": .kill, "function|kill": .kill,
        "xread": .streamRead, "xreadgroup": .streamRead, "wait": .wait, "waitaof": .wait,
        "multi": .multi, "exec": .exec, "discard": .discard, "watch": .watch, "unwatch": .unwatch,
        "subscribe": .subscribe, "psubscribe": .subscribe, "ssubscribe": .subscribe,
        "unsubscribe": .unsubscribe, "punsubscribe": .unsubscribe, "sunsubscribe": .unsubscribe,
        "monitor": .monitor,
        "client|tracking": .clientTracking, "client|caching": .clientCaching, "client|no-touch": .clientNoTouch,
        "client|trackinginfo": .clientTrackingInfo, "client|getredir": .clientGetRedir,
        "ping": .ping, "hello": .hello, "auth": .auth, "select": .select, "reset": .reset, "quit": .quit,
        "client|id": .clientID, "client|info": .clientInfo, "client|list": .clientList, "client|kill": .clientKill,
        "client|setname": .clientSetName, "client|getname": .clientGetName, "client|setinfo": .clientSetInfo,
        "client|reply": .clientReply, "client|pause": .clientPause, "client|unpause": .clientUnpause,
        "client|unblock": .clientUnblock, "client|no-evict": .clientNoEvict,
        "proxy": .proxy,
        "shutdown": .administrative, "replicaof": .administrative, "slaveof": .administrative,
        "failover": .administrative, "debug": .administrative, "config|set": .administrative,
        "config|rewrite": .administrative, "config|resetstat": .administrative, "save": .administrative,
        "bgsave": .administrative, "bgrewriteaof": .administrative, "module|load": .administrative,
        "module|loadex": .administrative, "module|unload": .administrative, "acl|setuser": .administrative,
        "acl|deluser": .administrative, "acl|load": .administrative, "acl|save": .administrative,
        "sync": .impossible, "psync": .impossible, "replconf": .impossible,
    ]

    /// Reads that the master alone answers: each node keeps its own access times, and some of a stream's counters are not
    /// replicated, so one of many replicas would answer something different every time.
    static let readsForMaster: Set<String> = [
        "object|freq", "object|idletime", "object|refcount", "touch", "pfdebug", "xinfo|groups", "xinfo|consumers",
    ]

    /// Whether the handler looks at arguments beyond the name, so that a request has to be whole before it is handled.
    var needsArguments: Bool {
        switch self {
        case .read, .master, .blocking, .eval, .evalReadOnly, .wait: false
        default: true
        }
    }
}
