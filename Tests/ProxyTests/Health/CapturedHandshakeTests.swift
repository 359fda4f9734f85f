import Testing
import Wire

@testable import Proxy

/// A whole handshake and round with the bytes of a real server, however they are cut.
@Suite struct CapturedHandshakeTests {
    private static let greeting = Captured.infoServer + Captured.configGetDatabases + Captured.commands
    private static let masterRound = Captured.roleMaster + Array("+PONG\r\n".utf8) + Captured.infoMaster
    private static let replicaRound = Captured.roleReplica + Array("+PONG\r\n".utf8) + Captured.infoReplica

    /// A monitor of one node that was sent the greeting and a round, each cut at `cut`.
    private func monitor(round: [UInt8], cut: Int) throws -> Monitor {
        let now = Instant(nanoseconds: 1_000_000_000)
        var options = ProxyOptions()
        options.master = Endpoint(host: "127.0.0.1", port: 21790)
        var monitor = Monitor(options: options, seed: 1, now: now)
        var link: LinkID?
        for case .connect(let asked, _) in monitor.effects { link = asked }
        let opened = try #require(link)
        monitor.connected(opened, now: now)
        for bytes in [Self.greeting, round] {
            let place = min(cut, bytes.count)
            bytes[..<place].withUnsafeBytes { monitor.received(opened, bytes: $0, now: now) }
            bytes[place...].withUnsafeBytes { monitor.received(opened, bytes: $0, now: now) }
        }
        return monitor
    }

    @Test func aRealMasterIsUnderstood() throws {
        let node = try #require(try monitor(round: Self.masterRound, cut: 0).currentTopology.nodes.first)
        #expect(node.health == .up)
        #expect(node.role == .master)
        #expect(node.isMaster)
        #expect(node.version == "7.0.15")
        #expect(node.runID == "4e60368a8af868d6ac1c5eb32be87bcf173c044c")
        #expect(node.databases == 16)
        #expect(node.replicationID == "0d6b605585d290a3d676630a72112eaa4389e92d")
        #expect(node.offset == 148)
    }

    @Test func aRealReplicaIsUnderstood() throws {
        let node = try #require(try monitor(round: Self.replicaRound, cut: 0).currentTopology.nodes.first)
        #expect(node.health == .up)
        #expect(node.role == .replica)
        #expect(!node.isMaster)
        #expect(node.readsRefused == nil)
        #expect(node.offset == 148)
        #expect(node.secondsSinceMaster == 5)
    }

    @Test func realCommandTablesAreLearned() throws {
        let commands = try monitor(round: Self.masterRound, cut: 0).currentTopology.commands
        #expect(commands.entries.map(\.name) == ["get", "ping", "publish", "set"])
    }

    @Test func theCutMakesNoDifference() throws {
        let whole = try monitor(round: Self.masterRound, cut: 0).currentTopology
        for cut in 1..<max(Self.greeting.count, Self.masterRound.count) {
            let cutTopology = try monitor(round: Self.masterRound, cut: cut).currentTopology
            #expect(cutTopology.nodes == whole.nodes && cutTopology.commands == whole.commands)
        }
    }
}
