import Wire

@testable import Proxy

/// A scripted, tiny Redis: what it answers follows from a few facts that a test sets.
final class FakeServer {
    enum Behaviour {
        case answers
        /// Connections are refused.
        case refuses
        /// Connection attempts get no answer.
        case swallows
    }

    let endpoint: Endpoint
    var behaviour = Behaviour.answers
    var isMaster: Bool
    /// Requests are taken in, but nothing is done with them.
    var isStalled = false
    /// Bytes it reads before it is stalled by a full receive buffer.
    var receiveWindow = Int.max
    var delayMilliseconds = 0
    var databases: [Int: [String: [UInt8]]] = [:]
    var databaseCount = 16
    var lists: [String: [[UInt8]]] = [:]
    var versions: [String: Int] = [:]
    var users: [String: String] = [:]
    var scripts: Set<String> = []
    /// Error line by command name, upper case; `*` stands for all but the greeting.
    var errors: [String: String] = [:]
    /// `errors` hold for so many more requests.
    var errorCount = Int.max
    /// Servers that get every write at once.
    var replicas: [FakeServer] = []
    /// Replies name what was asked, so that a swapped reply is found: GET answers `key=value`, SET `OK key`.
    var isExplicit = false
    /// Commands that were executed, outside of greetings, in order.
    var executed: [[String]] = []
    var executionCounts: [String: Int] = [:]
    var connections: [ServerConnection] = []
    var nextID = 100

    init(_ name: String, isMaster: Bool) {
        endpoint = Endpoint(host: name, port: 6379)
        self.isMaster = isMaster
    }

    /// `NAME` and its arguments, as they were executed.
    var executedLines: [String] { executed.map { $0.joined(separator: " ") } }

    func publish(_ channel: String, _ message: String) -> Int {
        var count = 0
        for connection in connections where connection.channels.contains(channel) {
            connection.push(["message", channel, message])
            count += 1
        }
        return count
    }
}

/// One connection that a server has, seen from the server.
final class ServerConnection {
    unowned let server: FakeServer
    let id: Int
    weak var socket: Socket?
    private var inbox = Stream()
    private var parser = RequestParser()
    private(set) var receivedBytes = 0
    /// Replies on their way, each with the time from which it can be read.
    private var outbox: [(at: Instant, bytes: [UInt8])] = []
    private var database = 0
    private(set) var version: RESPVersion = .two
    private(set) var name = ""
    private(set) var user = "default"
    private var queue: [[[UInt8]]]?
    private var isQueueDirty = false
    private var watched: [String: Int] = [:]
    private(set) var channels: [String] = []
    private(set) var blockedOn: [String]?
    private var isMonitor = false
    private var now = Instant(nanoseconds: 0)
    private var readHead = 0

    init(server: FakeServer, id: Int) {
        self.server = server
        self.id = id
    }

    func receive(_ bytes: UnsafeRawBufferPointer) {
        receivedBytes += bytes.count
        inbox.append(bytes)
    }

    /// Whether it would do something without the passing of time.
    var hasWork: Bool { !server.isStalled && blockedOn == nil && !inbox.isEmpty && wanted <= inbox.count }
    var nextReplyAt: Instant? { outbox.first?.at }
    private var wanted = 0

    /// Handles what came in and hands over what is due.
    func pump(_ now: Instant) {
        self.now = now
        if !server.isStalled {
            while blockedOn == nil, let request = nextRequest() { handle(request) }
        }
        while let first = outbox.first, first.at <= now {
            socket?.inbound.append(first.bytes)
            outbox.removeFirst()
        }
    }

