import Wire

/// All sessions of a worker, in no particular order but one that depends only on the order of calls.
struct SessionList: ~Copyable {
    private var pointers: [SessionPointer] = []
    private var positions: [UInt64: Int] = [:]

    var count: Int { pointers.count }

    mutating func add(_ session: SessionPointer) {
        positions[session.pointee.id] = pointers.count
        pointers.append(session)
    }

    mutating func remove(_ session: SessionPointer) {
        guard let position = positions.removeValue(forKey: session.pointee.id) else {
            preconditionFailure("a session is removed once")
        }
        let last = pointers.removeLast()
        if last != session {
            pointers[position] = last
            positions[last.pointee.id] = position
        }
    }

    func find(id: UInt64) -> SessionPointer? {
        positions[id].map { pointers[$0] }
    }

    func forEach(_ body: (SessionPointer) -> Void) {
        for session in pointers { body(session) }
    }

    /// A copy for loops that may remove sessions: check each with `find` before use.
    var snapshot: [SessionPointer] { pointers }

    mutating func drain() -> [SessionPointer] {
        defer {
            pointers = []
            positions = [:]
        }
        return pointers
    }
}

/// All connections of a worker to nodes.
struct ConnectionList: ~Copyable {
    private(set) var pointers: [ConnectionPointer] = []
    private var members: Set<ConnectionPointer> = []

    mutating func add(_ connection: ConnectionPointer) {
        connection.pointee.index = pointers.count
        pointers.append(connection)
        members.insert(connection)
    }

    /// Whether the connection still exists: for loops over a copy of `pointers` whose steps may free others.
    func holds(_ connection: ConnectionPointer) -> Bool { members.contains(connection) }

    mutating func remove(_ connection: ConnectionPointer) {
        let position = connection.pointee.index
        precondition(pointers[position] == connection, "a connection is removed once")
        members.remove(connection)
        let last = pointers.removeLast()
        if last != connection {
            pointers[position] = last
            last.pointee.index = position
        }
    }

    mutating func drain() -> [ConnectionPointer] {
        defer {
            pointers = []
            members = []
        }
        return pointers
    }
}
