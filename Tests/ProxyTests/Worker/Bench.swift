import Testing
import Wire

@testable import Proxy

/// Drives workers among fake clients and servers as `WorkerLoop` does among sockets, with a clock that stands still unless told.
final class Bench {
    private enum Slot {
        case free
        case connecting(LinkID, Endpoint)
        case open(Socket)
    }

    var now = Instant(nanoseconds: 1_000_000_000_000)
    var random: Random
    let workers: [Worker]
    let servers: [FakeServer]
    private(set) var clients: [FakeClient] = []
    /// Bytes move in random pieces, and sockets take parts of what they are offered.
    var isPieced = false
    /// Bytes per read at most, unless pieced.
    var readLimit = Int.max
    var invariantsAreChecked = true
    /// What the control loop answers.
    var control: (Question) -> Answer = { _ in .none }
    private(set) var suspicions = 0
    private(set) var logs: [String] = []
    /// What must never happen, and did.
    private(set) var violations: [String] = []
    private var tables: [[Slot]]
    private var mail: [[Message]]
    private var waiting: [[FakeClient]]
    /// Connections that the proxy has closed: what they had received is still executed.
    private var orphans: [ServerConnection] = []
    private var lastClientID: UInt64 = 0
    private let stretches = UnsafeMutablePointer<UnsafeRawBufferPointer>.allocate(capacity: 64)

    // MARK: The topology that `publish` tells
    var version: UInt64 = 0
    var master: Int?
    var members: [Int]
    var down: Set<Int> = []
    var readsRefused: Set<Int> = []
    var commands = LearnedCommands.builtIn
    var runIDs: [Int: String] = [:]

    /// `servers` servers named a, b, c, ..., of which the first is the master.
    init(
        workers count: Int = 1, servers serverCount: Int = 3, seed: UInt64 = 1,
        options change: (inout ProxyOptions) -> Void = { _ in }
    ) {
        random = Random(seed: seed)
        servers = (0..<serverCount).map { FakeServer(String(UnicodeScalar(UInt8(97 + $0))), isMaster: $0 == 0) }
        if let first = servers.first { first.replicas = Array(servers.dropFirst()) }
        master = 0
        members = Array(0..<serverCount)
        var options = ProxyOptions()
        options.logLevel = .warning
        change(&options)
        let now = self.now
        workers = (0..<count).map {
            Worker(
                index: LoopID(index: $0), workerCount: count, options: options, topology: Topology(), seed: seed &+ UInt64($0),
                now: now)
        }
        tables = .init(repeating: [], count: count)
        mail = .init(repeating: [], count: count)
        waiting = .init(repeating: [], count: count)
        stretches.initialize(repeating: UnsafeRawBufferPointer(start: nil, count: 0), count: 64)
        publish()
        settle()
    }

    deinit { stretches.deallocate() }

    var worker: Worker { workers[0] }

    // MARK: - What tests say

    /// A client that is connected, unless `isLate`: it then is in the next turn.
    func client(worker: Int = 0, isLate: Bool = false) -> FakeClient {
        lastClientID += 1
        let client = FakeClient(id: lastClientID, worker: worker)
        clients.append(client)
        waiting[worker].append(client)
        if !isLate { round() }
        return client
    }

    /// Sends one command and returns what comes back until nothing moves any more.
    @discardableResult
    func ask(_ client: FakeClient, _ arguments: String...) -> String {
        client.send(arguments)
        settle()
        return client.taken().joined(separator: " | ")
    }

    func topology() -> Topology {
        version += 1
        let nodes = members.map { index in
            var state = NodeState(endpoint: servers[index].endpoint)
            state.role = index == master ? .master : .replica
            state.isMaster = index == master
            state.health = down.contains(index) ? .down("it does not answer") : .up
            state.readsRefused = readsRefused.contains(index) ? "lags" : nil
            state.runID = runIDs[index] ?? "run-\(index)"
            state.version = "7.2.0"
            return state
        }
        return Topology(version: version, nodes: nodes, commands: commands)
    }

    func publish() {
        let topology = topology()
        for index in workers.indices { mail[index].append(.topology(topology)) }
    }

    func post(_ message: Message, to worker: Int = 0) { mail[worker].append(message) }

    /// Makes `index` the master, in truth and in the topology.
    func promote(_ index: Int) {
        for server in servers {
            server.isMaster = false
            server.replicas = []
        }
        servers[index].isMaster = true
        servers[index].replicas = servers.filter { $0 !== servers[index] }
        master = index
    }

