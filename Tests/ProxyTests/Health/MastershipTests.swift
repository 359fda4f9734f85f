import Testing
import Wire

@testable import Proxy

/// Who gets the writes.
@Suite struct MastershipTests {
    private static let a = FakeNode("a")
    private static let b = FakeNode("b", master: a)
    private static let c = FakeNode("c", master: a)

    private func trio() -> FakeCluster { FakeCluster([Self.a, Self.b, Self.c]) }

    @Test func theConfiguredMasterIsConfirmedByItsOwnRole() {
        #expect(trio().master == 0)
    }

    @Test func anUnreachableConfiguredMasterIsNotConfirmed() {
        var gone = Self.a
        gone.behaviour = .refusesConnections
        var cluster = FakeCluster([gone, Self.b])
        cluster.run(milliseconds: 3_000)
        #expect(cluster.master == nil)
        #expect(cluster.log.filter { $0.contains("a:6379 can't be reached") && $0.contains("writes wait for it") }.count == 1)
    }

    @Test func aMasterThatGoesDownStaysTheMaster() {
        var cluster = trio()
        cluster.crash(0)
        cluster.run(milliseconds: 30_000)
        #expect(cluster.master == 0)
        #expect(cluster.state(0).health.whyDown != nil)
        #expect(cluster.log.filter { $0.contains("a:6379 is down") && $0.contains("writes wait") }.count == 1)
    }

    @Test func aHandOverThatTheOldMasterConfirmsIsFollowed() {
        var cluster = trio()
        cluster.nodes[1].promote()
        cluster.nodes[0].follow(cluster.nodes[1])
        cluster.nodes[2].follow(cluster.nodes[1])
        cluster.run(milliseconds: 1_000)
        #expect(cluster.master == 1)
        #expect(cluster.state(0).role == .replica)
        #expect(cluster.state(0).health == .up)
        #expect(cluster.log.filter { $0.contains("writes go to b:6379 now") }.count == 1)
    }

