import Testing
import Wire

@testable import Runtime

@Suite struct TurnPacingTests {
    private let millisecond: UInt64 = 1_000_000

    private func pacing(clients: Int, windowMilliseconds: UInt64) -> TurnPacing {
        var pacing = TurnPacing()
        pacing.close(activeClients: 0, now: Instant(nanoseconds: 10 * millisecond))
        pacing.close(activeClients: clients, now: Instant(nanoseconds: (10 + windowMilliseconds) * millisecond))
        return pacing
    }

    @Test func fewClientsNeverWait() {
        #expect(!pacing(clients: 15, windowMilliseconds: 1).isBusy)
    }

    @Test func manyClientsWaitForEachOther() {
        let pacing = pacing(clients: 16, windowMilliseconds: 1)
        #expect(pacing.isBusy)
        let now = Instant(nanoseconds: 20 * millisecond)
        #expect(pacing.nap(hasPendingWork: false, now: now, nextWake: .never) == TurnPacing.napNanoseconds)
    }

    @Test func clientsSpreadOverALongWindowDontCount() {
        #expect(!pacing(clients: 16, windowMilliseconds: 2).isBusy)
        #expect(!pacing(clients: 500, windowMilliseconds: 1_000).isBusy)
        #expect(pacing(clients: 500, windowMilliseconds: 10).isBusy)
    }

    @Test func workLeftOverIsNotDelayed() {
        let pacing = pacing(clients: 100, windowMilliseconds: 1)
        #expect(pacing.nap(hasPendingWork: true, now: Instant(nanoseconds: 20 * millisecond), nextWake: .never) == 0)
    }

    @Test func aTimerThatIsDueIsNotDelayed() {
        let pacing = pacing(clients: 100, windowMilliseconds: 1)
        let now = Instant(nanoseconds: 20 * millisecond)
        #expect(pacing.nap(hasPendingWork: false, now: now, nextWake: now) == 0)
        #expect(pacing.nap(hasPendingWork: false, now: now, nextWake: Instant(nanoseconds: now.nanoseconds + 50_000)) == 0)
        #expect(pacing.nap(hasPendingWork: false, now: now, nextWake: Instant(nanoseconds: now.nanoseconds + millisecond)) > 0)
    }

    @Test func theWindowIsOverAfterAMillisecond() {
        var pacing = TurnPacing()
        let start = Instant(nanoseconds: 10 * millisecond)
        pacing.close(activeClients: 0, now: start)
        #expect(!pacing.isWindowOver(now: Instant(nanoseconds: start.nanoseconds + millisecond - 1)))
        #expect(pacing.isWindowOver(now: Instant(nanoseconds: start.nanoseconds + millisecond)))
    }
}

@Suite struct ClockTests {
    @Test func neverWakesEarly() {
        let now = Instant(nanoseconds: 5_000_000)
        #expect(Clock.waitMilliseconds(from: now, to: .never) == -1)
        #expect(Clock.waitMilliseconds(from: now, to: now) == 0)
        #expect(Clock.waitMilliseconds(from: now, to: Instant(nanoseconds: 4_000_000)) == 0)
        #expect(Clock.waitMilliseconds(from: now, to: Instant(nanoseconds: 5_000_001)) == 1)
        #expect(Clock.waitMilliseconds(from: now, to: Instant(nanoseconds: 7_000_000)) == 2)
        #expect(Clock.waitMilliseconds(from: now, to: Instant(nanoseconds: .max - 1)) == 3_600_000)
    }
}
