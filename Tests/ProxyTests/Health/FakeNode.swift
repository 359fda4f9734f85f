import Wire

@testable import Proxy

/// A scripted node: what it answers follows from a few facts that a test sets.
struct FakeNode {
    enum Behaviour: Equatable {
        case answers
        /// The connection is refused.
        case refusesConnections
        /// Connection attempts get no answer.
        case swallowsConnections
        /// The connection opens, but nothing is answered.
        case silent
    }

    enum Link: String {
        case up, down
    }

    var endpoint: Endpoint
    var behaviour = Behaviour.answers
    /// Nil for a master.
    var master: Endpoint?
    var replicationID: String
    var continuedID = String(repeating: "0", count: 40)
    var offset: Int64 = 1_000
    var link = Link.up
    var linkState: String?
    var isSyncing = false
    var lastHeard = 0
    var downSince = -1
    var runID: String
    var version = "7.0.15"
    var valkeyVersion: String?
    var password: String?
    var databases: Int? = 16
    /// Error text by command name, such as `PING`.
    var errors: [String: String] = [:]
    var extraCommand: String?
    var isSentinel = false

    init(_ name: String, port: Int = 6379, master: FakeNode? = nil) {
        endpoint = Endpoint(host: name, port: port)
        self.master = master?.endpoint
        replicationID = master?.replicationID ?? "id-of-\(name)"
        runID = "run-of-\(name)"
    }

    /// The reply to one request; `isAuthenticated` belongs to the connection.
    func reply(to request: [String], isAuthenticated: inout Bool) -> [UInt8] {
        let name = request[0]
        if let error = errors[name] { return Array("-\(error)\r\n".utf8) }
        if name == "AUTH" {
            guard let password else {
                return Array(
                    "-ERR AUTH <password> called without any password configured for the default user. Are you sure?\r\n".utf8)
            }
            isAuthenticated = request.last == password
            return Array(
                (isAuthenticated ? "+OK\r\n" : "-WRONGPASS invalid username-password pair or user is disabled.\r\n").utf8)
        }
        guard password == nil || isAuthenticated else { return Array("-NOAUTH Authentication required.\r\n".utf8) }
        var bytes: [UInt8] = []
        switch (name, request.count > 1 ? request[1] : "") {
        case ("PING", _): bytes.appendSimpleString("PONG")
        case ("INFO", "server"):
            let valkey = valkeyVersion.map { "valkey_version:\($0)\r\n" } ?? ""
            bytes.appendBulk("# Server\r\nredis_version:\(version)\r\n\(valkey)run_id:\(runID)\r\n")
        case ("INFO", _): bytes.appendBulk(infoReplication)
        case ("CONFIG", _):
            guard let databases else {
                return Array("-NOPERM this user has no permissions to run the 'config|get' command\r\n".utf8)
            }
            bytes.appendCommand("databases", "\(databases)")
        case ("COMMAND", _):
            bytes += "*\(extraCommand == nil ? 1 : 2)\r\n*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n".utf8
            if let extraCommand {
                bytes +=
                    "*6\r\n$\(extraCommand.utf8.count)\r\n\(extraCommand)\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n".utf8
            }
        case ("ROLE", _):
            if isSentinel {
                bytes += "*2\r\n$8\r\nsentinel\r\n*1\r\n$8\r\nmymaster\r\n".utf8
            } else if let master {
                let state = linkState ?? (isSyncing ? "sync" : link == .up ? "connected" : "connect")
                bytes += "*5\r\n$5\r\nslave\r\n$\(master.host.utf8.count)\r\n\(master.host)\r\n:\(master.port)\r\n".utf8
                bytes += "$\(state.utf8.count)\r\n\(state)\r\n:\(offset)\r\n".utf8
            } else {
                bytes += "*3\r\n$6\r\nmaster\r\n:\(offset)\r\n*0\r\n".utf8
            }
        default: bytes.appendError("ERR unknown command '\(name)'")
        }
        return bytes
    }

    private var infoReplication: String {
        var lines = ["# Replication", "role:\(master == nil ? "master" : "slave")"]
        if let master {
            lines += ["master_host:\(master.host)", "master_port:\(master.port)", "master_link_status:\(link.rawValue)"]
            lines += [
                "master_last_io_seconds_ago:\(link == .up ? lastHeard : -1)", "master_sync_in_progress:\(isSyncing ? 1 : 0)",
            ]
            lines += ["slave_read_repl_offset:\(offset + 5)", "slave_repl_offset:\(offset)"]
            if link == .down { lines.append("master_link_down_since_seconds:\(downSince)") }
        }
        lines += ["master_replid:\(replicationID)", "master_replid2:\(continuedID)", "master_repl_offset:\(offset)"]
        return lines.map { $0 + "\r\n" }.joined()
    }

    /// `REPLICAOF NO ONE`: a new history that continues the old one.
    mutating func promote() {
        master = nil
        continuedID = replicationID
        replicationID += "'"
    }

    /// `REPLICAOF master`, synced at once.
    mutating func follow(_ other: FakeNode) {
        master = other.endpoint
        replicationID = other.replicationID
        continuedID = other.continuedID
        offset = other.offset
        link = .up
    }
}
