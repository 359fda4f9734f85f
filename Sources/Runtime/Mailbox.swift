import CLinux
import Proxy
import Synchronization
import Wire

/// What a loop finds in its mailbox: messages between cores, and what drivers tell each other.
enum Mail: Sendable {
    case message(Message)
    /// The resolver's answer for a connection that this loop asked for.
    case resolved(LinkID, Resolution)
    /// To the control loop: that worker has no clients left after `.drain`.
    case drained(LoopID)
}

/// Mail for one loop from any thread: a locked array and an eventfd that wakes the receiver. For control traffic only.
final class Mailbox: Sendable {
    private let waiting = Mutex<[Mail]>([])
    private let wake: Descriptor

    init() throws(SystemError) {
        wake = try Descriptor(Int(switchyard_eventfd()).orErrno, attempt: "eventfd")
    }

    /// Readable while there is mail; the receiver watches it.
    var wakeDescriptor: Int32 { wake.number }

    /// Adds to the box and wakes its owner, who gets mail of one sender in the order it was posted.
    func post(_ mail: Mail) {
        let wasEmpty = waiting.withLock { waiting in
            waiting.append(mail)
            return waiting.count == 1
        }
        guard wasEmpty else { return }
        var one: UInt64 = 1
        _ = withUnsafeBytes(of: &one) { SystemCalls.write(wake.number, $0) }
    }

    /// Everything that is waiting, oldest first.
    func takeAll() -> [Mail] {
        var count: UInt64 = 0
        _ = withUnsafeMutableBytes(of: &count) { SystemCalls.read(wake.number, into: $0) }
        return waiting.withLock { waiting in
            let taken = waiting
            waiting = []
            return taken
        }
    }
}
