import Proxy
import Synchronization
import Testing
import Wire

@testable import Runtime

@Suite struct MailboxTests {
    @Test func keepsTheOrderOfOneSender() throws {
        let mailbox = try Mailbox()
        for index in 0..<10 { mailbox.post(.drained(LoopID(index: index))) }
        let indices = mailbox.takeAll().map { mail in
            if case .drained(let loop) = mail { loop.index } else { -1 }
        }
        #expect(indices == Array(0..<10))
        #expect(mailbox.takeAll().isEmpty)
    }

    @Test func wakesItsOwnerForEveryBatch() throws {
        let mailbox = try Mailbox()
        let poller = try Poller()
        try poller.add(mailbox.wakeDescriptor, token: 1, .readable)
        #expect(poller.wait(timeoutMilliseconds: 0) == 0)
        mailbox.post(.message(.drain))
        mailbox.post(.message(.drain))
        #expect(poller.wait(timeoutMilliseconds: 1_000) == 1)
        #expect(mailbox.takeAll().count == 2)
        #expect(poller.wait(timeoutMilliseconds: 0) == 0)
        mailbox.post(.message(.drain))
        #expect(poller.wait(timeoutMilliseconds: 1_000) == 1)
    }

    @Test func losesNothingOfManySenders() throws {
        let mailbox = try Mailbox()
        let poller = try Poller()
        try poller.add(mailbox.wakeDescriptor, token: 1, .readable)
        for sender in 0..<4 {
            try Thread.start(name: "sender") {
                for _ in 0..<1_000 { mailbox.post(.drained(LoopID(index: sender))) }
            }
        }
        var received = 0
        while received < 4_000, poller.wait(timeoutMilliseconds: 2_000) > 0 { received += mailbox.takeAll().count }
        #expect(received == 4_000)
    }
}

@Suite struct ClientCounterTests {
    @Test func admitsUpToTheLimit() {
        let counter = ClientCounter()
        #expect(counter.admit(limit: 2))
        #expect(counter.admit(limit: 2))
        #expect(!counter.admit(limit: 2))
        #expect(counter.rejectedCount == 1)
        counter.leave()
        #expect(counter.admit(limit: 2))
    }

    @Test func idsGrowFromOne() {
        let counter = ClientCounter()
        #expect(counter.nextID() == 1)
        #expect(counter.nextID() == 2)
    }
}