    /// The client closes its side.
    func cut(_ client: FakeClient) {
        guard let socket = client.socket else { return }
        socket.inbound.truncate(0)
        socket.isEnded = true
        client.socket = nil
    }

    /// The node's side of a connection breaks; of what it has sent the first `kept` bytes still come.
    func cut(_ connection: ServerConnection, keeping kept: Int = 0) {
        connection.server.connections.removeAll { $0 === connection }
        guard let socket = connection.socket else { return }
        socket.inbound.truncate(kept)
        socket.isEnded = true
        connection.socket = nil
    }

    /// All connections of a server break; it forgets what it has not executed.
    func crash(_ server: FakeServer, keeping kept: Int = 0) {
        for connection in server.connections { cut(connection, keeping: kept) }
        orphans.removeAll { $0.server === server }
    }

    /// Moves everything until nothing moves any more.
    func settle(rounds: Int = 100_000) {
        for _ in 0..<rounds where !round() { return }
        violations.append("it does not come to rest")
    }

    /// Lets time pass in steps, with everything that happens meanwhile.
    func advance(milliseconds: Int, step: Int = 50) {
        var left = milliseconds
        while left > 0 {
            let part = min(left, step)
            left -= part
            now = now.adding(milliseconds: part)
            settle()
        }
    }

    /// One turn of every worker, and of the servers. False when nothing moved.
    @discardableResult
    func round() -> Bool {
        var isActive = false
        for index in workers.indices where turn(index) { isActive = true }
        for server in servers {
            for connection in server.connections { if pump(connection) { isActive = true } }
        }
        for orphan in orphans where orphan.hasWork { orphan.pump(now) }
        orphans.removeAll { !$0.hasWork && !$0.server.isStalled }
        return isActive
    }

    private func pump(_ connection: ServerConnection) -> Bool {
        let isActive = connection.hasWork || connection.nextReplyAt.map { $0 <= now } ?? false
        connection.pump(now)
        return isActive
    }

    /// Sockets of clients and servers of a worker.
    func sockets(of worker: Int = 0) -> [Socket] {
        tables[worker].compactMap { if case .open(let socket) = $0 { socket } else { nil } }
    }

    // MARK: - A turn of the driver

    func turn(_ index: Int) -> Bool {
        let worker = workers[index]
        var isActive = false
        worker.beginTurn(now: now, wallClockMilliseconds: 1_700_000_000_000 + Int64(now.nanoseconds / 1_000_000))
        let letters = mail[index]
        mail[index] = []
        for letter in letters {
            worker.receive(letter)
            isActive = true
        }
        if finishConnecting(index) { isActive = true }
        for client in waiting[index] {
            let link = worker.accepted(
                clientID: client.id, address: "127.0.0.1:\(10_000 + client.id)", localAddress: "127.0.0.1:7379",
                isLoopback: true)
            let socket = Socket(link: link, peer: .client(client))
            client.socket = socket
            insert(index, link, .open(socket))
            isActive = true
        }
        waiting[index] = []
        var ready = sockets(of: index)
        if isPieced { ready.shuffle(using: &random) }
        for socket in ready where read(index, socket) { isActive = true }
        for socket in sockets(of: index) where socket.isSendBlocked && socket.window > 0 {
            socket.isSendBlocked = false
            worker.writable(socket.link)
            isActive = true
        }
        if worker.nextWake <= now { worker.tick() }
        worker.endTurn()
        if flush(index) { isActive = true }
        if invariantsAreChecked, let problem = worker.checkInvariants() { violations.append("worker \(index): \(problem)") }
        return isActive
    }

    private func insert(_ index: Int, _ link: LinkID, _ slot: Slot) {
        while tables[index].count <= Int(link.slot) { tables[index].append(.free) }
        if case .free = tables[index][Int(link.slot)] {
        } else {
            violations.append("link slot \(link.slot) of worker \(index) is in use")
        }
        tables[index][Int(link.slot)] = slot
    }

    private func socket(_ index: Int, _ link: LinkID) -> Socket? {
        guard tables[index].indices.contains(Int(link.slot)), case .open(let socket) = tables[index][Int(link.slot)],
            socket.link == link
        else { return nil }
        return socket
    }