    @Test func aHandOverInOrderlyFashionWarnsOfNothing() {
        var cluster = trio()
        let before = cluster.log.count
        cluster.nodes[1].promote()
        cluster.nodes[0].follow(cluster.nodes[1])
        cluster.nodes[2].follow(cluster.nodes[1])
        cluster.run(milliseconds: 5_000)
        #expect(
            Array(cluster.log[before...]) == [
                "writes go to b:6379 now: it says it is the master and has taken over from a:6379"
            ])
    }

    @Test func aHandOverIsFollowedWithinAFractionOfASecondOfItsFirstSign() {
        var cluster = trio()
        cluster.nodes[1].promote()
        cluster.run(milliseconds: 1_000)
        #expect(cluster.master == 0)
        cluster.nodes[0].follow(cluster.nodes[1])
        cluster.run(milliseconds: 100)
        #expect(cluster.master == 1)
    }

    @Test func aNewMasterThatIsSeenForTheFirstTimeHastensTheQuestionToTheOldOne() {
        var late = Self.b
        late.behaviour = .refusesConnections
        var cluster = FakeCluster([Self.a, late])
        #expect(cluster.master == 0)
        cluster.nodes[1].behaviour = .answers
        cluster.nodes[1].promote()
        cluster.nodes[0].follow(cluster.nodes[1])
        cluster.run(milliseconds: 310)
        #expect(cluster.master == 1)
    }

    @Test func aHandOverIsRecognisedByTheReplicationIDIfAddressesDiffer() {
        var cluster = trio()
        cluster.nodes[1].promote()
        cluster.nodes[0].follow(cluster.nodes[1])
        cluster.nodes[0].master = Endpoint(host: "172.17.0.3", port: 6379)
        cluster.run(milliseconds: 1_000)
        #expect(cluster.master == 1)
    }

    @Test func localhostIsTheLoopbackAddress() {
        #expect(Endpoint(host: "localhost", port: 1).isTextually(Endpoint(host: "127.0.0.1", port: 1)))
        #expect(Endpoint(host: "DB.example", port: 1).isTextually(Endpoint(host: "db.EXAMPLE", port: 1)))
        #expect(!Endpoint(host: "localhost", port: 1).isTextually(Endpoint(host: "127.0.0.1", port: 2)))
        #expect(!Endpoint(host: "a", port: 1).isTextually(Endpoint(host: "b", port: 1)))
    }

    @Test func aMasterThatFollowsAStrangerLeavesNone() {
        var cluster = trio()
        cluster.nodes[0].master = Endpoint(host: "stranger", port: 7000)
        cluster.run(milliseconds: 10_000)
        #expect(cluster.master == nil)
        #expect(cluster.log.filter { $0.contains("there is no master") && $0.contains("stranger:7000") }.count == 1)
    }

    @Test func bothBeingReplicasForAMomentLeavesNoneUntilOneIsPromoted() {
        var cluster = trio()
        cluster.nodes[0].master = cluster.nodes[1].endpoint
        cluster.run(milliseconds: 3_000)
        #expect(cluster.master == nil)
        #expect(cluster.log.filter { $0.contains("there is no master") }.count == 1)
        cluster.nodes[1].promote()
        cluster.run(milliseconds: 1_000)
        #expect(cluster.master == 1)
    }

    @Test func aReplicaThatClaimsToBeAMasterGetsNothing() throws {
        var cluster = trio()
        cluster.nodes[2].promote()
        cluster.run(milliseconds: 10_000)
        #expect(cluster.master == 0)
        #expect(try #require(cluster.state(2).health.whyUnusable).contains("claims to be a master"))
        #expect(cluster.log.filter { $0.contains("claims to be a master") }.count == 1)
    }

    @Test func theOldMasterThatRebootsAsAMasterWithOldDataIsNotBelieved() {
        var cluster = trio()
        cluster.nodes[1].promote()
        cluster.nodes[0].follow(cluster.nodes[1])
        cluster.run(milliseconds: 1_000)
        cluster.nodes[0] = FakeNode("a")
        cluster.nodes[0].runID = "second life"
        cluster.nodes[0].replicationID = "new history"
        cluster.disconnect(0)
        cluster.run(milliseconds: 2_000)
        #expect(cluster.master == 1)
        cluster.crash(1)
        cluster.run(milliseconds: 10_000)
        #expect(cluster.master == 1)
    }

    @Test func theConfiguredMasterTakesOverAgainFromADeadOneIfItContinuesItsHistory() {
        var cluster = trio()
        cluster.nodes[1].promote()
        cluster.nodes[0].follow(cluster.nodes[1])
        cluster.run(milliseconds: 1_000)
        cluster.crash(1)
        cluster.run(milliseconds: 5_000)
        #expect(cluster.master == 1)
        cluster.nodes[0].promote()
        cluster.run(milliseconds: 2_000)
        #expect(cluster.master == 0)
    }

    @Test func handingBackIsFollowed() {
        var cluster = trio()
        cluster.nodes[1].promote()
        cluster.nodes[0].follow(cluster.nodes[1])
        cluster.run(milliseconds: 1_000)
        cluster.nodes[0].promote()
        cluster.nodes[1].follow(cluster.nodes[0])
        cluster.run(milliseconds: 1_000)
        #expect(cluster.master == 0)
    }

    @Test func aChainOfHandOversIsFollowedFromTheLastConfirmedMaster() {
        var cluster = trio()
        cluster.nodes[1].promote()
        cluster.nodes[0].follow(cluster.nodes[1])
        cluster.run(milliseconds: 1_000)
        cluster.crash(0)
        cluster.nodes[2].follow(cluster.nodes[1])
        cluster.nodes[2].promote()
        cluster.nodes[1].follow(cluster.nodes[2])
        cluster.run(milliseconds: 2_000)
        #expect(cluster.master == 2)
    }

    @Test func aSentinelIsNamedAsWhatItIs() throws {
        var sentinel = Self.a
        sentinel.isSentinel = true
        var cluster = FakeCluster([sentinel])
        cluster.run(milliseconds: 5_000)
        #expect(cluster.master == nil)
        #expect(cluster.state(0).role == .unknown)
        #expect(try #require(cluster.state(0).health.whyUnusable).contains("is a sentinel"))
        #expect(cluster.log.filter { $0.contains("there is no master: a:6379 is a sentinel") }.count == 1)
    }

    @Test func aHandOverThatWasSeenBeforeAnotherMasterWasNamedDoesNotCount() {
        var cluster = trio()
        cluster.nodes[1].promote()
        cluster.nodes[0].follow(cluster.nodes[1])
        cluster.run(milliseconds: 1_000)
        #expect(cluster.master == 1)
        var options = cluster.monitor.options
        options.master = Self.c.endpoint
        options.replicas = [ReplicaOptions(endpoint: Self.a.endpoint), ReplicaOptions(endpoint: Self.b.endpoint)]
        cluster.nodes[2].promote()
        cluster.apply(options)
        cluster.run(milliseconds: 1_000)
        #expect(cluster.master == 2)
    }

    @Test func aRoleOfUnknownShapeIsRefused() {
        #expect(RoleReport(.array([])) == nil)
        #expect(RoleReport(.array([.bulk(Array("slave".utf8)), .integer(1)])) == nil)
        #expect(RoleReport(.array([.bulk(Array("tree".utf8)), .integer(1)])) == nil)
        #expect(RoleReport(.simpleString(Array("master".utf8))) == nil)
    }
}
