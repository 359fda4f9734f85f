import Wire

/// For every known command what the proxy does with it: the command table, what the nodes say of themselves and the options,
/// worked out once per topology so that a request costs one look-up.
struct RouteTable: ~Copyable {
    struct Route {
        var handler: Handler
        var commandClass: Statistics.CommandClass
        var isWrite: Bool
        /// Allowed before AUTH.
        var needsNoAuthentication: Bool
        /// Redis refuses it inside MULTI.
        var isRefusedInTransaction: Bool
    }

    /// Index that stands for every command that nobody knows: it goes to the master, who says what is wrong with it.
    static let unknown = -1
    static let unknownRoute = Route(
        handler: .master, commandClass: .other, isWrite: true, needsNoAuthentication: false, isRefusedInTransaction: false)

    let commands: CommandTable
    /// The same table, looked into without counting a reference for every request.
    private let lookup: Unmanaged<CommandTable>
    private let routes: UnsafeMutablePointer<Route>
    /// `rename-command`: what a client must say, and what the nodes get.
    let renamed: [String: String]
    var hasRenames: Bool { !renamed.isEmpty }

    init(commands: CommandTable, options: ProxyOptions) {
        self.commands = commands
        lookup = .passUnretained(commands)
        routes = .allocate(capacity: commands.count)
        var newNames: [String: String] = [:]
        for (old, new) in options.renamedCommands where !new.isEmpty { newNames[new] = old }
        renamed = newNames
        let denied = Set(options.deniedCommands)
        for index in 0..<commands.count {
            let command = commands[index]
            let top = command.name.split(separator: "|").first.map(String.init) ?? command.name
            var handler = RouteTable.handler(commands, index, top, options)
            if denied.contains(command.name) || denied.contains(top) || options.renamedCommands[top] != nil {
                handler = .denied
            }
            (routes + index).initialize(
                to: Route(
                    handler: handler, commandClass: RouteTable.commandClass(command, handler),
                    isWrite: !(handler == .read),
                    needsNoAuthentication: command.flags.contains(.noAuth),
                    isRefusedInTransaction: command.flags.contains(.noMulti)))
        }
    }

    deinit {
        routes.deinitialize(count: commands.count)
        routes.deallocate()
    }

    /// The index of a top-level command, or -1.
    @inline(__always)
    func find(_ name: UnsafePointer<UInt8>, _ length: Int) -> Int {
        lookup._withUnsafeGuaranteedRef { $0.find(name, length) }
    }

    @inline(__always)
    subscript(index: Int) -> Route {
        index < 0 ? RouteTable.unknownRoute : routes[index]
    }

    /// What the command would be if it had not been renamed.
    func underlying(_ index: Int, _ options: ProxyOptions) -> Route {
        guard index >= 0 else { return RouteTable.unknownRoute }
        let command = commands[index]
        let top = command.name.split(separator: "|").first.map(String.init) ?? command.name
        let handler = RouteTable.handler(commands, index, top, options)
        var route = routes[index]
        route.handler = handler
        route.isWrite = handler != .read
        route.commandClass = RouteTable.commandClass(command, handler)
        return route
    }

    /// The handler by what the command does, whatever it is called here.
    private static func handler(
        _ commands: CommandTable, _ index: Int, _ top: String, _ options: ProxyOptions
    ) -> Handler {
        let command = commands[index]
        let isContainer = !command.subcommands.isEmpty
        let plain = isContainer ? .container : plainHandler(commands, index)
        let handler = Handler.special[command.name] ?? (Handler.special[top] == .administrative ? .administrative : plain)
        return handler == .administrative && options.adminCommandsAllowed ? plain : handler
    }

    private static func plainHandler(_ commands: CommandTable, _ index: Int) -> Handler {
        let command = commands[index]
        if command.flags.contains(.blocking) { return .blocking }
        return commands.isReplicaEligible(index) && !Handler.readsForMaster.contains(command.name) ? .read : .master
    }

    private static func commandClass(_ command: Command, _ handler: Handler) -> Statistics.CommandClass {
        switch handler {
        case .read, .scan, .keyScan: .read
        case .eval, .evalReadOnly, .scriptLoad, .scriptFlush, .kill: .script
        case .blocking, .wait, .streamRead: .blocking
        case .multi, .exec, .discard, .watch, .unwatch: .transaction
        case .subscribe, .unsubscribe, .monitor: .pubsub
        case .master, .container:
            command.group == "scripting"
                ? .script
                : command.group == "pubsub" ? .pubsub : command.flags.contains(.write) ? .write : .other
        case .info, .administrative, .impossible, .denied: .other
        case .clientTracking, .clientCaching, .clientTrackingInfo, .clientNoTouch: .other
        case .ping, .hello, .auth, .select, .reset, .quit, .clientID, .clientInfo, .clientList, .clientKill, .clientSetName,
            .clientGetName, .clientSetInfo, .clientReply, .clientPause, .clientUnpause, .clientUnblock, .clientNoEvict,
            .clientGetRedir, .proxy:
            .local
        }
    }
}