    private func nextRequest() -> [[UInt8]]? {
        guard !inbox.isEmpty, inbox.count >= wanted else { return nil }
        var length = 0
        let request: [[UInt8]]? = inbox.withBytes { bytes in
            guard let start = bytes.baseAddress else { return nil }
            switch parser.parse(start, bytes.count, RequestParser.Limits()) {
            case .complete:
                length = parser.length
                return (0..<parser.argumentCount).map { index in
                    let place = parser.arguments[index]
                    return Array(UnsafeBufferPointer(start: start + Int(place.offset), count: Int(place.length)))
                }
            case .incomplete:
                wanted = parser.wanted
                return nil
            default:
                preconditionFailure("the proxy sent what is no request: \(String(decoding: bytes.prefix(80), as: UTF8.self))")
            }
        }
        if request != nil {
            inbox.drop(length)
            wanted = 0
        }
        return request
    }

    // MARK: - Answers

    private func answer(_ bytes: [UInt8]) {
        outbox.append((now.adding(milliseconds: server.delayMilliseconds), bytes))
    }

    private func answer(_ line: String) { answer(Array("\(line)\r\n".utf8)) }

    func push(_ words: [String]) {
        var bytes: [UInt8] = []
        if version == .three { bytes += ">\(words.count)\r\n".utf8 } else { bytes.appendArrayHeader(words.count) }
        for word in words { bytes.appendBulk(word) }
        answer(bytes)
    }

    /// Bytes that no request asked for.
    func inject(_ bytes: [UInt8]) { answer(bytes) }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private func handle(_ request: [[UInt8]]) {
        let name = Self.text(request[0]).uppercased()
        let words = request.map { Self.text($0) }
        if let greeting = greet(name, words) { return answer(greeting) }
        if server.errorCount > 0, name != "DISCARD", let error = server.errors[name] ?? server.errors["*"] {
            server.errorCount -= 1
            if name == "EXEC" && queue != nil {
                queue = nil
                watched = [:]
                return answer("-EXECABORT Transaction discarded because of: \(error)")
            }
            if queue != nil { isQueueDirty = true }
            return answer("-\(error)")
        }
        switch name {
        case "MULTI":
            guard queue == nil else { return answer("-ERR MULTI calls can not be nested") }
            queue = []
            isQueueDirty = false
            return answer("+OK")
        case "EXEC": return exec()
        case "DISCARD":
            guard queue != nil else { return answer("-ERR DISCARD without MULTI") }
            queue = nil
            watched = [:]
            return answer("+OK")
        case "WATCH":
            for word in words.dropFirst() { watched["\(database):\(word)"] = server.versions["\(database):\(word)"] ?? 0 }
            return answer("+OK")
        case "UNWATCH":
            watched = [:]
            return answer("+OK")
        case "SUBSCRIBE", "UNSUBSCRIBE": return subscribe(name, words)
        case "SWITCHYARD-REFUSED":
            isQueueDirty = queue != nil
            return answer("-ERR unknown command 'SWITCHYARD-REFUSED', with args beginning with: ")
        default: break
        }
        if queue != nil {
            if name == "SET" && !server.isMaster {
                isQueueDirty = true
                return answer("-READONLY You can't write against a read only replica.")
            }
            queue?.append(request)
            return answer("+QUEUED")
        }
        if version == .two && !channels.isEmpty && name != "PING" {
            return answer("-ERR Can't execute '\(name.lowercased())': only (P|S)SUBSCRIBE / PING are allowed in this context")
        }
        if name == "MONITOR" {
            isMonitor = true
            return answer("+OK")
        }
        if name == "BLPOP" && !words.dropFirst().dropLast().contains(where: { server.lists[$0]?.isEmpty == false }) {
            blockedOn = Array(words[1..<(words.count - 1)])
            return
        }
        answer(execute(name, request, words))
    }

