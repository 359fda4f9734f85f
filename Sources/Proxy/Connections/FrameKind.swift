import Wire

/// What a whole frame on a connection with pushes is.
enum FrameKind {
    /// Comes by itself: a message, an invalidation, a line of MONITOR.
    case push
    /// Confirms a subscription or its end; the last element counts those that are left.
    case subscriptionCount(isShard: Bool, isPattern: Bool)
    /// The reply to the marker PING behind SUBSCRIBE and its like.
    case marker
    case reply

    init(_ frame: UnsafeBufferPointer<UInt8>, marker: [UInt8], isMonitor: Bool, isSubscribed: Bool) {
        let type = frame[0]
        if isMonitor && type == UInt8(ascii: "+") && frame.count > 1 && frame[1] >= 0x30 && frame[1] <= 0x39 {
            self = .push
            return
        }
        if type == UInt8(ascii: "$") || type == UInt8(ascii: "*") {
            let tail = frame.count - marker.count - 2
            if tail >= 0 && tail < 40 && frame[tail..<(tail + marker.count)].elementsEqual(marker) {
                self = .marker
                return
            }
        }
        guard type == UInt8(ascii: ">") || (type == UInt8(ascii: "*") && isSubscribed) else {
            self = .reply
            return
        }
        let word = FrameKind.firstWord(frame)
        switch word {
        case "message", "pmessage", "smessage":
            self = .push
        case "subscribe", "unsubscribe":
            self = .subscriptionCount(isShard: false, isPattern: false)
        case "psubscribe", "punsubscribe":
            self = .subscriptionCount(isShard: false, isPattern: true)
        case "ssubscribe", "sunsubscribe":
            self = .subscriptionCount(isShard: true, isPattern: false)
        default:
            self = type == UInt8(ascii: ">") ? .push : .reply
        }
    }

    /// The first element of an array or push, if it is a short bulk string.
    private static func firstWord(_ frame: UnsafeBufferPointer<UInt8>) -> String? {
        guard let headEnd = frame.firstIndex(of: 10), headEnd + 1 < frame.count, frame[headEnd + 1] == UInt8(ascii: "$")
        else { return nil }
        let rest = frame[(headEnd + 2)...]
        guard let lineEnd = rest.firstIndex(of: 10) else { return nil }
        let word = frame[(lineEnd + 1)...].prefix(16).prefix { $0 != 13 }
        return String(decoding: word, as: UTF8.self)
    }

    /// The integer that ends a frame.
    static func lastInteger(_ frame: UnsafeBufferPointer<UInt8>) -> Int? {
        guard let colon = frame.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        return Int(String(decoding: frame[(colon + 1)...].prefix { $0 != 13 }, as: UTF8.self))
    }
}
