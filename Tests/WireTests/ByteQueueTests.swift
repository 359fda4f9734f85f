import Testing

@testable import Wire

private func contents(_ queue: borrowing ByteQueue) -> [UInt8] { Array(queue.buffer) }

struct ByteQueueTests {
    /// A plain array says what must be in it.
    @Test func behavesLikeAnArray() {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        func random(_ bound: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(bound))
        }
        for round in 0..<50 {
            var queue = ByteQueue()
            var model: [UInt8] = []
            for step in 0..<400 {
                let fresh = (0..<random(random(20) == 0 ? 5_000 : 60)).map { UInt8(truncatingIfNeeded: $0 + step) }
                switch random(6) {
                case 0, 1:
                    queue.append(fresh)
                    model += fresh
                case 2:
                    let space = queue.space(fresh.count + 1)
                    #expect(space.count > fresh.count)
                    space.copyBytes(from: fresh)
                    queue.commit(fresh.count)
                    model += fresh
                case 3, 4:
                    let length = random(model.count + 1)
                    queue.consume(length)
                    model.removeFirst(length)
                default:
                    let length = model.isEmpty ? 0 : max(0, model.count - random(30))
                    queue.truncate(length)
                    model.removeLast(model.count - length)
                }
                #expect(queue.count == model.count && queue.isEmpty == model.isEmpty)
                #expect(contents(queue) == model, "round \(round), step \(step)")
            }
        }
    }

    @Test func holdsNoMemoryAtFirst() {
        var queue = ByteQueue()
        #expect(queue.capacity == 0)
        queue.append([])
        #expect(queue.capacity == 0)
        queue.append("x")
        #expect(queue.capacity >= 1)
    }

    @Test func keepsLittleMemoryOnceEmpty() {
        var queue = ByteQueue()
        queue.append([UInt8](repeating: 1, count: 100))
        queue.consume(100)
        #expect(queue.capacity > 0 && queue.capacity <= queue.keptCapacity)
        queue.append([UInt8](repeating: 1, count: 1 << 20))
        queue.consume(1 << 20)
        #expect(queue.capacity == 0)
        queue.append([UInt8](repeating: 1, count: 1 << 20))
        queue.removeAll()
        #expect(queue.capacity == 0)
    }

    @Test func reusesWhatWasConsumed() {
        var queue = ByteQueue()
        queue.append([UInt8](repeating: 7, count: 500))
        let capacity = queue.capacity
        for _ in 0..<1_000 {
            queue.append([1, 2, 3, 4, 5])
            queue.consume(5)
        }
        #expect(queue.capacity <= capacity * 3)
        #expect(queue.count == 500)
    }
}