    /// What the proxy says first on a new connection, and about itself.
    private func greet(_ name: String, _ words: [String]) -> [UInt8]? {
        switch name {
        case "AUTH":
            let user = words.count == 3 ? words[1] : "default"
            guard server.users[user] == words[words.count - 1] else {
                return Array("-WRONGPASS invalid username-password pair or user is disabled.\r\n".utf8)
            }
            self.user = user
            return Array("+OK\r\n".utf8)
        case "HELLO":
            version = words.count > 1 && words[1] == "3" ? .three : .two
            var bytes: [UInt8] = []
            bytes.appendMapHeader(1, version)
            bytes.appendBulk("server")
            bytes.appendBulk("fake")
            return bytes
        case "SELECT" where queue == nil:
            guard let wanted = Int(words[1]), wanted < server.databaseCount else {
                return Array("-ERR DB index is out of range\r\n".utf8)
            }
            database = wanted
            return Array("+OK\r\n".utf8)
        case "ROLE":
            return Array(
                (server.isMaster
                    ? "*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n" : "*5\r\n$5\r\nslave\r\n$1\r\nm\r\n:1\r\n$9\r\nconnected\r\n:1\r\n")
                    .utf8)
        case "CLIENT" where words.count > 1 && words[1].uppercased() == "SETNAME":
            self.name = words[2]
            return Array("+OK\r\n".utf8)
        case "CLIENT" where words.count > 1 && words[1].uppercased() == "ID" && queue == nil:
            return Array(":\(id)\r\n".utf8)
        case "CLIENT" where words.count > 2 && words[1].uppercased() == "UNBLOCK":
            let target = server.connections.first { String($0.id) == words[2] && $0.blockedOn != nil }
            target?.unblock(withError: words.count > 3 && words[3].uppercased() == "ERROR")
            return Array(":\(target == nil ? 0 : 1)\r\n".utf8)
        default: return nil
        }
    }

    func unblock(withError: Bool) {
        blockedOn = nil
        if withError {
            answer("-UNBLOCKED client unblocked via CLIENT UNBLOCK")
        } else {
            var bytes: [UInt8] = []
            bytes.appendNullArray(version)
            answer(bytes)
        }
    }

    private func exec() {
        guard let commands = queue else { return answer("-ERR EXEC without MULTI") }
        queue = nil
        let isStale = watched.contains { server.versions[$0.key] ?? 0 != $0.value }
        watched = [:]
        if isQueueDirty { return answer("-EXECABORT Transaction discarded because of previous errors.") }
        var bytes: [UInt8] = []
        if isStale {
            bytes.appendNullArray(version)
            return answer(bytes)
        }
        bytes.appendArrayHeader(commands.count)
        for command in commands {
            let words = command.map { Self.text($0) }
            let name = words[0].uppercased()
            if let greeting = greet(name, words) { bytes += greeting } else { bytes += execute(name, command, words) }
        }
        answer(bytes)
    }

    private func subscribe(_ name: String, _ words: [String]) {
        var targets = Array(words.dropFirst())
        if name == "UNSUBSCRIBE" && targets.isEmpty { targets = channels.isEmpty ? [""] : channels }
        for target in targets {
            if name == "SUBSCRIBE" {
                if !channels.contains(target) { channels.append(target) }
            } else {
                channels.removeAll { $0 == target }
            }
            var bytes: [UInt8] = []
            if version == .three { bytes += ">3\r\n".utf8 } else { bytes.appendArrayHeader(3) }
            bytes.appendBulk(name.lowercased())
            if target.isEmpty { bytes.appendNull(version) } else { bytes.appendBulk(target) }
            bytes.appendInteger(channels.count)
            answer(bytes)
        }
    }

    // MARK: - Commands

    private func write(_ key: String, _ value: [UInt8]?) {
        server.databases[database, default: [:]][key] = value
        server.versions["\(database):\(key)", default: 0] += 1
        for replica in server.replicas { replica.databases[database, default: [:]][key] = value }
    }