    private func finishConnecting(_ index: Int) -> Bool {
        var isActive = false
        for slot in tables[index].indices {
            guard case .connecting(let link, let endpoint) = tables[index][slot],
                let server = servers.first(where: { $0.endpoint == endpoint })
            else { continue }
            switch server.behaviour {
            case .swallows: continue
            case .refuses:
                tables[index][slot] = .free
                workers[index].connectFailed(link, reason: "Connection refused")
            case .answers:
                server.nextID += 1
                let connection = ServerConnection(server: server, id: server.nextID)
                server.connections.append(connection)
                let socket = Socket(link: link, peer: .server(connection))
                socket.window = server.receiveWindow
                connection.socket = socket
                tables[index][slot] = .open(socket)
                workers[index].connected(link)
            }
            isActive = true
        }
        return isActive
    }

    private func read(_ index: Int, _ socket: Socket) -> Bool {
        let worker = workers[index]
        var isActive = false
        var reads = isPieced ? 1 + random.below(3) : Int.max
        // As much as the runtime reads from one link in a turn.
        var budget = 256 << 10
        while reads > 0, budget > 0, self.socket(index, socket.link) === socket {
            reads -= 1
            if socket.inbound.isEmpty {
                guard socket.isEnded else { break }
                tables[index][Int(socket.link.slot)] = .free
                leave(socket)
                worker.closed(socket.link, reason: "connection closed by the peer")
                return true
            }
            if socket.isRefused { break }
            let space = worker.readSpace(socket.link)
            guard space.count > 0 else {
                socket.isRefused = true
                break
            }
            let limit =
                isPieced
                ? 1 + random.below(socket.inbound.count > 5_000 ? 80_000 : random.below(4) == 0 ? 4096 : 40) : readLimit
            let count = socket.inbound.move(into: space, limit: limit)
            budget -= count
            worker.received(socket.link, count: count)
            isActive = true
        }
        return isActive
    }

    /// The socket is closed on our side.
    private func leave(_ socket: Socket) {
        switch socket.peer {
        case .client(let client):
            client.socket = nil
        case .server(let connection):
            guard connection.socket != nil else { return }
            connection.socket = nil
            connection.server.connections.removeAll { $0 === connection }
            orphans.append(connection)
        }
    }

    private func flush(_ index: Int) -> Bool {
        let worker = workers[index]
        var isActive = false
        while true {
            while let link = worker.nextDirty() {
                if let socket = socket(index, link), send(index, socket) { isActive = true }
            }
            if worker.effects.isEmpty { return isActive }
            let effects = worker.effects
            worker.effects = []
            for effect in effects where carryOut(index, effect) { isActive = true }
        }
    }

    private func send(_ index: Int, _ socket: Socket) -> Bool {
        let worker = workers[index]
        let count = worker.output(socket.link, into: stretches, capacity: 64)
        guard count > 0 else { return false }
        let offered = (0..<count).reduce(0) { $0 + stretches[$1].count }
        var room = min(offered, socket.window)
        if isPieced && random.below(3) == 0 { room = min(room, random.below(offered + 1)) }
        var left = room
        for stretch in 0..<count where left > 0 {
            let part = UnsafeRawBufferPointer(rebasing: stretches[stretch].prefix(left))
            left -= part.count
            switch socket.peer {
            case .client(let client): client.receive(part)
            case .server(let connection): connection.receive(part)
            }
        }
        if socket.window != .max { socket.window -= room }
        if room < offered { socket.isSendBlocked = true }
        worker.sent(socket.link, count: room)
        return room > 0
    }

    private func carryOut(_ index: Int, _ effect: Effect) -> Bool {
        switch effect {
        case .connect(let link, let endpoint):
            insert(index, link, .connecting(link, endpoint))
        case .close(let link):
            if let socket = socket(index, link) {
                tables[index][Int(link.slot)] = .free
                leave(socket)
            } else if tables[index].indices.contains(Int(link.slot)),
                case .connecting(let attempt, _) = tables[index][Int(link.slot)], attempt == link
            {
                tables[index][Int(link.slot)] = .free
            }
        case .resumeReading(let link):
            guard let socket = socket(index, link) else { return false }
            let wasRefused = socket.isRefused
            socket.isRefused = false
            return wasRefused
        case .post(.question(let question, let number, let from), to: .control):
            mail[from.index].append(.answer(control(question), number: number, from: .control))
        case .post(.suspicion, to: .control):
            suspicions += 1
            return false
        case .post(let message, let loop):
            mail[loop.index].append(message)
        case .log(_, let text):
            logs.append(text)
            Workload.trace?("log \(index): \(text)")
            return false
        }
        return true
    }

    // MARK: - What must hold

    /// Everything that went wrong so far.
    func problems() -> [String] { violations + clients.compactMap(\.violation) }
}
