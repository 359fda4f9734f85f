import Glibc
import Testing
import Wire

@testable import Runtime

@Suite(.serialized) struct MemoryTrimmerTests {
    @Test func looksOncePerInterval() {
        var trimmer = MemoryTrimmer()
        let now = Instant(nanoseconds: 1_000_000_000)
        _ = trimmer.trim(now: now)
        #expect(trimmer.nextCheck == now.adding(milliseconds: MemoryTrimmer.checkMilliseconds))
        let again = trimmer.trim(now: now)
        #expect(again == nil)
    }

    @Test func givesBackWhatAPeakLeftBehind() throws {
        // Small blocks with survivors in between: malloc alone returns only the end of a heap.
        let count = 200_000
        var blocks: [UnsafeMutableRawPointer] = []
        for _ in 0..<count {
            let block = try #require(malloc(1_000))
            memset(block, 1, 1_000)
            blocks.append(block)
        }
        for index in blocks.indices where index % 1_000 != 0 { free(blocks[index]) }
        defer { for index in blocks.indices where index % 1_000 == 0 { free(blocks[index]) } }
        var trimmer = MemoryTrimmer()
        let bytes = trimmer.trim(now: Clock.now)
        #expect(bytes ?? 0 > MemoryTrimmer.worthwhileBytes)
    }
}