    private func execute(_ name: String, _ request: [[UInt8]], _ words: [String]) -> [UInt8] {
        let isWrite = ["SET", "INCR", "DEL", "APPEND", "LPUSH", "BLPOP"].contains(name)
        if isWrite && !server.isMaster { return Array("-READONLY You can't write against a read only replica.\r\n".utf8) }
        let line = words.map { String($0.prefix(64)) }
        server.executed.append(line)
        for connection in server.connections where connection.isMonitor {
            connection.answer("+1700000000.000001 [0 127.0.0.1:1] " + line.map { "\"\($0)\"" }.joined(separator: " "))
        }
        if isWrite { server.executionCounts[line.joined(separator: " "), default: 0] += 1 }
        var bytes: [UInt8] = []
        switch name {
        case "PING":
            if version == .two && !channels.isEmpty {
                bytes.appendArrayHeader(2)
                bytes.appendBulk("pong")
                bytes.appendBulk(words.count > 1 ? words[1] : "")
            } else if words.count > 1 {
                bytes.appendBulk(words[1])
            } else {
                bytes.appendSimpleString("PONG")
            }
        case "ECHO": bytes.appendBulk(request[1])
        case "GET":
            let value = server.databases[database]?[words[1]]
            if server.isExplicit {
                bytes.appendBulk("\(words[1])=\(value.map(Self.text) ?? "")")
            } else if let value {
                bytes.appendBulk(value)
            } else {
                bytes.appendNull(version)
            }
        case "SET":
            write(words[1], request[2])
            bytes.appendSimpleString(server.isExplicit ? "OK \(words[1])" : "OK")
        case "DEL":
            write(words[1], nil)
            bytes.appendInteger(1)
        case "INCR":
            let value = (Int(Self.text(server.databases[database]?[words[1]] ?? [])) ?? 0) + 1
            write(words[1], Array(String(value).utf8))
            bytes.appendInteger(value)
        case "MGET":
            bytes.appendArrayHeader(words.count - 1)
            for word in words.dropFirst() {
                if let value = server.databases[database]?[word] { bytes.appendBulk(value) } else { bytes.appendNull(version) }
            }
        case "LPUSH":
            server.lists[words[1], default: []].append(request[2])
            bytes.appendInteger(1)
            for connection in server.connections where connection.blockedOn?.contains(words[1]) == true {
                connection.blockedOn = nil
                connection.answer(connection.execute("BLPOP", [], ["BLPOP", words[1], "0"]))
                break
            }
        case "BLPOP":
            guard let key = words.dropFirst().dropLast().first(where: { server.lists[$0]?.isEmpty == false }) else {
                bytes.appendNullArray(version)
                return bytes
            }
            bytes.appendArrayHeader(2)
            bytes.appendBulk(key)
            bytes.appendBulk(server.lists[key]?.removeLast() ?? [])
        case "EVALSHA", "EVALSHA_RO":
            guard server.scripts.contains(words[1]) else { return Array("-NOSCRIPT No matching script.\r\n".utf8) }
            bytes.appendBulk("ran \(words[1])")
        case "SCRIPT":
            if words[1].uppercased() == "LOAD" { server.scripts.insert("sha-of-\(words[2])") }
            bytes.appendBulk("sha-of-\(words.count > 2 ? words[2] : "")")
        case "EVAL", "EVAL_RO":
            server.scripts.insert("sha-of-\(words[1])")
            bytes.appendBulk("ran")
        case "SCAN":
            // Two pages: the first ends at cursor 7.
            bytes.appendArrayHeader(2)
            bytes.appendBulk(words[1] == "0" ? "7" : "0")
            bytes.appendArrayHeader(1)
            bytes.appendBulk("\(server.endpoint.host)-\(words[1])")
        case "INFO": bytes.appendBulk("# Server\r\nhost:\(server.endpoint.host)\r\n")
        case "PUBLISH": bytes.appendInteger(server.publish(words[1], words[2]))
        case "WAIT": bytes.appendInteger(1)
        case "MONITOR": bytes.appendSimpleString("OK")
        case "CLIENT": bytes.appendSimpleString("OK")
        case "LIST":
            bytes.appendArrayHeader(Int(words[1]) ?? 0)
            for index in 0..<(Int(words[1]) ?? 0) { bytes.appendBulk("e\(index)") }
        default: bytes.appendError("ERR unknown command '\(words[0])'")
        }
        return bytes
    }
}
