import Glibc
import Testing
import Wire

@testable import Runtime

@Suite struct LinkTableTests {
    @Test func findsWhatWasInserted() {
        var table = LinkTable(capacity: 2)
        let link = LinkID(slot: 1, generation: 7)
        table.insert(link, descriptor: 42, flags: .accepted)
        let entry = table.find(link)
        #expect(entry?.pointee.descriptor == 42)
        #expect(entry?.pointee.flags == [.taken, .accepted])
    }

    // The table can't be copied, so `#expect` can't look into it: results go into constants first.

    @Test func aStaleGenerationFindsNothing() {
        var table = LinkTable(capacity: 2)
        let old = LinkID(slot: 0, generation: 1)
        let new = LinkID(slot: 0, generation: 2)
        table.insert(old, descriptor: 42, flags: [])
        table.remove(old)
        let removed = table.find(old)
        #expect(removed == nil)
        table.insert(new, descriptor: 42, flags: [])
        let stale = table.find(old)
        #expect(stale == nil)
        table.remove(old)
        let successor = table.find(new)
        #expect(successor != nil, "removing a stale link must not touch its successor")
    }

    @Test func neverTakenSlotsFindNothing() {
        let table = LinkTable(capacity: 2)
        let free = table.find(LinkID(slot: 0, generation: 0))
        let beyond = table.find(LinkID(slot: 1_000_000, generation: 0))
        #expect(free == nil && beyond == nil)
    }

    @Test func keepsItsEntriesWhenItGrows() {
        var table = LinkTable(capacity: 1)
        for slot in 0..<1000 {
            table.insert(LinkID(slot: UInt32(slot), generation: UInt32(slot) + 5), descriptor: Int32(slot), flags: [])
        }
        for slot in 0..<1000 {
            let entry = table.find(LinkID(slot: UInt32(slot), generation: UInt32(slot) + 5))
            #expect(entry?.pointee.descriptor == Int32(slot))
        }
    }
}

@Suite struct LinkListTests {
    @Test func keepsOrderWhileItGrows() {
        var list = LinkList(capacity: 1)
        for slot in 0..<100 { list.append(LinkID(slot: UInt32(slot), generation: 9)) }
        let count = list.count
        #expect(count == 100)
        for slot in 0..<100 {
            let link = list[slot]
            #expect(link == LinkID(slot: UInt32(slot), generation: 9))
        }
    }

    @Test func droppingARangeKeepsWhatWasAppendedMeanwhile() {
        var list = LinkList(capacity: 4)
        for slot in 0..<6 { list.append(LinkID(slot: UInt32(slot), generation: 0)) }
        list.drop(from: 1, to: 4)
        var slots: [UInt32] = []
        for index in 0..<list.count { slots.append(list[index].slot) }
        #expect(slots == [0, 4, 5])
        list.drop(from: 0, to: 3)
        let isEmpty = list.isEmpty
        #expect(isEmpty)
    }
}

@Suite struct PollerTests {
    @Test func anEventNamesItsLink() throws {
        let pair = try SocketPair()
        let poller = try Poller()
        let link = LinkID(slot: 3, generation: 8)
        try poller.add(pair.server.number, token: link.word, .edges)
        #expect(poller.wait(timeoutMilliseconds: 1_000) == 1)
        #expect(LinkID(word: poller.token(at: 0)) == link)
        #expect(poller.readiness(at: 0) == .writable)
    }

    @Test func anEdgeIsReportedOnce() throws {
        let pair = try SocketPair()
        let poller = try Poller()
        _ = SocketCall.send(pair.client.number, "x")
        try waitUntilReadable(pair.server.number)
        try poller.add(pair.server.number, token: 1, .edges)
        #expect(poller.wait(timeoutMilliseconds: 1_000) == 1)
        #expect(poller.readiness(at: 0) == [.readable, .writable])
        #expect(poller.wait(timeoutMilliseconds: 0) == 0)
        _ = SocketCall.send(pair.client.number, "y")
        #expect(poller.wait(timeoutMilliseconds: 1_000) == 1)
    }

    @Test func tellsAFinishedPeerFromABrokenConnection() throws {
        let pair = try SocketPair()
        let poller = try Poller()
        try poller.add(pair.server.number, token: 1, .edges)
        #expect(poller.wait(timeoutMilliseconds: 1_000) == 1)
        shutdown(pair.client.number, Int32(SHUT_WR))
        #expect(poller.wait(timeoutMilliseconds: 1_000) == 1)
        #expect(poller.readiness(at: 0).contains(.finished))
        #expect(poller.readiness(at: 0).isDisjoint(with: .broken))
        shutdown(pair.server.number, Int32(SHUT_WR))
        #expect(poller.wait(timeoutMilliseconds: 1_000) == 1)
        #expect(!poller.readiness(at: 0).isDisjoint(with: .broken))
    }

    @Test func anEventOfAClosedLinkDoesNotReachItsSuccessor() throws {
        var table = LinkTable()
        let poller = try Poller()
        let old = LinkID(slot: 0, generation: 1)
        do {
            let pair = try SocketPair()
            table.insert(old, descriptor: pair.server.number, flags: .accepted)
            try poller.add(pair.server.number, token: old.word, .edges)
            #expect(poller.wait(timeoutMilliseconds: 1_000) == 1)
        }
        // The event was collected, then the link was closed and its slot and descriptor taken by another.
        table.remove(old)
        let successor = try SocketPair()
        table.insert(LinkID(slot: 0, generation: 2), descriptor: successor.server.number, flags: .accepted)
        let stale = table.find(LinkID(word: poller.token(at: 0)))
        #expect(stale == nil)
    }
}
